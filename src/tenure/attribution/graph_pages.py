"""Reads a graph in slices: identity boundaries, keyset pages, and linear scans of what has no tenant yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_read import (
    Node,
    Relationship,
    Shapes,
    Sort,
    after_condition,
    chunks,
    untagged,
    untagged_values,
)
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore

SORTS: tuple[Sort, ...] = ("text", "number")


def identity_ranges(store: Neo4jStore, label: str, identity: str, per: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield slices of about *per* nodes by identity, texts first, then numbers: (bounds, nodes).

    Read once, in the order of the identity's index; the last slice of each sort is open, for nodes born later. Nodes
    whose identity is neither text nor number are in none of them.
    """
    name = f"n.{quote(identity)}"
    for sort in SORTS:
        after: Any = None
        while True:
            condition, parameters = after_condition("n", identity, sort, {"after": after})
            found = store.read(
                f"MATCH (n:{quote(label)}) WHERE {condition} WITH {name} AS id ORDER BY id LIMIT $per "
                "RETURN max(id) AS last, count(*) AS nodes",
                per=per,
                **parameters,
            )[0]
            full = found["nodes"] == per and found["last"] != after
            if found["nodes"]:
                yield {"sort": sort, "after": after, "upto": found["last"] if full else None}, found["nodes"]
            if not full:
                break
            after = found["last"]


def node_page(
    store: Neo4jStore, shapes: Shapes, spec: NodeSpec, bounds: dict[str, Any], limit: int
) -> tuple[list[Node], Any]:
    """Return the next *limit* nodes within *bounds* by the order of their identity, and the last identity (or None).

    More than *limit* nodes come back only where several share the last identity: none of them is left behind.
    """
    assert spec.identity is not None
    last = _last(store, spec.label, spec.identity, bounds, limit)
    if last is None:
        return [], None
    condition, parameters = after_condition("n", spec.identity, bounds["sort"], {**bounds, "upto": last})
    rows = store.read(f"MATCH (n:{quote(spec.label)}) WHERE {condition} RETURN {shapes.node('n')} AS n", **parameters)
    return [shapes.to_node(row["n"]) for row in rows], last


def relationship_page(
    store: Neo4jStore,
    shapes: Shapes,
    spec: RelationshipSpec,
    start: NodeSpec,
    bounds: dict[str, Any],
    limit: int,
    *,
    everything: bool = False,
) -> tuple[Iterator[Relationship], Any]:
    """Return a stream of the untagged relationships that start at the next *limit* nodes of *start*, and the last
    identity of these nodes (None: there are no more). *everything* gives the tagged ones too."""
    assert start.identity is not None
    last = _last(store, start.label, start.identity, bounds, limit)
    if last is None:
        return iter(()), None
    condition, parameters = after_condition("a", start.identity, bounds["sort"], {**bounds, "upto": last})
    filtered = "" if everything else f"WHERE {untagged(shapes.graph.key, 'r')} "
    query = (
        f"MATCH (a:{quote(start.label)}) WHERE {condition} MATCH (a)-[r:{quote(spec.type)}]->(b) {filtered}"
        f"RETURN {shapes.relationship(spec, 'r', 'a', 'b')} AS r"
    )
    rows = store.stream(query, **parameters, untagged=untagged_values(shapes.graph.key))
    return shapes.to_relationships(spec, (row["r"] for row in rows)), last


def scan_nodes(
    store: Neo4jStore, shapes: Shapes, spec: NodeSpec, size: int, *, everything: bool = False
) -> Iterator[list[Node]]:
    """Yield all untagged nodes (or all) of a label in pages of *size*, in one linear read."""
    filtered = "" if everything else f"WHERE {untagged(shapes.graph.key, 'n')} "
    query = f"MATCH (n:{quote(spec.label)}) {filtered}RETURN {shapes.node('n')} AS n"
    found = store.stream(query, untagged=untagged_values(shapes.graph.key))
    yield from chunks((shapes.to_node(row["n"]) for row in found), size)


def scan_relationships(
    store: Neo4jStore, shapes: Shapes, spec: RelationshipSpec, size: int, *, everything: bool = False
) -> Iterator[list[Relationship]]:
    """Yield all untagged relationships (or all) of a type in pages of *size*, in one linear read."""
    filtered = "" if everything else f"WHERE {untagged(shapes.graph.key, 'r')} "
    query = f"MATCH (a)-[r:{quote(spec.type)}]->(b) {filtered}RETURN {shapes.relationship(spec, 'r', 'a', 'b')} AS r"
    found = store.stream(query, untagged=untagged_values(shapes.graph.key))
    yield from chunks(shapes.to_relationships(spec, (row["r"] for row in found)), size)


def count_untagged(store: Neo4jStore, shapes: Shapes, spec: NodeSpec | RelationshipSpec) -> int:
    """Return how many nodes of a label, or relationships of a type, have no tenant yet."""
    pattern = f"(x:{quote(spec.label)})" if isinstance(spec, NodeSpec) else f"()-[x:{quote(spec.type)}]->()"
    query = f"MATCH {pattern} WHERE {untagged(shapes.graph.key, 'x')} RETURN count(x) AS n"
    return int(store.read(query, untagged=untagged_values(shapes.graph.key))[0]["n"])


def _last(store: Neo4jStore, label: str, identity: str, bounds: dict[str, Any], limit: int) -> Any:
    condition, parameters = after_condition("n", identity, bounds["sort"], bounds)
    name = f"n.{quote(identity)}"
    return store.read(
        f"MATCH (n:{quote(label)}) WHERE {condition} WITH {name} AS id ORDER BY id LIMIT $limit RETURN max(id) AS last",
        limit=limit,
        **parameters,
    )[0]["last"]
