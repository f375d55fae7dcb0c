"""The statements that write the key of rows: one decides anything, a lighter one writes what needs no deciding."""

from __future__ import annotations

from psycopg import sql

from tenure.attribution.rows import decision, key_cast, raw, table_sql, untagged
from tenure.attribution.spec import ColumnSource, ParentSource, RowRule
from tenure.values import TableName, TenantKey

# What is listed is a key of the list, which an index bounds: of a long one its digest and its beginning.
LISTED_ITEM = (
    "CASE WHEN octet_length(item::text) <= 2000 THEN item "
    "ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END"
)


def on_pages(first: int, end: int) -> sql.Composed:
    """Return the condition that a row lies on the heap pages from *first* up to, not including, *end*."""
    return sql.SQL("t.ctid >= {} AND t.ctid < {}").format(sql.Literal(f"({first},0)"), sql.Literal(f"({end},0)"))


def in_stripe(passes: int, number: int) -> sql.Composed:
    """Return the condition that a row belongs to pass *number* of *passes*, by the last byte of its line pointer.

    A row's line pointer never changes, so that each row belongs to one pass. Two calls of C functions: what reads the
    number out of the text of `ctid` costs more than the update itself when sixteen passes look at every row.
    """
    return sql.SQL("get_byte(tidsend(t.ctid), 5) % {} = {}").format(passes, number)


def column_of(key: TenantKey) -> sql.Composed:
    """Return the key column of the row `t`."""
    return sql.SQL("t.{}").format(sql.Identifier(key.name))


def item_of(rule: RowRule) -> sql.Composable:
    """Return what names a row: its primary key, or, without one, all of it."""
    if not rule.primary_key:
        return sql.SQL("to_jsonb(t.*)")
    pairs = sql.SQL(", ").join(
        sql.SQL("{}, t.{}").format(sql.Literal(name), sql.Identifier(name)) for name in rule.primary_key
    )
    return sql.SQL("jsonb_build_object({})").format(pairs)


def not_given(rule: RowRule) -> sql.Composed | None:
    """Return the condition that nobody released the row to the tenant that it has; None where a key that is there is
    never decided again."""
    if not rule.key_exists:
        return None
    return sql.SQL(
        "NOT EXISTS (SELECT 1 FROM tenure.quarantine AS given WHERE given.store = 'postgres' AND given.object = {} "
        "AND given.item = {} AND given.released_to = ({})::text)"
    ).format(sql.Literal(rule.table.display), item_of(rule), column_of(rule.key))


