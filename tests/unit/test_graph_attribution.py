"""What attribution of a graph decides and composes without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from key_kit import KEY as PLAIN_KEY
from tenure.attribution.graph import GraphSpec, NodeSpec, Reference, RelationshipSpec
from tenure.attribution.graph_bins import GraphBins
from tenure.attribution.graph_decide import Attributor
from tenure.attribution.graph_read import (
    OTHER,
    SHARED,
    Shapes,
    after_condition,
    chunks,
    key_value,
    untagged,
    untagged_values,
)
from tenure.attribution.graph_values import Belongs, Decided, Tally, common_tenants, entries_of
from tenure.attribution.items import Lookups
from tenure.attribution.resolve import NOTHING, Answer, Decision, Says
from tenure.attribution.spec import ColumnSource, EndsSource, ItemRule, NeighboursSource, Policy, RowSource
from tenure.stores.neo4j import Neo4jStore
from tenure.values import TableName

KEY = PLAIN_KEY.model_copy(update={"untagged": ("default", "0", "")})
TENANTS = ("a", "b", "c", "d")


class Known(Lookups):
    """Lookups that know four tenants and never ask."""

    def __init__(self) -> None:
        """Fill what is remembered."""
        super().__init__(_never, KEY)
        self._known.update({tenant: Answer(Says.TENANT, tenant) for tenant in TENANTS})


def _never() -> AbstractContextManager[Any]:
    raise AssertionError("Postgres was asked")


def graph(**changed: Any) -> GraphSpec:
    """Fragments by a row, codes by their neighbours, relationships by their ends."""
    row = RowSource(table=TableName(name="f"), column="id", column_type="text", unique=True)
    fragment = ItemRule(key=KEY, sources=(row,), policy=Policy())
    code = ItemRule(key=KEY, sources=(NeighboursSource(types=("T",)),), policy=Policy())
    return GraphSpec(
        key=KEY,
        nodes=(
            NodeSpec(label="Frag mento", identity="id", rule=fragment),
            NodeSpec(label="Codigo", identity="nombre", rule=code, several="split", **changed),
        ),
        relationships=(
            RelationshipSpec(
                type="T",
                start_labels=("Frag mento",),
                rule=ItemRule(key=KEY, sources=(EndsSource(),), policy=Policy()),
                references=(Reference(property="evidencia", label="Frag mento", identity="id"),),
            ),
        ),
        shared_labels=("Comun",),
    )


def attributor() -> Attributor:
    """One whose store is never opened."""
    return Attributor(Neo4jStore("bolt://127.0.0.1:1"), graph(), Known())


def belongs(tenants: Sequence[str]) -> Belongs:
    """A node with these tenants; none says nothing."""
    return Belongs(Answer(Says.TENANT, min(tenants)), frozenset(tenants)) if tenants else Belongs(NOTHING)


sets = st.lists(st.sampled_from(TENANTS), max_size=4, unique=True)
NODE = st.one_of(
    sets.map(belongs),
    st.just(Belongs(Answer(Says.SHARED, KEY.shared))),
    st.just(Belongs(Answer(Says.QUARANTINED, KEY.quarantine))),
)


@given(start=NODE, end=NODE, entries=st.one_of(st.none(), st.lists(sets, max_size=5)))
def test_between_two_ends_agrees_with_the_rule_written_down(
    start: Belongs, end: Belongs, entries: list[list[str]] | None
) -> None:
    """Quarantine wins, shared gives way, one in common is taken, several only where references decide."""
    owners = None
    if entries is not None:
        owners = Tally()
        for listed in entries:
            owners.add(belongs(listed))
    answer, several, reason = attributor()._between(start, end, owners, None)

    says = [start.answer.says, end.answer.says]
    if Says.QUARANTINED in says:
        assert answer == Answer(Says.QUARANTINED, KEY.quarantine)
    elif says == [Says.SHARED, Says.SHARED]:
        assert answer == Answer(Says.SHARED, KEY.shared)
    elif Says.NOTHING in says:
        assert answer == NOTHING
    else:
        every = set(TENANTS)
        left = every if says[0] is Says.SHARED else set(start.tenants)
        right = every if says[1] is Says.SHARED else set(end.tenants)
        common = left & right
        owned = {tenant for listed in entries or [] for tenant in listed} & common
        if len(common) == 1:
            assert answer == Answer(Says.TENANT, common.pop())
        elif not owned:
            assert answer == Answer(Says.SEVERAL)
            assert reason
        else:
            singles = Counter(listed[0] for listed in entries or [] if len(listed) == 1)
            best = sorted(owned, key=lambda tenant: (-singles[tenant], tenant))[0]
            assert answer == Answer(Says.TENANT, best)
            assert several == (owned if len(owned) > 1 else set())


@given(around=st.lists(st.tuples(NODE, st.integers(1, 3)), max_size=6))
def test_a_node_goes_to_the_tenant_with_most_relationships(around: list[tuple[Belongs, int]]) -> None:
    """Relationships with one tenant count; ties go to the smaller; sentinels speak only where no tenant does."""
    tally = Tally()
    for neighbour, times in around:
        tally.add(neighbour, times)
    spec = graph().nodes[1]
    answer, tenants = attributor()._around(spec, tally, None, None)

    every = {tenant for neighbour, _ in around for tenant in neighbour.tenants}
    counts = Counter[str]()
    for neighbour, times in around:
        if len(neighbour.tenants) == 1:
            counts[next(iter(neighbour.tenants))] += times
    if every:
        assert answer == Answer(Says.TENANT, sorted(every, key=lambda t: (-counts[t], t))[0])
        assert tenants == (every if len(every) > 1 else set())
    elif any(n.answer.says is Says.QUARANTINED for n, _ in around):
        assert answer == Answer(Says.QUARANTINED, KEY.quarantine)
    else:
        assert answer.says is (
            Says.SHARED if around and any(n.answer.says is Says.SHARED for n, _ in around) else Says.NOTHING
        )


def test_a_key_that_is_one_of_the_nodes_tenants_stays() -> None:
    """What was decided yesterday is right today, also when another tenant has more relationships by now."""
    tally = Tally(Counter({"a": 1, "b": 5}))
    assert attributor()._around(graph().nodes[1], tally, "a", None)[0] == Answer(Says.TENANT, "a")
    assert attributor()._around(graph().nodes[1], tally, "c", None)[0] == Answer(Says.TENANT, "b")
    assert attributor()._around(graph().nodes[1], tally, "a", "b") == (Answer(Says.TENANT, "b"), frozenset())


def test_smaller_is_by_number_where_keys_are_numbers() -> None:
    """Tenant 9 is smaller than tenant 10."""
    tally = Tally(Counter({"9": 1, "10": 1}))
    assert (tally.most(numeric=True), tally.most(numeric=False)) == ("9", "10")


def test_common_tenants_of_shared_ends() -> None:
    """A shared end has what the other has."""
    shared = Belongs(Answer(Says.SHARED, KEY.shared))
    assert common_tenants(shared, belongs(["a", "b"])) == {"a", "b"}
    assert common_tenants(belongs(["a"]), shared) == {"a"}
    assert common_tenants(belongs(["a"]), belongs(["b"])) == frozenset()


@pytest.mark.parametrize(("value", "expected"), [(None, []), ("x", ["x"]), (["x", None, 1], ["x", 1]), ([], [])])
def test_entries_of_a_reference(value: Any, expected: list[Any]) -> None:
    """A list, a single value, or nothing."""
    assert entries_of(value) == expected


def test_untagged_means_the_same_for_texts_and_numbers() -> None:
    """Null, the empty text and the playbook's values, a number in both forms."""
    assert untagged(KEY, "n") == "(n.`project_id` IS NULL OR n.`project_id` IN $untagged)"
    assert untagged_values(KEY) == ["", "default", "0", 0]
    assert attributor().is_untagged(None)
    assert attributor().is_untagged(0)
    assert not attributor().is_untagged(["default"])
    assert not attributor().is_untagged("a")


