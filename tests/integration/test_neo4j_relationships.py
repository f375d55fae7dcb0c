"""Relationship backfill, ends, neighbours and divided lists on a real server, held against a brute-force reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from graph_support import KEY, connect, context, fragments, interviews, keys, rule, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import GraphBins, count_bins_nodes, count_bins_relationships
from tenure.attribution.graph_decide import Attributor, Mode
from tenure.attribution.graph_pages import scan_nodes
from tenure.attribution.spec import ColumnSource, ConstantSource, EndRowsSource, EndsSource, NeighboursSource
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.runner.context import Context
from tenure.stores.neo4j import Neo4jStore, Written
from tenure.values import TableName


@pytest.fixture
def ctx(postgres_dsn: str, neo4j_url: str) -> Iterator[Context]:
    """Empty stores with tenants a, b and c, and the example's identity indexes."""
    with context(postgres_dsn, neo4j_url) as found:
        for label, identity in (("Fragmento", "id"), ("Codigo", "nombre"), ("Categoria", "nombre")):
            IdentityIndex(object=label, identity=identity).apply(found)
        yield found


def backfill(ctx: Context, graph: GraphSpec) -> dict[str, Any]:
    """Run every node backfill, then every relationship backfill; return what is left, by object."""
    left = {spec.label: run(ctx, NodeBackfill(object=spec.label, graph=graph)).left for spec in graph.nodes}
    for spec in graph.relationships:
        left[spec.type] = run(ctx, RelationshipBackfill(object=spec.type, graph=graph)).left
    return left


def both(ctx: Context, graph: GraphSpec, name: str) -> tuple[GraphBins, GraphBins]:
    """The bins of one label or type by sources and by keys."""
    relationship = graph.relationship(name)
    modes: tuple[Mode, Mode] = ("sources", "keys")
    one, two = (
        count_bins_nodes(ctx.neo4j, graph, graph.node(name), ctx.lookups, mode)
        if relationship is None
        else count_bins_relationships(ctx.neo4j, graph, relationship, ctx.lookups, mode)
        for mode in modes
    )
    return one, two


def relationship_keys(ctx: Context, type: str) -> Counter[tuple[Any, Any, Any]]:
    """How many relationships of a type there are by start, end and key."""
    rows = ctx.neo4j.read(
        f"MATCH (a)-[r:`{type}`]->(b) RETURN coalesce(a.id, a.nombre) AS a, coalesce(b.id, b.nombre) AS b, "
        "r.project_id AS key"
    )
    return Counter((row["a"], row["b"], row["key"]) for row in rows)


def test_codes_take_the_tenants_of_their_fragments(ctx: Context) -> None:
    """Majority, ties, one tenant, none; relationships follow the fragment, parallel ones each on their own."""
    fragments(ctx, {"f1": "a", "f2": "b", "f3": "b", "f4": "c"})
    connect(ctx, [("f1", "one"), ("f1", "two"), ("f2", "two"), ("f3", "two"), ("f4", "tie"), ("f2", "tie")])
    connect(ctx, [("f1", "one"), ("f1", "one")])
    ctx.neo4j.write("CREATE (:Codigo {nombre: 'alone'})")
    graph = interviews()
    sources, _ = both(ctx, graph, "Codigo")
    assert (sources.several, dict(sources.bins)) == (2, {"assigned": 3, "unassigned": 1})
    assert dict(sources.samples["several"]) == {"two": "a, b", "tie": "b, c"}

    left = backfill(ctx, graph)
    assert left == {"Fragmento": 0, "Codigo": 1, "Categoria": 0, "TIENE_CODIGO": 0, "REL": 0}
    assert keys(ctx, "Codigo", "nombre") == {"one": "a", "two": "b", "tie": "b", "alone": None}
    assert relationship_keys(ctx, "TIENE_CODIGO") == {
        ("f1", "one", "a"): 3,
        ("f1", "two", "a"): 1,
        ("f2", "two", "b"): 1,
        ("f3", "two", "b"): 1,
        ("f4", "tie", "c"): 1,
        ("f2", "tie", "b"): 1,
    }
    _, by_keys = both(ctx, graph, "Codigo")
    assert (by_keys.bins, by_keys.several, by_keys.to_write) == (sources.bins, 2, 0)
    note = NodeBackfill(object="Codigo", graph=graph).check(ctx).note
    assert note.startswith("2 to be split at cutover")


