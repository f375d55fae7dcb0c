"""The part of the SQL file that only looks: to which bin every row comes, which rows would collide, and a stop."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from tenure.attribution.build import RowRules
from tenure.attribution.rows import LEDGER, Scope, decision, key_cast, raw, table_sql
from tenure.attribution.sources_scope import BIN, REASON, asked_columns
from tenure.attribution.spec import ColumnSource, RowRule
from tenure.catalog import Catalog
from tenure.catalog.postgres import Index, Table
from tenure.checks.duplicates import duplicates, may_collide, meetings
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.operations.rescope_unique import RescopeUnique
from tenure.planner.plan import Plan
from tenure.render.text import do_block, one_line


def look_first(plan: Plan, catalog: Catalog, built: RowRules) -> Iterator[str]:
    """Yield the statements, in order: temporary tables of decisions, counts, duplicates, the stop."""
    wanted = asked_columns(built)
    parents: dict[str, sql.Composable] = {}
    scope = Scope(whole=True, parents=parents)
    looked_at = []
    for number, (name, rule) in enumerate(built.rules.items()):
        if rule.constant() is not None and not wanted.get(name):
            continue
        relation = sql.Identifier("pg_temp", f"tenure_rows_{number}")
        yield from _decide(rule, relation, sorted(wanted.get(name, set()) - {rule.key.name}), scope)
        parents[name] = relation
        looked_at.append((name, rule, relation))
    yield "-- How many rows of which table come to which bin."
    yield _counts(looked_at)
    collide = list(_colliding(plan, catalog, built))
    for operation, table, index, rule in collide:
        yield f"-- Rows of one tenant that would share a key of {one_line(operation.index.name)}: there must be none."
        yield duplicates(scope, table, index, rule).as_string(None) + ";"
    meeting = list(_meeting(plan, catalog, built, scope))
    for excluded, query in meeting:
        yield f"-- Pairs of one tenant's rows that {one_line(excluded.new.name)} would forbid: there must be none."
        yield query.as_string(None) + ";"
    yield "-- Stops here, before anything is changed, while rows have no owner that the playbook accepts, or collide."
    queries = [duplicates(scope, table, index, rule) for _, table, index, rule in collide]
    queries += [query for _, query in meeting]
    yield _stop(looked_at, queries)
    for _, _, relation in looked_at:
        yield f"DROP TABLE IF EXISTS {relation.as_string(None)};"


def duplicates_per_tenant(plan: Plan, catalog: Catalog, built: RowRules) -> Iterator[str]:
    """Yield, for after the backfill, the queries for rows that share a key of a per-tenant uniqueness."""
    for operation, _, index, rule in _colliding(plan, catalog, built):
        sources = {source.name for source in rule.sources if isinstance(source, ColumnSource)}
        expressions = iter(index.expressions)
        named = [(column, raw(f"({next(expressions)})") if column is None else None) for column in index.columns]
        parts = [
            part if part is not None else sql.Identifier(column or "")
            for column, part in named
            if column is None or column not in sources
        ]
        columns = sql.SQL(", ").join([sql.Identifier(rule.key.name), *parts])
        conditions: list[sql.Composable] = [raw(f"({index.predicate})")] if index.predicate is not None else []
        if not index.nulls_not_distinct:
            conditions += [sql.SQL("{} IS NOT NULL").format(part) for part in parts]
        where = sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL("")
        query = sql.SQL("SELECT {}, count(*) AS rows FROM {}{} GROUP BY {} HAVING count(*) > 1 LIMIT 100").format(
            columns, table_sql(operation.index.table), where, columns
        )
        yield f"-- {one_line(operation.object)}"
        yield query.as_string(None) + ";"
    for excluded, _ in _meeting(plan, catalog, built, LEDGER):
        yield f"-- {one_line(excluded.object)}"
        yield sql.SQL("{} LIMIT 100;").format(excluded.new.pairs()).as_string(None)


def _decide(rule: RowRule, relation: sql.Identifier, columns: list[str], scope: Scope) -> Iterator[str]:
    chosen = decision(
        rule,
        table_sql(rule.table),
        scope=scope,
        columns=[sql.SQL("t.{}").format(sql.Identifier(name)) for name in columns],
    )
    query = sql.SQL(
        "CREATE TEMPORARY TABLE {name} AS SELECT {columns}{value} AS {key}, q.bin AS {bin}, q.reason AS {reason} "
        "FROM (\n{chosen}\n) AS q"
    ).format(
        name=relation,
        columns=sql.SQL("").join(sql.SQL("q.{}, ").format(sql.Identifier(name)) for name in columns),
        value=key_cast(rule.key, sql.SQL("q.derived")),
        key=sql.Identifier(rule.key.name),
        bin=sql.Identifier(BIN),
        reason=sql.Identifier(REASON),
        chosen=chosen,
    )
    yield sql.SQL("DROP TABLE IF EXISTS {}").format(relation).as_string(None) + ";"
    yield query.as_string(None) + ";"
    yield sql.SQL("ANALYZE {}").format(relation).as_string(None) + ";"


def _counts(looked_at: list[tuple[str, RowRule, sql.Identifier]]) -> str:
    parts = [
        sql.SQL('SELECT {} AS object, {bin} AS bin, count(*) AS rows, min({reason}) AS "a reason" FROM {} GROUP BY 2')
        .format(sql.Literal(name), relation, bin=sql.Identifier(BIN), reason=sql.Identifier(REASON))
        .as_string(None)
        for name, _, relation in looked_at
    ]
    return "\nUNION ALL ".join(parts) + "\nORDER BY 1, 2;" if parts else "SELECT 'every table has one tenant' AS bins;"


def _stop(looked_at: list[tuple[str, RowRule, sql.Identifier]], queries: list[sql.Composed]) -> str:
    """Return the block that fails while something is open."""
    lines = []
    for name, rule, relation in looked_at:
        where = sql.SQL("{} IS NULL").format(sql.Identifier(rule.key.name)).as_string(None)
        if rule.policy.unassigned == "keep_null":
            where += f" AND {BIN} <> 'unassigned'"
        title = sql.Literal(f"{one_line(name)}: rows without an owner that the playbook accepts").as_string(None)
        lines.append(
            f"    SELECT count(*) INTO tenure_n FROM {relation.as_string(None)} WHERE {where};\n"
            f"    IF tenure_n > 0 THEN\n        RAISE WARNING '%: %', {title}, tenure_n;\n    END IF;\n"
            "    tenure_open := tenure_open + tenure_n;"
        )
    for query in queries:
        text = sql.SQL("SELECT count(*) INTO tenure_n FROM (\n{}\n) AS d").format(query).as_string(None)
        lines.append(f"    {text};\n    tenure_open := tenure_open + tenure_n;")
    body = "\n".join(lines)
    return do_block(
        "#variable_conflict use_column\nDECLARE\n    tenure_n bigint;\n    tenure_open bigint := 0;\n"
        f"BEGIN\n{body}\n    IF tenure_open > 0 THEN\n"
        "        RAISE EXCEPTION '% open cases, see above; nothing was changed', tenure_open;\n"
        "    END IF;\nEND"
    )


def _colliding(plan: Plan, catalog: Catalog, built: RowRules) -> Iterator[tuple[RescopeUnique, Table, Index, RowRule]]:
    """Yield the uniquenesses whose per-tenant form demands more than they do: only there can rows collide."""
    for operation in plan.operations:
        if isinstance(operation, RescopeUnique) and (found := _replaced(operation, catalog)) is not None:
            rule = built.rules[operation.index.table.display]
            if may_collide(found[1], rule):
                yield operation, *found, rule


def _meeting(
    plan: Plan, catalog: Catalog, built: RowRules, scope: Scope
) -> Iterator[tuple[RescopeExclusion, sql.Composed]]:
    """Yield the exclusion constraints whose per-tenant form demands more, with the query for rows that meet in it."""
    for operation in plan.operations:
        if isinstance(operation, RescopeExclusion):
            rule = built.rules.get(operation.new.table.display)
            query = meetings(scope, operation, catalog.postgres, rule) if rule is not None else None
            if query is not None:
                yield operation, query


def _replaced(operation: RescopeUnique, catalog: Catalog) -> tuple[Table, Index] | None:
    table = catalog.postgres.table(operation.index.table.display)
    if table is None:
        return None
    index = next((i for i in table.indexes if operation.replaces in (i.constraint, i.name)), None)
    return (table, index) if index is not None else None
