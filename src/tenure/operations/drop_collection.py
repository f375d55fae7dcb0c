"""Drops a collection that its re-keyed copy has replaced: the one step of Qdrant that cannot be taken back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tenure.errors import RefusedError
from tenure.operations.point_copies import Rekeying
from tenure.operations.point_map import digest, point_map
from tenure.operations.switched import switch_of
from tenure.stores import qdrant_copy as copies
from tenure.stores.qdrant import PointId, QdrantStore
from tenure.values import Finding, Hazard, Outcome, Phase

if TYPE_CHECKING:
    from tenure.runner.context import Context
    from tenure.stores.postgres import PostgresStore

SAMPLE = 5
DROPPING = "dropping"


class DropCollection(Rekeying):
    """Drops collection `collection`, once readers use `target` and nobody writes to it any more."""

    kind: ClassVar[str] = "drop_collection"
    phase: ClassVar[Phase] = Phase.CONTRACT
    reversible: ClassVar[bool] = False

    planned: int | None = 1
    hazards: tuple[Hazard, ...] = (Hazard.IRREVERSIBLE,)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"drop collection {self.collection}, which {self.target} has replaced"

    def statements(self) -> tuple[str, ...]:
        """Return the Python a DBA would run; `client` is a QdrantClient."""
        return (f"client.delete_collection({self.collection!r})",)

    def apply(self, ctx: Context) -> Outcome:
        """Drop it. Errors: RefusedError while the switch is not done, something else reads it, or it was written to
        since."""
        store = ctx.qdrant
        if self.collection not in store.collections():
            return Outcome(planned=1, note="gone already")
        if switch_of(ctx.ledger, self.collection) is None or not self.at_target(ctx):
            raise self._refused(
                f"alias {self.alias} does not stand for {self.target}", "Run `tenure apply --through cutover` first."
            )
        if self.target not in store.collections():
            raise self._refused(f"{self.target} is not there", "Find out who dropped it; this is what is left of it.")
        others = [name for name, stands_for in copies.aliases(store).items() if stands_for == self.collection]
        if others:
            raise self._refused(
                f"aliases still stand for it: {', '.join(sorted(others))}", f"Move them to {self.target}."
            )
        count, sample = written_since(ctx.postgres, store, self, SAMPLE)
        if count:
            raise self._refused(
                f"{count} of its points were written or deleted since readers use {self.target}, such as "
                f"{', '.join(map(str, sample))}",
                f"Let that writer use the alias {self.alias}, and write these points again; or drop the collection by "
                "hand.",
            )
        points = store.count(self.collection)
        ctx.ledger.journal(
            self.id,
            "qdrant",
            self.collection,
            [({DROPPING: self.collection}, {"points": points, "script": self._script()}, None)],
        )
        copies.drop(store, self.collection)
        return Outcome(planned=1, changed=1, note=f"{points} points under their old ids")

    def check(self, ctx: Context) -> Outcome:
        """Return left 1 while it is there."""
        return Outcome(left=int(self.collection in ctx.qdrant.collections()))

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return the error that forbids a rollback once it is dropped."""
        if self.collection not in ctx.qdrant.collections():
            yield Finding(
                id="TEN122",
                severity="error",
                store="qdrant",
                object=self.collection,
                title=f"the collection was dropped: its points are in {self.target} only, under new ids",
                count=1,
                sample=(self.target,),
                remedy="Go forward; or restore the backup that was taken before.",
            )

    def undo(self, ctx: Context) -> Outcome:
        """Find it there. Errors: RefusedError when it was dropped."""
        if self.collection not in ctx.qdrant.collections():
            raise self._refused("it was dropped", "Restore the backup that was taken before.")
        return Outcome(note="the collection was not dropped")

    def _script(self) -> list[str]:
        """Return the Python that makes it again from its copy; what was overwritten in it before is not in there."""
        return [
            f"# create {self.collection!r} with the configuration and the payload indexes of {self.target!r}, then for "
            "each (old, new) of SELECT p->>0, p->>1 FROM tenure.journal, jsonb_array_elements(item->'ids') AS p "
            f"WHERE operation = 'qdrant.rekey_points.{self.collection}':\n"
            f"(point,) = client.retrieve({self.target!r}, [new], with_payload=True, with_vectors=True)\n"
            f"client.upsert({self.collection!r}, [models.PointStruct(id=old, payload=point.payload, "
            "vector=point.vector)], wait=True)"
        ]

    def _refused(self, reason: str, remedy: str) -> RefusedError:
        return RefusedError(reason=f"cannot {self.describe()}: {reason}.", remedy=remedy)


def written_since(
    postgres: PostgresStore, store: QdrantStore, switch: Rekeying, sample: int
) -> tuple[int, tuple[PointId, ...]]:
    """Return how many points of a replaced collection are not as they were at the switch, by payload, and some ids."""
    key = switch.spec.key.name
    count = 0
    listed: list[PointId] = []

    def note(point: PointId) -> None:
        nonlocal count
        count += 1
        if len(listed) < sample:
            listed.append(point)

    with point_map(postgres, switch) as known:
        for page in copies.whole_pages(store, switch.collection, vectors=False):
            moved = known.by_old([point.id for point in page])
            for point in page:
                now = digest(point.payload, key)
                if all(one.digest != now for one in moved.get(point.id, ())):
                    note(point.id)
            known.seen(point.id for point in page)
        for old in known.unseen():
            note(old)
    return count, tuple(listed)
