"""What becomes of a store's failure in a run: repeated while it passes, said, and an end with its reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import psycopg
import pytest
from psycopg import errors

from key_kit import KEY
from tenure.attribution.items import Lookups
from tenure.errors import (
    AnswerBrokenError,
    GraphMemoryError,
    InterruptedRunError,
    LeaseLostError,
    StoreFailedError,
    StoreUnreachableError,
)
from tenure.ledger import Ledger
from tenure.operations.base import Claim, Operation, Step
from tenure.runner import failures as module
from tenure.runner.context import Context, SilentReporter
from tenure.runner.failures import Failures
from tenure.runner.workers import work_off
from tenure.stores.neo4j import Neo4jStore
from tenure.stores.patience import Attendant
from tenure.stores.postgres import PostgresStore
from tenure.values import Outcome, Phase, Store

TOKEN = "00000000-0000-0000-0000-000000000001"
LOST = psycopg.OperationalError("server closed the connection unexpectedly")


class Rows:
    """What a statement gave."""

    def __init__(self, row: tuple[Any, ...] | None) -> None:
        self._row = row

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._row


class World(PostgresStore):
    """A Postgres whose only table is one operation's ranges, and the ledger over it; commits and answers can fail."""

    def __init__(self, ranges: int = 1) -> None:
        super().__init__("postgresql://nobody@127.0.0.1:1/none", patience=3)
        self.cursors: dict[int, Any] = dict.fromkeys(range(ranges))
        self.tokens: dict[int, str | None] = dict.fromkeys(range(ranges))
        self.states = dict.fromkeys(range(ranges), "planned")
        self.changed = 0
        self.events: list[tuple[str, str, str]] = []
        self.finished: list[tuple[str, Outcome]] = []
        # Called with the name of each of the ledger's commits: raises before it, or gives what is raised after it.
        self.fate: Callable[[str], Exception | None] = lambda what: None

    @contextmanager
    def connection(self) -> Iterator[Any]:
        yield self

    def execute(self, statement: bytes, fields: tuple[Any, ...]) -> Rows:
        """The two statements of `failures`."""
        if statement == module._FREE:
            _, token, in_hand = fields
            for number, holder in self.tokens.items():
                if holder == token and self.states[number] != "done" and number not in in_hand:
                    self.tokens[number] = None
            return Rows(None)
        number = fields[1]
        return Rows((self.tokens[number], self.states[number], self.cursors[number]))

    def _commit(self, what: str, change: Callable[[], None]) -> None:
        after = self.fate(what)
        change()
        if after is not None:
            raise after

    # The ledger's verbs.

    def claim(self, operation: str, token: str) -> Claim | None:
        number = next((n for n, t in self.tokens.items() if t != token and self.states[n] != "done"), None)
        if number is None:
            return None
        self._commit("claim", lambda: self.tokens.update({number: token}))
        return Claim(operation=operation, number=number, token=token, bounds={}, cursor=self.cursors[number])

    def advance(self, claim: Claim, cursor: Mapping[str, Any] | None, *, changed: int, seen: int) -> None:
        if self.tokens[claim.number] != claim.token:
            raise LeaseLostError(token=claim.token)

        def change() -> None:
            self.cursors[claim.number] = cursor
            self.states[claim.number] = "running" if cursor is not None else "done"
            self.changed += changed

        self._commit("advance", change)

    def event(self, run: int | None, kind: str, object_name: str = "", detail: str = "") -> None:
        self._commit("event", lambda: self.events.append((kind, object_name, detail)))


class Batches(Operation):
    """Three batches a range, each changing one item."""

    kind: ClassVar[str] = "test_batches"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    ranged: ClassVar[bool] = True
    fate: ClassVar[Callable[[Claim], None]] = staticmethod(lambda claim: None)

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        type(self).fate(claim)
        number = int((claim.cursor or {}).get("batch", 0)) + 1
        return Step(cursor={"batch": number} if number < 3 else None, changed=1, seen=1)


class Notes(SilentReporter):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def note(self, operation: str, text: str) -> None:
        self.notes.append((operation, text))


def context(world: World) -> tuple[Context, Notes]:
    notes = Notes()
    ctx = Context(
        key=KEY,
        postgres=world,
        ledger=cast(Ledger, world),
        lookups=cast(Lookups, None),
        neo4j_store=Neo4jStore("bolt://127.0.0.1:1", patience=3),
        token=TOKEN,
        reporter=notes,
    )
    return ctx, notes


