"""Compares the items of two stores that hold the same things: rows of Postgres, and nodes or points that name them.

First order-independent fingerprints, per tenant and range of ids, computed in the process while the other store's items
stream by; Postgres adds its rows up per tenant, and per range only where a tenant's sums differ. Only what differs then
is looked at one by one: the items are streamed again, into a temporary table, and compared by set difference. Memory
does not grow with the stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from tenure.attribution.graph import NodeSpec
from tenure.attribution.graph_read import Shapes
from tenure.attribution.items import as_text
from tenure.attribution.points import READ, PointSpec, canonical
from tenure.attribution.rows import raw, table_sql
from tenure.attribution.spec import ItemRule, RowSource
from tenure.checks.base import SAMPLE, View
from tenure.checks.sums import RANGE, Sums, hash_sql, range_of
from tenure.checks.view import resolving
from tenure.stores.cypher import quote
from tenure.stores.qdrant import path
from tenure.values import Store


@dataclass(frozen=True)
class Link:
    """Items of one store that name rows of Postgres by the source *rows*."""

    store: Store
    object: str
    rule: ItemRule
    rows: RowSource
    spec: NodeSpec | PointSpec
    before: str = ""

    @property
    def name(self) -> str:
        """Return the name under which the drift of the link is kept: that of the collection *before* it was re-keyed,
        whose ids are compared."""
        return f"{self.store}.{self.before or self.object}"

    @property
    def one_to_one(self) -> bool:
        """Whether at most one item names a row, and one row an item, so that equal sets have equal fingerprints."""
        return self.rows.match is None and self.rows.unique


@dataclass(frozen=True)
class Side:
    """What one side has and the other has not: how many, a fingerprint of which, up to ten of them."""

    count: int
    fingerprint: str
    sample: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What a comparison found. `disagree` is (count, sample) of items whose tenant is not that of their row."""

    rows_without_item: Side
    items_without_row: Side
    disagree: tuple[int, tuple[dict[str, str], ...]] = (0, ())

    def baseline(self) -> dict[str, Any]:
        """Return what the ledger keeps of it, to compare with later."""
        return {
            "rows_without_item": self.rows_without_item.count,
            "rows": self.rows_without_item.fingerprint,
            "items_without_row": self.items_without_row.count,
            "items": self.items_without_row.fingerprint,
        }


def links(view: View) -> Iterator[Link]:
    """Yield every keyed label and collection that names rows."""
    if view.graph.spec is not None and view.neo4j is not None:
        for node in view.graph.spec.nodes:
            for source in node.rule.sources:
                if isinstance(source, RowSource) and (source.match is not None or node.identity is not None):
                    yield Link("neo4j", node.label, node.rule, source, node)
                    break
    if view.qdrant is not None:
        for spec in view.points.specs:
            if spec.drives is not None:
                switch = view.switches.get(spec.collection)
                before = switch.collection if switch is not None else ""
                yield Link("qdrant", spec.collection, spec.rule, spec.drives, spec, before)


def compare(view: View, link: Link, *, keys: bool) -> Comparison:
    """Compare a link's two sides: which items exist, and with *keys* also to whom they belong."""
    connection = view.postgres.dedicated()
    try:
        connection.execute("SET jit = off; SET statement_timeout = 0")
        ranges, tenants = _room(connection, view)
        differing: frozenset[int] | None = None
        if link.one_to_one:
            theirs = _streamed(view, link, Sums(ranges, tenants), keys)
            # (item, row) pairs of equal sets add up alike; what differs in either is in one of the ranges.
            differing = frozenset()
            if not theirs.equal(_by_tenant(connection, view, link, keys)):
                differing = theirs.differing(_by_range(connection, view, link, ranges, keys))
            if not differing:
                nothing = Side(0, "0", ())
                return Comparison(nothing, nothing)
        return _item_by_item(connection, view, link, ranges, differing, keys)
    finally:
        connection.close()


def items(view: View, link: Link) -> Iterator[tuple[str, str]]:
    """Yield (value, key) of every item that names a value; an item without a key has the empty text."""
    if isinstance(link.spec, NodeSpec):
        yield from _nodes(view, link, link.spec)
        return
    assert view.qdrant is not None
    fields = [path(view.key.name), *([path(link.rows.match)] if link.rows.match is not None else [])]
    with resolving(view, link.object) as resolve:
        for points in view.qdrant.pages(link.object, fields=fields, limit=READ):
            known = [one.identity for one in resolve(points)] if resolve is not None else [p.id for p in points]
            for point, identity in zip(points, known, strict=True):
                value = identity if link.rows.match is None else _at(point.payload, link.rows.match)
                if value is not None and not isinstance(value, list | dict):
                    present = canonical(view.key, point.payload.get(view.key.name))
                    yield as_text(value), present if isinstance(present, str) else ""


