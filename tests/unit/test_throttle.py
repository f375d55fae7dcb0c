"""A run waits while a gauge says so, tells it once, and goes on; what waiting may never cure has its bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import click
import psycopg
import pytest

from key_kit import KEY
from tenure.attribution.items import Lookups
from tenure.cli.control import parse_limit
from tenure.errors import StoreUnreachableError
from tenure.ledger import Ledger
from tenure.operations.base import Operation
from tenure.playbook.limits import Limits as PlaybookLimits
from tenure.playbook.limits import Thresholds, limit_names
from tenure.runner.context import Context, Limits, SilentReporter
from tenure.runner.throttle import POLL_SECONDS, Gauge, Hold, Throttle, UnreadableError, over
from tenure.stores.postgres import PostgresStore
from tenure.values import Phase, Store

LAG = Hold("replication_lag", "replica r1 is 34 s behind", "r1")
HELD = Hold("snapshot", "a session has held back vacuum for 90 s", "pid 7", curable=False)


class Writes(Operation):
    kind: ClassVar[str] = "test_writes"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    ranged: ClassVar[bool] = True


OPERATION = Writes(object="t")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A ledger and a reporter that remember what they are told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.waits: list[str] = []
        self.notes: list[str] = []
        self.reasons: list[str] = []

    def event(self, run: int | None, kind: str, object_name: str = "", detail: str = "") -> None:
        self.events.append((kind, object_name, detail))


class Reporter(SilentReporter):
    def __init__(self, told: Told) -> None:
        self._told = told

    def note(self, operation: str, text: str) -> None:
        self._told.notes.append(text)

    def waiting(self, operation: str, reason: str) -> None:
        self._told.waits.append(reason)


class Fake:
    """A gauge that says what the test wants, and remembers how it was asked."""

    def __init__(self, limit: str = "replication_lag") -> None:
        self.limit = limit
        self.says: list[Hold] = []
        self.error: Exception | None = None
        self.held: list[bool] = []

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterable[Hold]:
        self.held.append(held)
        if self.error is not None:
            raise self.error
        return list(self.says)


class Others:
    """Other sessions at work."""

    limit = "beside"

    def __init__(self) -> None:
        self.working = 0
        self.error: Exception | None = None

    def count(self) -> int:
        if self.error is not None:
            raise self.error
        return self.working


class World:
    """A throttle whose gauges, clock and looks are the test's."""

    def __init__(self, *gauges: Fake, **limits: str) -> None:
        self.company: Others | None = None
        self.told, self.clock = Told(), Clock()
        self.ctx = Context(
            key=KEY,
            postgres=PostgresStore(""),
            ledger=cast(Ledger, self.told),
            lookups=cast(Lookups, None),
            limits=Limits().with_controls(limits),
            reporter=Reporter(self.told),
        )
        self.throttle = Throttle(
            self.ctx,
            self.told.reasons.append,
            gauges=lambda ctx, store: cast(list[Gauge], list(gauges)),
            company=lambda ctx, store: self.company,
            clock=self.clock,
            seconds={"postgres": 3600.0},
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        with self.throttle.watching(OPERATION):
            yield

    def look(self, later: float = 1.0) -> None:
        self.clock.now += later
        self.throttle._look_safely(OPERATION)

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.told.events]


def test_a_batch_waits_from_the_first_look_on_and_the_wait_is_told_once() -> None:
    gauge = Fake()
    gauge.says = [LAG]
    world = World(gauge)
    with world.watching():
        assert world.throttle.hold(OPERATION)
        for _ in range(20):
            world.look()
            assert world.throttle.hold(OPERATION)
        assert world.told.events == [("waits", OPERATION.id, LAG.reason)]
        assert world.told.waits == [LAG.reason]
        assert world.told.reasons[0] == f"waits: {LAG.reason}"
        gauge.says = []
        world.look()
        assert not world.throttle.hold(OPERATION)
    assert world.told.events[1:] == [("goes on", OPERATION.id, f"waited 21 s: {LAG.reason}")]
    assert (world.told.waits[-1], world.told.reasons[-1]) == ("", "")


def test_the_figures_of_a_long_wait_reach_status_now_and_then() -> None:
    gauge = Fake()
    gauge.says = [LAG]
    world = World(gauge)
    with world.watching():
        for seconds in range(35, 55):
            gauge.says = [Hold("replication_lag", f"replica r1 is {seconds} s behind", "r1")]
            world.look()
    assert world.told.reasons[:-1] == ["waits: replica r1 is 34 s behind"] + [
        f"waits: replica r1 is {seconds} s behind" for seconds in (39, 44, 49, 54)
    ]


def test_a_signal_that_flutters_is_one_wait_in_the_ledger() -> None:
    gauge = Fake()
    world = World(gauge)
    with world.watching():
        for _ in range(10):
            gauge.says = [LAG]
            world.look()
            gauge.says = []
            world.look()
    assert world.kinds() == ["waits", "goes on"]
    assert gauge.held == [False] + [False, True] * 10, "a gauge is told whether it holds: it lets go only well below"


