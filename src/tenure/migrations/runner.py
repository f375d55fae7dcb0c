"""The migrations runner: reads folder and history, refuses what does not fit, runs what is pending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.errors import MigrationConnectionLostError, MigrationFileError, MigrationHistoryError, UsageError
from tenure.migrations.assessment import BLOCKING, assess, files_to_baseline, findings_of, refuse_problems
from tenure.migrations.execution import FileExecution, resume_point
from tenure.migrations.failures import server_message
from tenure.migrations.folder import MigrationFile, MigrationFolder, read_folder
from tenure.migrations.history import HistoryTable
from tenure.migrations.indexes import invalid_target
from tenure.migrations.session import connected, runner_lock
from tenure.migrations.statements import Statement, split_statements
from tenure.migrations.values import Applied, AppliedFile, HistoryRow, MigrationState, MigrationStatus, Progress
from tenure.values import Finding

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.errors import Diagnostic

_INVALID_INDEX = "TEN908"
_UNUSABLE_FILE = "TEN909"


def _silent(_: Progress) -> None:
    return


class MigrationRunner:
    """Runs the SQL files of a folder, in the order of its manifest, against one database."""

    def __init__(
        self,
        dsn_or_connection: str | Connection,
        directory: str | Path,
        *,
        lock_timeout_ms: int = 3000,
        attempts: int = 10,
    ) -> None:
        """Look at the database of *dsn_or_connection* and the files in *directory*; nothing happens yet.

        Args:
            dsn_or_connection: a libpq connection string, or a psycopg connection outside any transaction (not through
                a pooler in transaction mode, which would lose the session's lock).
            directory: the folder that holds the manifest and the files.
            lock_timeout_ms: how long a statement waits for a lock before it lets others pass and tries again.
            attempts: how often a file (or a statement of a non-transactional one) is tried in all.
        """
        if lock_timeout_ms < 0 or attempts < 1:
            raise UsageError(detail="lock_timeout_ms must be 0 (wait for ever) or more, and attempts 1 or more.")
        self._target = dsn_or_connection
        self._directory = Path(directory)
        self._lock_timeout_ms = lock_timeout_ms
        self._attempts = attempts

    def database(self) -> str:
        """Return the name of the database, as its server tells it."""
        with self._connected() as connection:
            row = connection.execute("SELECT current_database()").fetchone()
            return str(row[0]) if row else ""

    def status(self) -> tuple[MigrationStatus, ...]:
        """Return where every file stands; reads only, and raises only where folder or server cannot be read."""
        folder = read_folder(self._directory)
        with self._connected() as connection, _read_only(connection):
            return assess(folder, HistoryTable(connection).read())

    def verify(self) -> tuple[Finding, ...]:
        """Return what is wrong between folder and database; reads only. Pending files are warnings, the rest errors."""
        folder = read_folder(self._directory)
        with self._connected() as connection, _read_only(connection):
            history = HistoryTable(connection).read()
            findings = list(findings_of(assess(folder, history)))
            for file in folder.files:
                findings += self._verify_content(connection, file, history.get(file.name))
        return tuple(findings)

    def apply(
        self,
        dry_run: bool = False,
        baseline: str | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Applied:
        """Run what is pending, each file with its record; a second call finds nothing to do.

        Args:
            dry_run: only say what would run: reads, in a read-only transaction, and takes no lock.
            baseline: mark everything up to and including this file as applied, without running it, then go on with
                the rest; for a database that was migrated by hand.
            progress: called with each event.

        Raises:
            MigrationFolderError, MigrationFileError: folder, manifest or a pending file is not usable; nothing ran.
            MigrationRefusedError: folder and history do not fit together; nothing ran.
            MigrationLockedError: another runner is at work.
            MigrationError: a subclass says what failed; the files before it stay applied.
        """
        folder = read_folder(self._directory)
        tell = progress or _silent
        if dry_run:
            with self._connected() as connection, _read_only(connection):
                history = HistoryTable(connection).read()
                marked, todo = _plan(folder, history, baseline)
            return _outcome(True, history, marked, tuple(_planned(*item, history) for item in todo))
        with self._connected() as connection, runner_lock(connection):
            table = HistoryTable(connection)
            history = table.read()
            marked, todo = _plan(folder, history, baseline)
            if marked or todo:
                table.create_if_missing()
            with connection.transaction():
                for file in marked:
                    table.write(file, baseline=True)
                    tell(Progress(event="baseline", file=file.name))
            return _outcome(False, history, marked, self._run(connection, history, todo, tell))

    def _run(
        self,
        connection: Connection,
        history: dict[str, HistoryRow],
        todo: tuple[tuple[MigrationFile, tuple[Statement, ...]], ...],
        tell: Callable[[Progress], None],
    ) -> tuple[AppliedFile, ...]:
        execution = FileExecution(
            connection, lock_timeout_ms=self._lock_timeout_ms, attempts=self._attempts, progress=tell
        )
        current = ""

        def on_notice(notice: Diagnostic) -> None:
            tell(Progress(event="notice", file=current, message=f"{notice.severity}: {notice.message_primary}"))

        connection.add_notice_handler(on_notice)
        try:
            applied = []
            for file, statements in todo:
                current = file.name
                applied.append(execution.run(file, statements, history.get(file.name)))
            return tuple(applied)
        finally:
            connection.remove_notice_handler(on_notice)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        import psycopg

        with connected(self._target) as connection:
            try:
                yield connection
            except psycopg.Error as error:
                # Errors of the files' own statements are explained where they run; this is the runner's bookkeeping.
                if connection.closed:
                    raise MigrationConnectionLostError(
                        file="the runner", problem=server_message(error), remedy="Check that the server runs."
                    ) from error
                raise MigrationHistoryError(
                    problem=f"the runner could not do its bookkeeping: {server_message(error)}.",
                    remedy="Check the role's rights and the server's state.",
                ) from error

    @staticmethod
    def _verify_content(connection: Connection, file: MigrationFile, row: HistoryRow | None) -> Iterator[Finding]:
        try:
            statements = split_statements(file)
        except MigrationFileError as error:
            yield Finding(
                id=_UNUSABLE_FILE,
                severity="error",
                store="postgres",
                object=file.name,
                title=str(error),
                count=1,
                remedy=str(error.fields["remedy"]),
            )
            return
        for statement in statements if row else ():
            invalid = invalid_target(connection, statement.index) if statement.index else None
            if invalid is not None:
                yield Finding(
                    id=_INVALID_INDEX,
                    severity="error",
                    store="postgres",
                    object=invalid.name,
                    title=f"the index that {file.name}:{statement.line} creates on {invalid.table} is invalid.",
                    count=1,
                    remedy=f"{invalid.remedy}; then build it again.",
                )


@contextmanager
def _read_only(connection: Connection) -> Iterator[None]:
    """Let the server itself refuse every write of a command that only looks."""
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        yield


def _plan(
    folder: MigrationFolder, history: dict[str, HistoryRow], baseline: str | None
) -> tuple[tuple[MigrationFile, ...], tuple[tuple[MigrationFile, tuple[Statement, ...]], ...]]:
    """Return the files to mark and those to run with their statements; refuse before anything is run."""
    marked = files_to_baseline(folder, history, baseline) if baseline else ()
    names = {file.name for file in marked}
    statuses = assess(folder, history)
    refuse_problems(status for status in statuses if not (status.file in names and status.state in BLOCKING))
    runnable = {MigrationState.PENDING, MigrationState.INTERRUPTED}
    wanted = {status.file for status in statuses if status.state in runnable} - names
    todo = tuple((file, split_statements(file)) for file in folder.files if file.name in wanted)
    for file, statements in todo:
        resume_point(file, statements, history.get(file.name))
    return marked, todo


def _planned(file: MigrationFile, statements: tuple[Statement, ...], history: dict[str, HistoryRow]) -> AppliedFile:
    return AppliedFile(
        file=file.name,
        position=file.position,
        statements=len(statements),
        transactional=file.transactional,
        resumed_at=resume_point(file, statements, history.get(file.name)) + 1,
    )


def _outcome(
    dry_run: bool,
    history: dict[str, HistoryRow],
    marked: tuple[MigrationFile, ...],
    files: tuple[AppliedFile, ...],
) -> Applied:
    return Applied(
        dry_run=dry_run,
        already=sum(row.state == "applied" for row in history.values()),
        baselined=tuple(file.name for file in marked),
        files=files,
    )
