"""The SQL of a release of rows: what is decided anew, in temporary relations, and the one statement that writes it.

A composite foreign key from a child to its quarantined parent allows neither to be changed alone: it is checked at the
end of every statement. So a transaction first decides parents, then, as if these were written already, what hangs on
them, table by table in the plan's order; and one statement with a part for each table writes them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from tenure.attribution.rows import LEDGER, Scope, decision, key_cast, raw, table_sql
from tenure.attribution.sources_scope import item_sql
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.row_statements import LISTED_ITEM

LEAF, TID = "tenure_leaf", "tenure_tid"
SEEDS = sql.SQL("pg_temp.tenure_seeds")
"""The temporary table of the rows a transaction begins with: place of the table, leaf, tid, a person's word or null.

Statements take no parameters: a percent sign in the playbook's SQL would be read as one.
"""
SEED_TABLE = sql.SQL(
    "CREATE TEMPORARY TABLE tenure_seeds (place integer, leaf oid, tid tid, tenant text) ON COMMIT DROP"
)
SEED_ROWS = "INSERT INTO pg_temp.tenure_seeds SELECT %s, * FROM unnest(%s::oid[], %s::tid[], %s::text[])"


@dataclass(frozen=True)
class Link:
    """Rows of `child` hang on those of `parent` whose columns have the same values: (child's, parent's) pairs."""

    child: str
    parent: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReleaseTable:
    """One keyed table in a release: its backfill, its place in the plan, and its columns but the key."""

    operation: BackfillRows
    place: int
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The table as playbooks write it."""
        return self.operation.rule.table.display

    @property
    def candidates(self) -> sql.Identifier:
        """The temporary relation of rows that are locked and looked at."""
        return sql.Identifier("pg_temp", f"tenure_candidates_{self.place}")

    @property
    def decided(self) -> sql.Identifier:
        """The temporary relation of rows that get a tenant."""
        return sql.Identifier("pg_temp", f"tenure_released_{self.place}")

    @property
    def view(self) -> sql.Identifier:
        """The temporary view of the table as it will be."""
        return sql.Identifier("pg_temp", f"tenure_table_{self.place}")

    def quarantined(self, variable: str) -> sql.Composed:
        """Return the condition that a row carries the sentinel; an index on the key serves it."""
        key = self.operation.rule.key
        return sql.SQL("{}.{} = {}").format(
            raw(variable), sql.Identifier(key.name), key_cast(key, sql.Literal(key.quarantine))
        )

    def as_untagged(self, rows: sql.Composable, where: sql.Composable | None = None) -> sql.Composed:
        """Return the relation of *rows* (a FROM list with the table as `x`) as the rule is to see them: as they were
        before the sentinel. Where the key was there before tenure came, what it said then is in the journal."""
        rule = self.operation.rule
        key = sql.Identifier(rule.key.name)
        condition = sql.SQL("") if where is None else sql.SQL(" WHERE {}").format(where)
        columns = {
            "others": sql.SQL("").join(sql.SQL("x.{}, ").format(sql.Identifier(name)) for name in self.columns),
            "key": key,
            "leaf": sql.Identifier(LEAF),
            "tid": sql.Identifier(TID),
            "rows": rows,
            "where": condition,
        }
        if not rule.key_exists:
            return sql.SQL(
                "(SELECT {others}NULL::{type} AS {key}, x.tableoid AS {leaf}, x.ctid AS {tid} FROM {rows}{where})"
            ).format(type=raw(rule.key.type), **columns)
        same = sql.SQL("j.item - {0} = to_jsonb(x) - {0}").format(sql.Literal(rule.key.name))
        if rule.primary_key:
            pairs = sql.SQL(", ").join(
                sql.SQL("{}, x.{}").format(sql.Literal(name), sql.Identifier(name)) for name in rule.primary_key
            )
            same = sql.SQL("j.item = jsonb_build_object({})").format(pairs)
        return sql.SQL(
            "(SELECT {others}{before} AS {key}, x.tableoid AS {leaf}, x.ctid AS {tid} FROM {rows} LEFT JOIN "
            "(SELECT DISTINCT ON (item) item, before FROM tenure.journal WHERE operation = {operation} "
            "ORDER BY item, id) AS j ON {same}{where})"
        ).format(
            before=key_cast(rule.key, sql.SQL("j.before #>> '{}'")),
            operation=sql.Literal(self.operation.id),
            same=same,
            **columns,
        )

    def _decision(
        self, rows: sql.Composable, scope: Scope, columns: Sequence[str] = (), where: sql.Composable | None = None
    ) -> sql.Composed:
        rule = self.operation.rule
        item = item_sql(rule)
        if not rule.primary_key:
            item = sql.SQL("({} - {} - {})").format(item, sql.Literal(LEAF), sql.Literal(TID))
        return decision(
            rule,
            self.as_untagged(rows, where),
            scope=scope,
            columns=[
                sql.SQL("t.{} AS leaf").format(sql.Identifier(LEAF)),
                sql.SQL("t.{} AS tid").format(sql.Identifier(TID)),
                sql.SQL("{} AS item").format(item),
                *(sql.SQL("t.{} AS {}").format(sql.Identifier(name), sql.Identifier(f"k_{name}")) for name in columns),
            ],
        )

    def ready(self) -> sql.Composed:
        """Return the query for the quarantined rows that their own rule gives a tenant by now: leaf, tid, item."""
        rows = sql.SQL("{} AS x").format(table_sql(self.operation.rule.table))
        return sql.SQL("SELECT q.leaf::bigint, q.tid::text, q.item FROM (\n{}\n) AS q WHERE q.derived <> {}").format(
            self._decision(rows, LEDGER, where=self.quarantined("x")), self._sentinel()
        )

    def lock(self, above: Sequence[tuple[Link, ReleaseTable]]) -> sql.Composed:
        """Return what locks the rows to look at: the seeds, and what hangs on rows of *above* that get a tenant."""
        conditions: list[sql.Composable] = [
            sql.SQL("(t.tableoid, t.ctid) IN (SELECT s.leaf, s.tid FROM {} AS s WHERE s.place = {})").format(
                SEEDS, self.place
            )
        ]
        for link, parent in above:
            same = sql.SQL(" AND ").join(
                sql.SQL("r.{} = t.{}").format(sql.Identifier(f"k_{theirs}"), sql.Identifier(ours))
                for ours, theirs in link.pairs
            )
            conditions.append(sql.SQL("EXISTS (SELECT 1 FROM {} AS r WHERE {})").format(parent.decided, same))
        return sql.SQL(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT t.tableoid AS leaf, t.ctid AS tid FROM {} AS t "
            "WHERE {} AND ({}) FOR UPDATE OF t"
        ).format(
            self.candidates,
            table_sql(self.operation.rule.table),
            self.quarantined("t"),
            sql.SQL(" OR ").join(conditions),
        )

    def decide(self, above: Mapping[str, ReleaseTable], columns: Sequence[str]) -> list[sql.Composed]:
        """Return what decides the locked rows, parents being read as they will be; a person's word goes first.
        *columns* are those by which other tables hang on this one."""
        rule = self.operation.rule
        rows = sql.SQL("{} AS x JOIN {} AS c ON c.leaf = x.tableoid AND c.tid = x.ctid").format(
            table_sql(rule.table), self.candidates
        )
        scope = Scope(parents={name: parent.view for name, parent in above.items()})
        extra = sql.SQL("").join(sql.SQL(", q.{}").format(sql.Identifier(f"k_{name}")) for name in columns)
        view_columns = sql.SQL("").join(sql.SQL("x.{}, ").format(sql.Identifier(name)) for name in self.columns)
        key = sql.Identifier(rule.key.name)
        return [
            sql.SQL(
                "CREATE TEMPORARY TABLE {decided} ON COMMIT DROP AS SELECT q.leaf, q.tid, q.item, q.reason, "
                "coalesce(w.tenant, q.derived) AS write{extra} FROM (\n{chosen}\n) AS q LEFT JOIN {seeds} AS w "
                "ON w.place = {place} AND w.leaf = q.leaf AND w.tid = q.tid "
                "WHERE coalesce(w.tenant, q.derived) <> {sentinel}"
            ).format(
                seeds=SEEDS,
                place=self.place,
                decided=self.decided,
                extra=extra,
                chosen=self._decision(rows, scope, columns),
                sentinel=self._sentinel(),
            ),
            sql.SQL(
                "CREATE TEMPORARY VIEW {view} AS SELECT {columns}coalesce(({write}), x.{key}) AS {key} "
                "FROM {table} AS x LEFT JOIN {decided} AS r ON r.leaf = x.tableoid AND r.tid = x.ctid"
            ).format(
                view=self.view,
                columns=view_columns,
                write=key_cast(rule.key, sql.SQL("r.write")),
                key=key,
                table=table_sql(rule.table),
                decided=self.decided,
            ),
        ]

    def parts(self) -> list[sql.Composed]:
        """Return this table's parts of the one statement that writes: the rows, the journal, the list."""
        rule, place = self.operation.rule, raw(str(self.place))
        made = [
            sql.SQL(
                "u{n} AS (UPDATE {table} AS t SET {key} = {write} FROM {decided} AS r WHERE t.tableoid = r.leaf "
                "AND t.ctid = r.tid RETURNING r.item, r.write, r.reason)"
            ).format(
                n=place,
                table=table_sql(rule.table),
                key=sql.Identifier(rule.key.name),
                write=key_cast(rule.key, sql.SQL("r.write")),
                decided=self.decided,
            ),
            sql.SQL(
                "l{n} AS (INSERT INTO tenure.quarantine AS q (store, object, item, reason, released_to, released_at) "
                "SELECT DISTINCT ON (item) 'postgres', {name}, item, reason, write, clock_timestamp() FROM "
                "(SELECT {listed} AS item, coalesce(reason, '') AS reason, write FROM u{n}) AS found "
                "ON CONFLICT (store, object, item) DO UPDATE SET released_to = excluded.released_to, "
                "released_at = excluded.released_at)"
            ).format(n=place, name=sql.Literal(self.name), listed=raw(LISTED_ITEM)),
        ]
        if rule.key_exists:
            # Behind the entry of the backfill that wrote the sentinel: undo goes back along the chain.
            made.append(
                sql.SQL(
                    "j{n} AS (INSERT INTO tenure.journal (operation, store, object, item, before, after) "
                    "SELECT {operation}, 'postgres', {name}, item, to_jsonb({sentinel}::text), to_jsonb(write) "
                    "FROM u{n})"
                ).format(
                    n=place,
                    operation=sql.Literal(self.operation.id),
                    name=sql.Literal(self.name),
                    sentinel=self._sentinel(),
                )
            )
        return made

    def find(self, items: str) -> sql.Composed:
        """Return the query for the rows that *items*, a JSON list, names: place from 1, leaf, tid, item, key."""
        rule = self.operation.rule
        same = sql.SQL(" AND ").join(
            sql.SQL("x.{} = (g.item ->> {})::{}").format(sql.Identifier(name), sql.Literal(name), raw(kind))
            for name, kind in zip(rule.primary_key, self.operation.key_types, strict=True)
        )
        names = sql.SQL(", ").join(
            sql.SQL("{}, x.{}").format(sql.Literal(name), sql.Identifier(name)) for name in rule.primary_key
        )
        return sql.SQL(
            "SELECT g.place, x.tableoid::bigint, x.ctid::text, jsonb_build_object({names}), (x.{key})::text FROM "
            "jsonb_array_elements({items}::jsonb) WITH ORDINALITY AS g (item, place) LEFT JOIN {table} AS x ON {same}"
        ).format(
            names=names,
            key=sql.Identifier(rule.key.name),
            items=sql.Literal(items),
            table=table_sql(rule.table),
            same=same,
        )

    def count(self) -> sql.Composed:
        """Return the query for how many rows are quarantined."""
        return sql.SQL("SELECT count(*) FROM {} AS t WHERE {}").format(
            table_sql(self.operation.rule.table), self.quarantined("t")
        )

    def _sentinel(self) -> sql.Literal:
        return sql.Literal(self.operation.rule.key.quarantine)


def write(tables: Sequence[ReleaseTable]) -> sql.Composed:
    """Return the one statement that writes the decided rows of *tables*: (place, rows) for each."""
    parts = [part for table in tables for part in table.parts()]
    counts = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {n}, count(*) FROM u{n}").format(n=raw(str(table.place))) for table in tables
    )
    return sql.SQL("WITH {}\n{}").format(sql.SQL(",\n").join(parts), counts)
