"""Writes the keys that stand plainly in one value of a node, or in the keys of both ends of a relationship.

Most items of a graph are like that. The server is told what each value of a page means and writes where the value
stands; neither nodes nor relationships go over the wire. Whatever is not plain (a key that is there, a value that means
no tenant, ends that differ) it leaves as it is, and says that it did: such items are decided one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_read import Shapes, after_condition, key_value, untagged, untagged_values
from tenure.attribution.items import Item, Lookups, as_text, decide_items
from tenure.attribution.resolve import Says
from tenure.attribution.spec import ColumnSource, ConstantSource, EndsSource, NeighboursSource, RowSource
from tenure.errors import GraphConstraintError, GraphMemoryError
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.attribution.graph import GraphSpec
    from tenure.operations.base import Operation
    from tenure.runner.context import Context

# Only values are held of a page, and only keys are written: larger transactions than where items are decided one by
# one. Beyond this they are no faster, and an application that meets one waits longer.
FIRST, LEAST, MOST = 5000, 500, 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """What a page came to: the `last` identity (None: there was none), items `seen` and `changed`; `rest` says that
    some are left to be decided one by one."""

    last: Any
    seen: int = 0
    changed: int = 0
    rest: bool = False


def plain_property(spec: NodeSpec) -> str | None:
    """Return the one property that decides about a node of the label ("" where none does: a constant), or None where
    it takes more than that, or where keys that were there before have a say."""
    if spec.key_exists or spec.identity is None or not spec.rule.sources:
        return None
    names = set()
    for source in spec.rule.sources:
        if isinstance(source, ColumnSource):
            names.add(source.name)
        elif isinstance(source, RowSource):
            names.add(source.match or spec.identity)
        elif not isinstance(source, ConstantSource):
            return None
    return next(iter(names), "") if len(names) < 2 else None


def plain_ends(spec: RelationshipSpec) -> bool:
    """Return whether relationships of the type go by nothing but their two ends."""
    only = len(spec.rule.sources) == 1 and isinstance(spec.rule.sources[0], EndsSource)
    return only and not spec.references and not spec.key_exists


class PlainWriter:
    """Writes the plain keys of one operation, a page of identities in one transaction."""

    def __init__(self, ctx: Context, operation: Operation, graph: GraphSpec) -> None:
        """Work through *ctx*; nothing is kept between calls."""
        self._ctx, self._operation, self._graph = ctx, operation, graph
        self._key, self._name = graph.key, quote(graph.key.name)
        self._untagged = untagged_values(graph.key)

    def nodes(self, spec: NodeSpec, bounds: Mapping[str, Any], property: str) -> Page:
        """Write the next page of nodes within *bounds* whose *property* means a tenant."""
        assert spec.identity is not None
        node = f"(n:{quote(spec.label)})"
        value = f"n.{quote(property)}" if property else "''"
        condition, parameters = after_condition("n", spec.identity, bounds["sort"], dict(bounds))
        # Identities hardly repeat, and telling values apart costs more than sending them twice.
        distinct = "" if property == spec.identity else "DISTINCT "
        found = self._ctx.neo4j.read(
            f"MATCH {node} WHERE {condition} WITH n, n.{quote(spec.identity)} AS id ORDER BY id LIMIT $size "
            f"RETURN max(id) AS last, count(*) AS seen, count(CASE WHEN {untagged(self._key, 'n')} THEN 1 END) AS "
            f"open, collect({distinct}CASE WHEN n.{self._name} IS NULL THEN {value} END) AS said",
            size=self._ctx.pace.size(self._operation.id, start=FIRST, least=LEAST, most=MOST),
            untagged=self._untagged,
            **parameters,
        )[0]
        page = Page(found["last"], found["seen"])
        if not found["open"]:
            return page
        sort = _sort(found["said"])
        tenants = self._meanings(spec, property, found["said"]) if sort else {}
        if not tenants:
            return Page(page.last, page.seen, 0, True)
        looked = f"toStringOrNull({value})"
        if property == spec.identity and sort is str:
            looked = value  # the index gives text for a range of texts
        elif sort is str:
            # What is a number by now, and was text when it was read, means what it meant as a number.
            looked = f"CASE WHEN {value} = {looked} THEN {value} END"
        condition, parameters = after_condition("n", spec.identity, bounds["sort"], {**bounds, "upto": page.last})
        # Reading the key in SET takes the lock first: one that the application writes at the same moment is not lost.
        changed = self._written(
            f"MATCH {node} WHERE {condition} AND n.{self._name} IS NULL "
            f"WITH n, $tenants[{looked}] AS tenant WHERE tenant IS NOT NULL "
            f"SET n.{self._name} = CASE WHEN n.{self._name} IS NULL THEN tenant ELSE n.{self._name} END "
            "RETURN count(n) AS changed",
            page.seen,
            tenants=tenants,
            **parameters,
        )
        return Page(page.last, page.seen, changed, changed != found["open"])

    def relationships(
        self, spec: RelationshipSpec, start: NodeSpec, bounds: Mapping[str, Any], nodes: int
    ) -> tuple[Page, int]:
        """Write the relationships that start at the next *nodes* nodes and whose ends have one tenant in common.

        Returns the page and 0; or, when it is too large for one transaction and nothing was written, how many of its
        nodes would do.
        """
        assert start.identity is not None
        node = f"(a:{quote(start.label)})"
        condition, parameters = after_condition("a", start.identity, bounds["sort"], dict(bounds))
        found = self._ctx.neo4j.read(
            f"MATCH {node} WHERE {condition} WITH a, a.{quote(start.identity)} AS id ORDER BY id LIMIT $nodes "
            f"OPTIONAL MATCH (a)-[r:{quote(spec.type)}]->(b) WHERE {untagged(self._key, 'r')} "
            "RETURN max(id) AS last, count(r) AS open, count(DISTINCT a) AS nodes, "
            f"collect(DISTINCT CASE WHEN r IS NOT NULL THEN a.{self._name} END) AS starts, "
            f"collect(DISTINCT b.{self._name}) AS ends",
            nodes=nodes,
            untagged=self._untagged,
            **parameters,
        )[0]
        page = Page(found["last"], found["open"])
        size = self._ctx.pace.size(self._operation.id, start=FIRST, least=LEAST, most=MOST)
        if not page.seen:
            return page, 0
        if page.seen > 2 * size:
            return page, max(1, found["nodes"] * size // page.seen)
        tenants = self._keys([*found["starts"], *found["ends"]])
        condition, parameters = after_condition("a", start.identity, bounds["sort"], {**bounds, "upto": page.last})
        changed = self._written(
            f"MATCH {node} WHERE {condition} MATCH (a)-[r:{quote(spec.type)}]->(b) WHERE r.{self._name} IS NULL "
            f"WITH r, {self._agreed(spec)} AS tenant WHERE tenant IS NOT NULL "
            f"SET r.{self._name} = CASE WHEN r.{self._name} IS NULL THEN tenant ELSE r.{self._name} END "
            "RETURN count(r) AS changed",
            page.seen,
            tenants=tenants,
            **parameters,
        )
        return Page(page.last, page.seen, changed, changed != page.seen), 0

    def _agreed(self, spec: RelationshipSpec) -> str:
        """Return the expression for the tenant that both ends of a relationship have in common.

        A node that is to be split takes all tenants of its neighbours: one with a single tenant has that in common with
        it. It is the rule of `Attributor._quick`; what it says nothing of is decided one by one.
        """
        single = [number for number, one in enumerate(self._graph.nodes) if not one.splits]
        shared = [number for number, one in enumerate(self._graph.nodes) if _takes_all(one, spec.type)]
        start, end = (f"$tenants[toStringOrNull({end}.{self._name})]" for end in ("a", "b"))
        shapes = Shapes(self._graph)
        of = {"a": shapes.kind("a"), "b": shapes.kind("b")}
        return (
            f"CASE WHEN {start} IS NULL OR {end} IS NULL THEN null "
            f"WHEN {of['b']} IN {single} AND ({of['a']} IN {shared} OR {of['a']} IN {single} AND {start} = {end}) "
            f"THEN {end} WHEN {of['a']} IN {single} AND {of['b']} IN {shared} THEN {start} END"
        )

    def _meanings(self, spec: NodeSpec, property: str, said: Iterable[Any]) -> dict[str, Any]:
        """Return the tenant to write for each value by which a node without a key is plainly somebody's."""
        only = spec.rule.sources[0]
        if len(spec.rule.sources) == 1 and isinstance(only, RowSource):
            # Most nodes of most graphs: without another source, and without a key, what the row says is the decision.
            rows = self._ctx.lookups.rows(only, said)
            return {
                text: key_value(self._key, answer.value)
                for text, answer in rows.items()
                if answer.says is Says.TENANT and answer.value is not None
            }
        values = list(dict.fromkeys(said))
        items = [Item(value, {property: value}) for value in values]
        decisions = decide_items(spec.rule, items, self._ctx.lookups)
        return {
            as_text(value): key_value(self._key, decision.write)
            for value, decision in zip(values, decisions, strict=True)
            if decision.bin == "assigned" and decision.write is not None
        }

    def _keys(self, present: Iterable[Any]) -> dict[str, Any]:
        """Return the tenant that each key means, of those that mean one."""
        lookups: Lookups = self._ctx.lookups
        found = {}
        known = [value for value in present if isinstance(value, str | int) and not isinstance(value, bool)]
        lookups.values(known)
        for value in known:
            answer = lookups.present(value)
            if answer.says is Says.TENANT and answer.value is not None:
                found[as_text(value)] = key_value(self._key, answer.value)
        return found

    def _written(self, query: str, items: int, **parameters: Any) -> int:
        """Run a write as one timed batch; what does not fit, or breaks a constraint, is left to whoever halves."""
        began = monotonic()
        try:
            changed = int(self._ctx.neo4j.write(query, **parameters).records[0]["changed"])
        except GraphMemoryError:
            self._ctx.pace.shrink(self._operation.id)
            return 0
        except GraphConstraintError:
            return 0
        self._ctx.pace.took(self._operation.id, items, monotonic() - began)
        return changed


def _takes_all(spec: NodeSpec, type: str) -> bool:
    """Return whether a node of the label is to be split by its relationships of a type, and by nothing else."""
    source = spec.rule.sources[0] if len(spec.rule.sources) == 1 else None
    return spec.splits and isinstance(source, NeighboursSource) and type in source.types


def _sort(values: Iterable[Any]) -> Callable[..., Any] | None:
    """Return the one type that all values have: text or whole numbers; else None."""
    types = {type(value) for value in values}
    return next(iter(types)) if types in ({str}, {int}) else None
