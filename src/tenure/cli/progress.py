"""Reporters: a bar per running operation at a terminal, plain lines elsewhere. Both may be called from any thread."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tenure.report.estimate import duration
from tenure.report.text import clean
from tenure.runner.context import Reporter

LINE_SECONDS = 10.0


@contextmanager
def reporter() -> Iterator[Reporter]:
    """Yield a reporter that fits stderr."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield LineReporter(sys.stderr)
        return
    bars = BarReporter(console)
    with bars.progress:
        yield bars


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None or task.total is None else f"{speed:,.0f}/s", style="cyan")


class BarReporter:
    """A bar per running operation with its items, rate and time left; a line above the bars when one ends."""

    def __init__(self, console: Console) -> None:
        """Draw on *console*; enter `progress` to show the bars."""
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._running: dict[str, tuple[TaskID, str, float]] = {}
        self._resumed: set[str] = set()
        self._held: dict[str, str] = {}

    def start(self, operation: str, title: str, total: int | None) -> None:
        """Show a bar; one that pulses where the total is not known."""
        with self._lock:
            task = self.progress.add_task(clean(title), total=total)
            self._running[operation] = (task, clean(title), time.monotonic())
            if total is not None:
                self._resumed.add(operation)

    def advance(self, operation: str, items: int) -> None:
        """Move the bar. The first word of the runner is what earlier attempts did, which says nothing of the speed."""
        with self._lock:
            if operation not in self._running:
                return
            task = self._running[operation][0]
            if operation in self._resumed:
                self._resumed.discard(operation)
                self.progress.reset(task, completed=items)
            else:
                self.progress.advance(task, items)

    def note(self, operation: str, text: str) -> None:
        """Print a line above the bars."""
        title = self._running[operation][1] if operation in self._running else operation
        self.progress.console.print(Text(f"  {clean(title)}: {clean(text)}", style="yellow"))

    def waiting(self, operation: str, reason: str) -> None:
        """Print a line above the bars when a wait begins or changes its reason, and mark the bar while it lasts."""
        with self._lock:
            before = self._held.pop(operation, "")
            if reason:
                self._held[operation] = reason
            task, title, _ = self._running.get(operation, (None, operation, 0.0))
            if task is not None:
                self.progress.update(task, description=f"{title} (waits)" if reason else title)
        if reason and reason != before:
            self.progress.console.print(Text(f"  {title}: waits: {clean(reason)}", style="yellow"))

    def finish(self, operation: str, text: str) -> None:
        """Take the bar away and print how it ended."""
        with self._lock:
            task, title, begun = self._running.pop(operation, (None, operation, time.monotonic()))
            if task is not None:
                self.progress.remove_task(task)
        took = duration(time.monotonic() - begun)
        self.progress.console.print(Text(f"{clean(title)}: {clean(text)} ({took})"))


@dataclass
class _Line:
    title: str
    total: int | None
    begun: float
    shown: float
    done: int = 0
    before: int | None = None


class LineReporter:
    """A line when an operation starts, about every ten seconds, and when it ends."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Write to *stream*, with the time in seconds from *clock*."""
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, _Line] = {}

    def start(self, operation: str, title: str, total: int | None) -> None:
        """Say that it starts."""
        now = self._clock()
        with self._lock:
            self._running[operation] = _Line(clean(title), total, now, now)
            items = "" if total is None else f" ({total:,} items)"
            self._write(f"{clean(title)}: started{items}")

    def advance(self, operation: str, items: int) -> None:
        """Count, and say so every ten seconds."""
        with self._lock:
            line = self._running.get(operation)
            if line is None:
                return
            line.done += items
            if line.before is None:
                line.before = line.done  # what earlier attempts did says nothing of the speed
            now = self._clock()
            if now - line.shown >= LINE_SECONDS:
                line.shown = now
                self._write(f"{line.title}: {self._standing(line, now)}")

    def note(self, operation: str, text: str) -> None:
        """Say it."""
        with self._lock:
            line = self._running.get(operation)
            self._write(f"{line.title if line else clean(operation)}: {clean(text)}")

    def waiting(self, operation: str, reason: str) -> None:
        """Say what it waits for, and when it goes on."""
        self.note(operation, f"waits: {reason}" if reason else "goes on")

    def finish(self, operation: str, text: str) -> None:
        """Say how it ended."""
        with self._lock:
            line = self._running.pop(operation, None)
            took = f" ({duration(self._clock() - line.begun)})" if line else ""
            self._write(f"{line.title if line else clean(operation)}: {clean(text)}{took}")

    def _standing(self, line: _Line, now: float) -> str:
        if line.total is None:
            return f"{line.done:,} items"
        rate = (line.done - (line.before or 0)) / max(now - line.begun, 0.001)
        share = f"{line.done:,} of {line.total:,}"
        if rate <= 0:
            return share
        left = duration(max(0, line.total - line.done) / rate)
        return f"{share}, {rate:,.0f}/s, {left} left"

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()
