"""Attribution before anything is written: what every row will come to, in relations that live as long as one session.

Aliases, CSV mappings and the decisions of all tables go to temporary relations of one dedicated session: no table of
the user's and nothing in schema `tenure` is touched, and the process holds no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg import Connection, errors, sql

from tenure.attribution.build import RowRules, mapping_name
from tenure.attribution.items import Lookups
from tenure.attribution.rows import Scope, decision, key_cast, table_sql
from tenure.attribution.spec import EndRowsSource, ParentSource, RowRule, RowSource
from tenure.errors import PreflightError
from tenure.playbook import sources
from tenure.playbook.pairs import read_pairs

if TYPE_CHECKING:
    from tenure.attribution.graph import GraphSpec
    from tenure.attribution.points import PointSpec
    from tenure.playbook.models import Playbook
    from tenure.stores.postgres import PostgresStore

Columns = dict[str, set[str]]
BIN, REASON, ITEM = "tenure_bin", "tenure_reason", "tenure_item"
"""Columns of a decided relation beside the asked ones and the key; reason and item are null where plainly assigned."""


@dataclass
class SourcesScope:
    """The session, the scope that decisions in it use, and the relation that has the decisions of each table.

    `decided` has every keyed table but those with one constant tenant that nobody asks for.
    """

    connect: Callable[[], AbstractContextManager[Connection[Any]]]
    scope: Scope
    lookups: Lookups
    decided: dict[str, sql.Identifier] = field(default_factory=dict)


class DecisionFailedError(PreflightError):
    """{store} {object}: its sources fail on the data: {problem} {remedy}"""


@contextmanager
def sources_scope(
    store: PostgresStore,
    playbook: Playbook,
    built: RowRules,
    *,
    graph: GraphSpec | None = None,
    points: Sequence[PointSpec] = (),
    extra: Mapping[str, set[str]] | None = None,
    done: frozenset[str] = frozenset(),
) -> Iterator[SourcesScope]:
    """Decide every row of every keyed table, parents first, and lend the session that can look the decisions up.

    The relations have, beside the key, the columns that tables, *graph* and *points* look it up by, and the caller's
    *extra* ones, by table. Lookups of the tables in *done*, whose backfill is done, go to the tables themselves.
    Errors: PreflightError when the role may not make temporary tables, DecisionFailedError when a source fails on a
    row.
    """
    connection = store.dedicated()
    try:
        # Compiling these queries costs more than it saves, and temporary tables have no parallel plans anyway.
        connection.execute("SET jit = off; SET statement_timeout = 0; SET lock_timeout = '30s'")
        parents: dict[str, sql.Composable] = {}
        scope = Scope(
            aliases=sql.Identifier("pg_temp", "tenure_alias"),
            mappings=sql.Identifier("pg_temp", "tenure_mapping"),
            parents=parents,
            whole=True,
        )
        try:
            _load_pairs(connection, playbook, built)
        except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
            raise PreflightError(
                store="postgres",
                object=store.address,
                problem=f"deciding before anything is written needs temporary tables: {str(error).strip()}.",
                remedy="GRANT TEMPORARY ON DATABASE ... TO the role, and connect to the primary.",
            ) from error

        @contextmanager
        def connect() -> Iterator[Connection[Any]]:
            yield connection

        indexed = asked_columns(built, graph, points)
        wanted = {name: indexed.get(name, set()) | (extra or {}).get(name, set()) for name in built.rules}
        found = SourcesScope(connect=connect, scope=scope, lookups=Lookups(connect, built.key, scope))
        for number, (name, rule) in enumerate(built.rules.items()):
            if rule.constant() is not None and not wanted[name]:
                continue
            relation = sql.Identifier("pg_temp", f"tenure_rows_{number}")
            _decide(connection, rule, relation, wanted[name], indexed.get(name, set()), scope, number)
            found.decided[name] = relation
            if name not in done:
                parents[name] = relation
        yield found
    finally:
        connection.close()


def asked_columns(
    built: RowRules, graph: GraphSpec | None = None, points: Sequence[PointSpec] = ()
) -> dict[str, set[str]]:
    """Return the columns that children, nodes, relationships and points look tenants up by, by table."""
    wanted: Columns = {}
    for rule in built.rules.values():
        for source in rule.sources:
            if isinstance(source, ParentSource):
                wanted.setdefault(source.table.display, set()).update(theirs for _, theirs in source.match)
    items = [point.rule for point in points]
    if graph is not None:
        items += [spec.rule for spec in graph.nodes] + [spec.rule for spec in graph.relationships]
    for item in items:
        for one in item.sources:
            if isinstance(one, RowSource):
                wanted.setdefault(one.table.display, set()).add(one.column)
            elif isinstance(one, EndRowsSource):
                wanted.setdefault(one.table.display, set()).update((one.start_column, one.end_column))
    return wanted


def item_sql(rule: RowRule) -> sql.Composable:
    """Return what names a row of `t`: its primary key as JSON, or, without one, all of it."""
    if not rule.primary_key:
        return sql.SQL("to_jsonb(t.*)")
    pairs = sql.SQL(", ").join(
        sql.SQL("{}, t.{}").format(sql.Literal(name), sql.Identifier(name)) for name in rule.primary_key
    )
    return sql.SQL("jsonb_build_object({})").format(pairs)


def _decide(
    connection: Connection[Any],
    rule: RowRule,
    relation: sql.Identifier,
    columns: set[str],
    indexed: set[str],
    scope: Scope,
    number: int,
) -> None:
    """Make the relation of one table: the asked columns, the key it comes to, bin, reason and item."""
    key = rule.key.name
    names = sorted(columns - {key})
    chosen = decision(
        rule,
        table_sql(rule.table),
        scope=scope,
        columns=[
            *(sql.SQL("t.{}").format(sql.Identifier(name)) for name in names),
            sql.SQL("CASE WHEN d.bin <> 'assigned' THEN {} END AS {}").format(item_sql(rule), sql.Identifier(ITEM)),
        ],
    )
    query = sql.SQL(
        "CREATE TEMPORARY TABLE {relation} AS SELECT {columns}{value} AS {key}, q.bin AS {bin}, "
        "nullif(q.reason, '') AS {reason}, q.{item} FROM (\n{chosen}\n) AS q"
    ).format(
        relation=relation,
        columns=sql.SQL("").join(sql.SQL("q.{}, ").format(sql.Identifier(name)) for name in names),
        value=key_cast(rule.key, sql.SQL("q.derived")),
        key=sql.Identifier(key),
        bin=sql.Identifier(BIN),
        reason=sql.Identifier(REASON),
        item=sql.Identifier(ITEM),
        chosen=chosen,
    )
    try:
        connection.execute(query)
    except (errors.DataError, errors.ProgrammingError, errors.NotSupportedError) as error:
        raise DecisionFailedError(
            store="postgres",
            object=rule.table.display,
            problem=f"{str(error).strip()}.",
            remedy="Correct the source, or the row that it fails on.",
        ) from error
    for place, name in enumerate(sorted(indexed & set(names))):
        try:
            connection.execute(
                sql.SQL("CREATE INDEX {} ON {} ({})").format(
                    sql.Identifier(f"tenure_rows_{number}_{place}"), relation, sql.Identifier(name)
                )
            )
        except (errors.UndefinedObject, errors.ProgramLimitExceeded):
            # A column that no btree takes (json, long texts) is joined by hashing or scanning.
            continue
    connection.execute(sql.SQL("ANALYZE {}").format(relation))


def _load_pairs(connection: Connection[Any], playbook: Playbook, built: RowRules) -> None:
    """Stream aliases and mappings from their files into temporary tables."""
    connection.execute("CREATE TEMPORARY TABLE tenure_alias (value text PRIMARY KEY, tenant text NOT NULL)")
    connection.execute(
        "CREATE TEMPORARY TABLE tenure_mapping (name text, value text, tenant text NOT NULL, PRIMARY KEY (name, value))"
    )
    if playbook.tenant.aliases is not None:
        with connection.cursor().copy("COPY pg_temp.tenure_alias (value, tenant) FROM STDIN") as copy:
            for value, tenant in read_pairs(playbook.tenant.aliases, built.key.type):
                copy.write_row((value, tenant))
    seen = set()
    for rule in (playbook.postgres or {}).values():
        for source in rule.sources:
            if not isinstance(source, sources.Mapping) or isinstance(source.mapping, sources.MappingTable):
                continue
            name = mapping_name(source.mapping)
            if name in seen:
                continue
            seen.add(name)
            with connection.cursor().copy("COPY pg_temp.tenure_mapping (name, value, tenant) FROM STDIN") as copy:
                for value, tenant in read_pairs(source.mapping):
                    copy.write_row((name, value, tenant))
    connection.execute("ANALYZE pg_temp.tenure_alias; ANALYZE pg_temp.tenure_mapping")


__all__ = [
    "BIN",
    "ITEM",
    "REASON",
    "DecisionFailedError",
    "SourcesScope",
    "asked_columns",
    "item_sql",
    "sources_scope",
]
