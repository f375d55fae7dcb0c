"""What becomes of a store's failure in a run: repeated while it passes, said while it lasts, and an end with reason.

Statements are repeated by their store (`tenure.stores.patience`); what breaks off in the middle of a transaction, or of
an answer that is read as a stream, is repeated here as a whole: a batch, a sweep, a count, an operation. Every one of
them may be repeated, and a batch whose commit may have come through starts from where the ledger says that it stands.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import psycopg

from tenure.errors import (
    AnswerBrokenError,
    GraphMemoryError,
    InterruptedRunError,
    LeaseLostError,
    StoreError,
    StoreFailedError,
    TenureError,
)
from tenure.ledger.ledger import dumps
from tenure.operations.base import Claim, Operation, Step
from tenure.stores.patience import BRIEF_SECONDS, Attendant, Verdict, patiently
from tenure.values import Outcome

if TYPE_CHECKING:
    from tenure.runner.context import Context

# While a store is away the operator hears of it this often, however many threads wait for it.
NOTE_SECONDS = 10.0
# How soon a thread that waits notices that another one has ended the operation.
LOOK_SECONDS = 0.2

_STANDS = b"SELECT token::text, state, cursor FROM tenure.range WHERE operation = %s AND number = %s"
_FREE = (
    b"UPDATE tenure.range SET token = NULL WHERE operation = %s AND token = %s AND state <> 'done' "
    b"AND NOT number = ANY(%s)"
)

T = TypeVar("T")
log = logging.getLogger(__name__)


class Failures:
    """Deals with the failures of the stores in one run; all of its threads share it."""

    def __init__(self, ctx: Context) -> None:
        """Speak through *ctx*'s reporter and ledger, and heed its signal; nothing is kept of an operation."""
        self._ctx = ctx
        self._lock = threading.Lock()
        self._noted: dict[str, float] = {}
        self._events: deque[tuple[str, str, str]] = deque()
        self._aborting: Callable[[], bool] = lambda: False
        self._over_with = False

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Lend the stores somebody who waits for them in a way that a request to stop ends, and who says why."""
        ctx = self._ctx
        stores = [store for store in (ctx.postgres, ctx.neo4j_store, ctx.qdrant_store) if store is not None]
        before = [store.attendant for store in stores]
        for store in stores:
            store.attendant = self._attendant(type(store).__name__.removesuffix("Store").lower())
        try:
            yield
        finally:
            for store, attendant in zip(stores, before, strict=True):
                store.attendant = attendant

    @contextmanager
    def until(self, aborting: Callable[[], bool]) -> Iterator[None]:
        """Inside the block wait for no store any more once *aborting* says that another thread ended the operation."""
        self._aborting, before = aborting, self._aborting
        try:
            yield
        finally:
            self._aborting = before

    def persist(self, operation: Operation, place: str, work: Callable[[], T]) -> T:
        """Return what *work*, which may be repeated as a whole, gives; *place* says which part of *operation* it is.

        Errors: StoreFailedError with place and cause when the failure lasts or does not pass by itself; others as they
        are.
        """
        try:
            return patiently(work, partial(self._judge, operation), self._attendant(operation.id))
        except StoreFailedError:
            raise
        except StoreError as error:
            raise StoreFailedError(operation=operation.id, place=place, cause=f"{error}") from error

    def plan(self, operation: Operation) -> None:
        """Count what is to be done and persist the ranges, unless an earlier attempt did."""
        ctx = self._ctx

        def work() -> None:
            if ctx.ledger.totals(operation.id).ranges == 0:
                ctx.ledger.plan_operation(operation.id, operation.count(ctx), operation.ranges(ctx))

        self.persist(operation, "the count of its items and ranges", work)

    def batch(self, operation: Operation, claim: Claim) -> Step:
        """Run the batch at *claim*'s cursor and save where the range stands then.

        Errors: StoreFailedError with the range; LeaseLostError when another runner has it.
        """
        ctx, place = self._ctx, f"range {claim.number}"
        tries = 0

        def work() -> Step:
            nonlocal claim, tries
            tries += 1
            if tries > 1:
                stands = self._stands(claim)
                if stands is None:
                    # What the batch changed is in the ledger's totals; only the bar on the screen is short of it.
                    return Step(cursor=None, changed=0, seen=0, committed=True)
                claim = stands
            return operation.run_batch(ctx, claim)

        step = self.persist(operation, place, work)
        tries = 0

        def save() -> None:
            nonlocal tries
            tries += 1
            stands = claim if tries == 1 else self._stands(claim)
            if stands is not None and (tries == 1 or dumps(stands.cursor) != dumps(step.cursor)):
                ctx.ledger.advance(claim, step.cursor, changed=step.changed, seen=step.seen)

        if not step.committed:
            self.persist(operation, place, save)
        return step

    def claim(self, operation: Operation, in_hand: Iterable[int]) -> Claim | None:
        """Claim the next open range; *in_hand* are the numbers of those that this runner's threads work on.

        A claim that was committed though its answer was lost is nobody's: it is freed before the next attempt.
        """
        ctx = self._ctx
        tries = 0

        def work() -> Claim | None:
            nonlocal tries
            tries += 1
            if tries > 1:
                with ctx.postgres.connection() as connection:
                    connection.execute(_FREE, (operation.id, ctx.token, list(in_hand)))
            return ctx.ledger.claim(operation.id, ctx.token)

        return self.persist(operation, "the next range", work)

    def failed(self, operation: Operation, error: TenureError) -> None:
        """Record an operation that ended before all its counts were known; what its ranges did is done."""
        ledger = self._ctx.ledger

        def write() -> None:
            planned, changed = ledger.operation(operation.id).planned or 0, ledger.totals(operation.id).changed
            outcome = Outcome(planned=planned, changed=changed, left=max(0, planned - changed), note=str(error))
            ledger.finish_operation(operation.id, "failed", outcome)
            ledger.event(self._ctx.run, "failed", operation.id, str(error))

        self.record(f"{operation.id} failed", write)

    def record(self, what: str, write: Callable[[], object], *, last: bool = False) -> None:
        """Write the end of something to the ledger; where that cannot be reached any more, say so and go on.

        After the *last* word of a run nobody waits for a store any more.
        """
        try:
            write()
            self.flush()
        except (StoreError, InterruptedRunError, psycopg.Error) as error:
            log.warning("the ledger could not be told that %s: %s", what, error)
            self._ctx.reporter.note("ledger", f"could not be told that {what}: {error} The next run finds it out.")
        self._over_with = last

    def flush(self) -> None:
        """Record what was said as events of the run; called where the ledger is known to answer."""
        while self._events:
            kind, source, text = self._events.popleft()
            try:
                self._ctx.ledger.event(self._ctx.run, kind, source, text)
            except BaseException:
                self._events.appendleft((kind, source, text))
                raise

    # Judging.

    def _judge(self, operation: Operation, error: Exception) -> Verdict:
        """Return whether a part of an operation may succeed when it is repeated. Errors: *error* when it may not."""
        ctx = self._ctx
        if isinstance(error, GraphMemoryError):
            verdict = Verdict(error, min(ctx.neo4j.patience, BRIEF_SECONDS))
        elif isinstance(error, AnswerBrokenError):
            verdict = Verdict(error, ctx.neo4j.patience)
        elif isinstance(error, TenureError):
            # A store has been patient already with what its statements met.
            raise error
        else:
            verdict = ctx.postgres.judge(error)
        if isinstance(error, GraphMemoryError | psycopg.errors.OutOfMemory | psycopg.errors.QueryCanceled):
            ctx.pace.took(operation.id, 0, float("inf"))
            store = "neo4j" if isinstance(error, GraphMemoryError) else "postgres"
            said = str(verdict.error).removeprefix(f"{store}: ")
            smaller = StoreError(store=store, problem=said, remedy="The next batch is half as large.")
            verdict = replace(verdict, error=smaller)
        return verdict

    def _stands(self, claim: Claim) -> Claim | None:
        """Return a claimed range as the ledger has it, or None when it is done.

        A commit whose answer was lost may have moved it on; a server that crashed with commits that it had promised to
        write soon, or a standby that had not got them yet, may have moved it back, and the rows with it.
        Errors: LeaseLostError when it is another runner's.
        """
        with self._ctx.postgres.connection() as connection:
            row = connection.execute(_STANDS, (claim.operation, claim.number)).fetchone()
        token, state, cursor = row if row is not None else (None, "", None)
        if token != claim.token:
            raise LeaseLostError(token=claim.token)
        return None if state == "done" else claim.model_copy(update={"cursor": cursor})

    # Waiting and saying so.

    def _attendant(self, source: str) -> Attendant:
        return Attendant(partial(self._wait, source), partial(self._note, source), partial(self._over, source))

    def _wait(self, source: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._ctx.signal.wait(min(LOOK_SECONDS, left)) or self._aborting() or self._over_with:
                raise InterruptedRunError(operation=source)

    def _note(self, source: str, text: str) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._noted.get(source, -NOTE_SECONDS) < NOTE_SECONDS:
                return
            first = source not in self._noted
            self._noted[source] = now
            if first:
                self._events.append(("waiting", source, text))
        self._ctx.reporter.note(source, text)

    def _over(self, source: str, text: str) -> None:
        with self._lock:
            if self._noted.pop(source, None) is None:
                return
            self._events.append(("went on", source, text))
        self._ctx.reporter.note(source, text)
