"""What the graph and the vector store need of Postgres: CSV files that the SQL file writes and the others read.

A value in them is percent-encoded where it would need escapes (`%`, quotes, backslashes, line breaks): readers of CSV
disagree about backslashes, Neo4j's most of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from tenure.attribution.graph import GraphSpec
from tenure.attribution.points import PointSpec
from tenure.attribution.rows import table_sql, untagged
from tenure.attribution.spec import EndRowsSource, ItemRule, RowSource
from tenure.render.text import file_name
from tenure.values import TenantKey

TENANTS_FILE = "tenants.csv"
ENCODE = "pg_temp.tenure_csv"
ENCODER = f"""CREATE OR REPLACE FUNCTION {ENCODE}(said text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(replace(replace(replace(said, '%', '%25'), chr(92), '%5C'), '"', '%22'), chr(10), '%0A'),
                   chr(13), '%0D')
$$;"""
DECODED = (("%22", '"'), ("%5C", "\\"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%"))
"""What a reader replaces, in this order: the percent sign last."""


@dataclass(frozen=True)
class Export:
    """One CSV file: its name, what is in it for people, and the query that fills it."""

    file: str
    about: str
    query: sql.Composed


def rows_file(source: RowSource) -> str:
    """Return the file with the tenants of the rows that *source* looks up."""
    return file_name("rows", *_table(source.table.schema_name, source.table.name), source.column)


def end_rows_file(source: EndRowsSource) -> str:
    """Return the file with the tenants of the rows that name both ends of a relationship."""
    table = _table(source.table.schema_name, source.table.name)
    return file_name("ends", *table, source.start_column, source.end_column)


def exports(key: TenantKey, graph: GraphSpec | None, points: tuple[PointSpec, ...]) -> list[Export]:
    """Return the files that *graph* and *points* need, each once, the registry first."""
    found = {TENANTS_FILE: _tenants(key)}
    for rule in _rules(graph, points):
        for source in rule.sources:
            if isinstance(source, RowSource):
                found.setdefault(rows_file(source), _rows(key, source))
            elif isinstance(source, EndRowsSource):
                found.setdefault(end_rows_file(source), _end_rows(key, source))
    return list(found.values())


def _rules(graph: GraphSpec | None, points: tuple[PointSpec, ...]) -> Iterator[ItemRule]:
    if graph is not None:
        yield from (spec.rule for spec in graph.nodes)
        yield from (spec.rule for spec in graph.relationships)
    yield from (spec.rule for spec in points)


def _table(schema: str, name: str) -> tuple[str, ...]:
    return (name,) if schema == "public" else (schema, name)


def _tenants(key: TenantKey) -> Export:
    query = sql.SQL(
        "SELECT {encode}(v.value) AS value, {encode}(r.{id}::text) AS tenant\n"
        "FROM (SELECT {id}::text AS value FROM {registry} UNION SELECT value FROM tenure.alias) AS v\n"
        "LEFT JOIN tenure.alias AS l ON l.value = v.value\n"
        "JOIN {registry} AS r ON r.{id}::text = coalesce(l.tenant, v.value)\n"
        "ORDER BY 1"
    ).format(encode=sql.SQL(ENCODE), id=sql.Identifier(key.registry_column), registry=table_sql(key.registry))
    return Export(TENANTS_FILE, "every value that means a tenant: the registry and the aliases", query)


def _rows(key: TenantKey, source: RowSource) -> Export:
    query = sql.SQL(
        "SELECT {encode}(q.value) AS value, {says}\n"
        "FROM (SELECT p.{column}::text AS value, {folded}\n"
        "      FROM {table} AS p WHERE p.{column} IS NOT NULL GROUP BY 1) AS q\n"
        "ORDER BY 1"
    ).format(
        encode=sql.SQL(ENCODE),
        says=_says(key),
        column=sql.Identifier(source.column),
        folded=_folded(key),
        table=table_sql(source.table),
    )
    return Export(rows_file(source), f"{source.table.display}.{source.column} and the tenant of its rows", query)


def _end_rows(key: TenantKey, source: EndRowsSource) -> Export:
    query = sql.SQL(
        'SELECT {encode}(q."start") AS "start", {encode}(q."end") AS "end", {says}\n'
        'FROM (SELECT p.{start}::text AS "start", p.{end}::text AS "end", {folded}\n'
        "      FROM {table} AS p WHERE p.{start} IS NOT NULL AND p.{end} IS NOT NULL GROUP BY 1, 2) AS q\n"
        "ORDER BY 1, 2"
    ).format(
        encode=sql.SQL(ENCODE),
        says=_says(key),
        start=sql.Identifier(source.start_column),
        end=sql.Identifier(source.end_column),
        folded=_folded(key),
        table=table_sql(source.table),
    )
    about = f"{source.table.display}.{source.start_column} and .{source.end_column}, and the tenant of the rows"
    return Export(end_rows_file(source), about, query)


def _folded(key: TenantKey) -> sql.Composed:
    """Return the least and greatest tenant of a group of rows, and whether one of them is shared."""
    return sql.SQL(
        "min(p.{key}::text) FILTER (WHERE p.{key}::text <> {shared}) AS lo, "
        "max(p.{key}::text) FILTER (WHERE p.{key}::text <> {shared}) AS hi, "
        "coalesce(bool_or(p.{key}::text = {shared}), false) AS shared"
    ).format(key=sql.Identifier(key.name), shared=sql.Literal(key.shared))


def _says(key: TenantKey) -> sql.Composed:
    """Return the columns `says` and `tenant`: the answer that the source gives for these rows."""
    return sql.SQL(
        "CASE WHEN {nothing} AND q.shared THEN 'shared' WHEN {nothing} THEN 'nothing' WHEN q.lo <> q.hi "
        "THEN 'several' WHEN q.lo = {quarantine} THEN 'quarantined' ELSE 'tenant' END AS says,\n"
        "       CASE WHEN NOT {nothing} AND q.lo = q.hi THEN {encode}(q.lo) END AS tenant"
    ).format(nothing=untagged(key, sql.SQL("q.lo")), quarantine=sql.Literal(key.quarantine), encode=sql.SQL(ENCODE))
