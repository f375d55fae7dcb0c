"""What was seen in the stores, as frozen values: sampled rows with the rows they lead to, nodes, points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Cell = str | None
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of one table as text, by key-like columns only.

    The first `sampled` ones are the sample; those behind were fetched because sampled rows of other tables lead to
    them. `whole` says that the sample is the table. `total` is exact then, else an estimate. Arrays and JSON are JSON
    texts. `problem` says why nothing could be read.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    sampled: int = 0
    whole: bool = True
    total: int = 0
    problem: str = ""

    def place(self, column: str) -> int | None:
        """Return the position of a column, or None when it was not read."""
        return self.columns.index(column) if column in self.columns else None

    def values(self, column: str, *, sample_only: bool = True) -> list[Cell]:
        """Return the values of a column, row by row."""
        place = self.place(column)
        rows = self.rows[: self.sampled] if sample_only else self.rows
        return [row[place] for row in rows] if place is not None else []


@dataclass(frozen=True, slots=True)
class Link:
    """A way from a row to rows of another table: own *columns* equal its *ref_columns*.

    `declared` is the foreign key's name, empty for one found by names and values; `reverse` says that the other table's
    foreign key points here.
    """

    child: str
    columns: tuple[str, ...]
    parent: str
    ref_columns: tuple[str, ...]
    declared: str = ""
    reverse: bool = False

    @property
    def match(self) -> dict[str, str]:
        """The columns as a playbook's `match`."""
        return dict(zip(self.columns, self.ref_columns, strict=True))


@dataclass(frozen=True, slots=True)
class RegistryChoice:
    """The table and column that list the tenants, why, and what else it could be.

    *table* is empty when nothing decides between the candidates.
    """

    table: str
    column: str
    why: str
    candidates: tuple[str, ...] = ()
    type: str = "text"


@dataclass(frozen=True, slots=True)
class Node:
    """One sampled node: its scalar properties as text, and (type, label, properties) of some of its neighbours."""

    properties: Mapping[str, str]
    neighbours: tuple[tuple[str, str, Mapping[str, str]], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSample:
    """Sampled nodes of one label."""

    nodes: tuple[Node, ...]
    total: int


@dataclass(frozen=True, slots=True)
class RelationshipSample:
    """Sampled relationships of one type: scalar properties, and the entries of list properties, by name."""

    properties: tuple[Mapping[str, str], ...]
    lists: Mapping[str, tuple[str, ...]]
    total: int


@dataclass(frozen=True, slots=True)
class Point:
    """One sampled point: its id and its scalar payload fields (nested ones dotted) as text."""

    id: str
    payload: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PointSample:
    """Sampled points of one collection."""

    points: tuple[Point, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Found:
    """How many of the distinct values of something outside Postgres are in a column of a table."""

    table: str
    column: str
    matched: int
    distinct: int
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """Exact counts of a table by one source: all rows, rows without a value, rows whose value leads to a row."""

    rows: int
    empty: int
    matched: int


@dataclass(frozen=True)
class Evidence:
    """All that `propose` decides from. *key* is the tenant key's name; *aliases* and *untagged* are known already.

    `found` is keyed by (store, object, property or field; "" for a point's id), `counted` by (table, source as shown).
    """

    key: str
    registry: RegistryChoice
    tables: Mapping[str, TableRows] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    nodes: Mapping[str, NodeSample] = field(default_factory=dict)
    relationships: Mapping[str, RelationshipSample] = field(default_factory=dict)
    points: Mapping[str, PointSample] = field(default_factory=dict)
    found: Mapping[tuple[str, str, str], tuple[Found, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    untagged: frozenset[str] = frozenset()
    unkeyed: frozenset[str] = frozenset()
    counted: Mapping[tuple[str, str], Counted] = field(default_factory=dict)
