"""Keeps the lease while a run goes on, and brings in what an operator asks from another terminal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from tenure.errors import LeaseLostError, StoreError
from tenure.ledger import Ledger
from tenure.runner.context import StopSignal

LEASE_SECONDS = 30.0
BEAT_SECONDS = 3.0

log = logging.getLogger(__name__)


@contextmanager
def held(
    ledger: Ledger,
    holder: str,
    signal: StopSignal,
    listen: Callable[[dict[str, str]], None] | None = None,
    *,
    lease_seconds: float = LEASE_SECONDS,
) -> Iterator[str]:
    """Take the lease, prolong it from a thread of its own, give it back at the end; yields the token.

    *listen* gets the ledger's controls at every beat. A lease that another runner took over sets *signal*: nothing more
    is started, and what is in hand fails at its range's token. Errors: LeaseHeldError when it cannot be had, and
    LeaseLostError at the end when it was lost.
    """
    token = ledger.take_lease(holder, lease_seconds)
    done = threading.Event()
    lost = threading.Event()

    def beat() -> None:
        last = time.monotonic()
        while not done.wait(min(BEAT_SECONDS, lease_seconds / 4)):
            try:
                ledger.beat_lease(token, lease_seconds)
                last = time.monotonic()
                if listen is not None:
                    listen(ledger.controls())
            except LeaseLostError:
                lost.set()
                signal.set("another runner took the lease over")
                return
            except (StoreError, psycopg.Error) as error:
                log.warning("the lease could not be prolonged: %s", error)
                if time.monotonic() - last > lease_seconds:
                    lost.set()
                    signal.set("the lease ran out while the database could not be reached")
                    return

    thread = threading.Thread(target=beat, name="tenure-lease", daemon=True)
    thread.start()
    try:
        yield token
    finally:
        done.set()
        thread.join(timeout=10)
        if not lost.is_set():
            try:
                ledger.drop_lease(token)
            except (StoreError, psycopg.Error) as error:
                log.warning("the lease could not be given back, it runs out by itself: %s", error)
    if lost.is_set():
        raise LeaseLostError(token=token)
