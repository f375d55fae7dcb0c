"""The way back from re-keyed points: what was written and deleted since the switch goes to the old collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenure.errors import RefusedError
from tenure.operations.point_copies import IdSet, Rekeying, remembered
from tenure.stores import qdrant_copy as copies
from tenure.stores.qdrant import PointId
from tenure.stores.qdrant_copy import Whole

if TYPE_CHECKING:
    from tenure.runner.context import Context

SHOWN = 20


def carry_back(ctx: Context, operation: Rekeying) -> int:
    """Bring the old collection to the state of the new one; return how many points that took.

    The old collection has not changed since the switch, so what the copy was made of can be worked out again and
    compared. A first pass only looks: when two points would meet under one id nothing is written. Errors: RefusedError
    with those ids.
    """
    blocking: list[str] = []
    _pass(ctx, operation, blocking, write=False)
    if blocking:
        raise RefusedError(
            reason=f"{len(blocking)} point(s) of {operation.target} would meet others in {operation.collection}: "
            f"{'; '.join(blocking[:5])}.",
            remedy="Save these points elsewhere or delete them, then roll back again.",
        )
    return _pass(ctx, operation, blocking, write=True)


def _pass(ctx: Context, operation: Rekeying, blocking: list[str], *, write: bool) -> int:
    """Compare everything once; count, or carry."""
    store, carried = ctx.qdrant, 0
    with remembered(ctx) as known:
        for page in copies.whole_pages(store, operation.collection):
            made = operation.wanted(ctx, page).points
            known.add([(point.id, old) for old, point in made])
            written, gone = _differences(ctx, operation, made, blocking)
            carried += len(written) + len(gone)
            if write:
                copies.put(store, operation.collection, written)
                copies.remove(store, operation.collection, gone)
        for page in copies.whole_pages(store, operation.target):
            carried += _born(ctx, operation, page, known, blocking, write=write)
    return carried


def _differences(
    ctx: Context, operation: Rekeying, made: Sequence[tuple[PointId, Whole]], blocking: list[str]
) -> tuple[list[Whole], list[PointId]]:
    """Return what was written since under its old id, and the old ids of what was deleted since."""
    now = copies.fetch(ctx.qdrant, operation.target, [point.id for _, point in made])
    several = Counter(old for old, _ in made)
    there = Counter(old for old, point in made if point.id in now)
    written: list[Whole] = []
    gone: list[PointId] = []
    for old, point in made:
        current = now.get(point.id)
        if current is None:
            if there[old] == 0 and old not in gone:
                gone.append(old)
        elif not copies.same(current, point):
            if several[old] > 1:
                blocking.append(f"{point.id} was written since, and shares the old id {old} with another tenant's")
            else:
                written.append(Whole(old, current.payload, current.vector))
    return written, gone


def _born(
    ctx: Context, operation: Rekeying, page: Sequence[Whole], known: IdSet, blocking: list[str], *, write: bool
) -> int:
    """Take points that were born in the new collection to the old one, under their own ids."""
    old = known.old([point.id for point in page])
    born = [point for point in page if point.id not in old]
    met = copies.fetch(ctx.qdrant, operation.collection, [point.id for point in born])
    fresh = [point for point in born if point.id not in met]
    for point in born:
        # Equal content under the same id is this very point, carried before a crash.
        if point.id in met and not copies.same(met[point.id], point):
            blocking.append(f"{point.id} is the id of another point in the old collection")
    if write:
        copies.put(ctx.qdrant, operation.collection, fresh)
    return len(fresh)