@pytest.mark.parametrize(
    ("several", "expected", "bin"),
    [("split", "b", "assigned"), ("shared", "__shared__", "shared"), ("conflict", None, "conflict")],
)
def test_several_says_what_becomes_of_a_node_with_two_tenants(
    ctx: Context, several: str, expected: str | None, bin: str
) -> None:
    """Split, shared or conflict; a shared end gives way to the other, one without a tenant has nothing to say."""
    fragments(ctx, {"f1": "a", "f2": "b", "f3": "b"})
    connect(ctx, [("f1", "k"), ("f2", "k"), ("f3", "k")])
    codes = NodeSpec.model_validate(
        {
            "label": "Codigo",
            "identity": "nombre",
            "rule": rule(NeighboursSource(types=("TIENE_CODIGO",))),
            "several": several,
        }
    )
    graph = interviews(nodes=(interviews().nodes[0], codes), relationships=interviews().relationships[:1])
    sources, _ = both(ctx, graph, "Codigo")
    assert dict(sources.bins) == {bin: 1}
    backfill(ctx, graph)
    assert keys(ctx, "Codigo", "nombre") == {"k": expected}
    found = {key for _, _, key in relationship_keys(ctx, "TIENE_CODIGO")}
    assert found == ({None} if several == "conflict" else {"a", "b"})


@dataclass
class Ends:
    """One relationship between two nodes with a property `p` for their tenant, and what it should come to."""

    start: str | None
    end: str | None
    expected: str | None
    bin: str
    policy: str = "fail"


ENDS_CASES = {
    "the same": Ends("a", "a", "a", "assigned"),
    "different": Ends("a", "b", None, "conflict"),
    "different, quarantined": Ends("a", "b", "__quarantine__", "conflict", "quarantine"),
    "one has none": Ends("a", None, None, "unassigned"),
    "a shared end gives way": Ends("a", "shared", "a", "assigned"),
    "both shared": Ends("shared", "shared", "__shared__", "shared"),
    "a quarantined end": Ends("quarantine", "a", "__quarantine__", "quarantine"),
    "quarantined and shared": Ends("quarantine", "shared", "__quarantine__", "quarantine"),
}


@pytest.mark.parametrize("case", ENDS_CASES.values(), ids=list(ENDS_CASES))
def test_ends(ctx: Context, case: Ends) -> None:
    """The tenant that both ends have in common, before and after keys are written."""
    labels = {"shared": "Comun", "quarantine": "Malo"}
    for name, value in (("start", case.start), ("end", case.end)):
        label = labels.get(value or "", "Nodo")
        ctx.neo4j.write(f"CREATE (:{label} {{nombre: $name, p: $value}})", name=name, value=value)
    ctx.neo4j.write("MATCH (a {nombre: 'start'}), (b {nombre: 'end'}) CREATE (a)-[:R]->(b)")
    by = rule(ColumnSource(name="p"))
    graph = GraphSpec(
        key=KEY,
        nodes=(
            NodeSpec(label="Nodo", identity="nombre", rule=by),
            NodeSpec(label="Malo", identity="nombre", rule=rule(ColumnSource(name="p"), unassigned="quarantine")),
        ),
        relationships=(
            RelationshipSpec(type="R", start_labels=("Nodo",), rule=rule(EndsSource(), conflict=case.policy)),
        ),
        shared_labels=("Comun",),
    )
    sources, _ = both(ctx, graph, "R")
    assert dict(sources.bins) == {case.bin: 1}
    backfill(ctx, graph)
    assert relationship_keys(ctx, "R") == {("start", "end", case.expected): 1}
    _, by_keys = both(ctx, graph, "R")
    assert dict(by_keys.bins) == {"quarantine" if case.policy == "quarantine" else case.bin: 1}
    with ctx.postgres.connection() as connection:
        listed = connection.execute("SELECT item FROM tenure.quarantine WHERE object = 'R'").fetchall()
    assert len(listed) == (1 if case.expected == "__quarantine__" else 0)


