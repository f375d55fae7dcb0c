"""Sharing ranges between processes, without a database: who is refused, what is put back, how much is offered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from key_kit import KEY
from tenure import __version__
from tenure.attribution.items import Lookups
from tenure.cli.main import run
from tenure.errors import FanoutMissingError, InterruptedRunError, LeaseLostError, StoreError, WorkerRefusedError
from tenure.fanout import presence as presences
from tenure.fanout import queue
from tenure.fanout.coordinator import MOST_FAILURES, Coordinator
from tenure.fanout.presence import Presence
from tenure.fanout.ranges import Assignment
from tenure.fanout.worker import Worker
from tenure.ledger import Ledger
from tenure.ledger.sharing import Failure, Offer, Refusal, Sharing, Standing
from tenure.operations.base import Claim, Operation, Step
from tenure.runner.context import Context, Limits, StopSignal
from tenure.runner.failures import Failures
from tenure.session import Session
from tenure.stores.postgres import PostgresStore
from tenure.values import Phase, Store

PLAYBOOK = """
version: 1
tenant: {key: project_id, type: text, registry: {table: projects, column: id}}
connections: {postgres: {url: "postgresql://nobody@127.0.0.1:1/none"}}
postgres: {files: {tenant: {column: project}}}
"""


class FakeLedger:
    """Takes note of cursors and events."""

    def __init__(self) -> None:
        self.advanced: list[tuple[int, Any]] = []
        self.events: list[str] = []

    def advance(self, claim: Claim, cursor: Any, *, changed: int, seen: int) -> None:
        self.advanced.append((claim.number, cursor))

    def event(self, run: int | None, kind: str, object_name: str = "", detail: str = "") -> None:
        self.events.append(kind)

    def controls(self) -> dict[str, str]:
        return {"batch_ms": "50"}


class FakeSharing:
    """Answers claims from a list, and remembers what was given back."""

    def __init__(self, answers: Iterable[int | Refusal]) -> None:
        self.answers = list(answers)
        self.released: list[int] = []
        self.problems: list[tuple[int, str]] = []

    def claim(self, operation: str, token: str, lease: str) -> Claim | Refusal:
        answer = self.answers.pop(0) if self.answers else Refusal.NOTHING
        if isinstance(answer, Refusal):
            return answer
        return Claim(operation=operation, number=answer, token=token, bounds={})

    def release(self, claim: Claim) -> None:
        self.released.append(claim.number)

    def failed(self, claim: Claim, holder: str, problem: str) -> None:
        self.problems.append((claim.number, problem))


class Batches(Operation):
    """One batch a range; *breaks* says what happens in it."""

    kind: ClassVar[str] = "test_fanout_batches"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    ranged: ClassVar[bool] = True
    breaks: ClassVar[dict[int, Callable[[Context], None]]] = {}

    def describe(self) -> str:
        return "write batches"

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        trap = self.breaks.get(claim.number)
        if trap is not None:
            trap(ctx)
        return Step(cursor=None, changed=1, seen=1)


def _assignment(sharing: FakeSharing, operation: Operation, ledger: FakeLedger | None = None) -> Assignment:
    ctx = Context(
        key=KEY,
        postgres=PostgresStore(""),
        ledger=cast(Ledger, ledger or FakeLedger()),
        lookups=cast(Lookups, None),
        token="worker",
        limits=Limits(workers={"postgres": 3}),
    )
    shared = cast(Sharing, sharing)
    return Assignment(ctx, shared, operation, "lease", "here:1", lambda operation: False, Failures(ctx))


def test_a_job_ends_when_nothing_is_left_and_waits_while_all_places_are_taken() -> None:
    ledger = FakeLedger()
    sharing = FakeSharing([3, Refusal.FULL, 4, Refusal.NOTHING, 5])
    _assignment(sharing, Batches(object="t"), ledger).take()
    assert ledger.advanced == [(3, None), (4, None)]
    assert sharing.answers == [5]
    assert not sharing.released


def test_a_job_ends_after_its_time_with_the_range_in_hand() -> None:
    ledger = FakeLedger()
    _assignment(FakeSharing([1, 2, 3]), Batches(object="t"), ledger).take(seconds=0)
    assert ledger.advanced == []
    enough = iter([False, False, True])
    _assignment(FakeSharing([1, 2, 3]), Batches(object="t"), ledger).take(enough=lambda: next(enough))
    assert ledger.advanced == [(1, None), (2, None)]


def test_a_range_is_put_back_when_the_worker_is_told_to_stop() -> None:
    class Stopped(Batches):
        kind: ClassVar[str] = "test_fanout_stopped"
        breaks: ClassVar[dict[int, Callable[[Context], None]]] = {2: lambda ctx: ctx.signal.set("asked to")}

        def run_batch(self, ctx: Context, claim: Claim) -> Step:
            step = super().run_batch(ctx, claim)
            return step.model_copy(update={"cursor": {"batch": 1}}) if claim.number == 2 else step

    ledger, sharing = FakeLedger(), FakeSharing([1, 2, 3])
    _assignment(sharing, Stopped(object="t"), ledger).take()
    # The batch in hand was finished and its cursor kept.
    assert ledger.advanced == [(1, None), (2, {"batch": 1})]
    assert sharing.released == [2]
    assert not sharing.problems


def test_a_failure_is_kept_for_the_run_and_its_range_put_back() -> None:
    def broken(ctx: Context) -> None:
        raise StoreError(store="postgres", problem="it broke.", remedy="")

    class Broken(Batches):
        kind: ClassVar[str] = "test_fanout_broken"
        breaks: ClassVar[dict[int, Callable[[Context], None]]] = {2: broken}

    sharing = FakeSharing([1, 2, 3])
    assignment = _assignment(sharing, Broken(object="t"))
    with pytest.raises(StoreError):
        assignment.take()
    assert sharing.released == [2]
    assert sharing.answers == [3]
    ((number, problem),) = sharing.problems
    assert number == 2
    assert "it broke" in problem
    # The other threads of the process end too.
    assert assignment.abort.is_set()


def test_a_range_that_another_took_over_is_left_to_it() -> None:
    def late(ctx: Context) -> None:
        raise LeaseLostError(token="worker")

    class Late(Batches):
        kind: ClassVar[str] = "test_fanout_late"
        breaks: ClassVar[dict[int, Callable[[Context], None]]] = {1: late}

    ledger, sharing = FakeLedger(), FakeSharing([1, 2])
    _assignment(sharing, Late(object="t"), ledger).take()
    assert ledger.advanced == [(2, None)]
    assert not sharing.released
    assert not sharing.problems


@pytest.mark.parametrize(("version", "digest", "said"), [("0.0.1", None, "0.0.1"), (__version__, "0" * 64, "playbook")])
def test_a_worker_that_does_not_fit_says_why_and_takes_nothing(
    version: str, digest: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tenure.yaml"
    path.write_text(PLAYBOOK)
    with Session.open(path) as session:
        ledger = FakeLedger()
        monkeypatch.setattr(Session, "ledger", ledger)
        monkeypatch.setattr(Session, "postgres", PostgresStore(""))
        worker = Worker(session, threads=1, once=True, signal=StopSignal(), say=lambda text: None)
        offer = Offer(1, "lease", version, digest or session.playbook.digest(), "o", 1, False)
        monkeypatch.setattr(worker, "_look", lambda: offer)
        with pytest.raises(WorkerRefusedError, match=said) as refused:
            worker.run()
    assert refused.value.exit_code == 3
    assert ledger.events == ["worker refused"]


def test_without_the_extra_both_ends_say_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tenure.yaml").write_text(PLAYBOOK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(queue, "find_spec", lambda name: None)
    for command in (["worker"], ["apply", "--fanout"]):
        assert run(command) == FanoutMissingError.exit_code == 2
        said = capsys.readouterr().err
        assert "pip install 'tenure[fanout]'" in said
        assert "Traceback" not in said


class FakeBeats:
    """A database that hears of a worker, and can be cut off."""

    def __init__(self) -> None:
        self.beats = 0
        self.left: list[str] = []
        self.away = threading.Event()
        self.more = threading.Semaphore(0)

    def beat(self, *_: Any) -> None:
        if self.away.is_set():
            raise StoreError(store="postgres", problem="it is away.", remedy="")
        self.beats += 1
        self.more.release()

    def offered(self) -> Offer | None:
        return Offer(1, "lease", __version__, "x", "o", 2, False)

    def workers(self) -> list[Any]:
        return []

    def leave(self, token: str) -> bool:
        self.left.append(token)
        return True


def test_a_worker_that_was_away_hears_of_it_before_it_hears_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(presences, "now", lambda: clock[0])
    monkeypatch.setattr(presences, "BEAT_SECONDS", 0.01)
    heard: list[str] = []
    beats = FakeBeats()
    presence = Presence(
        cast(Sharing, beats),
        cast(Ledger, FakeLedger()),
        "here:1",
        4,
        lambda offer, controls: heard.append(controls["batch_ms"]),
        lambda: heard.append("away"),
    )
    with presence:
        assert heard[0] == "50"
        assert not presence.in_doubt()
        beats.away.set()
        clock[0] += 1000
        assert presence.in_doubt()
        before = beats.beats
        beats.away.clear()
        while beats.beats <= before:
            assert beats.more.acquire(timeout=30)
    assert beats.left == [presence.token]
    first = heard.index("away")
    assert "50" in heard[first:]


class FakeQueue:
    """Counts jobs."""

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self.deferred: list[int] = []

    def waiting(self) -> int:
        return self._waiting

    def defer(self, jobs: int, lease: str, operation: str) -> None:
        self.deferred.append(jobs)


@pytest.mark.parametrize(
    ("taken", "free", "waiting", "jobs"),
    [(0, 10, 0, [3]), (1, 10, 1, [1]), (3, 10, 0, []), (0, 2, 0, [2]), (0, 0, 0, [])],
)
def test_as_many_jobs_wait_as_ranges_could_be_taken(taken: int, free: int, waiting: int, jobs: list[int]) -> None:
    class Stands:
        def standing(self, operation: str) -> Standing:
            return Standing(taken, free)

    queue_ = FakeQueue(waiting)
    coordinator = _coordinator(Stands(), queue_)
    coordinator._feed(Batches(object="t"))
    assert queue_.deferred == jobs


@pytest.mark.parametrize("times", [MOST_FAILURES - 1, MOST_FAILURES])
def test_a_range_that_fails_everywhere_ends_the_run_with_the_last_reason(times: int) -> None:
    class Fails:
        def worst(self, operation: str) -> Failure:
            return Failure(7, times, "there:2", "a check stands against it.")

    coordinator = _coordinator(Fails(), FakeQueue(0))
    if times < MOST_FAILURES:
        coordinator._look_for_failures(Batches(object="t"))
        return
    with pytest.raises(Exception, match=r"range 7 failed 3 times .* there:2: a check stands against it"):
        coordinator._look_for_failures(Batches(object="t"))


def _coordinator(sharing: object, queue_: object) -> Coordinator:
    coordinator = object.__new__(Coordinator)
    coordinator._ctx = _assignment(FakeSharing([]), Batches(object="t")).ctx
    coordinator._sharing = cast(Sharing, sharing)
    coordinator._queue = cast(queue.Queue, queue_)
    return coordinator


def test_an_interruption_is_no_failure_of_a_range() -> None:
    def stopped(ctx: Context) -> None:
        raise InterruptedRunError(operation="o")

    class Interrupted(Batches):
        kind: ClassVar[str] = "test_fanout_interrupted"
        breaks: ClassVar[dict[int, Callable[[Context], None]]] = {1: stopped}

    sharing = FakeSharing([1])
    _assignment(sharing, Interrupted(object="t")).take()
    assert sharing.released == [1]
    assert not sharing.problems
