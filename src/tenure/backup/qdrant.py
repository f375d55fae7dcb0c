"""Backs Qdrant's collections up: by snapshots where a server makes them, else by an export of every point.

Neither is a picture of one moment over several collections; an export is not even one of one collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from tenure.backup.files import write_text, writing
from tenure.backup.fingerprint import Sums, compact
from tenure.backup.manifest import BackupFile, Entry, Growing, Source
from tenure.backup.qdrant_snapshots import Snapshots
from tenure.backup.qdrant_values import encode, full_hash, payload_hash
from tenure.backup.work import Work, now
from tenure.errors import StoreError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from tenure.stores.qdrant import QdrantStore

Method = Literal["auto", "snapshot", "export"]

ALIASES = "aliases"
# Says of a fingerprint that it leaves the vectors out: a snapshot's own checksum vouches for them.
PAYLOADS = " (ids and payloads)"
# Numbers of vectors that one page may carry, so that it stays at a few megabytes.
_NUMBERS = 500_000
_SAMPLE = 50


def source(store: QdrantStore) -> Source:
    """Return where the backup comes from."""
    return Source(address=store.address, version=store.version(), detail={"local": store.local})


def estimate(store: QdrantStore) -> int:
    """Return about how many bytes an export will take: a sample's share for each collection."""
    total = 0
    for name in store.collections():
        limit = min(_SAMPLE, page_size(store, name))

        def few(client: QdrantClient, name: str = name, limit: int = limit) -> list[Any]:
            return client.scroll(name, limit=limit, with_vectors=True)[0]

        records = store.call(name, few)
        sample = sum(len(compact(encode(record))) for record in records)
        total += store.count(name) * sample // max(1, len(records))
    return total


