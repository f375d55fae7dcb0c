"""Splits the nodes of a label that belong to several tenants: one copy for each, relationships moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, ClassVar

from tenure.attribution.graph import GraphSpec, NodeSpec
from tenure.attribution.graph_bins import decided_nodes, node_item
from tenure.errors import OperationFailedError, RefusedError
from tenure.operations.base import Operation
from tenure.operations.graph_schema import drop_constraint, drop_index, find_constraint, find_index
from tenure.operations.graph_undo import UNDONE
from tenure.operations.split_copies import Copies, Shared
from tenure.operations.split_lists import divide, undivide
from tenure.operations.text import short_name
from tenure.stores.cypher import quote
from tenure.values import Finding, Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

SAMPLE = 5


class SplitNode(Operation):
    """Gives each tenant of a shared node of label `object` a copy of its own; the original stays with its key's tenant.

    `constraints` are the names of the global uniquenesses that two copies of one name cannot live under: dropped first,
    inside the fence, after the composite ones are online, and put back by `undo` once the copies are merged.
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

    @property
    def index_name(self) -> str:
        """The name of the index on the identity that takes the place of the old uniqueness' own."""
        return short_name("tenure_split_idx", self.object, self.spec.identity or "")

    def describe(self) -> str:
        """Return one line for a person."""
        return f"split the nodes with label {self.object} that belong to several tenants"

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run for one node and one tenant."""
        label, key = quote(self.object), quote(self.graph.key.name)
        identity = quote(self.spec.identity or "")
        drops = tuple(f"{self.prefix}DROP CONSTRAINT {quote(name)} IF EXISTS;" for name in self.constraints)
        stale = "".join(f", c.{quote(name)} = null" for name in self.spec.stale)
        return (
            *drops,
            f"{self.prefix}{self._create_index()};",
            f"// $id: a node with several tenants, $home: its key, $tenant: each of the others\n"
            f"{self.prefix}MATCH (n:{label} {{{key}: $home, {identity}: $id}}) CREATE (c) "
            f"SET c = properties(n), c.{key} = $tenant{stale} SET c:{label};",
            "// for each type and direction, in batches of relationships with the key $tenant\n"
            f"{self.prefix}MATCH (c:{label} {{{key}: $tenant, {identity}: $id}}), (n:{label} {{{key}: $home, "
            f"{identity}: $id}}) UNWIND $elements AS e MATCH (n)-[r:TYPE]->(m) WHERE elementId(r) = e "
            "WITH n, c, m, r, properties(r) AS kept DELETE r CREATE (c)-[x:TYPE]->(m) SET x = kept;",
        )

    def apply(self, ctx: Context) -> Outcome:
        """Divide lists, drop the global uniquenesses, copy, move. May be repeated after a kill at any line.

        Errors: RefusedError when the composite uniqueness is not online; OperationFailedError with what is left.
        """
        spec, key = self.spec, self.graph.key
        if spec.identity is None:
            raise RefusedError(reason=f"{self.id}: the label has no identity.", remedy="Add `identity: PROPERTY`.")
        if find_constraint(ctx.neo4j, "NODE", self.object, (key.name, spec.identity)) is None:
            raise RefusedError(
                reason=f"{self.id}: ({key.name}, {spec.identity}) is not unique yet.",
                remedy="Run `tenure apply --through constrain` first.",
            )
        divided = sum(divide(ctx, self, self.graph, r) for r in self.graph.relationships if r.references)
        self._drop_constraints(ctx)
        if find_index(ctx.neo4j, "NODE", self.object, (spec.identity,)) is None:
            ctx.neo4j.schema(self._create_index())
        copies = Copies(ctx, self, key, spec)
        moved, split = 0, set()
        # Those that were begun first: their neighbours may have moved already, so that they look like one tenant's.
        for node in chain(self._begun(ctx), self._shared(ctx)):
            ctx.signal.check(self.id)
            count = copies.split(node)
            moved += count
            if count:
                split.add(node.identity)
        nodes = len(split)
        left = sum(1 for _ in self._shared(ctx))
        if left:
            raise OperationFailedError(
                operation=self.id,
                object=self.object,
                planned=nodes,
                changed=nodes - left,
                left=left,
                problem="Nodes still have relationships of several tenants.",
            )
        note = f"{moved} relationships moved, {divided} divided" if nodes or divided else "nothing to split"
        return Outcome(planned=nodes, changed=nodes, note=note)

    def check(self, ctx: Context) -> Outcome:
        """Return how many nodes still belong to several tenants."""
        return Outcome(left=sum(1 for _ in self._shared(ctx)))

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return copies that were edited since, and nodes that the old uniqueness would not let live together."""
        copies = Copies(ctx, self, self.graph.key, self.spec)
        begun = self._begun(ctx)
        edited = []
        for node in begun:
            home = copies.home_of(node.identity, node.home, node.others)
            others = [tenant for tenant in node.others if tenant != home]
            edited += [
                f"{node.identity} of {tenant}" for tenant in others if copies.edited(node.identity, tenant, home)
            ]
        if edited:
            yield self._finding("copies of a split node were edited since", edited)
        if self.constraints:
            born = list(
                islice(self._born(ctx, {(node.identity, tenant) for node in begun for tenant in node.others}), 1000)
            )
            if born:
                yield self._finding("nodes of several tenants have one name since the split", born)

    def undo(self, ctx: Context) -> Outcome:
        """Merge the copies that tenure made back into their originals, and put lists and old uniquenesses back."""
        copies = Copies(ctx, self, self.graph.key, self.spec)
        done = left = 0
        homes = {}
        for node in self._begun(ctx):
            ctx.signal.check(self.id)
            home = copies.home_of(node.identity, node.home, node.others)
            merged = [copies.merge(node.identity, tenant, home) for tenant in node.others]
            done, left = done + sum(merged), left + merged.count(False)
            if all(merged):
                home = copies.settle(node.identity, node.home, home)
            homes[node.identity, node.home] = home
        for item, before, _ in self._entries(ctx):
            if "stale" in item:
                copies.put_back(item["stale"], homes.get((item["stale"], item["home"]), item["home"]), before)
        whole, kept = undivide(ctx, (entry for entry in self._entries(ctx) if "divided" in entry[0]))
        if not left:
            drop_index(ctx.neo4j, self.index_name)
            self._restore_constraints(ctx)
        ctx.ledger.journal(self.id, "neo4j", self.object, [({"marker": UNDONE}, None, None)])
        note = f"{whole} lists made whole, {kept} left as they are" if whole or kept else ""
        return Outcome(planned=done + left, changed=done, left=left + kept, note=note)

    def _shared(self, ctx: Context) -> Iterator[Shared]:
        """Yield the nodes that still have relationships of other tenants than their own."""
        for _, node, decided in decided_nodes(ctx.neo4j, self.graph, self.spec, ctx.lookups, "keys"):
            identity = node_item(self.spec, node)
            if decided.tenants and identity is not None and node.present is not None:
                home = str(node.present)
                yield Shared(identity, home, tuple(tenant for tenant in decided.tenants if tenant != home))

    def _begun(self, ctx: Context) -> list[Shared]:
        """Return the nodes that an earlier attempt began to split, with the tenants that it made copies for."""
        found: dict[tuple[Any, str], list[str]] = defaultdict(list)
        for identity, tenant, home in self._made(ctx):
            found[identity, home].append(tenant)
        return [Shared(identity, home, tuple(sorted(tenants)), True) for (identity, home), tenants in found.items()]

    def _made(self, ctx: Context) -> Iterator[tuple[Any, str, str]]:
        """Yield the copies that the journal says tenure made: identity, tenant, home."""
        seen = set()
        for item, _, _ in self._entries(ctx):
            if "copy" in item and (found := (item["copy"], item["tenant"], item["home"])) not in seen:
                seen.add(found)
                yield found

    def _entries(self, ctx: Context) -> Iterator[tuple[Any, Any, Any]]:
        for entry in ctx.ledger.journal_entries(self.id):
            if entry[0].get("marker") == UNDONE:
                return
            yield entry

    def _drop_constraints(self, ctx: Context) -> None:
        for name in self.constraints:
            found = ctx.neo4j.read(
                "SHOW CONSTRAINTS YIELD name, createStatement WHERE name = $name RETURN createStatement AS text",
                name=name,
            )
            if found:
                ctx.ledger.journal(self.id, "neo4j", self.object, [({"constraint": name}, found[0]["text"], None)])
                drop_constraint(ctx.neo4j, name)

    def _restore_constraints(self, ctx: Context) -> None:
        there = {row["name"] for row in ctx.neo4j.read("SHOW CONSTRAINTS YIELD name RETURN name")}
        for item, before, _ in list(self._entries(ctx)):
            if "constraint" in item and item["constraint"] not in there:
                there.add(item["constraint"])
                ctx.neo4j.schema(before)

    def _born(self, ctx: Context, made: set[tuple[Any, str]]) -> Iterator[str]:
        """Yield names that more than one node would have once the copies are merged."""
        assert self.spec.identity is not None
        rows = ctx.neo4j.stream(
            f"MATCH (n:{quote(self.object)}) WHERE n.{quote(self.spec.identity)} IS NOT NULL RETURN "
            f"n.{quote(self.spec.identity)} AS id, n.{quote(self.graph.key.name)} AS tenant ORDER BY id"
        )
        for identity, group in groupby(rows, key=lambda row: row["id"]):
            tenants = [str(row["tenant"]) for row in group if (identity, str(row["tenant"])) not in made]
            if len(tenants) > 1:
                yield f"{identity} of {', '.join(sorted(tenants))}"

    def _create_index(self) -> str:
        return (
            f"CREATE RANGE INDEX {quote(self.index_name)} IF NOT EXISTS FOR (n:{quote(self.object)}) "
            f"ON (n.{quote(self.spec.identity or '')})"
        )

    def _finding(self, title: str, found: list[str]) -> Finding:
        return Finding(
            id="TEN120",
            severity="error",
            store="neo4j",
            object=self.object,
            title=title,
            count=len(found),
            sample=tuple(found[:SAMPLE]),
            remedy="Decide by hand what they should be after the merge, change them, and roll back then.",
        )
