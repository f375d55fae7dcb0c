"""Where the tenant of an item is read from. Which source is meant shows by the key it is written with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from tenure.playbook.base import (
    Dotted,
    Frozen,
    PlaybookPath,
    TenantText,
    Text,
    Word,
    choose,
    split_dotted,
    tag_by_key,
)

Match = Annotated[dict[Text, Text], Field(min_length=1)]


class Constant(Frozen):
    """Every item of the object belongs to one tenant."""

    tag: ClassVar[str] = "<constant>"
    constant: TenantText


class Column(Frozen):
    """A column of the row holds the tenant, or an alias of it."""

    tag: ClassVar[str] = "<column>"
    column: Text


class Parent(Frozen):
    """The row belongs to the tenant of another table's row; *match* maps own columns to the parent's."""

    tag: ClassVar[str] = "<parent>"
    parent: Text
    match: Match


class Sql(Frozen):
    """An SQL expression over the row ``t`` gives the tenant; sub-queries are allowed."""

    tag: ClassVar[str] = "<sql>"
    sql: Text


class MappingTable(Frozen):
    """A table that maps values to tenants."""

    table: Text
    value: Text
    tenant: Text


def _tag_mapping(value: Any) -> str | None:
    if isinstance(value, str | Path):
        return "<file>"
    return "<table>" if isinstance(value, dict | MappingTable) else None


class Mapping(Frozen):
    """The column *match* is looked up in a CSV file with header ``value,tenant``, or in a table."""

    tag: ClassVar[str] = "<mapping>"
    mapping: Annotated[
        Annotated[PlaybookPath, Tag("<file>")] | Annotated[MappingTable, Tag("<table>")],
        choose(
            _tag_mapping,
            "this is not a mapping.",
            "Write the path of a CSV file with the header value,tenant, or `{table: T, value: C, tenant: C}`.",
        ),
    ]
    match: Text


class Property(Frozen):
    """A property of the node or relationship holds the tenant, or an alias of it."""

    tag: ClassVar[str] = "<property>"
    property: Text


class FromPostgres(Frozen):
    """The item has the tenant of the Postgres row whose *postgres* column (``table.column``) equals its identity.

    Neo4j: matched on the node's identity, or on the property *match*. Qdrant: on the point id, or the field *payload*.
    """

    tag: ClassVar[str] = "<postgres>"
    postgres: Dotted
    match: Text | None = None
    payload: Text | None = None

    @property
    def table(self) -> str:
        """The table, as the store shows it, with its schema where one is written."""
        return split_dotted(self.postgres)[0]

    @property
    def column(self) -> str:
        """The column: what follows the last dot."""
        return split_dotted(self.postgres)[1]


class EndColumns(Frozen):
    """The columns of a Postgres row that hold the identities of a relationship's two end nodes."""

    start: Text
    end: Text


class EndsFromPostgres(Frozen):
    """A relationship has the tenant of the row of table *postgres* whose columns name its two ends."""

    tag: ClassVar[str] = "<postgres>"
    postgres: Text
    match: EndColumns

    @property
    def table(self) -> str:
        """The table, as the store shows it."""
        return self.postgres


class Neighbours(Frozen):
    """A node has the tenants of its relationships of the types *neighbours*, or of the nodes at their other ends."""

    tag: ClassVar[str] = "<neighbours>"
    neighbours: Annotated[tuple[Text, ...], Field(min_length=1)]


class Ends(Word):
    """A relationship has the one tenant that both its ends have in common."""

    tag: ClassVar[str] = "<ends>"
    word: ClassVar[str] = "ends"


class Payload(Frozen):
    """A payload field of the point holds the tenant, or an alias of it."""

    tag: ClassVar[str] = "<payload>"
    payload: Text


Source = (
    Constant
    | Column
    | Parent
    | Sql
    | Mapping
    | Property
    | FromPostgres
    | EndsFromPostgres
    | Neighbours
    | Ends
    | Payload
)

