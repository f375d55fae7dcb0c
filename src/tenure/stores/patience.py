"""The one loop behind every repetition: judge the error, pause with growing jitter, say so, and give up in the end.

Each store has one function that judges what its driver raises (`postgres_errors`, `neo4j_errors`, `qdrant_errors`);
how long it waits is its own constant, who waits and who is told is an `Attendant`, which a run lends to the stores.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

# What passes only if something gives way soon (memory, a timeout, a failed optimizer) is not worth the whole patience.
BRIEF_SECONDS = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """An error in our words, for how many seconds it is worth waiting for it to pass (0: it does not), and how long the
    server asks to wait before the next attempt."""

    error: Exception
    patience: float = 0.0
    after: float | None = None

    @property
    def passes(self) -> bool:
        """Return whether the same may succeed when it is tried again."""
        return self.patience > 0


@dataclass(frozen=True)
class Attendant:
    """Who waits for a store, and who is told: `wait` sleeps for seconds, and raises to leave at once; `notify` hears of
    each failure that is waited for, `over` of the end of the trouble."""

    wait: Callable[[float], object] = time.sleep
    notify: Callable[[str], None] = log.warning
    over: Callable[[str], None] = log.warning


def patiently(
    work: Callable[[], T],
    judge: Callable[[Exception], Verdict],
    attendant: Attendant,
    *,
    attempts: int | None = None,
    first: float = FIRST_PAUSE_S,
    longest: float = LONGEST_PAUSE_S,
) -> T:
    """Return what *work*, which may be repeated, gives once it succeeds.

    *judge* raises an error that is none of its store's again. The patience of a verdict counts from the first failure;
    *attempts* ends it earlier. Pauses grow from *first* to *longest* seconds. Errors: the verdict's, from its cause.
    """
    began, cause = 0.0, ""
    for attempt in count(1):
        try:
            result = work()
        except Exception as error:
            # Drivers' errors have no base in common.
            now = time.monotonic()
            began = began if attempt > 1 else now
            verdict = judge(error)
            pause = min(longest, first * 2.0 ** min(attempt - 1, 20)) * random.uniform(0.7, 1.0)
            pause = pause if verdict.after is None else verdict.after
            if not verdict.passes or attempt == attempts or now + pause - began > verdict.patience:
                raise verdict.error from error
            cause = " ".join(str(verdict.error).split())
            left = verdict.patience - (now - began)
            attendant.notify(f"{cause} Attempt {attempt} failed; again in {pause:.1f} s, for {left:.0f} s at most.")
            attendant.wait(pause)
        else:
            if attempt > 1:
                attendant.over(f"goes on after {time.monotonic() - began:.1f} s and {attempt - 1} failure(s): {cause}")
            return result
    raise AssertionError("unreachable")
