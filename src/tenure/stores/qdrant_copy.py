"""Whole points with their vectors, collections made alike, and aliases: what a copy of a collection needs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenure.errors import StoreError
from tenure.stores.qdrant import PointId, QdrantStore

# With vectors a page is megabytes: 500 points of 1,536 dimensions are about 10 MB of JSON.
WHOLE_PAGE = 500


@dataclass(frozen=True, slots=True)
class Whole:
    """A point with payload and vector, both as plain JSON values."""

    id: PointId
    payload: Mapping[str, Any]
    vector: Any


def whole_page(
    store: QdrantStore, collection: str, offset: PointId | None, *, vectors: bool = True
) -> tuple[list[Whole], PointId | None]:
    """Return a page of points with all their payload by id from *offset* on, and where the next one starts."""
    limit = min(WHOLE_PAGE if vectors else WHOLE_PAGE * 4, store.bounds(collection).page)
    records, following = store.call(
        collection,
        lambda client: client.scroll(collection, limit=limit, offset=offset, with_payload=True, with_vectors=vectors),
    )
    return [_whole(record) for record in records], _identity(following) if following is not None else None


def whole_pages(store: QdrantStore, collection: str, *, vectors: bool = True) -> Iterator[list[Whole]]:
    """Yield all points with all their payload, page by page."""
    offset: PointId | None = None
    while True:
        points, offset = whole_page(store, collection, offset, vectors=vectors)
        if points:
            yield points
        if offset is None:
            return


def fetch(store: QdrantStore, collection: str, ids: Sequence[PointId]) -> dict[PointId, Whole]:
    """Return those of the points *ids* that exist, whole."""
    found: dict[PointId, Whole] = {}
    for start in range(0, len(ids), WHOLE_PAGE):
        found.update({point.id: point for point in _fetch(store, collection, list(ids[start : start + WHOLE_PAGE]))})
    return found


def _fetch(store: QdrantStore, collection: str, ids: list[PointId]) -> list[Whole]:
    records = store.call(
        collection, lambda client: client.retrieve(collection, list(ids), with_payload=True, with_vectors=True)
    )
    return [_whole(record) for record in records]


def put(store: QdrantStore, collection: str, points: Sequence[Whole]) -> None:
    """Write whole points, replacing what has their ids."""
    for start in range(0, len(points), WHOLE_PAGE):
        chunk = points[start : start + WHOLE_PAGE]
        structs = [{"id": one.id, "payload": dict(one.payload), "vector": one.vector} for one in chunk]
        store.update(collection, [{"upsert": {"points": structs}}])


def remove(store: QdrantStore, collection: str, ids: Sequence[PointId]) -> None:
    """Delete points; what is gone already is no error."""
    limit = store.bounds(collection).ids
    for start in range(0, len(ids), limit):
        store.update(collection, [{"delete": {"filter": {"must": [{"has_id": list(ids[start : start + limit])}]}}}])


def as_stored(store: QdrantStore, collection: str, vector: Sequence[float]) -> Any:
    """Return a vector from elsewhere as the collection would give it back: under the name of its only vector where that
    has one, and of length 1 where it compares by cosine."""
    params = store.collection(collection).config.params.vectors
    named = dict(params) if isinstance(params, Mapping) else {}
    if len(named) > 1:
        raise StoreError(
            store="qdrant",
            problem=f"points of {collection} have several vectors ({', '.join(sorted(named))}), a column has one.",
            remedy="Leave `vectors` out: overwritten points are then listed as to be embedded again.",
        )
    config: Any = next(iter(named.values())) if named else params
    length = math.sqrt(sum(part * part for part in vector))
    cosine = str(getattr(config.distance, "value", config.distance)) == "Cosine"
    found = [part / length for part in vector] if cosine and length else list(vector)
    return {next(iter(named)): found} if named else found


def same(one: Whole, other: Whole, *, ignoring: Iterable[str] = ()) -> bool:
    """Return whether payload (but for the fields *ignoring*) and vector are equal; vectors to five digits, since cosine
    collections normalise what is written a second time."""
    left_out = set(ignoring)
    mine = {name: value for name, value in one.payload.items() if name not in left_out}
    theirs = {name: value for name, value in other.payload.items() if name not in left_out}
    return mine == theirs and _close(one.vector, other.vector)


def create_like(store: QdrantStore, source: str, target: str) -> None:
    """Create collection *target* with the configuration and the payload indexes of *source*, or finish doing so."""
    info = store.collection(source)
    config, params = info.config, info.config.params
    if params.sharding_method is not None and str(params.sharding_method.value) == "custom":
        raise StoreError(
            store="qdrant",
            problem=f"collection {source} is sharded by keys of the application, which a copy would not keep.",
            remedy="Copy it by hand, or keep its point ids (`ids: keep`).",
        )
    if target not in store.collections():
        diff: dict[str, Any] = {}
        if not store.local:
            diff = {
                "hnsw_config": _diff("HnswConfigDiff", config.hnsw_config),
                "optimizers_config": _diff("OptimizersConfigDiff", config.optimizer_config),
                "quantization_config": config.quantization_config,
                "strict_mode_config": _diff("StrictModeConfig", getattr(config, "strict_mode_config", None)),
                "shard_number": params.shard_number,
                "replication_factor": params.replication_factor,
                "write_consistency_factor": params.write_consistency_factor,
                "on_disk_payload": params.on_disk_payload,
            }
        store.call(
            target,
            lambda client: client.create_collection(
                target, vectors_config=params.vectors, sparse_vectors_config=params.sparse_vectors, **diff
            ),
        )
    for field, schema in (info.payload_schema or {}).items():
        if field not in store.indexes(target):
            _index_like(store, target, field, schema.params or schema.data_type)


def _index_like(store: QdrantStore, collection: str, field: str, schema: Any) -> None:
    store.call(collection, lambda client: client.create_payload_index(collection, field, schema, wait=True))


def drop(store: QdrantStore, collection: str) -> None:
    """Drop a collection; for tenure's own copies only."""
    store.call(collection, lambda client: client.delete_collection(collection))


