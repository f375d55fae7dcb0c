"""The parts of introspection that need no server: trigger conditions, payload paths, Qdrant's local mode."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from tenure.stores.neo4j_introspect import cypher_type
from tenure.stores.postgres_introspect import trigger_condition
from tenure.stores.qdrant_introspect import introspect_qdrant


@pytest.mark.parametrize(
    ("head", "condition", "tail"),
    [
        ("CREATE TRIGGER t BEFORE INSERT ON public.x FOR EACH ROW", "(new.a IS NULL)", "public.f()"),
        (
            'CREATE TRIGGER " FOR EACH ROW WHEN (" BEFORE INSERT ON public.x FOR EACH ROW',
            '(new."a""b" > 1)',
            "f('it''s')",
        ),
        ("CREATE TRIGGER t AFTER UPDATE ON x FOR EACH STATEMENT", "(') EXECUTE FUNCTION '::text <> 'a)'::text)", "f()"),
        (
            "CREATE TRIGGER t AFTER UPDATE ON x FOR EACH ROW",
            "(old.* IS DISTINCT FROM new.*)",
            "f(') EXECUTE FUNCTION ')",
        ),
    ],
)
def test_trigger_condition_is_cut_out_of_hostile_definitions(head: str, condition: str, tail: str) -> None:
    assert trigger_condition(f"{head} WHEN ({condition}) EXECUTE FUNCTION {tail}") == condition


def test_trigger_condition_refuses_a_definition_without_one() -> None:
    with pytest.raises(ValueError, match="no condition"):
        trigger_condition("CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION f('WHEN (a)')")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "BOOLEAN"),
        (7, "INTEGER"),
        (1.5, "FLOAT"),
        ("x", "STRING"),
        ([1.0, 2.0], "LIST<FLOAT>"),
        ([], "LIST<NOTHING>"),
        (date(2026, 1, 1), "DATE"),
    ],
)
def test_types_of_values_from_servers_that_cannot_tell(value: object, expected: str) -> None:
    assert cypher_type(value) == expected


@pytest.fixture
def local() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def test_a_directory_is_local_mode_too(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path))
    assert introspect_qdrant(client).local
    client.close()


def test_local_mode_says_so_and_has_no_indexes(local: QdrantClient) -> None:
    local.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        local.create_payload_index("c", "project_id", models.PayloadSchemaType.KEYWORD)
    catalog = introspect_qdrant(local)
    assert catalog.local
    (collection,) = catalog.collections
    assert collection.indexes == ()
    assert collection.points == 0
    assert collection.fields == ()
    assert collection.status == "green"


def test_payload_fields_keep_missing_null_empty_and_nested_apart(local: QdrantClient) -> None:
    local.create_collection("c", vectors_config={"text": models.VectorParams(size=2, distance=models.Distance.DOT)})
    payloads: list[dict[str, object]] = [
        {},
        {"project_id": None},
        {"project_id": ""},
        {"project_id": "jd-007", "metadata": {"project_id": "jd-007", "deep": {"n": 1}}},
        {"project_id": 7, "a.b": True, "tags": ["x"], "score": 1.5},
    ]
    local.upsert("c", [models.PointStruct(id=place, vector={}, payload=found) for place, found in enumerate(payloads)])
    (collection,) = introspect_qdrant(local).collections
    found = {field.name: field for field in collection.fields}
    assert found["project_id"].types == (("int", 1), ("null", 1), ("str", 2))
    assert (found["project_id"].seen, found["project_id"].of) == (4, 5)
    assert found["metadata.project_id"].types == (("str", 1),)
    assert found["metadata.deep.n"].types == (("int", 1),)
    # A key with a dot in it is not a path.
    assert found['"a.b"'].types == (("bool", 1),)
    assert found["tags"].types == (("list", 1),)
    assert found["score"].types == (("float", 1),)


def test_a_sample_reaches_old_and_new_points_of_both_sorts_of_ids_and_is_repeatable(local: QdrantClient) -> None:
    local.create_collection("c", vectors_config={})
    numbers = [
        models.PointStruct(id=1 + place, vector={}, payload={"old" if place < 1300 else "new": 1})
        for place in range(1400)
    ]
    uuids = [
        models.PointStruct(id=str(uuid.uuid5(uuid.NAMESPACE_URL, str(place))), vector={}, payload={"named": 1})
        for place in range(800)
    ]
    local.upload_points("c", numbers + uuids)
    catalog = introspect_qdrant(local)
    (collection,) = catalog.collections
    assert {field.name for field in collection.fields} == {"old", "new", "named"}
    assert collection.points == 2200
    assert all(500 < field.of <= 1000 for field in collection.fields)
    assert introspect_qdrant(local) == catalog
