"""A backfill on a Qdrant that goes away, refuses or answers halfway: every point is keyed, none is written over.

What only a server under load says (`wait_timeout`, `acknowledged`, red, a full disk, whose words were measured on
1.18.3) comes from a scripted server in `tests/unit/test_points_store.py` and `tests/unit/test_qdrant_state.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from cutting_proxy import Cut, proxy
from failures_kit import Notes
from qdrant_kit import App, application, ids, spec

from tenure.attribution.spec import Policy
from tenure.demo.servers import EmbeddedQdrant
from tenure.errors import InterruptedRunError, StoreFailedError
from tenure.operations import payload_writes, set_payload
from tenure.operations.set_payload import SetPayload
from tenure.runner.context import StopSignal
from tenure.runner.failures import Failures
from tenure.runner.workers import work_off
from tenure.stores.qdrant import QdrantStore
from tenure.values import Outcome

POINTS = 600
OWNERS: Mapping[str, str] = {identity: ("acme", "beta")[number % 2] for number, identity in enumerate(ids(POINTS))}
# What the application sets is its own, also where the row says otherwise.
KEEPS = Policy(unassigned="quarantine", conflict="quarantine", existing="keep")
BACKFILL = SetPayload(object="fragments", spec=spec(KEEPS))
UPDATE = b"POST /collections/fragments/points/batch"
BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: application/json\r\nContent-Length: 41\r\n"
    b'Connection: close\r\n\r\n{"status":{"error":"slow down"},"time":0}\n'
)
STARTING = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 40\r\n"
    b'Connection: close\r\n\r\n{"status":{"error":"starting"},"time":0}'
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small windows and requests."""
    for name in ("WINDOW", "LARGEST_WINDOW"):
        monkeypatch.setattr(set_payload, name, 100)
    for name in ("IDS", "SMALL"):
        monkeypatch.setattr(payload_writes, name, 50)


@pytest.fixture
def own_server(qdrant_server: EmbeddedQdrant, qdrant_url: str) -> EmbeddedQdrant:
    """The host process, which can be killed; somebody's server at TENURE_QDRANT cannot."""
    if qdrant_server.external:
        pytest.skip("the server at TENURE_QDRANT is not ours to kill")
    return qdrant_server


@contextmanager
def filled(dsn: str, url: str) -> Iterator[tuple[App, Notes]]:
    """Rows and points, and who hears what is said."""
    with application(dsn, url) as app:
        app.rows(OWNERS)
        app.points({identity: {"text": "x"} for identity in OWNERS})
        app.ctx.ledger.record_run("plan", "playbook", {"operations": [{**BACKFILL.dump(), "digest": "1"}]})
        app.ctx.reporter = notes = Notes()
        yield app, notes


def backfill(app: App) -> Outcome:
    """Run the backfill as the runner does, with its lease, threads and failures; a second call resumes."""
    ctx = app.ctx
    failures = Failures(ctx)
    ctx.token = ctx.ledger.take_lease("test", 600)
    try:
        with failures.attended():
            failures.plan(BACKFILL)
            work_off(ctx, BACKFILL, lambda operation: None, failures)
            swept = failures.persist(BACKFILL, "the sweep", lambda: BACKFILL.sweep(ctx))
        failures.flush()
        return swept
    finally:
        ctx.ledger.drop_lease(ctx.token)


def whole(app: App, given: Mapping[str, str] | None = None) -> None:
    """Assert that every point has its key, or the one that the application gave it, and the range is done."""
    assert app.keys() == {**OWNERS, **(given or {})}
    totals = app.ctx.ledger.totals(BACKFILL.id)
    assert totals.done == totals.ranges == 1


@contextmanager
def at_update(monkeypatch: pytest.MonkeyPatch, number: int, deed: Callable[[], None]) -> Iterator[None]:
    """Do something just before the update of that number is sent."""
    real = QdrantStore.update
    calls = iter(range(1, 10**9))

    def update(self: QdrantStore, collection: str, operations: Any) -> None:
        if next(calls) == number:
            deed()
        real(self, collection, operations)

    with monkeypatch.context() as patch:
        patch.setattr(QdrantStore, "update", update)
        yield


@pytest.mark.parametrize(
    "answer",
    [Cut.BEFORE, Cut.AFTER, BUSY, STARTING],
    ids=["cut before", "cut after", "429 with Retry-After", "503"],
)
def test_every_third_update_fails(
    qdrant_server: EmbeddedQdrant, qdrant_url: str, postgres_dsn: str, answer: Cut | bytes
) -> None:
    """What the application writes before an update is repeated stays its own."""
    seen = iter(range(1, 10**9))
    lock = threading.Lock()
    given: dict[str, str] = {}
    last = max(OWNERS)
    other = "beta" if OWNERS[last] == "acme" else "acme"
    refused = []
    with proxy(int(qdrant_url.rpartition(":")[2])) as failing, QdrantStore(qdrant_url) as its:

        def decide(sent: bytes) -> Cut | bytes:
            with lock:
                if not sent.startswith(UPDATE) or next(seen) % 3:
                    return Cut.NOT
                if not given:
                    given[last] = other
                    its.client.set_payload("fragments", {"project_id": other}, points=[last], wait=True)
                refused.append(time.monotonic())
                return answer

        with filled(postgres_dsn, f"http://127.0.0.1:{failing.port}") as (app, notes):
            app.points({last: {"text": "x"}})
            failing.decide = decide
            assert backfill(app).left == 0
            failing.decide = lambda sent: Cut.NOT
            assert len(refused) >= 3
            whole(app, given)
            assert any("attempt 1 failed" in text.lower() for text in notes.texts)


def test_a_server_that_crashes_and_comes_back(
    own_server: EmbeddedQdrant, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = threading.Event()

    def crash() -> None:
        own_server.kill()
        down.set()

    with filled(postgres_dsn, own_server.url) as (app, notes):
        with at_update(monkeypatch, 4, crash), ThreadPoolExecutor(1) as pool:
            run = pool.submit(backfill, app)
            try:
                notes.wait_for("could not be reached")
                # What reads ahead may have said so while the server was still being killed.
                assert down.wait(60)
            finally:
                own_server.start()
            assert run.result(120).left == 0
        whole(app)
        assert any("goes on after" in text for text in notes.texts)
        with app.ctx.postgres.connection() as connection:
            rows = connection.execute("SELECT kind, object FROM tenure.event").fetchall()
        assert {("waiting", "qdrant"), ("went on", "qdrant")} <= set(rows)


def test_a_server_that_stays_away_ends_the_run_and_a_request_to_stop_ends_the_wait(
    own_server: EmbeddedQdrant, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(postgres_dsn, own_server.url) as (app, notes):
        try:
            with at_update(monkeypatch, 4, own_server.kill), ThreadPoolExecutor(1) as pool:
                app.store.patience = 2.0
                with pytest.raises(StoreFailedError, match=rf"{BACKFILL.id}, range 0: qdrant at .* not be reached"):
                    backfill(app)
                app.store.patience = 600.0
                notes.texts.clear()
                run = pool.submit(backfill, app)
                notes.wait_for("could not be reached")
                app.ctx.signal.set("asked")
                with pytest.raises(InterruptedRunError):
                    run.result(20)
        finally:
            own_server.start()
        app.ctx.signal = StopSignal()
        assert backfill(app).left == 0
        whole(app)
