"""Drops a global uniqueness when the per-tenant one holds: from then on two tenants may use one name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from psycopg import errors, sql

from tenure.attribution.rows import table_sql
from tenure.errors import RefusedError
from tenure.operations.base import Operation
from tenure.operations.old_unique import OldUnique
from tenure.operations.text import as_texts
from tenure.values import Finding, Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class DropUnique(Operation):
    """Drops one unique constraint or index; `replaced_by` is the per-tenant one.

    Where logical replication knows rows by the old one (`replica_identity`), it is told of the new one before. What it
    was is journalled. Undo builds it again, as long as no two tenants have used the same key.
    """

    kind: ClassVar[str] = "drop_unique"
    phase: ClassVar[Phase] = Phase.CONTRACT
    store: ClassVar[Store] = "postgres"

    old: OldUnique
    replaced_by: str
    replica_identity: bool = False
    lock: str = "ACCESS EXCLUSIVE, milliseconds (none for a bare index)"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE, Hazard.IRREVERSIBLE, Hazard.BREAKS_ON_CONFLICT)

    def describe(self) -> str:
        """Return one line."""
        return f"drop unique {self.old.index.name} of {self.old.index.table.display}; {self.replaced_by} holds instead"

    def statements(self) -> tuple[str, ...]:
        """Return the drop."""
        return as_texts([*self._identity(self.replaced_by), self.old.drop()])

    def _identity(self, index: str) -> list[sql.Composed]:
        if not self.replica_identity:
            return []
        return [
            sql.SQL("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}").format(
                table_sql(self.old.index.table), sql.Identifier(index)
            )
        ]

    def apply(self, ctx: Context) -> Outcome:
        """Journal what it was and drop it, unless it is gone. Errors: RefusedError when something depends on it."""
        if not self.old.exists(ctx):
            return Outcome(planned=1, changed=0, note="gone already")
        before = {
            "definition": self.old.definition,
            "constraint": self.old.constraint,
            "script": as_texts([*self.old.creation(), *self._identity(self.old.index.name)]),
        }
        ctx.ledger.journal(self.id, "postgres", self.object, [({"unique": self.old.index.name}, before, None)])
        notify = lambda text: ctx.reporter.note(self.id, text)  # noqa: E731
        bare = self.old.constraint is None and not self.old.index.leaves
        try:
            if self.replica_identity:
                ctx.postgres.ddl(self._identity(self.replaced_by), notify=notify)
            ctx.postgres.ddl([self.old.drop()], transaction=not bare, notify=notify)
        except errors.DependentObjectsStillExist as error:
            raise depended_on(self.describe(), error) from error
        return Outcome(planned=1, changed=1)

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return the keys that several rows share by now: they forbid the way back."""
        return [] if self.old.exists(ctx) else self.old.losses(ctx, self.object)

    def undo(self, ctx: Context) -> Outcome:
        """Build it again. Errors: OperationFailedError when rows share a key by now."""
        if self.old.exists(ctx):
            return Outcome(note="still there")
        if self.old.constraint is None or not self.old.index.leaves:
            self.old.index.build(ctx, self.id, self.object)
        notify = lambda text: ctx.reporter.note(self.id, text)  # noqa: E731
        if self.old.constraint is not None:
            ctx.postgres.ddl([self.old.attach()], notify=notify)
        if self.replica_identity:
            ctx.postgres.ddl(self._identity(self.old.index.name), notify=notify)
        return Outcome(planned=1, changed=1)


def depended_on(what: str, error: errors.DependentObjectsStillExist) -> RefusedError:
    """Return the refusal that names what still depends on a constraint; nothing is dropped with CASCADE."""
    return RefusedError(
        reason=f"cannot {what}: {error.diag.message_detail or error.diag.message_primary}.",
        remedy="Change or drop what depends on it, or keep the uniqueness in the playbook with a reason.",
    )
