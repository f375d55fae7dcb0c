"""Restores collections that are absent, from exports or snapshots, and compares them with what the manifest says."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.backup.files import lines
from tenure.backup.fingerprint import Sums
from tenure.backup.manifest import Entry, Manifest
from tenure.backup.qdrant import ALIASES, PAYLOADS, alias_fingerprints, file_stem, page_size, points, sums
from tenure.backup.qdrant_snapshots import Snapshots
from tenure.backup.qdrant_values import decode, full_hash, near
from tenure.backup.work import Work
from tenure.errors import RestoreTargetError

if TYPE_CHECKING:
    from tenure.stores.qdrant import QdrantStore

# What a description of a collection calls otherwise than the request that makes one.
_RENAMED = {"optimizer_config": "optimizers_config"}


def whole(store: QdrantStore, manifest: Manifest, work: Work) -> frozenset[str]:
    """Return the collections of the backup that are there as they were backed up; those with no fingerprint of their
    points (snapshots of an older backup) are not known to be."""
    there = set(store.collections())
    same = set()
    for entry in manifest.of("qdrant"):
        if entry.object != ALIASES and entry.fingerprints and entry.detail["name"] in there:
            only = manifest.model_copy(update={"entries": (entry,)})
            expected, present = _found(store, only, work, set())
            if expected == present:
                same.add(entry.detail["name"])
    return frozenset(same)


def refuse_unfit(store: QdrantStore, manifest: Manifest, *, whole: Collection[str] = ()) -> None:
    """Errors: RestoreTargetError when a collection or alias of the backup is there already, but for those that are
    *whole* and their aliases."""
    listed = store.call("aliases", lambda client: client.get_aliases()).aliases
    aliases = [alias.alias_name for alias in listed if alias.collection_name not in whole]
    taken = {*store.collections(), *aliases} - set(whole)
    found = sorted(taken & {*collections(manifest), *_names(manifest, "alias ")})
    if found:
        more = " and more" if found[3:] else ""
        raise RestoreTargetError(
            store="Qdrant",
            address=store.address,
            found=", ".join(found[:3]) + more,
            remedy="Restored collections must not be there before. If an earlier restore has left them half filled, "
            f"delete them ({'; '.join(f'DELETE /collections/{name}' for name in found[:3])}), then run this again. "
            "Nothing was changed.",
        )


def collections(manifest: Manifest) -> list[str]:
    """Return the names of the collections in a backup."""
    return [entry.detail["name"] for entry in manifest.of("qdrant") if entry.object != ALIASES]


def restore(
    store: QdrantStore,
    manifest: Manifest,
    work: Work,
    *,
    url: str,
    api_key: str | None = None,
    scratch: bool = False,
    whole: Collection[str] = (),
) -> list[str]:
    """Restore every collection but those that are *whole*, then the aliases; returns the collections that a *scratch*
    server cannot take (it has no snapshots, no strict mode, one shard).

    Errors: StoreError, BackupInterruptedError.
    """
    left_out = []
    for entry in manifest.of("qdrant"):
        if entry.object == ALIASES or entry.detail["name"] in whole:
            continue
        work.check()
        if entry.method == "snapshot" and scratch:
            left_out.append(entry.detail["name"])
        elif entry.method == "snapshot":
            with Snapshots(url, api_key) as snapshots:
                file = entry.files[1]
                snapshots.put(entry.detail["name"], work.directory / file.path, file.sha256)
        else:
            _import(store, entry, work, scratch=scratch)
    _restore_aliases(store, work.directory, left_out)
    if store.local:
        # Local mode shows other vectors to whoever wrote them than to who reads its files: those are to be compared.
        store.close()
    return left_out


def found(
    store: QdrantStore, manifest: Manifest, work: Work, *, left_out: list[str] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fingerprints that are expected, and those of the collections as they are now; *left_out* are passed
    over."""
    aside = set(left_out or ())
    expected, present = _found(store, manifest, work, aside)
    listed = store.call("aliases", lambda client: client.get_aliases()).aliases
    wanted = set(collections(manifest)) - aside
    aliases = {alias.alias_name: alias.collection_name for alias in listed if alias.collection_name in wanted}
    written = {name: target for name, target in _aliases(work.directory).items() if target in wanted}
    return expected | alias_fingerprints(written), present | alias_fingerprints(aliases)


