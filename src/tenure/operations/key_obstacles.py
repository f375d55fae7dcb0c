"""What stands in the way of a rollback: constraints on the key column, and what reads a column that is to go.

Constraints may refuse the keys that a rollback puts back. One that was there before tenure came, and was never
validated, says nothing of the rows that were there with it: it is set aside while they are put back. Any other belongs
to somebody who counts on it: the rollback is refused. So it is while a view or somebody's foreign key reads a column of
tenure's own: nothing is dropped with CASCADE.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tenure.attribution.rows import raw, table_sql
from tenure.attribution.spec import RowRule
from tenure.catalog import Catalog
from tenure.errors import OperationFailedError
from tenure.findings import say
from tenure.operations.key_clashes import clashes
from tenure.operations.text import not_null_check, short_name
from tenure.values import Finding, Frozen, TableName

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context

SAMPLE = 10

_CONSTRAINTS = """SELECT k.conname::text, k.contype::text, k.convalidated, pg_get_constraintdef(k.oid),
pg_get_expr(k.conbin, k.conrelid), k.confrelid::regclass::text,
ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (number, place)
      JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.place),
ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (number, place)
      JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.number ORDER BY c.place)
FROM pg_constraint AS k JOIN pg_attribute AS key ON key.attrelid = k.conrelid AND key.attnum = ANY (k.conkey)
WHERE k.conrelid = to_regclass(%s) AND key.attname = %s AND k.contype IN ('c', 'f')
AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) ORDER BY k.conname"""

# Indexes, checks and foreign keys of the table itself go with the column.
_DEPENDENTS = """SELECT DISTINCT CASE WHEN d.classid = 'pg_rewrite'::regclass
  THEN (SELECT 'view ' || w.ev_class::regclass::text FROM pg_rewrite AS w WHERE w.oid = d.objid)
  ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END
