"""Reads a collection's snapshot without a server: by Qdrant's engine from its wheel (extra `demo`), shard by shard."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenure.backup.fingerprint import Sums
from tenure.backup.manifest import Entry
from tenure.backup.qdrant import PAYLOADS
from tenure.backup.qdrant_values import payload_hash
from tenure.backup.work import Work
from tenure.errors import BackupError

_PAGE = 500


def unpacked_sums(entry: Entry, work: Work) -> Sums:
    """Return the sums of the points in a snapshot, by id and payload; their vectors are read too.

    Errors: BackupError when the engine cannot read it.
    """
    name = entry.detail["name"] + PAYLOADS
    added = Sums()
    added.open(name)
    for point in _points(work.directory / entry.files[1].path, entry.detail["name"]):
        added.add(name, payload_hash({"i": point["id"], "p": point["payload"] or {}}))
        if added.items % _PAGE == 0:
            work.check()
    return added


def _points(snapshot: Path, collection: str) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="tenure-snapshot-") as folder:
        root = Path(folder)
        with tarfile.open(snapshot) as archive:
            archive.extractall(root / "collection", filter="data")
        shards = sorted(path for path in (root / "collection").iterdir() if path.name.isdigit())
        for shard in shards:
            yield from _shard_points(shard, root / f"shard-{shard.name}", collection)


def _shard_points(source: Path, target: Path, collection: str) -> Iterator[dict[str, Any]]:
    import qdrant_edge as edge

    from tenure.demo.servers.qdrant_host.reads import scroll

    # The engine unpacks a shard's snapshot, which is what a folder of a collection's snapshot is once it is an archive.
    packed = target.with_suffix(".snapshot")
    with tarfile.open(packed, "w") as archive:
        for path in sorted(source.iterdir()):
            archive.add(path, arcname=path.name)
    try:
        edge.EdgeShard.unpack_snapshot(str(packed), str(target))
        shard = edge.EdgeShard.load(str(target))
    except Exception as error:  # the engine raises nothing more precise
        raise BackupError(
            problem=f"the snapshot of {collection} cannot be read by the engine: {error}.",
            remedy="Rehearse an export instead (`tenure backup --qdrant export`).",
        ) from error
    try:
        offset = None
        while True:
            page = scroll(shard, {"limit": _PAGE, "offset": offset, "with_vector": True})
            yield from page["points"]
            offset = page["next_page_offset"]
            if offset is None:
                return
    finally:
        shard.close()
