"""Counts the bins of nodes and relationships in one linear read, with samples of what a person has to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_decide import CHUNK, Attributor, Mode
from tenure.attribution.graph_memory import Memory
from tenure.attribution.graph_pages import scan_nodes, scan_relationships
from tenure.attribution.graph_read import Node, Relationship
from tenure.attribution.graph_values import Decided

if TYPE_CHECKING:
    from tenure.attribution.items import Lookups
    from tenure.stores.neo4j import Neo4jStore

SAMPLE = 20


@dataclass(slots=True)
class GraphBins:
    """What the items of one label or type come to.

    `bins` counts every item once; `tenants` those assigned, by tenant; `by_application` those whose key no source
    knows; `to_write` those whose key is still to be written; `several` those to be split (nodes) or divided
    (relationships). `samples` has up to 20 (item, reason) for each bin but *assigned*, and for ``several``, where the
    reason is the list of tenants.
    """

    total: int = 0
    bins: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)
    by_application: int = 0
    to_write: int = 0
    several: int = 0
    samples: dict[str, list[tuple[Any, str]]] = field(default_factory=dict)

    def add(self, item: Any, present: Any, decided: Decided) -> None:
        """Count one item; *item* is how a person finds it again."""
        decision = decided.decision
        self.total += 1
        self.bins[decision.bin] += 1
        self.by_application += decision.by_application
        self.to_write += decision.write is not None
        if decision.bin == "assigned":
            self.tenants[decision.write if decision.write is not None else str(present)] += 1
        else:
            self._sample(decision.bin, item, decision.reason)
        if decided.tenants:
            self.several += 1
            self._sample("several", item, ", ".join(decided.tenants))

    def _sample(self, name: str, item: Any, reason: str) -> None:
        listed = self.samples.setdefault(name, [])
        if len(listed) < SAMPLE:
            listed.append((item, reason))


def decided_nodes(
    store: Neo4jStore, graph: GraphSpec, spec: NodeSpec, lookups: Lookups, mode: Mode, memory: Memory | None = None
) -> Iterator[tuple[Any, Node, Decided]]:
    """Yield every node of a label with how to name it and what it comes to; a page in memory at a time.

    *memory* is for passes over several labels and types during which nothing is written.
    """
    attributor = Attributor(store, graph, lookups, mode, memory)
    for page in scan_nodes(store, attributor.shapes, spec, CHUNK, everything=True):
        for node, decided in zip(page, attributor.standing(spec, page), strict=True):
            yield node_item(spec, node), node, decided


def decided_relationships(
    store: Neo4jStore,
    graph: GraphSpec,
    spec: RelationshipSpec,
    lookups: Lookups,
    mode: Mode,
    memory: Memory | None = None,
) -> Iterator[tuple[Any, Relationship, Decided]]:
    """Yield every relationship of a type with how to name it and what it comes to; as `decided_nodes`."""
    attributor = Attributor(store, graph, lookups, mode, memory)
    for page in scan_relationships(store, attributor.shapes, spec, CHUNK, everything=True):
        for row, decided in zip(page, attributor.relationships(spec, page), strict=True):
            yield relationship_item(graph, row), row, decided


def count_bins_nodes(
    store: Neo4jStore, graph: GraphSpec, spec: NodeSpec, lookups: Lookups, mode: Mode = "keys"
) -> GraphBins:
    """Count what the nodes of a label come to. *mode* "sources" is for before anything is written, "keys" for after."""
    counts = GraphBins()
    with Memory() as memory:
        for item, node, decided in decided_nodes(store, graph, spec, lookups, mode, memory):
            counts.add(item, node.present, decided)
    return counts


def count_bins_relationships(
    store: Neo4jStore, graph: GraphSpec, spec: RelationshipSpec, lookups: Lookups, mode: Mode = "keys"
) -> GraphBins:
    """Count what the relationships of a type come to; *mode* as for nodes."""
    counts = GraphBins()
    with Memory() as memory:
        for item, row, decided in decided_relationships(store, graph, spec, lookups, mode, memory):
            counts.add(item, row.present, decided)
    return counts


def node_item(spec: NodeSpec, node: Node) -> Any:
    """Return the identity of a node as JSON has it, or None where it has none that JSON could hold."""
    value = node.fields.get(spec.identity) if spec.identity else None
    return value if isinstance(value, str | int | float) else None


def relationship_item(graph: GraphSpec, row: Relationship) -> dict[str, Any]:
    """Return the ends of a relationship, each as {label, identity property, value}, for people and for the journal."""
    return {"start": end_item(graph, row.start), "end": end_item(graph, row.end)}


def end_item(graph: GraphSpec, node: Node) -> dict[str, Any] | None:
    """Return how one end is found again, or None where it cannot be."""
    if node.kind < 0:
        return None
    spec = graph.nodes[node.kind]
    value = node_item(spec, node)
    return {"label": spec.label, "property": spec.identity, "value": value} if value is not None else None
