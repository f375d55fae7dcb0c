"""Keeps a backfill of rows light: room that finished ranges left is made known, and less is logged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql

from tenure.attribution.rows import table_sql
from tenure.masking import mask_secrets
from tenure.stores.postgres import PostgresStore
from tenure.values import TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context

STOP_POLL_SECONDS = 0.2
# Waits a little after every 50 pages that it makes dirty: a hundred MB/s at the most.
_SETTINGS = "SET statement_timeout = 0; SET vacuum_cost_delay = 2; SET vacuum_cost_limit = 1000"
# The indexes are left to autovacuum, which looks at them once: here only the free space map of the heap is wanted. The
# end of the file stays, since cutting it off takes an ACCESS EXCLUSIVE lock.
_OPTIONS = "INDEX_CLEANUP off, TRUNCATE off"

_METHOD = """SELECT m.method FROM pg_settings AS s,
(VALUES (1, 'lz4'), (2, 'zstd'), (3, 'on')) AS m (place, method)
WHERE s.name = 'wal_compression' AND s.setting = 'off' AND m.method = ANY (s.enumvals)
AND has_parameter_privilege('wal_compression', 'SET') ORDER BY m.place LIMIT 1"""
# Before Postgres 15 there is one method, and only superusers may choose it.
_METHOD_OF_SUPERUSERS = (
    "SELECT 'on' WHERE current_setting('wal_compression') = 'off' AND current_setting('is_superuser') = 'on'"
)
_METHODS: WeakKeyDictionary[PostgresStore, str] = WeakKeyDictionary()


def tidy(ctx: Context, operation: str, leaf: TableName) -> None:
    """Vacuum the heap of *leaf* but not its indexes. It is only a help: what hinders it is said and passed over.

    A role that may not vacuum the table gets a warning from the server, which does nothing. Ends soon when the run is
    asked to stop.
    """
    statement = sql.SQL("VACUUM ({}) {}").format(sql.SQL(_OPTIONS), table_sql(leaf))
    with closing(ctx.postgres.dedicated()) as connection, _stopped_with(ctx, connection):
        try:
            connection.execute(_SETTINGS)
            # Waits for nobody: an autovacuum of the table does the same and better.
            if connection.info.server_version >= 120000:
                statement = sql.SQL("VACUUM (SKIP_LOCKED, {}) {}").format(sql.SQL(_OPTIONS), table_sql(leaf))
            connection.execute(statement)
        except psycopg.Error as error:
            if not ctx.signal.is_set():
                ctx.reporter.note(operation, f"free room stays unknown: {mask_secrets(str(error).strip())}")


@contextmanager
def _stopped_with(ctx: Context, connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Cancel what runs on *connection* when the run is asked to stop."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(STOP_POLL_SECONDS):
            if ctx.signal.is_set():
                connection.cancel_safe()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def lighten(ctx: Context, connection: psycopg.Connection[Any]) -> None:
    """Make the transaction of *connection* a light one on the log: no wait for the disk, page images compressed.

    The cursor is in the transaction of the rows, so a server that crashes forgets both or neither. Compressing is for
    roles that may set it, where the server does not do it anyway; it takes a third off what a backfill logs.
    """
    connection.execute("SET LOCAL synchronous_commit = off")
    method = _METHODS.get(ctx.postgres)
    if method is None:
        query = _METHOD if connection.info.server_version >= 150000 else _METHOD_OF_SUPERUSERS
        row = connection.execute(query).fetchone()
        method = _METHODS[ctx.postgres] = str(row[0]) if row is not None else ""
    if method:
        connection.execute(sql.SQL("SET LOCAL wal_compression = {}").format(sql.Literal(method)))