def _found(
    store: QdrantStore, manifest: Manifest, work: Work, aside: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is expected of the collections, and what is there, aliases left out."""
    expected: dict[str, str] = {}
    present: dict[str, str] = {}
    for entry in manifest.of("qdrant"):
        if entry.object == ALIASES or entry.detail["name"] in aside:
            continue
        name = entry.detail["name"]
        expected |= entry.fingerprints
        if entry.fingerprints:
            result = sums(store, name, work, vectors=name + PAYLOADS not in entry.fingerprints).result()
            if result != entry.fingerprints and entry.method == "export" and _near(store, entry, work):
                result = entry.fingerprints
            present |= result
    return expected, present


def _near(store: QdrantStore, entry: Entry, work: Work) -> bool:
    """Return whether a collection differs from its export only in the last bits of its cosine vectors."""
    vectors = _description(work.directory, entry.detail["name"])["config"]["params"].get("vectors") or {}
    named = {"": vectors} if "size" in vectors else vectors
    cosine = {name for name, parameters in named.items() if parameters["distance"] == "Cosine"}
    name = entry.detail["name"]
    written = Sums()
    written.open(name)
    pairs = zip_longest(lines(work.directory, entry.files[1].path), points(store, name), fillvalue={"i": None})
    for one, other in pairs:
        if not near(one, other, cosine):
            return False
        written.add(name, full_hash(one))
    return written.result() == entry.fingerprints


def _import(store: QdrantStore, entry: Entry, work: Work, *, scratch: bool) -> None:
    from qdrant_client import models

    name, operation = entry.detail["name"], f"restore qdrant {entry.object}"
    description = _description(work.directory, name)
    work.reporter.start(operation, f"Qdrant: restore {name}", entry.items)
    work.reporter.advance(operation, 0)
    strict = _create(store, name, description["config"], scratch=scratch)
    if not store.local:
        # Before the points, so that the graph of vectors is built with the links that filters need.
        for field, schema in description["indexes"].items():
            _index(store, name, field, schema)
    size = page_size(store, name)
    keys: set[Any] = set()
    batch: list[Any] = []
    batch_key: Any = None

    def send() -> None:
        if not batch:
            return
        work.check()
        sent = list(batch)
        store.call(name, lambda client: client.upsert(name, sent, wait=True, shard_key_selector=batch_key))
        work.reporter.advance(operation, len(sent))
        batch.clear()

    for point in lines(work.directory, entry.files[1].path):
        key = point.get("k")
        if len(batch) >= size or (batch and key != batch_key):
            send()
        if key is not None and key not in keys:
            _shard_key(store, name, key)
            keys.add(key)
        batch_key = key
        batch.append(decode(point))
    send()
    if strict is not None:
        wanted = models.StrictModeConfig.model_validate(strict)
        store.call(name, lambda client: client.update_collection(name, strict_mode_config=wanted))
    work.reporter.finish(operation, f"{entry.items:,} points")


def _create(store: QdrantStore, name: str, config: dict[str, Any], *, scratch: bool) -> dict[str, Any] | None:
    """Create a collection as it was; returns the strict mode that is to be set when its points are there."""
    from qdrant_client import models

    request = {**config.get("params", {})}
    for part, value in config.items():
        if part not in ("params", "strict_mode_config"):
            request[_RENAMED.get(part, part)] = value
    if scratch:
        for part in ("shard_number", "replication_factor", "write_consistency_factor", "sharding_method"):
            request.pop(part, None)
    known = models.CreateCollection.model_validate(
        {part: value for part, value in request.items() if part in models.CreateCollection.model_fields}
    )
    given = {part: value for part in known.model_fields_set if (value := getattr(known, part)) is not None}
    given["vectors_config"] = given.pop("vectors", {})
    if "sparse_vectors" in given:
        given["sparse_vectors_config"] = given.pop("sparse_vectors")
    store.call(name, lambda client: client.create_collection(name, **given))
    strict: dict[str, Any] | None = config.get("strict_mode_config")
    return strict if strict and strict.get("enabled") and not scratch and not store.local else None


def _shard_key(store: QdrantStore, name: str, key: Any) -> None:
    store.call(name, lambda client: client.create_shard_key(name, key))


def _index(store: QdrantStore, name: str, field: str, schema: Any) -> None:
    from pydantic import TypeAdapter
    from qdrant_client import models

    kind: Any = TypeAdapter(models.PayloadFieldSchema).validate_python(schema)
    store.call(name, lambda client: client.create_payload_index(name, field, kind, wait=True))


def _restore_aliases(store: QdrantStore, directory: Path, left_out: list[str]) -> None:
    from qdrant_client import models

    actions = [
        models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=target, alias_name=alias))
        for alias, target in _aliases(directory).items()
        if target not in left_out
    ]
    if actions:
        store.call("aliases", lambda client: client.update_collection_aliases(actions))


def _description(directory: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "qdrant" / f"{file_stem(name)}.json").read_text())
    return found


def _aliases(directory: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((directory / "qdrant" / "aliases.json").read_text())
    return found


def _names(manifest: Manifest, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in manifest.fingerprints("qdrant") if name.startswith(prefix)]