FROM pg_depend AS d JOIN pg_attribute AS key ON key.attrelid = d.refobjid AND key.attnum = d.refobjsubid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(%s) AND key.attname = %s AND d.deptype = 'n'
AND (d.classid = 'pg_rewrite'::regclass OR d.classid = 'pg_constraint'::regclass AND EXISTS (
  SELECT 1 FROM pg_constraint AS k WHERE k.oid = d.objid AND k.contype = 'f' AND k.conparentid = 0
  AND k.conrelid <> d.refobjid AND k.conname <> ALL (%s))) ORDER BY 1"""


class Obstacle(Frozen):
    """A check or foreign key on the key column: `broken` is the condition that a row `r` must not meet."""

    name: str
    what: str
    definition: str
    validated: bool
    broken: str


def obstacles(connection: Connection[Any], rule: RowRule) -> list[Obstacle]:
    """Return the checks and foreign keys that look at the key column of a table, as they are now."""
    rows = connection.execute(_CONSTRAINTS, (table_sql(rule.table).as_string(None), rule.key.name)).fetchall()
    found = []
    for name, kind, validated, definition, expression, parent, ours, theirs in rows:
        if kind == "c":
            broken: sql.Composable = sql.SQL("({}) IS FALSE").format(raw(expression))
        else:
            given = [sql.SQL("r.{} IS NOT NULL").format(sql.Identifier(column)) for column in ours]
            same = [
                sql.SQL("p.{} = r.{}").format(sql.Identifier(there), sql.Identifier(here))
                for here, there in zip(ours, theirs, strict=True)
            ]
            broken = sql.SQL("{} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})").format(
                sql.SQL(" AND ").join(given), raw(parent), sql.SQL(" AND ").join(same)
            )
        found.append(
            Obstacle(
                name=name,
                what="check constraint" if kind == "c" else "foreign key",
                definition=definition,
                validated=validated,
                broken=broken.as_string(None),
            )
        )
    return found


def set_aside(ctx: Context, rule: RowRule, found: list[Obstacle]) -> list[Obstacle]:
    """Return those that may be set aside: there before tenure came, and not validated, then as now."""
    kept = ctx.ledger.baseline("catalog", "")
    table = Catalog.model_validate(kept).postgres.table(rule.table.display) if kept is not None else None
    if table is None:
        return []
    before = {check.name for check in table.checks if not check.validated}
    before |= {key.name for key in table.foreign_keys if not key.validated}
    return [obstacle for obstacle in found if obstacle.name in before and not obstacle.validated]


def lift(rule: RowRule, aside: list[Obstacle]) -> tuple[list[sql.Composed], list[sql.Composed]]:
    """Return what takes constraints off a table, and what puts them on again just as they were; one transaction."""
    table = table_sql(rule.table)
    off = [sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, sql.Identifier(one.name)) for one in aside]
    on = [
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(table, sql.Identifier(one.name), raw(one.definition))
        for one in aside
    ]
    # A table with checks that wait for the end of the transaction cannot be altered.
    return off, [sql.Composed([sql.SQL("SET CONSTRAINTS ALL IMMEDIATE")]), *on] if on else []


def refused_keys(ctx: Context, rule: RowRule, put_back: sql.Composed) -> Iterator[Finding]:
    """Yield an error for each constraint that some row would break which *put_back* gives as it was before tenure."""
    made = _made(ctx, rule.table)
    with ctx.postgres.connection() as connection:
        found = obstacles(connection, rule)
        aside = set_aside(ctx, rule, found)
        for obstacle in found:
            if obstacle in aside or obstacle.name in made:
                continue
            broken = sql.SQL("FROM ({}) AS r WHERE {}").format(put_back, raw(obstacle.broken))
            row = connection.execute(sql.SQL("SELECT count(*) {}").format(broken)).fetchone()
            if row is None or not row[0]:
                continue
            key = sql.SQL("r.{}").format(sql.Identifier(rule.key.name))
            sample = connection.execute(
                sql.SQL("SELECT DISTINCT coalesce(({})::text, 'null') {} ORDER BY 1 LIMIT {}").format(
                    key, broken, SAMPLE
                )
            ).fetchall()
            off, on = lift(rule, [obstacle])
            yield say(
                "TEN030",
                "error",
                f"{rule.table.display}.{obstacle.name}",
                f"{obstacle.what} {obstacle.name} of {rule.table.display} forbids the {rule.key.name} that "
                f"{row[0]} row(s) had before tenure came: {obstacle.definition}",
                f"It came after tenure. Drop it ({off[0].as_string(None)};), roll back, and add it again if it "
                f"still fits ({on[-1].as_string(None)};).",
                count=row[0],
                sample=tuple(value for (value,) in sample),
            )
        yield from clashes(connection, rule, put_back, made)


def _made(ctx: Context, table: TableName | None = None) -> list[str]:
    """Return the names of the constraints that tenure made (on *table*, or any): they go before keys are put back."""
    made = [row.body for row in ctx.ledger.operations() if row.kind == "composite_fk" and not row.body["adopted"]]
    names = [body["name"] for body in made] + [short_name(body["name"], "full") for body in made]
    for row in ctx.ledger.operations():
        if row.kind in ("rescope_unique", "surrogate_unique") and not row.body.get("adopted"):
            names.append(row.body["index"]["name"])
        elif row.kind == "rescope_exclusion" and not row.body["adopted"]:
            names.append(row.body["new"]["name"])
    return names if table is None else [*names, not_null_check(table)]


def in_the_way(operation: str, rule: RowRule, error: psycopg.IntegrityError) -> OperationFailedError:
    """Return the error that names what refused a key that was to be put back, and the way out."""
    where = error.diag.table_name or rule.table.name
    if error.diag.constraint_name:
        what, remedy = f"constraint {error.diag.constraint_name} of {where}", "Drop it or change"
    elif isinstance(error, psycopg.errors.NotNullViolation):
        what, remedy = f"NOT NULL of {where}.{error.diag.column_name}", "Drop it or change"
    else:
        what, remedy = f"a rule of {where}", "Change"
    return OperationFailedError(
        operation=f"undo of {operation}",
        object=rule.table.display,
        planned=1,
        changed=0,
        left=1,
        problem=f"{what} refuses a {rule.key.name} that a row had before tenure came: "
        f"{error.diag.message_primary or type(error).__name__}. {remedy} the rows that it is about, then run "
        "`tenure rollback` again: it goes on where it stood.",
    )


def readers(ctx: Context, table: TableName, key: str) -> Iterator[Finding]:
    """Yield an error where views, or foreign keys that tenure did not make, would keep the key column from going."""
    ours = _made(ctx)
    with ctx.postgres.connection() as connection:
        name = table_sql(table).as_string(None)
        found = tuple(row[0] for row in connection.execute(_DEPENDENTS, (name, key, ours)).fetchall())
    if found:
        yield say(
            "TEN030",
            "error",
            table.display,
            f"{len(found)} object(s) that came after tenure read {table.display}.{key}, which goes with the "
            f"rollback: {', '.join(found[:SAMPLE])}",
            "Drop them, or make them do without the column, before the rollback; tenure drops nothing of yours.",
            count=len(found),
            sample=found[:SAMPLE],
        )
