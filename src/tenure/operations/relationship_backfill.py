"""Writes the tenant key on the relationships of one type, page by page of the nodes that they start at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import GraphBins, count_bins_relationships, decided_relationships
from tenure.attribution.graph_decide import CHUNK, Attributor
from tenure.attribution.graph_pages import identity_ranges, relationship_page, scan_relationships
from tenure.attribution.graph_read import Relationship, chunks
from tenure.attribution.graph_values import Decided
from tenure.operations.base import Claim, RangeSpec, Step
from tenure.operations.graph_backfill import GraphBackfill
from tenure.operations.graph_keys import FIRST_BATCH
from tenure.operations.graph_plain import PlainWriter, plain_ends

if TYPE_CHECKING:
    from tenure.runner.context import Context

NODES_A_RANGE = 20_000
START_NODES, FEWEST_NODES, MOST_NODES = 5000, 50, 20_000


class RelationshipBackfill(GraphBackfill):
    """Sets the key on every relationship of type `object` that has none.

    A node with many relationships is read as a stream and written in as many transactions as it takes.
    """

    kind: ClassVar[str] = "relationship_backfill"

    @property
    def spec(self) -> RelationshipSpec:
        """How the relationships of this type get their key. Errors: KeyError."""
        spec = self.graph.relationship(self.object)
        if spec is None:
            raise KeyError(self.object)
        return spec

    def describe(self) -> str:
        """Return one line for a person."""
        return f"write {self.graph.key.name} on the relationships of type {self.object}"

    def ranges(self, ctx: Context) -> Iterable[RangeSpec]:
        """Return slices by the identity of the start nodes, for each label they may have; else one scan.

        What starts at a node without such a label or identity is left to the sweep.
        """
        starts = self._starts()
        if not starts:
            yield RangeSpec(bounds={"sort": "scan"}, planned=self.count(ctx))
        for spec in starts:
            assert spec.identity is not None
            for bounds, nodes in identity_ranges(ctx.neo4j, spec.label, spec.identity, NODES_A_RANGE):
                yield RangeSpec(bounds={"label": spec.label, **bounds}, planned=nodes)

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        """Decide and write the relationships of the next start nodes; a repeat skips those that have a key."""
        if claim.bounds["sort"] == "scan":
            changed, seen, _ = self._scan(ctx, everything=self.spec.key_exists)
            return Step(cursor=None, changed=changed, seen=seen)
        cursor = claim.cursor or {"after": claim.bounds["after"], "nodes": START_NODES}
        nodes = int(cursor["nodes"])
        if plain_ends(self.spec):
            start = self.graph.node(claim.bounds["label"])
            bounds = {**claim.bounds, "after": cursor["after"]}
            page, fitting = PlainWriter(ctx, self, self.graph).relationships(self.spec, start, bounds, nodes)
            if page.last is None:
                return Step(cursor=None, changed=0, seen=0)
            if fitting >= FEWEST_NODES:
                return Step(cursor={**cursor, "nodes": fitting}, changed=0, seen=0)
            # Where even few nodes have too many relationships, they are read as a stream.
            if not (page.rest or fitting):
                return Step(
                    cursor={"after": page.last, "nodes": self._nodes(ctx, nodes, page.seen)},
                    changed=page.changed,
                    seen=page.seen,
                )
            # The same nodes again, one relationship at a time, up to where the plain ones were written.
            step = self._one_by_one(ctx, {**claim.bounds, "upto": page.last}, cursor["after"], nodes)
            return step.model_copy(update={"changed": step.changed + page.changed, "seen": step.seen + page.changed})
        return self._one_by_one(ctx, claim.bounds, cursor["after"], nodes)

    def _one_by_one(self, ctx: Context, bounds: Mapping[str, Any], after: Any, nodes: int) -> Step:
        """Decide and write the relationships that start at the next *nodes* nodes within *bounds*."""
        attributor = Attributor(ctx.neo4j, self.graph, ctx.lookups)
        rows, last = relationship_page(
            ctx.neo4j,
            attributor.shapes,
            self.spec,
            self.graph.node(bounds["label"]),
            {**bounds, "after": after},
            nodes,
            everything=self.spec.key_exists,
        )
        if last is None:
            return Step(cursor=None, changed=0, seen=0)
        changed, seen = self._stream(ctx, attributor, rows)
        return Step(cursor={"after": last, "nodes": self._nodes(ctx, nodes, seen)}, changed=changed, seen=seen)

    def _nodes(self, ctx: Context, nodes: int, seen: int) -> int:
        """Return how many start nodes the next page may have: about one write transaction's worth of relationships a
        step, so that pausing and progress stay prompt."""
        size = self._size(ctx, FIRST_BATCH)
        wanted = nodes * 2 if seen < size else nodes // 2 if seen > 4 * size else nodes
        return max(FEWEST_NODES, min(MOST_NODES, wanted))

    def bins(self, ctx: Context) -> GraphBins:
        """Return what the relationships come to by the keys that are there."""
        return count_bins_relationships(ctx.neo4j, self.graph, self.spec, ctx.lookups, "keys")

    def decided(self, ctx: Context) -> Iterator[tuple[Any, Relationship, Decided]]:
        """Yield every relationship with its ends and what it comes to by the keys that are there."""
        return decided_relationships(ctx.neo4j, self.graph, self.spec, ctx.lookups, "keys")

    def _starts(self) -> list[NodeSpec]:
        """Return the specs of the start labels that can be paged."""
        return [s for s in self.graph.nodes if s.label in self.spec.start_labels and s.identity is not None]

    def _stream(self, ctx: Context, attributor: Attributor, rows: Iterator[Relationship]) -> tuple[int, int]:
        """Decide and write a stream in batches; return changed and seen."""
        changed = seen = 0
        while page := next(chunks(rows, self._size(ctx, FIRST_BATCH)), None):
            ctx.signal.check(self.id)
            with ctx.pace.timed(self.id, len(page)):
                done, _ = self._work(ctx, attributor, page)
            changed, seen = changed + done, seen + len(page)
        return changed, seen

    def _pages(self, ctx: Context, attributor: Attributor, *, everything: bool) -> Iterator[Sequence[Relationship]]:
        return scan_relationships(ctx.neo4j, attributor.shapes, self.spec, CHUNK, everything=everything)

    def _decide(
        self, attributor: Attributor, items: Sequence[Relationship]
    ) -> tuple[Sequence[Relationship], list[Decided]]:
        return items, attributor.relationships(self.spec, items)

    @property
    def _may_be_several(self) -> bool:
        return bool(self.spec.references)

    def _several(self, bins: GraphBins) -> str:
        return f"{bins.several} to be divided at cutover"
