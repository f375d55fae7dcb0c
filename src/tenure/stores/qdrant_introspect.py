"""Reads a Qdrant server, or a local-mode directory, into a `QdrantCatalog`."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from qdrant_client import QdrantClient, models

from tenure.catalog.qdrant import Collection, PayloadField, PayloadIndex, QdrantCatalog

SAMPLE = 1000
"""How many points of a collection are looked at, at most, to learn its payload fields."""

STRETCHES = 20
"""In how many stretches, spread over the ids, a sample is taken: fields come and go with the age of points."""

_LARGEST_UUID = (1 << 128) - 1
_NESTING = 8


def introspect_qdrant(client: QdrantClient) -> QdrantCatalog:
    """Return every collection that *client* sees; nothing is written.

    Local mode has no payload indexes, strict mode or shards: there they come out empty, and `local` is set.
    Raises what qdrant_client raises where the server fails.
    """
    aliases: dict[str, list[str]] = defaultdict(list)
    for alias in client.get_aliases().aliases:
        aliases[alias.collection_name].append(alias.alias_name)
    names = sorted(description.name for description in client.get_collections().collections)
    options = client.init_options
    return QdrantCatalog(
        version=client.info().version,
        local=options.get("location") == ":memory:" or options.get("path") is not None,
        collections=tuple(_collection(client, name, tuple(sorted(aliases[name]))) for name in names),
    )


def _collection(client: QdrantClient, name: str, aliases: tuple[str, ...]) -> Collection:
    info = client.get_collection(name)
    params = info.config.params
    strict = info.config.strict_mode_config
    points = client.count(name, exact=True).count
    page = min(100, (strict.max_query_limit if strict and strict.enabled else None) or 100)
    return Collection(
        name=name,
        aliases=aliases,
        points=points,
        status=info.status.value,
        optimizer_ok=info.optimizer_status == models.OptimizersStatusOneOf.OK,
        vectors=_canonical(params.vectors),
        sparse_vectors=_canonical(params.sparse_vectors),
        fields=_fields([record.payload or {} for record in _sample(client, name, points, page)]),
        indexes=tuple(
            PayloadIndex(
                field=field, kind=index.data_type.value, is_tenant=bool(getattr(index.params, "is_tenant", None))
            )
            for field, index in sorted(info.payload_schema.items())
        ),
        shard_number=params.shard_number or 1,
        sharding=params.sharding_method.value if params.sharding_method else "auto",
        replication_factor=params.replication_factor or 1,
        strict_mode=_canonical(strict) if strict else None,
        on_disk_payload=bool(params.on_disk_payload),
    )


def _canonical(value: BaseModel | Mapping[str, BaseModel] | None) -> str:
    """One JSON text for one configuration: sorted keys, and no word on what is not set."""
    if isinstance(value, BaseModel):
        plain: Any = value.model_dump(mode="json", exclude_none=True)
    else:
        plain = {name: item.model_dump(mode="json", exclude_none=True) for name, item in (value or {}).items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def _sample(client: QdrantClient, name: str, points: int, page: int) -> list[models.Record]:
    """Up to SAMPLE points: all of a small collection, else stretches from places spread over both sorts of ids.

    Scrolling starts at the first id that is not less than the offset, numbers before UUIDs, so an offset need not
    exist. The same points come out every time, which a random sample would not give.
    """
    if points <= SAMPLE:
        return list(_scroll(client, name, None, SAMPLE, page))
    offsets: list[models.ExtendedPointId] = [
        str(UUID(int=_LARGEST_UUID * place // STRETCHES)) for place in range(STRETCHES)
    ]
    if (largest := _largest_number(client, name)) is not None:
        offsets += [largest * place // STRETCHES for place in range(STRETCHES)]
    found: dict[models.ExtendedPointId, models.Record] = {}
    for offset in offsets:
        for record in _scroll(client, name, offset, SAMPLE // len(offsets), page):
            found[record.id] = record
    return list(found.values())


def _scroll(
    client: QdrantClient, name: str, offset: models.ExtendedPointId | None, limit: int, page: int
) -> Iterator[models.Record]:
    while limit > 0:
        records, offset = client.scroll(
            name, limit=min(limit, page), offset=offset, with_payload=True, with_vectors=False
        )
        yield from records
        limit -= len(records)
        if offset is None:
            return


def _largest_number(client: QdrantClient, name: str) -> int | None:
    """A numeric id of the collection that is about its largest (within a thirtieth); None without numeric ids."""

    def at_or_after(number: int) -> int | None:
        records, _ = client.scroll(name, limit=1, offset=number, with_payload=False, with_vectors=False)
        return records[0].id if records and isinstance(records[0].id, int) else None

    largest = at_or_after(0)
    for bits in range(64):
        if largest is None or (found := at_or_after(1 << bits)) is None:
            break
        largest = found
    for halvings in range(1, 6):
        if largest is not None and (found := at_or_after(largest + (largest >> halvings))) is not None:
            largest = found
    return largest


def _fields(payloads: list[dict[str, Any]]) -> tuple[PayloadField, ...]:
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for payload in payloads:
        for path, value in _walk(payload, "", 1):
            types[path][payload_type(value)] += 1
    return tuple(
        PayloadField(name=name, types=tuple(sorted(counts.items())), seen=counts.total(), of=len(payloads))
        for name, counts in sorted(types.items())
    )


def _walk(payload: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in payload.items():
        path = prefix + _step(key)
        yield path, value
        if isinstance(value, dict) and depth < _NESTING:
            yield from _walk(value, path + ".", depth + 1)


def _step(key: str) -> str:
    """A key as a step of Qdrant's JSON paths: one that has a path's own signs in it is quoted, as Qdrant does."""
    return f'"{key}"' if not key or re.search(r'[.\[\]"]', key) else key


def payload_type(value: Any) -> str:
    """Return the type of a payload *value* in the catalog's words: str, int, float, bool, null, list or dict."""
    return "null" if value is None else type(value).__name__
