"""TEN104 and TEN105: every source of a table can be asked. The server itself is the judge; nothing is executed."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.attribution.spec import MappingSource, ParentSource, RowRule, SqlSource
from tenure.checks.base import Named, View
from tenure.values import Finding


class SourcesCompile(Named):
    """Every `sql` expression and every mapping table of the playbook is something that Postgres can run."""

    id = "TEN104"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for every source that does not compile, with the server's message."""
        for name, rule in view.rows.rules.items():
            for number, source in enumerate(rule.sources, start=1):
                if isinstance(source, SqlSource):
                    problem = explain(view, _expression(rule, source))
                    what, remedy = f"the expression of source {number} does not compile", _EXPRESSION
                elif isinstance(source, MappingSource) and source.table is not None:
                    problem = explain(view, _mapping(source))
                    what, remedy = f"the mapping of source {number} cannot be read", _MAPPING
                else:
                    continue
                if problem is not None:
                    yield self.finding("error", name, f"{what}: {problem}", remedy)


class MatchTypes(Named):
    """The columns by which a row finds its parent are of types that compare."""

    id = "TEN105"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for every pair of columns that does not."""
        for name, rule in view.rows.rules.items():
            for source in rule.sources:
                if not isinstance(source, ParentSource):
                    continue
                for ours, theirs in source.match:
                    if view.key.name in (ours, theirs):
                        continue  # the key's own type is TEN007's business
                    query = sql.SQL("SELECT 1 FROM {} AS t JOIN {} AS p ON p.{} = t.{}").format(
                        table_sql(rule.table), table_sql(source.table), sql.Identifier(theirs), sql.Identifier(ours)
                    )
                    problem = explain(view, query)
                    if problem is not None:
                        yield self.finding(
                            "error",
                            name,
                            f"{ours} does not compare with {source.table.display}.{theirs}: {problem}",
                            f"Match columns of one type, or write the source as `sql:` with a cast of {ours}.",
                        )


_EXPRESSION = "Correct it: the row is called `t`, sub-queries are allowed, names outside public need their schema."
_MAPPING = "Correct the names of the table and its columns, or grant SELECT on it."


def explain(view: View, query: sql.Composable) -> str | None:
    """Return what the server says against a query, or None; the query is planned, not run."""
    try:
        with view.postgres.connection() as connection:
            connection.execute(sql.SQL("EXPLAIN {}").format(query))
    except (errors.ProgrammingError, errors.DataError, errors.NotSupportedError) as error:
        return (error.diag.message_primary or str(error)).strip()
    return None


def _expression(rule: RowRule, source: SqlSource) -> sql.Composed:
    return sql.SQL("SELECT ({})::text FROM {} AS t").format(raw(source.expression), table_sql(rule.table))


def _mapping(source: MappingSource) -> sql.Composed:
    assert source.table is not None
    return sql.SQL("SELECT ({})::text, ({})::text FROM {}").format(
        sql.Identifier(source.value_column), sql.Identifier(source.tenant_column), table_sql(source.table)
    )