def test_a_value_lets_go_only_well_below_its_limit() -> None:
    assert [over(value, 10, False) for value in (9, 10, 10.1)] == [False, False, True]
    assert [over(value, 10, True) for value in (10, 8.1, 8, 7)] == [True, True, False, False]


def test_the_end_of_an_operation_leaves_no_reason_behind() -> None:
    gauge = Fake()
    gauge.says = [LAG]
    world = World(gauge)
    with world.watching():
        assert world.throttle.reason == LAG.reason
    assert (world.throttle.reason, world.told.reasons[-1], world.kinds()[-1]) == ("", "", "goes on")


def test_what_waiting_may_never_cure_is_waited_for_within_bounds_and_once() -> None:
    gauge = Fake("snapshot")
    gauge.says = [HELD]
    world = World(gauge, patience="60s")
    with world.watching():
        for _ in range(59):
            world.look()
        assert world.throttle.hold(OPERATION)
        world.look()
        assert not world.throttle.hold(OPERATION)
        assert world.told.notes == [f"goes on after 60 s of waiting, although {HELD.reason}"]
        world.look(500)
        assert not world.throttle.hold(OPERATION)
        gauge.says = [HELD, Hold("snapshot", "another session", "pid 8", curable=False)]
        world.look()
        assert world.throttle.hold(OPERATION), "another holder is waited for anew"
    with world.watching():
        assert world.throttle.reason == "another session"
    assert world.kinds().count("patience") == 1


def test_what_does_harm_is_waited_for_without_bounds() -> None:
    gauge = Fake()
    gauge.says = [LAG]
    world = World(gauge, patience="1s")
    with world.watching():
        world.look(100_000)
        assert world.throttle.hold(OPERATION)


def test_a_gauge_that_may_not_be_read_is_switched_off_with_one_note() -> None:
    gauge, other = Fake("snapshot"), Fake()
    gauge.error = UnreadableError("permission denied. Grant it.")
    world = World(gauge, other)
    other.says = [LAG]
    with world.watching():
        world.look()
        assert world.throttle.hold(OPERATION), "the others go on"
    with world.watching():
        pass
    assert len(gauge.held) == 1
    assert world.told.notes == ["the signal snapshot is off: permission denied. Grant it."]
    assert world.kinds().count("signal off") == 1


def test_a_signal_can_be_switched_off_and_on_while_it_holds() -> None:
    gauge = Fake()
    gauge.says = [LAG]
    world = World(gauge)
    with world.watching():
        assert world.throttle.hold(OPERATION)
        world.ctx.limits = Limits().with_controls({"replication_lag": "off"})
        world.look()
        assert not world.throttle.hold(OPERATION)
        world.ctx.limits = Limits()
        world.look()
        assert world.throttle.hold(OPERATION)


def test_a_store_that_is_away_holds_nothing_back_and_is_no_failure() -> None:
    gauge = Fake()
    gauge.says = [LAG]
    world = World(gauge)
    with world.watching():
        for error in (
            psycopg.OperationalError("gone"),
            StoreUnreachableError(store="postgres", address="x", problem="gone"),
        ):
            gauge.error = error
            world.look()
            assert not world.throttle.hold(OPERATION)
            gauge.error = None
            world.look()
            assert world.throttle.hold(OPERATION)


def test_a_gauge_that_breaks_stops_the_workers_instead_of_watching_no_more() -> None:
    gauge = Fake()
    world = World(gauge)
    with world.watching():
        gauge.error = ZeroDivisionError("broken")
        world.look()
        with pytest.raises(ZeroDivisionError):
            world.throttle.hold(OPERATION)


def test_a_request_to_stop_ends_a_wait_at_once() -> None:
    gauge = Fake()
    gauge.says = [LAG]
    world = World(gauge)
    with world.watching():
        world.ctx.signal.set("asked")
        assert not world.throttle.hold(OPERATION)


def test_those_who_wait_for_us_make_batches_smaller_once_a_wait() -> None:
    gauge = Fake("lock_wait")
    world = World(gauge)
    sizes = {"start": 1000, "least": 10, "most": 1000}
    assert world.ctx.pace.size(OPERATION.id, **sizes) == 1000
    with world.watching():
        gauge.says = [Hold("lock_wait", "1 session waits", press=True)]
        for _ in range(5):
            world.look()
        assert world.ctx.pace.size(OPERATION.id, **sizes) == 500
        gauge.says = []
        world.look()
        gauge.says = [Hold("lock_wait", "1 session waits", press=True)]
        world.look()
        assert world.ctx.pace.size(OPERATION.id, **sizes) == 250


