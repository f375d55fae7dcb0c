"""Dropping global uniquenesses of the graph on a real server, the way back, and what forbids it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graph_support import context

from tenure.errors import GraphConstraintError, RefusedError
from tenure.operations import load
from tenure.operations.drop_constraint import DropConstraint
from tenure.operations.node_constraint import NodeConstraint
from tenure.runner.context import Context


@pytest.fixture
def ctx(postgres_dsn: str, neo4j_url: str) -> Iterator[Context]:
    """A label with a global uniqueness of an odd name, a composite one, and one on relationships."""
    with context(postgres_dsn, neo4j_url) as found:
        found.neo4j.schema("CREATE CONSTRAINT `el código` FOR (n:Codigo) REQUIRE n.nombre IS UNIQUE")
        found.neo4j.schema("CREATE CONSTRAINT pares FOR (n:Par) REQUIRE (n.a, n.b) IS UNIQUE")
        found.neo4j.schema("CREATE CONSTRAINT citas FOR ()-[r:CITA]-() REQUIRE r.n IS UNIQUE")
        found.neo4j.write("CREATE (:Codigo {nombre: 'x', project_id: 'a'})-[:CITA {n: 1, project_id: 'a'}]->"
                          "(:Par {a: 1, b: 2, project_id: 'a'})")  # fmt: skip
        yield found


CASES: list[dict[str, Any]] = [
    {"name": "el código", "label": "Codigo", "properties": ("nombre",)},
    {"name": "pares", "label": "Par", "properties": ("a", "b")},
    {"name": "citas", "label": "CITA", "properties": ("n",), "entity": "RELATIONSHIP"},
]
TWINS = {
    "Codigo": "CREATE (:Codigo {nombre: 'x', project_id: 'b'})",
    "Par": "CREATE (:Par {a: 1, b: 2, project_id: 'b'})",
    "CITA": "MATCH (c:Codigo), (p:Par) CREATE (c)-[:CITA {n: 1, project_id: 'b'}]->(p)",
}


def schema(ctx: Context) -> tuple[dict[str, Any], set[tuple[str, ...]]]:
    """The constraints, and the properties of the indexes that belong to none."""
    constraints = {
        row["name"]: (row["type"], tuple(row["labelsOrTypes"]), tuple(row["properties"]))
        for row in ctx.neo4j.read("SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties RETURN *")
    }
    rows = ctx.neo4j.read(
        "SHOW INDEXES YIELD type, properties, owningConstraint WHERE type = 'RANGE' AND owningConstraint IS NULL "
        "AND NOT 'project_id' IN properties RETURN properties"
    )
    return constraints, {tuple(row["properties"]) for row in rows}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["label"]))
def test_drop_and_back(ctx: Context, case: dict[str, Any]) -> None:
    """It goes only when the per-tenant one holds, an index stays in its place, and undo brings all back, until two
    tenants use one name."""
    before = schema(ctx)
    drop = DropConstraint(object=f"{case['label']}.{case['name']}", key="project_id", **case)
    assert load(drop.dump()) == drop
    with pytest.raises(RefusedError, match="not online"):
        drop.apply(ctx)
    assert schema(ctx) == before, "nothing is dropped before its successor holds"
    per_tenant = {name: case[name] for name in ("label", "properties", "entity") if name in case}
    NodeConstraint(object="per tenant", key="project_id", **per_tenant).apply(ctx)
    both = schema(ctx)

    assert drop.check(ctx).left == 1
    assert drop.apply(ctx).changed == 1
    assert drop.check(ctx).left == 0
    constraints, indexes = schema(ctx)
    assert both[0].keys() - constraints.keys() == {case["name"]}
    assert case["properties"] in indexes
    again = drop.apply(ctx)
    assert (again.changed, again.note) == (0, "gone already")
    assert list(drop.losses(ctx)) == []

    assert drop.undo(ctx).changed == 1
    assert schema(ctx) == both
    assert drop.undo(ctx).changed == 0

    drop.apply(ctx)
    ctx.neo4j.write(TWINS[case["label"]])
    (finding,) = drop.losses(ctx)
    assert (finding.severity, finding.count) == ("error", 1)
    assert finding.sample[0]["tenants"] == ["a", "b"]
    with pytest.raises(GraphConstraintError):
        drop.undo(ctx)
    assert schema(ctx) == (constraints, indexes), "queries are still served by the index"
