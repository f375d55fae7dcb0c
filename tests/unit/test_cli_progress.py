"""The reporters of a run, and what Ctrl-C does to it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console

from tenure.cli.progress import BarReporter, LineReporter, reporter
from tenure.cli.signals import stopping
from tenure.runner.context import StopSignal


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_at_the_start_every_ten_seconds_and_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = LineReporter(stream, clock)
    lines.start("op", "fill t", 10_000)
    lines.advance("op", 4_000)  # what an earlier attempt did
    for _ in range(20):
        clock.now += 1
        lines.advance("op", 100)
    clock.now += 5
    lines.finish("op", "planned 10,000, changed 10,000, left 0")
    assert stream.getvalue().splitlines() == [
        "fill t: started (10,000 items)",
        "fill t: 5,000 of 10,000, 100/s, 50 s left",
        "fill t: 6,000 of 10,000, 100/s, 40 s left",
        "fill t: planned 10,000, changed 10,000, left 0 (25 s)",
    ]


def test_lines_without_a_total_and_for_operations_that_are_unknown() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = LineReporter(stream, clock)
    lines.start("op", "build i", None)
    lines.note("op", "waiting for a lock")
    clock.now += 11
    lines.advance("op", 3)
    lines.advance("other", 3)
    lines.finish("other", "done")
    assert stream.getvalue().splitlines() == [
        "build i: started",
        "build i: waiting for a lock",
        "build i: 3 items",
        "other: done",
    ]


def test_lines_are_masked() -> None:
    stream = io.StringIO()
    LineReporter(stream, Clock()).note("op", "postgresql://u:hunter22@h/d\x1b[2J")
    assert stream.getvalue() == "op: postgresql://u:***@h/d\\x1b[2J\n"


def test_bars_count_from_all_threads_and_leave_a_line() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bars = BarReporter(console)
    with bars.progress:
        bars.start("op", "fill t", 1_000)
        bars.advance("op", 0)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: bars.advance("op", 1), range(1_000)))
        (task,) = bars.progress.tasks
        assert task.completed == 1_000
        bars.note("op", "a note")
        bars.finish("op", "changed 1,000")
        assert not bars.progress.tasks
        bars.advance("op", 1)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "fill t: a note" in text
    assert "fill t: changed 1,000" in text


def test_a_wait_is_said_once_and_marks_the_bar_while_it_lasts() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bars = BarReporter(console)
    with bars.progress:
        bars.start("op", "fill t", 1_000)
        for _ in range(3):
            bars.waiting("op", "replica r1 is 34 s behind")
        (task,) = bars.progress.tasks
        assert task.description == "fill t (waits)"
        bars.waiting("op", "")
        assert task.description == "fill t"
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("fill t: waits: replica r1 is 34 s behind") == 1
    stream = io.StringIO()
    lines = LineReporter(stream, Clock())
    lines.start("op", "fill t", None)
    lines.waiting("op", "replica r1 is 34 s behind")
    lines.waiting("op", "")
    assert stream.getvalue().splitlines()[1:] == ["fill t: waits: replica r1 is 34 s behind", "fill t: goes on"]


def test_what_an_earlier_attempt_did_is_no_speed() -> None:
    bars = BarReporter(Console(file=io.StringIO(), force_terminal=True))
    bars.start("op", "fill t", 1_000_000)
    bars.advance("op", 900_000)
    (task,) = bars.progress.tasks
    assert task.completed == 900_000
    assert not task.speed


def test_stderr_that_is_no_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with reporter() as chosen:
        assert isinstance(chosen, LineReporter)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_and_handlers_are_put_back(number: signal.Signals) -> None:
    stop, before = StopSignal(), signal.getsignal(number)
    with stopping(stop):
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    assert number.name in stop.reason
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_the_process_at_once_with_130() -> None:
    code = textwrap.dedent("""
        import os, signal, threading
        from tenure.cli.signals import stopping
        from tenure.runner.context import StopSignal
        threading.Thread(target=threading.Event().wait).start()  # a worker that waits for a store for ever
        with stopping(StopSignal()):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait()
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert "finished first" in done.stderr
    assert "Stopped at once" in done.stderr
