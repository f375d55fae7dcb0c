"""Writes tenant keys on nodes and relationships in conditional batches, before-images first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import node_item, relationship_item
from tenure.attribution.graph_read import Node, Relationship, key_value, untagged, untagged_values
from tenure.attribution.graph_values import Decided
from tenure.errors import GraphConstraintError, GraphMemoryError
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.runner.context import Context

# A relationship with its ends takes about 2 KB while it is decided and written: 4 workers of 2,000 stay at 16 MB, and
# larger transactions are hardly faster.
FIRST_BATCH, LEAST_BATCH, LARGEST_BATCH = 2000, 100, 2000


@dataclass(frozen=True, slots=True)
class Change:
    """One key to write: on which element, named how, what is there and what is to be there."""

    element: str
    item: Any
    before: Any
    after: str
    reason: str = ""


def pattern(spec: NodeSpec | RelationshipSpec) -> str:
    """Return the pattern whose variable `x` is the item."""
    return f"(x:{quote(spec.label)})" if isinstance(spec, NodeSpec) else f"()-[x:{quote(spec.type)}]->()"


def _same(spec: NodeSpec | RelationshipSpec) -> tuple[str, str]:
    """Return a pattern with the ends named, and the condition that an element still is the item it was read as.

    A server gives the element ids of what was deleted to what is created next: between reading and writing, a live
    writer may have put another node, or a relationship of another tenant, where the old one was.
    """
    if isinstance(spec, NodeSpec):
        same = f"(row.item IS NULL OR x.{quote(spec.identity)} = row.item)" if spec.identity else "true"
        return pattern(spec), same
    same = " AND ".join(
        f"(row.item.`{end}` IS NULL OR {variable}[row.item.`{end}`.property] = row.item.`{end}`.value)"
        for end, variable in (("start", "a"), ("end", "b"))
    )
    return f"(a)-[x:{quote(spec.type)}]->(b)", same


class KeyWriter:
    """Writes the keys of one operation."""

    def __init__(self, ctx: Context, operation: Operation, graph: GraphSpec, spec: NodeSpec | RelationshipSpec) -> None:
        """Write through *ctx*; nothing is kept between calls."""
        self._ctx = ctx
        self._operation = operation
        self._graph = graph
        self._spec = spec
        self._key = graph.key
        self._name = f"x.{quote(graph.key.name)}"

    def changes(self, items: Sequence[Node | Relationship], decided: Sequence[Decided]) -> tuple[list[Change], int]:
        """Return the keys to write, and how many untagged items stay so because the playbook wants it (`keep_null`)."""
        found: list[Change] = []
        kept = 0
        keeps = self._spec.rule.policy.unassigned == "keep_null"
        for item, one in zip(items, decided, strict=True):
            decision = one.decision
            if decision.write is not None:
                found.append(Change(item.element, self._item(item), item.present, decision.write, decision.reason))
            elif keeps and decision.bin == "unassigned":
                kept += 1
        return found, kept

    def write(self, changes: Sequence[Change]) -> int:
        """Journal, list and write; return how many items have a new key.

        Every write holds only where the item still is what it was read as, so it may be repeated. A row that breaks a
        constraint is found by halving and gets the quarantine key instead, or is left where even that breaks one.
        """
        if not changes:
            return 0
        quarantined = [change for change in changes if change.after == self._key.quarantine]
        self._ctx.ledger.quarantine(("neo4j", self._operation.object, c.item, c.reason) for c in quarantined)
        images = [c for c in changes if c.before is not None or self._spec.key_exists]
        if images:
            self._ctx.ledger.journal(
                self._operation.id,
                "neo4j",
                self._operation.object,
                ((c.item, c.before, key_value(self._key, c.after)) for c in images),
            )
        # Sorted, so that two workers that meet take their locks in the same order.
        return self._halving(sorted(changes, key=lambda change: change.element))

    def _halving(self, changes: Sequence[Change]) -> int:
        try:
            return self._send(changes)
        except GraphMemoryError:
            if len(changes) == 1:
                raise
        except GraphConstraintError as error:
            if len(changes) == 1:
                return self._rejected(changes[0], str(error))
        middle = len(changes) // 2
        return self._halving(changes[:middle]) + self._halving(changes[middle:])

    def _send(self, changes: Sequence[Change]) -> int:
        fresh: list[dict[str, Any]] = []
        replaced: list[dict[str, Any]] = []
        for change in changes:
            tenant = key_value(self._key, change.after)
            row = {"e": change.element, "item": change.item, "tenant": tenant, "before": change.before}
            (fresh if self._open(change.before) else replaced).append(row)
        name = self._name
        kind, same = _same(self._spec)
        changed = 0
        # Reading the property in SET takes the lock before the value is read: a key that the application writes at the
        # same moment is not lost.
        for rows, condition in ((fresh, untagged(self._key, "x")), (replaced, f"{name} = row.before")):
            if rows:
                query = (
                    f"UNWIND $rows AS row MATCH {kind} WHERE elementId(x) = row.e AND {same} AND {condition} "
                    f"SET {name} = CASE WHEN {condition} THEN row.tenant ELSE {name} END RETURN count(x) AS changed"
                )
                written = self._ctx.neo4j.write(query, rows=rows, untagged=untagged_values(self._key))
                changed += int(written.records[0]["changed"])
        return changed

    def _open(self, before: Any) -> bool:
        return before is None or (not isinstance(before, list) and before in untagged_values(self._key))

    def _rejected(self, change: Change, problem: str) -> int:
        """Give an item that breaks a constraint the quarantine key; where that breaks one too it stays as it is."""
        self._ctx.ledger.quarantine([("neo4j", self._operation.object, change.item, problem)])
        if change.after == self._key.quarantine:
            return 0
        return self._halving([Change(change.element, change.item, change.before, self._key.quarantine, problem)])

    def _item(self, item: Node | Relationship) -> Any:
        if isinstance(item, Node):
            assert isinstance(self._spec, NodeSpec)
            return node_item(self._spec, item)
        return relationship_item(self._graph, item)
