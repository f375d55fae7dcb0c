"""Decides the points of a collection page by page, and counts what their tenant keys look like.

A key in Qdrant is text (tenant indexes exist for keywords and uuids only). *Untagged* is a key that is missing, null,
empty (`""`, `[]`) or one of the playbook's `untagged` values; `untagged_filter` says so to the store, `is_untagged` of
a payload, and a test holds the two equal.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tenure.attribution.ask import ask
from tenure.attribution.items import Item, Lookups, as_text, decide_items, is_uuid
from tenure.attribution.resolve import Answer, Decision, Says
from tenure.attribution.rows import raw, table_sql
from tenure.attribution.spec import ColumnSource, ItemRule, RowSource
from tenure.stores.qdrant import Point, PointId, QdrantStore, path
from tenure.values import Frozen, TenantKey

if TYPE_CHECKING:
    from psycopg import Connection

STALE = "no row knows this point"
# Points a page where all of a collection is read: with what the driver makes of them, some 3 KB each.
READ = 2000
# What `resolve` says of an item when every source is silent; a unit test holds it to that.
SILENT = "no source has a value"


class PointSpec(Frozen):
    """How the tenant of a collection's points is decided.

    `nested` are the paths of payload fields that hold a key in the wrong place (`metadata.project_id`); empty means
    `metadata.<key>`. They are told apart in counts and treated as missing.
    """

    collection: str
    rule: ItemRule
    nested: tuple[str, ...] = ()

    @property
    def key(self) -> TenantKey:
        """The tenant key."""
        return self.rule.key

    @property
    def drives(self) -> RowSource | None:
        """The first source that reads a Postgres row, or None."""
        return next(iter(self.rows), None)

    @property
    def rows(self) -> tuple[RowSource, ...]:
        """The sources that read Postgres rows."""
        return tuple(source for source in self.rule.sources if isinstance(source, RowSource))

    @property
    def wrong_places(self) -> tuple[str, ...]:
        """The paths under which a nested key is looked for."""
        return self.nested or (f"metadata.{self.key.name}",)

    @property
    def fields(self) -> tuple[str, ...]:
        """The payload paths that deciding needs: nothing else is fetched."""
        names = [self.key.name, *self.wrong_places]
        names += [source.name for source in self.rule.sources if isinstance(source, ColumnSource)]
        names += [source.match for source in self.rows if source.match is not None]
        return tuple(dict.fromkeys(path(name) for name in names))


class KeyState(StrEnum):
    """What the tenant key of a point looks like; every point has exactly one state."""

    MISSING = "missing"
    NULL = "null"
    EMPTY = "empty"
    UNTAGGED = "untagged"
    NESTED = "nested"
    WRONG_TYPE = "wrong_type"
    TENANT = "tenant"
    SENTINEL = "sentinel"
    UNKNOWN = "unknown"


UNTAGGED_STATES = frozenset({KeyState.MISSING, KeyState.NULL, KeyState.EMPTY, KeyState.UNTAGGED, KeyState.NESTED})
KeyStates = Counter[KeyState]


def untagged_filter(key: TenantKey) -> dict[str, Any]:
    """Return the filter for points without a tenant; `is_empty` is missing, null and `[]`, and `""` is none of them."""
    name = path(key.name)
    values = ["", *(value for value in key.untagged if value != "")]
    return {"should": [{"is_empty": {"key": name}}, {"key": name, "match": {"any": values}}]}


def is_untagged(key: TenantKey, present: Any) -> bool:
    """Return whether a key as it stands in a payload means "no tenant yet"."""
    return present is None or present == "" or present == [] or (isinstance(present, str) and present in key.untagged)


def equals_filter(key: TenantKey, value: Any) -> dict[str, Any]:
    """Return the filter for points whose key still is *value*, which is what a before-image is taken of.

    Objects, lists of them, fractions and (in the engine's host) booleans cannot be compared: for these it is "has some
    key".
    """
    name = path(key.name)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return {"must": [{"key": name, "match": {"value": value}}]}
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        parts: list[dict[str, Any]] = [{"key": name, "match": {"value": part}} for part in value]
        return {"must": [*parts, {"key": name, "values_count": {"gte": len(value), "lte": len(value)}}]}
    return {"must_not": [untagged_filter(key)]}


def state(spec: PointSpec, payload: Mapping[str, Any], known: Callable[[str], bool]) -> KeyState:
    """Return what the key in *payload* looks like; *known* says whether a text is a tenant or an alias of one."""
    key = spec.key
    present = payload.get(key.name)
    if is_untagged(key, present):
        if any(_at(payload, place) not in (None, "", []) for place in spec.wrong_places):
            return KeyState.NESTED
        if present is None:
            return KeyState.NULL if key.name in payload else KeyState.MISSING
        return KeyState.EMPTY if present in ("", []) else KeyState.UNTAGGED
    if not isinstance(present, str):
        return KeyState.WRONG_TYPE
    if present in (key.quarantine, key.shared):
        return KeyState.SENTINEL
    return KeyState.TENANT if known(canonical(key, present)) else KeyState.UNKNOWN


def canonical(key: TenantKey, present: Any) -> Any:
    """Return a key as Postgres writes it: whole numbers as text, uuids lower-case with hyphens; the rest as it is."""
    if isinstance(present, bool) or not isinstance(present, str | int | float):
        return present
    text = as_text(present)
    if key.type == "uuid":
        try:
            return str(uuid.UUID(text))
        except ValueError:
            return text
    return text


Connect = Callable[[], AbstractContextManager["Connection[Any]"]]


class RowsExist:
    """Says which of some values are in a source's column, whatever key the row has: what is there, not whose it is."""

    def __init__(self, connect: Connect) -> None:
        """Borrow connections from *connect*."""
        self._connect = connect

    def __call__(self, source: RowSource, values: Iterable[Any]) -> set[str]:
        """Return the texts of those *values* that a row of *source* has; a value of another type has none."""
        asked = sorted({as_text(value) for value in values if value is not None and not isinstance(value, list | dict)})
        if source.column_type == "uuid":
            asked = [text for text in asked if is_uuid(text)]
        elif source.column_type in ("smallint", "integer", "bigint"):
            asked = [text for text in asked if text.removeprefix("-").isdecimal()]
        if not asked:
            return set()
        column = sql.Identifier(source.column)
        query = sql.SQL("SELECT DISTINCT {column}::text FROM {table} WHERE {column} = ANY($1::{type}[])").format(
            column=column, table=table_sql(source.table), type=raw(source.column_type)
        )
        with self._connect() as connection:
            return {text for (text,) in ask(connection, query, asked)}


@dataclass(frozen=True, slots=True)
class Decided:
    """A point with its decision: `write` is the key it should get (None: none, or it is there already).

    `stale` says that no row knows it; `drift` that none knows it and its payload names a tenant all the same.
    """

    point: Point
    decision: Decision
    write: str | None
    present: Any
    stale: bool = False
    drift: bool = False

    @property
    def reason(self) -> str:
        """Why the point is not plainly assigned."""
        return STALE if self.stale else self.decision.reason


@dataclass(frozen=True, slots=True)
class Known:
    """By which id the row of a point is found, and what sources say of it that the id alone does not tell."""

    identity: PointId
    answers: Mapping[int, Answer] = field(default_factory=dict)


Resolve = Callable[[Sequence[Point]], list[Known]]
"""Finds the rows behind points whose ids are not those of their rows: `tenure.operations.point_map.Renamed`."""


def decide_points(
    spec: PointSpec,
    points: Sequence[Point],
    lookups: Lookups,
    rows_exist: RowsExist,
    *,
    drift: bool = False,
    resolve: Resolve | None = None,
) -> list[Decided]:
    """Decide a page of points; with *drift* also ask of assigned ones whether a row knows them.

    *resolve* is for the points of a re-keyed collection.
    """
    key = spec.key
    known = resolve(points) if resolve is not None else [Known(point.id) for point in points]
    items = [
        Item(one.identity, point.payload, canonical(key, point.payload.get(key.name)), one.answers)
        for point, one in zip(points, known, strict=True)
    ]
    decisions = decide_items(spec.rule, items, lookups)
    asked = [
        index
        for index, decision in enumerate(decisions)
        if spec.rows
        and (
            (decision.bin == "unassigned" and decision.reason == SILENT)
            or (drift and (decision.bin == "quarantine" or (decision.bin == "assigned" and _may_drift(spec, decision))))
        )
    ]
    without = _without_rows(spec, [items[index] for index in asked], rows_exist)
    unknown = {index for index, absent in zip(asked, without, strict=True) if absent}
    decided = []
    for index, (point, decision) in enumerate(zip(points, decisions, strict=True)):
        present = point.payload.get(key.name)
        stale = index in unknown and decision.bin in ("unassigned", "quarantine")
        write = key.quarantine if stale and decision.bin == "unassigned" else _to_write(decision, present, items[index])
        drifted = index in unknown and decision.bin == "assigned"
        decided.append(Decided(point, decision, write, present, stale=stale, drift=drifted))
    return decided


@dataclass
class PointCounts:
    """What a pass over a collection found.

    `tenants` has the tenant that each assigned point comes to, `samples` up to some (id, reason) pairs by bin and for
    `stale` and `drift`; `to_write` is what the backfill would change, `untagged` what has no tenant as it stands.
    """

    total: int = 0
    to_write: int = 0
    stale: int = 0
    drift: int = 0
    by_application: int = 0
    bins: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)
    states: KeyStates = field(default_factory=Counter)
    samples: dict[str, list[tuple[PointId, str]]] = field(default_factory=dict)

    @property
    def untagged(self) -> int:
        """Points without a tenant as they stand."""
        return sum(self.states[one] for one in UNTAGGED_STATES)

    @property
    def keyed(self) -> int:
        """Points that carry some key already."""
        return self.total - self.untagged


