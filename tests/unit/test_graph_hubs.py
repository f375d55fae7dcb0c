"""Nodes that many relationships touch are looked around once in a read-only pass, and anew where keys are written."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import pytest

from key_kit import KEY
from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_decide import Attributor, Mode
from tenure.attribution.graph_memory import CACHE_KIB, Memory, Trail
from tenure.attribution.graph_read import Node
from tenure.attribution.graph_values import Belongs
from tenure.attribution.items import Lookups
from tenure.attribution.resolve import Answer, Says
from tenure.attribution.spec import ColumnSource, EndsSource, ItemRule, NeighboursSource, Policy
from tenure.stores.neo4j import Neo4jStore


class Graph:
    """A graph in which nothing is around anything; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def stream(self, _query: str, *, elements: list[str], **_: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(elements)
        return iter(())


def connect() -> Any:
    """Stand for Postgres."""
    raise AssertionError("nothing has a value that Postgres would have to be asked about")


def attributor(graph: Graph, mode: Mode, memory: Memory | None = None) -> Attributor:
    """Codes that belong to whom their neighbours belong, to be split where these are several."""
    rule = ItemRule(key=KEY, sources=(NeighboursSource(types=("TIENE_CODIGO",)),), policy=Policy())
    ends = ItemRule(key=KEY, sources=(EndsSource(),), policy=Policy())
    spec = GraphSpec(
        key=KEY,
        nodes=(NodeSpec(label="Codigo", identity="nombre", rule=rule, several="split"),),
        relationships=(RelationshipSpec(type="TIENE_CODIGO", start_labels=(), end_labels=("Codigo",), rule=ends),),
    )

    return Attributor(cast(Neo4jStore, graph), spec, Lookups(connect, KEY), mode, memory)


def code(number: int) -> Node:
    """A code without a key."""
    return Node(f"4:{number}", 0, None, {"nombre": f"c{number}"})


def test_by_sources_a_hub_is_looked_around_once() -> None:
    graph = Graph()
    deciding = attributor(graph, "sources")
    first = deciding.belongs([code(1), code(2)])
    assert deciding.belongs([code(2), code(1)]) == first
    assert graph.asked == [["4:1", "4:2"]]
    deciding.belongs([code(2), code(3)])
    assert graph.asked[1:] == [["4:3"]]


def test_by_keys_it_is_asked_anew_since_keys_are_being_written() -> None:
    graph = Graph()
    deciding = attributor(graph, "keys")
    deciding.belongs([code(1)])
    deciding.belongs([code(1)])
    assert graph.asked == [["4:1"], ["4:1"]]


def test_by_keys_a_pass_that_only_reads_may_remember() -> None:
    graph = Graph()
    with Memory() as memory:
        for _ in range(2):
            attributor(graph, "keys", memory).belongs([code(1)])
    assert graph.asked == [["4:1"]]


def test_what_is_decided_on_the_way_is_not_looked_around_again() -> None:
    graph = Graph()
    with Memory() as memory:
        deciding = attributor(graph, "sources", memory)
        deciding.standing(deciding.shapes.graph.nodes[0], [code(1)])
        deciding.belongs([code(1), code(2)])
    assert graph.asked == [["4:1"], ["4:2"]]


def test_an_answer_holds_only_where_nothing_was_met_that_is_being_asked() -> None:
    tenant = Belongs(Answer(Says.TENANT, "a"), frozenset({"a", "b"}))
    with Memory() as memory:
        memory.put({"4:1": tenant, "4:2": Belongs(Answer(Says.UNKNOWN, 'what\'s "this"?'))}, {"Codigo", "Categoria"})
        trail = Trail(frozenset({"Fragmento"}))
        assert memory.get(["4:1", "4:2", "4:3"], trail) == {
            "4:1": tenant,
            "4:2": Belongs(Answer(Says.UNKNOWN, 'what\'s "this"?')),
        }
        assert trail.met == {"Codigo", "Categoria"}, "what was met in finding out was met now too"
        nobody = Trail(frozenset({"Categoria"}))
        assert memory.get(["4:1"], nobody) == {}
        assert nobody.met == set()


class Ring(Graph):
    """Two labels that each go by their neighbours of the other: an answer on somebody's behalf leaves him out."""

    around: ClassVar[dict[str, list[tuple[str, int]]]] = {
        "a1": [("b1", 1), ("c2", 2)],
        "b1": [("a1", 0), ("c1", 2)],
    }

    def stream(self, _query: str, *, elements: list[str], **_: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(elements)
        for element in elements:
            for other, kind in self.around[element]:
                node = [other, kind, None, other, {"c1": "t", "c2": "u"}.get(other)]
                yield {"e": element, "kind": kind, "barred": None, "present": None, "node": node, "times": 1}


def ring(graph: Graph, memory: Memory) -> Attributor:
    """A and B by their neighbours over R, C by the key that it has."""
    by_neighbours = ItemRule(key=KEY, sources=(NeighboursSource(types=("R",)),), policy=Policy())
    by_key = ItemRule(key=KEY, sources=(ColumnSource(name="project_id"),), policy=Policy())
    spec = GraphSpec(
        key=KEY,
        nodes=(
            NodeSpec(label="A", identity="n", rule=by_neighbours),
            NodeSpec(label="B", identity="n", rule=by_neighbours),
            NodeSpec(label="C", rule=by_key),
        ),
    )
    lookups = Lookups(connect, KEY)
    lookups._known.update({tenant: Answer(Says.TENANT, tenant) for tenant in "tu"})
    return Attributor(cast(Neo4jStore, graph), spec, lookups, "sources", memory)


@pytest.mark.parametrize("order", [("a1", "b1"), ("b1", "a1")])
def test_what_was_left_out_on_somebodys_behalf_is_not_remembered(order: tuple[str, str]) -> None:
    """A alone is around `u` and B, B alone around `t` and A: for each the other says its own tenant, and they clash.
    What B says when A asks is `t` only, and is nothing to remember B by."""
    with Memory() as memory:
        deciding = ring(Ring(), memory)
        found = {}
        for element in order:
            found.update(deciding.belongs([Node(element, 0 if element == "a1" else 1, None, {"n": element})]))
        again = deciding.belongs([Node("a1", 0, None, {"n": "a1"}), Node("b1", 1, None, {"n": "b1"})])
    assert found == again
    assert {element: belongs.answer.says for element, belongs in found.items()} == dict.fromkeys(order, Says.NOTHING)


def test_memory_stays_small_however_many_nodes_there_are() -> None:
    """A hundred thousand answers would take some 50 MB as Python objects; SQLite spills what is above its share."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    many = 100_000
    with Memory() as memory:
        for start in range(0, many, 2000):
            page = {
                f"4:5d2c6cba-29cc-4bd0-a2e4-08ee4bbd2ea1:{n}": Belongs(Answer(Says.TENANT, "a"), frozenset("a"))
                for n in range(start, start + 2000)
            }
            memory.put(page, {"Codigo"})
        first = next(iter(memory.get(["4:5d2c6cba-29cc-4bd0-a2e4-08ee4bbd2ea1:0"], Trail()).values()))
    assert first.tenants == {"a"}
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 3 * CACHE_KIB / 1024
