"""Drops a foreign key when the composite one holds: the old key of its target can go then."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from tenure.attribution.rows import raw, table_sql
from tenure.operations.base import Operation
from tenure.operations.text import as_texts
from tenure.values import Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context


class DropForeignKey(Operation):
    """Drops the foreign key `name`; `replaced_by` is the composite one, which says the same and more.

    `definition` is what undo puts back, NOT VALID first and then validated where it was (`proven`).
    """

    kind: ClassVar[str] = "drop_foreign_key"
    phase: ClassVar[Phase] = Phase.CONTRACT
    store: ClassVar[Store] = "postgres"

    table: TableName
    name: str
    definition: str
    replaced_by: str
    validate_later: bool = True
    proven: bool = True
    lock: str = "ACCESS EXCLUSIVE on both tables, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE,)

    def describe(self) -> str:
        """Return one line."""
        return f"drop foreign key {self.name} of {self.table.display}; {self.replaced_by} holds instead"

    def statements(self) -> tuple[str, ...]:
        """Return the drop."""
        return as_texts([self._drop()])

    def _drop(self) -> sql.Composed:
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(
            table_sql(self.table), sql.Identifier(self.name)
        )

    def apply(self, ctx: Context) -> Outcome:
        """Journal what it was and drop it, unless it is gone."""
        if not self._exists(ctx):
            return Outcome(planned=1, changed=0, note="gone already")
        before = {"definition": self.definition, "script": as_texts([self._add(), *self._validation()])}
        ctx.ledger.journal(self.id, "postgres", self.object, [({"foreign_key": self.name}, before, None)])
        ctx.postgres.ddl([self._drop()], notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)

    def undo(self, ctx: Context) -> Outcome:
        """Put it back; the composite one has kept every row such that it holds."""
        notify = lambda text: ctx.reporter.note(self.id, text)  # noqa: E731
        if not self._exists(ctx):
            ctx.postgres.ddl([self._add()], notify=notify)
        for statement in self._validation():
            ctx.postgres.ddl([statement], notify=notify)
        return Outcome(planned=1, changed=1)

    def _add(self) -> sql.Composed:
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}{}").format(
            table_sql(self.table),
            sql.Identifier(self.name),
            raw(self.definition.removesuffix(" NOT VALID")),
            raw(" NOT VALID" if self.validate_later else ""),
        )

    def _validation(self) -> list[sql.Composed]:
        if not (self.validate_later and self.proven):
            return []
        statement = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}")
        return [statement.format(table_sql(self.table), sql.Identifier(self.name))]

    def _exists(self, ctx: Context) -> bool:
        with ctx.postgres.connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s",
                (table_sql(self.table).as_string(None), self.name),
            ).fetchone()
        return row is not None
