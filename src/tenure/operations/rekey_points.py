"""Moves readers and writers of a collection to its copy under new ids, at cutover; and back, with what they wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from tenure.errors import OperationFailedError, RefusedError
from tenure.operations.copy_points import CopyPoints
from tenure.operations.point_copies import LostVectors, Rekeying
from tenure.operations.point_map import PASS, digest
from tenure.operations.point_return import carry_back, obstacles
from tenure.operations.switched import switch_of
from tenure.stores import qdrant_copy as copies
from tenure.stores.qdrant import PointId
from tenure.stores.qdrant_copy import Whole
from tenure.values import Finding, Hazard, Outcome, Phase

if TYPE_CHECKING:
    from tenure.runner.context import Context

__all__ = ["LostVectors", "RekeyPoints"]

PASSES = 3
SAMPLE = 10


class RekeyPoints(Rekeying):
    """Catches the copy up inside the fence and makes `alias` stand for it."""

    kind: ClassVar[str] = "rekey_points"
    phase: ClassVar[Phase] = Phase.CUTOVER
    online: ClassVar[bool] = False

    hazards: tuple[Hazard, ...] = (Hazard.NEEDS_FENCE,)
    waiting: str = "re-keying comes with cutover"

    @property
    def copy_operation(self) -> CopyPoints:
        """The operation that makes the copy."""
        shared = {name: getattr(self, name) for name in Rekeying.model_fields if name not in ("hazards", "waiting")}
        return CopyPoints(**{name: value for name, value in shared.items() if name not in ("planned", "lock")})

    def describe(self) -> str:
        """Return one line for a person."""
        if self.alias is None:
            return (
                f"collection {self.collection} is read by its own name, which cannot be moved to {self.target}: "
                "let the application use an alias, and name it in the playbook"
            )
        return f"move alias {self.alias} from collection {self.collection} to {self.target}, its copy under new ids"

    def statements(self) -> tuple[str, ...]:
        """Return the switch that a DBA would run; `client` is a QdrantClient."""
        if self.alias is None:
            return ()
        return (
            "client.update_collection_aliases([\n"
            f"    models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name={self.alias!r})),\n"
            "    models.CreateAliasOperation(create_alias=models.CreateAlias(\n"
            f"        collection_name={self.target!r}, alias_name={self.alias!r}))])",
        )

    def apply(self, ctx: Context) -> Outcome:
        """Catch up until nothing is new, keep the id map, switch. Errors: RefusedError, OperationFailedError when a
        writer still writes or a point has no new id."""
        if self.waiting:
            raise RefusedError(reason=f"{self.describe()}: {self.waiting}.", remedy="Nothing was changed.")
        if self.alias is None:
            raise RefusedError(reason=f"{self.describe()}.", remedy="Nothing was changed.")
        store, copy = ctx.qdrant, self.copy_operation
        before = copies.alias_target(store, self.alias)
        if before == self.target:
            return Outcome(note="the alias is there already")
        if self.alias in store.collections():
            raise RefusedError(
                reason=f"{self.alias} is the name of a collection, so no alias can be called so.",
                remedy="Name the alias that the application uses, or let it use one.",
            )
        moved = 0

        key = self.spec.key.name

        def keep(pairs: Sequence[tuple[PointId, Whole]]) -> None:
            nonlocal moved
            moved += len(pairs)
            entries = [[old, new.id, digest(new.payload, key), new.payload[key]] for old, new in pairs]
            ctx.ledger.journal(self.id, "qdrant", self.collection, [({"ids": entries}, None, None)])

        for number in range(PASSES):
            # The map of each pass is kept; the last one, which found nothing new, is the one that counts.
            ctx.ledger.journal(self.id, "qdrant", self.collection, [({PASS: number}, None, None)])
            moved = 0
            outcome = copy.synchronise(ctx, each=keep)
            if outcome.changed == 0 or outcome.left:
                break
        if outcome.changed or outcome.left:
            raise OperationFailedError(
                operation=self.describe(),
                object=self.collection,
                planned=self.planned or 0,
                changed=0,
                left=outcome.changed + outcome.left,
                problem=outcome.note or "The collection changes all the time: a writer still runs.",
            )
        ctx.ledger.journal(self.id, "qdrant", self.collection, [({"alias": self.alias}, before, self.target)])
        copies.point_alias(store, self.alias, self.target)
        return Outcome(planned=moved, changed=moved, note=outcome.note)

    def check(self, ctx: Context) -> Outcome:
        """Return left 1 while the alias does not stand for the copy."""
        return Outcome(left=0 if self.at_target(ctx) else 1)

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return the points that would meet others under one id, and an alias that somebody else has moved since."""
        if self.alias is None:
            return
        now = copies.alias_target(ctx.qdrant, self.alias)
        if now == self.target:
            if self.collection not in ctx.qdrant.collections():
                return  # what dropped it says so
            blocking = obstacles(ctx, self)
            if blocking:
                yield Finding(
                    id="TEN121",
                    severity="error",
                    store="qdrant",
                    object=self.collection,
                    title=f"{len(blocking)} point(s) of {self.target} would meet others in it",
                    count=len(blocking),
                    sample=tuple(blocking[:SAMPLE]),
                    remedy="Save these points elsewhere or delete them, then roll back again.",
                )
        elif switch_of(ctx.ledger, self.collection) is not None and now != self.collection:
            yield Finding(
                id="TEN121",
                severity="error",
                store="qdrant",
                object=self.collection,
                title=f"alias {self.alias} stands for {now} by now, which tenure did not do",
                count=1,
                remedy=f"Move the alias back to {self.target}, then roll back again.",
            )

    def undo(self, ctx: Context) -> Outcome:
        """Carry back what was written and deleted since the switch, then move the alias back. Errors: RefusedError when
        two points would meet under one id."""
        if self.alias is None or not self.at_target(ctx):
            return Outcome(note="the alias was not moved")
        alias = next(entry for entry in ctx.ledger.journal_entries(self.id) if "alias" in entry[0])
        carried = carry_back(ctx, self)
        copies.point_alias(ctx.qdrant, self.alias, alias[1])
        return Outcome(planned=carried, changed=carried, note="" if carried else "nothing was written since")
