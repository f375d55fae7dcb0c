"""Adds the tenant key to a table: nullable, or, where every row has one tenant, filled in the same instant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from psycopg import errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import RefusedError
from tenure.operations.base import Operation
from tenure.operations.key_obstacles import readers
from tenure.operations.text import as_texts
from tenure.values import Finding, Hazard, Outcome, Phase, Store, TableName, TenantKey

if TYPE_CHECKING:
    from tenure.runner.context import Context


class AddKey(Operation):
    """`ADD COLUMN`, a change of the catalog only.

    `constant` fills all rows without touching one: a default that is not volatile is kept once for the old rows (since
    Postgres 11), so NOT NULL comes with it; the fill trigger takes over before the default is dropped again.
    """

    kind: ClassVar[str] = "add_key"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "postgres"

    table: TableName
    key: TenantKey
    constant: str | None = None
    lock: str = "ACCESS EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE,)

    def describe(self) -> str:
        """Return one line."""
        filled = f" filled with {self.constant}, no row touched" if self.constant is not None else ""
        return f"add column {self.key.name} {self.key.type} to {self.table.display}{filled}"

    def statements(self) -> tuple[str, ...]:
        """Return the ALTER TABLE."""
        return as_texts([self._add()])

    def _add(self) -> sql.Composed:
        fill: sql.Composable = sql.SQL("")
        if self.constant is not None:
            fill = sql.SQL(" NOT NULL DEFAULT {}").format(sql.Literal(self.constant))
        return sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}{}").format(
            table_sql(self.table), sql.Identifier(self.key.name), raw(self.key.type), fill
        )

    def apply(self, ctx: Context) -> Outcome:
        """Add the column unless it is there."""
        ctx.postgres.ddl([self._add()], notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return what reads the column by now: nothing is dropped along with it."""
        return readers(ctx, self.table, self.key.name)

    def undo(self, ctx: Context) -> Outcome:
        """Drop the column; an heir's goes with that of the table it has it from. Errors: RefusedError when something
        depends on it."""
        with ctx.postgres.connection() as connection:
            inherited = connection.execute(
                "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s AND attinhcount > 0",
                (table_sql(self.table).as_string(None), self.key.name),
            ).fetchone()
        if inherited is not None:
            return Outcome(note="inherited")
        drop = sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}").format(
            table_sql(self.table), sql.Identifier(self.key.name)
        )
        try:
            ctx.postgres.ddl([drop], notify=lambda text: ctx.reporter.note(self.id, text))
        except errors.DependentObjectsStillExist as error:
            raise RefusedError(
                reason=f"cannot drop {self.table.display}.{self.key.name}: {error.diag.message_detail}.",
                remedy="Drop what depends on it, or make it do without the column, then run `tenure rollback` again.",
            ) from error
        return Outcome(planned=1, changed=1)


class DropKeyDefault(Operation):
    """Drops a default of the key column: it would give late writers a tenant that nobody chose.

    `default` is what was there (None: the one `AddKey` made), put back on undo.
    """

    kind: ClassVar[str] = "drop_key_default"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "postgres"

    table: TableName
    key: TenantKey
    default: str | None = None
    lock: str = "ACCESS EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE,)

    def describe(self) -> str:
        """Return one line."""
        was = f" ({self.default})" if self.default is not None else ""
        return f"drop the default{was} of {self.table.display}.{self.key.name}; the fill trigger takes its place"

    def statements(self) -> tuple[str, ...]:
        """Return the ALTER TABLE."""
        return as_texts([self._alter("DROP DEFAULT")])

    def _alter(self, action: str) -> sql.Composed:
        return sql.SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(
            table_sql(self.table), sql.Identifier(self.key.name), raw(action)
        )

    def apply(self, ctx: Context) -> Outcome:
        """Drop the default; nothing happens when there is none."""
        ctx.postgres.ddl([self._alter("DROP DEFAULT")], notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)

    def undo(self, ctx: Context) -> Outcome:
        """Put a default back that was there before."""
        if self.default is None:
            return Outcome()
        ctx.postgres.ddl(
            [self._alter(f"SET DEFAULT {self.default}")], notify=lambda text: ctx.reporter.note(self.id, text)
        )
        return Outcome(planned=1, changed=1)
