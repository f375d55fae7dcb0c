"""Writes the tenant key on the nodes of one label: pages of an identity range, written conditionally."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from tenure.attribution.graph import GraphSpec, NodeSpec
from tenure.attribution.graph_bins import count_bins_nodes, decided_nodes
from tenure.attribution.graph_decide import Attributor
from tenure.attribution.graph_pages import count_untagged, identity_ranges, node_page, scan_nodes
from tenure.attribution.graph_read import Node
from tenure.operations.base import Claim, Operation, RangeSpec, Step
from tenure.operations.graph_keys import FIRST_BATCH, KeyWriter, steered
from tenure.operations.graph_text import backfill_text
from tenure.operations.graph_undo import undo_keys
from tenure.operations.key_losses import set_by_application
from tenure.values import Finding, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

NODES_A_RANGE = 50_000


class NodeBackfill(Operation):
    """Sets the key on every node of label `object` that has none, or whose key the playbook has derived anew.

    `graph` is the whole graph's spec (neighbours are decided by it), `prefix` what statements start with.
    """

    kind: ClassVar[str] = "node_backfill"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "neo4j"
    ranged: ClassVar[bool] = True

    graph: GraphSpec
    prefix: str = "CYPHER 5 "

    @property
    def spec(self) -> NodeSpec:
        """How the nodes of this label get their key."""
        return self.graph.node(self.object)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"write {self.graph.key.name} on the nodes with label {self.object}"

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run for a page of rows."""
        return backfill_text(self.graph, self.spec, self.prefix)

    def count(self, ctx: Context) -> int:
        """Return how many nodes will get a key."""
        spec = self.spec
        if not spec.key_exists and spec.rule.policy.unassigned != "keep_null":
            return count_untagged(ctx.neo4j, Attributor(ctx.neo4j, self.graph, ctx.lookups).shapes, spec)
        return count_bins_nodes(ctx.neo4j, self.graph, spec, ctx.lookups, "keys").to_write

    def ranges(self, ctx: Context) -> Iterable[RangeSpec]:
        """Return slices by identity, read once from its index; one scan where the label has no identity."""
        spec = self.spec
        if spec.identity is None:
            yield RangeSpec(bounds={"sort": "scan"}, planned=self.count(ctx))
            return
        for bounds, nodes in identity_ranges(ctx.neo4j, spec.label, spec.identity, NODES_A_RANGE):
            yield RangeSpec(bounds=bounds, planned=nodes)

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        """Decide and write the next page of a range."""
        if claim.bounds["sort"] == "scan":
            changed, seen, _ = self._scan(ctx, everything=self.spec.key_exists)
            return Step(cursor=None, changed=changed, seen=seen)
        cursor = claim.cursor or {"after": claim.bounds["after"], "size": FIRST_BATCH}
        size = int(cursor["size"])
        attributor = Attributor(ctx.neo4j, self.graph, ctx.lookups)
        bounds = {**claim.bounds, "after": cursor["after"]}
        nodes, last = node_page(ctx.neo4j, attributor.shapes, self.spec, bounds, size)
        if last is None:
            return Step(cursor=None, changed=0, seen=0)
        started = time.monotonic()
        changed, _ = self._work(ctx, attributor, nodes)
        size = steered(size, time.monotonic() - started, ctx.limits.batch_ms)
        return Step(cursor={"after": last, "size": size}, changed=changed, seen=len(nodes))

    def sweep(self, ctx: Context) -> Outcome:
        """Write the key on the nodes that have none, wherever they are: born since, or without an identity."""
        changed, seen, kept = self._scan(ctx, everything=False)
        return Outcome(planned=seen - kept, changed=changed, left=self._left(ctx, kept))

    def check(self, ctx: Context) -> Outcome:
        """Return how many nodes have no key that should have one; the note names those that are to be split."""
        spec = self.spec
        if not spec.splits and spec.rule.policy.unassigned != "keep_null":
            return Outcome(left=self._left(ctx, 0))
        bins = count_bins_nodes(ctx.neo4j, self.graph, spec, ctx.lookups, "keys")
        note = ""
        if bins.several:
            some = ", ".join(f"{item!r}" for item, _ in bins.samples["several"][:3])
            note = f"{bins.several} to be split at cutover, such as {some}"
        kept = bins.bins["unassigned"] if spec.rule.policy.unassigned == "keep_null" else 0
        return Outcome(left=self._left(ctx, kept), note=note)

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return a warning with the keys that the application itself set, where undo takes every key away."""
        if self.spec.key_exists:
            return ()
        decided = decided_nodes(ctx.neo4j, self.graph, self.spec, ctx.lookups, "keys")
        mine = (item for item, _, one in decided if one.decision.by_application)
        return set_by_application("neo4j", self.object, mine)

    def undo(self, ctx: Context) -> Outcome:
        """Take the key away where tenure wrote it and put back what was there."""
        return undo_keys(ctx, self, self.graph.key, self.spec)

    def _work(self, ctx: Context, attributor: Attributor, nodes: Sequence[Node]) -> tuple[int, int]:
        """Decide and write a page; return how many were changed and how many stay untagged on purpose."""
        open_ones = nodes if self.spec.key_exists else [n for n in nodes if attributor.is_untagged(n.present)]
        writer = KeyWriter(ctx, self, self.graph, self.spec)
        changes, kept = writer.changes(open_ones, attributor.nodes(self.spec, open_ones))
        return writer.write(changes), kept

    def _scan(self, ctx: Context, *, everything: bool) -> tuple[int, int, int]:
        """Decide and write in one linear read; return changed, seen and kept."""
        attributor = Attributor(ctx.neo4j, self.graph, ctx.lookups)
        changed = seen = kept = 0
        for page in scan_nodes(ctx.neo4j, attributor.shapes, self.spec, FIRST_BATCH, everything=everything):
            ctx.signal.check(self.id)
            done, stay = self._work(ctx, attributor, page)
            changed, seen, kept = changed + done, seen + len(page), kept + stay
        return changed, seen, kept

    def _left(self, ctx: Context, kept: int) -> int:
        shapes = Attributor(ctx.neo4j, self.graph, ctx.lookups).shapes
        return max(0, count_untagged(ctx.neo4j, shapes, self.spec) - kept)
