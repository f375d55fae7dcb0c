"""Resolves sources on the sampled rows in memory, as the playbook would on all of them. Pure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tenure.propose.evidence import Link, Row, TableRows
from tenure.propose.values import NOTHING, SEVERAL, UNKNOWN, Tenants

Kind = Literal["column", "mapping", "path", "json", "parent"]


@dataclass(frozen=True, slots=True)
class Source:
    """One way to the tenant of a row. *rank* orders kinds of sources by how much they are to be trusted."""

    kind: Kind
    rank: int
    column: str = ""
    delimiter: str = ""
    position: int = 0
    path: tuple[str, ...] = ()
    link: Link | None = None
    declared: bool = False
    rule: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @property
    def parent(self) -> str | None:
        """The table whose tenant this source asks for."""
        return self.link.parent if self.link is not None else None


@dataclass(frozen=True, slots=True)
class Tally:
    """What a source (or several in order) said of the sampled rows of a table."""

    rows: int
    tenant: int = 0
    nothing: int = 0
    unknown: int = 0
    several: int = 0
    tenants: int = 0
    example: str = ""

    @property
    def share(self) -> float:
        """The share of rows that got one tenant."""
        return self.tenant / self.rows if self.rows else 0.0


class Attributor:
    """The sampled rows with the sources decided so far; the registry's rows belong to themselves."""

    def __init__(self, tables: Mapping[str, TableRows], tenants: Tenants, registry: str, column: str) -> None:
        """Start with no table decided but the registry."""
        self.tables = tables
        self.tenants = tenants
        self.registry = registry
        self.registry_column = column
        self.sources: dict[str, tuple[Source, ...]] = {}
        self._memo: dict[tuple[str, int], str] = {}
        self._indexes: dict[tuple[str, tuple[str, ...]], dict[Row, list[int]]] = {}

    def decide(self, table: str, sources: tuple[Source, ...]) -> None:
        """Fix the sources of a table; what was derived from it before is forgotten."""
        self.sources[table] = sources
        self._memo.clear()

    def forget(self) -> None:
        """Drop what was derived, after the meaning of values has changed."""
        self._memo.clear()

    def decided(self, table: str) -> bool:
        """Return whether rows of *table* have a tenant."""
        return table in self.sources or table == self.registry

    def depends(self, table: str, on: str) -> bool:
        """Return whether *table* gets its tenant, over any number of steps, from *on*."""
        seen, frontier = set(), [table]
        while frontier:
            name = frontier.pop()
            if name == on:
                return True
            if name not in seen:
                seen.add(name)
                frontier.extend(s.parent for s in self.sources.get(name, ()) if s.parent is not None)
        return False

    def answer(self, table: str, number: int, source: Source) -> str:
        """Return what *source* says of one row: a tenant, `NOTHING`, `UNKNOWN` or `SEVERAL`."""
        value, found = self.raw(table, number, source)
        return self.tenants.answer(value) if found is None else found

    def raw(self, table: str, number: int, source: Source) -> tuple[str | None, str | None]:
        """Return the value that a source reads from a row itself; or None and its answer where it leads elsewhere."""
        row = self.tables[table].rows[number]
        if source.link is not None:
            return None, self._through(table, row, source.link)
        place = self.tables[table].place(source.column)
        value = row[place] if place is not None else None
        if value is None or source.kind in ("column", "mapping"):
            return value, None
        if source.kind == "path":
            parts = value.split(source.delimiter)
            return (parts[source.position - 1] if len(parts) >= source.position else None) or None, None
        return at_path(value, source.path), None

    def tenant(self, table: str, number: int) -> str:
        """Return what the sources of *table* come to for one row."""
        if table == self.registry:
            rows = self.tables[table]
            place = rows.place(self.registry_column)
            return (rows.rows[number][place] or NOTHING) if place is not None else NOTHING
        key = (table, number)
        if key not in self._memo:
            self._memo[key] = self.first(table, number, self.sources.get(table, ()))
        return self._memo[key]

    def first(self, table: str, number: int, sources: Iterable[Source]) -> str:
        """Return the first answer that is a value."""
        return next((a for s in sources if (a := self.answer(table, number, s)) != NOTHING), NOTHING)

    def tally(self, table: str, sources: tuple[Source, ...]) -> Tally:
        """Return what *sources*, in order, say of the sampled rows of *table*."""
        rows = self.tables[table]
        counts: Counter[str] = Counter()
        example = ""
        for number in range(rows.sampled):
            said = self.first(table, number, sources)
            counts[said] += 1
            if not example and said not in (NOTHING, UNKNOWN, SEVERAL):
                example = self._shown(table, number, sources, said)
        nothing, unknown, several = counts.pop(NOTHING, 0), counts.pop(UNKNOWN, 0), counts.pop(SEVERAL, 0)
        return Tally(rows.sampled, sum(counts.values()), nothing, unknown, several, len(counts), example)

    def compare(self, table: str, one: Source, other: Source) -> tuple[int, int]:
        """Return on how many sampled rows two sources that both name one tenant agree, and on how many not."""
        agree = differ = 0
        for number in range(self.tables[table].sampled):
            a, b = self.answer(table, number, one), self.answer(table, number, other)
            if a not in (NOTHING, UNKNOWN, SEVERAL) and b not in (NOTHING, UNKNOWN, SEVERAL):
                agree, differ = agree + (a == b), differ + (a != b)
        return agree, differ

    def lookup(self, table: str, columns: tuple[str, ...], values: Row) -> list[int]:
        """Return the numbers of the known rows of *table* with *values* in *columns*."""
        key = (table, columns)
        if key not in self._indexes:
            index: defaultdict[Row, list[int]] = defaultdict(list)
            rows = self.tables[table]
            places = [rows.place(column) for column in columns]
            if None not in places:
                for number, row in enumerate(rows.rows):
                    index[tuple(row[place] for place in places if place is not None)].append(number)
            self._indexes[key] = dict(index)
        return self._indexes[key].get(values, [])

    def of_value(self, table: str, column: str, value: str) -> str:
        """Return the tenant of the rows of *table* whose *column* is *value*."""
        return merge(self.tenant(table, number) for number in self.lookup(table, (column,), (value,)))

    def _through(self, table: str, row: Row, link: Link) -> str:
        values = self.own_values(table, row, link)
        if None in values or link.parent not in self.tables:
            return NOTHING
        return merge(self.tenant(link.parent, n) for n in self.lookup(link.parent, link.ref_columns, values))

    def own_values(self, table: str, row: Row, link: Link) -> Row:
        """Return the row's values of the columns of *link*."""
        places = [self.tables[table].place(column) for column in link.columns]
        return tuple(row[place] if place is not None else None for place in places)

    def _shown(self, table: str, number: int, sources: tuple[Source, ...], said: str) -> str:
        for source in sources:
            if self.answer(table, number, source) == NOTHING:
                continue
            if source.link is not None:
                read = [v or "" for v in self.own_values(table, self.tables[table].rows[number], source.link)]
            else:
                read = [self.raw(table, number, source)[0] or ""]
            shown = ", ".join(part if len(part) <= 40 else part[:37] + "..." for part in read)
            return f"{shown} is {said}" if shown != said else shown
        return said


def merge(answers: Iterable[str]) -> str:
    """Return what several rows say together: the one tenant among them, else why there is none."""
    found = set(answers) - {NOTHING, UNKNOWN}
    if len(found) == 1:
        return found.pop()
    return SEVERAL if found else NOTHING


def at_path(text: str, path: tuple[str, ...]) -> str | None:
    """Return the scalar at *path* of a JSON text as text, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None
