"""Makes a reference from one tenant to another impossible: the foreign key takes the tenant key along."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import OperationFailedError
from tenure.operations.base import Operation
from tenure.operations.text import as_texts, short_name
from tenure.values import Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context


class CompositeForeignKey(Operation):
    """`(key, columns) REFERENCES (key, columns)`, NOT VALID then VALIDATE, beside the old one until contract.

    `actions` is the rest of the definition: ON DELETE, ON UPDATE, DEFERRABLE. Without `validate_later` Postgres knows
    no NOT VALID for the table at hand and checks it under the lock. `proven` is false where the old key was never
    validated: the new one is left so too. `adopted`: somebody made it before; it is used, and left there by undo.
    `all_or_none` are columns of a MATCH FULL key, which a check stands in for.
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
    proven: bool = True
    all_or_none: tuple[str, ...] = ()
    adopted: bool = False
    lock: str = "SHARE ROW EXCLUSIVE on both tables, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.TABLE_SCAN,)

    def describe(self) -> str:
        """Return one line."""
        return f"foreign key {self.name} from {self.table.display} to {self.references.display} within a tenant"

    @property
    def check_name(self) -> str:
        """Return the name of the check that stands in for MATCH FULL."""
        return short_name(self.name, "full")

    def statements(self) -> tuple[str, ...]:
        """Return ADD and VALIDATE."""
        return as_texts(statement for makes, statement in self.steps() if not self.adopted or makes == self.check_name)

    def steps(self) -> list[tuple[str, sql.Composed]]:
        """Return each statement with the constraint that it makes, or nothing for one that validates."""
        table, name = table_sql(self.table), sql.Identifier(self.name)
        made = []
        if self.all_or_none:
            check, columns = sql.Identifier(self.check_name), sql.SQL(", ").join(map(sql.Identifier, self.all_or_none))
            made.append(
                (
                    self.check_name,
                    sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK (num_nulls({}) IN (0, {})) NOT VALID").format(
                        table, check, columns, len(self.all_or_none)
                    ),
                )
            )
            made.append(("", sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table, check)))
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}){}{}").format(
            table,
            name,
            sql.SQL(", ").join(map(sql.Identifier, self.columns)),
            table_sql(self.references),
            sql.SQL(", ").join(map(sql.Identifier, self.ref_columns)),
            raw(f" {self.actions}" if self.actions else ""),
            raw(" NOT VALID" if self.validate_later else ""),
        )
        made.append((self.name, add))
        if self.validate_later and self.proven:
            made.append(("", sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table, name)))
        return made

    def apply(self, ctx: Context) -> Outcome:
        """Add what is not there, then validate; references across tenants are listed, never hidden."""
        was_there = False
        with ctx.postgres.connection() as connection:
            there = {
                row[0]
                for row in connection.execute(
                    "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(%s)",
                    (table_sql(self.table).as_string(None),),
                ).fetchall()
            }
        try:
            for makes, statement in self.steps():
                if makes in there:
                    was_there = True
                    continue
                ctx.postgres.ddl([statement], notify=lambda text: ctx.reporter.note(self.id, text))
        except errors.ForeignKeyViolation as error:
            count, sample = self._strays(ctx)
            raise OperationFailedError(
                operation=self.describe(),
                object=self.table.display,
                planned=1,
                changed=0,
                left=max(count, 1),
                problem=f"{count} row(s) refer to another tenant's row, or to none: {'; '.join(sample)}. "
                "`tenure inspect` lists them; resolve them, then run `tenure apply` again.",
            ) from error
        return Outcome(planned=1, changed=1, note="was there" if was_there else "")

    def _strays(self, ctx: Context) -> tuple[int, list[str]]:
        """Return how many rows break the key, and some of them by what they refer to."""
        columns = sql.SQL(", ").join(sql.SQL("c.{}").format(sql.Identifier(name)) for name in self.columns)
        broken = sql.SQL("FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})").format(
            table_sql(self.table),
            sql.SQL(" AND ").join(sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(name)) for name in self.columns),
            table_sql(self.references),
            sql.SQL(" AND ").join(
                sql.SQL("p.{} = c.{}").format(sql.Identifier(theirs), sql.Identifier(ours))
                for ours, theirs in zip(self.columns, self.ref_columns, strict=True)
            ),
        )
        with ctx.postgres.connection() as connection:
            row = connection.execute(sql.SQL("SELECT count(*) {}").format(broken)).fetchone()
            sample = connection.execute(sql.SQL("SELECT ROW({})::text {} LIMIT 5").format(columns, broken)).fetchall()
        return (int(row[0]) if row else 0), [str(found[0]) for found in sample]

    def undo(self, ctx: Context) -> Outcome:
        """Drop it; the old foreign key still stands."""
        names = [*([] if self.adopted else [self.name]), *([self.check_name] if self.all_or_none else [])]
        if not names:
            return Outcome(note="it was there before")
        drops = [
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(table_sql(self.table), sql.Identifier(name))
            for name in names
        ]
        ctx.postgres.ddl(drops, notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)
