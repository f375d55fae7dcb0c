"""References between rows of keyed tables: TEN114 and TEN119 by decision (inspect), TEN503 by keys (verify)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from psycopg import sql

from tenure.attribution.rows import table_sql
from tenure.catalog.postgres import PostgresCatalog
from tenure.checks.base import SAMPLE, Named, View
from tenure.playbook.base import split_dotted
from tenure.values import Finding


class Reference(NamedTuple):
    """Columns of one table that name rows of another; `entries` where the one column is an array of them."""

    name: str
    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    entries: bool = False
    by_foreign_key: bool = True


class ForeignKeysByDecision(Named):
    """No foreign key will lead from one tenant's row to another's."""

    id = "TEN114"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error per foreign key with the rows that cross: the composite foreign key could not be validated."""
        for reference in foreign_keys(view, view.catalog.postgres):
            count, sample = crossing(view, reference)
            if count:
                yield self.finding(
                    "error",
                    f"{reference.table}.{reference.name}",
                    f"rows of {reference.table} refer to rows of {reference.target} that belong to another tenant",
                    "Correct the reference or the tenant of one of the two, or quarantine one of them by a mapping.",
                    count=count,
                    sample=sample,
                )


class ReferencesByDecision(Named):
    """No reference that the playbook names leads from one tenant's row to another's."""

    id = "TEN119"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a warning per reference with the rows that cross."""
        for reference in named_references(view):
            count, sample = crossing(view, reference)
            if count:
                yield self.finding(
                    "warning",
                    f"{reference.table}.{reference.name}",
                    f"entries name rows of {reference.target} that belong to another tenant",
                    "Remove the entries, or divide the row among its tenants.",
                    count=count,
                    sample=sample,
                )


def foreign_keys(view: View, catalog: PostgresCatalog) -> Iterator[Reference]:
    """Yield the foreign keys between keyed tables that do not have the tenant key in them already."""
    for name in view.rows.rules:
        table = catalog.table(name)
        for key in table.foreign_keys if table is not None else ():
            if key.ref_table in view.rows.rules and not key.inherited and view.key.name not in key.columns:
                yield Reference(key.name, name, key.columns, key.ref_table, key.ref_columns)


def named_references(view: View) -> Iterator[Reference]:
    """Yield the references of the playbook between keyed tables that exist."""
    for name in view.rows.rules:
        table = view.catalog.postgres.table(name)
        for column, dotted in (view.playbook.postgres or {})[name].references.items():
            target, theirs = split_dotted(dotted)
            ours = table.column(column) if table is not None else None
            other = view.catalog.postgres.table(target)
            if ours is not None and other is not None and other.column(theirs) and target in view.rows.rules:
                yield Reference(column, name, (column,), target, (theirs,), ours.type.endswith("[]"), False)


def crossing(view: View, reference: Reference) -> tuple[int, tuple[object, ...]]:
    """Return how many references lead to another tenant, and up to ten of them.

    The condition is that of a composite foreign key: a row without a key refers to nothing, a key must be met.
    """
    key = sql.Identifier(view.key.name)
    child, parent = relation(view, reference.table), relation(view, reference.target)
    source: sql.Composable = sql.SQL("{} AS c").format(child)
    ours: list[sql.Composable] = [sql.SQL("c.{}").format(sql.Identifier(column)) for column in reference.columns]
    if reference.entries:
        source = sql.SQL("{} CROSS JOIN LATERAL unnest({}) AS e(entry)").format(source, ours[0])
        ours = [sql.SQL("e.entry")]
    on = sql.SQL(" AND ").join(
        sql.SQL("p.{} = {}").format(sql.Identifier(theirs), mine)
        for theirs, mine in zip(reference.target_columns, ours, strict=True)
    )
    null_parent = view.rows.rules[reference.target].policy.unassigned == "keep_null"
    where = sql.SQL("c.{0} IS DISTINCT FROM p.{0}" if null_parent else "c.{0} <> p.{0}").format(key)
    # Tenants of quarantined rows are not known: where a list names one, nothing is said of it.
    if not reference.by_foreign_key:
        where += sql.SQL(" AND c.{key}::text NOT IN ({q}, {s}) AND p.{key}::text NOT IN ({q}, {s})").format(
            key=key, q=sql.Literal(view.key.quarantine), s=sql.Literal(view.key.shared)
        )
    body = sql.SQL("FROM {} JOIN {} AS p ON {} WHERE c.{} IS NOT NULL AND {}").format(source, parent, on, key, where)
    ((count,),) = view.query(sql.SQL("SELECT count(*) {}").format(body))
    if not count:
        return 0, ()
    rows = view.query(
        sql.SQL("SELECT {}, c.{k}::text, p.{k}::text {} LIMIT {}").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(mine) for mine in ours), body, SAMPLE, k=key
        )
    )
    return count, tuple(
        {"refers_to": dict(zip(reference.target_columns, row[:-2], strict=True)), "tenant": row[-2], "theirs": row[-1]}
        for row in rows
    )


def relation(view: View, table: str) -> sql.Composable:
    """Return where the keys of a table are: its decisions before anything is written, itself afterwards."""
    return view.decided.get(table) or table_sql(view.rows.rules[table].table)
