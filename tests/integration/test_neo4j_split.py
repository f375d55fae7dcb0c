"""Splitting shared nodes on a real server: nothing lost, nothing doubled, killed anywhere, and merged back."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from graph_support import connect, context, fragments, interviews, run

from tenure.attribution.graph import GraphSpec
from tenure.attribution.graph_bins import count_bins_nodes, count_bins_relationships
from tenure.errors import RefusedError
from tenure.operations import split_copies
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.node_constraint import NodeConstraint
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.operations.split_node import SplitNode
from tenure.runner.context import Context
from tenure.stores.neo4j import Neo4jStore, Written

SPLIT = ("Codigo", "Categoria")


@pytest.fixture
def ctx(postgres_dsn: str, neo4j_url: str) -> Iterator[Context]:
    """Empty stores with tenants a, b and c; global uniqueness on codes and categories, as the example has it."""
    with context(postgres_dsn, neo4j_url) as found:
        IdentityIndex(object="Fragmento", identity="id").apply(found)
        for label, name in (("Codigo", "codigo_nombre"), ("Categoria", "categoria_nombre")):
            found.neo4j.schema(f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.nombre IS UNIQUE")
        yield found


def graph() -> GraphSpec:
    """The example's graph, with what goes stale on codes."""
    specs = interviews()
    nodes = tuple(
        spec.model_copy(update={"stale": ("community_id",)}) if spec.label == "Codigo" else spec for spec in specs.nodes
    )
    return specs.model_copy(update={"nodes": nodes})


def splits() -> list[SplitNode]:
    """The two splits, codes first."""
    names = {"Codigo": ("codigo_nombre",), "Categoria": ("categoria_nombre",)}
    return [SplitNode(object=label, graph=graph(), constraints=names[label], waiting="") for label in SPLIT]


def prepare(ctx: Context) -> None:
    """Backfill everything and build the composite constraints."""
    for spec in graph().nodes:
        assert run(ctx, NodeBackfill(object=spec.label, graph=graph())).left == 0
    for edge in graph().relationships:
        assert run(ctx, RelationshipBackfill(object=edge.type, graph=graph())).left == 0
    for label in SPLIT:
        NodeConstraint(object=f"{label}.nombre", label=label, properties=("nombre",), key="project_id").apply(ctx)


def load(ctx: Context, seed: int) -> None:
    """Three tenants share codes and categories; evidence lists mix them; parallel relationships and loops."""
    some = random.Random(seed)
    owners: dict[str, str | None] = {f"f{i}": some.choice("aabc") for i in range(24)}
    fragments(ctx, owners)
    connect(ctx, [(f"f{i}", f"k{some.randrange(4)}") for i in range(24)] + [("f0", "k0"), ("f0", "k0")])
    ctx.neo4j.write("MATCH (c:Codigo) SET c.community_id = 7, c.note = 'n', c:Extra")
    ctx.neo4j.write("UNWIND range(0, 1) AS i CREATE (:Categoria {nombre: 'cat' + i})")
    for number in range(12):
        start = some.choice(["cat0", "cat1", "k0", "k1"])
        ctx.neo4j.write(
            "MATCH (a {nombre: $a}), (b:Codigo {nombre: $b}) CREATE (a)-[:REL {tipo: 'es', n: $n, evidencia: $e}]->(b)",
            a=start,
            b=f"k{some.randrange(4)}",
            n=number // 2,
            e=some.sample(sorted(owners), some.randrange(0, 5)) + (["gone"] if number % 3 == 0 else []),
        )


def fingerprint(ctx: Context) -> tuple[Counter[str], Counter[str]]:
    """Every node and every relationship with all its properties, as multisets."""
    nodes = ctx.neo4j.read("MATCH (n) RETURN labels(n) AS l, properties(n) AS p")
    edges = ctx.neo4j.read(
        "MATCH (a)-[r]->(b) RETURN properties(a) AS a, type(r) AS t, properties(r) AS r, properties(b) AS b"
    )
    return (
        Counter(json.dumps([sorted(row["l"]), row["p"]], sort_keys=True) for row in nodes),
        Counter(json.dumps(row, sort_keys=True) for row in edges),
    )


def names(ctx: Context) -> set[str]:
    """All constraints and indexes."""
    found = ctx.neo4j.read("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name")
    return {row["name"] for row in found + ctx.neo4j.read("SHOW CONSTRAINTS YIELD name RETURN name")}


def assert_closed(ctx: Context) -> None:
    """No relationship between tenants but quarantined ones; a node has only relationships of its own tenant."""
    crossing = ctx.neo4j.read(
        "MATCH (a)-[r]->(b) WHERE r.project_id <> '__quarantine__' AND "
        "(a.project_id <> r.project_id OR b.project_id <> r.project_id) RETURN count(r) AS n"
    )
    assert crossing == [{"n": 0}]
    for spec in graph().nodes:
        assert count_bins_nodes(ctx.neo4j, graph(), spec, ctx.lookups).several == 0


