"""`tenure worker`: takes ranges of whatever run offers some, until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from tenure import __version__
from tenure.errors import WorkerRefusedError
from tenure.fanout.presence import Presence
from tenure.fanout.queue import require, serve
from tenure.fanout.ranges import Assignment, Notes, graph_name
from tenure.ledger.sharing import Offer, Sharing
from tenure.operations import load
from tenure.operations.base import Operation
from tenure.runner.context import Limits, StopSignal
from tenure.runner.failures import Failures
from tenure.runner.runner import holder_name

if TYPE_CHECKING:
    from tenure.session import Session

POLL_SECONDS = 1.0
HOLD_POLL_SECONDS = 0.2


class Worker:
    """One process that takes ranges in up to *threads* threads; the run's limits decide how many of them work."""

    def __init__(
        self, session: Session, *, threads: int, once: bool, signal: StopSignal, say: Callable[[str], None]
    ) -> None:
        """Work for the runs of *session*'s playbook; with *once*, for one run. Errors: FanoutMissingError."""
        require()
        self._session, self._threads, self._once = session, threads, once
        self._signal, self._say = signal, say
        self._sharing = Sharing(session.postgres)
        self._digest = session.playbook.digest()
        self._paused = threading.Event()
        self._lock = threading.Lock()
        self._offer: Offer | None = None
        self._controls: Mapping[str, str] = {}
        self._assignment: Assignment | None = None
        self._attended = ExitStack()
        self._limits = Limits()
        self._problem: BaseException | None = None
        self._said = ""

    def run(self) -> None:
        """Take ranges until told to stop, or, with *once*, until the run has ended.

        Errors: WorkerRefusedError when this worker does not fit the run; what a batch raised, its range put back.
        """
        served = False
        while not self._signal.is_set():
            try:
                offer = self._look()
                if offer is not None:
                    self._fit(offer)
                    self._tell(f"taking ranges of run {offer.run}")
                    served = True
                    self._work_for(offer)
                    continue
                if served and self._once and not self._sharing.open():
                    break
            except psycopg.OperationalError as error:
                # A connection that broke: the next one is waited for, for as long as the store is worth waiting for.
                self._tell(f"the database went away: {str(error).strip()}")
            else:
                self._tell("waiting for a run: `tenure apply --fanout`")
            self._signal.wait(POLL_SECONDS)
        self._tell("stopped; what it held is put back")

    def _look(self) -> Offer | None:
        return self._sharing.offered() if self._sharing.installed() else None

    def _fit(self, offer: Offer) -> None:
        """Errors: WorkerRefusedError."""
        if offer.version != __version__:
            problem = f"the run is tenure {offer.version}'s, and this is tenure {__version__}."
            remedy = "Install the same version here."
        elif offer.playbook_hash != self._digest:
            problem = "the run's playbook says something else than the one given here."
            remedy = "Give this worker the same file, with the CSV files that it names."
        else:
            return
        self._session.ledger.event(offer.run, "worker refused", "", f"{holder_name()}: {problem}")
        raise WorkerRefusedError(problem=problem, remedy=remedy)

    def _work_for(self, offer: Offer) -> None:
        """Serve the queue while the run of *offer* goes on. Errors: those of `run`."""
        ledger = self._session.ledger
        presence = Presence(self._sharing, ledger, holder_name(), self._threads, self._hear, self._lapsed)
        with presence:

            def enough() -> bool:
                current = self._offer
                gone = current is None or current.lease != offer.lease
                return gone or self._signal.is_set() or self._problem is not None

            try:
                serve(
                    self._session.playbook.connections.postgres,
                    self._threads,
                    lambda lease, operation: self._job(presence, lease, operation),
                    enough,
                )
            except psycopg.OperationalError:
                if self._problem is None:
                    raise
            except psycopg.Error:
                # A run that ends takes its queue away; whether it did is what the ledger says.
                left = self._look()
                if left is not None and left.lease == offer.lease and self._problem is None:
                    raise
            finally:
                self._drop()
                self._offer = None
        if self._problem is not None:
            raise self._problem

    # Called from the threads of the queue.

    def _job(self, presence: Presence, lease: str, operation: str) -> None:
        """Take ranges for one job; one that is of yesterday is over at once."""
        try:
            assignment = self._assigned(presence, lease, operation)
            if assignment is not None:
                assignment.take()
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread, which ends the worker
            self._problem = self._problem or error

    def _assigned(self, presence: Presence, lease: str, operation: str) -> Assignment | None:
        with self._lock:
            known = self._assignment
            if known is not None and _is(known, lease, operation) and not known.ctx.signal.is_set():
                return known
            offer = self._look()
            if offer is None or (offer.lease, offer.operation) != (lease, operation) or self._problem is not None:
                return None
            self._drop()
            self._offer = offer
            loaded = self._load(operation)
            base = self._session.context()
            if loaded.store == "neo4j" and offer.graph and graph_name(base) not in ("", offer.graph):
                raise WorkerRefusedError(
                    problem="the graph at this playbook's address is another database than the run's.",
                    remedy="Give this worker the address of the run's graph, as seen from here.",
                )
            notes = Notes(lambda operation, text: self._say(f"{operation}: {text}"))
            ctx = replace(base, token=presence.token, run=offer.run, signal=StopSignal(), reporter=notes)
            self._limits = base.limits
            ctx.limits = base.limits.with_controls(self._controls)
            ctx.signal.in_doubt = presence.in_doubt
            if self._signal.is_set():
                ctx.signal.set(self._signal.reason)
            failures = Failures(ctx)
            assignment = Assignment(ctx, self._sharing, loaded, lease, presence.holder, self._hold, failures)
            self._attended.enter_context(failures.attended())
            self._attended.enter_context(failures.until(assignment.abort.is_set))
            self._assignment = assignment
            return assignment

    def _load(self, identity: str) -> Operation:
        """Return the operation as the ledger has it. Errors: WorkerRefusedError when it means something else here."""
        row = self._session.ledger.operation(identity)
        operation = load(row.body)
        if operation.dump()["digest"] != row.digest:
            raise WorkerRefusedError(
                problem=f"this installation understands {operation.describe()!r} otherwise than the run does.",
                remedy="Install the very same tenure here.",
            )
        return operation

    def _hold(self, _operation: Operation) -> bool:
        """Return whether the next batch has still to wait, after a nap if so: for the operator, or for a store."""
        offer = self._offer
        if not self._paused.is_set() and (offer is None or not offer.held):
            return False
        assignment = self._assignment
        return assignment is not None and not assignment.ctx.signal.wait(HOLD_POLL_SECONDS)

    # Called from the thread of the heartbeat.

    def _hear(self, offer: Offer | None, controls: Mapping[str, str]) -> None:
        self._offer, self._controls = offer, controls
        if controls.get("pause", "off") == "on":
            self._paused.set()
        else:
            self._paused.clear()
        assignment = self._assignment
        if assignment is None:
            return
        assignment.ctx.limits = self._limits.with_controls(controls)
        if offer is None or not _is(assignment, offer.lease, offer.operation):
            assignment.ctx.signal.set("the run offers it no more")
        elif self._signal.is_set():
            assignment.ctx.signal.set(self._signal.reason)

    def _lapsed(self) -> None:
        if self._assignment is not None:
            self._assignment.ctx.signal.set("this worker was away for too long")

    def _drop(self) -> None:
        """Let the assignment go: its threads end after the batch in hand."""
        if self._assignment is not None:
            self._assignment.ctx.signal.set("over")
            self._assignment = None
            self._attended.close()

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)


def _is(assignment: Assignment, lease: str, operation: str | None) -> bool:
    return (assignment.lease, assignment.operation.id) == (lease, operation)
