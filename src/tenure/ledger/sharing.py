"""The ledger's verbs for ranges that several processes take: who is alive, what is offered, claims within the limit."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import namedtuple_row

from tenure.ledger.ledger import queries
from tenure.operations.base import Claim

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.stores.postgres import PostgresStore


class Refusal(Enum):
    """Why no range was given: all places are taken, none is left, or the run offers this operation no more."""

    FULL = "full"
    NOTHING = "nothing"
    WITHDRAWN = "withdrawn"


class Offer(NamedTuple):
    """What the run under way gives away; `operation` is None between two of them, `held` while a store suffers.

    `graph` is what the graph calls itself, empty where it does not say.
    """

    run: int
    lease: str
    version: str
    playbook_hash: str
    operation: str | None
    workers: int
    held: bool
    graph: str = ""


class WorkerRow(NamedTuple):
    """A process that takes ranges: `silent` seconds since its last sign of life, `ranges` in its hands."""

    token: str
    holder: str
    process: str
    version: str
    threads: int
    since: datetime
    heartbeat: datetime
    live: bool
    silent: float
    ranges: int
    operation: str | None


class Standing(NamedTuple):
    """Open ranges of an operation: in the hands of live workers, and in nobody's."""

    taken: int
    free: int


class Failure(NamedTuple):
    """The range that failed most often in the hands of workers, and its newest reason."""

    number: int
    times: int
    holder: str
    problem: str


def workers_of(connection: Connection[Any]) -> list[WorkerRow]:
    """Return every worker that the ledger knows, read on *connection*; the oldest first."""
    return [WorkerRow(*row) for row in connection.execute(queries()["workers"].encode()).fetchall()]


class Sharing:
    """Reads and writes the part of schema `tenure` that workers share; every verb is one short transaction."""

    def __init__(self, store: PostgresStore) -> None:
        """Use *store*'s connections."""
        self._store = store

    def installed(self) -> bool:
        """Return whether the ledger is there and knows of workers."""
        with self._store.connection() as connection:
            row = connection.execute("SELECT to_regclass('tenure.worker') IS NOT NULL").fetchone()
            return bool(row and row[0])

    # What is offered.

    def offer(self, what: Offer) -> bool:
        """Offer *what*; False when its lease is another's now."""
        return self._one("fanout_offer", **what._asdict()) is not None

    def close(self, lease: str) -> None:
        """Offer nothing more under *lease*."""
        self._run("fanout_close", lease=lease)

    def close_others(self, lease: str) -> bool:
        """Forget what a run before that of *lease* offered and did not take back; return whether there was one."""
        return self._one("fanout_close_others", lease=lease) is not None

    def open(self) -> bool:
        """Return whether a run that gave something away has not ended in order yet, alive or not."""
        return bool(getattr(self._one("fanout_open"), "open", False))

    def offered(self) -> Offer | None:
        """Return what the live run offers, or None when there is no such run."""
        row = self._one("fanout_read")
        return Offer(*row) if row is not None else None

    # Who is there.

    def beat(self, token: str, holder: str, process: str, version: str, threads: int, seconds: float) -> None:
        """Give a sign of life that is good for *seconds*."""
        self._run(
            "worker_beat",
            token=token,
            holder=holder,
            process=process,
            version=version,
            threads=threads,
            seconds=seconds,
        )

    def leave(self, token: str) -> bool:
        """Free what is claimed under *token* and forget its worker; False when it was forgotten before."""
        with self._store.connection() as connection:
            connection.execute(queries()["release_ranges"].encode(), {"token": token})
            return connection.execute(queries()["worker_leave"].encode(), {"token": token}).fetchone() is not None

    def workers(self) -> list[WorkerRow]:
        """Return every worker, the silent ones of the last minutes too; the oldest first."""
        with self._store.connection() as connection:
            return workers_of(connection)

    def forget_silent(self) -> None:
        """Forget workers of whom nothing was heard for long."""
        self._run("workers_forget")

    def busy(self) -> bool:
        """Return whether a live worker has a range in hand."""
        return bool(getattr(self._one("workers_busy"), "busy", False))

    # Ranges.

    def claim(self, operation: str, token: str, lease: str) -> Claim | Refusal:
        """Claim a range of *operation* for the worker of *token*, while the run of *lease* offers it."""
        with self._store.connection() as connection, connection.cursor(row_factory=namedtuple_row) as cursor:
            place: Any = cursor.execute(
                queries()["fanout_lock"].encode(), {"operation": operation, "lease": lease}
            ).fetchone()
            if place is None:
                return Refusal.WITHDRAWN
            fields = {"operation": operation, "token": token, "workers": place.workers}
            row: Any = cursor.execute(queries()["claim_shared"].encode(), fields).fetchone()
            if row is None:
                standing: Any = cursor.execute(queries()["range_standing"].encode(), fields).fetchone()
                return Refusal.FULL if standing.free else Refusal.NOTHING
            return Claim(operation=row.operation, number=row.number, token=token, bounds=row.bounds, cursor=row.cursor)

    def release(self, claim: Claim) -> None:
        """Put a range back with the cursor that it has."""
        self._run("release_range", operation=claim.operation, number=claim.number, token=claim.token)

    def standing(self, operation: str) -> Standing:
        """Return how many open ranges are taken and free."""
        row = self._one("range_standing", operation=operation)
        assert row is not None
        return Standing(*row)

    def failed(self, claim: Claim, holder: str, problem: str) -> None:
        """Keep what went wrong with a range."""
        self._run("range_failed", operation=claim.operation, number=claim.number, holder=holder, problem=problem)

    def worst(self, operation: str) -> Failure | None:
        """Return the range that failed most often since the operation was offered, or None."""
        row = self._one("range_failures", operation=operation)
        return Failure(*row) if row is not None else None

    def forget_failures(self, operation: str) -> None:
        """Start a new attempt without the failures of the last."""
        self._run("range_failures_forget", operation=operation)

    def _one(self, query: str, **fields: Any) -> Any | None:
        with self._store.connection() as connection, connection.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(queries()[query].encode(), fields).fetchone()

    def _run(self, query: str, **fields: Any) -> None:
        with self._store.connection() as connection:
            connection.execute(queries()[query].encode(), fields)
