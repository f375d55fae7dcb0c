"""What was found in the stores: frozen, comparable, serialisable values without a connection."""

from __future__ import annotations

from tenure.catalog.equivalence import Likeness, compare, equivalent
from tenure.catalog.neo4j import Neo4jCatalog
from tenure.catalog.postgres import PostgresCatalog
from tenure.catalog.qdrant import QdrantCatalog
from tenure.catalog.value import Value, display_name

__all__ = [
    "Catalog",
    "Likeness",
    "Neo4jCatalog",
    "PostgresCatalog",
    "QdrantCatalog",
    "Value",
    "compare",
    "display_name",
    "equivalent",
]


class Catalog(Value):
    """The three stores together; a store that the playbook has no connection for is None.

    `digest()` changes when the schema of a store changes, not when rows do.
    """

    postgres: PostgresCatalog
    neo4j: Neo4jCatalog | None = None
    qdrant: QdrantCatalog | None = None
