"""Real servers for the demo, the tests and rehearsed restores, each a child that never outlives its starter."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tenure.demo.servers.neo4j import EmbeddedNeo4j
from tenure.demo.servers.postgres import EmbeddedPostgres
from tenure.demo.servers.progress import console_progress
from tenure.demo.servers.qdrant import EmbeddedQdrant

__all__ = ["EmbeddedNeo4j", "EmbeddedPostgres", "EmbeddedQdrant", "Servers", "console_progress", "servers"]

_Server = EmbeddedPostgres | EmbeddedNeo4j | EmbeddedQdrant


@dataclass(frozen=True)
class Servers:
    """The running servers; one that was not asked for is None."""

    postgres: EmbeddedPostgres | None
    neo4j: EmbeddedNeo4j | None
    qdrant: EmbeddedQdrant | None


@contextlib.contextmanager
def servers(
    postgres: bool = True,
    neo4j: bool = True,
    qdrant: bool = True,
    directory: Path | None = None,
    neo4j_version: str | None = None,
    progress: Callable[[str], None] | None = None,
    durable: bool = True,
) -> Iterator[Servers]:
    """Start the servers asked for, all at once, and stop them at the end, whatever ends the block.

    Args:
        postgres: Whether to start Postgres.
        neo4j: Whether to start Neo4j.
        qdrant: Whether to start Qdrant (nothing is started when TENURE_QDRANT names a server).
        directory: Holds a folder per server; a temporary one, removed at the end, when None.
        neo4j_version: See EmbeddedNeo4j.
        progress: Told what starting and a first download do, in short lines, from several threads; a spinner on
            stderr, or a line per step where that is no terminal, when None.
        durable: False turns Postgres's fsync off, for tests.

    Raises:
        ServerDownloadError, ServerStartError: from the first server that failed; the others are stopped.
    """
    with contextlib.ExitStack() as stack:
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="tenure-servers-", ignore_cleanup_errors=True)
            directory = Path(stack.enter_context(temporary))
        report = progress
        if report is None:
            report = stack.enter_context(console_progress())
        started = Servers(
            EmbeddedPostgres(directory / "postgres", durable=durable) if postgres else None,
            EmbeddedNeo4j(directory / "neo4j", version=neo4j_version, progress=report) if neo4j else None,
            EmbeddedQdrant(directory / "qdrant") if qdrant else None,
        )
        asked = [server for server in (started.postgres, started.neo4j, started.qdrant) if server is not None]
        # Registered before anything starts: Ctrl-C in the middle must find them.
        stack.callback(_in_parallel, [server.cancel for server in asked])
        _in_parallel(_starters(asked, report))
        if progress is None:
            report("")
        yield started


def _starters(asked: list[_Server], report: Callable[[str], None]) -> list[Callable[[], None]]:
    names = [type(server).__name__.removeprefix("Embedded") for server in asked]
    waiting = set(names)

    def start(name: str, server: _Server) -> None:
        report(f"starting {name} ({server.version})")
        server.start()
        waiting.discard(name)
        rest = ", ".join(sorted(waiting))
        report(f"{name} is ready" + (f", waiting for {rest}" if rest else ""))

    return [partial(start, name, server) for name, server in zip(names, asked, strict=True)]


def _in_parallel(actions: list[Callable[[], None]]) -> None:
    """Run *actions* on a thread each and wait; raises the first failure after all have ended.

    The threads are daemons and the wait is interruptible, so that Ctrl-C during a download ends the program.
    """
    failures: list[BaseException] = []

    def run(action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  # raised again by the waiting thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
