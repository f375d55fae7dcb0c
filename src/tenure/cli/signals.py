"""Ctrl-C and SIGTERM during a run: the first asks to stop after the batch in hand, the second stops at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from tenure.cli.failures import INTERRUPTED

if TYPE_CHECKING:
    from tenure.runner.context import StopSignal

_FIRST = b"\nStopping: the batches in hand are finished first. Once more stops at once; nothing is lost either way.\n"
_SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def stopping(stop: StopSignal) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM inside the block into *stop*, and end the process at the second.

    Written with `os.write` and ended with `os._exit`: a handler may interrupt anything, a lock that is held included,
    and threads that wait for a store must not keep the process alive. What they had in hand is rolled back or repeated.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)
            os.write(2, b"\nStopped at once. The same command, given again, goes on where this one stood.\n")
            os._exit(INTERRUPTED)
        os.write(2, _FIRST)
        stop.set(f"asked to by {signal.Signals(number).name}")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
