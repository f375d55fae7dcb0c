"""Qdrant's update queue and optimizer hold a run back; the engine in process, which has neither, never does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from tenure.operations.base import Operation
from tenure.playbook.limits import Thresholds
from tenure.runner.gauges_qdrant import Backlog, UpdateQueue, qdrant_gauges
from tenure.runner.throttle import Gauge, Hold
from tenure.stores.qdrant import QdrantStore

PATIENCE = 120.0
NAME, DIMENSIONS, POINTS = "notes", 64, 20_000


class OnNotes:
    """What a gauge reads of an operation."""

    object = NAME


def read(gauge: Gauge, held: bool = False, **limits: Any) -> list[Hold]:
    """Return what *gauge* says under limits written as in the playbook."""
    return list(gauge.read(Thresholds.model_validate(limits), cast(Operation, OnNotes()), held))


def until(true: Callable[[], Any], what: str) -> Any:
    """Return what *true* gives once it is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.02)
    return found


def fill(store: QdrantStore, points: int, *, wait: bool) -> None:
    """Write points with vectors that differ."""
    for first in range(0, points, 1000):
        batch = [
            {"id": n, "vector": [((n * 31 + d * 17) % 97) / 97 for d in range(DIMENSIONS)], "payload": {"n": n}}
            for n in range(first, min(points, first + 1000))
        ]
        store.client.upsert(NAME, _points(batch), wait=wait)


def _points(batch: list[dict[str, Any]]) -> Any:
    from qdrant_client import models

    return [models.PointStruct.model_validate(point) for point in batch]


def create(store: QdrantStore, **options: Any) -> None:
    """Make the collection."""
    from qdrant_client import models

    vectors = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
    store.client.create_collection(NAME, vectors_config=vectors, **options)


def test_a_store_without_an_optimizer_never_waits(qdrant_url: str) -> None:
    with QdrantStore(qdrant_url) as store:
        create(store)
        fill(store, 500, wait=True)
        gauges = qdrant_gauges(store)
        assert [gauge.limit for gauge in gauges] == ["qdrant_queue", "qdrant_backlog"]
        if store.status(NAME) == "green":
            assert [read(gauge, qdrant_backlog=1, qdrant_queue=1) for gauge in gauges] == [[], []]


def test_a_directory_has_no_gauges(tmp_path: Any) -> None:
    assert qdrant_gauges(QdrantStore(str(tmp_path))) == []


@pytest.mark.qdrant_server
def test_points_that_the_optimizer_has_still_to_index(qdrant_url: str) -> None:
    from qdrant_client import models

    with QdrantStore(qdrant_url) as store:
        create(
            store,
            hnsw_config=models.HnswConfigDiff(m=32, ef_construct=400),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=100, default_segment_number=1),
        )
        fill(store, POINTS, wait=True)
        gauge = Backlog(store)
        hold = until(lambda: read(gauge, qdrant_backlog=1000), "the optimizer to begin")[0]
        assert f"points of {NAME} are not indexed yet (qdrant_backlog 1,000)" in hold.reason
        assert read(gauge, qdrant_backlog=POINTS) == []
        until(lambda: store.status(NAME) == "green", "the optimizer to end")
        assert read(gauge, held=True, qdrant_backlog=1000) == []


@pytest.mark.qdrant_server
def test_updates_that_wait_to_be_applied(qdrant_url: str) -> None:
    from qdrant_client import models

    with QdrantStore(qdrant_url) as store:
        create(store)
        fill(store, POINTS, wait=True)
        gauge = UpdateQueue(store)
        assert read(gauge, qdrant_queue=1) == []
        # A filter on a field without an index reads every point: each update takes the server longer than the request.
        slow = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gte=0))])
        for number in range(60):
            store.client.set_payload(NAME, payload={"k": number}, points=models.FilterSelector(filter=slow), wait=False)
        hold = until(lambda: read(gauge, qdrant_queue=1), "a queue")[0]
        assert f"updates wait to be applied to {NAME} (qdrant_queue 1)" in hold.reason
        until(lambda: not read(gauge, held=True, qdrant_queue=1), "the queue to empty")
