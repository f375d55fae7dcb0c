"""Builds the per-tenant form of a uniqueness beside the global one, which stays until contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from tenure.attribution.rows import raw, table_sql
from tenure.operations.base import Operation
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.text import as_texts
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class RescopeUnique(Operation):
    """A unique index with the key in front, made a constraint where the old one was one.

    The old uniqueness implies the new one, so it can always be built; it is dropped at contract. `replaces` names the
    old index, `definition` what it was. `deferral` is empty or how the old constraint was deferrable; `as_constraint`
    false where a predicate or an expression forbids a constraint, and for a primary key, which the bare index becomes
    at contract. `columns` are those of the new form, expressions aside; `null_keys` says that the key may be null.
    `adopted`: somebody built it before; it is checked, used, and left there by undo.
    """

    kind: ClassVar[str] = "rescope_unique"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    store: ClassVar[Store] = "postgres"

    index: IndexBuild
    replaces: str
    definition: str
    as_constraint: bool
    deferral: str = ""
    adopted: bool = False
    columns: tuple[str, ...] = ()
    null_keys: bool = False
    lock: str = "SHARE UPDATE EXCLUSIVE; ACCESS EXCLUSIVE for milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.INDEX_BUILD,)

    def describe(self) -> str:
        """Return one line."""
        return f"unique {self.index.name} per tenant beside {self.replaces} on {self.index.table.display}"

    def statements(self) -> tuple[str, ...]:
        """Return the builds and, for a constraint, the adoption of the index."""
        if self.adopted:
            return ()
        attach = [self._attach()] if self.as_constraint else []
        return as_texts([*self.index.statements(), *attach])

    def _attach(self) -> sql.Composed:
        name = sql.Identifier(self.index.name)
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} UNIQUE USING INDEX {}{}").format(
            table_sql(self.index.table), name, name, raw(f" {self.deferral}" if self.deferral else "")
        )

    def apply(self, ctx: Context) -> Outcome:
        """Build the index unless it is there and valid, then make it a constraint unless it is one.

        An adopted one that somebody dropped since is built like any other.
        """
        built = self.index.build(ctx, self.id, self.object)
        if self.as_constraint and not self._is_constraint(ctx):
            ctx.postgres.ddl([self._attach()], notify=lambda text: ctx.reporter.note(self.id, text))
            built = True
        return Outcome(planned=1, changed=1, note="" if built else "was there")

    def undo(self, ctx: Context) -> Outcome:
        """Drop the constraint or the index; the global uniqueness still stands."""
        if self.adopted:
            return Outcome(note="it was there before")
        if self.as_constraint and self._is_constraint(ctx):
            drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                table_sql(self.index.table), sql.Identifier(self.index.name)
            )
            ctx.postgres.ddl([drop], notify=lambda text: ctx.reporter.note(self.id, text))
        self.index.drop(ctx)
        return Outcome(planned=1, changed=1)

    def _is_constraint(self, ctx: Context) -> bool:
        with ctx.postgres.connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s",
                (table_sql(self.index.table).as_string(None), self.index.name),
            ).fetchone()
        return row is not None
