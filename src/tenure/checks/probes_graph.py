"""Probes of the graph: from a tenant's nodes one step along relationships, and two over nodes of nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenure.attribution.graph_read import key_value
from tenure.checks.base import SAMPLE, View
from tenure.checks.done import operation_done
from tenure.checks.item_keys import CROSSED, graph_keys
from tenure.checks.probes import Probed, Seen
from tenure.stores.cypher import quote

NODES = 200
"""From how many nodes of a label and tenant the probe walks."""
WALKED = 20_000
"""How many relationships one walk follows: a hub must not make a probe endless."""


def probe_graph(view: View, tenants: Sequence[str]) -> tuple[Probed, list[Seen]]:
    """Return what lies one or two steps from a tenant's nodes and is another's."""
    probed = Probed("neo4j", "no path of one or two steps led to another tenant's node")
    graph, store = view.graph.spec, view.neo4j
    if graph is None or store is None or view.live.neo4j is None:
        return probed, []
    live = {label.name for label in view.live.neo4j.labels}
    # Until cutover splits them, shared nodes have one tenant's key and every tenant's relationships.
    whole = [n.label for n in graph.nodes if n.splits and not operation_done(view, f"neo4j.split_node.{n.label}")]
    keyed = {spec.type for spec in graph.relationships}
    reported = {name.removeprefix(":") for name, found in graph_keys(view).items() if CROSSED in found.kinds}
    found: dict[tuple[str, bool, int], tuple[int, list[Any]]] = {}
    for tenant in tenants:
        for spec in graph.nodes:
            if spec.label not in live:
                continue
            probed.objects.add(spec.label)
            value = key_value(graph.key, tenant)
            sampled = store.read(
                f"MATCH (n:{quote(spec.label)}) WHERE n.{quote(graph.key.name)} = $tenant "
                "RETURN elementId(n) AS e LIMIT $nodes",
                tenant=value,
                nodes=NODES,
            )
            for steps, query in ((1, _one(graph.key.name, whole)), (2, _two(graph.key.name, whole))):
                probed.reads += 1
                rows = store.read(
                    query,
                    elements=[row["e"] for row in sampled],
                    tenant=value,
                    shared=key_value(graph.key, graph.key.shared),
                    nodes=NODES,
                    walked=WALKED,
                    sample=SAMPLE,
                )
                for row in rows:
                    # A keyed relationship without a key is completeness' finding.
                    if row["bare"] and row["type"] in keyed:
                        continue
                    count, sample = found.get((row["type"], row["bare"], steps), (0, []))
                    sample += [{"from": tenant, "to": str(key), "label": spec.label} for key in row["keys"]]
                    found[row["type"], row["bare"], steps] = (count + row["n"], sample[:SAMPLE])
    return probed, [
        _seen(type_, bare, steps, count, sample)
        for (type_, bare, steps), (count, sample) in found.items()
        if type_ not in reported
    ]


def _seen(type_: str, bare: bool, steps: int, count: int, sample: list[Any]) -> Seen:
    way = f"{'one step' if steps == 1 else 'two steps over a node of nobody'}"
    if bare:
        return Seen(
            "neo4j",
            type_,
            f"relationships without a tenant of their own lead from one tenant's nodes to another's, {way}",
            "Key the type in the playbook, or let every reader name the tenant at both ends.",
            severity="warning",
            count=count,
            sample=sample,
        )
    return Seen(
        "neo4j",
        type_,
        f"relationships of a tenant lead to another tenant's nodes, {way}",
        "Correct the relationship, or the tenant of the node that it leads to.",
        count=count,
        sample=sample,
    )


def _one(name: str, whole: Sequence[str]) -> str:
    key = quote(name)
    return (
        "UNWIND $elements AS e MATCH (n) WHERE elementId(n) = e MATCH (n)-[r]-(m) WITH r, m LIMIT $walked "
        f"WHERE (r.{key} = $tenant OR r.{key} IS NULL) AND {_others(key, whole)} "
        f"RETURN type(r) AS type, r.{key} IS NULL AS bare, count(*) AS n, collect(m.{key})[..$sample] AS keys"
    )


def _two(name: str, whole: Sequence[str]) -> str:
    key = quote(name)
    return (
        "UNWIND $elements AS e MATCH (n) WHERE elementId(n) = e MATCH (n)-[q]-(x) "
        f"WHERE (q.{key} = $tenant OR q.{key} IS NULL OR q.{key} = $shared) "
        f"AND (x.{key} IS NULL OR x.{key} = $shared) WITH DISTINCT x LIMIT $nodes "
        f"MATCH (x)-[r]-(m) WITH r, m LIMIT $walked WHERE r.{key} = $tenant AND {_others(key, whole)} "
        f"RETURN type(r) AS type, false AS bare, count(*) AS n, collect(m.{key})[..$sample] AS keys"
    )


def _others(key: str, whole: Sequence[str]) -> str:
    """Return the condition for a node `m` of another tenant; one that is still whole may have any of its tenants'."""
    spared = "".join(f" AND NOT m:{quote(label)}" for label in whole)
    return f"m.{key} IS NOT NULL AND m.{key} <> $tenant AND m.{key} <> $shared{spared}"