def count_bins_points(
    store: QdrantStore,
    spec: PointSpec,
    lookups: Lookups,
    rows_exist: RowsExist,
    *,
    sample: int = 20,
    drift: bool = True,
    each: Callable[[Decided], None] | None = None,
    advance: Callable[[int], None] | None = None,
    resolve: Resolve | None = None,
) -> PointCounts:
    """Decide every point of a collection and count, in memory that does not grow with it.

    Stale points count in the bin `quarantine`, which is where they go, and in `stale`. Without *drift* fewer questions
    are asked and `drift` stays 0. *each* sees every decided point (for an export), *advance* how many are done.
    """
    counts = PointCounts()
    for points in store.pages(spec.collection, fields=spec.fields, limit=READ):
        decided = decide_points(spec, points, lookups, rows_exist, drift=drift, resolve=resolve)
        known = _known(spec, points, lookups)
        for one in decided:
            counts.total += 1
            counts.states[state(spec, one.point.payload, known)] += 1
            counts.to_write += one.write is not None
            counts.by_application += one.decision.by_application
            bin_ = "quarantine" if one.stale else one.decision.bin
            counts.bins[bin_] += 1
            if bin_ == "assigned":
                counts.tenants[one.write or as_text(one.present)] += 1
            kinds = {"stale" if one.stale else bin_: True, "drift": one.drift}
            for kind, holds in kinds.items():
                kept = counts.samples.setdefault(kind, []) if holds and kind != "assigned" else None
                if kept is not None and len(kept) < sample:
                    kept.append((one.point.id, one.reason or STALE))
            counts.stale += one.stale
            counts.drift += one.drift
            if each is not None:
                each(one)
        if advance is not None:
            advance(len(points))
    return counts


