"""A worker's signs of life, and what it hears while giving them: the run's offer, and the operator's requests."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType

import psycopg

from tenure import __version__
from tenure.errors import InterruptedRunError, StoreError
from tenure.ledger import Ledger
from tenure.ledger.sharing import Offer, Sharing
from tenure.runner import lease
from tenure.runner.lease import bury, now
from tenure.runner.process import this_process

BEAT_SECONDS = 1.0

log = logging.getLogger(__name__)

Hear = Callable[[Offer | None, Mapping[str, str]], None]


class Presence:
    """Keeps a worker's row alive from a thread of its own; a context manager.

    *hear* is called at every beat, the first time before the block begins. After a silence longer than its row is good
    for (the process was stopped, or cut off) *lapsed* is called first: what it holds may be another's by now.
    """

    def __init__(
        self, sharing: Sharing, ledger: Ledger, holder: str, threads: int, hear: Hear, lapsed: Callable[[], None]
    ) -> None:
        """Be *holder*, who takes up to *threads* ranges at once; nothing is written before the block."""
        self._sharing, self._ledger = sharing, ledger
        self.holder, self._threads = holder, threads
        self._hear, self._lapsed = hear, lapsed
        self.token = str(uuid.uuid4())
        self._process = this_process()
        self._done = threading.Event()
        self._seconds = lease.LEASE_SECONDS
        self._confirmed = now()
        self._thread = threading.Thread(target=self._keep, name="tenure-worker-beat", daemon=True)

    def __enter__(self) -> Presence:
        """Appear."""
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Put back what is claimed, and leave."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        try:
            self._sharing.leave(self.token)
        except (StoreError, InterruptedRunError, psycopg.Error) as error:
            log.warning("the worker could not take its leave, its row runs out by itself: %s", error)

    def in_doubt(self) -> bool:
        """Return whether its row may have run out unnoticed."""
        return now() - self._confirmed > self._seconds

    def _keep(self) -> None:
        while not self._done.wait(min(BEAT_SECONDS, self._seconds / 4)):
            try:
                self._beat()
            except (StoreError, InterruptedRunError, psycopg.Error) as error:
                log.warning("no sign of life could be given: %s", error)

    def _beat(self) -> None:
        asked = now()
        if self.in_doubt():
            self._lapsed()
        self._sharing.beat(self.token, self.holder, self._process, __version__, self._threads, self._seconds)
        offer, controls = self._sharing.offered(), self._ledger.controls()
        self._confirmed = asked
        self._hear(offer, controls)
        run = offer.run if offer is not None else None
        bury(self._sharing, lambda text: self._ledger.event(run, "worker died", "", text), self.token)