def evidence(ctx: Context) -> Counter[tuple[str, str, str, int]]:
    """Every entry of every list with its ends and its relationship's number: what may not get lost."""
    rows = ctx.neo4j.read(
        "MATCH (a)-[r:REL]->(b) UNWIND r.evidencia AS e RETURN a.nombre AS a, b.nombre AS b, e, r.n AS n, count(*) AS c"
    )
    return Counter({(row["a"], row["b"], row["e"], row["n"]): row["c"] for row in rows})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_split_closes_each_tenants_graph_and_is_merged_back(ctx: Context, seed: int) -> None:
    """After it nothing crosses, no entry is lost, stale properties are gone; undo gives the same graph again."""
    load(ctx, seed)
    prepare(ctx)
    before, entries, schema = fingerprint(ctx), evidence(ctx), names(ctx)
    several = ctx.neo4j.read(
        "MATCH (c:Codigo)<-[:TIENE_CODIGO]-(f) WITH c, collect(DISTINCT f.project_id) AS t WHERE size(t) > 1 "
        "RETURN c.nombre AS name, t"
    )
    assert several
    outcomes = [operation.apply(ctx) for operation in splits()]
    assert outcomes[0].changed == outcomes[0].planned == len(several)
    assert_closed(ctx)
    copies = ctx.neo4j.read(
        "MATCH (c:Codigo) RETURN c.nombre AS name, collect(c.project_id) AS t, collect(c.community_id) AS stale, "
        "collect(c.note) AS notes, all(l IN collect(labels(c)) WHERE 'Extra' IN l) AS labelled"
    )
    found = {row["name"]: row for row in copies}
    for row in several:
        copy = found[row["name"]]
        assert (sorted(copy["t"]), copy["stale"]) == (sorted(row["t"]), [])
        assert (copy["notes"], copy["labelled"]) == (["n"] * len(row["t"]), True)
    assert ctx.neo4j.read("MATCH ()-[r:TIENE_CODIGO]->() RETURN count(r) AS n") == [{"n": 26}]
    assert set(evidence(ctx)) == set(entries)
    bins = count_bins_relationships(ctx.neo4j, graph(), graph().relationships[1], ctx.lookups)
    assert (bins.several, bins.to_write) == (0, 0)

    assert [operation.apply(ctx).changed for operation in splits()] == [0, 0]
    assert [list(operation.losses(ctx)) for operation in splits()] == [[], []]
    assert [operation.undo(ctx).left for operation in reversed(splits())] == [0, 0]
    assert fingerprint(ctx) == before
    assert names(ctx) == schema


class Killed(BaseException):
    """The process is gone."""


class Mortal(Neo4jStore):
    """Dies before or after a given write."""

    lives: int

    def write(self, query: str, **parameters: Any) -> Written:
        """Count down; the last write is done or not, and nobody hears of it."""
        self.lives -= 1
        if self.lives == 0:
            raise Killed
        written = super().write(query, **parameters)
        if self.lives == 1:
            raise Killed
        return written


def test_a_split_killed_anywhere_ends_the_same(ctx: Context, neo4j_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before and after many writes, resumed each time: the end state is that of an undisturbed split."""
    monkeypatch.setattr(split_copies, "BATCH", 4)
    load(ctx, 4)
    prepare(ctx)
    before = fingerprint(ctx)
    for operation in splits():
        operation.apply(ctx)
    undisturbed = fingerprint(ctx)
    for operation in reversed(splits()):
        operation.undo(ctx)
    assert fingerprint(ctx) == before

    calm = ctx.neo4j
    kills = 0
    with Mortal(neo4j_url) as mortal:
        ctx.neo4j_store = mortal
        for operation in splits():
            while True:
                mortal.lives = (2, 2, 1, 3)[kills % 4]
                try:
                    operation.apply(ctx)
                    break
                except Killed:
                    kills += 1
                assert kills < 200
        ctx.neo4j_store = calm
        assert kills > 10
        assert fingerprint(ctx) == undisturbed
        ctx.neo4j_store, deaths = mortal, 0
        for operation in reversed(splits()):
            while True:
                mortal.lives = deaths + 1  # what is whole already is looked at again, so each life must be longer
                try:
                    operation.undo(ctx)
                    break
                except Killed:
                    deaths += 1
    ctx.neo4j_store = calm
    assert deaths > 5
    assert fingerprint(ctx) == before


def test_a_split_needs_the_composite_uniqueness(ctx: Context) -> None:
    """Nothing is dropped before it is there."""
    load(ctx, 5)
    with pytest.raises(RefusedError, match="not unique yet"):
        splits()[0].apply(ctx)
    assert "codigo_nombre" in names(ctx)


def test_what_a_merge_would_lose_is_said_first(ctx: Context) -> None:
    """An edited copy, and a name that two tenants have by now."""
    load(ctx, 6)
    prepare(ctx)
    split = splits()[0]
    split.apply(ctx)
    ctx.neo4j.write("MATCH (c:Codigo {nombre: 'k0'}) WITH c ORDER BY c.project_id LIMIT 1 SET c.note = 'edited'")
    ctx.neo4j.write("CREATE (:Codigo {nombre: 'new', project_id: 'a'}), (:Codigo {nombre: 'new', project_id: 'b'})")
    findings = list(split.losses(ctx))
    assert [finding.count > 0 for finding in findings] == [True, True]
    assert findings[1].sample == ("new of a, b",)


def test_a_hub_is_moved_in_bounded_transactions(ctx: Context) -> None:
    """6,000 relationships of three tenants on one code: each tenant's end on its own copy, in batches."""
    fragments(ctx, {f"f{i}": "abc"[i % 3] for i in range(6000)})
    connect(ctx, [(f"f{i}", "hub") for i in range(6000)])
    prepare(ctx)
    assert splits()[0].apply(ctx).note.startswith("4000 relationships moved")
    rows = ctx.neo4j.read("MATCH (c:Codigo)<-[r]-() RETURN c.project_id AS t, count(r) AS n ORDER BY t")
    assert [row["n"] for row in rows] == [2000, 2000, 2000]
    assert_closed(ctx)
