"""One rule per object of a store: keyed (from which sources), shared, exempt, or an open question."""

from __future__ import annotations

import uuid
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag, field_validator, model_validator

from tenure.playbook import sources as s
from tenure.playbook.base import UNCLASSIFIED, Dotted, Frozen, Problems, Text, choose, problem, split_dotted, tag_by_key
from tenure.playbook.policy import Conflict, Existing, Unassigned

Kind = Literal["keyed", "shared", "exempt", "question"]


class Rule(Frozen):
    """What holds for one object: exactly one of ``tenant``, ``shared: reason``, ``exempt: reason``."""

    # Options that mean something only where items get a key.
    needs_key: ClassVar[tuple[str, ...]] = ("unassigned", "conflict", "existing")

    tenant: Any = None
    shared: Text | None = None
    """Why the object is global on purpose; it gets no key."""
    exempt: Text | None = None
    """Why the object is none of tenure's business."""
    unassigned: Unassigned | None = None
    """What happens to items whose tenant no source knows."""
    conflict: Conflict | None = None
    """What happens to items on which sources or matches disagree."""
    existing: Existing | None = None
    """What happens to a key that is there and differs from the sources."""

    @property
    def kind(self) -> Kind:
        """How the object is classified."""
        if self.tenant is not None:
            return "question" if self.tenant == "?" else "keyed"
        return "shared" if self.shared is not None else "exempt"

    @property
    def sources(self) -> tuple[s.Source, ...]:
        """The sources in the order in which they are asked; empty unless the object is keyed."""
        if self.kind != "keyed":
            return ()
        return tuple(getattr(self.tenant, "first", (self.tenant,)))

    @property
    def reason(self) -> str | None:
        """Why the object is shared or exempt."""
        return self.shared or self.exempt

    @model_validator(mode="after")
    def _classified(self) -> Rule:
        given = [name for name in ("tenant", "shared", "exempt") if getattr(self, name) is not None]
        if not given:
            raise problem(*UNCLASSIFIED)
        problems = Problems()
        for name in given[1:]:
            problems.add((name,), f"`{name}` stands beside `{given[0]}`.", "An object has exactly one of the two.")
        if self.kind in ("shared", "exempt"):
            for name in self.needs_key:
                if name in self.model_fields_set and getattr(self, name):
                    problems.add(
                        (name,), f"`{name}` means nothing on an object that is `{self.kind}`.", f"Remove `{name}`."
                    )
        self._check(problems)
        problems.raise_any()
        return self

    def _check(self, problems: Problems) -> None:
        """Add what is wrong with this kind of rule in particular."""

    def where_source(self, index: int) -> tuple[str | int, ...]:
        """Return the keys that lead to the source of number *index*."""
        return ("tenant", "first", index) if hasattr(self.tenant, "first") else ("tenant",)


class Keep(Frozen):
    """A uniqueness that stays global, with the reason."""

    tag: ClassVar[str] = "<keep>"
    keep: Text


Uniqueness = Annotated[
    Annotated[Literal["rescope"], Tag("<rescope>")] | Annotated[Keep, Tag(Keep.tag)],
    choose(
        lambda value: tag_by_key(value, ("keep",)),
        "this is not a way to treat a uniqueness.",
        "Write `rescope` or `{keep: REASON}`.",
    ),
]


class TableRule(Rule):
    """A Postgres table."""

    needs_key: ClassVar[tuple[str, ...]] = (*Rule.needs_key, "unique", "references")

    tenant: s.TableTenant | None = None
    """The source of the tenant; "?" is an open question."""
    unique: dict[Text, Uniqueness] = Field(default_factory=dict)
    """Per unique constraint or index: rescope, or {keep: REASON}."""
    references: dict[Text, Dotted] = Field(default_factory=dict)
    """Columns that hold ids without a foreign key, arrays too: {column: table.column}."""
    identity: Literal["surrogate", "natural"] | None = None
    """Overrides what tenure thinks of the primary key."""


class NodeRule(Rule):
    """A Neo4j label."""

    needs_key: ClassVar[tuple[str, ...]] = (*Rule.needs_key, "several", "stale")

    tenant: s.NodeTenant | None = None
    """The source of the tenant; "?" is an open question."""
    identity: Text | None = None
    """The property that identifies a node."""
    several: Literal["split", "conflict", "shared"] = "conflict"
    """What happens to a node of several tenants."""
    stale: tuple[Text, ...] = ()
    """Properties computed over all tenants; dropped where a node is split."""

    def _check(self, problems: Problems) -> None:
        by_neighbours = any(isinstance(source, s.Neighbours) for source in self.sources)
        if self.kind == "keyed" and self.several != "conflict" and not by_neighbours:
            problems.add(
                ("several",),
                f"`several: {self.several}` needs a source `neighbours`: only that can give a node several tenants.",
                "Remove `several`, or read the tenant from `neighbours: [TYPE, ...]`.",
            )
        for index, source in enumerate(self.sources):
            if isinstance(source, s.FromPostgres) and source.payload is not None:
                problems.add(
                    (*self.where_source(index), "payload"),
                    "a node has no payload.",
                    "Write `match: PROPERTY` to match the row on a property other than the identity.",
                )
            matched = isinstance(source, s.FromPostgres) and source.match is None
            if (matched or isinstance(source, s.Neighbours)) and self.identity is None:
                problems.add(
                    self.where_source(index),
                    "this source needs to know the nodes one by one, and the label has no `identity`.",
                    "Add `identity: PROPERTY`, the property that identifies a node of this label.",
                )


