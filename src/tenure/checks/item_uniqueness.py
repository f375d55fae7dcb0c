"""TEN506 in graph and Qdrant: constraints and tenant indexes are what the plan made, and no global one is new."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.catalog.neo4j import Constraint
from tenure.checks.base import Named, View
from tenure.checks.done import is_done, operation_done
from tenure.operations.node_constraint import NodeConstraint
from tenure.operations.tenant_index import TenantIndex
from tenure.values import Finding, Phase


class ItemUniqueness(Named):
    """Constraints per tenant are there and online, tenant indexes are there, and no uniqueness holds across tenants."""

    id = "TEN506"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield errors for what is missing or global; a notice for what waits for contract."""
        yield from self._constraints(view)
        yield from self._made(view)
        yield from self._indexes(view)

    def _constraints(self, view: View) -> Iterator[Finding]:
        live, before, spec = view.live.neo4j, view.catalog.neo4j, view.graph.spec
        if live is None or before is None or spec is None:
            return
        keyed = {("NODE", node.label) for node in spec.nodes}
        keyed |= {("RELATIONSHIP", edge.type) for edge in spec.relationships}
        known = {found.name for found in before.constraints}
        waiting: dict[str, list[str]] = {}
        for constraint in live.constraints:
            on = constraint.labels_or_types[0] if constraint.labels_or_types else ""
            if not _unique(constraint) or (constraint.entity, on) not in keyed:
                continue
            if view.key.name in constraint.properties:
                continue
            if constraint.name in known and not is_done(view, Phase.CONTRACT):
                waiting.setdefault(on, []).append(constraint.name)
                continue
            yield self.finding(
                "error",
                f"{on}.{constraint.name}",
                "a uniqueness holds across tenants"
                + ("" if constraint.name in known else " that was not there when the plan was made"),
                f"DROP CONSTRAINT `{constraint.name}`;",
                sample=(constraint.create_statement,),
                store="neo4j",
            )
        for on, names in waiting.items():
            yield self.finding(
                "info",
                on,
                f"global uniqueness waits for cutover or contract: {', '.join(names)}",
                "`tenure contract` drops it.",
                count=len(names),
                sample=tuple(names),
                store="neo4j",
            )

    def _made(self, view: View) -> Iterator[Finding]:
        live = view.live.neo4j
        for operation in view.plan.operations if live is not None else ():
            if not isinstance(operation, NodeConstraint) or not operation_done(view, operation.id):
                continue
            wanted = {operation.key, *operation.properties}
            assert live is not None
            found = [
                constraint
                for constraint in live.constraints_on(operation.label, operation.entity)
                if _unique(constraint) and set(constraint.properties) == wanted
            ]
            names = {constraint.owned_index for constraint in found}
            offline = [index for index in live.indexes if index.name in names and index.state != "ONLINE"]
            if not found or offline:
                yield self.finding(
                    "error",
                    operation.object,
                    f"the index of the uniqueness per tenant is {offline[0].state}"
                    if offline
                    else "the uniqueness per tenant is gone",
                    "Find out who took it away; `tenure apply` makes it again.",
                    store="neo4j",
                )

    def _indexes(self, view: View) -> Iterator[Finding]:
        live = view.live.qdrant
        for operation in view.plan.operations if live is not None and not live.local else ():
            if not isinstance(operation, TenantIndex) or not operation_done(view, operation.id):
                continue
            assert live is not None
            # Once readers use the re-keyed copy, it is the copy that needs the index.
            copied = {switch.collection: switch.target for switch in view.switches.values()}
            collection = live.collection(copied.get(operation.collection, operation.collection))
            index = collection.index(view.key.name) if collection is not None else None
            if index is None or not index.is_tenant or index.kind not in ("keyword", "uuid"):
                yield self.finding(
                    "error",
                    operation.object,
                    f"the tenant index on {view.key.name} is {'no tenant index' if index is not None else 'gone'}",
                    "`tenure apply` makes it again; until then every search filters all tenants' points.",
                    store="qdrant",
                )


def _unique(constraint: Constraint) -> bool:
    return constraint.kind.endswith(("UNIQUENESS", "KEY"))
