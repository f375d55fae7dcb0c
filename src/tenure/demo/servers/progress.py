"""Progress of starting servers on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator

LINE_EVERY = 40


@contextlib.contextmanager
def console_progress() -> Iterator[Callable[[str], None]]:
    """Yield a reporter: a spinner whose text changes on a terminal, else a line per step (one in 40 of a download).

    An empty line takes the spinner away.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _line_reporter()
        return
    status = console.status("")

    def report(line: str) -> None:
        if line:
            status.update(line)
            status.start()
        else:
            status.stop()

    try:
        yield report
    finally:
        status.stop()


def _line_reporter() -> Callable[[str], None]:
    counts: Counter[str] = Counter()

    def report(line: str) -> None:
        kind = line.partition(" ")[0]
        counts[kind] += 1
        if line and (kind not in ("downloading", "resolving") or counts[kind] % LINE_EVERY == 1):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return report
