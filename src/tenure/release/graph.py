"""Releases quarantined nodes and relationships: decided again as if they had no key, written where they still are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import node_item, relationship_item
from tenure.attribution.graph_decide import CHUNK, Attributor
from tenure.attribution.graph_read import Node, Relationship, chunks, key_value
from tenure.attribution.graph_values import Decided, named
from tenure.attribution.resolve import Says
from tenure.operations.graph_keys import Change, KeyWriter, pattern
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.release.ledger import following, listed, unlisted
from tenure.release.values import Released, Request
from tenure.stores.cypher import quote
from tenure.values import Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

ROUNDS = 20
NEO4J: Store = "neo4j"
Items = Sequence[Node | Relationship]


class Writer(KeyWriter):
    """A writer that leaves an item that breaks a constraint quarantined, and notes it."""

    def __init__(self, ctx: Context, operation: NodeBackfill | RelationshipBackfill, done: Released) -> None:
        """Write for the release of *operation*'s items."""
        spec = operation.spec
        # Where nobody had a key before, undo takes all of them: a before-image would put the sentinel back.
        aside = operation.model_copy(update={"object": f"{operation.object}:released"})
        journalled = operation if spec.key_exists else aside
        super().__init__(ctx, journalled, operation.graph, spec)
        self._name_of, self._done = operation.object, done

    def _rejected(self, change: Change, problem: str) -> int:
        unlisted(self._ctx, NEO4J, self._name_of, change.item)
        self._done.is_stuck(NEO4J, self._name_of, _named(change.item), change.item, problem)
        return 0


