"""Creates the tenant index of a collection, before its points get their keys: segments are then rebuilt only once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tenure.operations.base import Operation
from tenure.stores.qdrant import Index, path
from tenure.values import Outcome, Phase, Store, TenantKey

if TYPE_CHECKING:
    from tenure.runner.context import Context

_UNDONE = "undone"


class TenantIndex(Operation):
    """A payload index on the tenant key with `is_tenant`: keyword, or uuid for uuid keys."""

    kind: ClassVar[str] = "tenant_index"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "qdrant"

    collection: str
    key: TenantKey

    @property
    def index(self) -> Index:
        """The index that is wanted."""
        kind: Literal["uuid", "keyword"] = "uuid" if self.key.type == "uuid" else "keyword"
        return Index(kind=kind, is_tenant=True)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"create the {self.index.kind} index on {self.key.name} of collection {self.collection}, as tenant index"

    def statements(self) -> tuple[str, ...]:
        """Return the Python a DBA would run; `client` is a QdrantClient."""
        params = "UuidIndexParams" if self.index.kind == "uuid" else "KeywordIndexParams"
        return (
            f"client.create_payload_index({self.collection!r}, field_name={path(self.key.name)!r}, "
            f"field_schema=models.{params}(type={self.index.kind!r}, is_tenant=True), wait=True)",
        )

    def apply(self, ctx: Context) -> Outcome:
        """Create it, adopt an equivalent one, replace one of other parameters; the ledger knows which it was."""
        store, field = ctx.qdrant, path(self.key.name)
        if store.local:
            store.collection(self.collection)
            return Outcome(note="a local-mode directory has no payload indexes: nothing to create")
        found = store.indexes(self.collection).get(field)
        if found == self.index:
            return Outcome(note="the tenant index was there already and is kept")
        before = {"kind": found.kind, "is_tenant": found.is_tenant} if found is not None else None
        after = {"kind": self.index.kind, "is_tenant": True}
        ctx.ledger.journal(self.id, "qdrant", self.collection, [(field, before, after)])
        if found is not None:
            store.drop_index(self.collection, field)
        store.create_index(self.collection, field, self.index.kind, is_tenant=True)
        note = f"replaced the {_words(found)}" if found is not None else ""
        return Outcome(planned=1, changed=1, note=note)

    def check(self, ctx: Context) -> Outcome:
        """Return left 1 while the index is not there with these parameters."""
        if ctx.qdrant.local:
            return Outcome(note="a local-mode directory has no payload indexes")
        found = ctx.qdrant.indexes(self.collection).get(path(self.key.name))
        return Outcome(left=0 if found == self.index else 1)

    def undo(self, ctx: Context) -> Outcome:
        """Drop the index if tenure created it, and create again the one that it replaced."""
        store, field = ctx.qdrant, path(self.key.name)
        written = _since_undo(ctx, self.id)
        if store.local or not written:
            return Outcome(note="the index was not created by tenure and stays")
        before: dict[str, Any] | None = written[-1][0]
        if store.indexes(self.collection).get(field) is not None:
            store.drop_index(self.collection, field)
        if before is not None and before["kind"] in ("keyword", "uuid"):
            store.create_index(self.collection, field, before["kind"], is_tenant=before["is_tenant"])
            note = "the index that was there before is back"
        else:
            note = f"an index of kind {before['kind']} was there before: create it again" if before is not None else ""
        ctx.ledger.journal(self.id, "qdrant", self.collection, [(field, None, _UNDONE)])
        return Outcome(planned=1, changed=1, note=note)


def _since_undo(ctx: Context, operation: str) -> list[tuple[Any, Any]]:
    """Return (before, after) of what was done since the last undo, the newest first."""
    done: list[tuple[Any, Any]] = []
    for _, before, after in ctx.ledger.journal_entries(operation):
        if after == _UNDONE:
            break
        done.append((before, after))
    return done


def _words(index: Index) -> str:
    return f"{index.kind} index {'with' if index.is_tenant else 'without'} is_tenant that was there"