def test_a_relationship_has_sources_of_its_own(ctx: Context) -> None:
    """A property, a row of Postgres with both ends, a constant; and a node takes the relationship's own tenant."""
    with ctx.postgres.connection() as connection:
        connection.execute("CREATE TABLE enlaces (de integer, a text, project_id text)")
        connection.execute("INSERT INTO enlaces VALUES (1, 'x', 'b'), (2, 'x', 'c'), (2, 'y', 'a')")
    ctx.neo4j.write(
        "CREATE (n1:Codigo {nombre: 1}), (n2:Codigo {nombre: 2}), (x:Cosa {nombre: 'x'}), (y:Cosa {nombre: 'y'}) "
        "CREATE (n1)-[:ROW]->(x), (n2)-[:ROW]->(x), (n2)-[:ROW]->(y), (n1)-[:ROW]->(y), "
        "(n1)-[:PROP {p: 'b'}]->(x), (n2)-[:CONST]->(x)"
    )
    rows = EndRowsSource(table=TableName(name="enlaces"), start_column="de", end_column="a")
    graph = GraphSpec(
        key=KEY,
        nodes=(
            NodeSpec(label="Codigo", identity="nombre", rule=rule(NeighboursSource(types=("ROW",))), several="split"),
            NodeSpec(label="Cosa", identity="nombre", rule=rule(ConstantSource(value="a"))),
        ),
        relationships=(
            RelationshipSpec(type="ROW", start_labels=("Codigo",), rule=rule(rows)),
            RelationshipSpec(type="PROP", start_labels=("Codigo",), rule=rule(ColumnSource(name="p"))),
            RelationshipSpec(type="CONST", start_labels=(), rule=rule(ConstantSource(value="c"))),
        ),
    )
    sources, _ = both(ctx, graph, "Codigo")
    assert dict(sources.samples["several"]) == {2: "a, c"}
    left = backfill(ctx, graph)
    assert left == {"Codigo": 0, "Cosa": 0, "ROW": 1, "PROP": 0, "CONST": 0}
    assert keys(ctx, "Codigo", "nombre") == {1: "b", 2: "a"}
    assert relationship_keys(ctx, "ROW") == {(1, "x", "b"): 1, (2, "x", "c"): 1, (2, "y", "a"): 1, (1, "y", None): 1}
    assert relationship_keys(ctx, "PROP") == {(1, "x", "b"): 1}
    assert relationship_keys(ctx, "CONST") == {(2, "x", "c"): 1}


def test_lists_of_references_divide_what_two_tenants_have_in_common(ctx: Context) -> None:
    """Owners of the entries decide between common tenants; several are to be divided; none is a conflict."""
    fragments(ctx, {"a1": "a", "a2": "a", "b1": "b", "c1": "c"})
    connect(ctx, [("a1", "k"), ("b1", "k"), ("a1", "m"), ("b1", "m"), ("a2", "solo")])
    for name, evidence in {"only": ["b1"], "mixed": ["a1", "a2", "b1", "gone"], "outside": ["c1"], "empty": []}.items():
        ctx.neo4j.write(
            "MATCH (k:Codigo {nombre: 'k'}), (m:Codigo {nombre: 'm'}) CREATE (k)-[:REL {name: $n, evidencia: $e}]->(m)",
            n=name,
            e=evidence,
        )
    ctx.neo4j.write(
        "MATCH (k:Codigo {nombre: 'k'}), (s:Codigo {nombre: 'solo'}) "
        "CREATE (k)-[:REL {name: 'single', evidencia: ['b1']}]->(s)"
    )
    graph = interviews()
    sources, _ = both(ctx, graph, "REL")
    assert (sources.several, dict(sources.bins)) == (1, {"assigned": 3, "conflict": 2})
    backfill(ctx, graph)
    found = {row["n"]: row["k"] for row in ctx.neo4j.read("MATCH ()-[r:REL]->() RETURN r.name AS n, r.project_id AS k")}
    quarantine = "__quarantine__"
    assert found == {"only": "b", "mixed": "a", "outside": quarantine, "empty": quarantine, "single": "a"}


