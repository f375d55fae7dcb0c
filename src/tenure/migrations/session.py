"""The runner's connection: opening it, the lock that admits one runner, and settings put back between files."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tenure.errors import MigrationLockedError, StoreUnreachableError, UsageError
from tenure.masking import remember_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

APPLICATION_NAME = "tenure migrations"
LOCK_KEY = int.from_bytes(hashlib.sha256(b"tenure.migration_history").digest()[:8], "big", signed=True)
"""Key of the session advisory lock. Advisory locks are per database, and so is the history."""

_HOLDER = """
SELECT l.pid, a.application_name, a.usename, a.client_addr::text, a.backend_start
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = (%(key)s::bigint >> 32 & 4294967295)::oid AND l.objid = (%(key)s::bigint & 4294967295)::oid
"""

_WAITED_FOR = """
SELECT pid, coalesce(nullif(application_name, ''), usename::text, '?'), state,
       extract(epoch FROM clock_timestamp() - xact_start)::bigint
FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
ORDER BY xact_start LIMIT 5
"""


@contextmanager
def connected(target: str | Connection) -> Iterator[Connection]:
    """Yield an autocommit connection: a new one for a DSN, or the caller's, whose mode is put back at the end.

    Raises:
        UsageError: the DSN is malformed, or the caller's connection is inside a transaction.
        StoreUnreachableError: no connection could be had.
    """
    if not isinstance(target, str):
        with _borrowed(target) as connection:
            yield connection
        return
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(target)
    except psycopg.ProgrammingError as error:
        raise UsageError(detail=f"the Postgres DSN is not valid: {str(error).strip()}") from error
    remember_secret(str(parts["password"]) if parts.get("password") else None)
    try:
        connection = psycopg.connect(
            target,
            autocommit=True,
            prepare_threshold=None,
            client_encoding="utf8",
            connect_timeout=int(parts.get("connect_timeout") or 10),
            application_name=str(parts.get("application_name") or APPLICATION_NAME),
        )
    except psycopg.OperationalError as error:
        address = f"{parts.get('host', 'the default host')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
        raise StoreUnreachableError(
            store="Postgres", address=address, problem=" ".join(str(error).split()).rstrip(".")
        ) from error
    with connection:
        yield connection


@contextmanager
def _borrowed(connection: Connection) -> Iterator[Connection]:
    from psycopg.pq import TransactionStatus

    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise UsageError(detail="the connection is inside a transaction: commit or roll it back before migrations run.")
    autocommit, threshold = connection.autocommit, connection.prepare_threshold
    connection.autocommit, connection.prepare_threshold = True, None
    try:
        yield connection
    finally:
        if not connection.closed:
            connection.autocommit, connection.prepare_threshold = autocommit, threshold


@contextmanager
def runner_lock(connection: Connection) -> Iterator[None]:
    """Hold the lock that admits one runner per database; it lives and dies with the session.

    Raises:
        MigrationLockedError: another session has it; the message says which.
    """
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone()
    if not (row and row[0]):
        raise MigrationLockedError(database=connection.info.dbname, holder=_holder(connection))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))


def _holder(connection: Connection) -> str:
    row = connection.execute(_HOLDER, {"key": LOCK_KEY}).fetchone()
    if row is None:
        return "it ended just now"
    pid, application, user, address, since = row
    since_text = f", connected since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    return f"pid {pid}, application {application or '?'!r}, user {user}, from {address or 'a local socket'}{since_text}"


def open_transactions(connection: Connection) -> str:
    """Describe the sessions with the oldest open transactions: whoever held the lock is most likely among them."""
    rows = connection.execute(_WAITED_FOR).fetchall()
    if not rows:
        return "No other session that this role may see has an open transaction now."
    sessions = "; ".join(f"pid {pid} ({name}, {state}, {age} s)" for pid, name, state, age in rows)
    return f"Sessions with open transactions: {sessions}."


class SessionSettings:
    """Remembers the session's role and settings, and puts them back after a file changed them."""

    def __init__(self, connection: Connection) -> None:
        """Take down what holds now on *connection*."""
        self._connection = connection
        row = connection.execute("SELECT current_setting('role')").fetchone()
        self._role = row[0] if row else "none"
        # The role has its own place: reset with the others it would be lost, or set before it may be.
        self._settings = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name NOT IN ('role',"
            " 'session_authorization', 'client_encoding')"
        ).fetchall()

    def restore(self) -> None:
        """Undo every SET since; then have the server notice when this process is gone."""
        self._connection.execute("RESET SESSION AUTHORIZATION")
        self._connection.execute("RESET ALL")
        self._connection.execute("SELECT set_config('client_encoding', 'utf8', false)")
        for name, value in self._settings:
            self._connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        self._connection.execute("SELECT set_config('role', %s, false)", (self._role,))

    def own_role(self) -> None:
        """For the rest of this transaction act as the runner's own role again, whatever SET ROLE a file did."""
        self._connection.execute("SELECT set_config('role', %s, true)", (self._role,))

    def watch_client(self, milliseconds: int = 1000) -> None:
        """Have the server end this session's statement when the process is gone, or its locks would outlive it."""
        from psycopg import errors

        try:
            self._connection.execute(
                "SELECT set_config('client_connection_check_interval', %s, false)", (str(milliseconds),)
            )
        except (errors.UndefinedObject, errors.InvalidParameterValue):
            return  # before Postgres 14, or on a platform that cannot: then the statement ends by itself
