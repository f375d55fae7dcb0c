"""Collections with every kind of vector: backed up, deleted, restored, compared past the code under test."""

from __future__ import annotations

import random
import struct
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from tenure.backup import qdrant, qdrant_restore
from tenure.backup.manifest import Growing, Manifest
from tenure.backup.qdrant_unpack import unpacked_sums
from tenure.backup.restore import refuse_differences
from tenure.backup.work import Work
from tenure.demo.servers import EmbeddedQdrant
from tenure.errors import RestoreTargetError, StoreError
from tenure.stores.qdrant import QdrantStore

PAYLOADS: list[dict[str, Any]] = [
    {},
    {"text": 'línea\n"x" 🎉', "empty": "", "null": None, "list": [], "nested": {"a": {"b": [1, 2.5, None, True]}}},
    {"big": 2**63 - 1, "small": -(2**63), "float": 0.1, "whole": 1.0, "huge": 1e300},
    {"project_id": "jd-007", "when": "2024-01-01T00:00:00Z", "geo": {"lat": -33.4, "lon": -70.6}, "bool": False},
]


def vector(rng: random.Random, size: int) -> list[float]:
    return [rng.uniform(-3, 3) for _ in range(size)]


def fill(client: QdrantClient, *, local: bool = False) -> None:
    """One collection of unnamed vectors, one of several named ones of all kinds, one of unnamed multivectors, an empty
    one, and aliases."""
    rng = random.Random(7)
    cosine = models.VectorParams(size=12, distance=models.Distance.COSINE)
    client.create_collection("fragmentos ñ", vectors_config=cosine)
    client.create_collection(
        "named",
        vectors_config={
            "dense": models.VectorParams(size=5, distance=models.Distance.DOT),
            "half": models.VectorParams(size=4, distance=models.Distance.EUCLID, datatype=models.Datatype.FLOAT16),
            "bytes": models.VectorParams(size=3, distance=models.Distance.MANHATTAN, datatype=models.Datatype.UINT8),
            "multi": models.VectorParams(
                size=4,
                distance=models.Distance.COSINE,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        sparse_vectors_config={
            "sparse": models.SparseVectorParams(),
            "idf": models.SparseVectorParams(modifier=models.Modifier.IDF),
        },
        hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
    )
    client.create_collection("empty", vectors_config=cosine)
    if not local:
        for field, kind in (
            ("project_id", models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)),
            ("text", models.PayloadSchemaType.TEXT),
            ("when", models.PayloadSchemaType.DATETIME),
            ("geo", models.PayloadSchemaType.GEO),
            ("big", models.PayloadSchemaType.INTEGER),
        ):
            client.create_payload_index("fragmentos ñ", field, kind, wait=True)
    ids: list[int | str] = [0, 1, 2**63, *(str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(700))]
    client.upsert(
        "fragmentos ñ",
        [models.PointStruct(id=i, vector=vector(rng, 12), payload=PAYLOADS[n % 4]) for n, i in enumerate(ids)],
        wait=True,
    )
    points = []
    for number in range(60):
        parts: dict[str, Any] = {
            "dense": vector(rng, 5),
            "half": vector(rng, 4),
            "bytes": [float(rng.randrange(256)) for _ in range(3)],
            "multi": [vector(rng, 4) for _ in range(1 + number % 3)],
            "sparse": models.SparseVector(indices=[4_000_000_000, 3, number + 10], values=vector(rng, 3)),
            "idf": models.SparseVector(indices=[number], values=[0.5]),
        }
        # Every point lacks some of them, and the last has none at all.
        kept = {
            name: part for place, (name, part) in enumerate(parts.items()) if number != 59 and (number >> place) & 1
        }
        points.append(models.PointStruct(id=number, vector=kept, payload=PAYLOADS[number % 4]))
    client.upsert("named", points, wait=True)
    actions = [("current", "named"), ("alias ñ", "fragmentos ñ")]
    client.update_collection_aliases(
        [
            models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=alias, collection_name=name))
            for alias, name in actions
        ]
    )


def state(client: QdrantClient) -> dict[str, Any]:
    """All that the server has, in its own words."""
    found: dict[str, Any] = {}
    for collection in client.get_collections().collections:
        name = collection.name
        info = client.get_collection(name)
        records, _ = client.scroll(name, limit=10_000, with_payload=True, with_vectors=True)
        found[name] = (
            {str(record.id): record.model_dump(exclude={"order_value"}) for record in records},
            info.config.model_dump(),
            {field: (index.data_type, index.params) for field, index in info.payload_schema.items()},
        )
    found["(aliases)"] = sorted((a.alias_name, a.collection_name) for a in client.get_aliases().aliases)
    return found


