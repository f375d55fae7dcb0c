"""Random applications for the property of attribution, and who owns what in them, worked out by brute force.

Nothing here uses tenure's own attribution: `World.owners` is written from DESIGN.md §4 over lists of dicts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

Row = dict[str, Any]
KEY = "project id"


class Kind(NamedTuple):
    """The values of one type of tenant key: three registered tenants, what is none, sentinels, an untagged value."""

    type: Literal["text", "uuid", "bigint"]
    tenants: tuple[str, str, str]
    stranger: str
    quarantine: str
    shared: str
    untagged: tuple[str, ...]


def _uuid(digit: str) -> str:
    return f"{digit * 8}-0000-4000-8000-000000000000"


KINDS = (
    Kind("text", ("alfa", "O'Brien; --", "gamma"), "nadie", "__quarantine__", "__shared__", ("default", "")),
    Kind("bigint", ("1", "-7", "30"), "99", str(-(2**63)), "0", ("-1",)),
    Kind("uuid", (_uuid("a"), _uuid("b"), _uuid("c")), _uuid("d"), "f" * 8 + "-ffff" * 3 + "-" + "f" * 12,
         "0" * 8 + "-0000" * 3 + "-" + "0" * 12, (_uuid("e"),)),
)  # fmt: skip


@dataclass(frozen=True)
class Lookup:
    """A source that is another table's row: pairs of own and their columns; `declared` as a foreign key."""

    parent: str
    pairs: tuple[tuple[str, str], ...]
    declared: bool


Source = Lookup | Literal["own", "sql", "file", "table", "constant", "key"]


@dataclass
class Table:
    """One table: its identity, its uniques beside that, its sources in their order, its policies, its rows."""

    name: str
    identity: Literal["id", "pair", "none"]
    uniques: tuple[tuple[str, ...], ...]
    indexed: bool
    climbs: bool
    has_key: bool
    sources: tuple[Source, ...]
    unassigned: str
    conflict: str
    existing: str
    rows: list[Row] = field(default_factory=list)

    def targets(self) -> list[tuple[str, ...]]:
        """What children may look rows up by."""
        return [*([("id",)] if self.identity == "id" else []), ("k",), ("n",), ("k", "n")]

    def unique_on(self) -> list[tuple[str, ...]]:
        """What a foreign key may point at."""
        own = {"id": [("id",)], "pair": [("k", "n")], "none": []}[self.identity]
        return [*own, *(columns for columns in self.uniques if columns not in own)]


class Owner(NamedTuple):
    """The bin of a row, and the key that it ends with; None is null, or what was there that is no tenant."""

    bin: str
    key: str | None


