"""TEN110: key columns that were there before tenure came."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from tenure.attribution.rows import table_sql, untagged
from tenure.checks.base import Named, View
from tenure.values import Finding


class ExistingKey(Named):
    """Somebody else's start is known: which key columns exist, with which default, and how full they are."""

    id = "TEN110"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a warning for a default, which absorbs writers, and a notice for a column that is filled in part."""
        for name, rule in view.rows.rules.items():
            table = view.catalog.postgres.table(name)
            column = table.column(view.key.name) if table is not None and rule.key_exists else None
            if column is None:
                continue
            if column.default is not None:
                harmless = any(column.default.startswith(f"'{value}'") for value in view.key.untagged)
                yield self.finding(
                    "info" if harmless else "warning",
                    name,
                    f"{view.key.name} has the default {column.default}, which rows of any tenant get",
                    "Tenure drops it in expand."
                    + ("" if harmless else " List its value under `tenant.untagged` unless it is really a tenant."),
                )
            query = sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {} AS t").format(
                untagged(view.key, sql.SQL("t.{}").format(sql.Identifier(view.key.name))), table_sql(rule.table)
            )
            total, empty = view.query(query)[0]
            policy = {
                "conflict": "a key that differs from the sources is a conflict",
                "keep": "it is kept, also where the sources differ",
                "rederive": "it is written anew from the sources",
            }[rule.policy.existing]
            yield self.finding(
                "info",
                name,
                f"{view.key.name} exists already, {total - empty} of {total} rows have one; {policy}",
                count=total - empty,
            )
