"""Connects to Postgres: a small pool, the session every connection gets, and DDL under a short lock timeout."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, errors, sql
from psycopg_pool import ConnectionPool, PoolTimeout

from tenure.errors import StandbyError, StoreError, StoreUnreachableError
from tenure.masking import mask_secrets
from tenure.stores.patience import Attendant, Verdict, patiently
from tenure.stores.postgres_errors import RETRYABLE, TIMEOUTS, judge

# How long (seconds) a server that has answered before is waited for: a restart, a failover, a lock, a full queue.
PATIENCE = 300.0
# How long a pooled connection is waited for before it is looked why there is none.
POOL_SECONDS = 2.0
# 3 s keeps the queue behind a waiting ACCESS EXCLUSIVE short; with back-off the attempts span some minutes.
LOCK_TIMEOUT_MS = 3000
LOCK_ATTEMPTS = 30
LOCK_SECONDS = 900.0
# How soon a server notices that a client which waits for a statement is gone.
NOTICE_MS = 2000

Statement = sql.SQL | sql.Composed


T = TypeVar("T")


def retrying(work: Callable[[], T], attempts: int = 8) -> T:
    """Do one transaction again when it lost to another (lock, deadlock, serialization); back off with jitter.

    For some seconds only: a run has more patience, and says so (`tenure.runner.failures`).
    """
    for attempt in range(1, attempts):
        try:
            return work()
        except RETRYABLE:
            time.sleep(min(1.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))
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
        patience: float | None = None,
    ) -> None:
        """Keep the DSN *url*; `role` is set and `settings` are applied in every session. Nothing is opened yet.

        *patience* says for how many seconds a server that has answered before is waited for (PATIENCE when None).
        """
        self._url = url
        self.patience = PATIENCE if patience is None else patience
        self.attendant = Attendant()
        self._answered = False
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
            # Who needs a connection waits for the server, and says so; the pool itself would back off behind its back.
            reconnect_timeout=0,
            kwargs=self._options,
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
        connection = self._patiently(self._connect)
        connection.autocommit = autocommit
        return connection

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """Lend a pooled connection; the block is one transaction, committed at its end, rolled back on an error.

        A server that is away is waited for here, before anything is sent; what fails inside the block is the caller's.
        """
        if self._pool is None:
            self.open()
        with ExitStack() as stack:
            connection = self._patiently(lambda: self._borrow(stack))
            yield connection

    def judge(self, error: Exception) -> Verdict:
        """Return what an error of the driver means, with the setting that a timeout comes from.

        Errors: *error* itself when it is none of the driver's.
        """
        name = next((name for kind, name in TIMEOUTS.items() if isinstance(error, kind)), "")
        return judge(error, self.address, self.patience, self._setting(name) if name else "")

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Return what *attempt* to connect gives; a server that never answered, or was given up, gets one."""

        def judged(error: Exception) -> Verdict:
            if isinstance(error, StoreUnreachableError):
                verdict = Verdict(error, self.patience)
            else:
                verdict = judge(error, self.address, self.patience)
            return verdict if self._answered else Verdict(verdict.error)

        try:
            connection = patiently(attempt, judged, self.attendant)
        except StoreError:
            self._answered = False
            raise
        self._answered = True
        return connection

    def _borrow(self, stack: ExitStack) -> Connection[Any]:
        """Return a connection of the pool until the end of *stack*, or say why there is none."""
        assert self._pool is not None
        try:
            return stack.enter_context(self._pool.connection(timeout=POOL_SECONDS))
        except PoolTimeout as error:
            self._connect().close()
            self._pool.check()
            raise StoreUnreachableError(
                store="postgres", address=self.address, problem=f"all {self._pool_size} connections are in use"
            ) from error

    def _connect(self) -> Connection[Any]:
        try:
            connection = psycopg.connect(self._url, autocommit=True, **self._options)
        except psycopg.ProgrammingError as error:
            raise StoreError(
                store="postgres",
                problem=f"the connection URL is not one: {mask_secrets(str(error).strip())}",
                remedy="Write it as postgresql://user:password@host:port/database.",
            ) from error
        try:
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def _options(self) -> dict[str, Any]:
        """Return what is added to the URL: of several hosts the primary is meant, unless the URL says otherwise."""
        options: dict[str, Any] = {"application_name": "tenure", "connect_timeout": 10}
        with suppress(psycopg.ProgrammingError):
            given = psycopg.conninfo.conninfo_to_dict(self._url)
            if "," in str(given.get("host", "")) and "target_session_attrs" not in given:
                options["target_session_attrs"] = "primary"
        return options

    def _setting(self, name: str) -> str:
        """Return a setting as tenure's sessions have it and where it was made; nothing where it cannot be asked."""
        with suppress(psycopg.Error, StoreError), self._connect() as connection:
            row = connection.execute(
                "SELECT current_setting(name), source FROM pg_settings WHERE name = %s", (name,)
            ).fetchone()
            return f"{name} is {row[0]}, set by: {row[1]}" if row else ""
        return ""

    def transact(self, work: Callable[[Connection[Any]], T]) -> T:
        """Return what *work* gives in a transaction of its own. It must be such that it may be committed twice: it is
        repeated while it fails in a way that passes, also where nobody knows whether the commit came through."""

        def attempt() -> T:
            with self.connection() as connection:
                return work(connection)

        return self.repeating(attempt)

    def repeating(self, work: Callable[[], T]) -> T:
        """Return what *work* gives, which may be done twice, repeated while Postgres fails in a way that passes."""
        return patiently(work, self.judge, self.attendant)

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

        def attempt() -> None:
            with closing(self.dedicated()) as connection:
                if not transaction:
                    connection.execute("SET lock_timeout = 0; SET statement_timeout = 0")
                    for statement in statements:
                        connection.execute(statement)
                    return
                connection.execute(sql.SQL("SET lock_timeout = {}").format(lock_timeout_ms))
                with connection.transaction():
                    for statement in statements:
                        connection.execute(statement)

        def judged(error: Exception) -> Verdict:
            # What else passes is repeated by whoever knows what of a build that broke off was left behind.
            if not transaction or not isinstance(error, RETRYABLE):
                raise error
            said = StoreError(
                store="postgres",
                problem=f"no lock within {lock_timeout_ms} ms: {str(error).strip()}.",
                remedy="Find the long transaction (pg_stat_activity, pg_blocking_pids) and run again.",
            )
            return Verdict(said, LOCK_SECONDS)

        attendant = self.attendant if notify is None else replace(self.attendant, notify=notify, over=notify)
        patiently(attempt, judged, attendant, attempts=LOCK_ATTEMPTS, longest=30.0)

    def _configure(self, connection: Connection[Any]) -> None:
        """Give a fresh connection its role and settings; leaves it outside a transaction.

        Errors: StandbyError when the server is no primary (any more), StoreError for a role or setting that is refused.
        """
        previous, connection.autocommit = connection.autocommit, True
        try:
            if connection.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
                raise StandbyError(store="postgres", address=self.address)
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
            if judge(error, self.address, self.patience).passes:
                raise
            raise StoreError(
                store="postgres",
                problem=f"the session could not be set up: {str(error).strip()}",
                remedy="Check `role` and `settings` of the playbook's Postgres connection.",
            ) from error
        finally:
            if not connection.closed:
                connection.autocommit = previous
