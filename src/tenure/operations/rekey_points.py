"""Moves the points of a collection to ids that no two tenants share, by a copy and a switch of the alias at cutover."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tenure.attribution.points import PointSpec
from tenure.errors import RefusedError
from tenure.operations.base import Operation
from tenure.values import Frozen, Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context


class LostVectors(Frozen):
    """Where the vector of an overwritten point is kept: an array column of the rows that drive the collection.

    `payload` are pairs of a payload field and the column it is rebuilt from; without any, columns of the same names.
    """

    table: TableName
    column: str
    payload: tuple[tuple[str, str], ...] = ()


class RekeyPoints(Operation):
    """Copies a collection to `target` under `uuid5(namespace, template)` ids, then moves `alias` to it."""

    kind: ClassVar[str] = "rekey_points"
    phase: ClassVar[Phase] = Phase.CUTOVER
    store: ClassVar[Store] = "qdrant"
    online: ClassVar[bool] = False

    collection: str
    spec: PointSpec
    template: str
    namespace: str
    target: str
    alias: str | None = None
    lost: LostVectors | None = None
    points: int = 0
    hazards: tuple[Hazard, ...] = (Hazard.NEEDS_FENCE, Hazard.REINDEXES_VECTORS)
    waiting: str = "re-keying comes with cutover"

    def describe(self) -> str:
        """Return one line for a person."""
        switch = f", then switch alias {self.alias} to it" if self.alias else ""
        return f"copy collection {self.collection} to {self.target} under ids of {self.template!r}{switch}"

    def statements(self) -> tuple[str, ...]:
        """Return the switch that a DBA would run; `client` is a QdrantClient. The copy has no statement of its own."""
        if self.alias is None:
            return ()
        return (
            f"client.update_collection_aliases([models.CreateAliasOperation(create_alias=models.CreateAlias("
            f"collection_name={self.target!r}, alias_name={self.alias!r}))])",
        )

    def apply(self, ctx: Context) -> Outcome:
        """Refuse: this operation waits. Errors: RefusedError."""
        raise RefusedError(reason=f"{self.describe()}: {self.waiting}.", remedy="Nothing was changed.")