def _nodes(view: View, link: Link, spec: NodeSpec) -> Iterator[tuple[str, str]]:
    assert view.neo4j is not None
    assert view.graph.spec is not None
    shapes = Shapes(view.graph.spec)
    name = link.rows.match or spec.identity
    assert name is not None
    # A node with several keyed labels goes by the first of them; under the others it is not looked at.
    query = (
        f"MATCH (n:{quote(spec.label)}) WHERE n.{quote(name)} IS NOT NULL "
        f"AND {shapes.kind('n')} = {shapes.kind_of(spec)} "
        f"RETURN n.{quote(name)} AS value, n.{quote(view.key.name)} AS tenant"
    )
    for row in view.neo4j.stream(query):
        if not isinstance(row["value"], list):
            tenant = row["tenant"]
            yield as_text(row["value"]), "" if tenant is None or isinstance(tenant, list) else as_text(tenant)


def _room(connection: Connection[Any], view: View) -> tuple[int, int]:
    """Return how many ranges of ids there are, a power of two that keeps tenants x ranges small, and for how many
    tenants there is room: the registered ones, the sentinels and some that are none."""
    ((tenants,),) = connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(table_sql(view.key.registry))
    ).fetchall()
    ranges = 1024
    while ranges > 16 and ranges * tenants > 65_536:
        ranges //= 2
    return ranges, tenants + 16


def _streamed(view: View, link: Link, sums: Sums, keys: bool) -> Sums:
    # Where a row is shared or without a key it says nothing, and an item likewise: they count alike on both sides.
    nobody = ("", view.key.shared)
    for value, tenant in items(view, link):
        sums.add(tenant if keys and tenant not in nobody else "", value)
    return sums


_DIGEST = sql.SQL("md5(r.value)")


def _by_tenant(connection: Connection[Any], view: View, link: Link, keys: bool) -> Iterator[tuple[str, int, int]]:
    """Yield tenant, count and sum, several for one tenant where keys mean the same.

    Rows are as unique as the items are: grouping them by value would cost more than all the rest, and where the
    uniqueness is not what it was the sums differ and every item is looked at.
    """
    query = sql.SQL("SELECT r.key, count(*), sum({hash}) FROM ({rows}) AS r GROUP BY 1").format(
        hash=_hash(connection, _DIGEST), rows=_each(view, link, keys)
    )
    for key, count, total in connection.execute(query):
        yield "" if key is None or key == view.key.shared else key, count, int(total)


def _by_range(
    connection: Connection[Any], view: View, link: Link, ranges: int, keys: bool
) -> Iterator[tuple[str, int, int, int]]:
    # OFFSET 0 keeps the digest from being computed for each use of it.
    query = sql.SQL(
        "SELECT d.owner, {place}, count(*), sum({hash}) FROM ("
        "SELECT CASE WHEN r.key <> {shared} THEN r.key ELSE '' END AS owner, {digest} AS digest FROM ({rows}) AS r "
        "OFFSET 0) AS d GROUP BY 1, 2"
    ).format(
        shared=sql.Literal(view.key.shared),
        digest=_DIGEST,
        place=sql.SQL(RANGE).format(digest=sql.SQL("d.digest"), ranges=sql.Literal(ranges)),
        hash=_hash(connection, sql.SQL("d.digest")),
        rows=_each(view, link, keys),
    )
    for owner, place, count, total in connection.execute(query):
        yield owner, place, count, int(total)


def _hash(connection: Connection[Any], digest: sql.Composable) -> sql.Composed:
    return raw(hash_sql(connection.info.server_version)).format(digest=digest)


def _each(view: View, link: Link, keys: bool) -> sql.Composed:
    """Return the query for the value and the key of every row."""
    key = sql.SQL("p.{}::text").format(sql.Identifier(view.key.name)) if keys else sql.SQL("''::text")
    return sql.SQL("SELECT p.{0}::text AS value, {1} AS key FROM {2} AS p WHERE p.{0} IS NOT NULL").format(
        sql.Identifier(link.rows.column), key, table_sql(link.rows.table)
    )