def test_undo_puts_keys_back_on_relationships(ctx: Context) -> None:
    """Where some had a key before, those get theirs back and the others none; parallel ones by their number."""
    fragments(ctx, {"f1": "a", "f2": "b"})
    connect(ctx, [("f1", "k"), ("f1", "k"), ("f1", "k"), ("f2", "m")])
    ctx.neo4j.write("MATCH (:Fragmento {id: 'f1'})-[r]->() WITH r LIMIT 1 SET r.project_id = 'default'")
    ctx.neo4j.write("MATCH (:Fragmento {id: 'f2'})-[r]->() SET r.project_id = 'c'")
    first = interviews().relationships[0]
    changed = first.model_copy(update={"key_exists": True, "rule": rule(EndsSource(), existing="rederive")})
    graph = interviews(relationships=(changed,))
    before = relationship_keys(ctx, "TIENE_CODIGO")
    for _ in range(2):
        assert backfill(ctx, graph)["TIENE_CODIGO"] == 0
        assert relationship_keys(ctx, "TIENE_CODIGO") == {("f1", "k", "a"): 3, ("f2", "m", "b"): 1}
        done = RelationshipBackfill(object="TIENE_CODIGO", graph=graph).undo(ctx)
        assert (done.changed, done.left) == (4, 0)
        assert relationship_keys(ctx, "TIENE_CODIGO") == before
        with ctx.postgres.connection() as connection:
            connection.execute("DELETE FROM tenure.range")


class Counting(Neo4jStore):
    """Counts the rows of every write."""

    sizes: list[int]

    def write(self, query: str, **parameters: Any) -> Written:
        """Keep the number of rows."""
        if "rows" in parameters:
            self.sizes.append(len(parameters["rows"]))
        return super().write(query, **parameters)


def test_a_hub_is_written_in_many_transactions_and_survives_a_kill(ctx: Context, neo4j_url: str) -> None:
    """12,000 relationships at one start node: no transaction holds them all, and a repeat skips what is done."""
    ctx.neo4j.write("CREATE (:Fragmento {id: 'hub'})")
    with ctx.postgres.connection() as connection:
        connection.execute("INSERT INTO fragmentos VALUES ('hub', 'a')")
    ctx.neo4j.write("MATCH (f:Fragmento) UNWIND range(1, 12000) AS i CREATE (f)-[:TIENE_CODIGO]->(:Codigo {nombre: i})")
    graph = interviews()
    for label in ("Fragmento", "Codigo"):
        assert run(ctx, NodeBackfill(object=label, graph=graph)).left == 0
    operation = RelationshipBackfill(object="TIENE_CODIGO", graph=graph)
    with Counting(neo4j_url) as store:
        store.sizes = []
        ctx.neo4j_store = store
        run(ctx, operation, stop_after=1, advance=False)
        assert sum(store.sizes) == 12000
        assert max(store.sizes) < 12000
        store.sizes.clear()
        assert run(ctx, operation).left == 0
        assert store.sizes == []


