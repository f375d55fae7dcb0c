"""What one thread does for a job: ranges of one operation, one after the other, until its time is over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tenure.errors import InterruptedRunError, LeaseLostError, StoreError
from tenure.ledger.sharing import Refusal, Sharing
from tenure.operations.base import Claim, Operation
from tenure.runner.context import Context, SilentReporter
from tenure.runner.failures import Failures
from tenure.runner.workers import work_on

# A job ends with the range in hand after this time: long enough that the queue costs nothing, short enough that a
# worker which was started later gets its share.
JOB_SECONDS = 60.0
IDLE_POLL_SECONDS = 0.5

log = logging.getLogger(__name__)


class Notes(SilentReporter):
    """Passes on what a person should see; how far the operation is, the run reads from the ledger."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        """Call *say* with operation and text."""
        self._say = say

    def note(self, operation: str, text: str) -> None:
        """Pass it on."""
        self._say(operation, text)


def graph_name(ctx: Context) -> str:
    """Return what the graph calls itself: an address may mean another server on another machine; "" if it won't say."""
    if ctx.neo4j_store is None:
        return ""
    try:
        rows = ctx.neo4j_store.read("CALL db.info() YIELD id RETURN id")
    except StoreError as error:
        log.warning("the graph does not tell its name: %s", error)
        return ""
    return str(rows[0]["id"]) if rows else ""


@dataclass(frozen=True)
class Assignment:
    """One operation in the hands of one process under one lease of the run; `ctx.token` is the worker's.

    All threads share `ctx.signal`: setting it ends them after the batch in hand, and their ranges are put back.
    """

    ctx: Context
    sharing: Sharing
    operation: Operation
    lease: str
    holder: str
    hold: Callable[[Operation], object]
    failures: Failures
    abort: threading.Event = field(default_factory=threading.Event)

    def take(self, seconds: float = JOB_SECONDS, enough: Callable[[], bool] = lambda: False) -> None:
        """Work ranges off until none is left, *seconds* are over or *enough* says so; a range begun is ended.

        Errors: what a batch raised, after its range was put back and the failure kept for the run to see.
        """
        try:
            self._take(seconds, enough)
        finally:
            self.failures.record("a store was waited for", self.failures.flush)

    def _take(self, seconds: float, enough: Callable[[], bool]) -> None:
        ctx, operation = self.ctx, self.operation
        end = time.monotonic() + seconds
        while time.monotonic() < end and not enough() and not ctx.signal.is_set() and not self.abort.is_set():
            claim = self.failures.persist(operation, "the next range", self._claim)
            if claim is Refusal.FULL:
                ctx.signal.wait(IDLE_POLL_SECONDS)
                continue
            if isinstance(claim, Refusal):
                return
            try:
                work_on(ctx, operation, claim, self.hold, self.abort, self.failures)
            except InterruptedRunError:
                self.sharing.release(claim)
                return
            except LeaseLostError:
                # It was taken over while this process was away; whoever has it goes on from its cursor.
                log.warning("range %s of %s was taken over by another worker", claim.number, operation.id)
            except Exception as error:
                self.abort.set()
                self.failures.record(f"range {claim.number} failed", partial(self._put_back, claim, str(error)))
                raise

    def _put_back(self, claim: Claim, problem: str) -> None:
        self.sharing.failed(claim, self.holder, problem)
        self.sharing.release(claim)

    def _claim(self) -> Claim | Refusal:
        return self.sharing.claim(self.operation.id, self.ctx.token, self.lease)
