"""Gives each tenant of a node a copy of its own and moves relationships between original and copies, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import NodeSpec
from tenure.attribution.graph_read import key_value
from tenure.attribution.spec import NeighboursSource
from tenure.errors import GraphMemoryError
from tenure.operations.ahead import one_ahead
from tenure.stores.cypher import quote
from tenure.values import TenantKey

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.runner.context import Context

# Relationships a transaction, and how many are held until one tenant has as many: some 100 bytes each.
BATCH, HELD = 5000, 50_000


@dataclass(frozen=True, slots=True)
class Shared:
    """A node to be split: its identity, the tenant it stays with, and the others.

    `begun` says that an earlier attempt made copies: one that is not there any more and that nothing hangs on was
    deleted by its tenant, and is not made again.
    """

    identity: Any
    home: str
    others: tuple[str, ...]
    begun: bool = False


class Copies:
    """Makes and takes back the copies of one label's nodes. Original and copy are told apart by their key."""

    def __init__(self, ctx: Context, operation: Operation, key: TenantKey, spec: NodeSpec) -> None:
        """Work through *ctx*; what is done is journalled under *operation*."""
        assert spec.identity is not None
        self._ctx, self._operation, self._key, self._spec = ctx, operation, key, spec
        self._label, self._id, self._name = quote(spec.label), quote(spec.identity), quote(key.name)

    def split(self, node: Shared) -> int:
        """Make the copies that are missing and move every relationship of their tenants; return how many moved."""
        there = self._there(node)
        missing = [tenant for tenant in node.others if tenant not in there]
        if node.begun:
            missing = [tenant for tenant in missing if self._hangs(node, tenant)]
        self._journal(
            ({"copy": node.identity, "tenant": t, "home": node.home}, None, {"created": True}) for t in missing
        )
        found = self._ctx.neo4j.read(
            f"MATCH {self._node('n', '$home')} RETURN labels(n) AS labels, "
            f"[{', '.join(f'n.{quote(name)}' for name in self._spec.stale)}] AS stale",
            **self._parameters(node.identity, node.home),
        )
        if not found:
            return 0  # begun by an earlier attempt, and deleted since
        every = "".join(f":{quote(label)}" for label in found[0]["labels"])
        dropped = "".join(f", c.{quote(name)} = null" for name in self._spec.stale)
        for tenant in missing:
            self._ctx.neo4j.write(
                f"MATCH {self._node('n', '$home')} WHERE NOT EXISTS {{ MATCH {self._node('c', '$tenant')} }} "
                # The labels come last: until the key is its own the copy must not be seen by the uniqueness.
                f"CREATE (c) SET c = properties(n), c.{self._name} = $tenant{dropped} SET c{every}",
                **self._parameters(node.identity, node.home, tenant),
            )
        moved = self._move(node.identity, node.home, node.others)
        self._drop_stale(node, found[0]["stale"])
        return moved

    def merge(self, identity: Any, tenant: str, home: str) -> bool:
        """Move everything of a copy back to its original (*home*, or what `home_of` says takes its place) and delete
        the copy, or find it done; False when something hangs on it still."""
        if tenant == home or not self._exists(identity, tenant):
            return True
        self._move(identity, tenant, (home,), everything=True)
        self._ctx.neo4j.write(
            f"MATCH {self._node('c', '$tenant')} WHERE NOT EXISTS {{ (c)--() }} DELETE c",
            **self._parameters(identity, home, tenant),
        )
        return not self._exists(identity, tenant)

    def home_of(self, identity: Any, home: str, tenants: Iterable[str]) -> str:
        """Return the tenant whose node the copies are merged into: *home*, or, where that tenant has deleted its own,
        the first of *tenants* that still has one. What was deleted does not come back."""
        if self._exists(identity, home):
            return home
        return next((tenant for tenant in sorted(tenants) if self._exists(identity, tenant)), home)

    def settle(self, identity: Any, original: str, home: str) -> str:
        """Give the node that copies were merged into the key that its relationships ask for, and return it.

        It is *home* as long as one of that tenant's hangs on it. Where tenants have deleted theirs it is the one with
        most, as it was for the *original*; what the node's backfill wrote is noted there, to be taken back with it.
        """
        types = [name for s in self._spec.rule.sources if isinstance(s, NeighboursSource) for name in s.types]
        rows = self._ctx.neo4j.read(
            f"MATCH {self._node('n', '$home')}-[r]-() WHERE type(r) IN $types AND r.{self._name} IS NOT NULL "
            f"AND NOT r.{self._name} IN $sentinels RETURN r.{self._name} AS tenant, count(*) AS n "
            "ORDER BY n DESC, tenant",
            types=types,
            sentinels=[key_value(self._key, self._key.quarantine), key_value(self._key, self._key.shared)],
            **self._parameters(identity, home),
        )
        tenants = [str(row["tenant"]) for row in rows]
        wanted = home if home in tenants or not tenants else tenants[0]
        if wanted != original:
            note = (identity, key_value(self._key, original), key_value(self._key, wanted))
            backfill = f"neo4j.node_backfill.{self._operation.object}"
            self._ctx.ledger.journal(backfill, "neo4j", self._operation.object, [note])
        if wanted != home:
            self._ctx.neo4j.write(
                f"MATCH {self._node('n', '$home')} SET n.{self._name} = $tenant",
                **self._parameters(identity, home, wanted),
            )
        return wanted

    def edited(self, identity: Any, tenant: str, home: str) -> bool:
        """Return whether a copy is no longer what its original is, key aside: merging them would lose an edit."""
        found = self._ctx.neo4j.read(
            f"MATCH {self._node('n', '$home')}, {self._node('c', '$tenant')} "
            "RETURN properties(n) AS one, properties(c) AS other",
            **self._parameters(identity, home, tenant),
        )
        aside = {self._key.name, *self._spec.stale}
        return any(
            {k: v for k, v in row["one"].items() if k not in aside}
            != {k: v for k, v in row["other"].items() if k not in aside}
            for row in found
        )

    def put_back(self, identity: Any, home: str, stale: dict[str, Any]) -> None:
        """Write properties that were dropped as stale, where there is none by now."""
        for name, value in stale.items():
            self._ctx.neo4j.write(
                f"MATCH {self._node('n', '$home')} WHERE n.{quote(name)} IS NULL SET n.{quote(name)} = $value",
                value=value,
                **self._parameters(identity, home),
            )

    def _move(self, identity: Any, source: str, targets: Sequence[str], *, everything: bool = False) -> int:
        """Move relationships from one copy to others: to each of *targets* those of its tenant, or *everything* to one.

        Read as a stream and written in transactions of relationships, so that a hub costs no more memory than a leaf;
        again until none is found, since what is read changes meanwhile. Create and delete are one transaction: a kill
        leaves every relationship exactly once.
        """
        total = 0
        while True:
            moved = 0
            # The next are read while the last are written: the server does both at once.
            with closing(one_ahead(self._batches(identity, source, targets, everything=everything))) as batches:
                for (type, way, target), elements in batches:
                    self._ctx.signal.check(self._operation.id)
                    item = {"moved": identity, "type": type, "way": way}
                    after = {"tenant": target, "relationships": len(elements)}
                    self._journal([(item, {"tenant": source}, after)])
                    values = {"source": key_value(self._key, source), "target": key_value(self._key, target)}
                    moved += self._send(type, way, elements, {"id": identity, **values})
            total += moved
            if not moved:
                return total

    def _batches(
        self, identity: Any, source: str, targets: Sequence[str], *, everything: bool
    ) -> Generator[tuple[tuple[str, str, str], list[str]], None, None]:
        """Yield what is to be moved in one transaction each: (type, way, target) and the elements.

        One read of the node, whatever the number of its tenants: a hub is read once, not once for each of them.
        """
        where = "" if everything else f" WHERE r.{self._name} IN $targets"
        query = (
            f"MATCH {self._node('n', '$source')} MATCH (n)-[r]-(){where} RETURN elementId(r) AS e, type(r) AS type, "
            "CASE WHEN startNode(r) = endNode(r) THEN 'loop' WHEN startNode(r) = n THEN 'out' ELSE 'in' END AS way, "
            f"r.{self._name} AS tenant"
        )
        rows = self._ctx.neo4j.stream(
            query,
            id=identity,
            source=key_value(self._key, source),
            targets=[key_value(self._key, target) for target in targets],
        )
        held: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        count = 0
        for row in rows:
            group = (row["type"], row["way"], targets[0] if everything else str(row["tenant"]))
            held[group].append(row["e"])
            count += 1
            if len(held[group]) >= BATCH or count >= HELD:
                largest = max(held, key=lambda one: len(held[one]))
                count -= len(held[largest])
                yield largest, held.pop(largest)
        yield from held.items()

    def _send(self, type: str, way: str, elements: Sequence[str], parameters: dict[str, Any]) -> int:
        old, new = {
            "out": (f"(n)-[r:{quote(type)}]->(m)", f"(c)-[x:{quote(type)}]->(m)"),
            "in": (f"(n)<-[r:{quote(type)}]-(m)", f"(c)<-[x:{quote(type)}]-(m)"),
            "loop": (f"(n)-[r:{quote(type)}]->(n)", f"(c)-[x:{quote(type)}]->(c)"),
        }[way]
        carried = "n, c, r" if way == "loop" else "n, c, m, r"
        # Deleted before it is created again: a uniqueness on relationships would not have both.
        query = (
            f"MATCH {self._node('c', '$target')}, {self._node('n', '$source')} UNWIND $elements AS e "
            f"MATCH {old} WHERE elementId(r) = e "
            f"WITH {carried}, properties(r) AS kept DELETE r CREATE {new} SET x = kept RETURN count(x) AS moved"
        )
        try:
            return int(self._ctx.neo4j.write(query, elements=list(elements), **parameters).records[0]["moved"])
        except GraphMemoryError:
            if len(elements) == 1:
                raise
        middle = len(elements) // 2
        return self._send(type, way, elements[:middle], parameters) + self._send(
            type, way, elements[middle:], parameters
        )

    def _drop_stale(self, node: Shared, values: list[Any]) -> None:
        stale = {n: v for n, v in zip(self._spec.stale, values, strict=True) if v is not None}
        if not stale:
            return
        self._journal([({"stale": node.identity, "home": node.home}, stale, None)])
        removed = ", ".join(f"n.{quote(name)}" for name in stale)
        self._ctx.neo4j.write(
            f"MATCH {self._node('n', '$home')} REMOVE {removed}", **self._parameters(node.identity, node.home)
        )

    def _there(self, node: Shared) -> set[str]:
        rows = self._ctx.neo4j.read(
            f"MATCH (c:{self._label}) WHERE c.{self._id} = $id RETURN c.{self._name} AS tenant", id=node.identity
        )
        return {str(row["tenant"]) for row in rows}

    def _hangs(self, node: Shared, tenant: str) -> bool:
        """Return whether the original still has relationships of a tenant."""
        rows = self._ctx.neo4j.read(
            f"MATCH {self._node('n', '$home')}-[r]-() WHERE r.{self._name} = $tenant RETURN 1 AS n LIMIT 1",
            **self._parameters(node.identity, node.home, tenant),
        )
        return bool(rows)

    def _exists(self, identity: Any, tenant: str) -> bool:
        rows = self._ctx.neo4j.read(
            f"MATCH {self._node('n', '$home')} RETURN count(n) AS n", **self._parameters(identity, tenant)
        )
        return bool(rows[0]["n"])

    def _node(self, variable: str, tenant: str) -> str:
        return f"({variable}:{self._label} {{{self._name}: {tenant}, {self._id}: $id}})"

    def _parameters(self, identity: Any, home: str, tenant: str | None = None) -> dict[str, Any]:
        found = {"id": identity, "home": key_value(self._key, home)}
        return found if tenant is None else {**found, "tenant": key_value(self._key, tenant)}

    def _journal(self, rows: Sequence[tuple[Any, Any, Any]] | Iterator[tuple[Any, Any, Any]]) -> None:
        self._ctx.ledger.journal(self._operation.id, "neo4j", self._operation.object, rows)
