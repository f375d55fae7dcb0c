"""Releases quarantined points: decided again as if they had no key, written where they still are quarantined."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from tenure.attribution.graph_read import chunks
from tenure.attribution.points import Decided, PointSpec, Resolve, RowsExist, decide_points, equals_filter
from tenure.attribution.resolve import Decision
from tenure.checks.view import resolving
from tenure.errors import UsageError
from tenure.operations import payload_writes as writes
from tenure.operations.set_payload import BASELINE, SetPayload
from tenure.release.ledger import listed
from tenure.release.values import Released, Request
from tenure.stores.qdrant import PAGE, Point, PointId
from tenure.values import Store

if TYPE_CHECKING:
    from tenure.checks import View
    from tenure.runner.context import Context

QDRANT: Store = "qdrant"


class PointRelease:
    """Releases the points of one collection: the one that readers use, which may be a re-keyed copy.

    The id of a point in a re-keyed copy is not changed by its release.
    """

    def __init__(self, ctx: Context, view: View, spec: PointSpec, done: Released) -> None:
        """Release through *ctx*; *view* knows the collections as they are."""
        self._ctx, self._view, self._spec, self._done = ctx, view, spec, done
        switch = view.switches.get(spec.collection)
        # The list and the journal know a collection by the name that the playbook has.
        self.name = switch.collection if switch is not None else spec.collection

    def given(self, requests: Iterable[Request]) -> None:
        """Give the points that a person named to the tenants that they named; a repeat finds them there."""
        key, spec = self._spec.key, self._spec
        for page in chunks(requests, PAGE):
            asked = {str(request.item): request for request in page}
            ids = [_point_id(request.item) for request in page]
            chosen: list[Decided] = []
            for points in self._ctx.qdrant.pages(
                spec.collection, filter={"must": [{"has_id": ids}]}, fields=spec.fields
            ):
                for point in points:
                    request, present = asked.pop(str(point.id)), point.payload.get(key.name)
                    if present == request.tenant:
                        self._done.already += 1
                    elif present != key.quarantine:
                        why = f"it is not quarantined: its key is {present}"
                        self._done.is_missing(QDRANT, self.name, point.id, why)
                    else:
                        decision = Decision("assigned", request.tenant, "released")
                        chosen.append(Decided(point, decision, request.tenant, present))
            with resolving(self._view, spec.collection) as resolve:
                self._write(chosen, resolve)
            for request in asked.values():
                self._done.is_missing(QDRANT, self.name, request.item, "there is no such point")

    def again(self) -> None:
        """Decide every quarantined point again and write those that have a tenant by now; stale ones stay."""
        spec, key = self._spec, self._spec.key
        rows_exist = RowsExist(self._ctx.postgres.connection)
        quarantined = equals_filter(key, key.quarantine)
        with ExitStack() as stack:
            resolve = stack.enter_context(resolving(self._view, spec.collection))
            for page in self._ctx.qdrant.pages(spec.collection, filter=quarantined, fields=spec.fields):
                self._ctx.signal.check("release")
                bare = [Point(p.id, {n: v for n, v in p.payload.items() if n != key.name}) for p in page]
                decided = decide_points(spec, bare, self._ctx.lookups, rows_exist, resolve=resolve)
                self._write(
                    [
                        replace(one, point=point, present=key.quarantine)
                        for point, one in zip(page, decided, strict=True)
                        if not one.stale and one.write not in (None, key.quarantine)
                    ],
                    resolve,
                )
        self._done.left[QDRANT, self.name] = self._ctx.qdrant.count(spec.collection, quarantined)

    def _write(self, chosen: Sequence[Decided], resolve: Resolve | None) -> None:
        if not chosen:
            return
        ctx, name = self._ctx, self.name
        pending = writes.Pending(self._spec)
        pending.add(chosen)
        baseline = ctx.ledger.baseline(BASELINE, name)
        if baseline is None or baseline["keyed"] > 0:
            # Where nobody had a key before, undo takes all of them: a before-image would put the sentinel back.
            operation = SetPayload(object=name, spec=self._spec).id
            ctx.ledger.journal(operation, "qdrant", name, pending.images(every=True))
        points = [one.point for one in chosen]
        # The points of a re-keyed copy are listed by the ids that they had.
        names = [known.identity for known in resolve(points)] if resolve is not None else [point.id for point in points]
        given = zip(names, chosen, strict=True)
        listed(ctx, QDRANT, name, ((item, "released", one.write or "") for item, one in given))
        changed = writes.send(ctx.qdrant, self._spec, pending, writes.IDS)
        self._done.released[QDRANT, name] += changed
        ctx.reporter.advance("release", changed)


def _point_id(item: object) -> PointId:
    """Return a point's id, which a file has as text. Errors: UsageError."""
    text = str(item)
    if text.isdecimal():
        return int(text)
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise UsageError(detail=f"{text!r} cannot be a point's id: these are whole numbers and uuids.") from error