def _rows(view: View, link: Link, keys: bool) -> sql.Composed:
    """Return the query for the rows' values, each once, with the least and the greatest key that is not shared."""
    key = sql.SQL("p.{}::text").format(sql.Identifier(view.key.name))
    lowest = highest = sql.SQL("NULL::text").format()
    if keys:
        own = sql.SQL("FILTER (WHERE {} <> {})").format(key, sql.Literal(view.key.shared))
        lowest, highest = sql.SQL("min({}) {}").format(key, own), sql.SQL("max({}) {}").format(key, own)
    return sql.SQL(
        "SELECT p.{column}::text AS value, {lowest} AS lo, {highest} AS hi FROM {table} AS p "
        "WHERE p.{column} IS NOT NULL GROUP BY 1"
    ).format(column=sql.Identifier(link.rows.column), lowest=lowest, highest=highest, table=table_sql(link.rows.table))


def _item_by_item(
    connection: Connection[Any], view: View, link: Link, ranges: int, differing: frozenset[int] | None, keys: bool
) -> Comparison:
    """Compare the items of the differing ranges (None: all) by set difference, in a table of this session."""
    connection.execute("CREATE TEMPORARY TABLE tenure_items (value text NOT NULL, tenant text NOT NULL)")
    with connection.cursor().copy("COPY pg_temp.tenure_items FROM STDIN") as copy:
        for value, tenant in items(view, link):
            if differing is None or range_of(value, ranges) in differing:
                copy.write_row((value, tenant))
    connection.execute("CREATE TEMPORARY TABLE tenure_rows (value text NOT NULL, lo text, hi text)")
    chosen: sql.Composable = sql.SQL("")
    if differing is not None:
        chosen = sql.SQL(" WHERE {} = ANY({}::int[])").format(
            sql.SQL(RANGE).format(digest=_DIGEST, ranges=sql.Literal(ranges)), sql.Literal(sorted(differing))
        )
    connection.execute(
        sql.SQL("INSERT INTO pg_temp.tenure_rows SELECT r.value, r.lo, r.hi FROM ({}) AS r{}").format(
            _rows(view, link, keys), chosen
        )
    )
    connection.execute("ANALYZE pg_temp.tenure_items; ANALYZE pg_temp.tenure_rows")
    return Comparison(
        rows_without_item=_only(connection, "tenure_rows", "tenure_items"),
        items_without_row=_only(connection, "tenure_items", "tenure_rows"),
        disagree=_disagreeing(connection, view) if keys else (0, ()),
    )


def _only(connection: Connection[Any], here: str, there: str) -> Side:
    """Return the values of one table that the other has not."""
    body = sql.SQL(
        "FROM (SELECT DISTINCT value FROM {}) AS h WHERE NOT EXISTS (SELECT FROM {} AS t WHERE t.value = h.value)"
    ).format(sql.Identifier("pg_temp", here), sql.Identifier("pg_temp", there))
    ((count, total),) = connection.execute(
        sql.SQL("SELECT count(*), coalesce(sum({}), 0) {}").format(_hash(connection, sql.SQL("md5(h.value)")), body)
    ).fetchall()
    sample = connection.execute(sql.SQL("SELECT value {} ORDER BY 1 LIMIT {}").format(body, SAMPLE)) if count else ()
    return Side(count, str(int(total)), tuple(value for (value,) in sample))


def _disagreeing(connection: Connection[Any], view: View) -> tuple[int, tuple[dict[str, str], ...]]:
    """Return the items with a tenant that is not their row's.

    Items without a key are completeness's business, quarantined ones correctness's; where rows of several tenants share
    the value, or shared rows only, the row does not decide.
    """
    open_ = ["", view.key.quarantine, *view.key.untagged]
    body = sql.SQL(
        "FROM pg_temp.tenure_items AS i JOIN pg_temp.tenure_rows AS r USING (value) "
        "WHERE r.lo = r.hi AND r.lo <> ALL({open}::text[]) AND i.tenant <> ALL({open_items}::text[]) "
        "AND i.tenant <> r.lo"
    ).format(open=sql.Literal(list(view.key.untagged)), open_items=sql.Literal(open_))
    ((count,),) = connection.execute(sql.SQL("SELECT count(*) {}").format(body)).fetchall()
    sample = (
        connection.execute(
            sql.SQL("SELECT value, i.tenant, r.lo {} ORDER BY 1 LIMIT {}").format(body, SAMPLE)
        ).fetchall()
        if count
        else []
    )
    return count, tuple({"item": value, "tenant": tenant, "row": row} for value, tenant, row in sample)


def _at(payload: Mapping[str, Any], place: str) -> Any:
    if place in payload:
        return payload[place]
    value: Any = payload
    for part in place.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