def failing(times: int, error: Exception) -> Callable[..., None]:
    """A fate that raises *error* so many times, then never again."""
    left = iter(range(times))

    def fate(*_: object) -> None:
        if next(left, None) is not None:
            raise error

    return fate


# In a run.


def test_a_batch_that_broke_off_is_run_again_and_said() -> None:
    world = World(4)
    ctx, notes = context(world)

    class Broken(Batches):
        kind: ClassVar[str] = "test_broken"
        fate: ClassVar[Callable[[Claim], None]] = staticmethod(failing(3, LOST))

    failures = Failures(ctx)
    work_off(ctx, Broken(object="t"), lambda operation: None, failures)
    assert world.changed == 12
    assert set(world.states.values()) == {"done"}
    said = [text for source, text in notes.notes if source == "postgres.test_broken.t"]
    assert "server closed the connection unexpectedly" in said[0]
    assert said[-1].startswith("goes on after")
    failures.flush()
    assert [kind for kind, _, _ in world.events][:2] == ["waiting", "went on"]


def test_a_cursor_that_was_saved_before_the_answer_was_lost_is_not_saved_twice() -> None:
    world = World(1)
    ctx, _ = context(world)
    answers = iter([None, LOST, None, None])
    world.fate = lambda what: next(answers) if what == "advance" else None
    work_off(ctx, Batches(object="t"), lambda operation: None)
    assert world.changed == 3
    assert next(answers, "used up") is None, "three batches, and none of them saved again"


def test_a_batch_that_was_committed_before_the_answer_was_lost_is_not_run_again() -> None:
    world = World(1)
    ctx, _ = context(world)
    begun: list[Any] = []

    class Committing(Batches):
        """Saves its cursor with its rows, as Postgres batches do; the answer to the second commit is lost."""

        kind: ClassVar[str] = "test_committing"

        def run_batch(self, ctx: Context, claim: Claim) -> Step:
            begun.append(claim.cursor)
            step = super().run_batch(ctx, claim)
            ctx.ledger.advance(claim, step.cursor, changed=1, seen=1)
            if len(begun) == 2:
                raise LOST
            return step.model_copy(update={"committed": True})

    work_off(ctx, Committing(object="t"), lambda operation: None)
    assert begun == [None, {"batch": 1}, {"batch": 2}]
    assert world.changed == 3


def test_a_range_that_went_back_with_its_rows_is_gone_on_with_from_there() -> None:
    """A server that crashed has lost the last commits, rows and cursor alike."""
    world = World(1)
    ctx, _ = context(world)
    begun: list[Any] = []

    def crash(claim: Claim) -> None:
        begun.append(claim.cursor)
        if len(begun) == 3:
            world.cursors[0], world.changed = None, 0
            raise LOST

    class Crashing(Batches):
        kind: ClassVar[str] = "test_crashing"
        fate: ClassVar[Callable[[Claim], None]] = staticmethod(crash)

    work_off(ctx, Crashing(object="t"), lambda operation: None)
    assert begun == [None, {"batch": 1}, {"batch": 2}, None, {"batch": 1}, {"batch": 2}]
    assert world.changed == 3
    assert world.states[0] == "done"


def test_a_range_that_another_runner_took_meanwhile_is_left_to_it() -> None:
    world = World(1)
    ctx, _ = context(world)

    def taken(claim: Claim) -> None:
        world.tokens[0] = "another"
        raise LOST

    class Taken(Batches):
        kind: ClassVar[str] = "test_taken"
        fate: ClassVar[Callable[[Claim], None]] = staticmethod(taken)

    with pytest.raises(LeaseLostError):
        work_off(ctx, Taken(object="t"), lambda operation: None)
    assert world.changed == 0


def test_a_claim_whose_answer_was_lost_is_claimed_again() -> None:
    world = World(5)
    ctx, _ = context(world)
    fates = iter([None, LOST, None, LOST])
    world.fate = lambda what: next(fates, None) if what == "claim" else None
    work_off(ctx, Batches(object="t"), lambda operation: None)
    assert set(world.states.values()) == {"done"}
    assert world.changed == 15