# In the order they are looked for: `postgres` comes before `payload`, which may stand beside it.
SOURCE_KEYS = ("constant", "column", "parent", "sql", "mapping", "property", "postgres", "neighbours", "payload")

POSTGRES_SOURCES = "`constant`, `column`, `parent` with `match`, `sql`, `mapping` with `match`"
NODE_SOURCES = "`constant`, `property`, `postgres: table.column`, `neighbours`"
RELATIONSHIP_SOURCES = "`ends`, `constant`, `property`, `postgres: table` with `match: {start: ..., end: ...}`"
COLLECTION_SOURCES = "`constant`, `payload`, `postgres: table.column`"


def _tag(value: Any) -> str | None:
    return tag_by_key(value, ("first", *SOURCE_KEYS))


def _chooser(object: str, allowed: str) -> Discriminator:
    """Return the discriminator of one kind of object, whose error lists the sources *allowed* on it."""
    text = f"this is not a source that {object} can have."
    return choose(_tag, text, f"Allowed are {allowed}; several go into a list `first: [...]`.")


_Constant = Annotated[Constant, Tag(Constant.tag)]
_Property = Annotated[Property, Tag(Property.tag)]
_FromPostgres = Annotated[FromPostgres, Tag(FromPostgres.tag)]
_Question = Annotated[Literal["?"], Tag("<?>")]

_OfTable = (
    _Constant
    | Annotated[Column, Tag(Column.tag)]
    | Annotated[Parent, Tag(Parent.tag)]
    | Annotated[Sql, Tag(Sql.tag)]
    | Annotated[Mapping, Tag(Mapping.tag)]
)
_OfNode = _Constant | _Property | _FromPostgres | Annotated[Neighbours, Tag(Neighbours.tag)]
_OfRelationship = (
    _Constant | _Property | Annotated[EndsFromPostgres, Tag(EndsFromPostgres.tag)] | Annotated[Ends, Tag(Ends.tag)]
)
_OfCollection = _Constant | _FromPostgres | Annotated[Payload, Tag(Payload.tag)]

_table = _chooser("a table", POSTGRES_SOURCES)
_node = _chooser("a label", NODE_SOURCES)
_relationship = _chooser("a relationship type", RELATIONSHIP_SOURCES)
_collection = _chooser("a collection", COLLECTION_SOURCES)


class First(Frozen):
    """Several sources: the first that has a value decides; the others are witnesses."""

    tag: ClassVar[str] = "<first>"


class FirstOfTable(First):
    """Several sources: the first that has a value decides; the others are witnesses."""

    first: Annotated[tuple[Annotated[_OfTable, _table], ...], Field(min_length=1)]


class FirstOfNode(First):
    """Several sources: the first that has a value decides; the others are witnesses."""

    first: Annotated[tuple[Annotated[_OfNode, _node], ...], Field(min_length=1)]


class FirstOfRelationship(First):
    """Several sources: the first that has a value decides; the others are witnesses."""

    first: Annotated[tuple[Annotated[_OfRelationship, _relationship], ...], Field(min_length=1)]


class FirstOfCollection(First):
    """Several sources: the first that has a value decides; the others are witnesses."""

    first: Annotated[tuple[Annotated[_OfCollection, _collection], ...], Field(min_length=1)]


TableTenant = Annotated[_OfTable | Annotated[FirstOfTable, Tag(First.tag)] | _Question, _table]
NodeTenant = Annotated[_OfNode | Annotated[FirstOfNode, Tag(First.tag)] | _Question, _node]
RelationshipTenant = Annotated[
    _OfRelationship | Annotated[FirstOfRelationship, Tag(First.tag)] | _Question, _relationship
]
CollectionTenant = Annotated[_OfCollection | Annotated[FirstOfCollection, Tag(First.tag)] | _Question, _collection]