class GraphRelease:
    """Releases the nodes and relationships of one graph."""

    def __init__(
        self,
        ctx: Context,
        operations: Sequence[NodeBackfill | RelationshipBackfill],
        split: frozenset[str],
        done: Released,
    ) -> None:
        """Release through *ctx*; *operations* are the backfills in the plan's order: nodes, then relationships.
        *split* are the labels whose shared nodes were split."""
        self._ctx, self._done, self._split = ctx, done, split
        self.operations = {operation.object: operation for operation in operations}

    def given(self, operation: NodeBackfill | RelationshipBackfill, requests: Iterable[Request]) -> None:
        """Give the items that a person named to the tenants that they named; a repeat finds them there.

        Of parallel relationships with the same ends all are given.
        """
        name = operation.object
        asked = {_named(request.item): request for request in requests}
        found: set[str] = set()
        for page in self._pages(operation, self._attributor(operation), everything=True):
            chosen: list[Change] = []
            for item in page:
                label = self._item(operation, item)
                request = asked.get(_named(label))
                if request is None:
                    continue
                found.add(_named(label))
                if item.present == key_value(operation.graph.key, request.tenant):
                    self._done.already += 1
                elif item.present != self._sentinel(operation):
                    self._done.is_missing(NEO4J, name, label, f"it is not quarantined: its key is {item.present}")
                elif problem := self._between(operation, item, request.tenant):
                    self._done.is_stuck(NEO4J, name, _named(label), label, problem)
                else:
                    chosen.append(Change(item.element, label, item.present, request.tenant, "released"))
            self._write(operation, chosen)
        for text, request in asked.items():
            if text not in found:
                self._done.is_missing(NEO4J, name, request.item, "there is no such item")

    def again(self) -> None:
        """Decide everything that is quarantined again, in the plan's order, until a round changes nothing."""
        for _ in range(ROUNDS):
            before = self._done.total
            for operation in self.operations.values():
                self._again(operation)
            if self._done.total == before:
                break
        self.count()

    def count(self) -> None:
        """Note how many items of each label and type are still quarantined."""
        for operation in self.operations.values():
            key = quote(operation.graph.key.name)
            query = f"MATCH {pattern(operation.spec)} WHERE x.{key} = $sentinel RETURN count(x) AS n"
            rows = self._ctx.neo4j.read(query, sentinel=self._sentinel(operation))
            self._done.left[NEO4J, operation.object] = int(rows[0]["n"])

    def _again(self, operation: NodeBackfill | RelationshipBackfill) -> None:
        attributors = [self._attributor(operation)]
        if isinstance(operation, NodeBackfill) and operation.spec.by_neighbours:
            # A relationship may be quarantined because of the very node in question: then its other end counts too.
            attributors.append(self._attributor(operation, bars=False))
        for attributor in attributors:
            # Read to the end before it is written: what is written changes what is read.
            changes = [
                Change(item.element, self._item(operation, item), item.present, one.decision.write, "released")
                for page in (self._follows(operation, read) for read in self._pages(operation, attributor))
                for item, one in zip(page, self._decided(operation, attributor, page), strict=True)
                if one.decision.write not in (None, operation.graph.key.quarantine)
            ]
            self._write(operation, changes)

    def _between(self, operation: NodeBackfill | RelationshipBackfill, item: Node | Relationship, tenant: str) -> str:
        """Return why a relationship cannot be a tenant's: it would lie between others' nodes; else nothing."""
        if not isinstance(item, Relationship):
            return ""
        belongs = self._attributor(operation).belongs((item.start, item.end))
        for word, node in (("starts at", item.start), ("ends at", item.end)):
            owner = belongs[node.element]
            if owner.answer.says is not Says.SHARED and tenant not in owner.tenants:
                return f"it {word} a node of {named(owner)}, not of {tenant}"
        return ""

    def _follows(self, operation: NodeBackfill | RelationshipBackfill, page: Items) -> Items:
        """Return the items that may be decided again without a person.

        A relationship that was put aside because its ends had several tenants in common stays between the originals
        when these are split: that they have one tenant by then says nothing about it.
        """
        spec = operation.spec
        if not isinstance(spec, RelationshipSpec) or not spec.by_ends:
            return page
        nodes = operation.graph.nodes
        doubtful = [
            item
            for item in page
            if isinstance(item, Relationship)
            and all(end.kind >= 0 and nodes[end.kind].label in self._split for end in (item.start, item.end))
        ]
        followers = following(
            self._ctx, NEO4J, operation.object, [relationship_item(operation.graph, item) for item in doubtful]
        )
        left = {item.element for item in doubtful if _named(relationship_item(operation.graph, item)) not in followers}
        return [item for item in page if item.element not in left]

    def _decided(
        self, operation: NodeBackfill | RelationshipBackfill, attributor: Attributor, page: Items
    ) -> list[Decided]:
        self._ctx.signal.check(operation.id)
        if isinstance(operation, NodeBackfill):
            nodes = [replace(one, present=None) for one in page if isinstance(one, Node)]
            return attributor.nodes(operation.spec, nodes)
        return attributor.relationships(
            operation.spec, [replace(one, present=None) for one in page if isinstance(one, Relationship)]
        )

    def _pages(
        self, operation: NodeBackfill | RelationshipBackfill, attributor: Attributor, *, everything: bool = False
    ) -> Iterator[Items]:
        """Yield the quarantined items of a label or type (or all) in pages."""
        shapes, spec, key = attributor.shapes, operation.spec, quote(operation.graph.key.name)
        where = "" if everything else f"WHERE x.{key} = $sentinel "
        if isinstance(spec, NodeSpec):
            rows = self._ctx.neo4j.stream(
                f"MATCH (x:{quote(spec.label)}) {where}RETURN {shapes.node('x')} AS x",
                sentinel=self._sentinel(operation),
            )
            for page in chunks(rows, CHUNK):
                yield [shapes.to_node(row["x"]) for row in page]
            return
        rows = self._ctx.neo4j.stream(
            f"MATCH (a)-[x:{quote(spec.type)}]->(b) {where}RETURN {shapes.relationship(spec, 'x', 'a', 'b')} AS x",
            sentinel=self._sentinel(operation),
        )
        for page in chunks(rows, CHUNK):
            yield [shapes.to_relationship(spec, row["x"]) for row in page]

    def _write(self, operation: NodeBackfill | RelationshipBackfill, changes: Sequence[Change]) -> None:
        if not changes:
            return
        writer = Writer(self._ctx, operation, self._done)
        for page in chunks(changes, CHUNK):
            # The list first: after a kill between the two the next attempt writes what the list says already.
            listed(self._ctx, NEO4J, operation.object, ((c.item, c.reason, c.after) for c in page))
            changed = writer.write(page)
            self._done.released[NEO4J, operation.object] += changed
            self._ctx.reporter.advance("release", changed)

    def _attributor(self, operation: NodeBackfill | RelationshipBackfill, *, bars: bool = True) -> Attributor:
        return Attributor(self._ctx.neo4j, operation.graph, self._ctx.lookups, bars=bars)

    def _item(self, operation: NodeBackfill | RelationshipBackfill, item: Node | Relationship) -> Any:
        if isinstance(item, Node):
            assert isinstance(operation, NodeBackfill)
            return node_item(operation.spec, item)
        return relationship_item(operation.graph, item)

    def _sentinel(self, operation: NodeBackfill | RelationshipBackfill) -> str | int:
        return key_value(operation.graph.key, operation.graph.key.quarantine)


def _named(item: Any) -> str:
    """Return what tells an item apart, also where a file had a number as text."""
    return json.dumps(item, sort_keys=True, default=str) if isinstance(item, dict) else str(item)
