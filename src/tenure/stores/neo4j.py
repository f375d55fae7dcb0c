"""Connects to one Neo4j database: reads, streams, idempotent writes with retries, and DDL one statement at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple, TypeVar
from urllib.parse import urlsplit

import neo4j
from neo4j.exceptions import ConfigurationError, DriverError, Neo4jError

from tenure.catalog.neo4j import Neo4jCatalog, cypher_prefix
from tenure.errors import AnswerBrokenError, StoreError
from tenure.masking import mask_secrets
from tenure.stores.neo4j_errors import judge
from tenure.stores.patience import Attendant, Verdict, patiently

# How long a statement is tried again after a deadlock, a lost connection or a server that restarts, in seconds.
PATIENCE = 300.0
INDEX_WAIT = 3600
FETCH_SIZE = 1000
# The driver also takes http, as a preview of something that has no transactions to retry.
SCHEMES = frozenset({"bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"})

T = TypeVar("T")


class Written(NamedTuple):
    """What a write transaction gave back: its records, and the server's own counters (`properties_set`, ...)."""

    records: list[dict[str, Any]]
    counters: dict[str, int]


class Neo4jStore:
    """One Neo4j database. Every query is prefixed so that all servers read it as Cypher 5.

    Threads may share a store; each call has a session of its own, and sessions see each other's writes.
    """

    def __init__(
        self,
        url: str,
        user: str | None = None,
        password: str | None = None,
        database: str | None = "neo4j",
        *,
        patience: float | None = None,
    ) -> None:
        """Keep the Bolt address and the credentials (no *user*: no authentication). Nothing is opened yet.

        *database* None is the user's home database; *patience* says for how many seconds a statement is retried
        (PATIENCE when None).
        """
        self._url = url
        self._auth = (user, password or "") if user else None
        self.database = database
        self.patience = PATIENCE if patience is None else patience
        self.attendant = Attendant()
        self._driver: neo4j.Driver | None = None
        self._bookmarks = neo4j.GraphDatabase.bookmark_manager()
        self.version = ""
        self.edition = ""
        self.prefix = ""

    @property
    def address(self) -> str:
        """Return scheme, host and port without secrets."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 7687}"

    @property
    def driver(self) -> neo4j.Driver:
        """Return the open driver, opening it on the first use."""
        if self._driver is None:
            self.open()
        assert self._driver is not None
        return self._driver

    def open(self) -> Neo4jStore:
        """Connect and learn version and edition.

        Errors: StoreUnreachableError when nobody answers, StoreError for a bad address, wrong credentials or a database
        that is not there.
        """
        if urlsplit(self._url).scheme not in SCHEMES:
            raise self._no_address("")
        try:
            driver = neo4j.GraphDatabase.driver(
                self._url,
                auth=self._auth,
                notifications_min_severity="OFF",
                connection_timeout=10,
                connection_acquisition_timeout=20,
                max_transaction_retry_time=0,
                user_agent="tenure",
            )
        except (ConfigurationError, ValueError) as error:
            raise self._no_address(f": {mask_secrets(str(error))}") from error
        try:
            with driver.session(database=self.database) as session:
                components = {row["name"]: row for row in session.run("CALL dbms.components()").data()}
        except (Neo4jError, DriverError) as error:
            driver.close()
            raise self._translated(error) from error
        kernel = components["Neo4j Kernel"]
        self.version, self.edition = kernel["versions"][0], kernel["edition"]
        self.prefix = cypher_prefix(self.version)
        self._driver = driver
        return self

    def close(self) -> None:
        """Close every connection."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def __enter__(self) -> Neo4jStore:
        """Open on entry unless open."""
        return self if self._driver is not None else self.open()

    def __exit__(self, *_: object) -> None:
        """Close on exit."""
        self.close()

    def introspect(self) -> Neo4jCatalog:
        """Return what is in the database. Errors: StoreError where the server fails."""
        from tenure.stores.neo4j_introspect import introspect_neo4j

        try:
            return introspect_neo4j(self.driver, self.database)
        except (Neo4jError, DriverError) as error:
            raise self._translated(error) from error

    def read(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return all records of a query that reads little; retried as a whole."""

        def attempt() -> list[dict[str, Any]]:
            with self._session(neo4j.READ_ACCESS) as session, session.begin_transaction() as transaction:
                return [_plain(record) for record in transaction.run(self._text(query), parameters)]

        return self._retried(attempt)

    def stream(self, query: str, fetch_size: int = FETCH_SIZE, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield the records of a query one by one in a session of its own, *fetch_size* at a time over the wire.

        Not retried: what was yielded cannot be taken back. Errors: AnswerBrokenError when the same query may succeed
        later, else StoreError.
        """
        try:
            with (
                self._session(neo4j.READ_ACCESS, fetch_size) as session,
                session.begin_transaction() as transaction,
            ):
                for record in transaction.run(self._text(query), parameters):
                    yield _plain(record)
        except (Neo4jError, DriverError) as error:
            verdict = self.judge(error)
            raise (
                AnswerBrokenError(store="neo4j", problem=str(verdict.error)) if verdict.passes else verdict.error
            ) from error

    def write(self, query: str, **parameters: Any) -> Written:
        """Run an *idempotent* statement in one transaction and return its records and counters.

        Deadlocks, transient failures and lost connections are retried with back-off, also when the connection was lost
        in the middle of the commit: only what may run twice belongs here. Errors: GraphMemoryError when the batch is
        too large for the server's memory, GraphConstraintError when a row breaks a constraint, StoreError and
        StoreUnreachableError otherwise.
        """

        def attempt() -> Written:
            with self._session(neo4j.WRITE_ACCESS) as session, session.begin_transaction() as transaction:
                result = transaction.run(self._text(query), parameters)
                records = [_plain(record) for record in result]
                counters = result.consume().counters
                transaction.commit()
            return Written(records, {name: value for name, value in vars(counters).items() if isinstance(value, int)})

        return self._retried(attempt)

    def schema(self, statement: str) -> None:
        """Run one DDL statement on its own and wait until every index is online; it must be IF (NOT) EXISTS.

        Errors: GraphConstraintError when existing data breaks a new constraint, StoreError otherwise.
        """

        def attempt() -> None:
            with self._session(neo4j.WRITE_ACCESS) as session:
                session.run(self._text(statement)).consume()
                session.run("CALL db.awaitIndexes($seconds)", seconds=INDEX_WAIT).consume()

        self._retried(attempt)

    def _session(self, access: str, fetch_size: int = FETCH_SIZE) -> neo4j.Session:
        return self.driver.session(
            database=self.database,
            default_access_mode=access,
            fetch_size=fetch_size,
            bookmark_manager=self._bookmarks,
        )

    def _text(self, query: str) -> LiteralString:
        # Composed of constants and quoted names only; the driver's type wants a literal. The driver is opened first,
        # since the prefix is learnt then.
        assert self.driver is not None
        return self.prefix + query

    def _retried(self, attempt: Callable[[], T]) -> T:
        """Run *attempt* until it succeeds, its error is not one that passes, or patience is at an end."""
        return patiently(attempt, self.judge, self.attendant)

    def judge(self, error: Exception) -> Verdict:
        """Return what a driver's error means. Errors: *error* itself when it is none of the driver's."""
        return judge(error, self.address, self.database, self.patience)

    def _no_address(self, why: str) -> StoreError:
        return StoreError(
            store="neo4j",
            problem=f"{mask_secrets(self._url)} is not an address of it{why}.",
            remedy="Write it as bolt://host:7687 or neo4j://host:7687.",
        )

    def _translated(self, error: Exception) -> Exception:
        """Return the error of tenure's own tree that a driver's error stands for."""
        return self.judge(error).error


def _plain(record: neo4j.Record) -> dict[str, Any]:
    """Return a record as it is. `Record.data()` copies every value on the way, a third of the cost of reading a page;
    tenure's queries return plain values and maps only."""
    return dict(record.items())  # type: ignore[no-untyped-call]
