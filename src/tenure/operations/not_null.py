"""Makes the key mandatory without a scan under a lock: a check that is validated online stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import OperationFailedError
from tenure.operations.base import Operation
from tenure.operations.text import as_texts, not_null_check
from tenure.values import Hazard, Outcome, Phase, Store, TableName, TenantKey

if TYPE_CHECKING:
    from tenure.runner.context import Context


class NotNull(Operation):
    """`CHECK … NOT VALID`, `VALIDATE`, `SET NOT NULL`, drop the check.

    VALIDATE runs under SHARE UPDATE EXCLUSIVE and is not subject to row-level security, so it also proves that the
    backfill saw every row; SET NOT NULL then finds the proof and does not scan (since Postgres 12).
    """

    kind: ClassVar[str] = "not_null"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    store: ClassVar[Store] = "postgres"

    table: TableName
    key: TenantKey
    lock: str = "ACCESS EXCLUSIVE, milliseconds; the scan under SHARE UPDATE EXCLUSIVE"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE, Hazard.TABLE_SCAN)

    @property
    def check_name(self) -> str:
        """Return the name of the check that lives until the column is NOT NULL."""
        return not_null_check(self.table)

    def describe(self) -> str:
        """Return one line."""
        return f"{self.table.display}.{self.key.name} NOT NULL"

    def statements(self) -> tuple[str, ...]:
        """Return the four steps."""
        return as_texts(self._statements())

    def _statements(self) -> list[sql.Composed]:
        table, column, check = table_sql(self.table), sql.Identifier(self.key.name), sql.Identifier(self.check_name)
        return [
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(table, check),
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID").format(table, check, column),
            sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table, check),
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(table, column),
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, check),
        ]

    def apply(self, ctx: Context) -> Outcome:
        """Run each step in a transaction of its own; a repeat begins with dropping a check left behind."""
        drop, add, validate, mandatory, forget = self._statements()
        notify = lambda text: ctx.reporter.note(self.id, text)  # noqa: E731
        ctx.postgres.ddl([drop, add], notify=notify)
        try:
            ctx.postgres.ddl([validate], notify=notify)
        except errors.CheckViolation as error:
            with ctx.postgres.connection() as connection:
                row = connection.execute(
                    sql.SQL("SELECT count(*) FROM {} WHERE {} IS NULL").format(
                        table_sql(self.table), sql.Identifier(self.key.name)
                    )
                ).fetchone()
            seen = row[0] if row else 0
            raise OperationFailedError(
                operation=self.describe(),
                object=self.table.display,
                planned=1,
                changed=0,
                left=seen or 1,
                problem=f"Rows without the key are left ({seen} of them visible to this role; policies hide the rest). "
                "Run `tenure apply` again to sweep them up, or use a role that sees every row.",
            ) from error
        ctx.postgres.ddl([mandatory, forget], notify=notify)
        return Outcome(planned=1, changed=1)

    def undo(self, ctx: Context) -> Outcome:
        """Let the column be null again."""
        table, column = table_sql(self.table), sql.Identifier(self.key.name)
        ctx.postgres.ddl(
            [
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(table, sql.Identifier(self.check_name)),
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(table, column, raw("DROP NOT NULL")),
            ],
            notify=lambda text: ctx.reporter.note(self.id, text),
        )
        return Outcome(planned=1, changed=1)
