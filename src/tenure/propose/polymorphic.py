"""An expression for rows that belong to rows of several tables, which another column tells apart. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from tenure.catalog.postgres import Table
from tenure.propose.links import keyable
from tenure.propose.names import tokens
from tenure.propose.tables import Tables

DEPTH = 6


def expression(decided: Tables, table: Table, column: str, types: Iterable[str]) -> str | None:
    """Return SQL that asks the table which the type column names for the tenant of the row *column* refers to.

    None where a type is no table, or its tenant is not reached by columns and parents alone.
    """
    kind = next(c.name for c in table.columns if tokens(c.name) == (*tokens(column)[:-1], "type"))
    by_name = {tokens(other.name): other for other in keyable(decided.catalog)}
    cases = []
    for name in sorted(types):
        parent = by_name.get(tokens(name.rpartition("::")[2]))
        if parent is None or len(parent.primary_key) != 1 or parent is table:
            return None
        match = {column: parent.primary_key[0]}
        found = _of_parent(decided, parent.display, match, "t", 1)
        if found is None:
            return None
        cases.append(sql.SQL("WHEN {} THEN {}").format(name, found))
    text = sql.SQL("CASE {} {} END").format(sql.Identifier("t", kind), sql.SQL(" ").join(cases))
    return text.as_string(None)


def _of_parent(decided: Tables, name: str, match: dict[str, str], child: str, depth: int) -> sql.Composed | None:
    """Return a sub-query for the tenant of the row of table *name* that *match* leads to from the alias *child*."""
    table, alias = decided.catalog.table(name), f"p{depth}"
    if table is None or depth > DEPTH:
        return None
    sources = decided.attributor.sources.get(name, ())
    value: sql.Composable | None = None
    if name == decided.attributor.registry:
        value = sql.Identifier(alias, decided.attributor.registry_column)
    elif sources and sources[0].kind == "column":
        value = sql.Identifier(alias, sources[0].column)
    elif sources and sources[0].link is not None and sources[0].kind == "parent":
        value = _of_parent(decided, sources[0].link.parent, sources[0].link.match, alias, depth + 1)
    if value is None:
        return None
    equal = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(alias, theirs), sql.Identifier(child, ours))
        for ours, theirs in match.items()
    )
    relation = sql.Identifier(table.schema_name, table.name)
    return sql.SQL("(SELECT {} FROM {} AS {} WHERE {})").format(value, relation, sql.Identifier(alias), equal)
