"""What the runner lends an operation while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tenure.errors import InterruptedRunError, UsageError
from tenure.playbook.limits import Limits as PlaybookLimits
from tenure.playbook.limits import Thresholds, Workers, limit_names
from tenure.runner.pace import Pace
from tenure.values import TenantKey

if TYPE_CHECKING:
    from tenure.attribution.items import Lookups
    from tenure.ledger import Ledger
    from tenure.runner.fence import Fence
    from tenure.stores.neo4j import Neo4jStore
    from tenure.stores.postgres import PostgresStore
    from tenure.stores.qdrant import QdrantStore

log = logging.getLogger(__name__)


class Reporter(Protocol):
    """Shows a person how far a run is. The CLI has one for terminals and one for plain lines."""

    def start(self, operation: str, title: str, total: int | None) -> None:
        """An operation begins; *total* items, where known."""

    def advance(self, operation: str, items: int) -> None:
        """*items* more are done."""

    def note(self, operation: str, text: str) -> None:
        """Something a person should see: waiting for a lock, a retry."""

    def waiting(self, operation: str, reason: str) -> None:
        """The operation waits for *reason* to pass; it goes on when the reason is empty."""

    def finish(self, operation: str, text: str) -> None:
        """The operation ended; *text* says how."""


class SilentReporter:
    """Shows nothing; for the library and the tests."""

    def start(self, operation: str, title: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, operation: str, items: int) -> None:
        """Ignore."""

    def note(self, operation: str, text: str) -> None:
        """Ignore."""

    def waiting(self, operation: str, reason: str) -> None:
        """Ignore."""

    def finish(self, operation: str, text: str) -> None:
        """Ignore."""


class StopSignal:
    """A request to stop, set by a signal handler, a lost lease or a failed sibling; looked at between batches."""

    def __init__(self) -> None:
        """Start unset."""
        self._event = threading.Event()
        self.reason = ""
        # While a lease is held: whether it may have run out unnoticed (the process was stopped, or asleep).
        self.in_doubt: Callable[[], bool] = lambda: False

    def set(self, reason: str) -> None:
        """Ask everybody to stop after the batch in hand."""
        self.reason = self.reason or reason
        self._event.set()

    def is_set(self) -> bool:
        """Return whether somebody asked to stop."""
        return self._event.is_set()

    def check(self, operation: str) -> None:
        """Errors: InterruptedRunError when somebody asked to stop.

        A process that wakes up late waits here until its lease is known to be its own still, or it is told to stop.
        """
        while self.in_doubt() and not self._event.wait(0.05):
            pass
        if self._event.is_set():
            raise InterruptedRunError(operation=operation)

    def wait(self, seconds: float) -> bool:
        """Sleep up to *seconds*; return at once, and True, when somebody asks to stop."""
        return self._event.wait(seconds)


@dataclass(frozen=True)
class Limits:
    """How hard to push: the time a batch should take (milliseconds), the workers per store, what makes a run wait."""

    batch_ms: int = 300
    workers: Mapping[str, int] = field(default_factory=lambda: {"postgres": 2, "neo4j": 4, "qdrant": 1})
    thresholds: Thresholds = field(default_factory=Thresholds)

    @classmethod
    def of(cls, limits: PlaybookLimits) -> Limits:
        """Return the limits that a playbook sets."""
        thresholds = {name: getattr(limits, name) for name in Thresholds.model_fields}
        return cls(limits.batch_ms, limits.workers.model_dump(), Thresholds.model_construct(**thresholds))

    def with_controls(self, controls: Mapping[str, str]) -> Limits:
        """Return the limits with what an operator has set since (`tenure limit`) in their place.

        What is no limit is a request of another kind, and a value that cannot be read is left out: a hand in the
        ledger must not end the thread that keeps the lease.
        """
        names = limit_names()
        workers = {store: count for store, count in self.workers.items() if store in Workers.model_fields}
        limits = PlaybookLimits(batch_ms=self.batch_ms, workers=Workers(**workers), **dict(self.thresholds))
        for name, value in controls.items():
            if name in names:
                try:
                    limits = limits.changed(name, value)
                except ValueError as error:
                    log.warning("the limit %s=%s is not used: %s", name, value, error)
        return Limits.of(limits)


def _no_fence() -> Fence:
    from tenure.runner.fence import Fence

    return Fence()


@dataclass
class Context:
    """The stores, the ledger and the manners of one run. Operations get it in every verb and keep nothing of it."""

    key: TenantKey
    postgres: PostgresStore
    ledger: Ledger
    lookups: Lookups
    neo4j_store: Neo4jStore | None = None
    qdrant_store: QdrantStore | None = None
    token: str = ""
    run: int | None = None
    limits: Limits = field(default_factory=Limits)
    signal: StopSignal = field(default_factory=StopSignal)
    reporter: Reporter = field(default_factory=SilentReporter)
    fence: Fence = field(default_factory=_no_fence)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """Steer batches by the limits as they are at the moment."""
        self.pace = Pace(lambda: self.limits.batch_ms)

    @property
    def neo4j(self) -> Neo4jStore:
        """Return the graph. Errors: UsageError when the playbook has no connection for it."""
        if self.neo4j_store is None:
            raise UsageError(detail="The playbook has no Neo4j connection.")
        return self.neo4j_store

    @property
    def qdrant(self) -> QdrantStore:
        """Return the vector store. Errors: UsageError when the playbook has no connection for it."""
        if self.qdrant_store is None:
            raise UsageError(detail="The playbook has no Qdrant connection.")
        return self.qdrant_store
