"""Writes the tenant key on the points of a collection: windows of ids, grouped by tenant, only where it is missing.

A window is read by id without vectors, decided, and written as few large operations; the cursor moves to the next
window only after the store said `completed`. Every write is conditional, so a window may be written again after a
crash, and neither deleted points nor keys that the application wrote meanwhile are touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from tenure.attribution.points import (
    Decided,
    PointSpec,
    Resolve,
    RowsExist,
    count_bins_points,
    decide_points,
    untagged_filter,
)
from tenure.operations import payload_writes as writes
from tenure.operations.ahead import one_ahead
from tenure.operations.base import Claim, Operation, RangeSpec, Step
from tenure.operations.key_losses import set_by_application
from tenure.operations.payload_plain import plain_points
from tenure.operations.point_map import Renamed
from tenure.operations.read_ahead import ahead, take
from tenure.operations.switched import copy_of, switch_of
from tenure.stores.qdrant import Page, PointId, path
from tenure.values import Finding, Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context
    from tenure.stores.qdrant_alone import Mark

# Measured on 1.18.3 with 128 dimensions on 2 cores: what the optimizer re-indexes a second after the writes.
REINDEXED_A_SECOND = 1500
# Windows hold ids and keys only; a large one gives few, large operations, a small one loses little in a crash.
WINDOW, LARGEST_WINDOW = 40_000, 100_000
# The first is read while nothing is written yet: it is small, and each after it twice as large.
FIRST_WINDOW = 5000
LONGEST_WINDOW_S = 10.0
SWEEPS = 20
GREEN_SECONDS = 20.0
# A writer that indexes a point before it commits the row makes a point that only looks stale: ask again after this.
STALE_PATIENCE_S = 1.0
BASELINE = "qdrant keys"

Place = tuple[PointId | None, int]
"""Where a window starts and how many points it has."""


class Window(NamedTuple):
    """What is to be written of some points, those that no row knows (yet), and where the next window starts; `mark` is
    our last update before they were read."""

    pending: writes.Pending
    stale: list[Decided]
    seen: int
    next: PointId | None
    read_at: float
    mark: Mark | None


class SetPayload(Operation):
    """Sets the tenant key on every point whose sources name a tenant, or whose bin the playbook gives a key."""

    kind: ClassVar[str] = "set_payload"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "qdrant"
    volatile: ClassVar[frozenset[str]] = frozenset({"planned", "points"})
    ranged: ClassVar[bool] = True

    spec: PointSpec
    points: int = 0
    hazards: tuple[Hazard, ...] = (Hazard.REINDEXES_VECTORS,)

    @property
    def collection(self) -> str:
        """The collection."""
        return self.spec.collection

    def describe(self) -> str:
        """Return one line for a person, with the bill that comes after the writes."""
        minutes = max(1, round(self.points / REINDEXED_A_SECOND / 60))
        return (
            f"set {self.spec.key.name} on the untagged of the {self.points:,} points of collection {self.collection}; "
            f"re-indexing their vectors afterwards takes in the order of {minutes} min"
        )

    def statements(self) -> tuple[str, ...]:
        """Return the Python a DBA would run; `client` is a QdrantClient, `tenant_of` gives the tenants of a page."""
        return (writes.script(self.spec),)

    def count(self, ctx: Context) -> int:
        """Return the exact number of points to write; keeps what the keys looked like before the first write."""
        fresh = self._all_of_them(ctx)
        if fresh is not None:
            ctx.ledger.keep_baseline(BASELINE, self.collection, {"points": fresh, "keyed": 0})
            return fresh
        counts = count_bins_points(
            ctx.qdrant, self.spec, ctx.lookups, RowsExist(ctx.postgres.connection), sample=0, drift=False
        )
        body = {"points": counts.total, "keyed": counts.keyed, "states": {str(k): n for k, n in counts.states.items()}}
        ctx.ledger.keep_baseline(BASELINE, self.collection, body)
        return counts.to_write

    def _all_of_them(self, ctx: Context) -> int | None:
        """Return the number of points where every single one is to be written, else None.

        Where no point has any key the store can tell that in milliseconds, and reading all of them tells no more. A
        point that cannot be decided is one that should be written all the same, unless it may stay without a key.
        """
        if self.spec.rule.policy.unassigned == "keep_null":
            return None
        total = ctx.qdrant.count(self.collection)
        empty = {"is_empty": {"key": path(self.spec.key.name)}}
        return None if ctx.qdrant.count(self.collection, {"must_not": [empty]}) else total

    def ranges(self, ctx: Context) -> Iterable[RangeSpec]:
        """Return one range: more writers to one collection were measured to be no faster."""
        yield RangeSpec(bounds={"collection": self.collection}, planned=self.planned or 0)

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        """Write the next window of ids; the one after it is read and decided while the store applies this one."""
        cursor = dict(claim.cursor or {})
        request = int(cursor.get("request", writes.IDS))
        place: Place = cursor.get("offset"), int(cursor.get("window", min(FIRST_WINDOW, WINDOW)))
        who = f"{self.id} {claim.number}"
        # Taken while no write of ours is under way, and before anything is read.
        mark = ctx.qdrant.mark(self.collection)
        window = take(ctx, who, place, partial(self._window, ctx, *place, mark))
        after = window.next, self._wider(place[1], window.pending, float(cursor.get("spent", 0.0)))
        if window.next is not None and not ctx.qdrant.local:
            ahead(ctx, who, after, partial(self._window, ctx, *after, mark))
        pending = window.pending
        pending.add(self._asked_again(ctx, window.stale, since=window.read_at))
        started = time.monotonic()
        disturbed = window.mark is None or bool(cursor.get("disturbed"))
        sent = self._write(ctx, pending, request, window.mark, disturbed=disturbed)
        if window.next is None:
            return Step(cursor=None, changed=sent.changed, seen=window.seen)
        spent = time.monotonic() - started
        if pending.points:
            took = sent.seconds / max(1, pending.points / request)
            request = writes.steered(request, took, ctx.limits.batch_ms / 1000)
        following = {"offset": window.next, "window": after[1], "request": request, "spent": round(spent, 3)}
        following["disturbed"] = window.mark is not None and not sent.alone
        return Step(cursor=following, changed=sent.changed, seen=window.seen)

    def _window(self, ctx: Context, offset: PointId | None, size: int, mark: Mark | None) -> Window:
        """Read and decide the points of a window; *mark* is our last update before that."""
        pending = writes.Pending(self.spec)
        stale: list[Decided] = []
        seen = 0
        for page in one_ahead(self._pages(ctx, offset, size)):
            ctx.signal.check(self.id)
            groups, rest = plain_points(self.spec, page.points, ctx.lookups)
            pending.plain(groups)
            decided = decide_points(self.spec, rest, ctx.lookups, RowsExist(ctx.postgres.connection)) if rest else []
            pending.add(one for one in decided if not one.stale)
            stale += [one for one in decided if one.stale]
            seen += len(page.points)
            offset = page.next
        return Window(pending, stale, seen, offset, time.monotonic(), mark)

    def _pages(self, ctx: Context, offset: PointId | None, size: int) -> Iterator[Page]:
        """Yield the pages of a window."""
        while size > 0:
            limit = min(size, writes.PAGE)
            page = ctx.qdrant.scroll(self.collection, offset=offset, limit=limit, fields=self.spec.fields)
            yield page
            size -= len(page.points)
            offset = page.next
            if offset is None:
                return

    def _wider(self, size: int, pending: writes.Pending, spent: float) -> int:
        """Return how large the next window is to be.

        The first ones grow until reading no longer holds up the writing. Many tenants in a window make many small
        operations, each with a fixed cost: look further ahead, but not so far that a pause or a kill costs minutes;
        *spent* is what the last one took, in seconds.
        """
        if size < WINDOW:
            return min(WINDOW, size * 2)
        small = pending.points > 0 and pending.points / len(pending.groups) < writes.SMALL
        return min(LARGEST_WINDOW, size * 2) if small and size < LARGEST_WINDOW and spent < LONGEST_WINDOW_S else size

    def sweep(self, ctx: Context) -> Outcome:
        """Write what is untagged until nothing is, twice; stop when what is left cannot be decided.

        A collection that readers have left for its re-keyed copy is left alone: the copy's own sweep goes on there.
        """
        switch = switch_of(ctx.ledger, self.collection)
        return self._replaced(ctx, switch.target) if switch is not None else self.sweep_points(ctx)

    def sweep_points(self, ctx: Context, resolve: Resolve | None = None) -> Outcome:
        """Sweep this very collection; *resolve* finds the rows of points whose ids are not those of their rows."""
        changed, quiet = 0, 0
        left = 0
        for _ in range(SWEEPS):
            done, kept = self._pass(ctx, resolve)
            changed += done
            left = self._untagged(ctx, kept)
            quiet = quiet + 1 if left == 0 else 0
            if quiet == 2 or (left > 0 and done == 0):
                break
            ctx.signal.check(self.id)
        return Outcome(planned=changed + left, changed=changed, left=left, note=self._indexing(ctx, 0.0))

    def check(self, ctx: Context) -> Outcome:
        """Return how many points are untagged that should not be; the note says whether the store still re-indexes."""
        if switch_of(ctx.ledger, self.collection) is not None:
            return Outcome()
        kept = self._kept(ctx)
        left = self._untagged(ctx, kept)
        return Outcome(left=left, note=self._indexing(ctx, GREEN_SECONDS))

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return a warning with the keys that the application itself set, where undo takes every key away."""
        baseline = ctx.ledger.baseline(BASELINE, self.collection)
        if baseline is None or baseline["keyed"] > 0:
            return ()
        switch = switch_of(ctx.ledger, self.collection)
        spec = self.spec if switch is None else self.spec.model_copy(update={"collection": switch.target})
        if spec.collection not in ctx.qdrant.collections():
            return ()
        mine: list[PointId] = []

        def note(one: Decided) -> None:
            if one.decision.by_application:
                mine.append(one.point.id)

        rows_exist = RowsExist(ctx.postgres.connection)
        with Renamed(ctx.postgres, switch, ctx.lookups) if switch is not None else nullcontext() as resolve:
            count_bins_points(
                ctx.qdrant, spec, ctx.lookups, rows_exist, sample=0, drift=False, each=note, resolve=resolve
            )
        return set_by_application("qdrant", spec.collection, mine)

    def undo(self, ctx: Context) -> Outcome:
        """Take the key away where tenure wrote it, and put back what was there before."""
        baseline = ctx.ledger.baseline(BASELINE, self.collection)
        fresh = baseline is not None and baseline["keyed"] == 0
        changed = writes.clear(ctx, self.spec) if fresh else 0
        changed += writes.restore(ctx, self.id, self.spec, values_only=fresh)
        copy = copy_of(ctx.ledger, self.collection)
        if copy is not None:
            # Points that were born in the re-keyed copy got their key there, and came back with it.
            born = SetPayload(object=copy, spec=self.spec).id
            changed += writes.restore(ctx, born, self.spec, values_only=fresh)
        left = ctx.qdrant.count(self.collection, {"must_not": [untagged_filter(self.spec.key)]}) if fresh else 0
        note = "" if fresh else "keys that were there before tenure came stay"
        return Outcome(planned=changed, changed=changed, left=left, note=note)

    def _write(
        self,
        ctx: Context,
        pending: writes.Pending,
        request: int,
        since: Mark | None = None,
        *,
        disturbed: bool = True,
    ) -> writes.Sent:
        """List, journal and write what is pending; return how many points no longer are as they were."""
        baseline = ctx.ledger.baseline(BASELINE, self.collection)
        every = baseline is None or baseline["keyed"] > 0
        ctx.ledger.quarantine(("qdrant", self.collection, identity, why) for identity, why in pending.quarantined)
        ctx.ledger.journal(self.id, "qdrant", self.collection, pending.images(every=every))
        return writes.sent(ctx.qdrant, self.spec, pending, request, since, disturbed=disturbed)

    def _replaced(self, ctx: Context, target: str) -> Outcome:
        """Say what came into the collection that readers have left; nothing is written there."""
        late = 0
        if self.collection in ctx.qdrant.collections():
            late = ctx.qdrant.count(self.collection, untagged_filter(self.spec.key))
        note = f"{late} point(s) came without a key into it since readers use {target}: an old writer runs"
        return Outcome(note=note if late else "")

    def _pass(self, ctx: Context, resolve: Resolve | None) -> tuple[int, int]:
        """Decide and write every untagged point once; return how many were written, how many are to stay untagged."""
        changed = kept = 0
        rows_exist = RowsExist(ctx.postgres.connection)
        for points in ctx.qdrant.pages(self.collection, filter=untagged_filter(self.spec.key), fields=self.spec.fields):
            ctx.signal.check(self.id)
            decided = decide_points(self.spec, points, ctx.lookups, rows_exist, resolve=resolve)
            kept += sum(writes.stays_null(self.spec, one) for one in decided)
            pending = writes.Pending(self.spec)
            pending.add(one for one in decided if not one.stale)
            pending.add(self._asked_again(ctx, [one for one in decided if one.stale], resolve))
            changed += self._write(ctx, pending, writes.IDS).changed
        return changed, kept

    def _asked_again(
        self, ctx: Context, stale: Sequence[Decided], resolve: Resolve | None = None, *, since: float | None = None
    ) -> list[Decided]:
        """Decide points that no row knows once more, after a while in which a row may have been committed; *since* is
        when they were read, where that is not just now."""
        if not any(one.write is not None for one in stale):
            return []
        waited = 0.0 if since is None else time.monotonic() - since
        ctx.signal.wait(max(0.0, STALE_PATIENCE_S - waited))
        points = [one.point for one in stale]
        return decide_points(self.spec, points, ctx.lookups, RowsExist(ctx.postgres.connection), resolve=resolve)

    def _kept(self, ctx: Context) -> int:
        """Return how many untagged points the playbook wants so (`keep_null`)."""
        if self.spec.rule.policy.unassigned != "keep_null":
            return 0
        rows_exist = RowsExist(ctx.postgres.connection)
        pages = ctx.qdrant.pages(self.collection, filter=untagged_filter(self.spec.key), fields=self.spec.fields)
        return sum(
            writes.stays_null(self.spec, one)
            for points in pages
            for one in decide_points(self.spec, points, ctx.lookups, rows_exist)
        )

    def _untagged(self, ctx: Context, kept: int) -> int:
        return max(0, ctx.qdrant.count(self.collection, untagged_filter(self.spec.key)) - kept)

    def _indexing(self, ctx: Context, seconds: float) -> str:
        """Wait up to *seconds* for the optimizer, and return what there is to say if it needs longer."""
        started = time.monotonic()
        while (status := ctx.qdrant.status(self.collection)) != "green":
            if time.monotonic() - started >= seconds or ctx.signal.wait(0.5):
                return f"the collection is {status}: its vectors are still being re-indexed, searches are slower"
        return ""
