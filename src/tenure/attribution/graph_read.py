"""Turns graph specs into Cypher that reads nodes and relationships in the shape that decisions are made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.stores.cypher import quote
from tenure.values import TenantKey

OTHER = -1
"""The kind of a node that has no label of the playbook, or an exempt one."""
SHARED = -2
"""The kind of a node that is shared on purpose."""

Sort = Literal["text", "number"]
SHARED_ENDS = 1000
"""How many ends of relationships are looked out for at a time."""

_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """A node as one run sees it: `element` holds only within it, `kind` is the place of its spec in the graph's."""

    element: str
    kind: int
    present: Any = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship as one run sees it."""

    element: str
    start: Node
    end: Node
    present: Any = None
    fields: Mapping[str, Any] = field(default_factory=dict)


def untagged(key: TenantKey, variable: str) -> str:
    """Return the condition that a node or relationship has no tenant yet; it needs the parameter `untagged`."""
    name = f"{variable}.{quote(key.name)}"
    return f"({name} IS NULL OR {name} IN $untagged)"


def untagged_values(key: TenantKey) -> list[Any]:
    """Return the parameter `untagged`: the playbook's values as the graph may hold them, and the empty text."""
    values: list[Any] = ["", *(value for value in key.untagged if value)]
    # A property has no declared type: a bigint key's "0" may be there as a text or as a number.
    values += [int(value) for value in key.untagged if value.lstrip("-").isdigit()]
    return values


def key_value(key: TenantKey, tenant: str) -> str | int:
    """Return a tenant as the graph holds it: a number for bigint keys, else text."""
    return int(tenant) if key.type == "bigint" else tenant


def chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to *size* rows."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


class Shapes:
    """Composes what a query returns for nodes and relationships, and reads it back."""

    def __init__(self, graph: GraphSpec) -> None:
        """Ask every node for the properties that any spec needs: which label it has is known only by then."""
        self.graph = graph
        self._names = sorted({name for spec in graph.nodes for name in spec.fields})

    def kind_of(self, spec: NodeSpec) -> int:
        """Return the kind of the nodes that go by *spec*."""
        return self.graph.nodes.index(spec)

    def kind(self, variable: str) -> str:
        """Return the expression for the kind of a node."""
        labels = [(spec.label, number) for number, spec in enumerate(self.graph.nodes)]
        labels += [(label, SHARED) for label in self.graph.shared_labels]
        whens = " ".join(f"WHEN {variable}:{quote(label)} THEN {number}" for label, number in labels)
        return f"CASE {whens} ELSE {OTHER} END" if whens else str(OTHER)

    def node(self, variable: str) -> str:
        """Return the expression for a node: element, kind, key and the properties that any spec asks for."""
        values = [f"{variable}.{quote(name)}" for name in (self.graph.key.name, *self._names)]
        return f"[elementId({variable}), {self.kind(variable)}, {', '.join(values)}]"

    def to_node(self, value: list[Any]) -> Node:
        """Read a node back."""
        element, kind, present, *values = value
        return Node(element, kind, present, dict(zip(self._names, values, strict=True)))

    def relationship(self, spec: RelationshipSpec, variable: str, start: str, end: str) -> str:
        """Return the expression for a relationship with its two ends."""
        values = [f"{variable}.{quote(name)}" for name in (self.graph.key.name, *spec.fields)]
        return f"[elementId({variable}), {self.node(start)}, {self.node(end)}, {', '.join(values)}]"

    def to_relationship(self, spec: RelationshipSpec, value: list[Any]) -> Relationship:
        """Read a relationship back."""
        return next(self.to_relationships(spec, (value,)))

    def to_relationships(self, spec: RelationshipSpec, values: Iterable[list[Any]]) -> Iterator[Relationship]:
        """Read relationships back; an end that several of them share, as hubs are, is one object while they pass."""
        ends: dict[str, Node] = {}

        def end_of(value: list[Any]) -> Node:
            found = ends.get(value[0])
            if found is None:
                found = ends[value[0]] = self.to_node(value)
            return found

        names = spec.fields
        for element, start, end, present, *rest in values:
            if len(ends) > SHARED_ENDS:
                ends.clear()
            fields = dict(zip(names, rest, strict=True)) if names else _NO_FIELDS
            yield Relationship(element, end_of(start), end_of(end), present, fields)


def after_condition(variable: str, identity: str, sort: Sort, bounds: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the condition, and its parameters, for the nodes of one sort of identity within *bounds*.

    *bounds* hold `after` (exclusive) and `upto` (inclusive), either may be None. Index-backed order compares only
    values of one type, so texts and numbers are passes of their own; other types are left to a scan.
    """
    name = f"{variable}.{quote(identity)}"
    after, upto = bounds.get("after"), bounds.get("upto")
    if after is None:
        low = f"{name} >= $after"
        after = "" if sort == "text" else float("-inf")
    else:
        low = f"{name} > $after"
    if upto is None:
        return low, {"after": after}
    return f"{low} AND {name} <= $upto", {"after": after, "upto": upto}