class RelationshipRule(Rule):
    """A Neo4j relationship type; *references* maps a list property to the ``Label.property`` its entries name."""

    needs_key: ClassVar[tuple[str, ...]] = (*Rule.needs_key, "references")

    tenant: s.RelationshipTenant | None = None
    """The source of the tenant; "?" is an open question."""
    references: dict[Text, Dotted] = Field(default_factory=dict)
    """List properties that hold identities of nodes: {property: Label.property}."""


_NAMESPACES = {
    "url": uuid.NAMESPACE_URL,
    "dns": uuid.NAMESPACE_DNS,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


class Rekey(Frozen):
    """New point ids: uuid5 of *namespace* and the template *rekey*, filled from tenant, id and payload fields."""

    tag: ClassVar[str] = "<rekey>"
    rekey: Text
    namespace: Text = "url"

    @property
    def namespace_uuid(self) -> uuid.UUID:
        """The namespace as a UUID."""
        return _NAMESPACES.get(self.namespace) or uuid.UUID(self.namespace)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names in braces, in order, ``tenant`` and ``id`` among them."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.rekey) if name is not None)

    @field_validator("namespace")
    @classmethod
    def _known_namespace(cls, value: str) -> str:
        if value not in _NAMESPACES:
            try:
                uuid.UUID(value)
            except ValueError:
                raise problem(f"{value!r} is not a namespace.", "Write url, dns, oid, x500 or a UUID.") from None
        return value

    @field_validator("rekey")
    @classmethod
    def _template(cls, value: str) -> str:
        remedy = "Write names in braces, such as `{tenant}|{archivo}|{par_idx}`; a literal brace is doubled."
        try:
            parts = [part for part in Formatter().parse(value) if part[1] is not None]
        except ValueError as error:
            raise problem(f"the template {value!r} cannot be read: {error}.", remedy) from None
        if any(not name or spec or conversion for _, name, spec, conversion in parts):
            raise problem(f"the template {value!r} has an empty or formatted name in braces.", remedy)
        if "tenant" not in {name for _, name, _, _ in parts}:
            raise problem(
                f"the template {value!r} has no {{tenant}}: ids of two tenants would still collide.",
                "Add `{tenant}` to the template.",
            )
        return value


PointIds = Annotated[
    Annotated[Literal["keep"], Tag("<keep>")] | Annotated[Rekey, Tag(Rekey.tag)],
    choose(
        lambda value: tag_by_key(value, ("rekey",)),
        "this is not a way to treat point ids.",
        "Write `keep` or `{rekey: TEMPLATE, namespace: url}`.",
    ),
]


class LostVectors(Frozen):
    """Where the vector of an overwritten point can be had again, and the columns its payload is rebuilt from.

    Without *payload* each field comes from the column of its name.
    """

    lost: Dotted
    payload: dict[Text, Text] = Field(default_factory=dict)

    @property
    def table(self) -> str:
        """The table that keeps the vectors."""
        return split_dotted(self.lost)[0]

    @property
    def column(self) -> str:
        """The column of the vector."""
        return split_dotted(self.lost)[1]


class CollectionRule(Rule):
    """A Qdrant collection."""

    needs_key: ClassVar[tuple[str, ...]] = (*Rule.needs_key, "vectors", "alias")

    tenant: s.CollectionTenant | None = None
    """The source of the tenant; "?" is an open question."""
    ids: PointIds = "keep"
    """Whether points keep their ids or get new ones from a template."""
    vectors: LostVectors | None = None
    """Where an overwritten point's vector can be had again."""
    alias: Text | None = None
    """The alias that readers use; switched at cutover."""

    def _check(self, problems: Problems) -> None:
        for index, source in enumerate(self.sources):
            if isinstance(source, s.FromPostgres) and source.match is not None:
                problems.add(
                    (*self.where_source(index), "match"),
                    "a collection has no `match`.",
                    "Write `payload: FIELD` beside `postgres` to match the row on a payload field, or leave it out to "
                    "match on the point id.",
                )
        if self.vectors is not None and self.ids == "keep":
            problems.add(
                ("vectors",),
                "`vectors` is only used when points get new ids.",
                "Add `ids: {rekey: ...}`, or remove it.",
            )