def back_up(store: QdrantStore, url: str, directory: Path, method: qdrant.Method) -> Manifest:
    growing = Growing(Manifest(tenure="0", started="", sources={"qdrant": qdrant.source(store)}), directory)
    qdrant.back_up(store, Work(directory), growing, url=url, method=method)
    return growing.manifest


def round_trip(url: str, directory: Path, method: qdrant.Method) -> Manifest:
    """Back up, delete, restore, compare."""
    with QdrantStore(url) as store:
        fill(store.client)
        before = state(store.client)
        manifest = back_up(store, url, directory, method)
        with pytest.raises(RestoreTargetError, match="alias ñ, current, empty and more"):
            qdrant_restore.refuse_unfit(store, manifest)
        _Server(url).wipe()
        assert state(store.client) == {"(aliases)": []}
        qdrant_restore.refuse_unfit(store, manifest)
        qdrant_restore.restore(store, manifest, Work(directory), url=url)
        refuse_differences({"qdrant": qdrant_restore.found(store, manifest, Work(directory))})
        after = state(store.client)
    assert after.keys() == before.keys()
    for name, content in before.items():
        assert after[name] == content, name
    return manifest


class _Server(EmbeddedQdrant):
    """Whatever is at an address."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.external = url


def test_an_export_brings_everything_back(qdrant_url: str, tmp_path: Path) -> None:
    manifest = round_trip(qdrant_url, tmp_path, "export")
    assert {entry.method for entry in manifest.entries} == {"export"}
    assert {entry.object: entry.items for entry in manifest.entries} == {
        "collection fragmentos ñ": 703,
        "collection named": 60,
        "collection empty": 0,
        "aliases": 2,
    }


def test_a_local_directory_is_exported(tmp_path: Path) -> None:
    local, target = tmp_path / "local", tmp_path / "backup"
    client = QdrantClient(path=str(local))
    fill(client, local=True)
    client.close()
    client = QdrantClient(path=str(local))
    before = state(client)
    client.close()
    with QdrantStore(str(local)) as store:
        with pytest.raises(StoreError, match="no snapshots"):
            back_up(store, str(local), target, "snapshot")
        manifest = back_up(store, str(local), target, "auto")
    empty = tmp_path / "empty"
    empty.mkdir()
    with QdrantStore(str(empty)) as store:
        qdrant_restore.refuse_unfit(store, manifest)
        qdrant_restore.restore(store, manifest, Work(target), url=str(empty))
        refuse_differences({"qdrant": qdrant_restore.found(store, manifest, Work(target))})
        after = state(store.client)
    assert after["(aliases)"] == before["(aliases)"]
    for name in ("fragmentos ñ", "named", "empty"):
        # It keeps the doubles that it was given; a vector of Qdrant has 32 bits a number.
        assert single(after[name][0]) == single(before[name][0])


def single(value: Any) -> Any:
    """The numbers of vectors with 32 bits."""
    if isinstance(value, float) and abs(value) < 1e30:
        return struct.unpack("f", struct.pack("f", value))[0]
    if isinstance(value, dict):
        return {name: single(part) for name, part in value.items()}
    return [single(part) for part in value] if isinstance(value, list) else value


@pytest.mark.qdrant_server
def test_a_snapshot_brings_everything_back(qdrant_url: str, tmp_path: Path) -> None:
    manifest = round_trip(qdrant_url, tmp_path, "auto")
    assert {entry.method for entry in manifest.entries if entry.object != "aliases"} == {"snapshot"}
    assert "named (ids and payloads)" in manifest.fingerprints("qdrant")
    for entry in manifest.entries:
        if entry.method == "snapshot":
            assert unpacked_sums(entry, Work(tmp_path)).result() == entry.fingerprints
    with QdrantStore(qdrant_url) as store:
        # What it made on the server it took off again.
        assert store.client.list_snapshots("named") == []


@pytest.mark.qdrant_server
def test_a_snapshot_taken_while_points_are_written_claims_no_fingerprint(qdrant_url: str, tmp_path: Path) -> None:
    with QdrantStore(qdrant_url) as store:
        fill(store.client)
        stop = threading.Event()

        def write() -> None:
            number = 10_000
            while not stop.is_set():
                number += 1
                store.client.upsert("empty", [models.PointStruct(id=number, vector=[1.0] * 12)], wait=True)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            manifest = back_up(store, qdrant_url, tmp_path, "snapshot")
        finally:
            stop.set()
            writer.join()
        entry = manifest.entry("qdrant", "collection empty")
        assert entry is not None
        assert entry.fingerprints == {}
        assert entry.detail["points_before"] < entry.detail["points_after"]
        _Server(qdrant_url).wipe()
        qdrant_restore.restore(store, manifest, Work(tmp_path), url=qdrant_url)
        refuse_differences({"qdrant": qdrant_restore.found(store, manifest, Work(tmp_path))})
        assert entry.detail["points_before"] <= store.count("empty") <= entry.detail["points_after"]