def brute(owners: dict[int, str | None], edges: list[tuple[int, int]], links: list[tuple[int, int]]) -> Any:
    """The same rules written down plainly: tenants of codes, keys of codes, keys of both types of relationships."""
    around = {code: [owners[f] for f, c in edges if c == code and owners[f]] for code in range(5)}
    real = {code: [t for t in found if t != "__quarantine__"] for code, found in around.items()}
    code_keys: dict[int, str | None] = {}
    for code, found in around.items():
        counts = Counter(real[code])
        best = sorted(counts, key=lambda t: (-counts[t], t))
        code_keys[code] = best[0] if best else ("__quarantine__" if found else None)
    edge_keys = []
    for fragment, code in edges:
        ends = (owners[fragment], code_keys[code])
        key = "__quarantine__" if "__quarantine__" in ends else None if None in ends else ends[0]
        edge_keys.append((fragment, code, key))
    link_keys = []
    for one, two in links:
        ends = (code_keys[one], code_keys[two])
        common = set(real[one]) & set(real[two])
        key = None
        if "__quarantine__" in ends:
            key = "__quarantine__"
        elif None not in ends:
            key = next(iter(common)) if len(common) == 1 else "__quarantine__"
        link_keys.append((one, two, key))
    return code_keys, Counter(edge_keys), Counter(link_keys), {c: sorted(set(r)) for c, r in real.items()}


OWNERS = st.lists(st.sampled_from(["a", "b", "c", None, "__quarantine__"]), min_size=6, max_size=6)
EDGES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=14)
LINKS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owners=OWNERS, edges=EDGES, links=LINKS)
def test_random_graphs_come_to_what_brute_force_comes_to(
    ctx: Context, owners: list[str | None], edges: list[tuple[int, int]], links: list[tuple[int, int]]
) -> None:
    """Random owners, codes and links between codes: sources, keys and what is written agree with the reference."""
    ctx.neo4j.write("MATCH (n) DETACH DELETE n")
    with ctx.postgres.connection() as connection:
        connection.execute("TRUNCATE fragmentos; TRUNCATE tenure.range, tenure.quarantine, tenure.journal CASCADE")
    named = dict(enumerate(owners))
    fragments(ctx, {str(f): owner for f, owner in named.items()})
    ctx.neo4j.write("UNWIND range(0, 4) AS c CREATE (:Codigo {nombre: c})")
    ctx.neo4j.write(
        "UNWIND $edges AS e MATCH (f:Fragmento {id: e[0]}), (c:Codigo {nombre: e[1]}) CREATE (f)-[:TIENE_CODIGO]->(c)",
        edges=[[str(f), c] for f, c in edges],
    )
    ctx.neo4j.write(
        "UNWIND $links AS e MATCH (f:Codigo {nombre: e[0]}), (c:Codigo {nombre: e[1]}) CREATE (f)-[:REL]->(c)",
        links=[list(link) for link in links],
    )
    graph = interviews(
        nodes=interviews().nodes[:2],
        relationships=(
            interviews().relationships[0],
            RelationshipSpec(type="REL", start_labels=("Codigo",), rule=rule(EndsSource(), conflict="quarantine")),
        ),
    )
    code_keys, edge_keys, link_keys, tenants = brute(named, edges, links)
    several = {code: found for code, found in tenants.items() if len(found) > 1}

    before = {name: both(ctx, graph, name)[0] for name in ("Codigo", "TIENE_CODIGO", "REL")}
    assert all(sum(bins.bins.values()) == bins.total for bins in before.values())
    assert before["Codigo"].several == len(several)
    backfill(ctx, graph)
    assert keys(ctx, "Codigo", "nombre") == code_keys
    assert relationship_keys(ctx, "TIENE_CODIGO") == Counter({(str(f), c, k): n for (f, c, k), n in edge_keys.items()})
    assert relationship_keys(ctx, "REL") == link_keys
    assert before["TIENE_CODIGO"].to_write == sum(n for (_, _, k), n in edge_keys.items() if k)
    assert before["REL"].to_write == sum(n for (_, _, k), n in link_keys.items() if k)
    listed = dict(both(ctx, graph, "Codigo")[1].samples.get("several", []))
    assert listed == {code: ", ".join(found) for code, found in several.items()}


