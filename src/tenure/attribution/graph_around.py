"""Reads what is around nodes, in pages: the nodes at the other ends, their relationships, and what lists name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tenure.attribution.graph import GraphSpec, Reference, RelationshipSpec
from tenure.attribution.graph_read import Node, Relationship, Shapes, chunks, key_value
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore

Mode = Literal["keys", "sources"]
CHUNK = 2000
NO_KEY = "\x00"
"""What no key can be."""


class Neighbour(NamedTuple):
    """The node at the other end of *times* relationships of the node `of`; `barred` where these are quarantined."""

    of: str
    node: Node
    barred: bool
    times: int


class Around:
    """Asks one graph about the surroundings of nodes that are known by their elements."""

    def __init__(self, store: Neo4jStore, graph: GraphSpec, shapes: Shapes, mode: Mode, bars: bool = True) -> None:
        """Read from *store*; in *mode* "keys" what tells a neighbour's tenant is its key, but where it is split.

        Without *bars* no relationship counts as quarantined.
        """
        self._store = store
        self._graph = graph
        self._shapes = shapes
        self._mode = mode
        self._barred = key_value(graph.key, graph.key.quarantine) if bars else NO_KEY

    def is_barred(self, row: Relationship, element: str) -> bool:
        """Return whether a relationship is quarantined for another reason than that its end *element* is.

        Those of a quarantined node say what they said before: what it was decided by has to be seen again.
        """
        asking = row.start if row.start.element == element else row.end
        return bool(row.present == self._barred and asking.present != self._barred)

    def neighbours(self, type: str, elements: Sequence[str]) -> Iterator[list[Neighbour]]:
        """Yield the nodes at the other ends of relationships; those that are told by their key the server counts."""
        shapes = self._shapes
        if self._mode == "keys":
            whole = [str(number) for number, spec in enumerate(self._graph.nodes) if spec.splits]
            detail = f"CASE WHEN kind IN [{', '.join(whole)}] THEN {shapes.node('m')} END"
        else:
            detail = shapes.node("m")
        name = quote(self._graph.key.name)
        query = (
            f"UNWIND $elements AS e MATCH (n)-[r:{quote(type)}]-(m) WHERE elementId(n) = e AND m <> n "
            f"WITH e, m, {shapes.kind('m')} AS kind, "
            f"r.{name} = $quarantine AND coalesce(n.{name} <> $quarantine, true) AS barred "
            f"RETURN e, kind, barred, m.{name} AS present, {detail} AS node, count(*) AS times"
        )
        for rows in chunks(self._store.stream(query, elements=list(elements), quarantine=self._barred), CHUNK):
            yield [Neighbour(row["e"], self._other(row), bool(row["barred"]), row["times"]) for row in rows]

    def relationships(
        self, spec: RelationshipSpec, elements: Sequence[str]
    ) -> Iterator[list[tuple[str, Relationship]]]:
        """Yield the relationships of nodes one by one, each with the element that it was asked for."""
        query = (
            f"UNWIND $elements AS e MATCH (n)-[r:{quote(spec.type)}]-(m) WHERE elementId(n) = e AND m <> n "
            f"WITH e, r, startNode(r) AS s, endNode(r) AS t "
            f"RETURN e, {self._shapes.relationship(spec, 'r', 's', 't')} AS r"
        )
        for rows in chunks(self._store.stream(query, elements=list(elements)), CHUNK):
            found = self._shapes.to_relationships(spec, (row["r"] for row in rows))
            yield [(row["e"], one) for row, one in zip(rows, found, strict=True)]

    def named(self, reference: Reference, entries: Iterable[Any]) -> Iterator[list[tuple[Any, Node]]]:
        """Yield the nodes that entries of a reference list name, each with its entry."""
        query = (
            f"UNWIND $entries AS entry MATCH (m:{quote(reference.label)}) "
            f"WHERE m.{quote(reference.identity)} = entry RETURN entry, {self._shapes.node('m')} AS node"
        )
        for part in chunks(entries, CHUNK):
            yield [(row["entry"], self._shapes.to_node(row["node"])) for row in self._store.read(query, entries=part)]

    def _other(self, row: dict[str, Any]) -> Node:
        if row["node"] is not None:
            return self._shapes.to_node(row["node"])
        # No element to go by: nodes with the same kind and key are one and the same here.
        return Node(f"{row['kind']} {row['present']!r}", row["kind"], row["present"])
