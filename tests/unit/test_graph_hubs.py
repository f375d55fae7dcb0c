"""Nodes that many relationships touch are looked around once in a read-only pass, and anew where keys are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tenure.attribution import graph_decide
from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_decide import Attributor, Mode
from tenure.attribution.graph_read import Node
from tenure.attribution.items import Lookups
from tenure.attribution.spec import EndsSource, ItemRule, NeighboursSource, Policy
from tenure.stores.neo4j import Neo4jStore
from tenure.values import TableName, TenantKey

KEY = TenantKey(
    name="project_id",
    type="text",
    quarantine="__quarantine__",
    shared="__shared__",
    registry=TableName(name="proyectos"),
    registry_column="id",
)


class Graph:
    """A graph in which nothing is around anything; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def stream(self, _query: str, *, elements: list[str], **_: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(elements)
        return iter(())


def attributor(graph: Graph, mode: Mode) -> Attributor:
    """Codes that belong to whom their neighbours belong, to be split where these are several."""
    rule = ItemRule(key=KEY, sources=(NeighboursSource(types=("TIENE_CODIGO",)),), policy=Policy())
    ends = ItemRule(key=KEY, sources=(EndsSource(),), policy=Policy())
    spec = GraphSpec(
        key=KEY,
        nodes=(NodeSpec(label="Codigo", identity="nombre", rule=rule, several="split"),),
        relationships=(RelationshipSpec(type="TIENE_CODIGO", start_labels=(), end_labels=("Codigo",), rule=ends),),
    )

    def connect() -> Any:
        raise AssertionError("nothing has a value that Postgres would have to be asked about")

    return Attributor(cast(Neo4jStore, graph), spec, Lookups(connect, KEY), mode)


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


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_decide, "REMEMBERED", 3)
    graph = Graph()
    deciding = attributor(graph, "sources")
    assert len(deciding.belongs([code(number) for number in range(5)])) == 5
    deciding.belongs([code(4)])
    assert len(graph.asked) == 1
    deciding.belongs([code(0)])
    assert graph.asked[1:] == [["4:0"]]
