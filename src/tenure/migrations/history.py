"""The table tenure.migration_history: what ran, when, by whom, and how far a non-transactional file came."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tenure.errors import MigrationHistoryError
from tenure.migrations.folder import MigrationFile
from tenure.migrations.values import HistoryRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

_TABLE = """
CREATE TABLE tenure.migration_history (
    file            text PRIMARY KEY,
    position        integer NOT NULL,
    checksum        text NOT NULL,
    state           text NOT NULL CHECK (state IN ('applied', 'started')),
    transactional   boolean NOT NULL,
    baseline        boolean NOT NULL DEFAULT false,
    statements_done integer NOT NULL DEFAULT 0,
    done_checksum   text NOT NULL DEFAULT '',
    applied_by      text NOT NULL DEFAULT current_user,
    applied_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms     bigint NOT NULL DEFAULT 0
)
"""

_UPSERT = """
INSERT INTO tenure.migration_history AS h
    (file, position, checksum, state, transactional, baseline, statements_done, done_checksum, duration_ms)
VALUES (%(file)s, %(position)s, %(checksum)s, %(state)s, %(transactional)s, %(baseline)s, %(statements_done)s,
    %(done_checksum)s, %(duration_ms)s)
ON CONFLICT (file) DO UPDATE SET
    position = excluded.position, checksum = excluded.checksum, state = excluded.state,
    transactional = excluded.transactional, baseline = excluded.baseline,
    statements_done = excluded.statements_done, done_checksum = excluded.done_checksum,
    applied_by = excluded.applied_by, applied_at = excluded.applied_at,
    duration_ms = h.duration_ms + excluded.duration_ms
"""


class HistoryTable:
    """Reads and writes the history over one connection."""

    def __init__(self, connection: Connection) -> None:
        """Work on *connection*; transactions are the caller's."""
        self._connection = connection

    def read(self) -> dict[str, HistoryRow]:
        """Return the rows by file name; none if the table was never made."""
        from psycopg.rows import class_row

        with _explained("read"):
            if not self._exists():
                return {}
            with self._connection.cursor(row_factory=class_row(HistoryRow)) as cursor:
                cursor.execute(
                    "SELECT file, position, checksum, state, transactional, baseline, statements_done, done_checksum,"
                    " applied_by, applied_at, duration_ms FROM tenure.migration_history ORDER BY position, file"
                )
                return {row.file: row for row in cursor}

    def create_if_missing(self) -> None:
        """Make schema and table; asks first, since IF NOT EXISTS needs the right to create even when they exist."""
        with _explained("make"), self._connection.transaction():
            if self._one("SELECT to_regnamespace('tenure') IS NULL"):
                self._connection.execute("CREATE SCHEMA tenure")
            if not self._exists():
                self._connection.execute(_TABLE)

    def write(
        self,
        file: MigrationFile,
        *,
        state: str = "applied",
        baseline: bool = False,
        statements_done: int = 0,
        done_checksum: str = "",
        duration_ms: int = 0,
    ) -> None:
        """Record *file*; *duration_ms* is added to what earlier runs of it took."""
        with _explained("write"):
            self._connection.execute(
                _UPSERT,
                {
                    "file": file.name,
                    "position": file.position,
                    "checksum": file.checksum,
                    "state": state,
                    "transactional": file.transactional,
                    "baseline": baseline,
                    "statements_done": statements_done,
                    "done_checksum": done_checksum,
                    "duration_ms": duration_ms,
                },
            )

    def _exists(self) -> bool:
        return bool(self._one("SELECT to_regclass('tenure.migration_history') IS NOT NULL"))

    def _one(self, query: str) -> object:
        row = self._connection.execute(query.encode()).fetchone()
        return row[0] if row else None


@contextmanager
def _explained(verb: str) -> Iterator[None]:
    """Say what to grant when the role may not, or that this is a standby; other errors pass."""
    from psycopg import errors

    try:
        yield
    except errors.InsufficientPrivilege as error:
        raise MigrationHistoryError(
            problem=f"the role may not {verb} tenure.migration_history: {error.diag.message_primary}.",
            remedy="Connect as the role that owns it, or let its owner GRANT USAGE, CREATE ON SCHEMA tenure and "
            "SELECT, INSERT, UPDATE ON tenure.migration_history (and CREATE ON the database, for the very first run).",
        ) from error
    except errors.ReadOnlySqlTransaction as error:
        raise MigrationHistoryError(
            problem=f"the server takes no writes: {error.diag.message_primary}.",
            remedy="Connect to the primary, or lift default_transaction_read_only.",
        ) from error
