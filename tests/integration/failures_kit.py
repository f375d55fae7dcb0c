"""What the tests of Postgres failures share: a table of many small batches, a run in a thread, deeds within a batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from postgres_kit import PROJECTS, Application

from tenure.operations.backfill_rows import BackfillRows
from tenure.runner.context import SilentReporter, StopSignal
from tenure.runner.result import RunResult
from tenure.runner.runner import Runner
from tenure.values import Phase

ROWS = 6000
SCHEMA = (
    PROJECTS + "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, p text, body text);"
    "INSERT INTO t (p, body) SELECT (ARRAY['a','b','c'])[1 + i % 3], repeat('x', 200) "
    f"FROM generate_series(1, {ROWS}) i;"
)
TABLES = {"t": {"tenant": {"column": "p"}}}
BACKFILL = "postgres.backfill_rows.t"


class Notes(SilentReporter):
    """Keeps what the operator is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._news = threading.Condition()

    def note(self, operation: str, text: str) -> None:
        with self._news:
            self.texts.append(text)
            self._news.notify_all()

    def wait_for(self, words: str, seconds: float = 60) -> None:
        """Return when something with *words* was said."""
        with self._news:
            assert self._news.wait_for(lambda: self.said(words), seconds), self.texts

    def said(self, words: str) -> bool:
        return any(words in text for text in self.texts)


class Run:
    """One run in a thread of its own."""

    def __init__(self, app: Application) -> None:
        self.app, self.notes, self.signal = app, Notes(), StopSignal()
        session = app.session
        session.ledger.install()
        session.ledger.keep_baseline("catalog", "", session.catalog().model_dump(mode="json"))
        self._runner = Runner(session.context(self.notes, self.signal), app.plan())
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[RunResult] | None = None

    def start(self) -> Run:
        self._future = self._pool.submit(self._runner.run, Phase.BACKFILL)
        return self

    def end(self, seconds: float = 120) -> RunResult:
        """Wait for the end. Errors: the run's."""
        assert self._future is not None
        try:
            return self._future.result(seconds)
        finally:
            self._pool.shutdown(wait=False)


def whole(app: Application) -> None:
    """Assert that every row was keyed once, by the table and by the ledger."""
    assert app.pairs("SELECT p, count(*) FROM t WHERE project_id = p GROUP BY p") == dict.fromkeys("abc", ROWS // 3)
    planned, changed, state = _counts(app)
    assert (planned, changed, state) == (ROWS, ROWS, "done")
    assert app.pairs("SELECT number, state FROM tenure.range WHERE state <> 'done'") == {}


def _counts(app: Application) -> tuple[int, int, str]:
    with app.connect() as connection:
        row = connection.execute(
            "SELECT planned, changed, state FROM tenure.operation WHERE id = %s", (BACKFILL,)
        ).fetchone()
    assert row is not None
    planned, changed, state = row
    return planned, changed, state


def failed(app: Application) -> tuple[str, str]:
    """Assert that run and operation are recorded as failed; return both reasons."""
    with app.connect() as connection:
        run = connection.execute("SELECT state, reason FROM tenure.run ORDER BY id DESC LIMIT 1").fetchone()
        operation = connection.execute("SELECT state, note FROM tenure.operation WHERE id = %s", (BACKFILL,)).fetchone()
    assert run is not None
    assert operation is not None
    assert (run[0], operation[0]) == ("failed", "failed")
    return run[1], operation[1]


@contextmanager
def at_batch(
    monkeypatch: pytest.MonkeyPatch, number: int, deed: Callable[[psycopg.Connection[Any]], None]
) -> Iterator[None]:
    """Do something inside the transaction of the batch of that number, after its rows were written."""
    real = BackfillRows._run
    calls = iter(range(1, 10**9))

    def run(self: BackfillRows, connection: psycopg.Connection[Any], *rest: Any, **named: Any) -> int:
        changed = real(self, connection, *rest, **named)
        if next(calls) == number:
            deed(connection)
        return changed

    with monkeypatch.context() as patch:
        patch.setattr(BackfillRows, "_run", run)
        yield


def until_the_lease_ran_out(app: Application) -> None:
    """Return when a lease that could not be given back has run out; its process, this one, lives."""
    until = time.monotonic() + 60
    while app.value("SELECT token IS NOT NULL AND expires > clock_timestamp() FROM tenure.lease"):
        assert time.monotonic() < until
        time.sleep(0.1)


def waiting(app: Application) -> None:
    """Return when a session of tenure's waits for a lock."""
    until = time.monotonic() + 60
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenure' AND wait_event_type = 'Lock'"
    while app.value(query) == 0:
        assert time.monotonic() < until
        time.sleep(0.05)
