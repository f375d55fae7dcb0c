"""What the key columns hold, counted by the server; shared by completeness and the matrix of verify."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from psycopg import sql

from tenure.attribution.rows import table_sql, untagged
from tenure.checks.base import SAMPLE, View
from tenure.checks.row_bins import QUARANTINE, SHARED, UNASSIGNED


@dataclass
class Keys:
    """The items of one object by what their key holds.

    `ends` has tenants and bins as the matrix writes them. `untagged` have no tenant, `kept` of them on purpose
    (`keep_null`), `unknown` a value that is no tenant; `samples` are up to ten items or values of each.
    """

    total: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    untagged: int = 0
    kept: int = 0
    unknown: int = 0
    samples: dict[str, tuple[object, ...]] = field(default_factory=dict)

    @property
    def bad(self) -> int:
        """Items without a tenant that should have one, and with what is none."""
        return self.untagged - self.kept + self.unknown


def row_keys(view: View) -> dict[str, Keys]:
    """Return what the keys of every keyed table that has the column hold; counted once for a view."""
    return view.once("row_keys", lambda: {name: _count(view, name) for name in view.rows.rules if has_key(view, name)})


def has_key(view: View, name: str) -> bool:
    """Return whether a table has the key column now."""
    table = view.live.postgres.table(name)
    return table is not None and table.column(view.key.name) is not None


def _count(view: View, name: str) -> Keys:
    rule, key = view.rows.rules[name], view.key
    column = sql.SQL("t.{}").format(sql.Identifier(key.name))
    parts = {
        "key": column,
        "table": table_sql(rule.table),
        "open": untagged(key, column),
        "registry": table_sql(key.registry),
        "id": sql.Identifier(key.registry_column),
        "sentinels": sql.SQL("{}, {}").format(sql.Literal(key.quarantine), sql.Literal(key.shared)),
        "limit": sql.Literal(SAMPLE),
    }
    # Grouped first, looked up then: the registry is asked once per value. What is no tenant is folded into one group.
    known = sql.SQL(
        "SELECT k.tenant, k.n, k.open, k.tenant IN ({sentinels}) OR r.{id} IS NOT NULL AS valid FROM ("
        "SELECT ({key})::text AS tenant, {open} AS open, count(*) AS n FROM {table} AS t GROUP BY 1, 2) AS k "
        "LEFT JOIN (SELECT DISTINCT {id} FROM {registry}) AS r ON r.{id}::text = k.tenant"
    ).format(**parts)
    found = Keys()
    for tenant, count, open_, valid in view.query(
        sql.SQL(
            "SELECT CASE WHEN NOT open AND valid THEN tenant END, sum(n)::bigint, open, coalesce(valid, false) "
            "FROM ({}) AS q GROUP BY 1, 3, 4"
        ).format(known)
    ):
        found.total += count
        if open_:
            found.untagged += count
            found.ends[UNASSIGNED] += count
        elif not valid:
            found.unknown += count
            found.ends[UNASSIGNED] += count
        else:
            found.ends[{key.quarantine: QUARANTINE, key.shared: SHARED}.get(tenant, tenant)] += count
    if found.untagged and rule.policy.unassigned == "keep_null":
        ((found.kept,),) = view.query(sql.SQL("SELECT count(*) FROM {table} AS t WHERE {key} IS NULL").format(**parts))
        found.ends[UNASSIGNED] -= found.kept
        found.ends[SHARED] += found.kept
    if found.unknown:
        found.samples["unknown"] = tuple(
            tenant
            for (tenant,) in view.query(
                sql.SQL(
                    "SELECT tenant FROM ({}) AS q WHERE NOT open AND NOT coalesce(valid, false) ORDER BY 1 LIMIT {}"
                ).format(known, SAMPLE)
            )
        )
    return found
