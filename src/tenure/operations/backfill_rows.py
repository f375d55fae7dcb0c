"""Writes the tenant key of the rows that are there, while the application goes on: striped, resumable, re-decidable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from psycopg import sql

from tenure.attribution.rows import decision, key_cast, raw, table_sql, untagged
from tenure.attribution.spec import RowRule
from tenure.operations.base import Claim, Operation, RangeSpec, Step
from tenure.operations.text import BACKFILL_SETTING, UNDO_SETTING, as_texts
from tenure.stores.postgres import retrying
from tenure.values import Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context

RANGE_PAGES = 500  # 4 MB: the pages of a range stay cached over its passes
PASSES = 16
FEW_ROWS = 5_000  # a table this small is done in one pass: sixteen commits would cost more than they save
SWEEP_ROWS = 5_000
UNDO_ENTRIES = 5_000

# What is listed is a key of the list, which an index bounds: of a long one its digest and its beginning.
_LISTED_ITEM = (
    "CASE WHEN octet_length(item::text) <= 2000 THEN item "
    "ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END"
)

Way = Literal["plain", "replica", "guarded", "fires"]


class BackfillRows(Operation):
    """Backfills one table in ranges of heap pages, each in passes by line pointer, one transaction a pass.

    A pass touches one row in sixteen of every page; the next one prunes what the last left dead and reuses its room, so
    that updates stay on their page and touch no index (research/postgres.md §6: 1.9 to 3.3 times as fast as runs of
    neighbouring rows, half the WAL). The cursor, the quarantine list and the journal commit with the rows.

    `leaves` are the tables with a heap: the table itself, or its partitions. `way` is how the table's own triggers are
    kept from firing: none are there (plain), `session_replication_role` (replica), a WHEN clause that the triggers got
    for the time of the run (guarded), or not at all (fires).
    """

    kind: ClassVar[str] = "backfill_rows"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    volatile: ClassVar[frozenset[str]] = frozenset({"planned", "rows_per_page"})
    ranged: ClassVar[bool] = True

    rule: RowRule
    leaves: tuple[TableName, ...]
    key_types: tuple[str, ...] = ()
    rows_per_page: int = 0
    way: Way = "plain"
    lock: str = "ROW EXCLUSIVE; row locks for one batch"
    hazards: tuple[Hazard, ...] = ()

    def describe(self) -> str:
        """Return one line."""
        return f"write {self.rule.key.name} on the rows of {self.rule.table.display}"

    def statements(self) -> tuple[str, ...]:
        """Return the whole backfill as the one statement that a batch runs over a part of the table."""
        return as_texts([self._update(leaf, None, None) for leaf in self.leaves])

    # What there is to do.

    def count(self, ctx: Context) -> int:
        """Return how many rows need a key written."""
        return self._count(ctx)

    def ranges(self, ctx: Context) -> Iterable[RangeSpec]:
        """Return slices of heap pages; the last page is fixed now, since later rows come with their key."""
        with ctx.postgres.connection() as connection:
            for leaf in self.leaves:
                query = sql.SQL(
                    "SELECT (pg_relation_size({0}::regclass) / current_setting('block_size')::int)::int, "
                    "(SELECT count(*) FROM (SELECT 1 FROM ONLY {1} LIMIT {2}) AS few)"
                ).format(sql.Literal(table_sql(leaf).as_string(None)), table_sql(leaf), FEW_ROWS + 1)
                row = connection.execute(query).fetchone()
                pages, rows = (int(row[0]), int(row[1])) if row else (0, 0)
                passes = 1 if rows <= FEW_ROWS else max(1, min(PASSES, self.rows_per_page or PASSES))
                for first in range(0, pages, RANGE_PAGES):
                    yield RangeSpec(
                        bounds={
                            "schema": leaf.schema_name,
                            "table": leaf.name,
                            "from": first,
                            "to": min(first + RANGE_PAGES, pages),
                            "passes": passes,
                        }
                    )

    # Doing it.

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        """Run one pass over the range's pages; the cursor is the number of the next pass."""
        bounds = claim.bounds
        leaf = TableName(schema_name=bounds["schema"], name=bounds["table"])
        number = int((claim.cursor or {}).get("pass", 0))
        passes = int(bounds["passes"])
        where = sql.SQL("t.ctid >= {} AND t.ctid < {}").format(
            sql.Literal(f"({bounds['from']},0)"), sql.Literal(f"({bounds['to']},0)")
        )
        if passes > 1:
            where += sql.SQL(" AND (t.ctid::text::point)[1]::int % {} = {}").format(passes, number)
        if (not_given := self._not_given()) is not None:
            where += sql.SQL(" AND ") + not_given
        statement = self._update(leaf, where, None)
        following = {"pass": number + 1} if number + 1 < passes else None

        def once() -> int:
            with ctx.postgres.connection() as connection:
                changed = self._run(connection, statement)
                ctx.ledger.advance(claim, following, changed=changed, seen=changed, connection=connection)
                return changed

        changed = retrying(once)
        return Step(cursor=following, changed=changed, seen=changed, committed=True)

    def sweep(self, ctx: Context) -> Outcome:
        """Key what is untagged wherever it lies now, in batches, until a batch finds nothing to write."""
        changed = 0
        for leaf in self.leaves:
            statement = self._update(leaf, self._not_given(), SWEEP_ROWS)
            while True:
                ctx.signal.check(self.id)

                def once(statement: sql.Composed = statement) -> int:
                    with ctx.postgres.connection() as connection:
                        return self._run(connection, statement)

                batch = retrying(once)
                changed += batch
                if batch < SWEEP_ROWS:
                    break
        return Outcome(changed=changed, left=self._count(ctx))

    def check(self, ctx: Context) -> Outcome:
        """Return how many rows still lack what the rule gives them."""
        return Outcome(left=self._count(ctx))

    def undo(self, ctx: Context) -> Outcome:
        """Put back what a key column that was there before held, newest entries of the journal first.

        A column of tenure's own is dropped with `AddKey`. A batch of entries is forgotten with the rows that it put
        back, so a rollback that was killed goes on where it stood; rows that the application changed since keep their
        key. A table without a primary key is done at once: each batch would read all of it.
        """
        changed = 0
        while self.rule.key_exists:
            ctx.signal.check(self.id)
            with ctx.postgres.connection() as connection:
                # The fill trigger is still there, and would key again what loses its key now.
                connection.execute(sql.SQL("SET LOCAL {} = 'on'").format(raw(UNDO_SETTING)))
                row = connection.execute(
                    "SELECT min(id) FROM (SELECT id FROM tenure.journal WHERE operation = %s ORDER BY id DESC "
                    "LIMIT %s) AS newest",
                    (self.id, UNDO_ENTRIES if self.rule.primary_key else None),
                ).fetchone()
                if row is None or row[0] is None:
                    break
                changed += self._run(connection, self._put_back(int(row[0])), counted=False)
                connection.execute(
                    "DELETE FROM tenure.journal WHERE operation = %s AND id >= %s", (self.id, int(row[0]))
                )
        with ctx.postgres.connection() as connection:
            connection.execute(
                "DELETE FROM tenure.quarantine WHERE store = 'postgres' AND object = %s", (self.rule.table.display,)
            )
        return Outcome(changed=changed)

    def _put_back(self, first: int) -> sql.Composed:
        """Return the statement that undoes the journal from entry *first* on.

        Of several entries for a row the oldest says what was there, the newest what tenure left.
        """
        column = sql.Identifier(self.rule.key.name)
        if self.rule.primary_key:
            same: sql.Composable = sql.SQL(" AND ").join(
                sql.SQL("t.{} = (j.item ->> {})::{}").format(sql.Identifier(name), sql.Literal(name), raw(type_name))
                for name, type_name in zip(self.rule.primary_key, self.key_types, strict=True)
            )
        else:
            same = sql.SQL("to_jsonb(t) - {0} = j.item - {0}").format(sql.Literal(self.rule.key.name))
        return sql.SQL(
            "UPDATE {table} AS t SET {column} = {before} FROM (SELECT DISTINCT ON (item) item, before, "
            "last_value(after) OVER (PARTITION BY item ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED "
            "FOLLOWING) AS after FROM tenure.journal WHERE operation = {operation} AND id >= {first} "
            "ORDER BY item, id) AS j WHERE {same} AND t.{column}::text = j.after #>> '{{}}'"
        ).format(
            table=table_sql(self.rule.table),
            column=column,
            before=key_cast(self.rule.key, sql.SQL("j.before #>> '{}'")),
            operation=sql.Literal(self.id),
            first=first,
            same=same,
        )

    # Statements.

    def batch(self, leaf: TableName, where: sql.Composable | None = None, limit: int | None = None) -> sql.Composed:
        """Return the statement that a batch runs on the rows of *leaf* that meet *where*; it gives the rows changed."""
        return self._update(leaf, where, limit)

    def _update(self, leaf: TableName, where: sql.Composable | None, limit: int | None) -> sql.Composed:
        """Return the statement that decides rows and writes their key, with quarantine list and journal."""
        rule, key = self.rule, self.rule.key
        column = sql.Identifier(key.name)
        conditions: list[sql.Composable] = [sql.SQL("w.write IS NOT NULL")]
        if where is not None:
            conditions.append(where)
        if not rule.key_exists:
            conditions.append(untagged(key, sql.SQL("t.{}").format(column)))
        chosen = decision(
            rule,
            sql.SQL("ONLY {}").format(table_sql(leaf)),
            columns=[
                sql.SQL("t.ctid AS tid"),
                sql.SQL("t.xmin AS version"),
                sql.SQL("{} AS item").format(self._item()),
                sql.SQL("(t.{})::text AS present").format(column),
            ],
            where=sql.SQL(" AND ").join(conditions),
        )
        if limit is not None:
            chosen += sql.SQL("\nLIMIT {}").format(limit)
        parts: list[sql.Composable] = [
            sql.SQL("d AS MATERIALIZED (\n{}\n)").format(chosen),
            # A row that the application changed since it was decided on has another xmin: it is left to the sweep.
            sql.SQL(
                "changed AS (UPDATE ONLY {} AS t SET {} = {} FROM d WHERE t.ctid = d.tid AND t.xmin = d.version "
                "RETURNING d.item, d.present, d.write, d.reason)"
            ).format(table_sql(leaf), column, key_cast(key, sql.SQL("d.write"))),
            sql.SQL(
                "listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) "
                "SELECT 'postgres', {}, {}, reason FROM changed WHERE write = {} "
                "ON CONFLICT (store, object, item) DO NOTHING)"
            ).format(sql.Literal(rule.table.display), raw(_LISTED_ITEM), sql.Literal(key.quarantine)),
        ]
        if rule.key_exists:
            parts.append(
                sql.SQL(
                    "kept AS (INSERT INTO tenure.journal (operation, store, object, item, before, after) "
                    "SELECT {}, 'postgres', {}, item, to_jsonb(present), to_jsonb(write) FROM changed)"
                ).format(sql.Literal(self.id), sql.Literal(rule.table.display))
            )
        return sql.SQL("WITH {}\nSELECT count(*) FROM changed").format(sql.SQL(",\n").join(parts))

    def _not_given(self) -> sql.Composed | None:
        """Return the condition that nobody released the row to the tenant that it has; None where a key that is there
        is never decided again."""
        if not self.rule.key_exists:
            return None
        return sql.SQL(
            "NOT EXISTS (SELECT 1 FROM tenure.quarantine AS given WHERE given.store = 'postgres' AND given.object = {} "
            "AND given.item = {} AND given.released_to = ({})::text)"
        ).format(sql.Literal(self.rule.table.display), self._item(), self._column())

    def _item(self) -> sql.Composable:
        """Return what names a row: its primary key, or, without one, all of it."""
        if not self.rule.primary_key:
            return sql.SQL("to_jsonb(t)")
        pairs = sql.SQL(", ").join(
            sql.SQL("{}, t.{}").format(sql.Literal(name), sql.Identifier(name)) for name in self.rule.primary_key
        )
        return sql.SQL("jsonb_build_object({})").format(pairs)

    def _run(self, connection: Connection[Any], statement: sql.Composed, *, counted: bool = True) -> int:
        """Run a write in the caller's transaction with the table's triggers dealt with; return the rows changed."""
        if self.way == "replica":
            connection.execute("SET LOCAL session_replication_role = replica")
        elif self.way == "guarded":
            connection.execute(sql.SQL("SET LOCAL {} = 'on'").format(raw(BACKFILL_SETTING)))
        cursor = connection.execute(statement)
        if not counted:
            return cursor.rowcount
        row = cursor.fetchone()
        if self.way == "replica":
            # The ledger's own rows in this transaction are written under ordinary rules.
            connection.execute("SET LOCAL session_replication_role = origin")
        return int(row[0]) if row else 0

    def _count(self, ctx: Context) -> int:
        rule, total = self.rule, 0
        decides = rule.key_exists or rule.policy.unassigned == "keep_null"
        with ctx.postgres.connection() as connection:
            for leaf in self.leaves:
                only = sql.SQL("ONLY {}").format(table_sql(leaf))
                if decides:
                    where: sql.Composable = sql.SQL("w.write IS NOT NULL")
                    if (not_given := self._not_given()) is not None:
                        where += sql.SQL(" AND ") + not_given
                    if not rule.key_exists:
                        where += sql.SQL(" AND ") + untagged(rule.key, self._column())
                    query = sql.SQL("SELECT count(*) FROM ({}) AS q").format(decision(rule, only, where=where))
                else:
                    query = sql.SQL("SELECT count(*) FROM {} AS t WHERE {}").format(
                        only, untagged(rule.key, self._column())
                    )
                row = connection.execute(query).fetchone()
                total += int(row[0]) if row else 0
        return total

    def _column(self) -> sql.Composed:
        return sql.SQL("t.{}").format(sql.Identifier(self.rule.key.name))
