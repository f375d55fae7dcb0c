"""What Qdrant says of its health: updates that wait, and points that its optimizer has still to index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tenure.runner.throttle import Gauge, Hold, over

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.playbook.limits import Thresholds
    from tenure.stores.qdrant import QdrantStore

YELLOW = "yellow"


def qdrant_gauges(store: QdrantStore) -> list[Gauge]:
    """Return the gauges of a Qdrant; a local-mode directory has neither queue nor optimizer."""
    return [] if store.local else [UpdateQueue(store), Backlog(store)]


class UpdateQueue:
    """Updates that the collection has taken and not applied. Tenure waits for its own: these are the application's."""

    limit = "qdrant_queue"

    def __init__(self, store: QdrantStore) -> None:
        """Look at *store*."""
        self._store = store

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold while more wait than the limit; servers before 1.17 do not say."""
        limit = thresholds.qdrant_queue or 0
        queue = getattr(self._store.collection(operation.object), "update_queue", None)
        if queue is not None and over(queue.length, limit, held):
            text = f"{queue.length:,} updates wait to be applied to {operation.object} ({self.limit} {limit:,})"
            yield Hold(self.limit, text, operation.object)


class Backlog:
    """Points without an index while the optimizer is at work: every payload write takes a point out of its index, and
    what has none is searched one by one."""

    limit = "qdrant_backlog"

    def __init__(self, store: QdrantStore) -> None:
        """Look at *store*."""
        self._store = store

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold while more are left than the limit; a collection that is not being optimized will not get fewer."""
        limit = thresholds.qdrant_backlog or 0
        found = self._store.collection(operation.object)
        if str(getattr(found.status, "value", found.status)) != YELLOW:
            return
        left = max(0, (found.points_count or 0) - (found.indexed_vectors_count or 0))
        if over(left, limit, held):
            text = f"{left:,} points of {operation.object} are not indexed yet ({self.limit} {limit:,})"
            yield Hold(self.limit, text, operation.object)
