"""Makes a run wait while a store suffers: gauges are read once a second, and asked about before each batch.

A gauge looks at one signal of one store (replication lag, dead rows, the optimizer's backlog, ...) and says what holds
the run, if anything. What each means, its limit and its default: docs/throttling.md. Waiting goes on for as long as a
signal holds, since going on would do harm; what waiting may never cure (a snapshot that somebody holds) is waited for
only as long as `limits.patience`, then said once and passed over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import psycopg

from tenure.errors import StoreError, StoreUnreachableError, TenureError
from tenure.runner.workers import allowed

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.playbook.limits import Thresholds
    from tenure.runner.context import Context

log = logging.getLogger(__name__)

# How often the gauges of a store are read. Neo4j takes tens of milliseconds to list its transactions.
SAMPLE_SECONDS: Mapping[str, float] = {"postgres": 1.0, "neo4j": 2.0, "qdrant": 2.0}
POLL_SECONDS = 0.2
# A signal that comes and goes is one wait to those who read the ledger later.
QUIET_SECONDS = 60.0
# A reason's figures change with every look; the ledger gets them this often.
RETELL_SECONDS = 5.0
# A rest between batches is cut into naps no longer than this, for pauses and limits to be heard.
LONGEST_NAP = 1.0
# What a batch took that waited for a store to come back is no work to rest from.
LONGEST_REST = 10.0
# Once over its limit, a signal holds until it is well below: it would flutter otherwise.
RELEASE = 0.8
# Others are at work in a store for this long after a look found one of their sessions at it. One look is enough: large
# batches in one second of a minute are felt by one transaction in sixty.
COMPANY_SECONDS = 15.0


@dataclass(frozen=True)
class Hold:
    """One cause for waiting: which limit it is of, in words, and what makes it so (`holder`).

    `curable` is false where waiting may never help; `press` asks for smaller batches too.
    """

    limit: str
    reason: str
    holder: str = ""
    curable: bool = True
    press: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Return what stays the same while the words change."""
        return (self.limit, self.holder)


class UnreadableError(Exception):
    """A gauge cannot be read by this role or on this server; the text says what would make it readable."""


class Gauge(Protocol):
    """One signal of a store. It may remember what it saw, and is read by one thread at a time."""

    limit: str

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterable[Hold]:
        """Return what holds *operation*; *held* says that this gauge held it at the last look.

        Errors: UnreadableError or StoreError when it cannot be read for good.
        """


class Company(Protocol):
    """Tells how many others are at work in a store at this moment."""

    limit: str

    def count(self) -> int:
        """Return their number. Errors: UnreadableError when it cannot be known."""


def over(value: float, limit: float, held: bool) -> bool:
    """Return whether *value* is over *limit*, or, when it was, not well below yet."""
    return value > (limit * RELEASE if held else limit)


def gauges_for(ctx: Context, store: str) -> list[Gauge]:
    """Return the gauges of a store."""
    if store == "postgres":
        from tenure.runner.gauges_postgres import postgres_gauges

        return postgres_gauges(ctx.postgres)
    if store == "neo4j" and ctx.neo4j_store is not None:
        from tenure.runner.gauges_neo4j import neo4j_gauges

        return neo4j_gauges(ctx.neo4j_store)
    if store == "qdrant" and ctx.qdrant_store is not None:
        from tenure.runner.gauges_qdrant import qdrant_gauges

        return qdrant_gauges(ctx.qdrant_store)
    return []


def company_of(ctx: Context, store: str) -> Company | None:
    """Return what tells of others in a store, where it does."""
    if store == "postgres":
        from tenure.runner.gauges_postgres import Others

        return Others(ctx.postgres)
    return None


