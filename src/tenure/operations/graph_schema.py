"""Looks up and drops Neo4j constraints and indexes by what they mean, whatever they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tenure.stores.cypher import quote
from tenure.values import Outcome

if TYPE_CHECKING:
    from tenure.catalog.neo4j import Entity
    from tenure.stores.neo4j import Neo4jStore

# Cypher 25 has longer names for two kinds; a server may give them whatever the query was prefixed with.
_UNIQUE = {
    "UNIQUENESS": "UNIQUENESS",
    "NODE_PROPERTY_UNIQUENESS": "UNIQUENESS",
    "RELATIONSHIP_UNIQUENESS": "UNIQUENESS",
    "RELATIONSHIP_PROPERTY_UNIQUENESS": "UNIQUENESS",
    "NODE_KEY": "KEY",
    "RELATIONSHIP_KEY": "KEY",
}


def find_index(store: Neo4jStore, entity: Entity, name: str, properties: Sequence[str]) -> str | None:
    """Return the name of an online range index on exactly *properties* in that order (a constraint's own counts)."""
    rows = store.read(
        "SHOW INDEXES YIELD name, type, state, entityType, labelsOrTypes, properties "
        "WHERE type IN ['RANGE', 'BTREE'] AND state = 'ONLINE' AND entityType = $entity AND labelsOrTypes = [$name] "
        "AND properties = $properties RETURN name",
        entity=entity,
        name=name,
        properties=list(properties),
    )
    return str(rows[0]["name"]) if rows else None


def find_constraint(
    store: Neo4jStore, entity: Entity, name: str, properties: Sequence[str], *, key: bool = False
) -> str | None:
    """Return the name of a uniqueness (or, with *key*, a node or relationship key) on exactly *properties*, whose index
    is online. A key is as good as a uniqueness, not the other way round."""
    rows = store.read(
        "SHOW CONSTRAINTS YIELD name, type, entityType, labelsOrTypes, properties "
        "WHERE entityType = $entity AND labelsOrTypes = [$name] RETURN name, type, properties",
        entity=entity,
        name=name,
    )
    wanted = {"KEY"} if key else {"KEY", "UNIQUENESS"}
    found = [row for row in rows if _UNIQUE.get(row["type"]) in wanted and _same(row["properties"], properties)]
    online = {
        row["owner"]
        for row in store.read(
            "SHOW INDEXES YIELD state, owningConstraint WHERE state = 'ONLINE' RETURN owningConstraint AS owner"
        )
    }
    return next((str(row["name"]) for row in found if row["name"] in online), None)


def drop_index(store: Neo4jStore, name: str) -> Outcome:
    """Drop an index by name; one that is not there is done."""
    there = bool(store.read("SHOW INDEXES YIELD name WHERE name = $name RETURN name", name=name))
    if there:
        store.schema(f"DROP INDEX {quote(name)} IF EXISTS")
    return Outcome(planned=int(there), changed=int(there))


def drop_constraint(store: Neo4jStore, name: str) -> Outcome:
    """Drop a constraint by name; one that is not there is done."""
    there = bool(store.read("SHOW CONSTRAINTS YIELD name WHERE name = $name RETURN name", name=name))
    if there:
        store.schema(f"DROP CONSTRAINT {quote(name)} IF EXISTS")
    return Outcome(planned=int(there), changed=int(there))


def _same(found: Any, wanted: Sequence[str]) -> bool:
    # The order decides which look-ups the index serves, not what is unique.
    return sorted(found or ()) == sorted(wanted)
