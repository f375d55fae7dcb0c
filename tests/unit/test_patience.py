"""The loop that waits for a store, and what each store's errors are worth waiting for."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import psycopg
import pytest
from neo4j.exceptions import DriverError, IncompleteCommit, Neo4jError, ServiceUnavailable
from psycopg import errors

from tenure.errors import GraphMemoryError, StoreError, StoreUnreachableError
from tenure.stores.neo4j import Neo4jStore
from tenure.stores.patience import BRIEF_SECONDS, Attendant, Verdict, patiently
from tenure.stores.postgres import PostgresStore

LOST = psycopg.OperationalError("server closed the connection unexpectedly")


def failing(times: int, error: Exception) -> Callable[..., None]:
    """A fate that raises *error* so many times, then never again."""
    left = iter(range(times))

    def fate(*_: object) -> None:
        if next(left, None) is not None:
            raise error

    return fate


# The loop.


def test_pauses_grow_up_to_the_longest_and_each_is_said() -> None:
    waits: list[float] = []
    told: list[str] = []
    over: list[str] = []
    fate = failing(9, ValueError("busy."))
    patiently(
        lambda: fate(),
        lambda error: Verdict(error, 60),
        Attendant(waits.append, told.append, over.append),
        first=0.1,
        longest=2.0,
    )
    assert len(waits) == len(told) == 9
    assert all(later > sooner for sooner, later in pairwise(waits[:4]))
    assert 1.4 <= max(waits) <= 2.0
    assert told[0].startswith("busy. Attempt 1 failed; again in 0.1 s, for 60 s")
    assert over[0].startswith("goes on after ")
    assert over[0].endswith("9 failure(s): busy.")


def test_patience_counts_from_the_first_failure_and_ends_with_the_verdict_s_error() -> None:
    def work() -> None:
        raise ValueError("away")

    began = time.monotonic()
    with pytest.raises(StoreError, match="gone for good") as raised:
        patiently(
            work,
            lambda _: Verdict(StoreError(store="x", problem="gone for good", remedy=""), 0.5),
            Attendant(),
            first=0.05,
        )
    assert isinstance(raised.value.__cause__, ValueError)
    assert time.monotonic() - began < 2


def test_a_server_that_names_a_time_is_asked_then() -> None:
    waits: list[float] = []
    fate = failing(1, ValueError("429"))
    patiently(lambda: fate(), lambda error: Verdict(error, 60, after=7.0), Attendant(waits.append))
    assert waits == [7.0]


def test_a_success_at_once_says_nothing() -> None:
    told: list[str] = []
    assert patiently(lambda: 5, lambda error: Verdict(error), Attendant(notify=told.append, over=told.append)) == 5
    assert told == []


# Judging.

PATIENCE = 100.0


@pytest.mark.parametrize(
    ("error", "patience", "words"),
    [
        (LOST, PATIENCE, "could not be reached"),
        (errors.AdminShutdown("terminating"), PATIENCE, "could not be reached"),
        (errors.CannotConnectNow("starting up"), PATIENCE, "could not be reached"),
        (errors.ConnectionFailure("cut"), PATIENCE, "could not be reached"),
        (errors.TooManyConnections("too many clients"), PATIENCE, "too many clients"),
        (errors.DeadlockDetected("deadlock"), PATIENCE, "server's log"),
        (errors.SerializationFailure("could not serialize"), PATIENCE, "limits.workers.postgres"),
        (errors.ReadOnlySqlTransaction("read-only"), PATIENCE, "default_transaction_read_only"),
        (errors.OutOfMemory("out of memory"), BRIEF_SECONDS, "work_mem"),
        (errors.IdleInTransactionSessionTimeout("idle"), BRIEF_SECONDS, "idle_in_transaction_session_timeout"),
        (errors.DiskFull("could not extend file"), 0, "Free room"),
        (errors.UndefinedColumn("no such column"), 0, "no such column"),
        (errors.UniqueViolation("duplicate"), 0, "duplicate"),
        (psycopg.InterfaceError("the cursor is closed"), 0, "cursor is closed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_postgres_errors(error: Exception, patience: float, words: str) -> None:
    verdict = PostgresStore("postgresql://u:geheim77@127.0.0.1:1/d", patience=PATIENCE).judge(error)
    assert verdict.patience == patience
    assert words in str(verdict.error)
    assert isinstance(verdict.error, StoreError)


def graph_error(code: str) -> Neo4jError:
    return Neo4jError._hydrate_neo4j(code=code, message="words")


@pytest.mark.parametrize(
    ("error", "patience", "kind"),
    [
        (ServiceUnavailable("gone"), PATIENCE, StoreUnreachableError),
        (IncompleteCommit("who knows"), PATIENCE, StoreUnreachableError),
        (graph_error("Neo.TransientError.Transaction.DeadlockDetected"), PATIENCE, StoreError),
        (graph_error("Neo.TransientError.General.DatabaseUnavailable"), PATIENCE, StoreError),
        (graph_error("Neo.TransientError.Transaction.Terminated"), PATIENCE, StoreError),
        (graph_error("Neo.ClientError.Cluster.NotALeader"), PATIENCE, StoreError),
        (graph_error("Neo.ClientError.General.ForbiddenOnReadOnlyDatabase"), PATIENCE, StoreError),
        (graph_error("Neo.ClientError.Transaction.TransactionTimedOut"), BRIEF_SECONDS, StoreError),
        (graph_error("Neo.TransientError.General.MemoryPoolOutOfMemoryError"), 0, GraphMemoryError),
        (graph_error("Neo.ClientError.Statement.SyntaxError"), 0, StoreError),
        (graph_error("Neo.ClientError.Security.Unauthorized"), 0, StoreError),
    ],
    ids=lambda value: getattr(value, "code", None) or (type(value).__name__ if isinstance(value, Exception) else None),
)
def test_graph_errors(error: Neo4jError | DriverError, patience: float, kind: type[StoreError]) -> None:
    verdict = Neo4jStore("bolt://127.0.0.1:1", patience=PATIENCE).judge(error)
    assert verdict.patience == patience
    assert type(verdict.error) is kind


def test_what_no_driver_raised_is_no_store_s_failure() -> None:
    for judge in (PostgresStore("").judge, Neo4jStore("bolt://127.0.0.1:1").judge):
        with pytest.raises(ZeroDivisionError):
            judge(ZeroDivisionError())


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnreachableError):
        PostgresStore("postgresql://u@127.0.0.1:1/d", patience=60).open()
    assert time.monotonic() - began < 10
