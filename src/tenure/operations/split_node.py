"""Splits the nodes of a label that belong to several tenants: one copy for each, relationships moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tenure.attribution.graph import GraphSpec, NodeSpec
from tenure.errors import RefusedError
from tenure.operations.base import Operation
from tenure.stores.cypher import quote
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class SplitNode(Operation):
    """Gives each tenant of a shared node of label `object` a copy of its own; the original stays with its key's tenant.

    `constraints` are the names of the global uniquenesses that two copies of one name cannot live under: dropped first,
    inside the fence, after the composite ones are online.
    """

    kind: ClassVar[str] = "split_node"
    phase: ClassVar[Phase] = Phase.CUTOVER
    store: ClassVar[Store] = "neo4j"
    online: ClassVar[bool] = False

    graph: GraphSpec
    constraints: tuple[str, ...] = ()
    prefix: str = "CYPHER 5 "
    hazards: tuple[Hazard, ...] = (Hazard.NEEDS_FENCE,)
    lock: str = "writers are fenced; a write lock on each node that is split"
    waiting: str = "splitting comes with cutover"

    @property
    def spec(self) -> NodeSpec:
        """How the nodes of this label get their key."""
        return self.graph.node(self.object)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"split the nodes with label {self.object} that belong to several tenants"

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run for one node and one tenant."""
        label, key = quote(self.object), quote(self.graph.key.name)
        identity = quote(self.spec.identity or "")
        drops = tuple(f"{self.prefix}DROP CONSTRAINT {quote(name)} IF EXISTS;" for name in self.constraints)
        return (
            *drops,
            f"// $id: a node with several tenants, $tenant: one of them that is not its own\n"
            f"{self.prefix}MATCH (n:{label} {{{identity}: $id}}) CREATE (c:{label}) "
            f"SET c = properties(n), c.{key} = $tenant;",
            "// in batches of relationships, driven by the neighbours' identities; the same for incoming ones\n"
            f"{self.prefix}UNWIND $rows AS row MATCH (n:{label} {{{identity}: $id}})-[r]->(m) "
            f"WHERE elementId(r) = row.element MATCH (c:{label} {{{key}: $tenant, {identity}: $id}}) "
            "CREATE (c)-[s:`<type of r>`]->(m) SET s = properties(r) DELETE r;",
        )

    def apply(self, ctx: Context) -> Outcome:
        """Errors: RefusedError, always: the nodes are listed and wait."""
        raise RefusedError(reason=f"{self.id}: {self.waiting}.", remedy="The nodes are listed by `tenure inspect`.")
