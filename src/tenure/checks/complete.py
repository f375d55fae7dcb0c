"""TEN501: completeness. Items with a valid tenant, quarantined ones and shared ones are all items."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from tenure.attribution.rows import table_sql, untagged
from tenure.attribution.sources_scope import item_sql
from tenure.checks.base import SAMPLE, Named, View
from tenure.checks.item_keys import graph_keys, point_keys
from tenure.checks.row_keys import Keys, has_key, row_keys
from tenure.values import Finding, Store


class Completeness(Named):
    """Per object: valid + quarantined + shared = all; no key is null, missing, empty or no tenant."""

    id = "TEN501"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error per object with keys that are missing or no tenant."""
        for name in view.rows.rules:
            if not has_key(view, name):
                yield self.finding(
                    "error", name, f"it has no column {view.key.name}", "Run `tenure apply`, which adds and fills it."
                )
        for name, keys in row_keys(view).items():
            yield from self._findings("postgres", name, keys, self._open_rows(view, name, keys))
        for name, found in graph_keys(view).items():
            yield from self._findings("neo4j", name, found.keys, found.keys.samples.get("untagged", ()))
        for name, found in point_keys(view).items():
            yield from self._findings("qdrant", name, found.keys, found.keys.samples.get("untagged", ()))

    def _open_rows(self, view: View, name: str, keys: Keys) -> tuple[object, ...]:
        if keys.untagged <= keys.kept:
            return ()
        rule = view.rows.rules[name]
        column = sql.SQL("t.{}").format(sql.Identifier(view.key.name))
        open_ = untagged(view.key, column)
        if keys.kept:
            open_ += sql.SQL(" AND {} IS NOT NULL").format(column)
        query = sql.SQL("SELECT {} FROM {} AS t WHERE {} LIMIT {}").format(
            item_sql(rule), table_sql(rule.table), open_, SAMPLE
        )
        return tuple(item for (item,) in view.query(query))

    def _findings(self, store: Store, name: str, keys: Keys, sample: tuple[object, ...]) -> Iterator[Finding]:
        if keys.untagged > keys.kept:
            yield self.finding(
                "error",
                name,
                f"{keys.untagged - keys.kept} of {keys.total} items have no tenant",
                "Run `tenure apply` again: it sweeps up what was born since.",
                count=keys.untagged - keys.kept,
                sample=sample,
                store=store,
            )
        if keys.unknown:
            yield self.finding(
                "error",
                name,
                f"{keys.unknown} of {keys.total} items have a key that is not a registered tenant",
                "Register the tenant, or correct the items; tenure keeps what the application wrote.",
                count=keys.unknown,
                sample=keys.samples.get("unknown", ()),
                store=store,
            )
