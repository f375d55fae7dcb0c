"""Reads samples from Postgres: a bounded number of rows of each table, and the rows that they lead to. Read-only."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import Connection, errors, sql

from tenure.catalog.postgres import Column, PostgresCatalog, Table
from tenure.propose.attribution import Source
from tenure.propose.evidence import Cell, Counted, Found, Link, Row, TableRows
from tenure.propose.links import Target, comparable, keyable, kind, targets
from tenure.propose.values import shape

WHOLE = 5_000
SAMPLE = 3_000
REGISTRY = 100_000
FETCHED = 20_000
# A column without an index is searched by reading its table, where that takes about a second: 800 MB.
SCANNED_PAGES = 100_000
DEPTH = 6
# Longer texts identify nothing; JSON is read up to this length too.
LONG, LONG_JSON = 256, 4_000
ARRAY_ELEMENTS = 20
STATEMENT_MS = 8_000
BUDGET_S = 45.0

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_INTEGER = re.compile(r"-?\d{1,18}")


@dataclass
class PostgresReader:
    """Reads from one connection in a read-only transaction; slow statements are given up and noted."""

    connection: Connection[Any]
    catalog: PostgresCatalog
    tables: dict[str, TableRows] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    registry: tuple[str, str] = ("", "")
    _known: dict[str, set[Row]] = field(default_factory=dict)
    _until: float = 0.0

    @contextmanager
    def reading(self, *, statement_ms: int = STATEMENT_MS, budget: float = BUDGET_S) -> Iterator[PostgresReader]:
        """Open the transaction; everything is read from one snapshot, and nothing can be written."""
        self._until = time.monotonic() + budget
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self.connection.execute(
                sql.SQL("SELECT set_config('search_path', '', true), set_config('statement_timeout', {}, true)").format(
                    str(statement_ms)
                )
            )
            yield self

    def sample(self) -> None:
        """Read a sample of every table that a playbook has to name."""
        for table in keyable(self.catalog):
            self.tables[table.display] = self._sample(table)
            self._known[table.display] = set(self.tables[table.display].rows)

    def whole(self, name: str) -> None:
        """Read a table to its end, up to a bound: the registry."""
        table = self.catalog.table(name)
        assert table is not None
        rows = self.tables[name]
        if not rows.whole:
            read = self._run(table, sql.SQL(""), REGISTRY)
            self.tables[name] = replace(rows, rows=tuple(read), sampled=len(read), whole=len(read) < REGISTRY)
            self._known[name] = set(read)

    def follow(self, links: Sequence[Link]) -> None:
        """Fetch the rows that sampled rows lead to along *links*, and the rows that those lead to, and so on."""
        frontier: Mapping[str, Sequence[Row]] = {name: rows.rows for name, rows in self.tables.items()}
        for depth in range(DEPTH):
            added: defaultdict[str, list[Row]] = defaultdict(list)
            for link in links:
                # Backwards only one step is looked: what refers to a sampled row, not what refers to that.
                if (link.reverse and depth) or link.child not in frontier or self._late("following links"):
                    continue
                added[link.parent].extend(self._follow(link, frontier[link.child]))
            frontier = {name: rows for name, rows in added.items() if rows}
            if not frontier:
                return

    def _follow(self, link: Link, rows: Iterable[Row]) -> list[Row]:
        child, parent = self.tables[link.child], self.tables[link.parent]
        places = [child.place(column) for column in link.columns]
        if parent.whole or None in places or len(parent.rows) > FETCHED:
            return []
        values = {tuple(row[place] for place in places if place is not None) for row in rows}
        wanted = [value for value in values if None not in value]
        return self.fetch(link.parent, link.ref_columns, wanted)

    def fetch(self, name: str, columns: tuple[str, ...], values: Sequence[Row]) -> list[Row]:
        """Read the rows of a table with *values* in *columns* and keep them; returns those that are new."""
        table = self.catalog.table(name)
        rows = self.tables[name]
        if table is None or not values or rows.problem or rows.whole or not set(columns) <= set(rows.columns):
            return []
        found = self._run(table, sql.SQL("JOIN {} ON {}").format(*_wanted(table, columns, values)), FETCHED)
        known = self._known[name]
        new = [row for row in dict.fromkeys(found) if row not in known]
        known.update(new)
        self.tables[name] = replace(rows, rows=(*rows.rows, *new))
        return new

    def search(self, wanted: Mapping[Any, Sequence[str]]) -> dict[Any, tuple[Found, ...]]:
        """Return, for each set of distinct values, the columns in which at least half of them stand."""
        result: dict[Any, list[Found]] = {name: [] for name in wanted}
        shapes = {name: {value: shape(value) for value in values} for name, values in wanted.items()}
        for target in targets(self.catalog, self.tables):
            # Values that look like none in the column are not looked for: most pairs fall out here.
            alike = {
                name: values
                for name, values in wanted.items()
                if sum(shapes[name][value] in target.shapes for value in values) * 2 >= len(values) > 0
                # Within Postgres text is no number, whatever it looks like.
                and name != (target.table, target.column)
                and not (len(name) == 2 and target.kind == "number")
            }
            present = self._present(target, alike) if alike else set()
            for name, values in alike.items():
                hits = sum(1 for value in values if value in present)
                if hits * 2 >= len(values):
                    result[name].append(Found(target.table, target.column, hits, len(values), target.unique))
        return {
            name: tuple(sorted(f, key=lambda place: (-place.matched, not place.unique))) for name, f in result.items()
        }

    def _present(self, target: Target, wanted: Mapping[Any, Sequence[str]]) -> set[str]:
        rows = self.tables[target.table]
        known = {value for value in rows.values(target.column, sample_only=False) if value is not None}
        table = self.catalog.table(target.table)
        assert table is not None
        readable = target.indexed or table.pages <= SCANNED_PAGES
        if rows.whole or not readable or self._late("searching values"):
            return known
        asked = {value for values in wanted.values() for value in values} - known
        column = table.column(target.column)
        assert column is not None
        relation, on, *_ = _wanted(table, (target.column,), [(value,) for value in asked])
        query = sql.SQL("SELECT DISTINCT {}::text FROM {} AS t JOIN {} ON {}").format(
            sql.Identifier("t", target.column), _name(table), relation, on
        )
        return known | {row[0] for row in self._rows(target.table, query)}

    def count(self, name: str, source: Source) -> Counted | None:
        """Count all rows of a table by one source: those without a value, and those whose value leads to a row.

        A column leads to the registry; aliases and `untagged` are not looked at, so what is left is theirs or unknown.
        """
        table = self.catalog.table(name)
        if table is None or source.kind not in ("column", "parent", "mapping"):
            return None
        match = source.link.match if source.link is not None else {source.column: self.registry[1]}
        parent = self.catalog.table(source.link.parent if source.link is not None else self.registry[0])
        assert parent is not None
        empty = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier("t", column)) for column in match)
        equal = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(*_equal(table, ours, parent, theirs)) for ours, theirs in match.items()
        )
        query = sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE {}), count(*) FILTER (WHERE EXISTS (SELECT FROM {} AS p WHERE {}))"
            " FROM {} AS t"
        ).format(empty, _name(parent), equal, _name(table))
        rows = self._rows(name, query)
        return Counted(*rows[0]) if rows else None

    def _sample(self, table: Table) -> TableRows:
        # Keys are read whatever their type: a part of one may be a moment.
        keys = {name for key in table.foreign_keys for name in key.columns}
        keys |= {name for index in table.indexes if index.unique for name in index.columns if name is not None}
        columns = tuple(column.name for column in table.columns if column.name in keys or _read(column))
        empty = TableRows(columns)
        self.tables[table.display] = empty
        if not columns:
            return replace(empty, total=table.estimated_rows)
        if self._late("sampling"):
            return replace(empty, whole=False, total=table.estimated_rows, problem="there was no time left")
        first = self._run(table, sql.SQL(""), WHOLE + 1)
        if self.tables[table.display].problem:
            return self.tables[table.display]
        if table.row_security_active:
            self.notes.append(f"{table.display}: policies bind the role that looked, which may not see every row")
        if len(first) <= WHOLE:
            return TableRows(columns, tuple(first), len(first), True, len(first))
        pages = table.pages or sum(t.pages for t in self.catalog.tables if t.partition_of == table.display)
        estimate = max(table.estimated_rows, len(first))
        percent = (
            min(100.0, 100.0 * SAMPLE / estimate * 1.2) if table.estimated_rows > 0 else 100.0 * 60 / (pages or 60)
        )
        tail = sql.SQL("TABLESAMPLE SYSTEM ({}) REPEATABLE (7)").format(round(min(100.0, max(percent, 1e-4)), 6))
        read = self._run(table, tail, SAMPLE)
        # Few pages hold many rows: too small a part of them may be none at all.
        rows = tuple(read if len(read) >= SAMPLE // 10 else first[:SAMPLE])
        return TableRows(columns, rows, len(rows), False, estimate)

    def _run(self, table: Table, tail: sql.Composable, limit: int) -> list[Row]:
        """Return the key-like cells of rows of a table; *tail* follows its name in FROM."""
        names = self.tables[table.display].columns
        cells = sql.SQL(", ").join(_cell(column) for column in table.columns if column.name in names)
        query = sql.SQL("SELECT {} FROM {} AS t {} LIMIT {}").format(cells, _name(table), tail, limit)
        return [tuple(row) for row in self._rows(table.display, query)]

    def _rows(self, name: str, query: sql.Composable) -> list[tuple[Any, ...]]:
        """Run a query in a savepoint; one that is too slow or not allowed is noted and gives nothing."""
        try:
            with self.connection.transaction():
                return self.connection.execute(query.as_string(self.connection).encode()).fetchall()
        except errors.QueryCanceled:
            problem = "reading it took too long; `--full` gives it more time"
        except errors.LockNotAvailable:
            problem = "it was locked by DDL; run init again when that is done"
        except (errors.InsufficientPrivilege, errors.InternalError_, errors.FeatureNotSupported) as error:
            problem = str(error).strip().splitlines()[0]
        self.notes.append(f"{name}: {problem}")
        if name in self.tables and not self.tables[name].rows:
            self.tables[name] = replace(self.tables[name], problem=problem)
        return []

    def _late(self, what: str) -> bool:
        if time.monotonic() < self._until:
            return False
        note = f"{what} stopped after {BUDGET_S:.0f} s; `--full` has no such limit"
        if note not in self.notes:
            self.notes.append(note)
        return True


def _read(column: Column) -> bool:
    return comparable(column) or column.type in ("json", "jsonb") or is_array(column)


def is_array(column: Column) -> bool:
    """Return whether the column is an array whose entries may be ids."""
    return column.type.endswith("[]") and column.type.startswith(("text", "uuid", "character", "integer", "bigint"))


def _cell(column: Column) -> sql.Composed:
    name = sql.Identifier("t", column.name)
    if is_array(column):
        return sql.SQL("array_to_json(({})[1:{}])::text").format(name, ARRAY_ELEMENTS)
    if column.type in ("json", "jsonb"):
        return sql.SQL("CASE WHEN length({0}::text) < {1} THEN {0}::text END").format(name, LONG_JSON)
    return sql.SQL("left({}::text, {})").format(name, LONG)


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema_name, table.name)


def _wanted(table: Table, columns: Sequence[str], values: Sequence[Row]) -> tuple[sql.Composable, sql.Composable]:
    """Return a relation of *values* that are possible in *columns*, and how it joins `t`, so that indexes serve."""
    types = [_type(table.column(column)) for column in columns]
    possible = [row for row in values if all(_fits(type_, value) for type_, value in zip(types, row, strict=True))]
    arrays = sql.SQL(", ").join(
        sql.SQL("{}::{}[]").format(sql.Literal([row[place] for row in possible]), sql.SQL(type_))
        for place, type_ in enumerate(types)
    )
    names = [sql.Identifier(f"c{place}") for place in range(len(columns))]
    relation = sql.SQL("unnest({}) AS w({})").format(arrays, sql.SQL(", ").join(names))
    on = sql.SQL(" AND ").join(
        sql.SQL("{} = w.{}").format(_value(table, column), name) for column, name in zip(columns, names, strict=True)
    )
    return relation, on


def _value(table: Table, column: str) -> sql.Composed:
    found, name = table.column(column), sql.Identifier("t", column)
    # citext, char(n) and moments have an equality of their own: they are compared as the text that was read.
    text = found is not None and found.text_like and found.base_type.startswith(("text", "character varying"))
    plain = found is not None and (text or found.uuid_like or found.integer_like)
    return sql.SQL("{}" if plain else "{}::text").format(name)


def _type(column: Column | None) -> str:
    if column is not None and column.uuid_like:
        return "uuid"
    return "bigint" if column is not None and column.integer_like else "text"


def _fits(type_: str, value: Cell) -> bool:
    if value is None:
        return False
    if type_ == "uuid":
        return _UUID.fullmatch(value) is not None
    return type_ == "text" or _INTEGER.fullmatch(value) is not None


def _equal(table: Table, ours: str, parent: Table, theirs: str) -> tuple[sql.Composable, sql.Composable]:
    one, other = table.column(ours), parent.column(theirs)
    mine, yours = sql.Identifier("t", ours), sql.Identifier("p", theirs)
    if one is not None and other is not None and kind(one) == kind(other) and _type(one) == _type(other):
        return mine, yours
    return sql.SQL("{}::text").format(mine), sql.SQL("{}::text").format(yours)