def aliases(store: QdrantStore) -> dict[str, str]:
    """Return every alias with the collection that it stands for."""
    found = store.call("aliases", lambda client: client.get_aliases()).aliases
    return {one.alias_name: one.collection_name for one in found}


def alias_target(store: QdrantStore, alias: str) -> str | None:
    """Return the collection that *alias* stands for, or None."""
    return aliases(store).get(alias)


def point_alias(store: QdrantStore, alias: str, target: str | None) -> None:
    """Make *alias* stand for *target* (None: for nothing), in one step that readers see wholly or not at all."""
    from qdrant_client import models

    actions: list[Any] = []
    if alias_target(store, alias) is not None:
        actions.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
    if target is not None:
        create = models.CreateAlias(collection_name=target, alias_name=alias)
        actions.append(models.CreateAliasOperation(create_alias=create))
    if actions:
        # A repetition after a lost answer would find the alias moved already, so what counts is where it ends up.
        try:
            store.call(alias, lambda client: client.update_collection_aliases(actions))
        except StoreError:
            if alias_target(store, alias) != target:
                raise


def _whole(record: Any) -> Whole:
    return Whole(_identity(record.id), record.payload or {}, _plain(record.vector) if record.vector is not None else {})


def _identity(value: Any) -> PointId:
    return value if isinstance(value, int | str) else str(value)


def _plain(vector: Any) -> Any:
    if hasattr(vector, "model_dump"):
        return vector.model_dump()
    if isinstance(vector, dict):
        return {name: _plain(part) for name, part in vector.items()}
    return vector


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)
    if one == other:
        return True
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        if any(isinstance(part, list) for part in one):
            return all(map(_close, one, other))
        return all(map(_near, one, other))
    return False


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 + 1e-5 * abs(other)


def _diff(name: str, config: Any) -> Any:
    """Return a configuration as the value that sets it."""
    if config is None:
        return None
    from qdrant_client import models

    cls = getattr(models, name)
    fields = {
        field: value for field, value in config.model_dump(exclude_none=True).items() if field in cls.model_fields
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls.model_validate(fields)
