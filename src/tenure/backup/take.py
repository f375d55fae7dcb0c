"""Takes a backup of every store of a playbook, object by object, and goes on where an earlier attempt stopped."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tenure import __version__
from tenure.backup.files import MANIFEST, WORK, prepare, reserve
from tenure.backup.manifest import Entry, Growing, Manifest, Source, load_manifest
from tenure.backup.work import Work, now
from tenure.errors import BackupError, RefusedError, TenureError
from tenure.runner.context import Reporter, SilentReporter, StopSignal

if TYPE_CHECKING:
    from tenure.backup.qdrant import Method
    from tenure.session import Session

_SPARE = 10_000_000
_NOTES = {
    "postgres": "Postgres: one snapshot of the whole database, taken by pg_dump.",
    "neo4j": "Neo4j: an export while the graph was in use, no picture of one moment (not point-in-time): what was "
    "written meanwhile may be in it or not. Stop the writers for a consistent one; see also `--offline-commands`.",
    "qdrant": "Qdrant: a collection's snapshot is a picture of it at some moment of the backup; an export is not.",
    "cross": "The stores were read one after the other: what was written meanwhile may be in one and not in another.",
}


def default_directory(parent: Path) -> Path:
    """Return a new directory's name for a backup that starts now."""
    return parent / f"tenure-backup-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def take(
    session: Session,
    directory: Path,
    *,
    qdrant: Method = "auto",
    jobs: int | None = None,
    reporter: Reporter | None = None,
    signal: StopSignal | None = None,
) -> Manifest:
    """Back up the stores of *session*'s playbook into *directory*, which may hold an unfinished backup of the same.

    *qdrant* says how collections are taken, *jobs* how many connections pg_dump uses. Errors: RefusedError for a
    directory with something else in it or too little room, BackupError, BackupToolError, StoreError,
    BackupInterruptedError; what is finished by then is kept for the next attempt.
    """
    if not (directory / MANIFEST).exists():
        from tenure.backup.postgres import dump_tool

        dump_tool(session.postgres)  # what is missing is said before a directory is made for nothing
    prepare(directory)
    stopped = f"`tenure backup --to {directory}` goes on with what is not done yet."
    work = Work(directory.absolute(), reporter or SilentReporter(), signal or StopSignal(), stopped)
    with _alone(work.directory), _disk(work.directory):
        growing = Growing(_begun(session, work.directory), work.directory)
        reserve(work.directory, _estimate(session, growing.manifest) + _SPARE)
        growing.manifest.save(work.directory)
        for part in _parts(session, work, growing, qdrant, jobs):
            part()
            work.check()
        growing.finish(now())
        shutil.rmtree(work.directory / WORK)
    return growing.manifest


def take_checked(
    session: Session,
    directory: Path,
    *,
    qdrant: Method = "auto",
    jobs: int | None = None,
    reporter: Reporter | None = None,
    signal: StopSignal | None = None,
) -> Manifest:
    """Take a backup, read all of it again, and record in the ledger that it is whole; see `take`."""
    from tenure.backup.check import check
    from tenure.backup.gate import record

    take(session, directory, qdrant=qdrant, jobs=jobs, reporter=reporter, signal=signal)
    manifest = check(directory, reporter=reporter, signal=signal)
    record(session, directory, manifest)
    return manifest


def _parts(
    session: Session,
    work: Work,
    growing: Growing,
    method: Method,
    jobs: int | None,
) -> Iterator[Callable[[], None]]:
    connections = session.playbook.connections
    if not growing.manifest.of("postgres"):
        yield lambda: growing.add(_postgres(session, work, jobs))
    graph = session.neo4j
    if graph is not None:
        from tenure.backup import neo4j

        yield lambda: neo4j.back_up(graph, work, growing)
    vectors = session.qdrant
    if vectors is not None and connections.qdrant is not None:
        from tenure.backup import qdrant

        key = connections.qdrant.api_key
        secret = key.get_secret_value() if key is not None else None
        url = connections.qdrant.url
        yield lambda: qdrant.back_up(vectors, work, growing, url=url, api_key=secret, method=method)


def _postgres(session: Session, work: Work, jobs: int | None) -> Entry:
    from tenure.backup import postgres

    connection = session.playbook.connections.postgres
    return postgres.back_up(
        session.postgres,
        connection.url.get_secret_value(),
        work,
        role=connection.role,
        settings=connection.settings,
        jobs=jobs or postgres.JOBS,
    )


def sources(session: Session) -> dict[str, Source]:
    """Return where the stores of a session are, and what they say of themselves."""
    from tenure.backup import postgres

    found = {"postgres": postgres.source(session.postgres)}
    if session.neo4j is not None:
        from tenure.backup import neo4j

        found["neo4j"] = neo4j.source(session.neo4j)
    if session.qdrant is not None:
        from tenure.backup import qdrant

        found["qdrant"] = qdrant.source(session.qdrant)
    return found


def _begun(session: Session, directory: Path) -> Manifest:
    """Return the manifest to go on with, or a new one. Errors: RefusedError when the one there is another's."""
    here = sources(session)
    if (directory / MANIFEST).exists():
        manifest = load_manifest(directory)
        if manifest.finished:
            raise RefusedError(
                reason=f"{directory} holds a backup that is finished.", remedy="Name another directory with --to."
            )
        for store in here.keys() | manifest.sources.keys():
            one, other = here.get(store), manifest.sources.get(store)
            if one is None or other is None or (one.identity or one.address) != (other.identity or other.address):
                raise RefusedError(
                    reason=f"{directory} holds the beginning of a backup of other stores ({store} is another).",
                    remedy="Name another directory with --to.",
                )
        return manifest
    with session.postgres.connection() as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
    notes = [_NOTES[store] for store in here] + ([_NOTES["cross"]] if len(here) > 1 else [])
    return Manifest(
        tenure=__version__,
        started=row[0].isoformat(timespec="seconds"),
        playbook_digest=session.playbook.digest(),
        plan_hash=_plan_hash(session),
        notes=tuple(notes),
        sources=here,
    )


def _plan_hash(session: Session) -> str:
    """Return the hash of the plan that the backup is made before; a playbook that does not fit yet has none."""
    try:
        plan = session.plan()
    except TenureError:
        return ""
    return "" if plan.errors else plan.hash


def _estimate(session: Session, manifest: Manifest) -> int:
    from tenure.backup import postgres

    total = 0 if manifest.of("postgres") else postgres.estimate(session.postgres)
    if session.neo4j is not None:
        from tenure.backup import neo4j

        total += neo4j.estimate(session.neo4j)
    if session.qdrant is not None:
        from tenure.backup import qdrant

        total += qdrant.estimate(session.qdrant)
    done = sum(file.bytes for entry in manifest.entries if entry.store != "postgres" for file in entry.files)
    return max(0, total - done)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other processes out of the directory. Errors: RefusedError when one is at work in it."""
    work = directory / WORK
    work.mkdir(exist_ok=True, mode=0o700)
    handle = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RefusedError(reason=f"another process writes a backup to {directory}.", remedy="Wait for it.") from error
    finally:
        os.close(handle)


@contextmanager
def _disk(directory: Path) -> Iterator[None]:
    """Errors: BackupError where the disk fills up or goes away."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _no_disk(directory, str(error)) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES):
            raise
        raise _no_disk(directory, error.strerror or "") from error


def _no_disk(directory: Path, problem: str) -> BackupError:
    return BackupError(
        problem=f"{directory}: {problem}.",
        remedy=f"Make room, then `tenure backup --to {directory}` goes on with what is not done yet.",
    )
