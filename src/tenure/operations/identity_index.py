"""Builds the range index that a backfill pages by, where a label has none on its identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tenure.errors import OperationFailedError
from tenure.operations.base import Operation
from tenure.operations.graph_schema import drop_index, find_index
from tenure.operations.text import short_name
from tenure.stores.cypher import quote
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class IdentityIndex(Operation):
    """Creates a range index on property `identity` of label `object`; an equal one of another name is enough."""

    kind: ClassVar[str] = "identity_index"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "neo4j"

    identity: str
    prefix: str = "CYPHER 5 "
    planned: int | None = 1
    hazards: tuple[Hazard, ...] = (Hazard.INDEX_BUILD,)
    lock: str = "label write lock for a moment at the start and at the end"

    @property
    def name(self) -> str:
        """The name of the index that tenure builds."""
        return short_name("tenure_idx", self.object, self.identity)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"index {self.object}.{self.identity}, so that the backfill can page by it"

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run."""
        return (f"{self.prefix}{self._create()};",)

    def apply(self, ctx: Context) -> Outcome:
        """Create the index and wait until it is online, or find an equal one. Errors: OperationFailedError."""
        if self._there(ctx):
            return Outcome(planned=1, note="there already")
        ctx.neo4j.schema(self._create())
        if not self._there(ctx):
            raise OperationFailedError(
                operation=self.id,
                object=self.object,
                planned=1,
                changed=0,
                left=1,
                problem=f"The index {self.name} is not online, or its name is taken by another.",
            )
        return Outcome(planned=1, changed=1)

    def check(self, ctx: Context) -> Outcome:
        """Return whether an index is there and online."""
        return Outcome(left=0 if self._there(ctx) else 1)

    def undo(self, ctx: Context) -> Outcome:
        """Drop the index if it is tenure's own."""
        return drop_index(ctx.neo4j, self.name)

    def _create(self) -> str:
        return (
            f"CREATE RANGE INDEX {quote(self.name)} IF NOT EXISTS FOR (n:{quote(self.object)}) "
            f"ON (n.{quote(self.identity)})"
        )

    def _there(self, ctx: Context) -> bool:
        return find_index(ctx.neo4j, "NODE", self.object, (self.identity,)) is not None
