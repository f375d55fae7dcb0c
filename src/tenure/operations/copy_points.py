"""Copies a collection under ids that no two tenants share, while writers run; the alias is moved at cutover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from tenure.attribution.points import untagged_filter
from tenure.errors import OperationFailedError, StoreError
from tenure.operations.ahead import one_ahead
from tenure.operations.base import Claim, RangeSpec, Step
from tenure.operations.point_copies import Rekeying, Wanted, remembered
from tenure.operations.point_map import Renamed
from tenure.operations.read_ahead import ahead, take
from tenure.operations.set_payload import SetPayload
from tenure.operations.switched import switch_of
from tenure.stores import qdrant_copy as copies
from tenure.stores.qdrant import PointId, among
from tenure.stores.qdrant_copy import Whole
from tenure.values import Hazard, Outcome, Phase

if TYPE_CHECKING:
    from tenure.runner.context import Context

# Pages a batch: with vectors a page is megabytes.
PAGES = 4
CREATED, DROPPED = "created", "dropped"


class CopyPoints(Rekeying):
    """Makes collection `target`, configured and indexed alike, and brings every point into it under its new id."""

    kind: ClassVar[str] = "copy_points"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    ranged: ClassVar[bool] = True

    hazards: tuple[Hazard, ...] = (Hazard.REINDEXES_VECTORS,)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"copy collection {self.collection} with its vectors to {self.target}, under ids of {self.template!r}"

    def statements(self) -> tuple[str, ...]:
        """Return the Python a DBA would run for a page; `client` is a QdrantClient, `name_of` fills the template."""
        return (
            f"# create {self.target!r} with the configuration and the payload indexes of {self.collection!r}, then for "
            "each page:\n"
            f"points, offset = client.scroll({self.collection!r}, limit={copies.WHOLE_PAGE}, offset=offset, "
            "with_payload=True, with_vectors=True)\n"
            f"# name_of(point): {self.template!r} filled from the tenant, the id and the payload\n"
            f"client.upsert({self.target!r}, [models.PointStruct(\n"
            f"    id=str(uuid.uuid5(uuid.UUID({self.namespace!r}), name_of(point))),\n"
            "    payload=point.payload, vector=point.vector) for point in points], wait=True)",
        )

    def count(self, ctx: Context) -> int:
        """Return how many points will be made. Errors: OperationFailedError when two would get one id, or a field that
        ids are made of is missing: nothing has been written then."""
        made = 0
        unnamed: list[tuple[PointId, str]] = []
        with remembered(ctx) as copied:
            for page in one_ahead(copies.whole_pages(ctx.qdrant, self.collection, vectors=False)):
                wanted = self.wanted(ctx, page)
                made += len(wanted.points) + len(wanted.waits)
                unnamed += wanted.unnamed[: 20 - len(unnamed)]
                copied.add([(point.id, old) for old, point in wanted.points])
            doubled = self._still_doubled(ctx, copied.doubled())
        if unnamed or doubled:
            raise self.failure(made, unnamed, doubled)
        return made

    def ranges(self, ctx: Context) -> Iterable[RangeSpec]:
        """Make the new collection, and return one range."""
        self._own_target(ctx)
        yield RangeSpec(bounds={"collection": self.collection}, planned=self.planned or 0)

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        """Copy the next pages, each read while the one before it is written; what was copied before a crash is written
        again as it is."""
        offset: PointId | None = (claim.cursor or {}).get("offset")
        who = f"{self.id} {claim.number}"
        changed = seen = 0
        for _ in range(PAGES):
            page, following = take(ctx, who, offset, partial(copies.whole_page, ctx.qdrant, self.collection, offset))
            if following is not None and not ctx.qdrant.local:
                ahead(ctx, who, following, partial(copies.whole_page, ctx.qdrant, self.collection, following))
            offset = following
            wanted = self.wanted(ctx, page)
            copies.put(ctx.qdrant, self.target, [point for _, point in wanted.points])
            changed += len(wanted.points)
            seen += len(page)
            if offset is None:
                return Step(cursor=None, changed=changed, seen=seen)
        return Step(cursor={"offset": offset}, changed=changed, seen=seen)

    def sweep(self, ctx: Context) -> Outcome:
        """Bring over what was written and deleted since; once the alias is moved, key what is born in the new one."""
        if not self.switched(ctx):
            return self._catch_up(ctx)
        spec = self.spec.model_copy(update={"collection": self.target})
        with Renamed(ctx.postgres, self, ctx.lookups) as resolve:
            return SetPayload(object=self.target, spec=spec).sweep_points(ctx, resolve)

    def check(self, ctx: Context) -> Outcome:
        """Return what a catch-up would still do, as left."""
        if self.switched(ctx):
            return Outcome()
        outcome = self.synchronise(ctx, write=False)
        return outcome.model_copy(update={"left": outcome.left + outcome.changed, "changed": 0})

    def undo(self, ctx: Context) -> Outcome:
        """Drop the copy, which is tenure's own. Errors: StoreError while the alias stands for it."""
        last = next((after for _, _, after in ctx.ledger.journal_entries(self.id)), None)
        if last != CREATED or self.target not in ctx.qdrant.collections():
            return Outcome(note="there is no copy")
        if self.at_target(ctx):
            raise StoreError(
                store="qdrant",
                problem=f"alias {self.alias} stands for {self.target}.",
                remedy="Roll the cutover back first.",
            )
        copies.drop(ctx.qdrant, self.target)
        ctx.ledger.journal(self.id, "qdrant", self.target, [(self.target, None, DROPPED)])
        return Outcome(planned=1, changed=1)

    def switched(self, ctx: Context) -> bool:
        """Return whether readers use the new collection already.

        Once the ledger calls the switch done it stays so, wherever the alias is moved later: the copy is the data then,
        and bringing it to the state of the old collection would undo what tenants wrote and deleted since.
        """
        return switch_of(ctx.ledger, self.collection) is not None or self.at_target(ctx)

    def synchronise(
        self,
        ctx: Context,
        *,
        write: bool = True,
        each: Callable[[Sequence[tuple[PointId, Whole]]], None] = lambda pairs: None,
        waiting: Callable[[Sequence[PointId]], None] = lambda ids: None,
    ) -> Outcome:
        """Make the copy equal to the collection as it is now; `changed` counts what was not.

        *each* is given every page's pairs of old id and new point, *waiting* its points that have no tenant. `left`
        counts these, and points without a name.
        """
        store = ctx.qdrant
        changed = left = lost = 0
        with remembered(ctx) as copied:
            for page in one_ahead(copies.whole_pages(store, self.collection)):
                ctx.signal.check(self.id)
                wanted = self.wanted(ctx, page)
                changed += self._write(ctx, wanted, write=write)
                left += len(wanted.waits) + len(wanted.unnamed)
                lost += len(wanted.lost)
                copied.add([(point.id, old) for old, point in wanted.points])
                each(wanted.points)
                waiting(wanted.waits)
            doubled = self._still_doubled(ctx, copied.doubled())
            for points in one_ahead(store.pages(self.target)):
                known = copied.old([point.id for point in points])
                gone = [point.id for point in points if point.id not in known]
                changed += len(gone)
                if write and gone:
                    copies.remove(store, self.target, gone)
        note = f"{lost} overwritten point(s) have no vector left: to be embedded again" if lost else ""
        if doubled:
            left += len(doubled)
            note = f"several points would get one id, such as {doubled[0][1]}"
        return Outcome(planned=changed + left, changed=changed, left=left, note=note)

    def failure(
        self, made: int, unnamed: Sequence[tuple[PointId, str]], doubled: Sequence[tuple[PointId, list[PointId]]]
    ) -> OperationFailedError:
        """Return the error that names what stands in the way of new ids."""
        said = [f"point {old}: {why}" for old, why in unnamed]
        said += [f"points {', '.join(map(str, olds))} would all become {new}" for new, olds in doubled]
        return OperationFailedError(
            operation=self.describe(),
            object=self.collection,
            planned=made,
            changed=0,
            left=len(said),
            problem=f"{'; '.join(said[:5])}. Change the template of `ids: rekey`, or mend these points.",
        )

    def _catch_up(self, ctx: Context) -> Outcome:
        """Key what old writers brought since the backfill, and bring it over with the rest.

        A writer is quicker than a pass over all points: what has no key when it is read, and can have one, was born
        since. It is nothing left undone; the next sweep brings it over, and the switch goes by what it finds itself.
        """
        keys = SetPayload(object=self.collection, spec=self.spec)
        waits: list[PointId] = []
        keys.sweep_points(ctx)
        outcome = self.synchronise(ctx, waiting=waits.extend)
        if not waits:
            return outcome
        keys.sweep_points(ctx)
        store, untagged, born = ctx.qdrant, untagged_filter(self.spec.key), len(waits)
        limit = store.bounds(self.collection).ids
        for start in range(0, len(waits), limit):
            born -= store.count(self.collection, among(waits[start : start + limit], untagged))
        left = outcome.left - born
        said = f"{born} point(s) were born meanwhile: the next sweep brings them over" if born else ""
        note = "; ".join(part for part in (outcome.note, said) if part)
        return outcome.model_copy(update={"planned": outcome.changed + left, "left": left, "note": note})

    def _still_doubled(
        self, ctx: Context, doubled: Sequence[tuple[PointId, list[PointId]]]
    ) -> list[tuple[PointId, list[PointId]]]:
        """Return those new ids that several points would get as the collection is now.

        A writer that replaces a point by one with another id, as re-indexing a file does, may have shown both to a pass
        that read the one before and the other after.
        """
        still = []
        for new, olds in doubled:
            there = list(copies.fetch(ctx.qdrant, self.collection, olds).values())
            now = [old for old, point in self.wanted(ctx, there).points if point.id == new]
            if len(now) > 1:
                still.append((new, now))
        return still

    def _write(self, ctx: Context, wanted: Wanted, *, write: bool) -> int:
        found = copies.fetch(ctx.qdrant, self.target, [point.id for _, point in wanted.points])
        stale = [
            point for _, point in wanted.points if (now := found.get(point.id)) is None or not copies.same(now, point)
        ]
        if write and stale:
            copies.put(ctx.qdrant, self.target, stale)
        return len(stale)

    def _own_target(self, ctx: Context) -> None:
        last = next((after for _, _, after in ctx.ledger.journal_entries(self.id)), None)
        if self.target in ctx.qdrant.collections() and last != CREATED:
            raise StoreError(
                store="qdrant",
                problem=f"there is a collection {self.target} already, and tenure did not make it.",
                remedy="Rename or drop it.",
            )
        if last != CREATED:
            ctx.ledger.journal(self.id, "qdrant", self.target, [(self.target, None, CREATED)])
        copies.create_like(ctx.qdrant, self.collection, self.target)
