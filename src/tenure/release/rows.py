"""Releases quarantined rows, each together with what hangs on it, in transactions in which every foreign key holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import errors

from tenure.attribution.graph_read import chunks
from tenure.attribution.spec import ParentSource
from tenure.errors import UsageError
from tenure.operations.backfill_rows import BackfillRows
from tenure.release.rows_sql import SEED_ROWS, SEED_TABLE, Link, ReleaseTable, write
from tenure.release.values import Released, Request
from tenure.stores.postgres import retrying
from tenure.values import Store

if TYPE_CHECKING:
    from tenure.catalog.postgres import PostgresCatalog
    from tenure.runner.context import Context

BATCH = 500
# Rows that cannot be released one by one are tried all at once: they may hang on each other.
TOGETHER = 5000
ROUNDS = 20
POSTGRES: Store = "postgres"


@dataclass(frozen=True)
class Seed:
    """A quarantined row that is to get a tenant by itself: where it lies, how it is named, a person's word if any."""

    table: str
    leaf: int
    tid: str
    item: Any
    tenant: str | None = None

    @property
    def identity(self) -> str:
        """What tells it apart while rows move."""
        return json.dumps(self.item, sort_keys=True)


class RowRelease:
    """Releases the rows of all keyed tables."""

    def __init__(
        self, ctx: Context, operations: Sequence[BackfillRows], catalog: PostgresCatalog, done: Released
    ) -> None:
        """Release through *ctx*: *operations* are the backfills in order, *catalog* the tables as they are."""
        self._ctx, self._done = ctx, done
        self.tables: dict[str, ReleaseTable] = {}
        for place, operation in enumerate(operations):
            name, key = operation.rule.table.display, operation.rule.key.name
            table = catalog.table(name)
            if table is not None and table.column(key) is not None:
                columns = tuple(column.name for column in table.columns if column.name != key)
                self.tables[name] = ReleaseTable(operation, place, columns)
        self._refused: list[Seed] = []
        self._links = list(dict.fromkeys(self._found_links(catalog)))

    def _found_links(self, catalog: PostgresCatalog) -> Iterator[Link]:
        """Yield how rows hang on one another: by the playbook's parents, and by foreign keys with the tenant key."""
        for name, table in self.tables.items():
            rule = table.operation.rule
            for source in rule.sources:
                if isinstance(source, ParentSource) and source.table.display in self.tables:
                    yield Link(name, source.table.display, source.match)
            found = catalog.table(name)
            for foreign in found.foreign_keys if found is not None else ():
                pairs = tuple(
                    (ours, theirs)
                    for ours, theirs in zip(foreign.columns, foreign.ref_columns, strict=True)
                    if ours != rule.key.name
                )
                if rule.key.name in foreign.columns and pairs and foreign.ref_table in self.tables:
                    yield Link(name, foreign.ref_table, pairs)

    def given(self, name: str, requests: Iterable[Request]) -> None:
        """Give the rows that a person named to the tenants that they named; a repeat finds them there.

        Errors: UsageError for a table without a primary key, or a name that cannot be one of its rows.
        """
        for page in chunks(requests, BATCH):
            seeds = list(self._named(self.tables[name], page))
            self._refused += self._move_each(seeds)

    def again(self) -> None:
        """Decide everything that is quarantined again, parents first, until a round changes nothing."""
        for _ in range(ROUNDS):
            before = self._done.total
            self._forget_stuck()
            stuck: list[Seed] = []
            for table in self.tables.values():
                for page in chunks(self._ready(table), BATCH):
                    self._ctx.signal.check(table.operation.id)
                    stuck += self._move_each(page)[: TOGETHER - len(stuck)]
            if len(stuck) > 1 and self._together(stuck):
                continue
            if self._done.total == before:
                break
        # What a person named and could not go may hang on what went since; else it is said why not.
        for seed in self._refused:
            request = Request(seed.item, seed.tenant or "")
            self._move_each(list(self._named(self.tables[seed.table], [request])))
        self.count()

    def count(self) -> None:
        """Note how many rows of each table are still quarantined."""
        with self._ctx.postgres.connection() as connection:
            for name, table in self.tables.items():
                row = connection.execute(table.count()).fetchone()
                self._done.left[POSTGRES, name] = int(row[0]) if row else 0

    def _named(self, table: ReleaseTable, page: Sequence[Request]) -> Iterator[Seed]:
        keys = table.operation.rule.primary_key
        if not keys:
            raise UsageError(
                detail=f"table {table.name} has no primary key, so its rows cannot be named. Give it a source in the "
                "playbook, and run `tenure release` without items."
            )
        items = [_as_object(keys, request.item, table.name) for request in page]
        with self._ctx.postgres.connection() as connection:
            try:
                found = connection.execute(table.find(json.dumps(items, default=str))).fetchall()
            except errors.DataError as error:
                raise UsageError(detail=f"an item cannot be a row of {table.name}: {error}") from error
        quarantine = table.operation.rule.key.quarantine
        for place, leaf, tid, item, key in found:
            request = page[place - 1]
            if leaf is None:
                self._done.is_missing(POSTGRES, table.name, items[place - 1], "there is no such row")
            elif key == request.tenant:
                self._done.already += 1
            elif key != quarantine:
                self._done.is_missing(POSTGRES, table.name, item, f"it is not quarantined: its key is {key}")
            else:
                yield Seed(table.name, leaf, tid, item, request.tenant)

    def _ready(self, table: ReleaseTable) -> Iterator[Seed]:
        """Stream the rows that their own rule gives a tenant by now."""
        connection = self._ctx.postgres.dedicated(autocommit=False)
        try:
            with connection.cursor(name="tenure_release") as cursor:
                cursor.itersize = BATCH
                cursor.execute(table.ready())
                for leaf, tid, item in cursor:
                    yield Seed(table.name, leaf, tid, item)
        finally:
            connection.close()

    def _together(self, seeds: Sequence[Seed]) -> bool:
        """Try seeds of several tables in one transaction; say whether that is what they needed."""
        try:
            self._move(seeds)
        except errors.IntegrityError:
            return False
        return True

    def _move_each(self, seeds: Sequence[Seed]) -> list[Seed]:
        """Release seeds in as few transactions as the data's constraints let; return those that could not be."""
        if not seeds:
            return []
        try:
            self._move(seeds)
        except errors.IntegrityError as error:
            if len(seeds) > 1:
                middle = len(seeds) // 2
                return self._move_each(seeds[:middle]) + self._move_each(seeds[middle:])
            (seed,) = seeds
            self._done.is_stuck(POSTGRES, seed.table, seed.identity, seed.item, _why(error))
            return [seed]
        return []

    def _move(self, seeds: Sequence[Seed]) -> None:
        """Release seeds and what hangs on them in one transaction. Errors: IntegrityError, and nothing is changed."""

        def once() -> dict[int, int]:
            with self._ctx.postgres.connection() as connection:
                connection.execute(SEED_TABLE)
                made: list[ReleaseTable] = []
                for name, table in self.tables.items():
                    own = [seed for seed in seeds if seed.table == name]
                    there = {other.name: other for other in made}
                    above = [(link, there[link.parent]) for link in self._links
                             if link.child == name and link.parent in there]  # fmt: skip
                    if not own and not above:
                        continue
                    if own:
                        places = ([seed.leaf for seed in own], [seed.tid for seed in own], [s.tenant for s in own])
                        connection.execute(SEED_ROWS, (table.place, *places))
                    connection.execute(table.lock(above))
                    asked = {theirs for link in self._links if link.parent == name for _, theirs in link.pairs}
                    for statement in table.decide(there, sorted(asked)):
                        connection.execute(statement)
                    made.append(table)
                return dict(connection.execute(write(made)).fetchall())

        counts = retrying(once)
        for table in self.tables.values():
            if counts.get(table.place):
                self._done.released[POSTGRES, table.name] += counts[table.place]
                self._ctx.reporter.advance("release", counts[table.place])

    def _forget_stuck(self) -> None:
        for name in self.tables:
            self._done.stuck.pop((POSTGRES, name), None)


def _as_object(keys: Sequence[str], item: Any, table: str) -> dict[str, Any]:
    """Return how a person named a row as an object of its primary key. Errors: UsageError."""
    if not isinstance(item, dict):
        item = {keys[0]: item} if len(keys) == 1 else item
    if not isinstance(item, dict) or any(item.get(key) is None for key in keys):
        raise UsageError(detail=f"a row of {table} is named by {', '.join(keys)}; this does not: {item!r}.")
    return {key: item[key] for key in keys}


def _why(error: errors.IntegrityError) -> str:
    """Return what stands against a release, in the database's words."""
    said = (error.diag.message_primary or str(error)).strip()
    detail = (error.diag.message_detail or "").strip()
    text = f"{said}: {detail}" if detail else said
    if isinstance(error, errors.ForeignKeyViolation):
        return f"{text} What it refers to, or what refers to it, stays with another tenant"
    return text