OWN = st.sampled_from(["a", "b", "c", None, None, None, "lost"])
NEAR = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), OWN), max_size=14)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owners=OWNERS, edges=NEAR, conflict=st.sampled_from(["quarantine", "first"]))
def test_what_relationships_say_themselves_holds_once_they_are_written(
    ctx: Context, owners: list[str | None], edges: list[tuple[int, int, str | None]], conflict: str
) -> None:
    """Random values of relationships' own beside their ends: what codes came to by them is what they come to again."""
    ctx.neo4j.write("MATCH (n) DETACH DELETE n")
    with ctx.postgres.connection() as connection:
        connection.execute("TRUNCATE fragmentos; TRUNCATE tenure.range, tenure.quarantine, tenure.journal CASCADE")
    fragments(ctx, {str(number): owner for number, owner in enumerate(owners)})
    ctx.neo4j.write("UNWIND range(0, 4) AS c CREATE (:Codigo {nombre: c})")
    ctx.neo4j.write(
        "UNWIND $edges AS e MATCH (f:Fragmento {id: e[0]}), (c:Codigo {nombre: e[1]}) "
        "CREATE (f)-[:TIENE_CODIGO {p: e[2]}]->(c)",
        edges=[[str(f), c, own] for f, c, own in edges],
    )
    by = rule(ColumnSource(name="p"), EndsSource(), conflict=conflict, unassigned="quarantine")
    own = RelationshipSpec(type="TIENE_CODIGO", start_labels=("Fragmento",), rule=by)
    graph = interviews(nodes=interviews().nodes[:2], relationships=(own,))
    codes = graph.node("Codigo")
    shapes = Attributor(ctx.neo4j, graph, ctx.lookups).shapes

    def decided() -> dict[Any, tuple[str | None, set[str]]]:
        """What codes come to without the key that they have: the key, and all their tenants."""
        attributor = Attributor(ctx.neo4j, graph, ctx.lookups)
        (page,) = scan_nodes(ctx.neo4j, shapes, codes, 100, everything=True)
        found = attributor.nodes(codes, [replace(node, present=None) for node in page])
        return {n.fields["nombre"]: (d.decision.write, set(d.tenants)) for n, d in zip(page, found, strict=True)}

    run(ctx, NodeBackfill(object="Fragmento", graph=graph))
    before = decided()
    backfill(ctx, graph)
    assert keys(ctx, "Codigo", "nombre") == {name: key for name, (key, _) in before.items()}
    assert decided() == before


def test_the_quick_way_and_the_long_way_agree(ctx: Context) -> None:
    """What is decided without a look at a code's neighbours is what the look would have given."""
    fragments(ctx, {f"f{i}": "abc"[i % 3] for i in range(30)})
    connect(ctx, [(f"f{i}", f"k{i % 4}") for i in range(30)])
    graph = interviews()
    backfill(ctx, graph)
    spec = graph.relationships[0]
    slow = Attributor(ctx.neo4j, graph, ctx.lookups)
    slow._quick = lambda spec, row: None  # type: ignore[method-assign]
    quick = count_bins_relationships(ctx.neo4j, graph, spec, ctx.lookups)
    rows = [
        slow.shapes.to_relationship(spec, row["r"])
        for row in ctx.neo4j.read(
            f"MATCH (a)-[r:TIENE_CODIGO]->(b) RETURN {slow.shapes.relationship(spec, 'r', 'a', 'b')} AS r"
        )
    ]
    decided = slow.relationships(spec, rows)
    assert [one.decision.bin for one in decided] == ["assigned"] * 30
    assert (quick.bins["assigned"], quick.to_write) == (30, 0)
    assert all(one.decision.write is None for one in decided)
