"""TEN201, TEN205 and TEN206: what the graph's server can hold, identities that repeat, references that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tenure.attribution.graph import RelationshipSpec
from tenure.checks.base import SAMPLE, Named, View
from tenure.operations.node_constraint import NodeConstraint
from tenure.stores.cypher import quote
from tenure.values import Finding, Store


class GraphServer(Named):
    """Version and edition are known, with what the edition cannot promise."""

    id = "TEN201"
    store: Store = "neo4j"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice for Community, an error for a server that is too old."""
        catalog = view.live.neo4j
        if catalog is None or view.graph.spec is None:
            return
        if catalog.version_tuple < (5,):
            yield self.finding(
                "error",
                catalog.version,
                f"Neo4j {catalog.version} is older than 5: its constraints and transactions work differently",
                "Upgrade it to 5.26 or later.",
            )
        elif not catalog.enterprise:
            yield self.finding(
                "info",
                catalog.version,
                f"Neo4j {catalog.version} Community: composite uniqueness ignores nodes without a key, and the key "
                "cannot be made mandatory",
                "`tenure verify` and `tenure guard` count what has none.",
            )


class IdentityIsUnique(Named):
    """A label's identity names one node each, or a constraint that duplicates would break is refused beforehand."""

    id = "TEN205"
    store: Store = "neo4j"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error where a planned constraint would break, else a warning."""
        spec, catalog = view.graph.spec, view.live.neo4j
        if spec is None or catalog is None or view.neo4j is None:
            return
        planned = [operation for operation in view.plan.operations if isinstance(operation, NodeConstraint)]
        for node in spec.nodes:
            asked = {operation.properties for operation in planned if operation.label == node.label}
            if node.identity is not None:
                asked.add((node.identity,))
            held = {
                constraint.properties
                for constraint in catalog.constraints_on(node.label)
                if "UNIQUE" in constraint.kind or constraint.kind.endswith("KEY")
            }
            for properties in sorted(asked):
                # A constraint per tenant is as good: then the identity repeats between tenants on purpose.
                without = [tuple(p for p in found if p != view.key.name) for found in held]
                if properties in held or properties in without:
                    continue
                yield from self._repeated(
                    view, node.label, properties, any(o.properties == properties for o in planned)
                )

    def _repeated(self, view: View, label: str, properties: tuple[str, ...], planned: bool) -> Iterator[Finding]:
        assert view.neo4j is not None
        names = [f"n.{quote(name)}" for name in properties]
        values = ", ".join(f"{name} AS v{number}" for number, name in enumerate(names))
        there = " AND ".join(f"{name} IS NOT NULL" for name in names)
        groups, sample = _counted(
            view.neo4j.stream(
                f"MATCH (n:{quote(label)}) WHERE {there} WITH {values}, count(*) AS times WHERE times > 1 "
                f"RETURN {{values: [{', '.join(f'v{number}' for number in range(len(names)))}], nodes: times}} AS found"
            )
        )
        if groups:
            yield self.finding(
                "error" if planned else "warning",
                f"{label}.{'.'.join(properties)}",
                "several nodes have the same identity"
                + (": the constraint per tenant cannot be made" if planned else "; the label has no uniqueness"),
                "Merge the nodes, or give them identities of their own.",
                count=groups,
                sample=sample,
            )


class GraphReferences(Named):
    """Every entry of a reference list on a relationship names a node."""

    id = "TEN206"
    store: Store = "neo4j"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a warning per list with entries that name nothing."""
        if view.graph.spec is None or view.neo4j is None:
            return
        for spec in view.graph.spec.relationships:
            yield from self._dangling(view, spec)

    def _dangling(self, view: View, spec: RelationshipSpec) -> Iterator[Finding]:
        assert view.neo4j is not None
        for reference in spec.references:
            # A property may be a list or one value; `[] + x` makes a list of both.
            name = f"r.{quote(reference.property)}"
            count, sample = _counted(
                view.neo4j.stream(
                    f"MATCH ()-[r:{quote(spec.type)}]->() WHERE {name} IS NOT NULL UNWIND ([] + {name}) AS entry "
                    f"WITH entry WHERE entry IS NOT NULL AND NOT EXISTS {{ MATCH (m:{quote(reference.label)}) "
                    f"WHERE m.{quote(reference.identity)} = entry }} RETURN entry AS found"
                )
            )
            if count:
                yield self.finding(
                    "warning",
                    f"{spec.type}.{reference.property}",
                    f"entries name no {reference.label}: nobody owns them, and they stay where they are",
                    "Remove them, or restore the nodes.",
                    count=count,
                    sample=sample,
                )


def _counted(rows: Iterator[dict[str, Any]]) -> tuple[int, tuple[Any, ...]]:
    """Return how many rows a stream has, and the first ten."""
    count = 0
    sample: list[Any] = []
    for row in rows:
        count += 1
        if len(sample) < SAMPLE:
            sample.append(row["found"])
    return count, tuple(sample)
