"""Drops a global uniqueness of the graph when the per-tenant one holds: two tenants may use one name from then on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, ClassVar

from tenure.catalog.neo4j import Entity
from tenure.errors import GraphConstraintError, OperationFailedError, RefusedError
from tenure.operations.base import Operation
from tenure.operations.graph_schema import drop_constraint, drop_index, find_constraint, find_index
from tenure.operations.text import short_name
from tenure.stores.cypher import quote
from tenure.values import Finding, Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

SAMPLE = 10
# More are counted by nobody: the first of them already forbids the way back.
LISTED = 1000


class DropConstraint(Operation):
    """Drops constraint `name` on a label (or relationship type); `key` with `properties` is unique in its place.

    Its own index goes with it, so a plain one is made for the queries that look items up without naming a tenant. How
    it is created again is journalled (`create` is what it was when the plan was made).
    """

    kind: ClassVar[str] = "drop_constraint"
    phase: ClassVar[Phase] = Phase.CONTRACT
    store: ClassVar[Store] = "neo4j"

    name: str
    label: str
    properties: tuple[str, ...]
    key: str
    entity: Entity = "NODE"
    create: str = ""
    prefix: str = "CYPHER 5 "
    planned: int | None = 1
    hazards: tuple[Hazard, ...] = (Hazard.IRREVERSIBLE, Hazard.INDEX_BUILD)
    lock: str = "label write lock for a moment"

    @property
    def index_name(self) -> str:
        """The name of the index that tenure makes in place of the constraint's own."""
        return short_name("tenure_plain_idx", self.label, *self.properties)

    def describe(self) -> str:
        """Return one line for a person."""
        return f"drop constraint {self.name} of {self.label}; ({', '.join(self._composite)}) is unique instead"

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run."""
        return tuple(
            f"{self.prefix}{text};" for text in (f"DROP CONSTRAINT {quote(self.name)} IF EXISTS", self._create_index())
        )

    def apply(self, ctx: Context) -> Outcome:
        """Journal what it was, drop it, index its properties. Errors: RefusedError when the per-tenant uniqueness is
        not online, OperationFailedError when the index does not come online."""
        if find_constraint(ctx.neo4j, self.entity, self.label, self._composite) is None:
            raise RefusedError(
                reason=f"cannot {self.describe()}: that one is not there, or not online.",
                remedy="Run `tenure apply --through constrain` first.",
            )
        before = self._now(ctx)
        if before is not None:
            kept = {"create": before, "script": self._script(before)}
            ctx.ledger.journal(self.id, "neo4j", self.object, [({"constraint": self.name}, kept, None)])
            drop_constraint(ctx.neo4j, self.name)
        if find_index(ctx.neo4j, self.entity, self.label, self.properties) is None:
            ctx.neo4j.schema(self._create_index())
            if find_index(ctx.neo4j, self.entity, self.label, self.properties) is None:
                raise OperationFailedError(
                    operation=self.describe(),
                    object=self.object,
                    planned=1,
                    changed=int(before is not None),
                    left=1,
                    problem=f"The index {self.index_name} is not online, or its name is taken by another.",
                )
        return Outcome(planned=1, changed=int(before is not None), note="" if before is not None else "gone already")

    def check(self, ctx: Context) -> Outcome:
        """Return left 1 while it is there."""
        return Outcome(left=int(self._now(ctx) is not None))

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return the values that several items have by now: they forbid the way back."""
        if self._now(ctx) is not None:
            return
        shared = list(islice(self._shared(ctx), LISTED))
        if shared:
            more = "at least " if len(shared) == LISTED else ""
            yield Finding(
                id="TEN123",
                severity="error",
                store="neo4j",
                object=self.object,
                title=f"{more}{len(shared)} name(s) belong to several items by now, which {self.name} would forbid",
                count=len(shared),
                sample=tuple(shared[:SAMPLE]),
                remedy="Only deleting or renaming items would bring it back; tenure does neither. Go forward instead.",
            )

    def undo(self, ctx: Context) -> Outcome:
        """Create it again under its name. Errors: GraphConstraintError when items share a name by now."""
        if self._now(ctx) is not None:
            return Outcome(note="still there")
        # An index on the same properties stands against the constraint, which brings its own.
        drop_index(ctx.neo4j, self.index_name)
        with closing(ctx.ledger.journal_entries(self.id)) as entries:
            before = next((kept["create"] for item, kept, _ in entries if "constraint" in item), self.create)
        if before:
            try:
                ctx.neo4j.schema(before)
            except GraphConstraintError:
                ctx.neo4j.schema(self._create_index())
                raise
        return Outcome(planned=1, changed=int(bool(before)))

    def _script(self, create: str) -> list[str]:
        """Return what makes it again: the plain index stands against the one that the constraint brings."""
        return [f"{self.prefix}{text};" for text in (f"DROP INDEX {quote(self.index_name)} IF EXISTS", create)]

    @property
    def _composite(self) -> tuple[str, ...]:
        return (self.key, *(name for name in self.properties if name != self.key))

    def _now(self, ctx: Context) -> str | None:
        rows = ctx.neo4j.read(
            "SHOW CONSTRAINTS YIELD name, createStatement WHERE name = $name RETURN createStatement AS text",
            name=self.name,
        )
        return str(rows[0]["text"]) if rows else None

    def _shared(self, ctx: Context) -> Iterator[dict[str, Any]]:
        """Yield what the old uniqueness would refuse: values with the tenants that have them."""
        pattern = f"(x:{quote(self.label)})" if self.entity == "NODE" else f"()-[x:{quote(self.label)}]->()"
        names = [f"x.{quote(name)}" for name in self.properties]
        rows = ctx.neo4j.stream(
            f"MATCH {pattern} WHERE {' AND '.join(f'{name} IS NOT NULL' for name in names)} "
            f"RETURN [{', '.join(names)}] AS found, x.{quote(self.key)} AS tenant ORDER BY {', '.join(names)}"
        )
        for values, group in groupby(rows, key=lambda row: row["found"]):
            tenants = [str(row["tenant"]) for row in group]
            if len(tenants) > 1:
                yield {"item": values[0] if len(values) == 1 else values, "tenants": sorted(tenants)}

    def _create_index(self) -> str:
        pattern = f"(x:{quote(self.label)})" if self.entity == "NODE" else f"()-[x:{quote(self.label)}]-()"
        names = ", ".join(f"x.{quote(name)}" for name in self.properties)
        return f"CREATE RANGE INDEX {quote(self.index_name)} IF NOT EXISTS FOR {pattern} ON ({names})"
