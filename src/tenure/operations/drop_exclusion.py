"""Drops a global exclusion constraint when the per-tenant one holds: tenants no longer stand in each other's way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from psycopg import errors

from tenure.errors import RefusedError
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
        """Return the pairs of rows that stand against it by now: they forbid the way back."""
        if self.old.exists(ctx):
            return
        with ctx.postgres.connection() as connection:
            count, sample = self.old.conflicts(connection)
        if count:
            yield Finding(
                id="TEN031",
                severity="error",
                store="postgres",
                object=self.object,
                title=f"{counted(count)} pair(s) of rows meet by now, which {self.old.name} would forbid",
                count=count,
                sample=sample,
                remedy="Only deleting or changing rows would bring it back; tenure does neither. Go forward instead.",
            )

    def undo(self, ctx: Context) -> Outcome:
        """Build it again as it was. Errors: OperationFailedError when rows stand against it by now."""
        if self.old.exists(ctx):
            return Outcome(note="still there")
        self.old.build(ctx, self.id, self.object)
        return Outcome(planned=1, changed=1)