def page_size(store: QdrantStore, name: str) -> int:
    """Return how many points of a collection with their vectors make a page of a few megabytes."""
    params = store.collection(name).config.params
    vectors = params.vectors if isinstance(params.vectors, dict) else {"": params.vectors}
    width = sum((vector.size * (8 if vector.multivector_config else 1)) for vector in vectors.values() if vector)
    width += 256 * len(params.sparse_vectors or {})
    return max(1, min(1000, _NUMBERS // max(1, width), store.bounds(name).page))


def points(store: QdrantStore, name: str, *, vectors: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the points of a collection as JSON data, by id."""
    limit, offset = page_size(store, name), None
    while True:

        def page(client: Any, offset: Any = offset) -> Any:
            return client.scroll(name, limit=limit, offset=offset, with_payload=True, with_vectors=vectors)

        records, offset = store.call(name, page)
        for record in records:
            yield encode(record)
        if offset is None:
            return


def configuration(store: QdrantStore, name: str) -> dict[str, Any]:
    """Return all that makes an empty collection the same: its configuration and its payload indexes."""
    info = store.collection(name)
    return {
        "config": info.config.model_dump(mode="json", exclude_none=True),
        "indexes": {
            field: index.params.model_dump(mode="json", exclude_none=True) if index.params else index.data_type.value
            for field, index in sorted(info.payload_schema.items())
        },
    }


def back_up(
    store: QdrantStore,
    work: Work,
    growing: Growing,
    *,
    url: str,
    api_key: str | None = None,
    method: Method = "auto",
) -> None:
    """Back every collection up, adding each to *growing*; those that it has already are kept.

    Errors: StoreError, also where snapshots are demanded and the server has none; BackupInterruptedError.
    """
    snapshots = None if method == "export" or store.local else Snapshots(url, api_key)
    if snapshots is None and method == "snapshot":
        raise StoreError(store="qdrant", problem="a local-mode directory has no snapshots.", remedy="Use an export.")
    with snapshots or contextlib.nullcontext():
        if snapshots is not None and method == "auto" and not snapshots.fit(store.collections()):
            snapshots = None
        names = store.collections()
        growing.keep_only("qdrant", [f"collection {name}" for name in names])
        for name in names:
            work.check()
            if growing.entry("qdrant", f"collection {name}") is not None:
                continue
            taken = _snapshot(store, name, work, snapshots) if snapshots is not None else _export(store, name, work)
            growing.add(taken)
    started = now()
    aliases = store.call("aliases", lambda client: client.get_aliases()).aliases
    found = {alias.alias_name: alias.collection_name for alias in sorted(aliases, key=lambda alias: alias.alias_name)}
    file = write_text(work.directory, "qdrant/aliases.json", json.dumps(found, indent=2, ensure_ascii=False))
    growing.add(_entry(ALIASES, "export", len(found), alias_fingerprints(found), (file,), started, {}))


def alias_fingerprints(aliases: dict[str, str]) -> dict[str, str]:
    """Return a fingerprint of each alias."""
    return {f"alias {alias}": f"1:{hashlib.sha256(name.encode()).hexdigest()[:32]}" for alias, name in aliases.items()}


def sums(store: QdrantStore, name: str, work: Work, *, vectors: bool) -> Sums:
    """Return the sum of a collection as it is now, with or without its vectors."""
    added = Sums()
    added.open(name if vectors else name + PAYLOADS)
    for point in points(store, name, vectors=vectors):
        added.add(*((name, full_hash(point)) if vectors else (name + PAYLOADS, payload_hash(point))))
        if added.items % 500 == 0:
            work.check()
    return added


def _export(store: QdrantStore, name: str, work: Work) -> Entry:
    started, stem = now(), file_stem(name)
    total = store.count(name)
    operation = f"qdrant {name}"
    work.reporter.start(operation, f"Qdrant: export of {name}", total)
    work.reporter.advance(operation, 0)
    described = _describe(store, name, work)
    added = Sums()
    added.open(name)
    with writing(work.directory, f"qdrant/{stem}.jsonl.gz") as written:
        for point in points(store, name):
            added.add(name, full_hash(point))
            written.line(compact(point))
            if added.items % 500 == 0:
                work.check()
                work.reporter.advance(operation, 500)
    assert written.file is not None
    work.reporter.finish(operation, f"{added.items:,} points")
    return _entry(
        f"collection {name}", "export", added.items, added.result(), (described, written.file), started, {"name": name}
    )


def _snapshot(store: QdrantStore, name: str, work: Work, snapshots: Snapshots) -> Entry:
    started, stem = now(), file_stem(name)
    operation = f"qdrant {name}"
    work.reporter.start(operation, f"Qdrant: snapshot of {name}", None)
    described = _describe(store, name, work)
    before = sums(store, name, work, vectors=False)
    file = snapshots.take(name, work, f"qdrant/{stem}.snapshot")
    after = sums(store, name, work, vectors=False)
    # Only where nothing was written meanwhile is it known what the snapshot holds.
    quiet = before.result() == after.result()
    work.reporter.finish(operation, f"{after.items:,} points")
    detail = {"name": name, "points_before": before.items, "points_after": after.items}
    return _entry(
        f"collection {name}",
        "snapshot",
        after.items,
        after.result() if quiet else {},
        (described, file),
        started,
        detail,
    )


def _describe(store: QdrantStore, name: str, work: Work) -> BackupFile:
    text = json.dumps(configuration(store, name), indent=2, ensure_ascii=False)
    return write_text(work.directory, f"qdrant/{file_stem(name)}.json", text)


def file_stem(name: str) -> str:
    """Return a file's name for a collection: what a collection may be called is not always what a file may."""
    return f"collection-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _entry(
    name: str,
    method: str,
    items: int,
    fingerprints: dict[str, str],
    files: tuple[BackupFile, ...],
    started: str,
    detail: dict[str, Any],
) -> Entry:
    return Entry(
        store="qdrant",
        object=name,
        method=method,
        items=items,
        fingerprints=fingerprints,
        files=files,
        started=started,
        finished=now(),
        detail=detail,
    )
