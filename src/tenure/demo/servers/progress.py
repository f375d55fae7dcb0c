"""Progress of starting servers on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def console_progress() -> Iterator[Callable[[str], None]]:
    """Yield a reporter: a spinner whose text changes on a terminal, else a line per step (one in 20 of a download).

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
    downloads = 0

    def report(line: str) -> None:
        nonlocal downloads
        if line.startswith("downloading"):
            downloads += 1
            if downloads % 20 != 1:
                return
        if line:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return report
