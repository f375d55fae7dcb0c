"""Introspection of a real Neo4j with names, constraints and graphs that are meant to break it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import neo4j
import pytest

from tenure.catalog.neo4j import Neo4jCatalog, RelationshipEnds, cypher_prefix
from tenure.stores import neo4j_introspect
from tenure.stores.cypher import quote
from tenure.stores.neo4j_introspect import introspect_neo4j

pytestmark = pytest.mark.neo4j

HOSTILE = [
    "Mixed Case",
    "back`tick",
    "``",
    "a\\u0060b",
    "\\\\u0060",
    "\\u005Cu0060",
    "ends with \\",
    "semi; MATCH (n) DETACH DELETE n //",
    "MATCH",
    "$parameter",
    "{label}",
    "'single' \"double\"",
    "line\nbreak",
    "ñandú 😀",
]


@pytest.fixture
def driver(neo4j_url: str) -> Iterator[neo4j.Driver]:
    with neo4j.GraphDatabase.driver(neo4j_url) as driver:
        yield driver
        for row in run(driver, "SHOW CONSTRAINTS YIELD name"):  # also those whose names are not easy to write
            run(driver, f"DROP CONSTRAINT {quote(row['name'])}")


def run(driver: neo4j.Driver, text: str, **parameters: Any) -> list[dict[str, Any]]:
    version = str(driver.get_server_info().agent).removeprefix("Neo4j/")
    found = driver.execute_query(cypher_prefix(version) + text, parameters, database_="neo4j")
    return [record.data() for record in found.records]


def read(driver: neo4j.Driver) -> Neo4jCatalog:
    return introspect_neo4j(driver, "neo4j")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_back_as_they_were_written(driver: neo4j.Driver, name: str) -> None:
    quoted = quote(name)
    run(driver, f"CREATE (a:{quoted} {{{quoted}: 1}})-[:{quoted} {{{quoted}: 'x'}}]->(a)")
    run(driver, f"CREATE CONSTRAINT {quoted} FOR (n:{quoted}) REQUIRE n.{quoted} IS UNIQUE")
    stored = run(driver, "MATCH (n)-[r]->() RETURN labels(n) AS labels, keys(n) AS keys, type(r) AS type")
    assert stored == [{"labels": [name], "keys": [name], "type": name}]
    catalog = read(driver)
    label, kind = catalog.label(name), catalog.relationship_type(name)
    assert label is not None
    assert kind is not None
    assert (label.count, kind.count) == (1, 1)
    assert kind.ends == (RelationshipEnds(start=name, end=name, count=1),)
    found = label.property(name)
    assert found is not None
    assert found.types == ("INTEGER",)
    (constraint,) = catalog.constraints
    assert (constraint.name, constraint.labels_or_types, constraint.properties) == (name, (name,), (name,))
    assert catalog.has_index_on(name, name)


def test_server_facts(driver: neo4j.Driver) -> None:
    catalog = read(driver)
    assert str(driver.get_server_info().agent) == f"Neo4j/{catalog.version}"
    assert catalog.edition == "community"
    assert not catalog.enterprise
    assert catalog.prefix == "CYPHER 5 "
    assert "5" in catalog.cypher_versions
    assert catalog.default_language in ("CYPHER 5", "CYPHER 25")
    assert (catalog.labels, catalog.relationship_types, catalog.constraints) == ((), (), ())
    assert introspect_neo4j(driver, None) == catalog


def test_constraints_are_named_as_in_cypher_5_by_every_server(driver: neo4j.Driver) -> None:
    run(driver, "CREATE CONSTRAINT pair FOR (n:Fragmento) REQUIRE (n.project_id, n.id) IS UNIQUE")
    run(driver, "CREATE CONSTRAINT single FOR (n:Fragmento) REQUIRE n.id IS UNIQUE")
    run(driver, "CREATE CONSTRAINT rel FOR ()-[r:REL]-() REQUIRE r.id IS UNIQUE")
    run(driver, "CREATE INDEX plain FOR (n:Codigo) ON (n.nombre)")
    run(driver, "CREATE INDEX wide FOR (n:Codigo) ON (n.nombre, n.project_id)")
    run(driver, "CREATE FULLTEXT INDEX words FOR (n:Codigo|Fragmento) ON EACH [n.nombre, n.texto]")
    run(driver, "CALL db.awaitIndexes(60)")
    catalog = read(driver)
    kinds = {found.name: (found.kind, found.entity, found.properties) for found in catalog.constraints}
    assert kinds == {
        "pair": ("UNIQUENESS", "NODE", ("project_id", "id")),
        "single": ("UNIQUENESS", "NODE", ("id",)),
        "rel": ("RELATIONSHIP_UNIQUENESS", "RELATIONSHIP", ("id",)),
    }
    assert all(found.create_statement.startswith("CREATE CONSTRAINT") for found in catalog.constraints)
    indexes = {found.name: found for found in catalog.indexes}
    owners = {name: found.owning_constraint for name, found in indexes.items() if found.owning_constraint}
    assert owners == {"pair": "pair", "single": "single", "rel": "rel"}
    assert (indexes["words"].kind, indexes["words"].labels_or_types) == ("FULLTEXT", ("Codigo", "Fragmento"))
    assert {found.state for found in catalog.indexes} == {"ONLINE"}
    assert sorted(found.entity for found in catalog.indexes if found.kind == "LOOKUP") == ["NODE", "RELATIONSHIP"]
    assert catalog.has_index_on("Fragmento", "id")
    assert catalog.has_index_on("Codigo", "nombre")
    assert not catalog.has_index_on("Fragmento", "project_id"), "second place in a pair serves no lookup of its own"
    assert not catalog.has_index_on("REL", "id")
    assert [found.name for found in catalog.constraints_on("Fragmento")] == ["pair", "single"]


def test_ends_counts_and_types_of_a_mixed_graph(driver: neo4j.Driver) -> None:
    run(driver, "UNWIND range(1, 7) AS i CREATE (:Fragmento {id: i})-[:TIENE {peso: 1.5}]->(:Codigo {nombre: 'c' + i})")
    run(driver, "CREATE (:A:B {p: 1})-[:REL {id: 1}]->(:C {p: 'x'}), (:A {p: [1.0, 2.0]})-[:REL]->(), ({lone: true})")
    catalog = read(driver)
    counts = {label.name: label.count for label in catalog.labels}
    assert counts == {"A": 2, "B": 1, "C": 1, "Fragmento": 7, "Codigo": 7}
    assert catalog.unlabelled_nodes == 2
    one, mixed = catalog.relationship_type("TIENE"), catalog.relationship_type("REL")
    assert one is not None
    assert mixed is not None
    assert one.ends == (RelationshipEnds(start="Fragmento", end="Codigo", count=7),)
    assert {(end.start, end.end): end.count for end in mixed.ends} == {("A", "C"): 1, ("B", "C"): 1, ("A", ""): 1}
    label = catalog.label("A")
    assert label is not None
    found = label.property("p")
    assert found is not None
    assert (found.types, found.seen, found.of) == (("INTEGER", "LIST<FLOAT>"), 2, 2)
    identity = mixed.property("id")
    assert identity is not None
    assert (identity.seen, identity.of) == (1, 2)
    assert Neo4jCatalog.model_validate_json(catalog.model_dump_json()) == catalog


def test_many_labels_give_the_same_ends_as_few(driver: neo4j.Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    run(driver, "UNWIND range(1, 3) AS i CREATE (:A)-[:ONE]->(:B), (:A)-[:MANY]->(:C), (:B)-[:MANY]->(:C)")
    by_count_store = read(driver).relationship_types
    monkeypatch.setattr(neo4j_introspect, "MANY_LABELS", 0)
    assert read(driver).relationship_types == by_count_store


def test_a_sample_reaches_old_and_new_items_and_is_repeatable(driver: neo4j.Driver) -> None:
    run(
        driver,
        "UNWIND range(1, 12000) AS i CREATE (a:Many)-[r:MANY]->(b:Other) "
        "SET a += CASE WHEN i < 11000 THEN {old: i} ELSE {new: 'x', project_id: 'p'} END, r.n = i",
    )
    catalog = read(driver)
    label, kind = catalog.label("Many"), catalog.relationship_type("MANY")
    assert label is not None
    assert kind is not None
    assert [found.name for found in label.properties] == ["new", "old", "project_id"]
    assert label.count == 12000
    assert all(500 < found.of <= 2000 for found in (*label.properties, *kind.properties))
    assert sum(found.seen for found in label.properties if found.name != "project_id") == label.properties[0].of
    assert read(driver) == catalog


def test_labels_and_types_without_items_are_left_out_and_digest_follows_the_schema(driver: neo4j.Driver) -> None:
    run(driver, "CREATE (:Kept {p: 1})")
    first = read(driver)
    run(driver, "CREATE (:Gone)-[:GONE]->(:Kept {q: 2})")
    second = read(driver)
    assert second.relationship_type("GONE") is not None
    assert second.digest() != first.digest()
    run(driver, "MATCH (n:Gone) DETACH DELETE n")
    third = read(driver)
    assert (third.label("Gone"), third.relationship_type("GONE")) == (None, None)
    assert third.digest() == first.digest(), "one more node, with one more property, is no change of the schema"
    assert third != first


def test_types_are_told_apart_without_the_help_of_the_server(
    driver: neo4j.Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(driver, "CREATE (:T {s: 'x', i: 1, f: 1.5, b: true, l: [1, 2], e: [], d: date()})")
    with_help = read(driver).labels
    monkeypatch.setattr(neo4j_introspect, "version_numbers", lambda version: (5, 12))
    assert read(driver).labels == with_help


def test_reading_needs_no_right_to_write(driver: neo4j.Driver) -> None:
    run(driver, "CREATE (:T)-[:R]->(:T)")
    before = run(driver, "MATCH (n) RETURN count(n) AS n")
    read(driver)
    assert run(driver, "MATCH (n) RETURN count(n) AS n") == before
