"""Makes a reference from one tenant to another impossible: the foreign key takes the tenant key along."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import OperationFailedError
from tenure.operations.base import Operation
from tenure.operations.text import as_texts
from tenure.values import Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context


class CompositeForeignKey(Operation):
    """`(key, columns) REFERENCES (key, columns)`, NOT VALID then VALIDATE, beside the old one until contract.

    `actions` is the rest of the definition: ON DELETE, ON UPDATE, DEFERRABLE. `online` versions of Postgres know NOT
    VALID for the table at hand; others check it under the lock.
    """

    kind: ClassVar[str] = "composite_fk"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    store: ClassVar[Store] = "postgres"

    table: TableName
    name: str
    replaces: str
    columns: tuple[str, ...]
    references: TableName
    ref_columns: tuple[str, ...]
    actions: str = ""
    validate_later: bool = True
    lock: str = "SHARE ROW EXCLUSIVE on both tables, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.TABLE_SCAN,)

    def describe(self) -> str:
        """Return one line."""
        return f"foreign key {self.name} from {self.table.display} to {self.references.display} within a tenant"

    def statements(self) -> tuple[str, ...]:
        """Return ADD and VALIDATE."""
        return as_texts(self._statements())

    def _statements(self) -> list[sql.Composed]:
        table, name = table_sql(self.table), sql.Identifier(self.name)
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}){}{}").format(
            table,
            name,
            sql.SQL(", ").join(map(sql.Identifier, self.columns)),
            table_sql(self.references),
            sql.SQL(", ").join(map(sql.Identifier, self.ref_columns)),
            raw(f" {self.actions}" if self.actions else ""),
            raw(" NOT VALID" if self.validate_later else ""),
        )
        validate = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table, name)
        return [add, validate] if self.validate_later else [add]

    def apply(self, ctx: Context) -> Outcome:
        """Add it unless it is there, then validate; references across tenants are listed, never hidden."""
        statements = self._statements()
        with ctx.postgres.connection() as connection:
            row = connection.execute(
                "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s",
                (table_sql(self.table).as_string(None), self.name),
            ).fetchone()
        notify = lambda text: ctx.reporter.note(self.id, text)  # noqa: E731
        try:
            if row is None:
                ctx.postgres.ddl(statements[:1], notify=notify)
            if self.validate_later and (row is None or not row[0]):
                ctx.postgres.ddl(statements[1:], notify=notify)
        except errors.ForeignKeyViolation as error:
            raise OperationFailedError(
                operation=self.describe(),
                object=self.table.display,
                planned=1,
                changed=0,
                left=1,
                problem=f"Rows refer to another tenant's row, or to none: {error.diag.message_detail}. "
                "`tenure inspect` lists them; resolve them, then run `tenure apply` again.",
            ) from error
        return Outcome(planned=1, changed=1, note="" if row is None else "was there")

    def undo(self, ctx: Context) -> Outcome:
        """Drop it; the old foreign key still stands."""
        drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(
            table_sql(self.table), sql.Identifier(self.name)
        )
        ctx.postgres.ddl([drop], notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)
