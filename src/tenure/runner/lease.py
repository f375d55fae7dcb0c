"""Keeps the lease while a run goes on, and brings in what an operator asks from another terminal.

Who may take over, and when: anybody once the lease has run out; on the holder's machine at once when its process is
gone (`tenure.runner.process`), so that nobody waits after a kill or a crash. A holder that was stopped or asleep past
the end of its lease starts nothing before it has asked whether the lease is still its own; when it is not, it steps
back: the ranges' tokens and the ledger's fence refuse what it still had in hand.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from tenure.errors import InterruptedRunError, LeaseHeldError, LeaseLostError, StoreError
from tenure.ledger import Ledger
from tenure.ledger.sharing import Sharing
from tenure.runner.context import StopSignal
from tenure.runner.process import is_gone, this_process

if TYPE_CHECKING:
    from tenure.stores.postgres import PostgresStore

LEASE_SECONDS = 30.0
BEAT_SECONDS = 3.0
BUSY_POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


@contextmanager
def held(
    ledger: Ledger,
    holder: str,
    signal: StopSignal,
    listen: Callable[[dict[str, str]], None] | None = None,
    *,
    lease_seconds: float | None = None,
) -> Iterator[str]:
    """Take the lease, prolong it from a thread of its own, give it back at the end; yields the token.

    *listen* gets the ledger's controls at every beat. A lease that another runner took over sets *signal*: nothing more
    is started, and what is in hand fails at its range's token. *lease_seconds* is 30 when None. Errors: LeaseHeldError
    when it cannot be had, and LeaseLostError at the end, instead of the interruption that it was, when it was lost.

    While the database is away nothing is started once the lease may have run out (`signal.in_doubt`). When it is back
    the lease goes on if nobody else took it; when it stays away for longer than the store is waited for, the run ends.
    """
    seconds = LEASE_SECONDS if lease_seconds is None else lease_seconds
    asked = now()
    token = _take(ledger, holder, seconds)
    confirmed = asked
    done = threading.Event()
    lost = threading.Event()
    ends: list[Exception] = []

    def beat() -> None:
        nonlocal confirmed
        while not done.wait(min(BEAT_SECONDS, seconds / 4)):
            asked = now()
            try:
                ledger.beat_lease(token, seconds)
                confirmed = asked
                if listen is not None:
                    listen(ledger.controls())
            except LeaseLostError:
                lost.set()
                signal.set("another runner took the lease over")
                return
            except InterruptedRunError:
                continue  # Asked to stop while the database is away: there is nothing to prolong it for.
            except psycopg.Error as error:
                log.warning("the lease could not be prolonged: %s", error)
            except StoreError as error:
                # The store was waited for already.
                log.warning("the lease could not be prolonged: %s", error)
                if now() - confirmed > seconds:
                    ends.append(error)
                    signal.set("the lease ran out while the database could not be reached")
                    return

    thread = threading.Thread(target=beat, name="tenure-lease", daemon=True)
    signal.in_doubt = lambda: now() - confirmed > seconds
    thread.start()
    try:
        yield token
    except InterruptedRunError as error:
        if lost.is_set():
            raise LeaseLostError(token=token) from error
        if ends:
            raise ends[0] from error
        raise
    finally:
        signal.in_doubt = lambda: False
        done.set()
        thread.join(timeout=10)
        if not lost.is_set():
            try:
                ledger.drop_lease(token)
            except (StoreError, InterruptedRunError, psycopg.Error) as error:
                log.warning("the lease could not be given back, it runs out by itself: %s", error)
    if lost.is_set():
        raise LeaseLostError(token=token)


def _take(ledger: Ledger, holder: str, seconds: float) -> str:
    """Take the lease, also from a holder whose process is gone. Errors: LeaseHeldError."""
    process = this_process()
    # One token for all attempts: the answer to the first may have been lost when it was given.
    token = str(uuid.uuid4())
    try:
        return ledger.take_lease(holder, seconds, token, process=process)
    except LeaseHeldError:
        current = ledger.lease()
        if current is not None and not is_gone(current["process"] or ""):
            raise
        dead = str(current["token"]) if current is not None else None
        # Another one may see the same and be faster: then the token is not the dead one's any more.
        return ledger.take_lease(holder, seconds, token, process=process, dead=dead)


def await_workers(store: PostgresStore, token: str, signal: StopSignal) -> None:
    """Wait until workers that an earlier run left behind have put their ranges back: they hear of its end in a second.

    *token* is that of the lease held now. What they have in hand must not meet what comes next, an undo least of all.
    The queue of a run that was killed is taken away.
    """
    sharing = Sharing(store)
    if not store.repeating(sharing.installed):
        return
    closed = False

    def close() -> None:
        nonlocal closed
        # The answer to a first attempt that went through may have been lost: the queue is taken away once more then.
        attempted, closed = closed, True
        closed = sharing.close_others(token) or attempted

    store.repeating(close)
    if closed:
        from tenure.fanout.queue import drop

        store.repeating(partial(drop, store))
    said = False
    while store.repeating(sharing.busy) and not signal.wait(BUSY_POLL_SECONDS):
        store.repeating(partial(bury, sharing, log.warning))
        if not said:
            said = True
            log.warning("workers of the run before have batches in hand: waiting for their end")


def bury(sharing: Sharing, say: Callable[[str], None], own: str = "") -> None:
    """Free what workers of this machine held whose process is gone, and *say* so.

    On other machines a worker is known to be dead when its row has run out.
    """
    for worker in sharing.workers():
        if worker.token != own and is_gone(worker.process) and sharing.leave(worker.token):
            say(f"the process of worker {worker.holder} is gone: its {worker.ranges} range(s) go to others")


def now() -> float:
    """Return seconds of a clock that goes on while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
