"""Writes the tenant key on the relationships of one type, page by page of the nodes that they start at."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import count_bins_relationships, decided_relationships
from tenure.attribution.graph_decide import Attributor
from tenure.attribution.graph_pages import (
    count_untagged,
    identity_ranges,
    relationship_page,
    scan_relationships,
)
from tenure.attribution.graph_read import Relationship, chunks
from tenure.operations.base import Claim, Operation, RangeSpec, Step
from tenure.operations.graph_keys import FIRST_BATCH, KeyWriter, steered
from tenure.operations.graph_text import backfill_text
from tenure.operations.graph_undo import undo_keys
from tenure.operations.key_losses import set_by_application
from tenure.values import Finding, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

NODES_A_RANGE = 50_000
START_NODES = 2000


class RelationshipBackfill(Operation):
    """Sets the key on every relationship of type `object` that has none.

    A node with many relationships is read as a stream and written in as many transactions as it takes. `graph` is the
    whole graph's spec (ends are decided by it), `prefix` what statements start with.
    """

    kind: ClassVar[str] = "relationship_backfill"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "neo4j"
    ranged: ClassVar[bool] = True

    graph: GraphSpec
    prefix: str = "CYPHER 5 "

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

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run for a page of rows."""
        return backfill_text(self.graph, self.spec, self.prefix)

    def count(self, ctx: Context) -> int:
        """Return how many relationships will get a key."""
        spec = self.spec
        if not spec.key_exists and spec.rule.policy.unassigned != "keep_null":
            return count_untagged(ctx.neo4j, Attributor(ctx.neo4j, self.graph, ctx.lookups).shapes, spec)
        return count_bins_relationships(ctx.neo4j, self.graph, spec, ctx.lookups, "keys").to_write

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
        cursor = claim.cursor or {"after": claim.bounds["after"], "size": FIRST_BATCH, "nodes": START_NODES}
        size, nodes = int(cursor["size"]), int(cursor["nodes"])
        attributor = Attributor(ctx.neo4j, self.graph, ctx.lookups)
        rows, last = relationship_page(
            ctx.neo4j,
            attributor.shapes,
            self.spec,
            self.graph.node(claim.bounds["label"]),
            {**claim.bounds, "after": cursor["after"]},
            nodes,
            everything=self.spec.key_exists,
        )
        if last is None:
            return Step(cursor=None, changed=0, seen=0)
        changed, seen, size = self._stream(ctx, attributor, rows, size)
        # About one write transaction's worth of relationships a step, so that pausing and progress stay prompt.
        nodes = max(50, min(20_000, nodes * 2 if seen < size else nodes // 2 if seen > 4 * size else nodes))
        return Step(cursor={"after": last, "size": size, "nodes": nodes}, changed=changed, seen=seen)

    def sweep(self, ctx: Context) -> Outcome:
        """Write the key on the relationships that have none, wherever they start."""
        changed, seen, kept = self._scan(ctx, everything=False)
        return Outcome(planned=seen - kept, changed=changed, left=self._left(ctx, kept))

    def check(self, ctx: Context) -> Outcome:
        """Return how many relationships have no key that should have one; the note says how many are to be divided."""
        spec = self.spec
        if not spec.references and spec.rule.policy.unassigned != "keep_null":
            return Outcome(left=self._left(ctx, 0))
        bins = count_bins_relationships(ctx.neo4j, self.graph, spec, ctx.lookups, "keys")
        note = f"{bins.several} to be divided at cutover" if bins.several else ""
        kept = bins.bins["unassigned"] if spec.rule.policy.unassigned == "keep_null" else 0
        return Outcome(left=self._left(ctx, kept), note=note)

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return a warning with the keys that the application itself set, where undo takes every key away."""
        if self.spec.key_exists:
            return ()
        decided = decided_relationships(ctx.neo4j, self.graph, self.spec, ctx.lookups, "keys")
        mine = (item for item, _, one in decided if one.decision.by_application)
        return set_by_application("neo4j", self.object, mine)

    def undo(self, ctx: Context) -> Outcome:
        """Take the key away where tenure wrote it and put back what was there."""
        return undo_keys(ctx, self, self.graph.key, self.spec)

    def _starts(self) -> list[NodeSpec]:
        """Return the specs of the start labels that can be paged."""
        return [s for s in self.graph.nodes if s.label in self.spec.start_labels and s.identity is not None]

    def _stream(
        self, ctx: Context, attributor: Attributor, rows: Iterator[Relationship], size: int
    ) -> tuple[int, int, int]:
        """Decide and write a stream in batches; return changed, seen and the size for the next batch."""
        changed = seen = 0
        while page := next(chunks(rows, size), None):
            ctx.signal.check(self.id)
            started = time.monotonic()
            done, _ = self._work(ctx, attributor, page)
            changed, seen = changed + done, seen + len(page)
            if len(page) == size:
                size = steered(size, time.monotonic() - started, ctx.limits.batch_ms)
        return changed, seen, size

    def _work(self, ctx: Context, attributor: Attributor, rows: Sequence[Relationship]) -> tuple[int, int]:
        """Decide and write a page; return how many were changed and how many stay untagged on purpose."""
        writer = KeyWriter(ctx, self, self.graph, self.spec)
        changes, kept = writer.changes(rows, attributor.relationships(self.spec, rows))
        return writer.write(changes), kept

    def _scan(self, ctx: Context, *, everything: bool) -> tuple[int, int, int]:
        """Decide and write in one linear read; return changed, seen and kept."""
        attributor = Attributor(ctx.neo4j, self.graph, ctx.lookups)
        changed = seen = kept = 0
        for page in scan_relationships(ctx.neo4j, attributor.shapes, self.spec, FIRST_BATCH, everything=everything):
            ctx.signal.check(self.id)
            done, stay = self._work(ctx, attributor, page)
            changed, seen, kept = changed + done, seen + len(page), kept + stay
        return changed, seen, kept

    def _left(self, ctx: Context, kept: int) -> int:
        shapes = Attributor(ctx.neo4j, self.graph, ctx.lookups).shapes
        return max(0, count_untagged(ctx.neo4j, shapes, self.spec) - kept)
