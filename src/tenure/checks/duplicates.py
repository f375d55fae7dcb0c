"""TEN113: rows that would share a key of a per-tenant uniqueness, or meet in a per-tenant exclusion constraint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from tenure.attribution.rows import Scope, decision, raw, table_sql
from tenure.attribution.sources_scope import item_sql
from tenure.attribution.spec import ColumnSource, RowRule
from tenure.catalog.postgres import Index, PostgresCatalog, Table
from tenure.checks.base import SAMPLE, Named, View
from tenure.operations.exclusion import LISTED, counted, met
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.operations.rescope_unique import RescopeUnique
from tenure.values import Finding


class DuplicatesPerTenant(Named):
    """Every per-tenant uniqueness can be built: no two rows of one tenant have the same values in it.

    The global uniqueness implies it, but where the tenant takes the place of a column (two spellings of a project are
    one tenant) and where a null key means "global": only there it is looked for.
    """

    id = "TEN113"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error per uniqueness, with the tenants and values that are there more than once."""
        for operation in view.plan.operations:
            if isinstance(operation, RescopeExclusion):
                yield from self._meeting(view, operation)
            if not isinstance(operation, RescopeUnique):
                continue
            table = view.catalog.postgres.table(operation.index.table.display)
            rule = view.rows.rules.get(operation.index.table.display)
            if table is None or rule is None:
                continue
            index = next((i for i in table.indexes if operation.replaces in (i.constraint, i.name)), None)
            if index is None or not may_collide(index, rule):
                continue
            yield from self._look(view, operation, table, index, rule)

    def _look(
        self, view: View, operation: RescopeUnique, table: Table, index: Index, rule: RowRule
    ) -> Iterator[Finding]:
        query = duplicates(view.scope, table, index, rule)
        counted = sql.SQL("SELECT count(*), coalesce(sum(n - 1), 0)::bigint FROM ({}) AS d").format(query)
        groups, rows = view.query(counted)[0]
        if not groups:
            return
        sample = view.query(
            sql.SQL("SELECT tenant, shared, n, items FROM ({}) AS d ORDER BY n DESC, tenant LIMIT {}").format(
                query, SAMPLE
            )
        )
        yield self.finding(
            "error",
            operation.object,
            f"{groups} key(s) of the per-tenant form of {operation.replaces} are there more than once",
            "Merge or rename the rows listed, or keep the uniqueness as it is: "
            f"`unique: {{{operation.replaces}: {{keep: REASON}}}}`.",
            count=rows,
            sample=tuple(
                {"tenant": tenant, "values": values, "rows": count, "items": items}
                for tenant, values, count, items in sample
            ),
        )

    def _meeting(self, view: View, operation: RescopeExclusion) -> Iterator[Finding]:
        rule = view.rows.rules.get(operation.new.table.display)
        query = meetings(view.scope, operation, view.catalog.postgres, rule) if rule is not None else None
        if query is None:
            return
        found = view.query(sql.SQL("{} LIMIT {}").format(query, LISTED))
        if found:
            yield self.finding(
                "error",
                operation.object,
                f"{counted(len(found))} pair(s) of rows meet in the per-tenant form of {operation.replaces}",
                "Change the rows listed, or keep the constraint as it is: "
                f"`unique: {{{operation.replaces}: {{keep: REASON}}}}`.",
                count=len(found),
                sample=tuple({"tenant": tenant, "items": items} for tenant, items in found[:SAMPLE]),
            )


