"""What the points of a collection become under ids that no two tenants share, a page at a time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from string import Formatter
from typing import TYPE_CHECKING, Any, ClassVar

from psycopg import sql

from tenure.attribution.ask import ask
from tenure.attribution.items import as_text, is_uuid
from tenure.attribution.points import PointSpec, is_untagged
from tenure.attribution.rows import raw, table_sql
from tenure.operations.base import Operation
from tenure.stores.qdrant import PointId
from tenure.stores.qdrant_copy import Whole, alias_target, as_stored
from tenure.values import Frozen, Store, TableName

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context


class LostVectors(Frozen):
    """Where the vector of an overwritten point is kept: an array column of the rows that drive the collection.

    `payload` are pairs of a payload field and the column it is rebuilt from; without any, columns of the same names.
    """

    table: TableName
    column: str
    payload: tuple[tuple[str, str], ...] = ()


@dataclass
class Wanted:
    """What a page of old points becomes: (old id, new point) pairs, and what cannot be made, with the reason.

    `waits` are points that have no tenant yet, `unnamed` those that lack a field of the template, `lost` rows whose
    point was overwritten and whose vector is kept nowhere.
    """

    points: list[tuple[PointId, Whole]] = field(default_factory=list)
    waits: list[PointId] = field(default_factory=list)
    unnamed: list[tuple[PointId, str]] = field(default_factory=list)
    lost: list[tuple[PointId, str]] = field(default_factory=list)


class Rekeying(Operation):
    """What copy and switch have in common: from which collection to which, and how the new ids are made."""

    store: ClassVar[Store] = "qdrant"
    volatile: ClassVar[frozenset[str]] = frozenset({"planned", "points"})

    collection: str
    spec: PointSpec
    template: str
    namespace: str
    target: str
    alias: str | None = None
    lost: LostVectors | None = None
    points: int = 0

    def new_id(self, tenant: str, old: PointId, payload: Mapping[str, Any]) -> str:
        """Return the new id of a point. Errors: KeyError with the name of a field that the payload lacks."""
        name = ""
        for literal, place in _parts(self.template):
            name += literal
            if place == "tenant":
                name += tenant
            elif place == "id":
                name += str(old)
            elif place is not None:
                name += plain(at_path(payload, place))
        return str(uuid.uuid5(_namespace(self.namespace), name))

    def at_target(self, ctx: Context) -> bool:
        """Return whether the alias stands for the new collection now."""
        return self.alias is not None and alias_target(ctx.qdrant, self.alias) == self.target

    def wanted(self, ctx: Context, page: Sequence[Whole]) -> Wanted:
        """Return what a page of the old collection becomes; asks Postgres only about ids that several rows have."""
        result = Wanted()
        key = self.spec.key
        rows = self._rows_of_several(ctx, page)
        for point in page:
            several = rows.get(_known_by(self, point), [])
            if len(several) > 1:
                self._divide(ctx, point, several, result)
                continue
            tenant = point.payload.get(key.name)
            if is_untagged(key, tenant):
                result.waits.append(point.id)
                continue
            self._add(result, point.id, as_text(tenant), point.payload, point.vector)
        return result

    def _add(self, result: Wanted, old: PointId, tenant: str, payload: Mapping[str, Any], vector: Any) -> None:
        try:
            new = self.new_id(tenant, old, payload)
        except KeyError as missing:
            result.unnamed.append((old, f"its payload has no {missing.args[0]}, which the new id is made of"))
            return
        result.points.append((old, Whole(new, {**payload, self.spec.key.name: tenant}, vector)))

    def _divide(self, ctx: Context, point: Whole, rows: Sequence[Mapping[str, Any]], result: Wanted) -> None:
        """Give each row behind one point id a point of its own: the one that the point agrees with keeps its vector."""
        key = self.spec.key.name
        matched = False
        for row in rows:
            content = self._content(point, row)
            tenant = as_text(row.get(key)) if row.get(key) is not None else self.spec.key.quarantine
            if content and all(point.payload.get(name) == value for name, value in content.items()):
                matched = True
                self._add(result, point.id, tenant, point.payload, point.vector)
                continue
            vector = _vector(row.get(self.lost.column)) if self.lost is not None else None
            if vector is None:
                result.lost.append((point.id, f"the point of tenant {tenant} was overwritten: to be embedded again"))
            else:
                self._add(result, point.id, tenant, content, as_stored(ctx.qdrant, self.collection, vector))
        if not matched:
            # Nobody's row says what the point says; it is kept, and belongs to nobody.
            self._add(result, point.id, self.spec.key.quarantine, point.payload, point.vector)

    def _content(self, point: Whole, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload that a row would have: the mapped fields, or those that have columns of their names."""
        if self.lost is not None and self.lost.payload:
            return {name: row.get(column) for name, column in self.lost.payload}
        return {name: row[name] for name in point.payload if name in row and name != self.spec.key.name}

    def _rows_of_several(self, ctx: Context, page: Sequence[Whole]) -> dict[str, list[Mapping[str, Any]]]:
        """Return the rows of those ids of a page that more than one row has, as JSON objects."""
        source = self.spec.drives
        if source is None or source.unique or not page:
            return {}
        asked = [text for text in {_known_by(self, point) for point in page} if text]
        if source.column_type == "uuid":
            asked = [text for text in asked if is_uuid(text)]
        elif source.column_type in ("smallint", "integer", "bigint"):
            asked = [text for text in asked if text.removeprefix("-").isdecimal()]
        query = sql.SQL(
            "SELECT t.{column}::text, jsonb_agg(to_jsonb(t.*) ORDER BY t.{key}) FROM {table} AS t "
            "WHERE t.{column} = ANY($1::{type}[]) GROUP BY 1 HAVING count(*) > 1"
        ).format(
            column=sql.Identifier(source.column),
            key=sql.Identifier(self.spec.key.name),
            table=table_sql(source.table),
            type=raw(source.column_type),
        )
        with ctx.postgres.connection() as connection:
            return dict(ask(connection, query, asked).fetchall())


