"""Servers of the acceptance tests: those of tests/conftest.py, and a Postgres whose log can be read row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from world import World

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant

SCALE = 0.3


@pytest.fixture(scope="session")
def logged_postgres(servers_directory: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres with logical decoding, without fsync."""
    settings = {"wal_level": "logical", "max_replication_slots": "10"}
    server = EmbeddedPostgres(servers_directory / "logged", durable=False, settings=settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def world(
    logged_postgres: EmbeddedPostgres, neo4j_server: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant
) -> Iterator[World]:
    """The example at a third of its size, loaded once for a module."""
    neo4j_server.wipe()
    qdrant_server.wipe()
    world = World(logged_postgres, neo4j_server.url, qdrant_server.url, SCALE)
    yield world
    world.close()
    neo4j_server.wipe()
    qdrant_server.wipe()