def meetings(scope: Scope, operation: RescopeExclusion, catalog: PostgresCatalog, rule: RowRule) -> sql.Composed | None:
    """Return the query for the pairs of one tenant's rows that the per-tenant form of an exclusion constraint forbids
    and the constraint itself does not: tenant, items (JSON). None where there can be none.

    That takes a column that the key has replaced: two spellings of a tenant, or none, in rows that meet in the rest.
    """
    table = catalog.table(operation.new.table.display)
    index = next((i for i in table.indexes if operation.replaces in (i.constraint, i.name)), None) if table else None
    if index is None or len(index.operators) != len(index.columns):
        return None
    elements = operation.new.elements[1:]
    kept = {element.value for element in elements}
    replaced = [n for n in map(sql.Identifier, filter(None, index.columns)) if n.as_string(None) not in kept]
    if not replaced:
        return None
    names = [sql.Identifier(f"tenure_{number}") for number in range(len(elements))]
    spelt = [sql.Identifier(f"tenure_from_{number}") for number in range(len(replaced))]
    values = [raw(element.value) for element in elements]
    columns = list(zip([*values, *replaced], [*names, *spelt], strict=True))
    decided = _decided(scope, rule, index, columns)
    return sql.SQL(
        "WITH d AS MATERIALIZED (SELECT row_number() OVER () AS tenure_n, q.* FROM ({decided}) AS q "
        "WHERE q.derived IS NOT NULL), "
        "spelt AS (SELECT derived FROM d GROUP BY derived HAVING {several}) "
        "SELECT a.derived AS tenant, jsonb_build_array(a.tenure_item, b.tenure_item) AS items FROM d AS a "
        "JOIN d AS b ON a.derived = b.derived AND a.tenure_n < b.tenure_n AND {met}({same}) IS NOT TRUE "
        "WHERE a.derived IN (SELECT derived FROM spelt)"
    ).format(
        decided=decided,
        several=sql.SQL(" OR ").join(
            sql.SQL("count(DISTINCT {0}) > 1 OR count({0}) < count(*)").format(name) for name in spelt
        ),
        met=sql.SQL("{} AND ").format(met(elements, names)) if names else sql.SQL(""),
        same=sql.SQL(" AND ").join(sql.SQL("a.{0} = b.{0}").format(name) for name in spelt),
    )


def _decided(
    scope: Scope, rule: RowRule, index: Index, columns: Sequence[tuple[sql.Composable, sql.Identifier]]
) -> sql.Composed:
    """Return the query for the decided rows that an index holds, with *columns* (an expression and its name) and the
    item of each."""
    where = raw(f" WHERE {index.predicate}") if index.predicate is not None else sql.SQL("")
    named = [sql.SQL("{} AS {}").format(value, name) for value, name in columns]
    item = sql.SQL("(SELECT {} FROM {}{})").format(
        sql.SQL(", ").join([sql.SQL("*"), *named]), table_sql(rule.table), where
    )
    return decision(
        rule,
        item,
        scope=scope,
        columns=[
            *(sql.SQL("t.{}").format(name) for _, name in columns),
            sql.SQL("{} AS tenure_item").format(item_sql(rule)),
        ],
    )


def may_collide(index: Index, rule: RowRule) -> bool:
    """Return whether the per-tenant form of a unique index demands more than the index itself does."""
    sources = {source.name for source in rule.sources if isinstance(source, ColumnSource)}
    return rule.policy.unassigned == "keep_null" or bool(sources & set(index.columns))


def duplicates(scope: Scope, table: Table, index: Index, rule: RowRule) -> sql.Composed:
    """Return the query for the groups of rows that share tenant and values: tenant, shared (JSON), n, items."""
    sources = {source.name for source in rule.sources if isinstance(source, ColumnSource)}
    expressions = iter(index.expressions)
    parts: list[tuple[str, sql.Composable]] = []
    for column in index.columns:
        value = sql.Identifier(column) if column is not None else raw(f"({next(expressions)})")
        if column is None or column not in sources:
            parts.append((column or f"expression {len(parts) + 1}", value))
    names = [sql.Identifier(f"tenure_{n}") for n in range(len(parts))]
    decided = _decided(scope, rule, index, [(value, name) for (_, value), name in zip(parts, names, strict=True)])
    # Nulls are distinct from each other unless the index says otherwise; a key is missing only where it may be null.
    conditions: list[sql.Composable] = []
    if not index.nulls_not_distinct:
        conditions += [sql.SQL("q.{} IS NOT NULL").format(name) for name in names]
    if rule.policy.unassigned != "keep_null":
        conditions.append(sql.SQL("q.derived IS NOT NULL"))
    values = sql.SQL(", ").join(
        sql.SQL("{}, q.{}").format(sql.Literal(label), name) for (label, _), name in zip(parts, names, strict=True)
    )
    return sql.SQL(
        "SELECT q.derived AS tenant, jsonb_build_object({values}) AS shared, count(*) AS n, "
        "(array_agg(q.tenure_item))[1:3] AS items FROM ({decided}) AS q{where} GROUP BY q.derived{names} "
        "HAVING count(*) > 1"
    ).format(
        values=values,
        decided=decided,
        where=sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL(""),
        names=sql.SQL("").join(sql.SQL(", q.{}").format(name) for name in names),
    )
