"""Writes the tenant key on the nodes of one label: pages of an identity range, written conditionally."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tenure.attribution.graph import NodeSpec
from tenure.attribution.graph_bins import GraphBins, count_bins_nodes, decided_nodes
from tenure.attribution.graph_decide import CHUNK, Attributor
from tenure.attribution.graph_pages import identity_ranges, node_page, scan_nodes
from tenure.attribution.graph_read import Node, chunks
from tenure.attribution.graph_values import Decided
from tenure.operations.base import Claim, RangeSpec, Step
from tenure.operations.graph_backfill import GraphBackfill
from tenure.operations.graph_keys import FIRST_BATCH, LARGEST_BATCH
from tenure.operations.graph_plain import PlainWriter, plain_property

if TYPE_CHECKING:
    from tenure.runner.context import Context

NODES_A_RANGE = 20_000


class NodeBackfill(GraphBackfill):
    """Sets the key on every node of label `object` that has none, or whose key the playbook has derived anew."""

    kind: ClassVar[str] = "node_backfill"

    @property
    def spec(self) -> NodeSpec:
        """How the nodes of this label get their key."""
        return self.graph.node(self.object)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"write {self.graph.key.name} on the nodes with label {self.object}"

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
        cursor = claim.cursor or {"after": claim.bounds["after"]}
        bounds = {**claim.bounds, "after": cursor["after"]}
        property = plain_property(self.spec)
        if property is None:
            return self._one_by_one(ctx, bounds, self._size(ctx, FIRST_BATCH))
        page = PlainWriter(ctx, self, self.graph).nodes(self.spec, bounds, property)
        if page.last is None:
            return Step(cursor=None, changed=0, seen=0)
        rest = self._one_by_one(ctx, {**bounds, "upto": page.last}, page.seen).changed if page.rest else 0
        return Step(cursor={"after": page.last}, changed=page.changed + rest, seen=page.seen)

    def _one_by_one(self, ctx: Context, bounds: dict[str, Any], size: int) -> Step:
        """Decide and write the next *size* nodes within *bounds*."""
        attributor = Attributor(ctx.neo4j, self.graph, ctx.lookups)
        nodes, last = node_page(ctx.neo4j, attributor.shapes, self.spec, bounds, size)
        if last is None:
            return Step(cursor=None, changed=0, seen=0)
        changed = 0
        for part in chunks(nodes, LARGEST_BATCH):
            with ctx.pace.timed(self.id, len(part)):
                changed += self._work(ctx, attributor, part)[0]
        return Step(cursor={"after": last}, changed=changed, seen=len(nodes))

    def bins(self, ctx: Context) -> GraphBins:
        """Return what the nodes come to by the keys that are there."""
        return count_bins_nodes(ctx.neo4j, self.graph, self.spec, ctx.lookups, "keys")

    def decided(self, ctx: Context) -> Iterator[tuple[Any, Node, Decided]]:
        """Yield every node with its identity and what it comes to by the keys that are there."""
        return decided_nodes(ctx.neo4j, self.graph, self.spec, ctx.lookups, "keys")

    def _pages(self, ctx: Context, attributor: Attributor, *, everything: bool) -> Iterator[Sequence[Node]]:
        return scan_nodes(ctx.neo4j, attributor.shapes, self.spec, CHUNK, everything=everything)

    def _decide(self, attributor: Attributor, items: Sequence[Node]) -> tuple[Sequence[Node], list[Decided]]:
        open_ones = items if self.spec.key_exists else [n for n in items if attributor.is_untagged(n.present)]
        return open_ones, attributor.nodes(self.spec, open_ones)

    @property
    def _may_be_several(self) -> bool:
        return self.spec.splits

    def _several(self, bins: GraphBins) -> str:
        some = ", ".join(f"{item!r}" for item, _ in bins.samples["several"][:3])
        return f"{bins.several} to be split at cutover, such as {some}"
