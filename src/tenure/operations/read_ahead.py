"""Reads what the next batch needs while a store applies the writes of the present one.

What is read ahead lives as long as the run whose pace it is kept by, is used once, and only while it is fresh: a run
that was paused or waited for a store reads again. Nothing is ever written from here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from tenure.runner.context import Context
    from tenure.runner.pace import Pace

T = TypeVar("T")

# The older a reading, the more of it may have been changed since: beyond this (seconds) it is thrown away.
FRESH_S = 30.0

_kept: WeakKeyDictionary[Pace, dict[str, Reading[Any]]] = WeakKeyDictionary()
_lock = threading.Lock()


class Reading(Generic[T]):
    """Something that is read on a thread of its own, from *key* on."""

    def __init__(self, key: Hashable, read: Callable[[], T]) -> None:
        """Start reading."""
        self.key = key
        self._read = read
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._began = monotonic()
        # A daemon: a store that does not answer must not hold up the end of a process.
        self._thread = threading.Thread(target=self._run, name="tenure-read-ahead", daemon=True)
        self._thread.start()

    @property
    def fresh(self) -> bool:
        """Return whether it was begun a short while ago."""
        return monotonic() - self._began < FRESH_S

    def result(self) -> T:
        """Wait for it and return it. Errors: what the reading ended with."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._read())
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            self._error = error


def ahead(ctx: Context, who: str, key: Hashable, read: Callable[[], T]) -> None:
    """Start to *read* what the batch that *key* names will need, for *who* in the run of *ctx*."""
    reading = Reading(key, read)
    with _lock:
        _kept.setdefault(ctx.pace, {})[who] = reading


def take(ctx: Context, who: str, key: Hashable, read: Callable[[], T]) -> T:
    """Return what was read ahead for *key* if it was and is fresh; else *read* it now."""
    with _lock:
        reading = _kept.get(ctx.pace, {}).pop(who, None)
    if reading is not None and reading.key == key and reading.fresh:
        found: T = reading.result()
        return found
    return read()
