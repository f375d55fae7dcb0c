"""Real servers for the demo, the tests and rehearsed restores, each a child that never outlives its starter."""

from __future__ import annotations

from tenure.demo.servers.neo4j import EmbeddedNeo4j
from tenure.demo.servers.postgres import EmbeddedPostgres

__all__ = ["EmbeddedNeo4j", "EmbeddedPostgres"]