@contextmanager
def remembered(ctx: Context) -> Iterator[IdSet]:
    """Lend a set of ids that lives in a temporary table, so that memory does not grow with a collection."""
    connection = ctx.postgres.dedicated()
    try:
        connection.execute("CREATE TEMP TABLE copied (id text, old text)")
        yield IdSet(connection)
    finally:
        connection.close()


class IdSet:
    """New ids with the old ones they come from."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Use *connection*'s temporary table."""
        self._connection = connection
        self._indexed = False

    def add(self, pairs: Sequence[tuple[PointId, PointId]]) -> None:
        """Add (new, old) pairs."""
        with self._connection.cursor() as cursor, cursor.copy("COPY copied (id, old) FROM STDIN") as copy:
            for new, old in pairs:
                copy.write_row((json.dumps(new), json.dumps(old)))

    def doubled(self) -> list[tuple[PointId, list[PointId]]]:
        """Return up to 20 new ids that several old points, or several tenants' rows of one, would get."""
        rows = self._connection.execute(
            "SELECT id, array_agg(old) FROM copied GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 20"
        )
        return [(json.loads(new), [json.loads(old) for old in olds]) for new, olds in rows]

    def old(self, ids: Sequence[PointId]) -> dict[PointId, PointId]:
        """Return the old ids of those *ids* that are in the set."""
        if not self._indexed:
            self._connection.execute("CREATE INDEX ON copied (id); CREATE INDEX ON copied (old); ANALYZE copied")
            self._indexed = True
        texts = [json.dumps(one) for one in ids]
        rows = self._connection.execute("SELECT id, old FROM copied WHERE id = ANY(%s)", (texts,))
        return {json.loads(new): json.loads(old) for new, old in rows}


@cache
def _parts(template: str) -> tuple[tuple[str, str | None], ...]:
    return tuple((literal, place) for literal, place, _, _ in Formatter().parse(template))


@cache
def _namespace(text: str) -> uuid.UUID:
    return uuid.UUID(text)


def plain(value: Any) -> str:
    """Return a payload value as an id's name has it: numbers in plain decimal. Errors: KeyError when there is none."""
    if isinstance(value, float) and not value.is_integer():
        return format(Decimal(repr(value)), "f")
    return as_text(value)


def at_path(payload: Mapping[str, Any], place: str) -> Any:
    """Return the plain value under a name, or a dotted path. Errors: KeyError when there is none."""
    value: Any = payload.get(place)
    if value is None and "." in place:
        value = payload
        for part in place.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if value is None or isinstance(value, list | dict):
        raise KeyError(place)
    return value


def _known_by(operation: Rekeying, point: Whole) -> str:
    source = operation.spec.drives
    if source is None or source.match is None:
        return str(point.id)
    try:
        return as_text(at_path(point.payload, source.match))
    except KeyError:
        return ""


def _vector(value: Any) -> list[float] | None:
    """Return an array column's value, or pgvector's text of one, as a vector."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return [float(part) for part in value] if isinstance(value, list) and value else None
