"""The index that tenant-scoped reads use, built when the rows are keyed: before that it would halve the backfill."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tenure.operations.base import Operation
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.text import as_texts
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class KeyIndex(Operation):
    """An index on the key alone; `SurrogateUnique` and `RescopeUnique` lead with the key and make it unnecessary."""

    kind: ClassVar[str] = "key_index"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    store: ClassVar[Store] = "postgres"

    index: IndexBuild
    lock: str = "SHARE UPDATE EXCLUSIVE"
    hazards: tuple[Hazard, ...] = (Hazard.INDEX_BUILD,)

    def describe(self) -> str:
        """Return one line."""
        return f"index {self.index.name} on {self.index.table.display}"

    def statements(self) -> tuple[str, ...]:
        """Return the index builds."""
        return as_texts(self.index.statements())

    def apply(self, ctx: Context) -> Outcome:
        """Build it unless it is there and valid."""
        built = self.index.build(ctx, self.id, self.object)
        return Outcome(planned=1, changed=1, note="" if built else "was there")

    def undo(self, ctx: Context) -> Outcome:
        """Drop it."""
        self.index.drop(ctx)
        return Outcome(planned=1, changed=1)


class SurrogateUnique(KeyIndex):
    """A unique index on the key and a surrogate primary key, which composite foreign keys point at; the key stays."""

    kind: ClassVar[str] = "surrogate_unique"

    def describe(self) -> str:
        """Return one line."""
        return f"unique {self.index.name} on {self.index.table.display} for composite foreign keys"