def deciding(
    operation: str, rule: RowRule, leaf: TableName, where: sql.Composable | None = None, limit: int | None = None
) -> sql.Composed:
    """Return the statement that decides the rows of *leaf* that meet *where* and writes their key, with the quarantine
    list and the journal of *operation*; it gives the number of rows changed."""
    key = rule.key
    column = sql.Identifier(key.name)
    conditions: list[sql.Composable] = [] if where is None else [where]
    if not rule.key_exists:
        conditions.append(untagged(key, column_of(key)))
    decided = decision(
        rule,
        sql.SQL("ONLY {}").format(table_sql(leaf)),
        columns=[
            sql.SQL("t.ctid AS tid"),
            sql.SQL("t.xmin AS version"),
            sql.SQL("{} AS item").format(item_of(rule)),
            sql.SQL("({})::text AS present").format(column_of(key)),
        ],
        where=sql.SQL(" AND ").join(conditions) if conditions else None,
    )
    # Every row is journalled where a key was there; elsewhere only the quarantined ones are named, and naming is dear.
    named = sql.SQL("") if rule.key_exists else sql.SQL("CASE WHEN q.write = {} THEN ").format(key_literal(key))
    end = raw("" if rule.key_exists else " END")
    chosen = sql.SQL(
        "SELECT q.tid, q.version, q.write, {named}q.item{end} AS item, {named}q.present{end} AS present, "
        # OFFSET 0 keeps the planner from writing the decision out again wherever its result is used.
        "{named}q.reason{end} AS reason FROM (\n{decided}\nOFFSET 0) AS q WHERE q.write IS NOT NULL"
    ).format(named=named, end=end, decided=decided)
    if limit is not None:
        chosen += sql.SQL("\nLIMIT {}").format(limit)
    parts: list[sql.Composable] = [
        sql.SQL("d AS MATERIALIZED (\n{}\n)").format(chosen),
        # A row that the application changed since it was decided on has another xmin: it is left to the sweep.
        sql.SQL(
            "changed AS (UPDATE ONLY {} AS t SET {} = {} FROM d WHERE t.ctid = d.tid AND t.xmin = d.version "
            "RETURNING d.item, d.present, d.write, d.reason)"
        ).format(table_sql(leaf), column, key_cast(key, sql.SQL("d.write"))),
        sql.SQL(
            "listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) "
            "SELECT 'postgres', {}, {}, reason FROM changed WHERE write = {} "
            "ON CONFLICT (store, object, item) DO NOTHING)"
        ).format(sql.Literal(rule.table.display), raw(LISTED_ITEM), key_literal(key)),
    ]
    if rule.key_exists:
        parts.append(
            sql.SQL(
                "kept AS (INSERT INTO tenure.journal (operation, store, object, item, before, after) "
                "SELECT {}, 'postgres', {}, item, to_jsonb(present), to_jsonb(write) FROM changed)"
            ).format(sql.Literal(operation), sql.Literal(rule.table.display))
        )
    return sql.SQL("WITH {}\nSELECT count(*) FROM changed").format(sql.SQL(",\n").join(parts))


def plain(rule: RowRule, leaf: TableName, where: sql.Composable | None = None) -> sql.Composed | None:
    """Return an UPDATE by a join for the rows whose tenant stands plainly in their one source; None for other rules.

    It writes what the deciding statement would write on these rows, at half of its cost; all others (no parent, a
    quarantined or shared one, an aliased value, a value that is no tenant) it leaves to that statement.
    """
    key = rule.key
    if rule.key_exists or len(rule.sources) != 1:
        return None
    source = rule.sources[0]
    if isinstance(source, ParentSource) and source.unique:
        theirs = sql.SQL("p.{}").format(sql.Identifier(key.name))
        relation, value = table_sql(source.table), sql.SQL("({})::text").format(theirs)
        conditions: list[sql.Composable] = [
            sql.SQL("p.{} = t.{}").format(sql.Identifier(theirs_), sql.Identifier(ours))
            for ours, theirs_ in source.match
        ]
        # A parent's key that is registered is a tenant; sentinels never are.
        conditions.append(
            sql.SQL("EXISTS (SELECT 1 FROM {} AS g WHERE g.{}::text = {})").format(
                table_sql(key.registry), sql.Identifier(key.registry_column), value
            )
        )
    elif isinstance(source, ColumnSource):
        relation = table_sql(key.registry)
        value = sql.SQL("(p.{})::text").format(sql.Identifier(key.registry_column))
        ours_ = sql.SQL("(t.{})::text").format(sql.Identifier(source.name))
        conditions = [
            sql.SQL("{} = {}").format(value, ours_),
            sql.SQL("NOT ({})").format(untagged(key, ours_)),
            sql.SQL("NOT EXISTS (SELECT 1 FROM tenure.alias AS l WHERE l.value = {})").format(ours_),
        ]
    else:
        return None
    if where is not None:
        conditions.append(where)
    conditions.append(untagged(key, column_of(key)))
    return sql.SQL("UPDATE ONLY {} AS t SET {} = {} FROM {} AS p WHERE {}").format(
        table_sql(leaf),
        sql.Identifier(key.name),
        key_cast(key, value),
        relation,
        sql.SQL(" AND ").join(conditions),
    )


def key_literal(key: TenantKey) -> sql.Literal:
    """Return the reserved tenant of quarantined rows."""
    return sql.Literal(key.quarantine)
