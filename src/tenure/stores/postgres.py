"""Connects to Postgres: a small pool, the session every connection gets, and DDL under a short lock timeout."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, errors, sql
from psycopg_pool import ConnectionPool, PoolTimeout

from tenure.errors import StoreError, StoreUnreachableError
from tenure.masking import mask_secrets

# 3 s keeps the queue behind a waiting ACCESS EXCLUSIVE short; with back-off the attempts span some minutes.
LOCK_TIMEOUT_MS = 3000
LOCK_ATTEMPTS = 30
# How soon a server notices that a client which waits for a statement is gone.
NOTICE_MS = 2000
RETRYABLE = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)

Statement = sql.SQL | sql.Composed


T = TypeVar("T")


def retrying(work: Callable[[], T], attempts: int = 8) -> T:
    """Do one transaction again when it lost to another (lock, deadlock, serialization); back off with jitter."""
    for attempt in range(1, attempts):
        try:
            return work()
        except RETRYABLE:
            time.sleep(min(5.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))
    return work()


class PostgresStore:
    """One Postgres database. `connection()` lends a connection whose block is one transaction."""

    def __init__(
        self,
        url: str,
        *,
        role: str | None = None,
        settings: Mapping[str, str] | None = None,
        pool_size: int = 16,
    ) -> None:
        """Keep the DSN *url*; `role` is set and `settings` are applied in every session. Nothing is opened yet."""
        self._url = url
        self._role = role
        self._settings = dict(settings or {})
        self._pool: ConnectionPool[Connection[Any]] | None = None
        self._pool_size = pool_size

    @property
    def address(self) -> str:
        """Return host, port and database without secrets."""
        try:
            info = psycopg.conninfo.conninfo_to_dict(self._url)
        except psycopg.ProgrammingError:
            return mask_secrets(self._url)
        return f"{info.get('host', 'localhost')}:{info.get('port', 5432)}/{info.get('dbname', '')}"

    def open(self) -> PostgresStore:
        """Open the pool. Errors: StoreUnreachableError when no connection can be had, StoreError for a bad role."""
        self.dedicated().close()
        self._pool = ConnectionPool(
            self._url,
            min_size=1,
            max_size=self._pool_size,
            configure=self._configure,
            check=ConnectionPool.check_connection,
            open=True,
            timeout=60,
            kwargs={"application_name": "tenure"},
        )
        return self

    def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __enter__(self) -> PostgresStore:
        """Open on entry unless open."""
        return self if self._pool is not None else self.open()

    def __exit__(self, *_: object) -> None:
        """Close on exit."""
        self.close()

    def dedicated(self, *, autocommit: bool = True) -> Connection[Any]:
        """Return a connection of its own, for what must not share one (temporary tables, concurrent index builds)."""
        try:
            connection = psycopg.connect(self._url, autocommit=True, application_name="tenure", connect_timeout=10)
        except psycopg.OperationalError as error:
            raise StoreUnreachableError(
                store="postgres", address=self.address, problem=mask_secrets(str(error).strip())
            ) from error
        except psycopg.ProgrammingError as error:
            raise StoreError(
                store="postgres",
                problem=f"the connection URL is not one: {mask_secrets(str(error).strip())}",
                remedy="Write it as postgresql://user:password@host:port/database.",
            ) from error
        self._configure(connection)
        connection.autocommit = autocommit
        return connection

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """Lend a pooled connection; the block is one transaction, committed at its end, rolled back on an error."""
        if self._pool is None:
            self.open()
        assert self._pool is not None
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise StoreUnreachableError(store="postgres", address=self.address, problem=str(error)) from error

    def ddl(
        self,
        statements: Sequence[Statement],
        *,
        notify: Callable[[str], None] | None = None,
        transaction: bool = True,
        lock_timeout_ms: int = LOCK_TIMEOUT_MS,
    ) -> None:
        """Run DDL in one transaction under a short lock timeout, retried with back-off and jitter.

        With *transaction* false each statement runs on its own in autocommit, as CREATE INDEX CONCURRENTLY demands, and
        with no lock timeout: it counts there while the build waits for other transactions and would only leave an
        invalid index behind. Errors: StoreError after the last attempt; it never runs without the timeout instead.
        """
        for attempt in range(1, LOCK_ATTEMPTS + 1):
            connection = self.dedicated()
            try:
                if transaction:
                    connection.execute(sql.SQL("SET lock_timeout = {}").format(lock_timeout_ms))
                    with connection.transaction():
                        for statement in statements:
                            connection.execute(statement)
                else:
                    connection.execute("SET lock_timeout = 0; SET statement_timeout = 0")
                    for statement in statements:
                        connection.execute(statement)
                return
            except RETRYABLE as error:
                if attempt == LOCK_ATTEMPTS:
                    raise StoreError(
                        store="postgres",
                        problem=f"no lock after {attempt} attempts of {lock_timeout_ms} ms: {str(error).strip()}",
                        remedy="Find the long transaction (pg_stat_activity, pg_blocking_pids) and run again.",
                    ) from error
                if notify is not None:
                    notify(f"waiting for a lock, attempt {attempt}: {str(error).strip()}")
                time.sleep(min(30.0, 0.2 * 1.5**attempt) * random.uniform(0.5, 1.0))
            finally:
                connection.close()

    def _configure(self, connection: Connection[Any]) -> None:
        """Give a fresh connection its role and settings; leaves it outside a transaction."""
        previous, connection.autocommit = connection.autocommit, True
        try:
            if self._role is not None:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self._role)))
            for name, value in self._settings.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            # Statements are composed for these; a role's own defaults must not change what they mean.
            connection.execute("SET standard_conforming_strings = on; SET TimeZone = 'UTC'; SET DateStyle = ISO")
            # Statements of a process that was killed end soon too, with their locks. Servers on systems that cannot
            # notice refuse any value, and the setting came with Postgres 14: there they run to their end.
            with suppress(errors.InvalidParameterValue, errors.UndefinedObject):
                connection.execute(sql.SQL("SET client_connection_check_interval = {}").format(NOTICE_MS))
        except psycopg.Error as error:
            raise StoreError(
                store="postgres",
                problem=f"the session could not be set up: {str(error).strip()}",
                remedy="Check `role` and `settings` of the playbook's Postgres connection.",
            ) from error
        finally:
            connection.autocommit = previous
