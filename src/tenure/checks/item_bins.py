"""What nodes, relationships and points come to, decided in one pass per object; shared by the bins checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import GraphBins, decided_nodes, decided_relationships
from tenure.attribution.graph_memory import Memory
from tenure.attribution.items import as_text
from tenure.attribution.points import Decided as DecidedPoint
from tenure.attribution.points import PointCounts, PointSpec, RowsExist, count_bins_points
from tenure.attribution.resolve import Decision
from tenure.checks.base import View
from tenure.checks.row_bins import SHARED, end_of
from tenure.checks.view import resolving


@dataclass
class GraphCounts:
    """The bins of one label or type, and where its items end as the matrix writes it."""

    bins: GraphBins = field(default_factory=GraphBins)
    ends: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class CollectionCounts:
    """The bins of one collection, and where its points end as the matrix writes it."""

    points: PointCounts
    ends: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)


# Reasons name values: a store full of unknown ones must not fill the process.
REASONS = 200


def graph_counts(view: View) -> dict[str, GraphCounts]:
    """Return what every keyed label and type comes to, by its name in reports; decided once for a view."""

    def make() -> dict[str, GraphCounts]:
        with Memory() as memory:
            return {name: _graph(view, spec, memory) for name, spec in graph_objects(view)}

    return view.once("graph_counts", make)


def point_counts(view: View) -> dict[str, CollectionCounts]:
    """Return what every keyed collection comes to; decided once for a view."""
    return view.once("point_counts", lambda: {spec.collection: _points(view, spec) for spec in view.points.specs})


def graph_objects(view: View) -> Iterator[tuple[str, NodeSpec | RelationshipSpec]]:
    """Yield keyed labels and types that exist, with their names; a type that is called like a label gets a colon."""
    spec = view.graph.spec
    if spec is None or view.neo4j is None:
        return
    for node in spec.nodes:
        yield node.label, node
    labels = {node.label for node in spec.nodes}
    for edge in spec.relationships:
        yield (f":{edge.type}" if edge.type in labels else edge.type), edge


def _graph(view: View, spec: NodeSpec | RelationshipSpec, memory: Memory) -> GraphCounts:
    found = GraphCounts()
    graph, store = view.graph.spec, view.neo4j
    assert graph is not None
    assert store is not None
    keeps_null = spec.rule.policy.unassigned == "keep_null"
    items = (
        decided_nodes(store, graph, spec, view.lookups, view.mode, memory)
        if isinstance(spec, NodeSpec)
        else decided_relationships(store, graph, spec, view.lookups, view.mode, memory)
    )
    for name, item, decided in items:
        found.bins.add(name, item.present, decided)
        found.ends[_end(view, decided.decision, item.present, keeps_null)] += 1
        _note(found.reasons, decided.decision.bin, decided.decision.reason)
    return found


def _points(view: View, spec: PointSpec) -> CollectionCounts:
    assert view.qdrant is not None
    keeps_null = spec.rule.policy.unassigned == "keep_null"
    ends: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()

    def each(one: DecidedPoint) -> None:
        if one.stale:
            ends[end_of(view, view.key.quarantine, "quarantine")] += 1
            return
        ends[_end(view, one.decision, one.write if one.write is not None else one.present, keeps_null)] += 1
        _note(reasons, one.decision.bin, one.reason)

    rows_exist = RowsExist(view.postgres.connection)
    with resolving(view, spec.collection) as resolve:
        counts = count_bins_points(view.qdrant, spec, view.lookups, rows_exist, each=each, resolve=resolve)
    return CollectionCounts(counts, ends, reasons)


def _end(view: View, decision: Decision, present: object, keeps_null: bool) -> str:
    """Return where an item ends: by what is written, else by what stays."""
    if decision.write is not None:
        return end_of(view, decision.write, decision.bin)
    # A conflict that the first answer decides, and whose key is there already, is none any more.
    if decision.bin == "unassigned" or decision.undecided:
        if decision.bin == "unassigned" and keeps_null:
            return SHARED
        return end_of(view, None, decision.bin)
    if decision.bin == "quarantine":
        return end_of(view, view.key.quarantine, decision.bin)
    if decision.bin == "shared":
        return SHARED
    return end_of(view, as_text(present) if present is not None else None, decision.bin)


def _note(reasons: Counter[tuple[str, str]], bin_: str, reason: str) -> None:
    if bin_ != "assigned" and ((bin_, reason) in reasons or len(reasons) < REASONS):
        reasons[bin_, reason] += 1
