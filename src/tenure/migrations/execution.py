"""Runs one file: with its history row in one transaction, or statement by statement where none is possible."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from tenure.errors import MigrationInvalidIndexError, MigrationLockTimeoutError, MigrationRefusedError
from tenure.migrations.failures import Failure, is_retryable, server_message
from tenure.migrations.folder import MigrationFile
from tenure.migrations.history import HistoryTable
from tenure.migrations.indexes import InvalidIndex, invalid_indexes, invalid_target
from tenure.migrations.session import SessionSettings, open_transactions
from tenure.migrations.statements import Statement, fingerprint
from tenure.migrations.values import AppliedFile, HistoryRow, Progress

if TYPE_CHECKING:
    from psycopg import Connection

_BACKOFF_FIRST_S = 0.25
_BACKOFF_CAP_S = 30.0


def resume_point(file: MigrationFile, statements: tuple[Statement, ...], row: HistoryRow | None) -> int:
    """Return how many statements an earlier, interrupted run of *file* has done already.

    Raises:
        MigrationRefusedError: those statements were edited since, or the file became a transactional one.
    """
    if row is None or row.state == "applied" or row.statements_done == 0:
        return 0
    done = row.statements_done
    if not file.transactional and fingerprint(statements[:done]) == row.done_checksum and done <= len(statements):
        return done
    raise MigrationRefusedError(
        problems=f"\n  {file.name}: a run was cut short after its first {done} statement(s), and these (or the "
        "no-transaction marker) were changed since. Restore them and correct only what follows, or finish the file "
        f"by hand and record that: `tenure migrations apply --baseline {file.name}`.",
        files=(file.name,),
        states=(),
    )


class FileExecution:
    """Runs files over one connection that holds the runner's lock."""

    def __init__(
        self,
        connection: Connection,
        *,
        lock_timeout_ms: int,
        attempts: int,
        progress: Callable[[Progress], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wait at most *lock_timeout_ms* for a lock, and try *attempts* times in all, with growing pauses between."""
        self._connection = connection
        self._lock_timeout_ms = lock_timeout_ms
        self._attempts = attempts
        self._progress = progress
        self._sleep = sleep
        self._history = HistoryTable(connection)
        self._settings = SessionSettings(connection)

    def run(self, file: MigrationFile, statements: tuple[Statement, ...], row: HistoryRow | None) -> AppliedFile:
        """Run *file* from where an earlier run was cut short, and record it.

        Raises:
            MigrationError: a subclass says what failed, and what of the file is kept.
        """
        import psycopg

        done = resume_point(file, statements, row)
        failure = Failure(file, statements, done)
        self._tell("file", failure, 0)
        started = time.monotonic()
        try:
            self._prepare()
            attempts = self._run_whole(failure) if file.transactional else self._run_each(failure)
        except psycopg.Error as error:
            failure.explain(self._connection, error)
        except KeyboardInterrupt as error:
            failure.explain_interrupt(error)
        finally:
            if not self._connection.closed:
                self._settings.restore()
        self._tell("done", failure, len(statements))
        return AppliedFile(
            file=file.name,
            position=file.position,
            statements=len(statements),
            transactional=file.transactional,
            resumed_at=done + 1,
            attempts=attempts,
            duration_ms=_since(started),
        )

    def _prepare(self) -> None:
        self._settings.restore()
        self._settings.watch_client()
        self._set("lock_timeout", str(self._lock_timeout_ms))

    def _run_whole(self, failure: Failure) -> int:
        """Run the file and its history row as one transaction, again from the start after a lost wait for a lock."""
        import psycopg

        for attempt in range(1, self._attempts + 1):
            started = time.monotonic()
            try:
                with self._connection.transaction():
                    for statement in failure.statements:
                        failure.at = statement
                        self._tell("statement", failure, statement.number)
                        self._connection.execute(statement.text.encode())
                        self._require_valid(statement, failure)
                    failure.at = None
                    self._settings.own_role()
                    self._history.write(
                        failure.file, statements_done=len(failure.statements), duration_ms=_since(started)
                    )
            except psycopg.Error as error:
                self._pause_or_raise(error, failure, attempt)
                self._prepare()
            else:
                return attempt
        raise AssertionError("the last attempt returns or raises")

    def _run_each(self, failure: Failure) -> int:
        """Run the statements one by one, noting each: the note shares a transaction with it where that can be."""
        started = time.monotonic()
        attempts = 1
        self._note(failure, failure.done, 0)
        for statement in failure.statements:
            repeated = statement.number <= failure.done
            failure.at = statement
            if not repeated or statement.setting:
                self._tell("statement", failure, statement.number)
                attempts = max(attempts, self._run_one(statement, failure, repeated, started))
                started = started if repeated else time.monotonic()
            else:
                # Done by an earlier run: the file must not count as applied over an index that broke since.
                self._require_valid(statement, failure)
        failure.at = None
        self._note(failure, failure.done, _since(started), state="applied")
        return attempts

    def _run_one(self, statement: Statement, failure: Failure, repeated: bool, started: float) -> int:
        import psycopg

        for attempt in range(1, self._attempts + 1):
            try:
                if statement.data_change:
                    self._run_noted(statement, failure, started)
                elif statement.concurrent:
                    self._run_concurrent(statement, failure)
                else:
                    self._connection.execute(statement.text.encode())
            except psycopg.Error as error:
                if statement.concurrent:
                    # What it left behind stands in its own way, so another attempt could only fail differently.
                    raise
                self._pause_or_raise(error, failure, attempt)
                continue
            if not statement.data_change and not repeated:
                self._require_valid(statement, failure)
                self._note(failure, statement.number, _since(started))
            failure.done = max(failure.done, statement.number)
            return attempt
        raise AssertionError("the last attempt returns or raises")

    def _run_noted(self, statement: Statement, failure: Failure, started: float) -> None:
        """Run a change of data in one transaction with the note that it is done, so that no kill can repeat it."""
        from psycopg import errors

        try:
            with self._connection.transaction():
                self._connection.execute(statement.text.encode())
                self._note(failure, statement.number, _since(started))
        except errors.ActiveSqlTransaction:
            # A SELECT of a function that refuses to run in a transaction, as extensions have them; it did nothing yet.
            self._connection.execute(statement.text.encode())
            self._note(failure, statement.number, _since(started))

    def _run_concurrent(self, statement: Statement, failure: Failure) -> None:
        """Run without timeouts: it waits for every older snapshot, and cut short it leaves an invalid index behind."""
        import psycopg

        before = invalid_indexes(self._connection)
        timeouts = {name: self._get(name) for name in ("lock_timeout", "statement_timeout")}
        for name in timeouts:
            self._set(name, "0")
        try:
            self._connection.execute(statement.text.encode())
        except psycopg.Error as error:
            if not self._connection.closed:
                self._blame_index(statement, failure, before, error)
            raise
        for name, value in timeouts.items():
            self._set(name, value)

    def _blame_index(
        self, statement: Statement, failure: Failure, before: dict[int, InvalidIndex], error: Exception
    ) -> None:
        left = [index for oid, index in invalid_indexes(self._connection).items() if oid not in before]
        named = invalid_target(self._connection, statement.index) if statement.index else None
        if named and named.oid in before:
            self._raise_invalid(named, statement, failure, server_message(error), error)
        failure.leftovers = tuple(left)

    def _require_valid(self, statement: Statement, failure: Failure) -> None:
        if statement.index is None:
            return
        invalid = invalid_target(self._connection, statement.index)
        if invalid is not None:
            self._raise_invalid(invalid, statement, failure, "IF NOT EXISTS does not look at that.", None)

    @staticmethod
    def _raise_invalid(
        index: InvalidIndex, statement: Statement, failure: Failure, problem: str, cause: Exception | None
    ) -> NoReturn:
        raise MigrationInvalidIndexError(
            file=failure.file.name,
            line=statement.line,
            index=index.name,
            table=index.table,
            problem=problem,
            remedy=index.remedy,
            kept=failure.kept(),
        ) from cause

    def _note(self, failure: Failure, done: int, duration_ms: int, state: str = "started") -> None:
        with self._connection.transaction():
            self._settings.own_role()
            self._history.write(
                failure.file,
                state=state,
                statements_done=done,
                done_checksum=fingerprint(failure.statements[:done]),
                duration_ms=duration_ms,
            )

    def _pause_or_raise(self, error: Exception, failure: Failure, attempt: int) -> None:
        """Sleep before the next attempt after a lost wait for a lock; raise everything else, and the last one."""
        if self._connection.closed or not is_retryable(error):
            raise error
        if attempt == self._attempts:
            raise MigrationLockTimeoutError(
                file=failure.file.name,
                line=failure.line(error),
                lock_timeout_ms=self._lock_timeout_ms,
                attempts=attempt,
                problem=server_message(error),
                holders=open_transactions(self._connection),
                kept=failure.kept(),
            ) from error
        # Jitter, so that two applications that ran into each other do not meet again at the same beat.
        pause = min(_BACKOFF_CAP_S, _BACKOFF_FIRST_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
        message = f"{server_message(error)}; attempt {attempt + 1} of {self._attempts} in {pause:.1f} s"
        self._tell("retry", failure, failure.at.number if failure.at else 0, message)
        self._sleep(pause)

    def _tell(self, event: str, failure: Failure, statement: int, message: str = "") -> None:
        self._progress(
            Progress.model_validate(
                {
                    "event": event,
                    "file": failure.file.name,
                    "statement": statement,
                    "statements": len(failure.statements),
                    "message": message,
                }
            )
        )

    def _get(self, name: str) -> str:
        row = self._connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        return str(row[0]) if row else ""

    def _set(self, name: str, value: str) -> None:
        self._connection.execute("SELECT set_config(%s, %s, false)", (name, value))


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
