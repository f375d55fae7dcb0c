"""Introspection of Qdrant over REST: the engine's host, or the server at TENURE_QDRANT."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

import pytest
from qdrant_client import QdrantClient, models

from tenure.catalog.qdrant import Collection, PayloadIndex, QdrantCatalog
from tenure.stores.qdrant_introspect import introspect_qdrant

pytestmark = pytest.mark.qdrant

COSINE = models.Distance.COSINE


@pytest.fixture
def client(qdrant_url: str) -> Iterator[QdrantClient]:
    client = QdrantClient(qdrant_url, timeout=60)
    yield client
    client.close()


def read(client: QdrantClient, name: str) -> Collection:
    found = introspect_qdrant(client).collection(name)
    assert found is not None, name
    return found


def test_an_empty_server(client: QdrantClient) -> None:
    catalog = introspect_qdrant(client)
    assert catalog.collections == ()
    assert not catalog.local
    assert catalog.version[0].isdigit()


def test_collections_with_vectors_aliases_and_indexes(client: QdrantClient) -> None:
    client.create_collection("plain", vectors_config=models.VectorParams(size=4, distance=COSINE))
    client.create_collection(
        "Named ñ",
        vectors_config={
            "text": models.VectorParams(size=4, distance=models.Distance.DOT),
            "image": models.VectorParams(size=2, distance=COSINE),
        },
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    client.create_payload_index(
        "plain", "project_id", models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    )
    client.create_payload_index("plain", "archivo", models.PayloadSchemaType.KEYWORD)
    client.create_payload_index("plain", "par_idx", models.PayloadSchemaType.INTEGER)
    client.update_collection_aliases(
        [
            models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="plain", alias_name=alias))
            for alias in ("z current", "a current")
        ]
    )
    catalog = introspect_qdrant(client)
    assert [collection.name for collection in catalog.collections] == ["Named ñ", "plain"]
    plain, named = read(client, "plain"), read(client, "Named ñ")
    assert json.loads(plain.vectors) == {"size": 4, "distance": "Cosine"}
    vectors = json.loads(named.vectors)
    assert {name: (found["size"], found["distance"]) for name, found in vectors.items()} == {
        "image": (2, "Cosine"),
        "text": (4, "Dot"),
    }
    assert list(json.loads(named.sparse_vectors)) == ["words"]
    assert plain.sparse_vectors == "{}"
    assert plain.aliases == ("a current", "z current")
    assert catalog.collection("z current") == plain
    assert plain.indexes == (
        PayloadIndex(field="archivo", kind="keyword"),
        PayloadIndex(field="par_idx", kind="integer"),
        PayloadIndex(field="project_id", kind="keyword", is_tenant=True),
    )
    assert (plain.points, plain.status, plain.optimizer_ok, plain.sharding) == (0, "green", True, "auto")
    assert QdrantCatalog.model_validate_json(catalog.model_dump_json()) == catalog


def test_payload_fields_keep_missing_null_empty_and_nested_apart(client: QdrantClient) -> None:
    client.create_collection("c", vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT))
    payloads: list[dict[str, object]] = [
        {},
        {"project_id": None},
        {"project_id": ""},
        {"project_id": "jd-007", "metadata": {"project_id": "jd-007"}},
        {"project_id": 7, "a.b": True, "tags": ["x"], "score": 1.5},
    ]
    points = [models.PointStruct(id=place, vector=[1.0], payload=found) for place, found in enumerate(payloads)]
    client.upsert("c", points, wait=True)
    found = {field.name: field for field in read(client, "c").fields}
    assert found["project_id"].types == (("int", 1), ("null", 1), ("str", 2))
    assert (found["project_id"].seen, found["project_id"].of) == (4, 5)
    assert found["metadata.project_id"].types == (("str", 1),)
    assert found['"a.b"'].types == (("bool", 1),)
    assert (found["tags"].types, found["score"].types) == ((("list", 1),), (("float", 1),))


def test_a_sample_reaches_old_and_new_points_of_both_sorts_of_ids_and_is_repeatable(client: QdrantClient) -> None:
    client.create_collection("c", vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT))
    numbers = [
        models.PointStruct(id=place, vector=[1.0], payload={"old" if place < 1900 else "new": 1})
        for place in range(2000)
    ]
    named = [
        models.PointStruct(id=str(uuid5(NAMESPACE_URL, str(place))), vector=[1.0], payload={"named": 1})
        for place in range(1200)
    ]
    client.upsert("c", numbers, wait=True)
    client.upsert("c", named, wait=True)
    catalog = introspect_qdrant(client)
    collection = read(client, "c")
    assert collection.points == 3200
    assert {field.name for field in collection.fields} == {"old", "new", "named"}
    assert all(500 < field.of <= 1000 for field in collection.fields)
    assert introspect_qdrant(client) == catalog


def test_the_digest_follows_indexes_and_not_points(client: QdrantClient) -> None:
    client.create_collection("c", vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT))
    empty = introspect_qdrant(client)
    client.upsert("c", [models.PointStruct(id=1, vector=[1.0], payload={"project_id": "p"})], wait=True)
    filled = introspect_qdrant(client)
    assert filled != empty
    assert filled.digest() == empty.digest()
    client.create_payload_index("c", "project_id", models.PayloadSchemaType.KEYWORD, wait=True)
    assert introspect_qdrant(client).digest() != empty.digest()


@pytest.mark.qdrant_server
def test_strict_mode_is_read_and_its_page_limit_kept(client: QdrantClient) -> None:
    client.create_collection(
        "c",
        vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT),
        strict_mode_config=models.StrictModeConfig(enabled=True, max_query_limit=7),
    )
    points = [models.PointStruct(id=place, vector=[1.0], payload={"p": place}) for place in range(50)]
    client.upsert("c", points, wait=True)
    found = read(client, "c")
    assert found.strict_mode is not None
    assert json.loads(found.strict_mode)["max_query_limit"] == 7
    assert [(field.name, field.seen, field.of) for field in found.fields] == [("p", 50, 50)]