@dataclass
class World:
    """Tables with parents before children, and what values mean."""

    kind: Kind
    tables: list[Table]
    constant: str

    @property
    def aliases(self) -> dict[str, str]:
        """Other spellings of two tenants, and one that leads nowhere."""
        return {"Alfa SA": self.kind.tenants[0], "BRIEN": self.kind.tenants[1], "gone": self.kind.stranger}

    @property
    def by_file(self) -> dict[str, str]:
        """The CSV mapping."""
        return {"1": self.kind.tenants[0], "2": "BRIEN", "3": self.kind.stranger}

    @property
    def by_table(self) -> dict[str, list[str]]:
        """The mapping in a table: one value twice with one tenant, another with two."""
        first, second, _ = self.kind.tenants
        return {"1": [first], "2": [second, second], "3": [first, second], "4": [self.kind.untagged[0]]}

    # What belongs to whom.

    def owners(self) -> dict[str, list[Owner]]:
        """Return the owner of every row of every table, in the order of the rows."""
        found: dict[str, list[Owner]] = {}
        for table in self.tables:
            found[table.name] = [self._owner(table, row, found) for row in table.rows]
        return found

    def _owner(self, table: Table, row: Row, known: Mapping[str, list[Owner]]) -> Owner:
        there = row.get(KEY)
        if there in (self.kind.quarantine, self.kind.shared):
            return Owner("quarantine" if there == self.kind.quarantine else "shared", there)
        voices = [self._voice(source, row, known) for source in table.sources]
        tenant = None
        if any("quarantine" in voice for voice in voices):
            bin_ = "quarantine"
        else:
            bin_, tenant = self._by_sources(voices)
        if (said := self.meaning(there)) != ("silent",):
            bin_, tenant = self._against(said, bin_, tenant, table.existing)
        return Owner(bin_, self._final(table, bin_, tenant))

    def _by_sources(self, voices: list[tuple[str, ...]]) -> tuple[str, str | None]:
        speaking = [voice for voice in voices if voice not in (("silent",), ("shared",))]
        if not speaking:
            return ("shared" if ("shared",) in voices else "unassigned"), None
        first, witnesses = speaking[0], speaking[1:]
        if first[0] == "stranger":
            return "unassigned", None
        if first[0] == "several":
            return "conflict", None
        against = [w for w in witnesses if w[0] == "several" or (w[0] == "tenant" and w != first)]
        return ("conflict" if against else "assigned"), first[1]

    def _against(self, said: tuple[str, ...], bin_: str, tenant: str | None, existing: str) -> tuple[str, str | None]:
        """Weigh a key that was there against what the sources say."""
        if said[0] == "tenant":
            agreed = bin_ == "assigned" and tenant == said[1]
            if agreed or bin_ == "unassigned" or existing == "keep":
                return "assigned", said[1]
            return (bin_, tenant) if existing == "rederive" else ("conflict", tenant or said[1])
        if bin_ in ("unassigned", "quarantine"):
            return bin_, None
        return ("assigned", tenant) if bin_ == "assigned" and existing == "rederive" else ("conflict", tenant)

    def _final(self, table: Table, bin_: str, tenant: str | None) -> str | None:
        if bin_ == "assigned":
            return tenant
        if bin_ in ("quarantine", "shared"):
            return self.kind.quarantine if bin_ == "quarantine" else self.kind.shared
        policy = table.conflict if bin_ == "conflict" else table.unassigned
        ends = {
            "quarantine": self.kind.quarantine,
            "shared": self.kind.shared,
            "assign": self.kind.tenants[2],
            "first": tenant,
        }
        return ends.get(policy)

    def meaning(self, value: Any) -> tuple[str, ...]:
        """Return what one value says."""
        if value is None or str(value) in self.kind.untagged:
            return ("silent",)
        named = self.aliases.get(str(value), str(value))
        return ("tenant", named) if named in self.kind.tenants else ("stranger", str(value))

    def _voice(self, source: Source, row: Row, known: Mapping[str, list[Owner]]) -> tuple[str, ...]:
        if isinstance(source, Lookup):
            return self._of_parents(source, row, known)
        if source == "table":
            meanings = {self.meaning(value) for value in self.by_table.get(row["batch"] or "", [])}
            return ("several",) if len(meanings) > 1 else meanings.pop() if meanings else ("silent",)
        if source == "sql":
            return self.meaning(None if row["own"] == self.kind.tenants[1] else row["own"])
        if source == "file":
            return self.meaning(self.by_file.get(row["batch"] or ""))
        return self.meaning({"own": row["own"], "key": row.get(KEY), "constant": self.constant}[source])

    def _of_parents(self, source: Lookup, row: Row, known: Mapping[str, list[Owner]]) -> tuple[str, ...]:
        parents = next(table for table in self.tables if table.name == source.parent).rows
        ends = {
            known[source.parent][place].key
            for place, parent in enumerate(parents)
            if all(row[ours] is not None and row[ours] == parent[theirs] for ours, theirs in source.pairs)
        } - {None}
        if ends == {self.kind.shared}:
            return ("shared",)
        ends -= {self.kind.shared}
        if not ends:
            return ("silent",)
        if len(ends) > 1:
            return ("several",)
        (end,) = ends
        assert end is not None
        return ("quarantine",) if end == self.kind.quarantine else ("tenant", end)

    # As a database and a playbook.

    def schema(self) -> str:
        """Return the SQL that makes the tables, without their rows."""
        type_ = self.kind.type
        made = [f"CREATE TABLE projects (id {type_} PRIMARY KEY); CREATE TABLE batches (code text, owner text);"]
        for table in self.tables:
            columns = ["rowno int NOT NULL", "k int", "n int", "own text", "batch text"]
            columns += ["id int PRIMARY KEY"] if table.identity == "id" else []
            columns += ["PRIMARY KEY (k, n)"] if table.identity == "pair" else []
            columns += [f"up int REFERENCES {table.name}"] if table.climbs else []
            columns += [f'"{KEY}" {type_}'] if table.has_key else []
            columns += [f"UNIQUE ({', '.join(unique)})" for unique in table.uniques]
            for source in table.sources:
                if isinstance(source, Lookup):
                    ours, theirs = ([pair[side] for pair in source.pairs] for side in (0, 1))
                    columns += [f"{name} int" for name in ours]
                    if source.declared:
                        refers = f"REFERENCES {source.parent} ({', '.join(theirs)})"
                        columns.append(f"FOREIGN KEY ({', '.join(ours)}) {refers}")
            made.append(f"CREATE TABLE {table.name} ({', '.join(columns)});")
            if table.indexed:
                made.append(f"CREATE INDEX ON {table.name} (k);")
        return "\n".join(made)

    def rules(self) -> dict[str, Any]:
        """Return the playbook's part for Postgres."""
        found: dict[str, Any] = {"batches": {"exempt": "a mapping"}}
        for table in self.tables:
            sources = [self._written(source) for source in table.sources]
            unassigned: Any = table.unassigned
            unassigned = {"assign": {"assign": self.kind.tenants[2]}, "keep_null": {"keep_null": "built in"}}.get(
                unassigned, unassigned
            )
            found[table.name] = {
                "tenant": sources[0] if len(sources) == 1 else {"first": sources},
                "unassigned": unassigned,
                "conflict": table.conflict,
                "existing": table.existing,
            }
        return found

    def _written(self, source: Source) -> dict[str, Any]:
        if isinstance(source, Lookup):
            return {"parent": source.parent, "match": dict(source.pairs)}
        second = self.kind.tenants[1].replace("'", "''")
        return {
            "own": {"column": "own"},
            "key": {"column": KEY},
            "constant": {"constant": self.constant},
            "sql": {"sql": f"nullif(t.own, '{second}')"},
            "file": {"mapping": "batches.csv", "match": "batch"},
            "table": {"mapping": {"table": "batches", "value": "code", "tenant": "owner"}, "match": "batch"},
        }[source]


