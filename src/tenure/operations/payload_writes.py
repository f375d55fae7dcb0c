"""What `set_payload` writes: points grouped by tenant and old key, sent as few large operations; and the way back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from tenure.attribution.points import Decided, PointSpec, equals_filter, is_untagged, untagged_filter
from tenure.attribution.spec import ColumnSource, ConstantSource, RowSource
from tenure.stores.qdrant import IDS, PAGE, PointId, QdrantStore, among, delete_key, path, set_tenant

if TYPE_CHECKING:
    from tenure.runner.context import Context
    from tenure.stores.qdrant_alone import Mark

__all__ = ["IDS", "PAGE", "SMALL", "Pending", "clear", "restore", "script", "send", "sent"]
__all__ += ["stays_null", "steered"]

# Below so many points an operation costs more than its points (about 14 ms each were measured).
SMALL = 500
OPERATIONS = 200
# More at once are applied no faster, and an application's own update waits behind all of them.
IN_FLIGHT = 2
_UNDONE = "undone"
_NONE = "null"


class Pending:
    """The writes of a window: ids by (old key as JSON, new key), and what goes to quarantine, with the reason."""

    def __init__(self, spec: PointSpec) -> None:
        """Start empty."""
        self._spec = spec
        self.groups: dict[tuple[str, str], list[PointId]] = {}
        self.quarantined: list[tuple[PointId, str]] = []
        self.points = 0

    def add(self, decided: Iterable[Decided]) -> None:
        """Take in what of a page is to be written."""
        for one in decided:
            if one.write is None:
                continue
            before = _NONE if one.present is None else json.dumps(one.present, sort_keys=True)
            self.groups.setdefault((before, one.write), []).append(one.point.id)
            self.points += 1
            if one.write == self._spec.key.quarantine:
                self.quarantined.append((one.point.id, one.reason))

    def plain(self, groups: Mapping[str, Sequence[PointId]]) -> None:
        """Take in points that have no key yet, by the one that each is to get."""
        for tenant, ids in groups.items():
            self.groups.setdefault((_NONE, tenant), []).extend(ids)
            self.points += len(ids)

    def images(self, *, every: bool) -> Iterator[tuple[Any, Any, Any]]:
        """Yield the before-images, one for all ids that had the same key and get the same.

        A key that was missing or null needs one only where *every* is set: where other points had a key before, so
        that undo must tell them apart.
        """
        for (before, after), ids in self.groups.items():
            if every or before != _NONE:
                for chunk in _chunks(ids, IDS):
                    yield {"ids": list(chunk)}, json.loads(before), after


Batch = list[tuple[list[PointId], dict[str, Any], str]]
"""What one request writes: ids, what must still hold of them, and the key."""


class Sent(NamedTuple):
    """How many points have a key now, for how many seconds the store had each request, all together, and whether it is
    certain that nobody else wrote meanwhile."""

    changed: int
    seconds: float = 0.0
    alone: bool = False


def send(store: QdrantStore, spec: PointSpec, pending: Pending, request: int) -> int:
    """Write what is pending, up to *request* points or 200 operations at once; return how many have a key now (one
    that was deleted has not, nor one that an old writer replaced meanwhile, which is left to the sweep)."""
    return sent(store, spec, pending, request).changed


def sent(
    store: QdrantStore,
    spec: PointSpec,
    pending: Pending,
    request: int,
    since: Mark | None = None,
    *,
    disturbed: bool = True,
) -> Sent:
    """Write what is pending as `send` does, and say how long it took.

    The store has the next request when it is done with one: it would wait for the answer to travel, and for the next
    to be written out. No point is in two of them, so their order is nothing to anybody; when one fails no other is
    begun, and those under way have ended before the error is raised.

    What a request changed is counted, which takes the store a tenth of the time of writing, unless nobody else has
    written *since* a place before the points were read: then it is all of them. Where others are expected
    (*disturbed*) it is counted while the next ones are written.
    """
    failed = threading.Event()

    def write(batch: Batch) -> tuple[float, Future[int] | None]:
        if failed.is_set():
            return 0.0, None
        began = monotonic()
        try:
            operations = [set_tenant(spec.key.name, after, ids, condition) for ids, condition, after in batch]
            store.update(spec.collection, operations)
        except BaseException:
            failed.set()
            raise
        return monotonic() - began, counting.submit(_keyed, store, spec, batch) if disturbed else None

    batches = list(_batches(store, spec, pending, request))
    in_flight = 1 if store.local else IN_FLIGHT
    with (
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="tenure-count") as counting,
        ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="tenure-write") as writing,
    ):
        try:
            written = [one.result() for one in [writing.submit(write, batch) for batch in batches]]
            alone = store.alone.since(spec.collection, since)
            if disturbed:
                changed = sum(count.result() for _, count in written if count is not None)
            else:
                changed = pending.points if alone else sum(_keyed(store, spec, batch) for batch in batches)
            return Sent(changed, sum(seconds for seconds, _ in written), alone)
        finally:
            writing.shutdown(cancel_futures=True)
            counting.shutdown(cancel_futures=True)


def _batches(store: QdrantStore, spec: PointSpec, pending: Pending, request: int) -> Iterator[Batch]:
    """Yield the requests, the largest groups first."""
    bounds = store.bounds(spec.collection)
    batch: Batch = []
    filled = 0
    for (before, after), ids in sorted(pending.groups.items(), key=lambda group: -len(group[1])):
        condition = _condition(spec, json.loads(before), exact=bounds.unindexed_updates)
        for chunk in _chunks(ids, min(request, bounds.ids)):
            if batch and (filled + len(chunk) > request or len(batch) == OPERATIONS):
                yield batch
                batch, filled = [], 0
            batch.append((list(chunk), condition, after))
            filled += len(chunk)
    if batch:
        yield batch


def _keyed(store: QdrantStore, spec: PointSpec, batch: Batch) -> int:
    """Return how many points of a request have a key now."""
    untagged = untagged_filter(spec.key)
    filled = [identity for ids, condition, _ in batch if condition == untagged for identity in ids]
    tagged = {"must_not": [untagged]}
    limit = store.bounds(spec.collection).ids
    changed = sum(store.count(spec.collection, among(chunk, tagged)) for chunk in _chunks(filled, limit))
    for ids, condition, after in batch:
        if condition != untagged:
            changed += store.count(spec.collection, among(ids, equals_filter(spec.key, after)))
    return changed


def steered(request: int, spent: float, wanted: float) -> int:
    """Return the size of the next requests (points), given that one took *spent* of *wanted* seconds."""
    factor = min(2.0, max(0.5, wanted / max(spent, 0.001)))
    return max(SMALL, min(IDS, int(request * factor)))


def stays_null(spec: PointSpec, one: Decided) -> bool:
    """Return whether the playbook wants a point without a key (`keep_null`)."""
    return one.write is None and one.decision.bin == "unassigned" and spec.rule.policy.unassigned == "keep_null"


def clear(ctx: Context, spec: PointSpec) -> int:
    """Take the key away from every point of a collection that had none before; return from how many."""
    name = spec.key.name
    keyed = {"must_not": [{"is_empty": {"key": path(name)}}]}
    changed = 0
    for points in ctx.qdrant.pages(spec.collection, filter=keyed, fields=(path(name),)):
        ctx.signal.check("undo")
        for chunk in _chunks([point.id for point in points], ctx.qdrant.bounds(spec.collection).ids):
            ctx.qdrant.update(spec.collection, [delete_key(name, chunk, keyed)])
        changed += len(points)
    return changed


def restore(ctx: Context, operation: str, spec: PointSpec, *, values_only: bool) -> int:
    """Put the before-images of an operation back, the newest first, each only where its own write still stands.

    With *values_only* the keys are gone already, and only those that had a value are written again. Returns how many
    points were restored.
    """
    key, store = spec.key, ctx.qdrant
    untagged = untagged_filter(key)
    changed = 0
    for item, before, after in ctx.ledger.journal_entries(operation):
        if after == _UNDONE:
            break
        if values_only and before is None:
            continue
        ctx.signal.check(operation)
        condition = untagged if values_only else equals_filter(key, after)
        for chunk in _chunks(item["ids"], store.bounds(spec.collection).ids):
            found = store.count(spec.collection, among(chunk, condition))
            if not found:
                continue
            undo = delete_key(key.name, chunk, condition) if before is None else _put(spec, before, chunk, condition)
            store.update(spec.collection, [undo])
            changed += found
    ctx.ledger.journal(operation, "qdrant", spec.collection, [({"ids": []}, None, _UNDONE)])
    return changed


def _put(spec: PointSpec, before: Any, ids: Sequence[PointId], condition: dict[str, Any]) -> dict[str, Any]:
    return set_tenant(spec.key.name, before, ids, condition)


def _condition(spec: PointSpec, before: Any, *, exact: bool) -> dict[str, Any]:
    """Return what must still hold of a point when its write is applied."""
    if is_untagged(spec.key, before):
        return untagged_filter(spec.key)
    if exact or isinstance(before, str):
        return equals_filter(spec.key, before)
    # Strict mode refuses to compare a number or a list with an index of texts.
    return {"must_not": [untagged_filter(spec.key)]}


def _chunks(ids: Sequence[PointId], size: int) -> Iterator[Sequence[PointId]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def script(spec: PointSpec) -> str:
    """Return the backfill as Python for a DBA: complete but for `tenant_of`, which the comment describes."""
    key = spec.key
    sources = "\n".join(f"#   {number}. {_source(source)}" for number, source in enumerate(spec.rule.sources, start=1))
    return (
        f"# tenant_of(point) returns the tenant by the first of these that has a value, or None:\n{sources}\n"
        f"untagged = models.Filter.model_validate({untagged_filter(key)!r})\n"
        "offset = None\n"
        "while True:\n"
        f"    points, offset = client.scroll({spec.collection!r}, limit={PAGE}, offset=offset,\n"
        f"                                   with_payload={list(spec.fields)!r}, with_vectors=False)\n"
        "    groups = {}\n"
        "    for point in points:\n"
        "        tenant = tenant_of(point)\n"
        "        if tenant is not None:\n"
        "            groups.setdefault(tenant, []).append(point.id)\n"
        "    results = client.batch_update_points(\n"
        f"        {spec.collection!r},\n"
        "        [models.SetPayloadOperation(set_payload=models.SetPayload(\n"
        f"            payload={{{key.name!r}: tenant}},\n"
        "            filter=models.Filter(must=[models.HasIdCondition(has_id=ids), untagged])))\n"
        "         for tenant, ids in groups.items()],\n"
        "        wait=True,\n"
        "    ) if groups else []\n"
        "    assert all(result.status == models.UpdateStatus.COMPLETED for result in results)\n"
        "    if offset is None:\n"
        "        break"
    )


def _source(source: Any) -> str:
    if isinstance(source, ConstantSource):
        return f"always {source.value!r}"
    if isinstance(source, ColumnSource):
        return f"payload field {source.name!r}, after aliases, if it is in the registry"
    if isinstance(source, RowSource):
        by = f"payload field {source.match!r}" if source.match is not None else "the point id"
        return f"the key of the row of {source.table.display} whose {source.column} is {by}"
    return str(source)
