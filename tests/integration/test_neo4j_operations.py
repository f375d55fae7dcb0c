"""Node backfill, constraint and index on a real server: what each leaves behind, at every stage and after undo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from graph_support import FRAGMENT, KEY, context, fragments, keys, register, rule, run

from tenure.attribution.graph import GraphSpec, NodeSpec
from tenure.attribution.graph_bins import count_bins_nodes
from tenure.attribution.spec import ColumnSource, ConstantSource, ItemRule
from tenure.errors import GraphMemoryError, OperationFailedError
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.node_constraint import NodeConstraint
from tenure.runner.context import Context
from tenure.stores.neo4j import Neo4jStore, Written


@pytest.fixture
def ctx(postgres_dsn: str, neo4j_url: str) -> Iterator[Context]:
    """Empty stores with tenants a, b and c, and an index on Fragmento.id."""
    with context(postgres_dsn, neo4j_url) as found:
        IdentityIndex(object="Fragmento", identity="id").apply(found)
        yield found


def graph_of(by: ItemRule, **changed: Any) -> GraphSpec:
    """A graph with one label, Fragmento, identified by `id`."""
    return GraphSpec(key=KEY, nodes=(NodeSpec(label="Fragmento", identity="id", rule=by, **changed),))


@dataclass
class Case:
    """Nodes as (identity, properties), rows of Postgres, and the keys expected after the backfill."""

    by: ItemRule
    nodes: list[dict[str, Any]]
    expected: list[Any]
    rows: dict[str, str] = field(default_factory=dict)
    key_exists: bool = False
    quarantined: int = 0
    bins: dict[str, int] | None = None
    left: int = 0


PROPERTY = ColumnSource(name="proyecto")
CASES = {
    "a row of Postgres": Case(rule(FRAGMENT), [{"id": "f1"}, {"id": "f2"}], ["a", "b"], {"f1": "a", "f2": "b"}),
    "a number matched with text": Case(rule(FRAGMENT), [{"id": 7}], ["a"], {"7": "a"}),
    "a property, with an alias": Case(
        rule(PROPERTY), [{"id": "1", "proyecto": "a"}, {"id": "2", "proyecto": "Project B"}], ["a", "b"]
    ),
    "a constant": Case(rule(ConstantSource(value="c")), [{"id": "1"}, {"id": None}], ["c", "c"]),
    "untagged values": Case(
        rule(PROPERTY),
        [{"id": "1", "proyecto": "a", "project_id": "default"}, {"id": "2", "proyecto": "b", "project_id": ""}],
        ["a", "b"],
        key_exists=True,
    ),
    "every sort of identity": Case(
        rule(PROPERTY),
        [{"id": v, "proyecto": "a"} for v in ("", "x", "ñ", 1, 2.5, -3, 2**60, None, True, ["l"])],
        ["a"] * 10,
    ),
    "no source: fail": Case(rule(PROPERTY), [{"id": "1"}], [None], bins={"unassigned": 1}, left=1),
    "not a tenant: fail": Case(rule(PROPERTY), [{"id": "1", "proyecto": "zz"}], [None], bins={"unassigned": 1}, left=1),
    "no source: quarantine": Case(
        rule(PROPERTY, unassigned="quarantine"), [{"id": "1"}], ["__quarantine__"], quarantined=1
    ),
    "no source: shared": Case(rule(PROPERTY, unassigned="shared"), [{"id": "1"}], ["__shared__"]),
    "no source: assign": Case(rule(PROPERTY, unassigned="assign", assign="b"), [{"id": "1"}], ["b"]),
    "no source: keep null": Case(rule(PROPERTY, unassigned="keep_null"), [{"id": "1"}], [None]),
    "a parent in quarantine": Case(
        rule(FRAGMENT), [{"id": "1"}], ["__quarantine__"], {"1": "__quarantine__"}, quarantined=1
    ),
    "a shared parent": Case(rule(FRAGMENT), [{"id": "1"}], ["__shared__"], {"1": "__shared__"}),
    "witness agrees": Case(rule(PROPERTY, FRAGMENT), [{"id": "1", "proyecto": "a"}], ["a"], {"1": "a"}),
    "witness disagrees: fail": Case(
        rule(PROPERTY, FRAGMENT), [{"id": "1", "proyecto": "a"}], [None], {"1": "b"}, bins={"conflict": 1}, left=1
    ),
    "witness disagrees: quarantine": Case(
        rule(PROPERTY, FRAGMENT, conflict="quarantine"),
        [{"id": "1", "proyecto": "a"}],
        ["__quarantine__"],
        {"1": "b"},
        quarantined=1,
    ),
    "witness disagrees: first": Case(
        rule(PROPERTY, FRAGMENT, conflict="first"), [{"id": "1", "proyecto": "a"}], ["a"], {"1": "b"}
    ),
    "existing key differs: conflict": Case(
        rule(PROPERTY), [{"id": "1", "proyecto": "a", "project_id": "b"}], ["b"], key_exists=True, bins={"conflict": 1}
    ),
    "existing key differs: quarantine": Case(
        rule(PROPERTY, conflict="quarantine"),
        [{"id": "1", "proyecto": "a", "project_id": "b"}],
        ["__quarantine__"],
        key_exists=True,
        quarantined=1,
    ),
    "existing key differs: keep": Case(
        rule(PROPERTY, existing="keep"), [{"id": "1", "proyecto": "a", "project_id": "b"}], ["b"], key_exists=True
    ),
    "existing key differs: rederive": Case(
        rule(PROPERTY, existing="rederive"), [{"id": "1", "proyecto": "a", "project_id": "b"}], ["a"], key_exists=True
    ),
    "existing key is an alias": Case(
        rule(PROPERTY), [{"id": "1", "proyecto": "b", "project_id": "Project B"}], ["b"], key_exists=True
    ),
    "existing key without a source": Case(
        rule(PROPERTY), [{"id": "1", "project_id": "b"}, {"id": "2", "proyecto": "a"}], ["b", "a"], key_exists=True
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_node_backfill(ctx: Context, case: Case) -> None:
    """Each rule gives the keys it should, says so in counts, repeats without harm, and is taken back."""
    with ctx.postgres.connection() as connection:
        connection.execute("INSERT INTO tenure.alias VALUES ('Project B', 'b')")
        for identity, tenant in case.rows.items():
            connection.execute("INSERT INTO fragmentos VALUES (%s, %s)", (identity, tenant))
    ctx.neo4j.write(
        "UNWIND $nodes AS node CREATE (n:Fragmento) SET n = node.properties, n.place = node.place",
        nodes=[{"properties": properties, "place": place} for place, properties in enumerate(case.nodes)],
    )
    graph = graph_of(case.by, key_exists=case.key_exists)
    operation = NodeBackfill(object="Fragmento", graph=graph)
    before = keys(ctx, "Fragmento", "place")
    bins = count_bins_nodes(ctx.neo4j, graph, graph.nodes[0], ctx.lookups, "sources")
    assert bins.total == sum(bins.bins.values()) == len(case.nodes)
    if case.bins is not None:
        assert dict(bins.bins) == case.bins

    done = run(ctx, operation)
    after = keys(ctx, "Fragmento", "place")
    assert [after[place] for place in range(len(case.nodes))] == case.expected
    written = sum(1 for place in after if after[place] != before[place])
    assert (done.changed, bins.to_write, done.left) == (written, written, case.left)
    with ctx.postgres.connection() as connection:
        listed = connection.execute("SELECT object, item FROM tenure.quarantine WHERE store = 'neo4j'").fetchall()
    assert len(listed) == case.quarantined

    again = operation.sweep(ctx)
    assert again.changed == 0
    assert keys(ctx, "Fragmento", "place") == after

    operation.undo(ctx)
    back = keys(ctx, "Fragmento", "place")
    assert back == (before if case.key_exists else dict.fromkeys(before))


def test_keys_of_type_bigint_are_numbers(ctx: Context) -> None:
    """A bigint key is a number in the graph, and an untagged "0" is found as text and as number."""
    key = KEY.model_copy(update={"type": "bigint", "quarantine": str(-(2**63)), "shared": "0", "untagged": ("-1",)})
    with ctx.postgres.connection() as connection:
        connection.execute("DROP TABLE proyectos; CREATE TABLE proyectos (id bigint PRIMARY KEY)")
        connection.execute("INSERT INTO proyectos VALUES (1), (2)")
    ctx.neo4j.write(
        "CREATE (:Fragmento {id: 'x', p: '1'}), (:Fragmento {id: 'y', p: 2, project_id: '-1'}), "
        "(:Fragmento {id: 'z', p: 2.0, project_id: -1}), (:Fragmento {id: 'q'})"
    )
    lookups = type(ctx.lookups)(ctx.postgres.connection, key)
    by = ItemRule(key=key, sources=(ColumnSource(name="p"),), policy=rule(PROPERTY, unassigned="quarantine").policy)
    graph = GraphSpec(key=key, nodes=(NodeSpec(label="Fragmento", identity="id", rule=by),))
    operation = NodeBackfill(object="Fragmento", graph=graph)
    ctx.key, ctx.lookups = key, lookups
    assert run(ctx, operation).left == 0
    assert keys(ctx, "Fragmento", "id") == {"x": 1, "y": 2, "z": 2, "q": -(2**63)}
    operation.undo(ctx)
    assert keys(ctx, "Fragmento", "id") == {"x": None, "y": "-1", "z": -1, "q": None}


def test_a_kill_between_write_and_ledger_costs_nothing(ctx: Context) -> None:
    """A batch whose cursor was never saved is repeated, and changes nothing the second time."""
    owners: dict[str, str | None] = {f"f{i:05}": "abc"[i % 3] for i in range(9000)}
    fragments(ctx, owners)
    operation = NodeBackfill(object="Fragmento", graph=graph_of(rule(FRAGMENT)))
    run(ctx, operation, stop_after=1, advance=False)
    assert 0 < sum(1 for key in keys(ctx, "Fragmento", "id").values() if key) < 9000
    for stop_after in (1, 2):
        run(ctx, operation, stop_after=stop_after, advance=False)
    done = run(ctx, operation)
    assert done.left == 0
    assert keys(ctx, "Fragmento", "id") == owners


def test_the_sweep_finds_what_was_born_since(ctx: Context) -> None:
    """Nodes that come after their range was planned, or behind its cursor, get their key."""
    fragments(ctx, {f"f{i}": "a" for i in range(10)})
    operation = NodeBackfill(object="Fragmento", graph=graph_of(rule(FRAGMENT)))
    run(ctx, operation)
    fragments(ctx, {"0": "b", "zz": "c"})
    assert operation.check(ctx).left == 2
    swept = operation.sweep(ctx)
    assert (swept.planned, swept.changed, swept.left) == (2, 2, 0)
    assert {k: v for k, v in keys(ctx, "Fragmento", "id").items() if v != "a"} == {"0": "b", "zz": "c"}


class SmallServer(Neo4jStore):
    """A server that has memory for a few rows only."""

    sizes: list[int]

    def write(self, query: str, **parameters: Any) -> Written:
        """Refuse what is too large, as the server would."""
        rows = parameters.get("rows") or parameters.get("tenants", ())
        self.sizes.append(len(rows))
        if len(rows) > 40:
            raise GraphMemoryError(store="neo4j", problem="too large")
        return super().write(query, **parameters)


def test_a_batch_too_large_for_the_memory_is_halved(ctx: Context, neo4j_url: str) -> None:
    """The batch is divided until it fits; nothing is left out."""
    fragments(ctx, {f"f{i}": "a" for i in range(300)})
    with SmallServer(neo4j_url) as small:
        small.sizes = []
        ctx.neo4j_store = small
        assert run(ctx, NodeBackfill(object="Fragmento", graph=graph_of(rule(FRAGMENT)))).left == 0
    # As one statement for all that is plain, then decided one by one: both were too large.
    assert small.sizes[:2] == [300, 300]
    assert min(small.sizes) > 10
    assert set(keys(ctx, "Fragmento", "id").values()) == {"a"}


def test_a_node_that_breaks_a_constraint_goes_to_quarantine_alone(ctx: Context) -> None:
    """The composite uniqueness is there already and an identity occurs three times: all others get their keys."""
    fragments(ctx, {f"f{i}": "a" for i in range(100)})
    ctx.neo4j.write("CREATE (:Fragmento {id: 'f7'}), (:Fragmento {id: 'f7'})")
    constraint = NodeConstraint(object="Fragmento.id", label="Fragmento", properties=("id",), key="project_id")
    constraint.apply(ctx)
    operation = NodeBackfill(object="Fragmento", graph=graph_of(rule(FRAGMENT)))
    assert run(ctx, operation).left == 1
    rows = ctx.neo4j.read("MATCH (n:Fragmento) RETURN n.project_id AS key, count(*) AS n")
    assert {row["key"]: row["n"] for row in rows} == {"a": 100, "__quarantine__": 1, None: 1}
    with ctx.postgres.connection() as connection:
        listed = connection.execute("SELECT item, reason FROM tenure.quarantine").fetchall()
    assert [item for item, _ in listed] == ["f7"]
    assert "constraint" in listed[0][1]


def test_pages_never_leave_equal_identities_behind(ctx: Context) -> None:
    """Many nodes of one identity at the border of a page are all in it."""
    ctx.neo4j.write("UNWIND range(1, 2500) AS i CREATE (:Fragmento {id: 'same', proyecto: 'a'})")
    ctx.neo4j.write("UNWIND range(1, 10) AS i CREATE (:Fragmento {id: 'z' + i, proyecto: 'b'})")
    operation = NodeBackfill(object="Fragmento", graph=graph_of(rule(PROPERTY)))
    register(ctx, operation)
    ctx.ledger.plan_operation(operation.id, operation.count(ctx), operation.ranges(ctx))
    assert run(ctx, operation).changed == 2510
    assert ctx.ledger.totals(operation.id).changed == 2510


def test_index_is_built_once_and_only_our_own_is_dropped(ctx: Context) -> None:
    """An equal index under another name is enough, and stays."""
    ours = IdentityIndex(object="Codigo", identity="nombre")
    assert ours.check(ctx).left == 1
    assert (ours.apply(ctx).changed, ours.apply(ctx).changed, ours.check(ctx).left) == (1, 0, 0)
    assert ours.undo(ctx).changed == 1
    assert ours.check(ctx).left == 1
    ctx.neo4j.schema("CREATE RANGE INDEX theirs IF NOT EXISTS FOR (n:Codigo) ON (n.nombre)")
    assert ours.apply(ctx).changed == 0
    assert ours.undo(ctx).changed == 0
    assert ours.check(ctx).left == 0


def test_index_whose_name_is_taken_is_no_silent_success(ctx: Context) -> None:
    """IF NOT EXISTS does nothing when the name is taken by an index on something else."""
    ours = IdentityIndex(object="Codigo", identity="nombre")
    ctx.neo4j.schema(f"CREATE RANGE INDEX `{ours.name}` IF NOT EXISTS FOR (n:Other) ON (n.x)")
    with pytest.raises(OperationFailedError, match="taken"):
        ours.apply(ctx)


CONSTRAINT = NodeConstraint(object="Codigo.nombre", label="Codigo", properties=("nombre",), key="project_id")


def test_constraint_stands_beside_the_old_one_and_goes_alone(ctx: Context) -> None:
    """The old uniqueness stays; an equal composite one under another name counts, in either order."""
    ctx.neo4j.schema("CREATE CONSTRAINT codigo_nombre IF NOT EXISTS FOR (n:Codigo) REQUIRE n.nombre IS UNIQUE")
    ctx.neo4j.write("CREATE (:Codigo {nombre: 'x', project_id: 'a'}), (:Codigo {nombre: 'y', project_id: 'a'})")
    assert (CONSTRAINT.apply(ctx).changed, CONSTRAINT.apply(ctx).changed, CONSTRAINT.check(ctx).left) == (1, 0, 0)
    names = {row["name"] for row in ctx.neo4j.read("SHOW CONSTRAINTS YIELD name RETURN name")}
    assert names == {"codigo_nombre", CONSTRAINT.name}
    assert CONSTRAINT.undo(ctx).changed == 1
    left = {row["name"] for row in ctx.neo4j.read("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name")}
    assert left == {"codigo_nombre", "tenure_idx_Fragmento_id"}
    ctx.neo4j.schema("CREATE CONSTRAINT theirs IF NOT EXISTS FOR (n:Codigo) REQUIRE (n.nombre, n.project_id) IS UNIQUE")
    assert CONSTRAINT.apply(ctx).changed == 0
    assert CONSTRAINT.undo(ctx).changed == 0


def test_constraint_names_the_duplicates_that_stand_in_its_way(ctx: Context) -> None:
    """Two equal names in one tenant: tenant, value and number are said before anything is built."""
    ctx.neo4j.write(
        "CREATE (:Codigo {nombre: 'x', project_id: 'a'}), (:Codigo {nombre: 'x', project_id: 'a'}), "
        "(:Codigo {nombre: 'x', project_id: 'b'}), (:Codigo {nombre: 'y'}), (:Codigo {nombre: 'y'})"
    )
    with pytest.raises(OperationFailedError, match=r"a: x \(2 times\)"):
        CONSTRAINT.apply(ctx)
    assert CONSTRAINT.check(ctx).left == 1


def test_constraint_on_relationships(ctx: Context) -> None:
    """The same for a relationship type."""
    ctx.neo4j.write("CREATE ()-[:REL {n: 1, project_id: 'a'}]->(), ()-[:REL {n: 1, project_id: 'b'}]->()")
    operation = NodeConstraint(object="REL.n", label="REL", properties=("n",), key="project_id", entity="RELATIONSHIP")
    assert (operation.apply(ctx).changed, operation.check(ctx).left) == (1, 0)
    assert operation.undo(ctx).changed == 1
