"""Derives the keys of rows again from their sources and compares, row by row, by set difference."""

from __future__ import annotations

from psycopg import sql

from tenure.attribution.rows import decision, raw, table_sql, untagged
from tenure.attribution.sources_scope import item_sql
from tenure.attribution.spec import RowRule
from tenure.checks.base import SAMPLE, View

WRONG, RELEASABLE, APPLICATION, GIVEN = "wrong", "releasable", "application", "given"
"""How a key differs: from its sources; a sentinel whose sources know a tenant by now; a tenant that no source knows; a
tenant that a person gave a quarantined item to."""


def differences(view: View, name: str) -> sql.Composed:
    """Return the query for the rows whose key is not what is derived: kind, count of the kind, sample (ten of each)."""
    rule, key = view.rows.rules[name], view.key
    column = sql.Identifier(key.name)
    derived = decision(
        rule,
        _as_it_was(view, rule) if rule.key_exists else table_sql(rule.table),
        scope=view.scope,
        columns=[
            sql.SQL("(t.{})::text AS present").format(raw('"tenure_present"') if rule.key_exists else column),
            sql.SQL("{} AS item").format(item_sql(rule)),
        ],
        weigh=rule.key_exists,
    )
    sentinels = sql.SQL("{}, {}").format(sql.Literal(key.quarantine), sql.Literal(key.shared))
    # Where a null key means "global", a null that should be a tenant is wrong; elsewhere completeness has it.
    missing = raw("true") if rule.policy.unassigned == "keep_null" else raw("false")
    return sql.SQL(
        "SELECT kind, n, sample FROM (SELECT kind, sample, count(*) OVER (PARTITION BY kind) AS n, "
        "row_number() OVER (PARTITION BY kind ORDER BY sample -> 'item') AS place FROM ("
        "SELECT CASE WHEN {given} THEN {kind_given} "
        "WHEN q.by_application OR (q.bin = 'unassigned' AND q.present NOT IN ({sentinels})) "
        "THEN {application} WHEN q.present IN ({sentinels}) THEN {releasable} ELSE {wrong} END AS kind, "
        "jsonb_build_object('item', q.item, 'key', q.present, 'sources', coalesce(q.derived, q.bin), "
        "'reason', q.reason) AS sample FROM (\n{derived}\n) AS q "
        "WHERE (q.present IS DISTINCT FROM q.derived OR q.by_application) AND CASE WHEN {open} "
        "THEN {missing} AND q.present IS NULL AND q.derived IS NOT NULL "
        "ELSE (q.present IN ({sentinels}) AND q.derived IS NOT NULL AND q.derived NOT IN ({sentinels})) "
        "OR EXISTS (SELECT 1 FROM {registry} AS r WHERE r.{id}::text = q.present) END"
        ") AS k) AS w WHERE place <= {limit} ORDER BY kind, place"
    ).format(
        sentinels=sentinels,
        given=_given(view, name),
        kind_given=sql.Literal(GIVEN),
        application=sql.Literal(APPLICATION),
        releasable=sql.Literal(RELEASABLE),
        wrong=sql.Literal(WRONG),
        derived=derived,
        open=untagged(key, raw("q.present")),
        missing=missing,
        registry=table_sql(key.registry),
        id=sql.Identifier(key.registry_column),
        limit=sql.Literal(SAMPLE),
    )


def _given(view: View, name: str) -> sql.Composable:
    """Return the condition that a person released the row to the tenant that it has."""
    if view.ledger is None:
        return raw("false")
    return sql.SQL(
        "EXISTS (SELECT 1 FROM tenure.quarantine AS z WHERE z.store = 'postgres' AND z.object = {} AND z.item = q.item "
        "AND z.released_to = q.present)"
    ).format(sql.Literal(name))


def _as_it_was(view: View, rule: RowRule) -> sql.Composed:
    """Return the table with the keys that tenure overwrote put back: what the sources said was said of those."""
    table = view.live.postgres.table(rule.table.display)
    assert table is not None
    key = sql.Identifier(rule.key.name)
    others = [sql.SQL("t.{}").format(sql.Identifier(c.name)) for c in table.columns if c.name != rule.key.name]
    same = sql.SQL("j.item = {}").format(item_sql(rule))
    if not rule.primary_key:
        same = sql.SQL("j.item - {0} = to_jsonb(t.*) - {0}").format(sql.Literal(rule.key.name))
    return sql.SQL(
        "(SELECT {columns}, CASE WHEN j.item IS NOT NULL THEN (j.before #>> '{{}}')::{type} ELSE t.{key} END AS {key}, "
        "t.{key} AS tenure_present FROM {table} AS t LEFT JOIN (SELECT item, (array_agg(before ORDER BY id))[1] "
        "AS before, (array_agg(after ORDER BY id DESC))[1] AS after FROM tenure.journal WHERE operation = {operation} "
        "GROUP BY item) AS j ON {same} AND j.after #>> '{{}}' = (t.{key})::text)"
    ).format(
        columns=sql.SQL(", ").join(others),
        type=raw(rule.key.type),
        key=key,
        table=table_sql(rule.table),
        operation=sql.Literal(f"postgres.backfill_rows.{rule.table.display}"),
        same=same,
    )
