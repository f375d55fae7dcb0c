"""What a collection's state and a full disk mean for an update: red ends it, yellow does not, no room does at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tenure.errors import StoreError
from tenure.stores import qdrant_errors
from tenure.stores.qdrant import QdrantStore, set_tenant

UPDATE = set_tenant("project_id", "acme", [1], {"must": [{"is_empty": {"key": "project_id"}}]})
# What 1.18.3 answered on a full file system.
FULL = (
    b'{"status":{"error":"Service internal error: '
    b'No space left on device: WAL buffer size exceeds available disk space"}}'
)


class Client:
    """A driver whose collection goes through states, one at each look."""

    def __init__(self, *states: Any, full: bool = False) -> None:
        self.states = list(states)
        self.full = full
        self.updates = 0

    def batch_update_points(self, collection: str, operations: list[Any], wait: bool) -> list[Any]:
        self.updates += 1
        if self.full:
            raise UnexpectedResponse(500, "Internal Server Error", FULL, httpx.Headers())
        return [models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED) for _ in operations]

    def get_collection(self, name: str) -> Any:
        status, optimizer = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return SimpleNamespace(status=status, optimizer_status=optimizer)


GREEN = (models.CollectionStatus.GREEN, models.OptimizersStatusOneOf.OK)
YELLOW = (models.CollectionStatus.YELLOW, models.OptimizersStatusOneOf.OK)
RED = (models.CollectionStatus.RED, models.OptimizersStatusOneOf1(error="no memory for segment 7"))


def store(client: Client) -> QdrantStore:
    found = QdrantStore("http://127.0.0.1:1", wait=lambda seconds: None, notify=lambda text: None)
    found._client = cast(QdrantClient, client)
    return found


def test_a_yellow_collection_is_at_work() -> None:
    client = Client(YELLOW)
    store(client).update("c", [UPDATE])
    assert client.updates == 1


def test_a_collection_that_was_red_for_a_moment_is_gone_on_with() -> None:
    client = Client(RED, RED, GREEN)
    store(client).update("c", [UPDATE])
    assert client.updates == 1
    assert client.states == [GREEN]


def test_a_collection_that_stays_red_ends_the_work_with_its_optimizer_s_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_errors, "BRIEF_SECONDS", 0.5)
    with pytest.raises(StoreError, match=r"collection c is red, its optimizer failed: no memory for segment 7\."):
        store(Client(RED)).update("c", [UPDATE])


def test_the_state_is_not_asked_for_after_every_update() -> None:
    client = Client(GREEN, RED)
    found = store(client)
    for _ in range(3):
        found.update("c", [UPDATE])
    assert client.states == [RED]


def test_a_full_disk_is_said_at_once_and_not_asked_again() -> None:
    client = Client(GREEN, full=True)
    with pytest.raises(StoreError, match=r"disk is full: .*WAL buffer size.*Free room"):
        store(client).update("c", [UPDATE])
    assert client.updates == 1