def test_what_does_not_pass_ends_with_range_cause_and_remedy() -> None:
    world = World(1)
    ctx, notes = context(world)

    class Full(Batches):
        kind: ClassVar[str] = "test_full"
        fate: ClassVar[Callable[[Claim], None]] = staticmethod(failing(1, errors.DiskFull("could not extend file x")))

    with pytest.raises(StoreFailedError) as raised:
        work_off(ctx, Full(object="t"), lambda operation: None)
    said = str(raised.value)
    for words in ("postgres.test_full.t, range 0", "could not extend file x", "Free room", "goes on there"):
        assert words in said
    assert notes.notes == []


def test_what_lasts_ends_after_the_store_s_patience() -> None:
    world = World(1)
    world.patience = 0.5
    ctx, _ = context(world)
    began = time.monotonic()
    with pytest.raises(StoreFailedError, match=r"range 7: postgres at .* could not be reached"):
        Failures(ctx).persist(Batches(object="t"), "range 7", failing(10**6, LOST))
    assert time.monotonic() - began < 3


def test_a_request_to_stop_ends_a_wait_at_once() -> None:
    ctx, _ = context(World())
    cast(World, ctx.postgres).patience = 600
    threading.Timer(0.5, lambda: ctx.signal.set("asked")).start()
    began = time.monotonic()
    with pytest.raises(InterruptedRunError):
        Failures(ctx).persist(Batches(object="t"), "all of it", failing(10**6, LOST))
    assert time.monotonic() - began < 2


def test_a_sibling_s_end_ends_a_wait() -> None:
    world = World(2)
    world.patience = 600
    ctx, _ = context(world)
    waiting = threading.Event()

    def both(claim: Claim) -> None:
        if claim.number == 0:
            waiting.set()
            raise LOST
        assert waiting.wait(30)
        raise errors.DiskFull("full")

    class Both(Batches):
        kind: ClassVar[str] = "test_both"
        fate: ClassVar[Callable[[Claim], None]] = staticmethod(both)

    began = time.monotonic()
    with pytest.raises(StoreFailedError, match="full"):
        work_off(ctx, Both(object="t"), lambda operation: None)
    assert time.monotonic() - began < 10


def test_memory_that_ran_out_halves_the_next_batch() -> None:
    ctx, notes = context(World())
    operation = Batches(object="t")
    assert ctx.pace.size(operation.id, start=800, least=10, most=1000) == 800
    Failures(ctx).persist(operation, "range 0", failing(2, GraphMemoryError(store="neo4j", problem="pool")))
    assert ctx.pace.size(operation.id, start=800, least=10, most=1000) == 200
    assert notes.notes[0][1].startswith("neo4j: the transaction did not fit into the server's memory: pool ")
    assert "The next batch is half as large." in notes.notes[0][1]


def test_a_stream_that_broke_off_is_read_again() -> None:
    ctx, _ = context(World())
    Failures(ctx).persist(Batches(object="t"), "the sweep", failing(2, AnswerBrokenError(store="neo4j", problem="cut")))


def test_however_many_wait_the_operator_hears_of_it_once_in_a_while() -> None:
    world = World()
    ctx, notes = context(world)
    failures = Failures(ctx)
    with failures.attended():
        for _ in range(50):
            world.attendant.notify("away")
        world.attendant.over("back")
        world.attendant.over("back")
    assert notes.notes == [("world", "away"), ("world", "back")]
    assert world.attendant == Attendant()


def test_an_end_that_the_ledger_cannot_take_down_is_said() -> None:
    ctx, notes = context(World())

    def write() -> None:
        raise StoreUnreachableError(store="postgres", address="x", problem="gone")

    Failures(ctx).record("the run is failed", write)
    assert notes.notes[0][0] == "ledger"
    assert "the run is failed" in notes.notes[0][1]


def test_events_survive_a_ledger_that_does_not_answer() -> None:
    world = World()
    ctx, _ = context(world)
    failures = Failures(ctx)
    failures.persist(Batches(object="t"), "range 0", failing(1, LOST))
    world.fate = failing(1, LOST)
    with pytest.raises(psycopg.OperationalError):
        failures.flush()
    failures.flush()
    assert [kind for kind, _, _ in world.events] == ["waiting", "went on"]
