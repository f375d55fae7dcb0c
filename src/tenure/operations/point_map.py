"""Which old id, and which row, stands behind a point of a re-keyed collection: the id map that the switch journalled.

An entry is (old id, new id, digest of the payload without the key, tenant). The map says what the switch moved; points
born since are found by making the ids of the rows that it does not know. All of it lives in a temporary table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from tenure.attribution.items import Lookups, as_text
from tenure.attribution.points import Known
from tenure.attribution.resolve import NOTHING, Answer, Says
from tenure.attribution.rows import table_sql
from tenure.operations.point_copies import Rekeying, at_path
from tenure.stores.qdrant import Point, PointId

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.stores.postgres import PostgresStore

PASS = "pass"
PAGE = 2000


class Moved(NamedTuple):
    """One entry of the map."""

    old: PointId
    new: PointId
    digest: str
    tenant: str


def digest(payload: Mapping[str, Any], key: str) -> str:
    """Return a digest of a payload without its tenant key: what a writer changed since the switch has another one."""
    body = {name: value for name, value in payload.items() if name != key}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class PointMap:
    """The map of one switch, in a temporary table of a session of its own."""

    def __init__(self, connection: Connection[Any], operation: Rekeying) -> None:
        """Read the map of the last pass before the switch into *connection*'s session."""
        self._connection = connection
        connection.execute("CREATE TEMP TABLE point_map (old text, new text, digest text, tenant text, born boolean)")
        connection.execute(
            "INSERT INTO point_map SELECT (p->0)::text, (p->1)::text, p->>2, p->>3, false "
            "FROM tenure.journal AS j CROSS JOIN LATERAL jsonb_array_elements(j.item->'ids') AS p "
            "WHERE j.operation = %(id)s AND j.item ? 'ids' AND j.id > coalesce((SELECT max(id) FROM tenure.journal "
            "WHERE operation = %(id)s AND item ? 'pass'), 0)",
            {"id": f"qdrant.rekey_points.{operation.object}"},
        )
        connection.execute("CREATE INDEX ON point_map (new); CREATE INDEX ON point_map (old); ANALYZE point_map")

    def by_new(self, ids: Iterable[PointId]) -> dict[PointId, Moved]:
        """Return what is known of points of the new collection, by their ids."""
        return {moved.new: moved for moved in self._find("new", ids)}

    def by_old(self, ids: Iterable[PointId]) -> dict[PointId, list[Moved]]:
        """Return what became of points of the old collection, by their ids; one of several tenants became several."""
        found: dict[PointId, list[Moved]] = {}
        for moved in self._find("old", ids):
            found.setdefault(moved.old, []).append(moved)
        return found

    def seen(self, ids: Iterable[PointId]) -> None:
        """Remember that these points of the old collection are still there."""
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS seen (old text)")
        with self._connection.cursor().copy("COPY pg_temp.seen FROM STDIN") as copy:
            for one in ids:
                copy.write_row((json.dumps(one),))

    def unseen(self) -> Iterator[PointId]:
        """Yield the points of the map that were not seen."""
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS seen (old text)")
        rows = self._connection.execute("SELECT DISTINCT old FROM point_map AS m WHERE NOT born AND NOT EXISTS "
                                        "(SELECT FROM pg_temp.seen AS s WHERE s.old = m.old) ORDER BY 1")  # fmt: skip
        for (old,) in rows:
            yield json.loads(old)

    def add_born(self, rows: Iterable[tuple[PointId, PointId, str]]) -> None:
        """Add (row, new id, tenant) of rows that the map does not know, where no entry has the id."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO point_map SELECT %s, %s, NULL, %s, true "
                "WHERE NOT EXISTS (SELECT FROM point_map WHERE new = %s)",
                [(json.dumps(row), json.dumps(new), tenant, json.dumps(new)) for row, new, tenant in rows],
            )

    def rows_since(self, operation: Rekeying) -> Iterator[list[Mapping[str, Any]]]:
        """Yield pages of those rows that drive the collection and whose points the switch did not move."""
        source = operation.spec.drives
        if source is None:
            return
        key = operation.spec.key.name
        query = sql.SQL(
            "SELECT to_jsonb(t.*) FROM {table} AS t WHERE t.{column} IS NOT NULL AND t.{key} IS NOT NULL AND NOT "
            "EXISTS (SELECT FROM point_map AS m WHERE m.old IN (to_jsonb(t.{column}::text)::text, t.{column}::text) "
            "AND m.tenant = t.{key}::text)"
        ).format(table=table_sql(source.table), column=sql.Identifier(source.column), key=sql.Identifier(key))
        with self._connection.transaction(), self._connection.cursor(name="tenure_rows") as cursor:
            cursor.execute(query)
            while page := cursor.fetchmany(PAGE):
                yield [row for (row,) in page]

    def _find(self, column: str, ids: Iterable[PointId]) -> Iterator[Moved]:
        rows = self._connection.execute(
            sql.SQL("SELECT old, new, coalesce(digest, ''), tenant FROM point_map WHERE {} = ANY(%s)").format(
                sql.Identifier(column)
            ),
            ([json.dumps(one) for one in ids],),
        )
        for old, new, found, tenant in rows:
            yield Moved(json.loads(old), json.loads(new), found, tenant)


@contextmanager
def point_map(postgres: PostgresStore, operation: Rekeying) -> Iterator[PointMap]:
    """Lend the map of a switch."""
    connection = postgres.dedicated()
    try:
        yield PointMap(connection, operation)
    finally:
        connection.close()


@dataclass
class Renamed:
    """Says of points of a re-keyed collection which row they stand for; a context manager.

    The map is read at the first question. Where several tenants' rows have one id, the row is that of the tenant whose
    point was made from it.
    """

    postgres: PostgresStore
    operation: Rekeying
    lookups: Lookups
    _map: PointMap | None = None
    _connection: Connection[Any] | None = None

    def __enter__(self) -> Renamed:
        """Return itself; nothing is read yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the map."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._map = None

    def __call__(self, points: Sequence[Point]) -> list[Known]:
        """Return by which id the row of each point is found, and what the row says where its id does not tell."""
        moved = self._loaded().by_new([point.id for point in points])
        spec = self.operation.spec
        source = spec.drives
        known = [Known(moved[point.id].old if point.id in moved else point.id) for point in points]
        if source is None or source.unique:
            return known
        place = spec.rule.sources.index(source)
        values = [one.identity if source.match is None else _value(p, source.match)
                  for one, p in zip(known, points, strict=True)]  # fmt: skip
        tenants = self.lookups.tenants(source, (value for value in values if value is not None))
        siblings = self._loaded().by_old(one.identity for one in known)
        result = []
        for one, point, value in zip(known, points, values, strict=True):
            own = moved[point.id].tenant if point.id in moved else None
            several = tenants.get(as_text(value), frozenset()) if value is not None else frozenset()
            if own is None or own in (spec.key.quarantine, spec.key.shared):
                result.append(one)  # nothing tells the rows apart: the sources decide as they do elsewhere
            else:
                said = Answer(Says.TENANT, own) if own in several else NOTHING
                # The one row of a point that always was alone says itself whose it is by now; of several that had one
                # id, the rest may be another tenant's.
                alone = len(several) == 1 and len(siblings.get(one.identity, ())) == 1
                result.append(one if alone else Known(one.identity, {place: said}))
        return result

    def _loaded(self) -> PointMap:
        if self._map is None:
            self._connection = self.postgres.dedicated()
            self._map = PointMap(self._connection, self.operation)
            born = [pair for page in self._map.rows_since(self.operation) for pair in self._born(page)]
            self._map.add_born(born)
        return self._map

    def _born(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[PointId, PointId, str]]:
        """Yield (row, new id, tenant) of those rows that have all that the template asks for."""
        source, key = self.operation.spec.drives, self.operation.spec.key.name
        assert source is not None
        lost = self.operation.lost
        for row in rows:
            payload = {name: row.get(column) for name, column in lost.payload} if lost and lost.payload else row
            value = row[source.column]
            identity = value if isinstance(value, int) and not isinstance(value, bool) else str(value)
            if source.match is not None and "{id}" in self.operation.template:
                return
            try:
                yield identity, self.operation.new_id(as_text(row[key]), identity, payload), as_text(row[key])
            except KeyError:
                continue


def _value(point: Point, place: str) -> Any:
    try:
        return at_path(point.payload, place)
    except KeyError:
        return None
