"""What introspection found in Qdrant, as frozen values.

Payload fields come from a sample of up to 1,000 points spread over the collection (`seen` of `of` had the field): a
field that is not listed may still exist on other points. Point counts are exact.
"""

from __future__ import annotations

from typing import ClassVar

from tenure.catalog.value import Value


class PayloadField(Value):
    """One payload field seen in a sample; nested ones are written `metadata.project_id`.

    `types` are pairs of a type (str, int, float, bool, null, list, dict) and how often it was seen, sorted by type.
    """

    measured: ClassVar[frozenset[str]] = frozenset({"types", "seen", "of"})

    name: str
    types: tuple[tuple[str, int], ...] = ()
    seen: int = 0
    of: int = 0


class PayloadIndex(Value):
    """One payload index; `kind` is keyword, uuid, integer, float, bool, geo, datetime or text."""

    field: str
    kind: str
    is_tenant: bool = False


class Collection(Value):
    """One collection.

    `vectors`, `sparse_vectors` and `strict_mode` are canonical JSON texts (sorted keys, nulls left out). `status` is
    green, yellow, grey or red. `sharding` is auto or custom.
    """

    measured: ClassVar[frozenset[str]] = frozenset({"points", "status", "optimizer_ok", "fields"})

    name: str
    aliases: tuple[str, ...] = ()
    points: int = 0
    status: str = "green"
    optimizer_ok: bool = True
    vectors: str = "{}"
    sparse_vectors: str = "{}"
    fields: tuple[PayloadField, ...] = ()
    indexes: tuple[PayloadIndex, ...] = ()
    shard_number: int = 1
    sharding: str = "auto"
    replication_factor: int = 1
    strict_mode: str | None = None
    on_disk_payload: bool = False

    def index(self, field: str) -> PayloadIndex | None:
        """The payload index on *field*, or None."""
        return next((index for index in self.indexes if index.field == field), None)

    def field(self, name: str) -> PayloadField | None:
        """The sampled field called *name*, or None."""
        return next((found for found in self.fields if found.name == name), None)


class QdrantCatalog(Value):
    """Every collection of one Qdrant. `local` says that it is a local-mode directory, which has no payload indexes."""

    measured: ClassVar[frozenset[str]] = frozenset({"version"})

    version: str
    local: bool = False
    collections: tuple[Collection, ...] = ()

    def collection(self, name: str) -> Collection | None:
        """The collection called *name*, directly or by an alias, or None."""
        by_name = next((found for found in self.collections if found.name == name), None)
        return by_name or next((found for found in self.collections if name in found.aliases), None)