def test_key_value_has_the_type_of_the_key() -> None:
    """A bigint key is a number in the graph."""
    assert key_value(KEY, "7") == "7"
    assert key_value(KEY.model_copy(update={"type": "bigint"}), "7") == 7


def test_bounds_of_pages() -> None:
    """Open at the start means from the least value of the sort, at the end without limit."""
    assert after_condition("n", "id", "text", {"after": None}) == ("n.`id` >= $after", {"after": ""})
    assert after_condition("n", "id", "number", {})[1] == {"after": float("-inf")}
    condition, parameters = after_condition("n", "i`d", "text", {"after": "x", "upto": "y"})
    assert condition == "n.`i``d` > $after AND n.`i``d` <= $upto"
    assert parameters == {"after": "x", "upto": "y"}


def test_shapes_read_back_what_they_ask_for() -> None:
    """A node's list has element, kind, key and every property that any spec needs; kinds follow the specs' order."""
    shapes = Shapes(graph())
    assert shapes.kind("m") == (
        f"CASE WHEN m:`Frag mento` THEN 0 WHEN m:`Codigo` THEN 1 WHEN m:`Comun` THEN {SHARED} ELSE {OTHER} END"
    )
    assert shapes.node("m") == f"[elementId(m), {shapes.kind('m')}, m.`project_id`, m.`id`, m.`nombre`]"
    node = shapes.to_node(["e", 1, "a", None, "x"])
    assert (node.element, node.kind, node.present, node.fields) == ("e", 1, "a", {"id": None, "nombre": "x"})
    assert Shapes(GraphSpec(key=KEY)).kind("m") == str(OTHER)


def test_chunks_lose_nothing() -> None:
    """Pages of a stream, the last one short."""
    assert list(chunks(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []


def test_bins_count_every_item_once_and_sample_few() -> None:
    """Samples stop at twenty, counts do not; what is right as it stands counts by its own key."""
    bins = GraphBins()
    for number in range(30):
        bins.add(number, None, Decided(Decision("unassigned", None, "why")))
    bins.add(30, "a", Decided(Decision("assigned", None), ("a", "b")))
    bins.add(31, None, Decided(Decision("assigned", "c", by_application=True)))
    assert (bins.total, dict(bins.bins), dict(bins.tenants)) == (
        32,
        {"unassigned": 30, "assigned": 2},
        {"a": 1, "c": 1},
    )
    assert (len(bins.samples["unassigned"]), bins.samples["several"]) == (20, [(30, "a, b")])
    assert (bins.to_write, bins.several, bins.by_application) == (1, 1, 1)


def test_specs_survive_json_and_say_what_they_need() -> None:
    """The graph is part of an operation's JSON."""
    spec = graph(stale=("community_id",))
    assert GraphSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.node("Codigo").splits
    assert not spec.node("Frag mento").splits
    assert spec.relationship("T") is spec.relationships[0]
    assert spec.relationship("nothing") is None
    assert spec.relationships[0].fields == ("evidencia",)
    assert not spec.relationships[0].has_own_source
    by = ItemRule(key=KEY, sources=(ColumnSource(name="p"), EndsSource()), policy=Policy())
    assert RelationshipSpec(type="X", rule=by).has_own_source
