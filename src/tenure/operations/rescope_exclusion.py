"""Builds the per-tenant form of an exclusion constraint beside the global one, which stays until contract."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, ClassVar

from psycopg import errors, sql

from tenure.operations.base import Operation
from tenure.operations.exclusion import Exclusion
from tenure.operations.text import as_texts
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

EXTENSION = "btree_gist"


class RescopeExclusion(Operation):
    """An exclusion constraint with `key WITH =` in front, everything else as the old one has it.

    Postgres builds its index inside ALTER TABLE, under ACCESS EXCLUSIVE: there is no concurrent build of one, and no
    index can be made one afterwards. So it needs consent (`LOCKS_TABLE`), and is done in constrain, that contract may
    drop the old one in milliseconds once the new one is proven. `extension`: its index is a GiST one, which takes the
    tenant key only with btree_gist; tenure creates that where it is missing, and undo takes it away again. `replaces`
    and `columns` are as in `RescopeUnique`. `adopted`: somebody built it before; it is used, and left there by undo.
    """

    kind: ClassVar[str] = "rescope_exclusion"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    store: ClassVar[Store] = "postgres"
    online: ClassVar[bool] = False

    new: Exclusion
    replaces: str
    extension: bool = False
    adopted: bool = False
    lock: str = "ACCESS EXCLUSIVE while its index is built"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE, Hazard.INDEX_BUILD, Hazard.LOCKS_TABLE)

    def describe(self) -> str:
        """Return one line."""
        return f"exclusion {self.new.name} per tenant beside {self.replaces} on {self.new.table.display}"

    def statements(self) -> tuple[str, ...]:
        """Return the extension that the index needs, and the constraint."""
        if self.adopted:
            return ()
        return as_texts([*([_create()] if self.extension else []), self.new.add()])

    def apply(self, ctx: Context) -> Outcome:
        """Build it unless it is there. Errors: OperationFailedError when rows stand against it."""
        if self.new.exists(ctx):
            return Outcome(planned=1, changed=1, note="was there")
        if self.extension and not self._installed(ctx):
            # Before it is made: what the journal names and nobody made, undo finds missing.
            ctx.ledger.journal(self.id, "postgres", self.object, [({"extension": EXTENSION}, None, "created")])
            ctx.postgres.ddl([_create()], notify=lambda text: ctx.reporter.note(self.id, text))
        self.new.build(ctx, self.id, self.object)
        return Outcome(planned=1, changed=1)

    def check(self, ctx: Context) -> Outcome:
        """Return left 1 while it is missing."""
        return Outcome(left=int(not self.new.exists(ctx)))

    def undo(self, ctx: Context) -> Outcome:
        """Drop it, and the extension where tenure created that and nothing else has come to need it."""
        if self.adopted:
            return Outcome(note="it was there before")
        notify = lambda text: ctx.reporter.note(self.id, text)  # noqa: E731
        if self.new.exists(ctx):
            ctx.postgres.ddl([self.new.drop()], notify=notify)
        note = ""
        if self._created(ctx):
            try:
                drop = sql.SQL("DROP EXTENSION IF EXISTS {}").format(sql.Identifier(EXTENSION))
                ctx.postgres.ddl([drop], notify=notify)
            except errors.DependentObjectsStillExist as error:
                note = f"extension {EXTENSION} stays: {error.diag.message_detail or 'others use it'}"
            with ctx.postgres.connection() as connection:
                # The next run must not take somebody else's for its own.
                connection.execute(
                    "DELETE FROM tenure.journal WHERE operation = %s AND item ->> 'extension' IS NOT NULL", (self.id,)
                )
        return Outcome(planned=1, changed=1, note=note)

    def _created(self, ctx: Context) -> bool:
        with closing(ctx.ledger.journal_entries(self.id)) as entries:
            return any("extension" in item for item, _, _ in entries)

    def _installed(self, ctx: Context) -> bool:
        with ctx.postgres.connection() as connection:
            query = "SELECT 1 FROM pg_extension WHERE extname = %s"
            return connection.execute(query, (EXTENSION,)).fetchone() is not None


def _create() -> sql.Composed:
    return sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(EXTENSION))
