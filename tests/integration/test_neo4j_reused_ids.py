"""A server gives the ids of deleted elements to new ones: what is written must still be what was decided."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from graph_support import connect, context, fragments, interviews, keys, register

from tenure.operations.graph_keys import Change, KeyWriter
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.runner.context import Context


@pytest.fixture
def ctx(postgres_dsn: str, neo4j_url: str) -> Iterator[Context]:
    """Fragment f1 of tenant a and f2 of tenant b, each with a code."""
    with context(postgres_dsn, neo4j_url) as found:
        fragments(found, {"f1": "a", "f2": "b"})
        connect(found, [("f1", "c1"), ("f2", "c2")])
        yield found


def test_a_node_that_took_the_id_of_another_is_left_to_its_own_decision(ctx: Context) -> None:
    operation = NodeBackfill(object="Fragmento", graph=interviews())
    register(ctx, operation)
    element = ctx.neo4j.read("MATCH (n:Fragmento {id: 'f2'}) RETURN elementId(n) AS e")[0]["e"]
    writer = KeyWriter(ctx, operation, operation.graph, operation.spec)
    # Decided for f1, which is gone; its id is f2's now.
    assert writer.write([Change(element, "f1", None, "a")]) == 0
    assert keys(ctx, "Fragmento", "id") == {"f1": None, "f2": None}
    assert writer.write([Change(element, "f2", None, "b")]) == 1
    assert keys(ctx, "Fragmento", "id") == {"f1": None, "f2": "b"}


@pytest.mark.parametrize("moved", ["start", "end", "both"])
def test_a_relationship_that_took_the_id_of_another_is_left_to_its_own_decision(ctx: Context, moved: str) -> None:
    operation = RelationshipBackfill(object="TIENE_CODIGO", graph=interviews())
    register(ctx, operation)
    query = "MATCH (:Fragmento {id: 'f2'})-[r]->() RETURN elementId(r) AS e"
    element = ctx.neo4j.read(query)[0]["e"]
    writer = KeyWriter(ctx, operation, operation.graph, operation.spec)
    start = {"label": "Fragmento", "property": "id", "value": "f1" if moved in ("start", "both") else "f2"}
    end = {"label": "Codigo", "property": "nombre", "value": "c1" if moved in ("end", "both") else "c2"}
    assert writer.write([Change(element, {"start": start, "end": end}, None, "a")]) == 0
    own = {"start": {**start, "value": "f2"}, "end": {**end, "value": "c2"}}
    # An end that cannot be named is no reason to leave a relationship out.
    for item in (own, {**own, "start": None}):
        assert writer.write([Change(element, item, None, "b")]) == 1
        ctx.neo4j.write("MATCH ()-[r:TIENE_CODIGO]->() REMOVE r.project_id")