def test_a_share_of_the_time_is_rest_of_each_thread_s_own() -> None:
    world = World(share="25%")
    naps: list[float] = []

    class Napping:
        def wait(self, seconds: float) -> bool:
            naps.append(seconds)
            world.clock.now += seconds
            return False

    world.ctx.signal = cast(Any, Napping())
    with world.watching():
        assert not world.throttle.hold(OPERATION), "the first batch owes nothing"
        world.clock.now += 0.2
        assert not world.throttle.hold(OPERATION)
        assert naps == [pytest.approx(0.6)]
        world.clock.now += 0.5
        assert world.throttle.hold(OPERATION), "a long rest is cut, so that a pause is heard"
        assert not world.throttle.hold(OPERATION)
        assert naps[1:] == [pytest.approx(1.0), pytest.approx(0.5)]
        world.clock.now += 1000
        world.throttle.paused()
        assert not world.throttle.hold(OPERATION), "a pause was rest enough"
        world.clock.now += 1000
        rested = len(naps)
        while world.throttle.hold(OPERATION):
            pass
        assert sum(naps[rested:]) == pytest.approx(10), "a store that was away was no work to rest from"
        rested = len(naps)
        other = threading.Thread(target=world.throttle.hold, args=(OPERATION,))
        other.start()
        other.join()
        assert len(naps) == rested, "another thread owes nothing for this one's batch"


def batch(world: World) -> int:
    """Return the size of the next batch."""
    return world.ctx.pace.size(OPERATION.id, start=600, least=1, most=600)


def test_a_run_takes_less_of_its_time_while_others_are_at_work() -> None:
    world = World(beside="50%", **{"workers.postgres": "2"})
    world.company = others = Others()
    assert batch(world) == 600
    with world.watching():
        assert world.throttle._share(OPERATION) == 1
        others.working = 1
        world.look()
        assert world.throttle._share(OPERATION) == 0.25, "at once, and all workers together half of it"
        assert batch(world) == 100
        world.look()
        assert len(world.told.notes) == 1
        world.ctx.limits = Limits().with_controls({"beside": "60%", "share": "40%"})
        assert world.throttle._share(OPERATION) == 0.4, "it is asked to write less whoever is there"
        others.working = 0
        world.ctx.limits = Limits().with_controls({"beside": "25%", "workers.postgres": "1"})
        for _ in range(10):
            world.look()
        assert world.throttle._share(OPERATION) == 0.25, "an application rests between its requests"
        for _ in range(10):
            world.look()
        assert world.throttle._share(OPERATION) == 1
        world.ctx.pace.took(OPERATION.id, 100, 0.1)
        assert batch(world) == 130, "batches may be long again"
        others.error = UnreadableError("hidden")
        world.look()
        world.look()
    assert world.told.notes[1:] == ["the signal beside is off: hidden"]


def test_the_watch_looks_by_itself() -> None:
    looked = threading.Event()

    class Counting(Fake):
        def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterable[Hold]:
            self.held.append(held)
            if len(self.held) == 3:
                looked.set()
            return []

    gauge = Counting()
    world = World(gauge)
    throttle = Throttle(
        world.ctx,
        gauges=lambda ctx, store: cast(list[Gauge], [gauge]),
        company=lambda ctx, store: None,
        seconds={"postgres": POLL_SECONDS / 10},
    )
    with throttle.watching(OPERATION):
        assert looked.wait(30)
    assert not [thread for thread in threading.enumerate() if thread.name == "tenure-throttle"]


# What may be set, in the playbook and by `tenure limit`.


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("batch_ms=150", "batch_ms", 150),
        ("share=25%", "share", 0.25),
        ("replication_lag=500ms", "replication_lag", 0.5),
        ("replication_lag=off", "replication_lag", None),
        ("replication_bytes=64MB", "replication_bytes", 64 * 2**20),
        ("slot_wal = 1.5 GB", "slot_wal", int(1.5 * 2**30)),
        ("ignore_replicas=delayed, other", "ignore_replicas", ("delayed", "other")),
        ("autovacuum=120%", None, "100%"),
        ("autovacuum=80%", "autovacuum", 0.8),
        ("neo4j_memory=OFF", "neo4j_memory", None),
        ("qdrant_backlog=5000", "qdrant_backlog", 5000),
        ("qdrant_queue=0", None, "from 1"),
        ("patience=off", None, "10s"),
        ("share=0%", None, "1% to 100%"),
        ("share=off", None, "1% to 100%"),
        ("slot_wal=much", None, "10GB"),
        ("snapshot=soon", None, "10s"),
        ("checkpoints", None, "checkpoints=VALUE"),
        ("workers.mysql=1", None, "workers.qdrant"),
    ],
)
def test_limits_are_read_as_they_are_written_or_refused_with_what_to_write(
    setting: str, field: str | None, value: Any
) -> None:
    if field is None:
        with pytest.raises(click.UsageError, match=value):
            parse_limit(setting)
        return
    name, text = parse_limit(setting)
    assert getattr(PlaybookLimits().changed(name, text), field) == value


def test_every_limit_of_the_playbook_can_be_changed_in_a_run() -> None:
    names = set(limit_names())
    assert names - {"workers.postgres", "workers.neo4j", "workers.qdrant"} == set(PlaybookLimits.model_fields) - {
        "workers"
    }
    limits = Limits.of(PlaybookLimits(share=0.5)).with_controls(
        {"pause": "on", "snapshot": "off", "workers.neo4j": "7", "batch_ms": "90", "share": "a lot"}
    )
    assert (limits.thresholds.snapshot, limits.workers["neo4j"], limits.batch_ms) == (None, 7, 90)
    assert limits.thresholds.share == 0.5, "what cannot be read leaves the limit as it was"
