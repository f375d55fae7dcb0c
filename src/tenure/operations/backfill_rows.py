"""Writes the tenant key of the rows that are there, while the application goes on: striped, resumable, re-decidable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import psycopg
from psycopg import sql

from tenure.attribution.rows import decision, key_cast, raw, table_sql, untagged
from tenure.attribution.spec import RowRule
from tenure.operations.bad_rows import BadRows, forget, is_of_a_row, summary
from tenure.operations.base import Claim, Operation, RangeSpec, Step
from tenure.operations.key_obstacles import in_the_way, lift, obstacles, refused_keys, set_aside
from tenure.operations.row_ranges import (
    FEW_ROWS,
    LEAST_PAGES,
    MOST_PAGES,
    START_PAGES,
    Place,
    batch_end,
    page_ranges,
    passes_for,
    tidies,
)
from tenure.operations.row_statements import column_of, deciding, in_stripe, not_given, on_pages, plain
from tenure.operations.text import BACKFILL_SETTING, UNDO_SETTING, as_texts
from tenure.operations.tidying import lighten, tidy
from tenure.stores.postgres import LOCK_TIMEOUT_MS, retrying
from tenure.values import Finding, Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context

SWEEP_ROWS = 5_000
UNDO_ENTRIES = 5_000

Way = Literal["plain", "replica", "guarded", "fires"]


class BackfillRows(Operation):
    """Backfills one table in ranges of heap pages, each in passes by line pointer, in batches of pages.

    A pass touches one row in fourteen of every page; the next one prunes what the last left dead and reuses its room,
    so that updates stay on their page and touch no index (docs/planning-a-large-migration.md says what that gives).
    The cursor, the quarantine list and the journal commit with the rows.

    `leaves` are the tables with a heap: the table itself, or its partitions. `way` is how the table's own triggers are
    kept from firing: none are there (plain), `session_replication_role` (replica), a WHEN clause that the triggers got
    for the time of the run (guarded), or not at all (fires).
    """

    kind: ClassVar[str] = "backfill_rows"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    volatile: ClassVar[frozenset[str]] = frozenset(
        {"planned", "rows_per_page", "fillfactor", "estimated_seconds", "hazards"}
    )
    ranged: ClassVar[bool] = True

    rule: RowRule
    leaves: tuple[TableName, ...]
    key_types: tuple[str, ...] = ()
    rows_per_page: int = 0
    fillfactor: int = 100
    estimated_seconds: float | None = None
    way: Way = "plain"
    lock: str = "ROW EXCLUSIVE; row locks for one batch"
    hazards: tuple[Hazard, ...] = ()

    def describe(self) -> str:
        """Return one line."""
        return f"write {self.rule.key.name} on the rows of {self.rule.table.display}"

    def statements(self) -> tuple[str, ...]:
        """Return the whole backfill as the statements that batches run over parts of the table: the light one for rows
        whose tenant stands plainly in their source, where the rule has one, then the one that decides all others."""
        light = [each for leaf in self.leaves if (each := plain(self.rule, leaf)) is not None]
        return as_texts([*light, *(deciding(self.id, self.rule, leaf) for leaf in self.leaves)])

    # What there is to do.

    def count(self, ctx: Context) -> int:
        """Return how many rows need a key written."""
        return self._count(ctx)

    def ranges(self, ctx: Context) -> Iterable[RangeSpec]:
        """Return slices of heap pages; the last page is fixed now, since later rows come with their key."""
        with ctx.postgres.connection() as connection:
            for leaf in self.leaves:
                query = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM ONLY {} LIMIT {}) AS few").format(
                    table_sql(leaf), FEW_ROWS + 1
                )
                row = connection.execute(query).fetchone()
                pages, rows = heap_pages(connection, leaf), int(row[0]) if row else 0
                passes = passes_for(rows, self.rows_per_page, self.fillfactor)
                for number, (first, end) in enumerate(page_ranges(pages)):
                    bounds = {
                        "schema": leaf.schema_name,
                        "table": leaf.name,
                        "from": first,
                        "to": end,
                        "passes": passes,
                    }
                    yield RangeSpec(bounds={**bounds, "tidy": True} if passes > 1 and tidies(number) else bounds)

    # Doing it.

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        """Run one pass over a part of the range's pages, as many as take `batch_ms`.

        The light statement's passes come first; what they leave, if anything, is decided in as many passes again, or
        in one where that is a row a page.
        """
        bounds = claim.bounds
        leaf = TableName(schema_name=bounds["schema"], name=bounds["table"])
        if claim.cursor is None and bounds.get("tidy"):
            tidy(ctx, self.id, leaf)
        place = Place.of(bounds, claim.cursor, plainly=plain(self.rule, leaf) is not None)
        pages = ctx.pace.size(self.id, start=START_PAGES, least=LEAST_PAGES, most=MOST_PAGES)
        end = batch_end(place, bounds, pages)
        stripe = self._stripe(place, place.passes(bounds))

        def write(connection: Connection[Any], where: sql.Composable) -> int:
            return self._run(connection, self._statement(leaf, where, plainly=not place.rest))

        def once(*, carefully: bool) -> tuple[int, dict[str, int] | None]:
            with ctx.postgres.connection() as connection:
                lighten(ctx, connection)
                if carefully:
                    bad = BadRows(connection, self.rule, leaf, partial(write, connection))
                    changed = bad.pages(place.page, end, stripe)
                else:
                    changed = write(connection, _and(on_pages(place.page, end), stripe))
                following = place.after(end, bounds) or self._rest(connection, leaf, place, bounds)
                cursor = following.cursor() if following is not None else None
                ctx.ledger.advance(claim, cursor, changed=changed, seen=changed, connection=connection)
                return changed, cursor

        with ctx.pace.timed(self.id, end - place.page):
            try:
                changed, cursor = retrying(partial(once, carefully=False))
            except psycopg.Error as error:
                if not is_of_a_row(error):
                    raise
                changed, cursor = retrying(partial(once, carefully=True))
        return Step(cursor=cursor, changed=changed, seen=changed, committed=True)

    def _rest(
        self, connection: Connection[Any], leaf: TableName, place: Place, bounds: Mapping[str, Any]
    ) -> Place | None:
        """Return where the deciding of what the light statement left begins; None when it left nothing, or is over."""
        if place.rest:
            return None
        first, end = int(bounds["from"]), int(bounds["to"])
        query = sql.SQL("SELECT count(*) FROM ONLY {} AS t WHERE {} AND {}").format(
            table_sql(leaf), on_pages(first, end), untagged(self.rule.key, column_of(self.rule.key))
        )
        row = connection.execute(query).fetchone()
        left = int(row[0]) if row else 0
        few = left <= end - first
        return Place(0, first, 1 if few else int(bounds["passes"])) if left else None

    def sweep(self, ctx: Context) -> Outcome:
        """Key what is untagged wherever it lies now, in batches, until a batch finds nothing to write.

        Rows that refused their key are tried again; those that still do are counted as left, with the reason.
        """
        with ctx.postgres.connection() as connection:
            forget(connection, self.rule)
        changed = 0
        for leaf in self.leaves:
            try:
                changed += self._sweep(ctx, leaf)
            except psycopg.Error as error:
                if not is_of_a_row(error):
                    raise
                changed += self._sweep_carefully(ctx, leaf)
        return self.check(ctx).model_copy(update={"changed": changed})

    def _sweep(self, ctx: Context, leaf: TableName) -> int:
        statement = deciding(self.id, self.rule, leaf, not_given(self.rule), SWEEP_ROWS)
        changed = 0
        while True:
            ctx.signal.check(self.id)

            def once() -> int:
                with ctx.postgres.connection() as connection:
                    return self._run(connection, statement)

            batch = retrying(once)
            changed += batch
            if batch < SWEEP_ROWS:
                return changed

    def _sweep_carefully(self, ctx: Context, leaf: TableName) -> int:
        """Key what can be keyed, a range of pages in a transaction, and list the rows that refuse."""
        with ctx.postgres.connection() as connection:
            pages = heap_pages(connection, leaf)
        changed = 0
        for first, end in page_ranges(pages):
            ctx.signal.check(self.id)

            def once(first: int = first, end: int = end) -> int:
                with ctx.postgres.connection() as connection:

                    def write(where: sql.Composable) -> int:
                        return self._run(connection, deciding(self.id, self.rule, leaf, where))

                    return BadRows(connection, self.rule, leaf, write).pages(first, end, not_given(self.rule))

            changed += retrying(once)
        return changed

    def check(self, ctx: Context) -> Outcome:
        """Return how many rows still lack what the rule gives them, and what is known of those that refused it."""
        left = self._count(ctx)
        if not left:
            return Outcome()
        with ctx.postgres.connection() as connection:
            return Outcome(left=left, note=summary(connection, self.rule))

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return the constraints that would refuse the keys that were there before: somebody added them since."""
        return refused_keys(ctx, self.rule, self._as_before()) if self.rule.key_exists else ()

    def undo(self, ctx: Context) -> Outcome:
        """Put back what a key column that was there before held, newest entries of the journal first.

        A column of tenure's own is dropped with `AddKey`. A batch of entries is forgotten with the rows that it put
        back, so a rollback that was killed goes on where it stood; rows that the application changed since keep their
        key. A table without a primary key is done at once: each batch would read all of it. Errors:
        OperationFailedError when a constraint refuses what was there.
        """
        changed = 0
        try:
            while self.rule.key_exists:
                ctx.signal.check(self.id)
                batch = retrying(partial(self._undo_batch, ctx))
                if batch is None:
                    break
                changed += batch
        except psycopg.IntegrityError as error:
            raise in_the_way(self.describe(), self.rule, error) from error
        with ctx.postgres.connection() as connection:
            connection.execute(
                "DELETE FROM tenure.quarantine WHERE store = 'postgres' AND object = %s", (self.rule.table.display,)
            )
        return Outcome(changed=changed)

    def _undo_batch(self, ctx: Context) -> int | None:
        """Put back the newest entries of the journal; return how many rows that changed, None when there are none."""
        with ctx.postgres.connection() as connection:
            # The fill trigger is still there, and would key again what loses its key now.
            connection.execute(sql.SQL("SET LOCAL {} = 'on'").format(raw(UNDO_SETTING)))
            row = connection.execute(
                "SELECT min(id) FROM (SELECT id FROM tenure.journal WHERE operation = %s ORDER BY id DESC "
                "LIMIT %s) AS newest",
                (self.id, UNDO_ENTRIES if self.rule.primary_key else None),
            ).fetchone()
            if row is None or row[0] is None:
                return None
            off, on = lift(self.rule, set_aside(ctx, self.rule, obstacles(connection, self.rule)))
            if off:
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT_MS))
            for statement in off:
                connection.execute(statement)
            changed = self._run(connection, self._put_back(int(row[0])))
            for statement in on:
                connection.execute(statement)
            connection.execute("DELETE FROM tenure.journal WHERE operation = %s AND id >= %s", (self.id, int(row[0])))
            return changed

    def _put_back(self, first: int) -> sql.Composed:
        """Return the statement that undoes the journal from entry *first* on.

        Of several entries for a row the oldest says what was there, the newest what tenure left.
        """
        return sql.SQL("UPDATE {} AS t SET {} = {} FROM {} AS j WHERE {}").format(
            table_sql(self.rule.table),
            sql.Identifier(self.rule.key.name),
            key_cast(self.rule.key, sql.SQL("j.before #>> '{}'")),
            self._entries(first),
            self._is_entry(),
        )

    def _as_before(self) -> sql.Composed:
        """Return the query for the rows that undo would change, as it would leave them."""
        return sql.SQL(
            "SELECT b.* FROM {} AS t, {} AS j, "
            "LATERAL jsonb_populate_record(t.*, jsonb_build_object({}, j.before)) AS b WHERE {}"
        ).format(table_sql(self.rule.table), self._entries(0), sql.Literal(self.rule.key.name), self._is_entry())

    def _entries(self, first: int) -> sql.Composed:
        return sql.SQL(
            "(SELECT DISTINCT ON (item) item, before, "
            "last_value(after) OVER (PARTITION BY item ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED "
            "FOLLOWING) AS after FROM tenure.journal WHERE operation = {} AND id >= {} ORDER BY item, id)"
        ).format(sql.Literal(self.id), first)

    def _is_entry(self) -> sql.Composed:
        """Return the condition that `t` is the row of entry `j`, with the key that tenure left."""
        if self.rule.primary_key:
            same: sql.Composable = sql.SQL(" AND ").join(
                sql.SQL("t.{} = (j.item ->> {})::{}").format(sql.Identifier(name), sql.Literal(name), raw(type_name))
                for name, type_name in zip(self.rule.primary_key, self.key_types, strict=True)
            )
        else:
            same = sql.SQL("to_jsonb(t.*) - {0} = j.item - {0}").format(sql.Literal(self.rule.key.name))
        return sql.SQL("{} AND {}::text = j.after #>> '{{}}'").format(same, column_of(self.rule.key))

    # Statements.

    def batch(self, leaf: TableName, where: sql.Composable | None = None, limit: int | None = None) -> sql.Composed:
        """Return the statement that decides the rows of *leaf* that meet *where*; it gives the number of rows changed.

        It does all that a backfill does; the light statement of the runner is only the quicker way to most of it.
        """
        return deciding(self.id, self.rule, leaf, where, limit)

    def _statement(self, leaf: TableName, where: sql.Composable, *, plainly: bool) -> sql.Composed:
        light = plain(self.rule, leaf, where) if plainly else None
        return light if light is not None else deciding(self.id, self.rule, leaf, where)

    def _stripe(self, place: Place, passes: int) -> sql.Composable | None:
        """Return the condition that a row belongs to the pass, where there are several, and may be decided."""
        if passes == 1:
            return not_given(self.rule)
        return _and(in_stripe(passes, place.number), not_given(self.rule))

    def _run(self, connection: Connection[Any], statement: sql.Composed) -> int:
        """Run a write in the caller's transaction with the table's triggers dealt with; return the rows changed."""
        if self.way == "replica":
            connection.execute("SET LOCAL session_replication_role = replica")
        elif self.way == "guarded":
            connection.execute(sql.SQL("SET LOCAL {} = 'on'").format(raw(BACKFILL_SETTING)))
        cursor = connection.execute(statement)
        # A deciding statement gives its count; of a bare UPDATE the server says it.
        row = cursor.fetchone() if cursor.description is not None else None
        if self.way == "replica":
            # The ledger's own rows in this transaction are written under ordinary rules.
            connection.execute("SET LOCAL session_replication_role = origin")
        return int(row[0]) if row is not None else cursor.rowcount

    def _count(self, ctx: Context) -> int:
        rule, total = self.rule, 0
        decides = rule.key_exists or rule.policy.unassigned == "keep_null"
        with ctx.postgres.connection() as connection:
            for leaf in self.leaves:
                only = sql.SQL("ONLY {}").format(table_sql(leaf))
                if decides:
                    where: sql.Composable = sql.SQL("w.write IS NOT NULL")
                    if (open_ := not_given(rule)) is not None:
                        where += sql.SQL(" AND ") + open_
                    if not rule.key_exists:
                        where += sql.SQL(" AND ") + untagged(rule.key, column_of(rule.key))
                    query = sql.SQL("SELECT count(*) FROM ({}) AS q").format(decision(rule, only, where=where))
                else:
                    query = sql.SQL("SELECT count(*) FROM {} AS t WHERE {}").format(
                        only, untagged(rule.key, column_of(rule.key))
                    )
                row = connection.execute(query).fetchone()
                total += int(row[0]) if row else 0
        return total


def heap_pages(connection: Connection[Any], leaf: TableName) -> int:
    """Return how many pages the heap of *leaf* has now."""
    query = sql.SQL("SELECT pg_relation_size({}::regclass) / current_setting('block_size')::int").format(
        sql.Literal(table_sql(leaf).as_string(None))
    )
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _and(first: sql.Composable, second: sql.Composable | None) -> sql.Composable:
    """Return both conditions, or the one that there is."""
    return first if second is None else sql.SQL("{} AND {}").format(first, second)
