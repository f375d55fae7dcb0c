"""The way back from re-keyed points: what was written and deleted since the switch goes to the old collection.

Three states are compared: what the switch moved (its id map, with a digest of each payload), the old collection now and
the new one now. Only what changed in the new one is carried; what an old writer did to the old collection since stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenure.errors import RefusedError
from tenure.operations.point_copies import Rekeying
from tenure.operations.point_map import Moved, PointMap, digest, point_map
from tenure.stores import qdrant_copy as copies
from tenure.stores.qdrant import PointId
from tenure.stores.qdrant_copy import Whole

if TYPE_CHECKING:
    from tenure.runner.context import Context


def obstacles(ctx: Context, operation: Rekeying) -> list[str]:
    """Return the points that cannot be carried back, with the reason; writes nothing."""
    blocking: list[str] = []
    with point_map(ctx.postgres, operation) as known:
        _pass(ctx, operation, known, blocking, write=False)
    return blocking


def carry_back(ctx: Context, operation: Rekeying) -> int:
    """Bring what was done in the new collection since the switch to the old one; return how many points that took.

    A first pass only looks: when two points would meet under one id nothing is written. Errors: RefusedError with those
    ids.
    """
    blocking: list[str] = []
    with point_map(ctx.postgres, operation) as known:
        _pass(ctx, operation, known, blocking, write=False)
        if blocking:
            raise RefusedError(
                reason=f"{len(blocking)} point(s) of {operation.target} would meet others in {operation.collection}: "
                f"{'; '.join(blocking[:5])}.",
                remedy="Save these points elsewhere or delete them, then roll back again.",
            )
        return _pass(ctx, operation, known, blocking, write=True)


def _pass(ctx: Context, operation: Rekeying, known: PointMap, blocking: list[str], *, write: bool) -> int:
    """Compare everything once; count, or carry."""
    store, carried = ctx.qdrant, 0
    for page in copies.whole_pages(store, operation.collection):
        written, gone = _differences(ctx, operation, page, known, blocking)
        carried += len(written) + len(gone)
        if write:
            copies.put(store, operation.collection, written)
            copies.remove(store, operation.collection, gone)
    for page in copies.whole_pages(store, operation.target):
        carried += _born(ctx, operation, page, known, blocking, write=write)
    return carried


def _differences(
    ctx: Context, operation: Rekeying, page: Sequence[Whole], known: PointMap, blocking: list[str]
) -> tuple[list[Whole], list[PointId]]:
    """Return what was written in the new collection, under its old id, and the old ids of what was deleted there.

    A point that the map does not know, or whose payload is not what was moved, is an old writer's: it stays. Where
    several tenants' points come from one and its own tenant has deleted its own, another's takes the place.
    """
    key = operation.spec.key.name
    moved = known.by_old([point.id for point in page])
    now = copies.fetch(ctx.qdrant, operation.target, [one.new for ones in moved.values() for one in ones])
    written: list[Whole] = []
    gone: list[PointId] = []
    for point in page:
        ones = moved.get(point.id, [])
        there = [now[one.new] for one in ones if one.new in now]
        mine = digest(point.payload, key)
        touched = bool(ones) and all(one.digest != mine for one in ones)
        if ones and not there:
            if not touched:
                gone.append(point.id)
        elif len(ones) == 1:
            if copies.same(there[0], point):
                continue
            if not touched:
                written.append(Whole(point.id, there[0].payload, there[0].vector))
            elif digest(there[0].payload, key) != ones[0].digest:
                blocking.append(f"{ones[0].new} was written since, and so was {point.id}, which it comes from")
        else:
            # By what it says, not by its key: one of several tenants is in quarantine here.
            own = [one for one in ones if one.digest == mine]
            free = bool(own) and all(one.new not in now for one in own)
            if not (free and len(there) == 1):
                blocking.extend(_shared(point, ones, now, key))
            if free:
                written.append(Whole(point.id, there[0].payload, there[0].vector))
    return written, gone


def _shared(point: Whole, ones: Sequence[Moved], now: dict[PointId, Whole], key: str) -> list[str]:
    """Return which points of several tenants behind one old id were written since: there is one place for them all."""
    return [
        f"{one.new} was written since, and shares the old id {point.id} with another tenant's"
        for one in ones
        if (current := now.get(one.new)) is not None and digest(current.payload, key) != one.digest
    ]


def _born(
    ctx: Context, operation: Rekeying, page: Sequence[Whole], known: PointMap, blocking: list[str], *, write: bool
) -> int:
    """Take points that were born in the new collection to the old one, under their own ids; and what was written since
    of points that an old writer has deleted there, under their old ones."""
    key = operation.spec.key.name
    moved = known.by_new([point.id for point in page])
    met = copies.fetch(ctx.qdrant, operation.collection, [moved[p.id].old if p.id in moved else p.id for p in page])
    several = Counter(one.old for one in moved.values())
    fresh: list[Whole] = []
    for point in page:
        origin = moved.get(point.id)
        if origin is not None:
            if origin.old not in met and several[origin.old] == 1 and digest(point.payload, key) != origin.digest:
                fresh.append(Whole(origin.old, point.payload, point.vector))
        elif point.id not in met:
            fresh.append(point)
        elif not copies.same(met[point.id], point):
            # Equal content under the same id is this very point, carried before a crash.
            blocking.append(f"{point.id} is the id of another point in the old collection")
    if write:
        copies.put(ctx.qdrant, operation.collection, fresh)
    return len(fresh)
