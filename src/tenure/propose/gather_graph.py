"""Reads samples from Neo4j: nodes with some of their neighbours, relationships with their lists. Read-only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.catalog.neo4j import Label, Neo4jCatalog, RelationshipType
from tenure.propose.evidence import Node, NodeSample, RelationshipSample
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore

NODES = 2_000
# A hub has too many neighbours to read; so many, of each type, show whether they are of several tenants.
NEIGHBOURS = 100
LIST_ENTRIES = 20
_SCALARS = ("STRING", "INTEGER")


def sample_nodes(store: Neo4jStore, catalog: Neo4jCatalog, *, full: bool = False) -> dict[str, NodeSample]:
    """Return sampled nodes of every label with their scalar properties and some neighbours of each type."""
    scalars = {label.name: _scalar_properties(label) for label in catalog.labels}
    return {label.name: _nodes(store, label, catalog, scalars, NODES * (25 if full else 1)) for label in catalog.labels}


def sample_relationships(store: Neo4jStore, catalog: Neo4jCatalog) -> dict[str, RelationshipSample]:
    """Return sampled relationships of every type: scalar properties, and the entries of lists of text."""
    return {kind.name: _relationships(store, kind) for kind in catalog.relationship_types}


def _nodes(
    store: Neo4jStore, label: Label, catalog: Neo4jCatalog, scalars: Mapping[str, list[str]], limit: int
) -> NodeSample:
    # Every k-th node: the first ones of a label are often of one tenant.
    step = max(1, label.count // limit)
    sampled = f"MATCH (n:{quote(label.name)}) {'WHERE id(n) % $step = 0' if step > 1 else ''} WITH n LIMIT $limit"
    own = f"{sampled} RETURN elementId(n) AS id, {_map('n', scalars[label.name])} AS own"
    nodes = {row["id"]: _texts(row["own"]) for row in store.stream(own, step=step, limit=limit)}
    near: defaultdict[str, list[tuple[str, str, Mapping[str, str]]]] = defaultdict(list)
    for kind in catalog.relationship_types:
        others = {e.end for e in kind.ends if e.start == label.name} | {
            e.start for e in kind.ends if e.end == label.name
        }
        names = sorted({name for other in others if other for name in scalars[other]})
        if not others:
            continue
        query = f"""{sampled}
CALL {{ WITH n MATCH (n)-[:{quote(kind.name)}]-(m) WITH m LIMIT {NEIGHBOURS}
  RETURN collect(DISTINCT {{labels: labels(m), own: {_map("m", names)}}}) AS several }}
RETURN elementId(n) AS id, several"""
        for row in store.stream(query, step=step, limit=limit):
            for found in row["several"]:
                near[row["id"]].extend((kind.name, name, _texts(found["own"])) for name in found["labels"])
    return NodeSample(tuple(Node(own, tuple(near[identity])) for identity, own in nodes.items()), label.count)


def _relationships(store: Neo4jStore, kind: RelationshipType) -> RelationshipSample:
    scalar = [p.name for p in kind.properties if p.types and all(t.startswith(_SCALARS) for t in p.types)]
    lists = [p.name for p in kind.properties if any(t.startswith("LIST<STRING") for t in p.types)]
    lists += [p.name for p in kind.properties if any(t.startswith("LIST<INTEGER") for t in p.types)]
    entries: defaultdict[str, list[str]] = defaultdict(list)
    properties = []
    if scalar or lists:
        query = f"MATCH ()-[r:{quote(kind.name)}]->() WITH r LIMIT $limit RETURN {_map('r', scalar + lists)} AS own"
        for row in store.stream(query, limit=NODES):
            properties.append(_texts(row["own"]))
            for name in lists:
                entries[name].extend(str(entry) for entry in (row["own"].get(name) or [])[:LIST_ENTRIES])
    distinct = {name: tuple(dict.fromkeys(found)) for name, found in entries.items()}
    return RelationshipSample(tuple(properties), distinct, kind.count)


def _scalar_properties(label: Label) -> list[str]:
    return [p.name for p in label.properties if p.types and all(t.startswith(_SCALARS) for t in p.types)]


def _map(variable: str, names: list[str]) -> str:
    return f"{variable} {{{', '.join('.' + quote(name) for name in names)}}}"


def _texts(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the scalars among *properties* as text; long texts identify nothing."""
    return {
        name: str(value)
        for name, value in properties.items()
        if isinstance(value, str | int) and not isinstance(value, bool) and len(str(value)) < 256
    }
