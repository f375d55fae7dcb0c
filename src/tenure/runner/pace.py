"""Steers the size of a batch to the time that one should take: additive increase, multiplicative decrease."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic

SHRINK = 0.5
# A batch is felt by whoever shares the processors with it for as long as it lasts: while others are at work none is to
# take longer (bench/gentle.py: with 300 ms their p99 is 2.4 to 6.7 times the undisturbed one, so 1.6 times).
GENTLE_MS = 50
STEPS = 20  # an increase is this part of the largest size: from the least to the most in twenty quick batches


@dataclass
class _Size:
    now: int
    least: int
    most: int


class Pace:
    """How large the next batch of each operation may be. All threads of an operation share one size.

    A batch that took longer than asked halves it; one that took less than half of that adds a twentieth of the largest
    size. In between it stays, so that a size that fits does not swing (Chiu and Jain 1989: additive increase with
    multiplicative decrease is what converges to a fair share of a server that others use too).
    """

    def __init__(self, batch_ms: Callable[[], int]) -> None:
        """Ask *batch_ms* before each decision how long a batch should take, in milliseconds: it may change in a run."""
        self._batch_ms = batch_ms
        self._gentle = False
        self._sizes: dict[str, _Size] = {}
        self._lock, self._alone = threading.Lock(), threading.Lock()

    def be_gentle(self, gentle: bool) -> None:
        """Learn whether others are at work in the store: the very next batches are shorter then."""
        with self._lock:
            if gentle and not self._gentle:
                part = min(1.0, GENTLE_MS / self._batch_ms())
                for known in self._sizes.values():
                    known.now = max(known.least, int(known.now * part))
            self._gentle = gentle

    def size(self, operation: str, *, start: int, least: int, most: int) -> int:
        """Return how many items the next batch of *operation* should have; *start* is the size of its first."""
        with self._lock:
            known = self._sizes.setdefault(operation, _Size(start, least, most))
            return min(known.most, max(known.least, known.now))

    def took(self, operation: str, items: int, seconds: float) -> None:
        """Learn that a batch of *items* took *seconds*; one smaller than it might have been lets nothing grow."""
        wanted = (min(self._batch_ms(), GENTLE_MS) if self._gentle else self._batch_ms()) / 1000
        with self._lock:
            known = self._sizes.get(operation)
            if known is None:
                return
            if seconds > wanted:
                known.now = max(known.least, int(min(known.now, items or known.now) * SHRINK))
            elif seconds < wanted / 2 and items >= known.now:
                known.now = min(known.most, known.now + max(1, known.most // STEPS))

    def shrink(self, operation: str) -> None:
        """Halve the next batch of *operation* whatever the last one took: somebody waits for what it locks."""
        with self._lock:
            known = self._sizes.get(operation)
            if known is not None:
                known.now = max(known.least, int(known.now * SHRINK))

    @contextmanager
    def timed(self, operation: str, items: int) -> Iterator[None]:
        """Time the block as one batch of *items*; a batch that fails teaches nothing.

        While others are at work in the store one batch runs at a time: two of them leave two processors to nobody else.
        """
        with self._alone if self._gentle else nullcontext():
            started = monotonic()
            yield
            seconds = monotonic() - started
        self.took(operation, items, seconds)
