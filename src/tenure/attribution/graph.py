"""The attribution of a graph, resolved: which labels and relationship types are keyed, and by which rule.

These are values. `graph_read` turns them into Cypher, `graph_decide` into decisions, `graph_bins` into counts.
"""

from __future__ import annotations

from typing import Literal

from tenure.attribution.spec import ColumnSource, EndsSource, ItemRule, NeighboursSource, RowSource
from tenure.values import Frozen, TenantKey


class NodeSpec(Frozen):
    """How the nodes of one label get their key.

    `identity` is the property that names a node (None: no source needs it). `several` says what becomes of a node whose
    neighbours belong to several tenants; `stale` names properties that were computed over all tenants. `key_exists`:
    some nodes had the key property before tenure came, so what is in it takes part.
    """

    label: str
    identity: str | None = None
    rule: ItemRule
    several: Literal["split", "conflict", "shared"] = "conflict"
    stale: tuple[str, ...] = ()
    key_exists: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The properties that identity and sources ask for, sorted."""
        return tuple(sorted({*_asked(self.rule), *((self.identity,) if self.identity else ())}))

    @property
    def by_neighbours(self) -> bool:
        """Whether a source looks at the neighbours."""
        return any(isinstance(source, NeighboursSource) for source in self.rule.sources)

    @property
    def splits(self) -> bool:
        """Whether a node of this label may belong to several tenants until cutover."""
        return self.several == "split" and self.by_neighbours


class Reference(Frozen):
    """A list property of a relationship whose entries are values of `identity` of nodes with `label`."""

    property: str
    label: str
    identity: str


class RelationshipSpec(Frozen):
    """How the relationships of one type get their key. `start_labels` are the labels they start at, as far as known."""

    type: str
    start_labels: tuple[str, ...] = ()
    end_labels: tuple[str, ...] = ()
    rule: ItemRule
    references: tuple[Reference, ...] = ()
    key_exists: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The properties that sources and references ask for, sorted."""
        return tuple(sorted({*_asked(self.rule), *(reference.property for reference in self.references)}))

    @property
    def by_ends(self) -> bool:
        """Whether a source looks at both ends."""
        return any(isinstance(source, EndsSource) for source in self.rule.sources)

    @property
    def has_own_source(self) -> bool:
        """Whether a source other than the ends can say to whom a relationship belongs."""
        return any(not isinstance(source, EndsSource) for source in self.rule.sources)


class GraphSpec(Frozen):
    """All keyed labels and types of one graph, and the labels whose nodes are shared on purpose.

    A node that has several keyed labels goes by the first of them in `nodes`.
    """

    key: TenantKey
    nodes: tuple[NodeSpec, ...] = ()
    relationships: tuple[RelationshipSpec, ...] = ()
    shared_labels: tuple[str, ...] = ()

    def node(self, label: str) -> NodeSpec:
        """Return the spec of a label. Errors: KeyError."""
        return {spec.label: spec for spec in self.nodes}[label]

    def relationship(self, type: str) -> RelationshipSpec | None:
        """Return the spec of a relationship type, or None when it is not keyed."""
        return next((spec for spec in self.relationships if spec.type == type), None)


def _asked(rule: ItemRule) -> set[str]:
    """Return the properties that the sources of a rule read from the item itself."""
    asked = set()
    for source in rule.sources:
        if isinstance(source, ColumnSource):
            asked.add(source.name)
        elif isinstance(source, RowSource) and source.match is not None:
            asked.add(source.match)
    return asked