@st.composite
def worlds(draw: st.DrawFn, failing: bool) -> World:
    """Random tables with random rows; with *failing* false no policy is `fail`."""
    kind = draw(st.sampled_from(KINDS))
    # The shape is hypothesis's own, so that it shrinks; the rows come from a seed, which costs less than drawing each.
    seeded = random.Random(draw(st.integers(0, 2**32)))
    # Only a text may stand for a tenant in the playbook itself; in data any value may have an alias.
    constants = [kind.tenants[0], kind.tenants[1] if kind.type != "text" else "BRIEN"]
    world = World(kind, [], draw(st.sampled_from(constants)))
    words = ["quarantine", "shared", "assign", "keep_null", *(["fail"] if failing else [])]
    for number in range(draw(st.sampled_from([1, 2, 4, 6, 8]))):
        table = Table(
            name=f"t{number}",
            identity=draw(st.sampled_from(["id", "id", "pair", "none"])),
            uniques=tuple(draw(st.lists(st.sampled_from([("k",), ("k", "n")]), unique=True, max_size=2))),
            indexed=draw(st.booleans()),
            climbs=False,
            has_key=draw(st.booleans()),
            sources=(),
            unassigned=draw(st.sampled_from(words)),
            conflict=draw(st.sampled_from(["quarantine", "first", *(["fail"] if failing else [])])),
            existing=draw(st.sampled_from(["conflict", "keep", "rederive"])),
        )
        table.climbs = table.identity == "id" and draw(st.booleans())
        table.sources = tuple(
            _source(draw, world, table, place) for place in range(draw(st.sampled_from([1, 1, 2, 3])))
        )
        _fill(world, table, draw(st.sampled_from([0, 1, 6, 60, 60])), seeded)
        world.tables.append(table)
    return world


def _source(draw: st.DrawFn, world: World, table: Table, place: int) -> Source:
    plain: list[Source] = ["own", "own", "sql", "file", "table", "constant", *(["key"] if table.has_key else [])]
    if not world.tables or draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(plain))
    parent = draw(st.sampled_from(world.tables))
    theirs = draw(st.sampled_from(parent.targets()))
    declared = theirs in parent.unique_on() and draw(st.booleans())
    return Lookup(parent.name, tuple((f"p{place}_{name}", name) for name in theirs), declared)


def _fill(world: World, table: Table, count: int, seeded: random.Random) -> None:
    kind = world.kind
    said = [
        None,
        None,
        None,
        *kind.untagged,
        *kind.tenants,
        *world.aliases,
        kind.stranger,
        "no such",
        kind.quarantine,
        kind.shared,
    ]
    keys = [None, None, kind.stranger, *kind.untagged, *kind.tenants, kind.stranger, kind.quarantine, kind.shared]
    keys += ["Alfa SA"] if kind.type == "text" else []
    choose: Callable[[list[Any]], Any] = seeded.choice
    used: set[tuple[Any, ...]] = set()
    for number in range(count):
        row: Row = {
            "rowno": number,
            "own": choose(said),
            "batch": choose([None, "1", "2", "3", "4", "5"]),
            "k": choose([*range(1, 20)]) if table.identity == "pair" else choose([None, *range(1, 20)]),
            "n": choose([1, 2, 3, 4]) if table.identity == "pair" else choose([None, 1, 2, 3, 4]),
        }
        if table.identity == "id":
            row["id"] = number
        if table.has_key:
            row[KEY] = choose(keys)
        for source in table.sources:
            if isinstance(source, Lookup):
                row.update(_reference(world, source, choose))
        values = [(unique, *(row[name] for name in unique)) for unique in table.unique_on()]
        if any(value in used for value in values if None not in value):
            continue
        used.update(values)
        table.rows.append(row)
    if table.climbs:
        for row in table.rows:
            row["up"] = choose([None, *(other["id"] for other in table.rows)])


def _reference(world: World, source: Lookup, choose: Callable[[list[Any]], Any]) -> Row:
    """Return what a row has in the columns of a lookup: a parent's values, nothing, or, undeclared, anything."""
    parents = next(table for table in world.tables if table.name == source.parent).rows
    ways = ["parent"] * 4 + ["null"] + ([] if source.declared else ["missing"])
    way = choose(ways)
    if way == "parent" and parents:
        parent = choose(parents)
        return {ours: parent[theirs] for ours, theirs in source.pairs}
    nulls = {ours: None for ours, _ in source.pairs}
    if way == "missing":
        return {ours: choose([1, 2, 90]) for ours in nulls}
    if way == "null" and len(nulls) > 1:
        nulls[source.pairs[0][0]] = choose([None, 1, 90])
    return nulls
