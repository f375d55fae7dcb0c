"""What tenure's operations rely on in Qdrant, true of a real server and of the embedded host alike."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tenure.demo.servers import EmbeddedQdrant


@pytest.fixture
def qdrant(qdrant_url: str) -> Iterator[QdrantClient]:
    """A client of an empty Qdrant with one collection, ``k``: points 1 to 10, ``n`` = id, ``kind`` even or odd."""
    client = QdrantClient(url=qdrant_url, timeout=60)
    client.create_collection("k", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    client.upsert(
        "k",
        [
            models.PointStruct(id=i, vector=[1.0, 0.0, 0.0, i / 10], payload={"n": i, "kind": ("even", "odd")[i % 2]})
            for i in range(1, 11)
        ],
    )
    yield client
    client.close()


def _empty(key: str) -> models.IsEmptyCondition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))


def _equals(key: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _ids(client: QdrantClient, *must: models.Condition) -> list[models.ExtendedPointId]:
    return [record.id for record in client.scroll("k", scroll_filter=models.Filter(must=list(must)), limit=5000)[0]]


def test_conditional_set_payload_leaves_a_labelled_point_alone_and_ignores_missing_ids(qdrant: QdrantClient) -> None:
    qdrant.set_payload("k", {"project_id": "old"}, points=[2])
    unlabelled = models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 3, 99]), _empty("project_id")])
    result = qdrant.set_payload("k", {"project_id": "new"}, points=unlabelled, wait=True)
    assert result.status == models.UpdateStatus.COMPLETED
    payloads = {
        record.id: (record.payload or {}).get("project_id") for record in qdrant.retrieve("k", [1, 2, 3, 4, 99])
    }
    assert payloads == {1: "new", 2: "old", 3: "new", 4: None}


def test_set_payload_by_ids_errors_on_a_missing_id(qdrant: QdrantClient) -> None:
    with pytest.raises(UnexpectedResponse, match="No point with id 99") as caught:
        qdrant.set_payload("k", {"a": 1}, points=[99])
    assert caught.value.status_code == 404


def test_is_empty_matches_missing_null_and_empty_list_and_is_null_only_null(qdrant: QdrantClient) -> None:
    vector = [0.0, 1.0, 0.0, 0.0]
    values: dict[int, object] = {21: None, 22: [], 23: "", 24: 0, 25: "x"}
    qdrant.upsert("k", [models.PointStruct(id=i, vector=vector, payload={"p": value}) for i, value in values.items()])
    qdrant.upsert("k", [models.PointStruct(id=26, vector=vector, payload={"q": 1})])
    several = models.HasIdCondition(has_id=[21, 22, 23, 24, 25, 26])
    assert _ids(qdrant, several, _empty("p")) == [21, 22, 26]
    assert _ids(qdrant, several, models.IsNullCondition(is_null=models.PayloadField(key="p"))) == [21]


def test_setting_null_deletes_the_key_and_overwrite_and_delete_do_what_they_say(qdrant: QdrantClient) -> None:
    qdrant.set_payload("k", {"kind": None}, points=[1])
    qdrant.overwrite_payload("k", {"only": True}, points=[2])
    qdrant.delete_payload("k", ["n"], points=models.Filter(must=[_equals("n", 3)]))
    qdrant.clear_payload("k", models.PointIdsList(points=[4]))
    qdrant.set_payload("k", {"inner": 1}, points=[5], key="outer")
    payloads = {record.id: record.payload for record in qdrant.retrieve("k", [1, 2, 3, 4, 5])}
    assert payloads == {
        1: {"n": 1},
        2: {"only": True},
        3: {"kind": "odd"},
        4: {},
        5: {"n": 5, "kind": "odd", "outer": {"inner": 1}},
    }


def test_scroll_pages_through_every_point_once_in_id_order(qdrant: QdrantClient) -> None:
    key = str(uuid.UUID(int=7))
    qdrant.upsert("k", [models.PointStruct(id=key, vector=[0.0, 0.0, 1.0, 0.0], payload={"n": 11})])
    seen: list[models.ExtendedPointId] = []
    offset: models.ExtendedPointId | None = None
    while True:
        page, offset = qdrant.scroll("k", limit=4, offset=offset, with_payload=["n"], with_vectors=False)
        assert len(page) <= 4
        assert all(set(record.payload or {}) == {"n"} and record.vector is None for record in page)
        seen += [record.id for record in page]
        if offset is None:
            break
    assert seen == [*range(1, 11), key]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (models.Filter(should=[_equals("n", 1), _equals("n", 2)]), [1, 2]),
        (models.Filter(must_not=[_equals("kind", "even")]), [1, 3, 5, 7, 9]),
        (models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gte=3, lt=5))]), [3, 4]),
        (models.Filter(must=[models.FieldCondition(key="n", match=models.MatchAny(any=[4, 8]))]), [4, 8]),
        (
            models.Filter(
                must=[models.FieldCondition(key="n", match=models.MatchExcept(**{"except": [1, 2, 3, 4, 5, 6, 7]}))]
            ),
            [8, 9, 10],
        ),
        (
            models.Filter(must=[models.FieldCondition(key="kind", match=models.MatchText(text="even"))]),
            [2, 4, 6, 8, 10],
        ),
        (
            models.Filter(
                min_should=models.MinShould(
                    conditions=[_equals("n", 1), _equals("n", 2), _equals("kind", "odd")], min_count=2
                )
            ),
            [1],
        ),
        (models.Filter(must=[models.Filter(should=[_equals("n", 5)]), _equals("kind", "odd")]), [5]),
    ],
)
def test_filters_select_alike_in_scroll_and_count(
    qdrant: QdrantClient, condition: models.Filter, expected: list[int]
) -> None:
    assert [record.id for record in qdrant.scroll("k", scroll_filter=condition, limit=100)[0]] == expected
    assert qdrant.count("k", count_filter=condition, exact=True).count == len(expected)


def test_a_tenant_index_shows_in_the_schema_and_carries_a_facet(qdrant: QdrantClient) -> None:
    with pytest.raises(UnexpectedResponse, match="index"):
        qdrant.facet("k", "kind")
    qdrant.create_payload_index(
        "k", "kind", models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    )
    field = qdrant.get_collection("k").payload_schema["kind"]
    assert field.data_type == models.PayloadSchemaType.KEYWORD
    assert isinstance(field.params, models.KeywordIndexParams)
    assert (field.params.is_tenant, field.points) == (True, 10)
    only = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gt=1))])
    hits = {hit.value: hit.count for hit in qdrant.facet("k", "kind", facet_filter=only, exact=True).hits}
    assert hits == {"even": 5, "odd": 4}
    qdrant.delete_payload_index("k", "kind")
    assert qdrant.get_collection("k").payload_schema == {}


def test_an_alias_switches_in_one_request_and_serves_reads_and_writes(qdrant: QdrantClient) -> None:
    qdrant.create_collection("other", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))

    def point_at(name: str) -> models.CreateAliasOperation:
        return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name="live"))

    qdrant.update_collection_aliases([point_at("k")])
    qdrant.set_payload("live", {"seen": True}, points=[1])
    assert qdrant.count("live").count == 10
    drop = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="live"))
    qdrant.update_collection_aliases([drop, point_at("other")])
    assert qdrant.count("live").count == 0
    assert [(alias.alias_name, alias.collection_name) for alias in qdrant.get_aliases().aliases] == [("live", "other")]
    with pytest.raises(UnexpectedResponse):  # all or none
        qdrant.update_collection_aliases([drop, point_at("nowhere")])
    assert qdrant.get_collection_aliases("other").aliases[0].alias_name == "live"


def test_query_respects_the_filter_and_delete_removes(qdrant: QdrantClient) -> None:
    even = models.Filter(must=[_equals("kind", "even")])
    found = qdrant.query_points("k", query=[1.0, 0.0, 0.0, 0.0], query_filter=even, limit=2, with_payload=True).points
    assert [(point.id, (point.payload or {})["kind"]) for point in found] == [(2, "even"), (4, "even")]
    qdrant.delete("k", models.FilterSelector(filter=even))
    assert _ids(qdrant) == [1, 3, 5, 7, 9]
    assert qdrant.collection_exists("k")
    qdrant.delete_collection("k")
    assert not qdrant.collection_exists("k")
    with pytest.raises(UnexpectedResponse, match="Collection `k` doesn") as caught:
        qdrant.count("k")
    assert caught.value.status_code == 404


def test_batch_updates_run_in_order_and_named_vectors_are_kept(qdrant: QdrantClient) -> None:
    dense = {"a": models.VectorParams(size=2, distance=models.Distance.DOT)}
    qdrant.create_collection("named", vectors_config=dense, sparse_vectors_config={"s": models.SparseVectorParams()})
    sparse = models.SparseVector(indices=[3, 5], values=[0.5, 1.0])
    results = qdrant.batch_update_points(
        "named",
        [
            models.UpsertOperation(
                upsert=models.PointsList(
                    points=[models.PointStruct(id=1, vector={"a": [1.0, 2.0], "s": sparse}, payload={})]
                )
            ),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"x": 1}, points=[1])),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"x": 2}, points=[1])),
        ],
    )
    assert [result.status for result in results] == [models.UpdateStatus.COMPLETED] * 3
    (record,) = qdrant.retrieve("named", [1], with_vectors=True)
    assert record.payload == {"x": 2}
    assert record.vector == {"a": [1.0, 2.0], "s": sparse}


def test_what_the_embedded_host_lacks_it_refuses(qdrant: QdrantClient, qdrant_server: EmbeddedQdrant) -> None:
    if qdrant_server.external:
        pytest.skip("a real server can do these")
    with pytest.raises(UnexpectedResponse, match="snapshot"):
        qdrant.create_snapshot("k")
    with pytest.raises(UnexpectedResponse, match="strict mode"):
        qdrant.update_collection("k", strict_mode_config=models.StrictModeConfig(enabled=True))
    with pytest.raises(UnexpectedResponse, match="recommend"):
        qdrant.query_points("k", query=models.RecommendQuery(recommend=models.RecommendInput(positive=[1])))


@pytest.mark.qdrant
def test_a_killed_host_finds_its_points_indexes_and_aliases_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENURE_QDRANT", raising=False)
    with EmbeddedQdrant(tmp_path) as server:
        client = QdrantClient(url=server.url, timeout=60)
        client.create_collection("k", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
        client.create_payload_index("k", "p", models.PayloadSchemaType.KEYWORD)
        points = [models.PointStruct(id=i, vector=[1.0, float(i)], payload={"p": f"v{i % 3}"}) for i in range(3000)]
        client.upsert("k", points, wait=True)
        alias = models.CreateAlias(collection_name="k", alias_name="live")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        client.set_payload("k", {"p": "changed"}, points=[7], wait=True)
        server.kill()
        with pytest.raises(Exception, match="refused"):
            client.count("k")
        started = time.monotonic()
        server.start()
        assert time.monotonic() - started < 30
        assert client.count("live").count == 3000
        assert client.retrieve("k", [7])[0].payload == {"p": "changed"}
        hits = {hit.value: hit.count for hit in client.facet("k", "p", exact=True).hits}
        assert hits == {"v0": 1000, "v1": 999, "v2": 1000, "changed": 1}
        client.close()


def test_conditional_updates_of_several_clients_give_every_point_one_label(
    qdrant: QdrantClient, qdrant_url: str
) -> None:
    vector = [1.0, 0.0, 0.0, 0.0]
    qdrant.upsert("k", [models.PointStruct(id=i, vector=vector, payload={"n": i}) for i in range(1, 2001)])

    def label(name: str) -> None:
        """Label what is unlabelled, block after block, while points are born."""
        client = QdrantClient(url=qdrant_url, timeout=60)
        for first in range(1, 2001, 100):
            block = models.HasIdCondition(has_id=list(range(first, first + 100)))
            client.set_payload("k", {"label": name}, points=models.Filter(must=[block, _empty("label")]))
            client.upsert("k", [models.PointStruct(id=3000 + first, vector=vector, payload={"born": name})])
        client.close()

    names = [f"client-{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(label, names))
    labels = {name: len(_ids(qdrant, _equals("label", name))) for name in names}
    assert sum(labels.values()) == 2000
    assert len(_ids(qdrant, _empty("label"))) == 20  # those born meanwhile
