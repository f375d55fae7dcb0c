"""What introspection found in one Neo4j database, as frozen values.

Counts come from the count store and are exact at the moment of asking. Properties and their types come from a bounded
sample (`seen` of `of` sampled items had the property): a property that is not listed may still exist on other items.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Literal

from tenure.catalog.value import Value

Entity = Literal["NODE", "RELATIONSHIP"]


class Property(Value):
    """One property key seen in a sample; `types` in Cypher's words (STRING, INTEGER, LIST<FLOAT>, ...), sorted."""

    measured: ClassVar[frozenset[str]] = frozenset({"seen", "of"})

    name: str
    types: tuple[str, ...] = ()
    seen: int = 0
    of: int = 0


class Label(Value):
    """One label that at least one node has."""

    measured: ClassVar[frozenset[str]] = frozenset({"count", "properties"})

    name: str
    count: int = 0
    properties: tuple[Property, ...] = ()

    def property(self, name: str) -> Property | None:
        """The sampled property called *name*, or None."""
        return next((found for found in self.properties if found.name == name), None)


class RelationshipEnds(Value):
    """How many relationships of a type run from a node with label `start` to one with `end`.

    A node with several labels counts for each of them; the empty string stands for nodes without any.
    """

    measured: ClassVar[frozenset[str]] = frozenset({"count"})

    start: str
    end: str
    count: int = 0


class RelationshipType(Value):
    """One relationship type that at least one relationship has."""

    measured: ClassVar[frozenset[str]] = frozenset({"count", "properties"})

    name: str
    count: int = 0
    ends: tuple[RelationshipEnds, ...] = ()
    properties: tuple[Property, ...] = ()

    def property(self, name: str) -> Property | None:
        """The sampled property called *name*, or None."""
        return next((found for found in self.properties if found.name == name), None)


class Constraint(Value):
    """One constraint. `kind` is put in the words of Cypher 5: UNIQUENESS, NODE_KEY, RELATIONSHIP_UNIQUENESS, ..."""

    name: str
    kind: str
    entity: Entity = "NODE"
    labels_or_types: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    owned_index: str | None = None
    property_type: str | None = None
    create_statement: str = ""


class GraphIndex(Value):
    """One index. `population` is in percent; `state` is ONLINE, POPULATING or FAILED."""

    measured: ClassVar[frozenset[str]] = frozenset({"state", "population"})

    name: str
    kind: str
    state: str = "ONLINE"
    population: float = 100.0
    entity: Entity = "NODE"
    labels_or_types: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    owning_constraint: str | None = None
    create_statement: str = ""


class Neo4jCatalog(Value):
    """Everything that introspection found in one Neo4j database."""

    measured: ClassVar[frozenset[str]] = frozenset({"unlabelled_nodes", "version", "cypher_versions"})

    version: str
    edition: str = "community"
    cypher_versions: tuple[str, ...] = ("5",)
    default_language: str = "CYPHER 5"
    labels: tuple[Label, ...] = ()
    relationship_types: tuple[RelationshipType, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[GraphIndex, ...] = ()
    unlabelled_nodes: int = 0

    @property
    def version_tuple(self) -> tuple[int, ...]:
        """The version as comparable numbers: `5.26.30` is (5, 26, 30), `2026.09.0` is (2026, 9, 0)."""
        return version_numbers(self.version)

    @property
    def prefix(self) -> str:
        """What every query starts with, so that all servers that know the selector speak the same Cypher."""
        return cypher_prefix(self.version)

    @property
    def enterprise(self) -> bool:
        """Whether node keys and existence constraints can be made."""
        return self.edition.casefold() != "community"

    def label(self, name: str) -> Label | None:
        """The label called *name*, or None."""
        return next((label for label in self.labels if label.name == name), None)

    def relationship_type(self, name: str) -> RelationshipType | None:
        """The relationship type called *name*, or None."""
        return next((found for found in self.relationship_types if found.name == name), None)

    def has_index_on(self, label: str, prop: str) -> bool:
        """Whether an online range index serves equality on *prop* of *label* alone (a constraint's own counts)."""
        return any(
            index.entity == "NODE"
            and index.kind in ("RANGE", "BTREE")
            and index.state == "ONLINE"
            and label in index.labels_or_types
            and index.properties == (prop,)
            for index in self.indexes
        )

    def constraints_on(self, name: str, entity: Entity = "NODE") -> Iterable[Constraint]:
        """The constraints on a label, or on a relationship type."""
        return tuple(found for found in self.constraints if found.entity == entity and name in found.labels_or_types)


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of *version*; what follows a dash or a letter (`5.26.0-drop04`) is left out."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def cypher_prefix(version: str) -> str:
    """`CYPHER 5 ` for a server that knows the selector (5.21 and later), else nothing."""
    return "CYPHER 5 " if version_numbers(version) >= (5, 21) else ""
