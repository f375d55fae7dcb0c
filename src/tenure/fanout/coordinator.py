"""The run's side of fan-out: offers an operation's ranges, keeps jobs in the queue, watches workers come and go."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType

import psycopg

from tenure import __version__
from tenure.errors import InterruptedRunError, StoreError, WorkerFailedError
from tenure.fanout.presence import Presence
from tenure.fanout.queue import Queue, require
from tenure.fanout.ranges import Assignment, Notes, graph_name
from tenure.ledger.sharing import Offer, Sharing, WorkerRow
from tenure.operations.base import Operation
from tenure.playbook import Playbook
from tenure.runner.context import Context
from tenure.runner.dispatch import Hold
from tenure.runner.failures import Failures
from tenure.runner.lease import bury
from tenure.runner.runner import holder_name
from tenure.runner.workers import MOST_WORKERS, allowed

TICK_SECONDS = 0.5
# How long nobody may be there to take ranges before the run takes them itself.
PATIENCE_SECONDS = 5.0
# Workers hear within a second that nothing is offered any more, and end their batch.
LEAVE_SECONDS = 60.0
# So many failures of one range, by whichever workers, are the range's fault.
MOST_FAILURES = 3

log = logging.getLogger(__name__)


class Coordinator:
    """Gives ranges away while it is entered, under the lease that the context holds.

    Where no worker is alive it takes the ranges itself, in as many threads as the limit allows, until one appears.
    """

    def __init__(self, playbook: Playbook, ctx: Context) -> None:
        """Coordinate the run of *playbook*. Errors: FanoutMissingError without the extra."""
        require()
        self._ctx = ctx
        self._digest = playbook.digest()
        self._sharing = Sharing(ctx.postgres)
        self._queue = Queue(ctx.postgres, playbook.connections.postgres)
        self._open = False
        self._offered: Offer | None = None
        self._alone = False
        self._done = 0
        self._graph = ""
        self._known: dict[str, WorkerRow] = {}

    def __enter__(self) -> Coordinator:
        """Return itself; the queue is made when the first operation has ranges."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Wait for the workers to leave, and take the queue away."""
        if not self._open:
            return
        self._open = False
        try:
            self._sharing.close(self._ctx.token)
            end = time.monotonic() + 2 * PATIENCE_SECONDS
            while self._others() and not self._queue.left() and time.monotonic() < end:
                time.sleep(TICK_SECONDS / 2)
            self._queue.close()
            # A run that took the lease over meanwhile has made the queue anew: then it is that one's.
            lease = self._ctx.ledger.lease()
            if lease is not None and str(lease["token"]) == self._ctx.token:
                self._queue.drop()
        except (StoreError, InterruptedRunError, psycopg.Error) as error:
            log.warning("the workers' queue could not be taken away, the next run does: %s", error)

    def work_off(self, ctx: Context, operation: Operation, hold: Hold, failures: Failures) -> None:
        """See every open range of *operation* to its end, in whosever hands.

        Errors: WorkerFailedError when a range failed in several workers' hands; what a batch raised in this process;
        InterruptedRunError, after the workers have ended their batches.
        """
        failures.persist(operation, "the workers' queue", partial(self._begin, operation))
        try:
            while True:
                # One watch over the stores for all: what holds a batch back here holds the workers' batches too.
                held = bool(hold(operation))
                ctx.signal.check(operation.id)
                here = failures.persist(operation, "what workers take", partial(self._tick, operation, held))
                if here is None:
                    return
                if not here:
                    ctx.signal.wait(TICK_SECONDS)
                elif self._nobody_for(0 if self._alone else PATIENCE_SECONDS):
                    self._work_here(ctx, operation, hold, failures)
        finally:
            self._withdraw(operation)

    def _begin(self, operation: Operation) -> None:
        if not self._open:
            self._sharing.forget_silent()
            self._queue.open()
            self._graph = graph_name(self._ctx)
            self._open = True
        self._sharing.forget_failures(operation.id)
        self._done = self._ctx.ledger.totals(operation.id).changed

    def _tick(self, operation: Operation, held: bool) -> bool | None:
        """Look once; return whether nobody is there to take ranges, or None when all of them are done."""
        self._offer(operation, held=held)
        if self._report(operation):
            return None
        self._look_for_failures(operation)
        if not self._watch(operation):
            return True
        self._feed(operation)
        return False

    def _report(self, operation: Operation) -> bool:
        """Show how far everybody is; return whether all ranges are done."""
        totals = self._ctx.ledger.totals(operation.id)
        self._ctx.reporter.advance(operation.id, totals.changed - self._done)
        self._done = totals.changed
        return totals.done == totals.ranges

    # What workers see.

    def _offer(self, operation: Operation | None, *, held: bool = False) -> bool:
        """Offer the ranges of *operation*, or nothing; return False when the lease is another's."""
        ctx = self._ctx
        assert ctx.run is not None
        workers = 0 if operation is None else allowed(ctx, operation)
        name = None if operation is None else operation.id
        offer = Offer(ctx.run, ctx.token, __version__, self._digest, name, workers, held, self._graph)
        if offer != self._offered:
            if not self._sharing.offer(offer):
                return False
            self._offered = offer
        return True

    def _feed(self, operation: Operation) -> None:
        """Keep as many jobs in the queue as ranges could be taken now."""
        standing = self._sharing.standing(operation.id)
        wanted = min(allowed(self._ctx, operation) - standing.taken, standing.free)
        if wanted > 0:
            self._queue.defer(wanted - self._queue.waiting(), self._ctx.token, operation.id)

    def _withdraw(self, operation: Operation) -> None:
        """Offer nothing, and wait until nobody writes any more: what comes next counts on it."""
        try:
            if not self._offer(None):
                return
            end = time.monotonic() + LEAVE_SECONDS
            said = False
            while self._sharing.standing(operation.id).taken and time.monotonic() < end:
                self._bury(operation)
                if not said and time.monotonic() > end - LEAVE_SECONDS + 2:
                    self._ctx.reporter.note(operation.id, "waiting for the workers to end their batches")
                    said = True
                time.sleep(TICK_SECONDS / 2)
        except (StoreError, InterruptedRunError, psycopg.Error) as error:
            log.warning("what was offered to the workers ends with the lease: %s", error)

    # What workers do.

    def _others(self) -> list[WorkerRow]:
        return [worker for worker in self._sharing.workers() if worker.live]

    def _watch(self, operation: Operation) -> list[WorkerRow]:
        """Return who is alive; say who came, and who died."""
        self._bury(operation)
        found = {worker.token: worker for worker in self._sharing.workers()}
        live = {token: worker for token, worker in found.items() if worker.live}
        for token in live.keys() - self._known.keys():
            self._say(operation, "worker came", f"worker {live[token].holder} takes ranges")
        for token in self._known.keys() - live.keys():
            worker = self._known[token]
            silent = found.get(token)
            if silent is not None:
                text = f"worker {worker.holder} was silent for {silent.silent:.0f} s: its ranges go to others"
            else:
                text = f"worker {worker.holder} has left"
            self._say(operation, "worker gone", text)
        self._known = live
        return list(live.values())

    def _bury(self, operation: Operation) -> None:
        bury(self._sharing, lambda text: self._say(operation, "worker died", text))

    def _say(self, operation: Operation, kind: str, text: str) -> None:
        self._ctx.ledger.event(self._ctx.run, kind, operation.id, text)
        self._ctx.reporter.note(operation.id, text)

    def _look_for_failures(self, operation: Operation) -> None:
        worst = self._sharing.worst(operation.id)
        if worst is not None and worst.times >= MOST_FAILURES:
            raise WorkerFailedError(
                operation=operation.describe(),
                number=worst.number,
                times=worst.times,
                holder=worst.holder,
                problem=worst.problem,
            )

    # Where nobody is there.

    def _nobody_for(self, seconds: float) -> bool:
        """Wait up to *seconds* for a worker; return whether none came and nobody asked to stop."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._others() or self._ctx.signal.wait(TICK_SECONDS):
                return False
        if not self._alone:
            self._ctx.reporter.note("fanout", "no worker is alive: this process takes the ranges until one is")
        self._alone = True
        return True

    def _work_here(self, ctx: Context, operation: Operation, hold: Hold, failures: Failures) -> None:
        """Take ranges in this process until a worker appears or all are done."""
        with (
            self._here(ctx, operation, hold) as (assignment, own),
            failures.until(assignment.abort.is_set),
            assignment.failures.until(assignment.abort.is_set),
        ):

            def enough() -> bool:
                self._alone = not any(worker.token != own for worker in self._others())
                return not self._alone or ctx.signal.is_set() or assignment.abort.is_set()

            def thread() -> None:
                while not enough() and self._sharing.standing(operation.id).free:
                    assignment.take(enough=enough)

            # Threads beyond the limit find no place, until it is raised.
            with ThreadPoolExecutor(MOST_WORKERS, thread_name_prefix=f"tenure-{operation.store}") as pool:
                futures = [pool.submit(thread) for _ in range(MOST_WORKERS)]
                while wait(futures, timeout=TICK_SECONDS).not_done:
                    failures.persist(operation, "how far it is", partial(self._look_from_here, operation))
            for future in futures:
                if (error := future.exception()) is not None:
                    raise error

    def _look_from_here(self, operation: Operation) -> None:
        self._offer(operation)
        self._report(operation)

    @contextmanager
    def _here(self, ctx: Context, operation: Operation, hold: Hold) -> Iterator[tuple[Assignment, str]]:
        assignment: Assignment | None = None

        def lapsed() -> None:
            if assignment is not None:
                assignment.abort.set()

        def hear(_offer: Offer | None, _controls: Mapping[str, str]) -> None:
            if assignment is not None:
                assignment.ctx.limits = ctx.limits

        with Presence(self._sharing, ctx.ledger, holder_name(), MOST_WORKERS, hear, lapsed) as presence:
            own = replace(ctx, token=presence.token, reporter=Notes(ctx.reporter.note))
            assignment = Assignment(own, self._sharing, operation, ctx.token, presence.holder, hold, Failures(own))
            yield assignment, presence.token
