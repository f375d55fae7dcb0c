"""The catalog's values: frozen, serialisable, with a digest that rows do not move."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tenure.catalog import Catalog
from tenure.catalog.neo4j import GraphIndex, Label, Neo4jCatalog, Property, RelationshipEnds, RelationshipType
from tenure.catalog.postgres import Column, ForeignKey, Index, PostgresCatalog, Role, Slot, Table, View
from tenure.catalog.qdrant import Collection, PayloadField, PayloadIndex, QdrantCatalog
from tenure.stores.cypher import quote


def make_table(**changes: Any) -> Table:
    indexes = (
        Index(name="t_pkey", columns=("id",), unique=True, primary=True, size_bytes=1),
        Index(name="t_pair", columns=("b", "a", "c"), unique=True),
        Index(name="t_partial", columns=("d",), unique=True, predicate="(d > 0)"),
        Index(name="t_invalid", columns=("e",), unique=True, valid=False),
        Index(name="t_expression", columns=(None,), unique=True, expressions=("lower(f)",)),
        Index(name="t_gin", columns=("g",), method="gin"),
    )
    values: dict[str, Any] = {"name": "t", "columns": (Column(name="id", type="bigint"),), "indexes": indexes}
    return Table(**(values | changes))


def make_catalog(**changes: Any) -> Catalog:
    postgres = PostgresCatalog(
        server_version=180006, database="app", role=Role(name="app"), tables=(make_table(**changes),)
    )
    label = Label(name="A", count=3, properties=(Property(name="p", types=("STRING",), seen=1, of=3),))
    knows = RelationshipType(name="KNOWS", count=2, ends=(RelationshipEnds(start="A", end="A", count=2),))
    neo4j = Neo4jCatalog(version="5.26.30", labels=(label,), relationship_types=(knows,))
    field = PayloadField(name="p", types=(("str", 2),), seen=2, of=3)
    qdrant = QdrantCatalog(
        version="1.18.3", collections=(Collection(name="c", aliases=("a",), points=3, fields=(field,)),)
    )
    return Catalog(postgres=postgres, neo4j=neo4j, qdrant=qdrant)


def test_a_catalog_survives_json_and_equals_itself() -> None:
    catalog = make_catalog()
    assert Catalog.model_validate_json(catalog.model_dump_json()) == catalog
    assert hash(Catalog.model_validate_json(catalog.model_dump_json())) == hash(catalog)


def test_values_are_frozen_and_refuse_unknown_fields() -> None:
    with pytest.raises(ValidationError):
        make_table().name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Table(name="t", colour="red")  # type: ignore[call-arg]


def test_the_digest_follows_the_schema_and_not_the_rows() -> None:
    digest = make_catalog().digest()
    assert make_catalog(estimated_rows=9, pages=9, size_bytes=9).digest() == digest
    assert make_catalog(row_security=True).digest() != digest
    assert make_catalog(columns=()).digest() != digest
    catalog = make_catalog()
    assert catalog.model_copy(update={"qdrant": None}).digest() != digest
    slot = catalog.postgres.model_copy(update={"slots": (Slot(name="s", kind="logical"),)})
    assert catalog.model_copy(update={"postgres": slot}).digest() == digest


def test_display_names_leave_out_only_schema_public() -> None:
    assert make_table().display == "t"
    assert make_table(schema_name="Odd One").display == "Odd One.t"
    assert View(schema_name="s", name="v").display == "s.v"


def test_a_catalog_finds_by_display_name() -> None:
    key = ForeignKey(name="f", columns=("a",), ref_table="other.t", ref_columns=("id",))
    one, two = make_table(foreign_keys=(key,)), make_table(schema_name="other")
    catalog = PostgresCatalog(server_version=180006, database="app", role=Role(name="app"), tables=(one, two))
    assert catalog.table("t") is one
    assert catalog.table("other.t") is two
    assert catalog.table("public.t") is None
    assert catalog.referencing("other.t") == ((one, key),)
    assert one.column("id") is one.columns[0]
    assert one.column("none") is None


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["id"], True),
        (["id", "x"], True),
        (["a", "b"], False),
        (["c", "a", "b"], True),
        (["d"], False),
        (["e"], False),
        (["f"], False),
        ([], False),
    ],
)
def test_unique_on(columns: list[str], expected: bool) -> None:
    assert make_table().unique_on(columns) is expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["b"], True),
        (["a", "b"], True),
        (["a"], False),
        (["b", "c"], False),
        (["d"], False),
        (["e"], False),
        (["g"], False),
    ],
)
def test_has_index_on_asks_for_leading_columns(columns: list[str], expected: bool) -> None:
    assert make_table().has_index_on(columns) is expected


@pytest.mark.parametrize(
    ("version", "numbers", "prefix"),
    [
        ("4.4.46", (4, 4, 46), ""),
        ("5.20.0", (5, 20, 0), ""),
        ("5.21.0", (5, 21, 0), "CYPHER 5 "),
        ("5.26.30", (5, 26, 30), "CYPHER 5 "),
        ("2026.09.0", (2026, 9, 0), "CYPHER 5 "),
        ("5.26.0-drop04.0", (5, 26, 0), "CYPHER 5 "),
    ],
)
def test_neo4j_versions(version: str, numbers: tuple[int, ...], prefix: str) -> None:
    catalog = Neo4jCatalog(version=version)
    assert catalog.version_tuple == numbers
    assert catalog.prefix == prefix


def test_has_index_on_wants_an_online_index_of_that_property_alone() -> None:
    def indexed(**changes: Any) -> bool:
        values: dict[str, Any] = {"name": "i", "kind": "RANGE", "labels_or_types": ("A",), "properties": ("p",)}
        return Neo4jCatalog(version="5.26.30", indexes=(GraphIndex(**(values | changes)),)).has_index_on("A", "p")

    assert indexed()
    assert not indexed(state="POPULATING")
    assert not indexed(properties=("p", "q"))
    assert not indexed(kind="FULLTEXT")
    assert not indexed(entity="RELATIONSHIP")
    assert not indexed(labels_or_types=("B",))


def test_a_collection_is_found_by_alias_and_its_own_name_comes_first() -> None:
    one = Collection(name="one", aliases=("current",), indexes=(PayloadIndex(field="p", kind="keyword"),))
    two = Collection(name="two", aliases=("one",))
    catalog = QdrantCatalog(version="1.18.3", collections=(two, one))
    assert catalog.collection("current") is one
    assert catalog.collection("one") is one
    assert catalog.collection("none") is None
    assert one.index("p") is one.indexes[0]
    assert one.index("q") is None


def test_quote_doubles_back_quotes_and_leaves_no_escape_to_be_unescaped() -> None:
    assert quote("Código") == "`Código`"
    assert quote("a`b") == "`a``b`"
    assert quote("a\\u0060b") == "`a\\u005Cu0060b`"
    with pytest.raises(ValueError, match="empty"):
        quote("")
