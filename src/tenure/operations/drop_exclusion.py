"""Drops a global exclusion constraint when the per-tenant one holds: tenants no longer stand in each other's way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from psycopg import errors

from tenure.attribution.rows import table_sql
from tenure.errors import RefusedError
from tenure.findings import say
from tenure.operations.base import Operation
from tenure.operations.drop_unique import depended_on
from tenure.operations.exclusion import Exclusion, counted
from tenure.operations.text import as_texts
from tenure.values import Finding, Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class DropExclusion(Operation):
    """Drops one exclusion constraint; `replaced_by` is the per-tenant one, which has to be there.

    What it was is journalled. Undo builds it again, under ACCESS EXCLUSIVE like every exclusion constraint, as long as
    no rows of two tenants stand against it.
    """

    kind: ClassVar[str] = "drop_exclusion"
    phase: ClassVar[Phase] = Phase.CONTRACT
    store: ClassVar[Store] = "postgres"

    old: Exclusion
    replaced_by: Exclusion
    lock: str = "ACCESS EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE, Hazard.IRREVERSIBLE, Hazard.BREAKS_ON_CONFLICT)

    def describe(self) -> str:
        """Return one line."""
        return f"drop exclusion {self.old.name} of {self.old.table.display}; {self.replaced_by.name} holds instead"

    def statements(self) -> tuple[str, ...]:
        """Return the drop."""
        return as_texts([self.old.drop()])

    def apply(self, ctx: Context) -> Outcome:
        """Journal what it was and drop it, unless it is gone. Errors: RefusedError when the per-tenant one is missing,
        or something depends on this one."""
        if not self.old.exists(ctx):
            return Outcome(planned=1, changed=0, note="gone already")
        if not self.replaced_by.exists(ctx):
            raise RefusedError(
                reason=f"cannot {self.describe()}: that one is not there.",
                remedy="Run `tenure apply --through constrain --allow LOCKS_TABLE` first.",
            )
        before = {
            "definition": self.old.definition,
            "constraint": self.old.name,
            "script": as_texts([self.old.add()]),
        }
        ctx.ledger.journal(self.id, "postgres", self.object, [({"exclusion": self.old.name}, before, None)])
        try:
            ctx.postgres.ddl([self.old.drop()], notify=lambda text: ctx.reporter.note(self.id, text))
        except errors.DependentObjectsStillExist as error:
            raise depended_on(self.describe(), error) from error
        return Outcome(planned=1, changed=1)

    def check(self, ctx: Context) -> Outcome:
        """Return left 1 while it is there."""
        return Outcome(left=int(self.old.exists(ctx)))

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return the pairs of rows that forbid the way back by now; else what it will keep waiting, and how much."""
        if self.old.exists(ctx):
            return
        table = table_sql(self.old.table).as_string(None)
        with ctx.postgres.connection() as connection:
            count, sample = self.old.conflicts(connection)
            size = connection.execute("SELECT pg_size_pretty(pg_table_size(to_regclass(%s)))", (table,)).fetchone()
        if count:
            yield say(
                "TEN031",
                "error",
                self.object,
                f"{counted(count)} pair(s) of rows meet by now, which {self.old.name} would forbid",
                "Only deleting or changing rows would bring it back; tenure does neither. Go forward instead.",
                count=count,
                sample=sample,
            )
            return
        yield say(
            "TEN034",
            "info",
            self.object,
            f"exclusion constraint {self.old.name} is built again under ACCESS EXCLUSIVE ({Hazard.LOCKS_TABLE}): "
            f"nobody reads or writes {self.old.table.display} until its index is there ({size[0] if size else '?'})",
            "Choose a quiet hour, as for `--allow LOCKS_TABLE` on the way forward: `tenure rollback` takes your word "
            "for this too.",
        )

    def undo(self, ctx: Context) -> Outcome:
        """Build it again as it was. Errors: OperationFailedError when rows stand against it by now."""
        if self.old.exists(ctx):
            return Outcome(note="still there")
        self.old.build(ctx, self.id, self.object)
        return Outcome(planned=1, changed=1)
