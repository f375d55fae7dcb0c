"""Identical, equivalent, different: what a name, a size or an order changes, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.catalog import Likeness, compare, equivalent
from tenure.catalog.neo4j import Constraint, GraphIndex
from tenure.catalog.postgres import Check, ForeignKey, Index
from tenure.catalog.qdrant import PayloadIndex

INDEX: dict[str, Any] = {"name": "i", "columns": ("a", "b"), "parts": ("a", "b"), "unique": True, "include": ("x", "y")}
KEY: dict[str, Any] = {"name": "k", "columns": ("a", "b"), "ref_table": "t", "ref_columns": ("c", "d")}
CONSTRAINT: dict[str, Any] = {
    "name": "c",
    "kind": "UNIQUENESS",
    "labels_or_types": ("A",),
    "properties": ("project_id", "id"),
    "create_statement": "CREATE CONSTRAINT c ...",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Likeness.IDENTICAL),
        ({"size_bytes": 8192}, Likeness.IDENTICAL),
        ({"name": "other", "definition": "CREATE INDEX other ..."}, Likeness.EQUIVALENT),
        ({"name": "other", "constraint": "other"}, Likeness.EQUIVALENT),
        ({"include": ("y", "x")}, Likeness.IDENTICAL),
        ({"columns": ("b", "a"), "parts": ("b", "a")}, Likeness.DIFFERENT),
        ({"parts": ("a", "b DESC")}, Likeness.DIFFERENT),
        ({"unique": False}, Likeness.DIFFERENT),
        ({"primary": True}, Likeness.DIFFERENT),
        ({"valid": False}, Likeness.DIFFERENT),
        ({"predicate": "(a > 0)"}, Likeness.DIFFERENT),
        ({"nulls_not_distinct": True}, Likeness.DIFFERENT),
        ({"deferrable": True}, Likeness.DIFFERENT),
        ({"include": ()}, Likeness.DIFFERENT),
    ],
)
def test_postgres_indexes(changes: dict[str, Any], expected: Likeness) -> None:
    assert compare(Index(**INDEX), Index(**(INDEX | changes))) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "other"}, Likeness.EQUIVALENT),
        ({"columns": ("b", "a"), "ref_columns": ("d", "c")}, Likeness.IDENTICAL),
        ({"columns": ("b", "a")}, Likeness.DIFFERENT),
        ({"on_delete": "CASCADE"}, Likeness.DIFFERENT),
        ({"match": "FULL"}, Likeness.DIFFERENT),
        ({"validated": False}, Likeness.DIFFERENT),
        ({"ref_table": "other.t"}, Likeness.DIFFERENT),
    ],
)
def test_foreign_keys(changes: dict[str, Any], expected: Likeness) -> None:
    assert compare(ForeignKey(**KEY), ForeignKey(**(KEY | changes))) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "d", "create_statement": "CREATE CONSTRAINT d ..."}, Likeness.EQUIVALENT),
        ({"properties": ("id", "project_id")}, Likeness.DIFFERENT),
        ({"kind": "NODE_KEY"}, Likeness.DIFFERENT),
        ({"labels_or_types": ("B",)}, Likeness.DIFFERENT),
        ({"entity": "RELATIONSHIP"}, Likeness.DIFFERENT),
    ],
)
def test_graph_constraints(changes: dict[str, Any], expected: Likeness) -> None:
    assert compare(Constraint(**CONSTRAINT), Constraint(**(CONSTRAINT | changes))) is expected


def test_a_graph_index_that_is_still_populating_already_means_the_same() -> None:
    done = GraphIndex(name="i", kind="RANGE", labels_or_types=("A",), properties=("p",))
    assert compare(done, done.model_copy(update={"state": "POPULATING", "population": 3.0})) is Likeness.IDENTICAL


def test_checks_and_payload_indexes() -> None:
    check = Check(name="a", definition="CHECK ((a IS NOT NULL))")
    assert compare(check, Check(name="b", definition="CHECK  ((a IS NOT\nNULL))")) is Likeness.EQUIVALENT
    assert not equivalent(check, Check(name="a", definition="CHECK ((a IS NOT NULL))", validated=False))
    tenant = PayloadIndex(field="project_id", kind="keyword", is_tenant=True)
    assert compare(tenant, PayloadIndex(field="project_id", kind="keyword", is_tenant=True)) is Likeness.IDENTICAL
    assert not equivalent(tenant, PayloadIndex(field="project_id", kind="keyword"))


def test_values_of_two_sorts_are_different() -> None:
    assert not equivalent(Index(**INDEX), Check(name="i"))
