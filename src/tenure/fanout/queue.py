"""The queue that wakes workers: Procrastinate's tables beside the ledger, in schema `tenure`, while a run needs them.

Nothing is read from the queue that matters: what is done stands in the ledger. So its tables are made anew by every
run that gives ranges away, and dropped at its end; what an application has of Procrastinate elsewhere is not met.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tenure.errors import FanoutMissingError

if TYPE_CHECKING:
    import procrastinate
    from procrastinate.types import JSONValue
    from psycopg import AsyncConnection, Connection

    from tenure.playbook.connections import PostgresConnection
    from tenure.stores.postgres import PostgresStore

SCHEMA = "tenure"
QUEUE = "tenure"
TASK = "tenure.take_ranges"
POLL_SECONDS = 1.0
LOOK_SECONDS = 0.2
# The sessions of a run are told from others by this name.
_OURS = {"application_name": "tenure"}

# Everything of Procrastinate's in the schema, whatever its version made.
_DROP = """
DO $drop$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT c.oid::regclass AS name FROM pg_class c
                  WHERE c.relnamespace = 'tenure'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'procrastinate%'
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', found.name);
    END LOOP;
    FOR found IN SELECT p.oid::regprocedure AS name FROM pg_proc p
                  WHERE p.pronamespace = 'tenure'::regnamespace AND p.proname LIKE 'procrastinate%'
    LOOP
        EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', found.name);
    END LOOP;
    FOR found IN SELECT t.oid::regtype AS name FROM pg_type t
                  WHERE t.typnamespace = 'tenure'::regnamespace AND t.typname LIKE 'procrastinate%'
                    AND t.typtype IN ('e', 'c')
    LOOP
        EXECUTE format('DROP TYPE IF EXISTS %s CASCADE', found.name);
    END LOOP;
END
$drop$"""


def require() -> None:
    """Errors: FanoutMissingError when the extra is not installed."""
    if find_spec("procrastinate") is None:
        raise FanoutMissingError


def drop(store: PostgresStore) -> None:
    """Take away what there is of a queue, whoever made it."""
    store.ddl([sql.SQL(_DROP)])


class Queue:
    """The run's end of the queue: makes it, puts jobs in, and takes it away again."""

    def __init__(self, store: PostgresStore, connection: PostgresConnection) -> None:
        """Use *store* for DDL and *connection* for the jobs; nothing is opened yet."""
        self._store, self._connection = store, connection
        self._app: procrastinate.App | None = None

    def open(self) -> None:
        """Make the queue anew. Errors: psycopg.Error, StoreError."""
        import procrastinate
        from procrastinate import exceptions

        _quiet()
        role, url = self._connection.role, self._connection.url.get_secret_value()

        def configure(connection: Connection[Any]) -> None:
            for statement in _session(role):
                connection.execute(statement)
            connection.commit()

        self.close()
        connector = procrastinate.SyncPsycopgConnector(
            conninfo=url, kwargs=_OURS, configure=configure, min_size=1, max_size=2
        )
        self._app = procrastinate.App(connector=connector)
        try:
            self._app.open()
            self.drop()
            self._app.schema_manager.apply_schema()
        except exceptions.ConnectorException as error:
            self.close()
            raise _cause(error) from error

    def waiting(self) -> int:
        """Return how many jobs nobody has taken yet."""
        query = "SELECT count(*) FROM tenure.procrastinate_jobs WHERE queue_name = %s AND status = 'todo'"
        with self._store.connection() as connection:
            row = connection.execute(query, (QUEUE,)).fetchone()
        return int(row[0]) if row else 0

    def defer(self, jobs: int, lease: str, operation: str) -> None:
        """Put *jobs* jobs in: each lets one thread of some worker take ranges of *operation* for a while."""
        from procrastinate import exceptions

        assert self._app is not None
        if jobs < 1:
            return
        try:
            task = self._app.configure_task(TASK, queue=QUEUE)
            job: dict[str, JSONValue] = {"lease": lease, "operation": operation}
            task.batch_defer(*[job] * jobs)
        except exceptions.ConnectorException as error:
            raise _cause(error) from error

    def left(self) -> bool:
        """Return whether every worker has left the queue."""
        query = "SELECT count(*) FROM tenure.procrastinate_workers WHERE last_heartbeat > now() - interval '30 s'"
        with self._store.connection() as connection:
            row = connection.execute(query).fetchone()
        return row is None or row[0] == 0

    def drop(self) -> None:
        """Take the queue away."""
        drop(self._store)

    def close(self) -> None:
        """Close the connections."""
        if self._app is not None:
            self._app.close()
            self._app = None


def serve(
    connection: PostgresConnection, threads: int, take: Callable[[str, str], None], enough: Callable[[], bool]
) -> None:
    """Take jobs from the queue in up to *threads* threads, calling ``take(lease, operation)``, until *enough*.

    Errors: psycopg.Error when the database could not be reached, or the queue was taken away.
    """
    import procrastinate
    from procrastinate import exceptions

    _quiet()
    role, url = connection.role, connection.url.get_secret_value()

    async def configure(fresh: AsyncConnection[Any]) -> None:
        for statement in _session(role):
            await fresh.execute(statement)
        await fresh.commit()

    async def work() -> None:
        asyncio.get_running_loop().set_default_executor(
            ThreadPoolExecutor(threads + 2, thread_name_prefix="tenure-job")
        )
        connector = procrastinate.PsycopgConnector(
            conninfo=url, kwargs=_OURS, configure=configure, min_size=1, max_size=4
        )
        app = procrastinate.App(connector=connector)
        app.task(name=TASK, queue=QUEUE)(take)
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=threads,
                    delete_jobs="always",
                    fetch_job_polling_interval=POLL_SECONDS,
                    install_signal_handlers=False,
                )
            )
            while not worker.done() and not enough():
                await asyncio.wait([worker], timeout=LOOK_SECONDS)
            # Cancelled, it waits for the jobs in hand, which end after their batch.
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    try:
        asyncio.run(work())
    except exceptions.ConnectorException as error:
        raise _cause(error) from error


def _session(role: str | None) -> list[sql.Composed | sql.SQL]:
    """Return what every connection of the queue starts with: Procrastinate's names are found in one schema only."""
    path: list[sql.Composed | sql.SQL] = [sql.SQL("SET search_path TO {}").format(sql.Identifier(SCHEMA))]
    return path if role is None else [sql.SQL("SET ROLE {}").format(sql.Identifier(role)), *path]


def _cause(error: Exception) -> Exception:
    """Return what the driver said: those who judge whether it may pass know its errors."""
    return error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error


def _quiet() -> None:
    # What matters is said by tenure; its own log tells of every job, and with a traceback of a queue taken away.
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL + 1)