def _known(spec: PointSpec, points: Sequence[Point], lookups: Lookups) -> Callable[[str], bool]:
    """Return a test for tenants and aliases that asked for the whole page at once."""
    key = spec.key
    texts = [canonical(key, value) for point in points if isinstance(value := point.payload.get(key.name), str)]
    answers = lookups.values(texts)
    return lambda text: text in answers and answers[text].says is Says.TENANT


def _may_drift(spec: PointSpec, decision: Decision) -> bool:
    """Return whether an assigned point may have its tenant from elsewhere than a row."""
    return decision.by_application or len(spec.rows) < len(spec.rule.sources)


def _without_rows(spec: PointSpec, items: Sequence[Item], rows_exist: RowsExist) -> list[bool]:
    """Return of each item whether no row source has a row for it."""
    absent = [True] * len(items)
    for source in spec.rows if items else ():
        said = [item.identity if source.match is None else _at(item.fields, source.match) for item in items]
        found = rows_exist(source, said)
        for index, value in enumerate(said):
            if value is not None and not isinstance(value, list | dict) and as_text(value) in found:
                absent[index] = False
    return absent


def _to_write(decision: Decision, present: Any, item: Item) -> str | None:
    """Return the key to write; one that is right but of another type or spelling is written as text in its own form."""
    if decision.write is not None:
        return decision.write
    right = (
        decision.bin in ("assigned", "quarantine", "shared") and present is not None and not isinstance(present, list)
    )
    if right and present != item.present and isinstance(item.present, str):
        return item.present
    return None


def _at(payload: Mapping[str, Any], place: str) -> Any:
    """Return the value under a dotted path, or under the name itself."""
    if place in payload:
        return payload[place]
    value: Any = payload
    for part in place.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
