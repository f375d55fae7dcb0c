"""What the backfills of nodes and of relationships have in common: decide a page, write it, sweep, count, undo."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import GraphBins
from tenure.attribution.graph_decide import Attributor
from tenure.attribution.graph_pages import count_untagged
from tenure.attribution.graph_read import Shapes
from tenure.attribution.graph_values import Decided
from tenure.operations.base import Operation
from tenure.operations.graph_keys import LARGEST_BATCH, LEAST_BATCH, KeyWriter
from tenure.operations.graph_text import backfill_text
from tenure.operations.graph_undo import undo_keys
from tenure.operations.key_losses import set_by_application
from tenure.values import Finding, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class GraphBackfill(Operation):
    """Sets the key on the items of one label or type that have none, or whose key the playbook has derived anew.

    `graph` is the whole graph's spec (neighbours and ends are decided by it), `prefix` what statements start with.
    """

    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "neo4j"
    ranged: ClassVar[bool] = True

    graph: GraphSpec
    prefix: str = "CYPHER 5 "

    @property
    @abstractmethod
    def spec(self) -> NodeSpec | RelationshipSpec:
        """How the items get their key."""

    @abstractmethod
    def bins(self, ctx: Context) -> GraphBins:
        """Return what all items come to by the keys that are there; a pass over all of them."""

    @abstractmethod
    def decided(self, ctx: Context) -> Iterator[tuple[Any, Any, Decided]]:
        """Yield every item with how to name it and what it comes to by the keys that are there."""

    @abstractmethod
    def _pages(self, ctx: Context, attributor: Attributor, *, everything: bool) -> Iterator[Sequence[Any]]:
        """Yield the untagged items (or all) in pages, in one linear read."""

    @abstractmethod
    def _decide(self, attributor: Attributor, items: Sequence[Any]) -> tuple[Sequence[Any], list[Decided]]:
        """Return the items of a page that are to be decided, and their decisions."""

    @property
    @abstractmethod
    def _may_be_several(self) -> bool:
        """Whether an item may belong to several tenants until cutover."""

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run for a page of rows."""
        return backfill_text(self.graph, self.spec, self.prefix)

    def count(self, ctx: Context) -> int:
        """Return how many items will get a key."""
        if not self.spec.key_exists and not self._keeps_null:
            return count_untagged(ctx.neo4j, Shapes(self.graph), self.spec)
        return self.bins(ctx).to_write

    def sweep(self, ctx: Context) -> Outcome:
        """Write the key on the items that have none, wherever they are: born since, or in none of the ranges."""
        changed, seen, kept = self._scan(ctx, everything=False)
        # A pass that met nothing untagged has counted already.
        return Outcome(planned=seen - kept, changed=changed, left=self._left(ctx, kept) if seen else 0)

    def check(self, ctx: Context) -> Outcome:
        """Return how many items have no key that should have one; the note says what waits for cutover."""
        if not self._may_be_several and not self._keeps_null:
            return Outcome(left=self._left(ctx, 0))
        bins = self.bins(ctx)
        kept = bins.bins["unassigned"] if self._keeps_null else 0
        return Outcome(left=self._left(ctx, kept), note=self._several(bins) if bins.several else "")

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return a warning with the keys that the application itself set, where undo takes every key away."""
        if self.spec.key_exists:
            return ()
        mine = (item for item, _, one in self.decided(ctx) if one.decision.by_application)
        return set_by_application("neo4j", self.object, mine)

    def undo(self, ctx: Context) -> Outcome:
        """Take the key away where tenure wrote it and put back what was there."""
        return undo_keys(ctx, self, self.graph.key, self.spec)

    @abstractmethod
    def _several(self, bins: GraphBins) -> str:
        """Return what to say of the items that belong to several tenants."""

    @property
    def _keeps_null(self) -> bool:
        return self.spec.rule.policy.unassigned == "keep_null"

    def _size(self, ctx: Context, first: int) -> int:
        """Return how many items the next batch may have; *first* is the size of the first one."""
        size = ctx.pace.size(self.id, start=first, least=min(first, LEAST_BATCH), most=LARGEST_BATCH)
        return min(LARGEST_BATCH, size)  # the pace of what is written plainly goes further

    def _work(self, ctx: Context, attributor: Attributor, items: Sequence[Any]) -> tuple[int, int]:
        """Decide and write a page; return how many were changed and how many stay untagged on purpose."""
        writer = KeyWriter(ctx, self, self.graph, self.spec)
        changes, kept = writer.changes(*self._decide(attributor, items))
        return writer.write(changes), kept

    def _scan(self, ctx: Context, *, everything: bool) -> tuple[int, int, int]:
        """Decide and write in one linear read; return changed, seen and kept."""
        attributor = Attributor(ctx.neo4j, self.graph, ctx.lookups)
        changed = seen = kept = 0
        for page in self._pages(ctx, attributor, everything=everything):
            ctx.signal.check(self.id)
            done, stay = self._work(ctx, attributor, page)
            changed, seen, kept = changed + done, seen + len(page), kept + stay
        return changed, seen, kept

    def _left(self, ctx: Context, kept: int) -> int:
        return max(0, count_untagged(ctx.neo4j, Shapes(self.graph), self.spec) - kept)
