"""What is written plainly, by values and ends, is what would be decided one by one; everything else is left to that."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from graph_support import FRAGMENT, KEY, connect, context, fragments, interviews, keys, rule, run

from tenure.attribution.graph import GraphSpec, NodeSpec
from tenure.attribution.spec import ColumnSource
from tenure.operations import graph_plain, node_backfill, relationship_backfill
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.runner.context import Context
from tenure.stores.neo4j import Neo4jStore, Written

SAID: list[Any] = ["a", "b", "c", "A", "1", 1, 1.0, True, "", None, "default", "nobody", ["a"], "Project B"]
PRESENT: list[Any] = [None, None, None, None, "", "default", "a", "b", "__shared__", "__quarantine__", "stray"]


@pytest.fixture
def ctx(postgres_dsn: str, neo4j_url: str) -> Iterator[Context]:
    """Empty stores with tenants a, b, c and 1, and the example's indexes."""
    with context(postgres_dsn, neo4j_url, ("a", "b", "c", "1")) as found:
        for label, identity in (("Fragmento", "id"), ("Codigo", "nombre"), ("Categoria", "nombre")):
            IdentityIndex(object=label, identity=identity).apply(found)
        yield found


def wipe(ctx: Context) -> None:
    """An empty graph, an empty table and an empty ledger."""
    ctx.neo4j.write("MATCH (n) DETACH DELETE n")
    with ctx.postgres.connection() as connection:
        connection.execute("TRUNCATE fragmentos, tenure.operation, tenure.journal, tenure.quarantine CASCADE")


def noted(ctx: Context) -> tuple[list[Any], list[Any]]:
    """What the ledger knows of items: quarantined ones, and before-images."""
    with ctx.postgres.connection() as connection:
        listed = connection.execute("SELECT object, item::text FROM tenure.quarantine ORDER BY 1, 2").fetchall()
        images = connection.execute(
            "SELECT operation, item::text, before::text, after::text FROM tenure.journal ORDER BY 1, 2, 3, 4"
        ).fetchall()
    return listed, images


def one_by_one(patched: pytest.MonkeyPatch) -> None:
    """Let nothing be plain."""
    patched.setattr(node_backfill, "plain_property", lambda _: None)
    patched.setattr(relationship_backfill, "plain_ends", lambda _: False)


@pytest.mark.parametrize("identity", ["text", "number", "mixed"])
def test_nodes_get_the_keys_that_they_would_get_one_by_one(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, identity: str
) -> None:
    """By a property of any type, in pages of ten, with keys of all kinds there already."""
    some = random.Random(identity)
    by = rule(ColumnSource(name="said"), unassigned="quarantine", conflict="quarantine")
    operation = NodeBackfill(
        object="Fragmento", graph=GraphSpec(key=KEY, nodes=(NodeSpec(label="Fragmento", identity="id", rule=by),))
    )
    names: dict[str, list[Any]] = {"text": [f"f{i}" for i in range(60)], "number": list(range(60))}
    names["mixed"] = [*(f"f{i}" for i in range(30)), *range(20), *(i + 0.5 for i in range(10))]
    # Half of the pages hold one sort of values only: those that are written plainly.
    plain = ["a", "b", "c", "nobody"] if identity != "number" else [1, 2]
    nodes = [
        {"id": name, "said": some.choice(SAID if n < 30 else plain), "project_id": some.choice(PRESENT)}
        for n, name in enumerate(names[identity])
    ]
    monkeypatch.setattr(graph_plain, "FIRST", 10)
    monkeypatch.setattr(graph_plain, "LEAST", 10)
    found = []
    for plainly in (True, False):
        with monkeypatch.context() as patched:
            if not plainly:
                one_by_one(patched)
            wipe(ctx)
            ctx.neo4j.write("UNWIND $nodes AS n CREATE (x:Fragmento) SET x = n", nodes=nodes)
            outcome = run(ctx, operation)
            found.append((keys(ctx, "Fragmento", "id"), noted(ctx), outcome.left))
    assert found[0] == found[1]
    assert "a" in found[0][0].values() or identity == "number"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_relationships_get_the_keys_that_they_would_get_one_by_one(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Shared codes, ends that differ, ends without a key, loops; also where a hub is too large for a page."""
    graph = interviews()
    monkeypatch.setattr(graph_plain, "FIRST", 8)
    monkeypatch.setattr(graph_plain, "LEAST", 4)
    monkeypatch.setattr(relationship_backfill, "START_NODES", 4)
    monkeypatch.setattr(relationship_backfill, "FEWEST_NODES", 2)
    found = []
    for plainly in (True, False):
        some = random.Random(seed)
        with monkeypatch.context() as patched:
            if not plainly:
                one_by_one(patched)
            wipe(ctx)
            fragments(ctx, {f"f{i}": some.choice(["a", "b", None]) for i in range(20)})
            pairs = [(f"f{some.randrange(20)}", f"k{some.randrange(6)}") for _ in range(40)]
            connect(ctx, [*pairs, *(("f0", f"k{i % 6}") for i in range(40))])
            ctx.neo4j.write("MATCH (f:Fragmento {id: 'f1'})-[r]->() SET r.project_id = 'default'")
            ctx.neo4j.write("MATCH (f:Fragmento {id: 'f2'}) CREATE (f)-[:TIENE_CODIGO]->(f)")
            left = [run(ctx, NodeBackfill(object=spec.label, graph=graph)).left for spec in graph.nodes]
            left.append(run(ctx, RelationshipBackfill(object="TIENE_CODIGO", graph=graph)).left)
            rows = ctx.neo4j.read(
                "MATCH (f)-[r:TIENE_CODIGO]->(c) "
                "RETURN f.id AS f, coalesce(c.nombre, c.id) AS c, r.project_id AS key ORDER BY f, c, key"
            )
            found.append((rows, noted(ctx), left))
    assert found[0] == found[1]
    assert {"a", "b"} <= {row["key"] for row in found[0][0]}


class Busy(Neo4jStore):
    """A server whose application writes a key just before each write of tenure's."""

    def write(self, query: str, **parameters: Any) -> Written:
        """Let the application come first."""
        super().write("MATCH (n:Fragmento {id: 'f3'}) WHERE n.project_id IS NULL SET n.project_id = 'c'")
        super().write("MATCH (n:Fragmento {id: 'f4'}) SET n.id = 'f4 renamed'")
        return super().write(query, **parameters)


def test_what_the_application_writes_meanwhile_stays(ctx: Context, neo4j_url: str) -> None:
    """A key of its own is not overwritten, and a node that has another identity by now does not get the old one's."""
    fragments(ctx, {f"f{i}": "a" for i in range(10)})
    with ctx.postgres.connection() as connection:
        connection.execute("INSERT INTO fragmentos VALUES ('f4 renamed', 'b')")
    calm, graph = (
        ctx.neo4j,
        GraphSpec(key=KEY, nodes=(NodeSpec(label="Fragmento", identity="id", rule=rule(FRAGMENT)),)),
    )
    with Busy(neo4j_url) as busy:
        ctx.neo4j_store = busy
        assert run(ctx, NodeBackfill(object="Fragmento", graph=graph)).left == 0
    ctx.neo4j_store = calm
    found = keys(ctx, "Fragmento", "id")
    assert (found.pop("f3"), found.pop("f4 renamed")) == ("c", "b")
    assert set(found.values()) == {"a"}