class Throttle:
    """Holds the batches of one run. Between `watching` and its end a thread reads the gauges of the operation's store.

    `hold` is called before each batch, from any thread.
    """

    def __init__(
        self,
        ctx: Context,
        say: Callable[[str], None] = lambda reason: None,
        *,
        gauges: Callable[[Context, str], list[Gauge]] = gauges_for,
        company: Callable[[Context, str], Company | None] = company_of,
        clock: Callable[[], float] = monotonic,
        seconds: Mapping[str, float] = SAMPLE_SECONDS,
    ) -> None:
        """Watch for *ctx*; *say* keeps the reason of the wait where `tenure status` finds it ("" when it is over)."""
        self._ctx, self._say, self._clock, self._seconds = ctx, say, clock, seconds
        self._make, self._make_company = gauges, company
        self._accompanied: float | None = None  # when others were last seen at work
        self._said_beside = False
        self._gauges: dict[str, list[Gauge]] = {}
        self._off: set[str] = set()
        self._waited: dict[tuple[str, str], float] = {}
        self._passed: set[tuple[str, str]] = set()
        self._quiet: dict[str, float] = {}
        self._holds: tuple[Hold, ...] = ()
        self._since = self._told = self._looked = 0.0
        self._recorded = False
        self._error: BaseException | None = None
        self._mine = threading.local()

    @property
    def reason(self) -> str:
        """Return what the run waits for, or nothing."""
        return "; ".join(hold.reason for hold in self._holds)

    @contextmanager
    def watching(self, operation: Operation) -> Iterator[None]:
        """Read the gauges while the block works on *operation*, the first time before it begins."""
        over_ = threading.Event()
        self._looked = self._clock()
        self._look_safely(operation)

        def watch() -> None:
            while not over_.wait(self._seconds.get(operation.store, 1.0)):
                self._look_safely(operation)

        thread = threading.Thread(target=watch, name="tenure-throttle", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over_.set()
            thread.join(timeout=10)
            self._stop(operation)

    def hold(self, operation: Operation) -> bool:
        """Return whether the next batch of *operation* has still to wait, after a nap if so; ask again then.

        A worker that may use only a share of its time rests here for the remainder of it. Ends at once when somebody
        asks to stop. Errors: what the watching thread failed with.
        """
        if self._error is not None:
            raise self._error
        if self._holds:
            self._mine.since = None
            return not self._ctx.signal.wait(POLL_SECONDS) and bool(self._holds)
        return self._rest(operation)

    def paused(self) -> None:
        """Owe nothing for the time since this thread's last batch: the run was paused."""
        self._mine.since, self._mine.owed = None, 0.0

    def _rest(self, operation: Operation) -> bool:
        """Nap for what this thread owes since its last batch; return whether something is still owed."""
        now, share = self._clock(), self._share(operation)
        since: float | None = getattr(self._mine, "since", None)
        if since is not None and share < 1:
            self._mine.owed = min((now - since) * (1 / share - 1), LONGEST_REST)
        self._mine.since = None
        owed: float = getattr(self._mine, "owed", 0.0) if share < 1 else 0.0
        nap = min(owed, LONGEST_NAP)
        self._mine.owed = owed - nap
        if nap > 0 and self._ctx.signal.wait(nap):
            return False
        if self._mine.owed > 0:
            return True
        self._mine.since = self._clock()
        return False

    def _share(self, operation: Operation) -> float:
        """Return how much of its time a worker may write at the moment."""
        thresholds = self._ctx.limits.thresholds
        if not self._beside_others():
            return thresholds.share
        return min(thresholds.share, thresholds.beside / allowed(self._ctx, operation))

    def _beside_others(self) -> bool:
        """Return whether others are at work, and are to notice little of it."""
        thresholds = self._ctx.limits.thresholds
        if self._accompanied is None or thresholds.beside >= thresholds.share:
            return False
        return self._clock() - self._accompanied <= COMPANY_SECONDS

    def _stop(self, operation: Operation) -> None:
        """Leave no wait behind; what goes wrong here must not hide what the work itself ended with."""
        error, self._error = self._error, None
        try:
            if error is None:
                self._turn((), operation)
        except (TenureError, psycopg.Error) as failure:
            log.warning("the end of a wait could not be recorded: %s", failure)
        if error is not None:
            log.warning("the gauges of %s failed: %s", operation.store, error)
        self._holds = ()

    # The watching thread.

    def _look_safely(self, operation: Operation) -> None:
        """Look, and keep what goes wrong for the workers: one that nobody looks out for must not go on for ever."""
        try:
            self._look(operation)
        except (StoreUnreachableError, psycopg.OperationalError) as error:
            # The batch will say it better, or find the store there again.
            log.warning("the gauges of %s could not be read: %s", operation.store, error)
            self._holds = ()
        except BaseException as error:  # noqa: BLE001 - raised again by `hold`
            self._error = error

    def _look(self, operation: Operation) -> None:
        """Read the gauges once and act on what they say."""
        now = self._clock()
        spent, self._looked = now - self._looked, now
        thresholds = self._ctx.limits.thresholds
        before = {hold.key for hold in self._holds}
        found: list[Hold] = []
        for gauge in self._gauges.setdefault(operation.store, self._make(self._ctx, operation.store)):
            if gauge.limit in self._off or getattr(thresholds, gauge.limit) is None:
                continue
            held = any(limit == gauge.limit for limit, _ in before)
            try:
                found += gauge.read(thresholds, operation, held)
            except StoreUnreachableError:
                raise
            except (UnreadableError, StoreError) as error:
                self._switch_off(gauge, f"{error}", operation)
        self._count_others(operation)
        found = [hold for hold in found if not self._has_passed(hold, spent, before, operation)]
        for hold in found:
            if hold.press and hold.key not in before:
                self._ctx.pace.shrink(operation.id)
        self._turn(tuple(found), operation)

    def _count_others(self, operation: Operation) -> None:
        company = self._make_company(self._ctx, operation.store)
        if company is None or company.limit in self._off:
            self._accompanied = None
            self._ctx.pace.be_gentle(False)
            return
        try:
            if company.count():
                self._accompanied = self._clock()
            gentle = self._beside_others()
            self._ctx.pace.be_gentle(gentle)
            if gentle and not self._said_beside:
                self._said_beside = True
                share = self._ctx.limits.thresholds.beside
                text = f"others are at work: writes {share:.0%} of the time, in short batches (limits.beside)"
                self._ctx.reporter.note(operation.id, text)
        except UnreadableError as error:
            self._switch_off(company, f"{error}", operation)

    def _switch_off(self, gauge: Gauge | Company, why: str, operation: Operation) -> None:
        self._off.add(gauge.limit)
        text = f"the signal {gauge.limit} is off: {why}"
        self._ctx.reporter.note(operation.id, text)
        self._ctx.ledger.event(self._ctx.run, "signal off", gauge.limit, why)

    def _has_passed(self, hold: Hold, spent: float, before: set[tuple[str, str]], operation: Operation) -> bool:
        """Return whether *hold* was waited for long enough; says so once."""
        if hold.curable:
            return False
        if hold.key in self._passed:
            return True
        if hold.key in before:
            self._waited[hold.key] = self._waited.get(hold.key, 0.0) + spent
        patience = self._ctx.limits.thresholds.patience
        if self._waited.get(hold.key, 0.0) < patience:
            return False
        self._passed.add(hold.key)
        text = f"goes on after {patience:.0f} s of waiting, although {hold.reason}"
        self._ctx.reporter.note(operation.id, text)
        self._ctx.ledger.event(self._ctx.run, "patience", operation.id, text)
        return True

    def _turn(self, holds: tuple[Hold, ...], operation: Operation) -> None:
        """Begin, go on with or end a wait; tell the person, the ledger and `status` what has changed."""
        now, before = self._clock(), self._holds
        self._holds = holds
        if not holds:
            if before:
                self._end(before, operation, now)
            return
        fresh = {hold.limit for hold in holds} - {hold.limit for hold in before}
        if not before:
            self._since = now
        if fresh or now - self._told >= RETELL_SECONDS:
            self._told = now
            self._say(f"waits: {self.reason}")
        if any(now >= self._quiet.get(limit, 0.0) for limit in fresh):
            self._recorded = True
            self._ctx.reporter.waiting(operation.id, self.reason)
            self._ctx.ledger.event(self._ctx.run, "waits", operation.id, self.reason)

    def _end(self, before: tuple[Hold, ...], operation: Operation, now: float) -> None:
        self._say("")
        self._quiet |= {hold.limit: now + QUIET_SECONDS for hold in before}
        if self._recorded:
            self._recorded = False
            why = "; ".join(hold.reason for hold in before)
            self._ctx.reporter.waiting(operation.id, "")
            self._ctx.ledger.event(self._ctx.run, "goes on", operation.id, f"waited {now - self._since:.0f} s: {why}")
