"""What else stands in the way of putting keys back: uniques and exclusion constraints, and foreign keys to the key.

Unlike a check, these look at other rows than the one that gets its key: at the whole table as undo would leave it, and
at the tables whose foreign keys lead here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from psycopg import Connection, sql

from tenure.attribution.rows import raw, table_sql
from tenure.attribution.spec import RowRule
from tenure.findings import say
from tenure.values import Finding

SAMPLE = 10
LISTED = 1000
"""More clashes are counted by nobody: the first of them already stands in the way."""

_INDEXES = """SELECT x.relname::text, k.conname::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid),
pg_get_constraintdef(k.oid), pg_get_expr(i.indpred, i.indrelid),
ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) AS n ORDER BY n),
ARRAY(SELECT format('OPERATOR(%%I.%%s)', s.nspname, o.oprname) FROM unnest(k.conexclop) WITH ORDINALITY AS e (id, place)
      JOIN pg_operator AS o ON o.oid = e.id JOIN pg_namespace AS s ON s.oid = o.oprnamespace ORDER BY e.place),
coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_attribute AS key ON key.attrelid = i.indrelid AND key.attnum = ANY (i.indkey::smallint[])
LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = to_regclass(%s) AND key.attname = %s AND (i.indisunique OR i.indisexclusion) ORDER BY x.relname"""

# What an update cascades to is not broken by it.
_POINTERS = """SELECT k.conname::text, k.conrelid::regclass::text, pg_get_constraintdef(k.oid),
ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (number, place)
      JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.place),
ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (number, place)
      JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.number ORDER BY c.place)
FROM pg_constraint AS k JOIN pg_attribute AS key ON key.attrelid = k.confrelid AND key.attnum = ANY (k.confkey)
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confupdtype IN ('a', 'r') AND k.confrelid = to_regclass(%s)
AND key.attname = %s AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) ORDER BY k.conname"""


class Clash(NamedTuple):
    """Something that the table as undo would leave it breaks: `broken` is the query for the values that do."""

    name: str
    what: str
    definition: str
    broken: sql.Composed
    off: sql.Composed
    on: sql.Composed


def clashes(
    connection: Connection[Any], rule: RowRule, put_back: sql.Composed, made: Collection[str]
) -> Iterator[Finding]:
    """Yield an error for each unique, exclusion constraint and foreign key to the table that would refuse *put_back*,
    the query for the rows whose key undo changes, as it leaves them. *made* are the names of what tenure made: it goes
    before."""
    changes = connection.execute(sql.SQL("SELECT EXISTS ({})").format(put_back)).fetchone()
    if changes is None or not changes[0]:
        return
    left = _left(rule, put_back)
    for clash in (*_indexes(connection, rule, left), *_pointers(connection, rule, left)):
        if clash.name in made:
            continue
        found = connection.execute(sql.SQL("{} LIMIT {}").format(clash.broken, LISTED)).fetchall()
        if not found:
            continue
        count = f"at least {LISTED}" if len(found) == LISTED else str(len(found))
        yield say(
            "TEN030",
            "error",
            f"{rule.table.display}.{clash.name}",
            f"{clash.what} {clash.name} forbids the {rule.key.name} that rows of {rule.table.display} had before "
            f"tenure came, in {count} case(s): {clash.definition}",
            f"Drop it ({clash.off.as_string(None)};), roll back, and add it again if it still fits "
            f"({clash.on.as_string(None)};).",
            count=len(found),
            sample=tuple(value for (value,) in found[:SAMPLE]),
        )


def _left(rule: RowRule, put_back: sql.Composed) -> sql.Composed:
    """Return the relation of all rows as undo would leave them; `tenure_back` tells those whose key it changes.

    Rows that nothing names but their whole content are only compared with each other.
    """
    back = sql.SQL("SELECT r.*, true AS tenure_back FROM ({}) AS r").format(put_back)
    if not rule.primary_key or rule.key.name in rule.primary_key:
        return sql.SQL("({})").format(back)
    same = sql.SQL(" AND ").join(sql.SQL("b.{0} = t.{0}").format(sql.Identifier(name)) for name in rule.primary_key)
    return sql.SQL(
        "({} UNION ALL SELECT t.*, false FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM ({}) AS b WHERE {}))"
    ).format(back, table_sql(rule.table), put_back, same)


def _indexes(connection: Connection[Any], rule: RowRule, left: sql.Composed) -> Iterator[Clash]:
    table = table_sql(rule.table)
    found = connection.execute(_INDEXES, (table.as_string(None), rule.key.name)).fetchall()
    for name, constraint, index, text, definition, predicate, parts, operators, nulls_meet in found:
        values = [sql.Identifier(f"tenure_{number}") for number in range(len(parts))]
        side = sql.SQL("(SELECT row_number() OVER () AS tenure_row, tenure_back, {} FROM {} AS f{})").format(
            sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(raw(part), value) for part, value in zip(parts, values, strict=True)
            ),
            left,
            raw(f" WHERE {predicate}") if predicate is not None else sql.SQL(""),
        )
        equal = "IS NOT DISTINCT FROM" if nulls_meet else "="
        met = sql.SQL(" AND ").join(
            sql.SQL("a.{} {} b.{}").format(value, raw(operator), value)
            for value, operator in zip(values, operators or [equal] * len(values), strict=True)
        )
        broken = sql.SQL(
            "WITH s AS MATERIALIZED {} SELECT ROW({})::text FROM s AS a JOIN s AS b ON {} "
            "AND a.tenure_row < b.tenure_row AND (a.tenure_back OR b.tenure_back)"
        ).format(side, sql.SQL(", ").join(sql.SQL("a.{}").format(value) for value in values), met)
        if constraint is not None:
            off = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, sql.Identifier(constraint))
            on = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                table, sql.Identifier(constraint), raw(definition)
            )
        else:
            off, on = sql.SQL("DROP INDEX {}").format(raw(index)), sql.Composed([raw(text)])
        what = "exclusion constraint" if operators else "unique"
        yield Clash(name, what, definition or text, broken, off, on)


def _pointers(connection: Connection[Any], rule: RowRule, left: sql.Composed) -> Iterator[Clash]:
    found = connection.execute(_POINTERS, (table_sql(rule.table).as_string(None), rule.key.name)).fetchall()
    if not rule.primary_key or rule.key.name in rule.primary_key:
        return
    for name, child, definition, ours, theirs in found:
        same = sql.SQL(" AND ").join(
            sql.SQL("f.{} = c.{}").format(sql.Identifier(there), sql.Identifier(here))
            for here, there in zip(ours, theirs, strict=True)
        )
        given = sql.SQL(" AND ").join(sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(column)) for column in ours)
        broken = sql.SQL(
            "SELECT ROW({})::text FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS f WHERE {})"
        ).format(
            sql.SQL(", ").join(sql.SQL("c.{}").format(sql.Identifier(column)) for column in ours),
            raw(child),
            given,
            left,
            same,
        )
        off = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(raw(child), sql.Identifier(name))
        on = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(raw(child), sql.Identifier(name), raw(definition))
        yield Clash(name, f"foreign key (of {child})", definition, broken, off, on)
