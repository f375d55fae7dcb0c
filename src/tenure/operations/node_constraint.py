"""Makes a uniqueness of the graph hold per tenant: a composite constraint beside the old one, which stays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, ClassVar

from tenure.catalog.neo4j import Entity
from tenure.errors import GraphConstraintError, OperationFailedError
from tenure.operations.base import Operation
from tenure.operations.graph_schema import drop_constraint, drop_index, find_constraint, find_index
from tenure.operations.text import short_name
from tenure.stores.cypher import quote
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

SAMPLE = 5


class NodeConstraint(Operation):
    """Creates ``REQUIRE (key, properties...) IS UNIQUE`` on a label (or relationship type).

    `object` names it for people (``Codigo.nombre``), `label` is the label or type, `properties` what was unique
    globally, `key` the tenant key. `node_key` asks for a key constraint, which only Enterprise has. `key_index` also
    builds an index on the key alone: the composite one serves only queries that name all its properties.
    """

    kind: ClassVar[str] = "node_constraint"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    store: ClassVar[Store] = "neo4j"

    label: str
    properties: tuple[str, ...]
    key: str
    entity: Entity = "NODE"
    node_key: bool = False
    key_index: bool = True
    prefix: str = "CYPHER 5 "
    planned: int | None = 1
    hazards: tuple[Hazard, ...] = (Hazard.INDEX_BUILD,)
    lock: str = "label write lock for a moment at the start and at the end"

    @property
    def name(self) -> str:
        """The name of the constraint that tenure creates."""
        return short_name("tenure_uq", self.label, *self._all)

    @property
    def index_name(self) -> str:
        """The name of the index on the key alone that tenure creates."""
        return short_name("tenure_idx", self.label, self.key)

    @property
    def _all(self) -> tuple[str, ...]:
        return (self.key, *(name for name in self.properties if name != self.key))

    def describe(self) -> str:
        """Return one line for a person."""
        return f"make {self.object} unique per {self.key}"

    def statements(self) -> tuple[str, ...]:
        """Return the Cypher a DBA would run."""
        found = [self._create()]
        if self.key_index:
            found.append(self._create_index())
        return tuple(f"{self.prefix}{statement};" for statement in found)

    def apply(self, ctx: Context) -> Outcome:
        """Create what is missing and wait until it is online.

        Errors: OperationFailedError, with the tenants and values that stand in the way, when there are duplicates.
        """
        changed, note = 0, "there already"
        if not self._there(ctx):
            blocking = list(islice(self.duplicates(ctx), SAMPLE))
            if blocking:
                raise self._failed(f"Duplicates stand in the way: {self._listed(blocking)}.")
            try:
                ctx.neo4j.schema(self._create())
            except GraphConstraintError as error:
                # Somebody wrote one between the look and the lock.
                raise self._failed(f"{error} {self._listed(list(islice(self.duplicates(ctx), SAMPLE)))}") from error
            if not self._there(ctx):
                raise self._failed(f"{self.name} is not online, or its name is taken by another constraint or index.")
            changed, note = 1, ""
        if self.key_index and not self._indexed(ctx):
            ctx.neo4j.schema(self._create_index())
            if not self._indexed(ctx):
                raise self._failed(f"The index {self.index_name} is not online, or its name is taken by another.")
        return Outcome(planned=1, changed=changed, note=note)

    def check(self, ctx: Context) -> Outcome:
        """Return whether the constraint, and the index where asked for, are there and online."""
        there = self._there(ctx) and (not self.key_index or self._indexed(ctx))
        return Outcome(left=0 if there else 1)

    def undo(self, ctx: Context) -> Outcome:
        """Drop what tenure created, by its names; what was there before under another name stays."""
        done = drop_constraint(ctx.neo4j, self.name)
        if self.key_index:
            drop_index(ctx.neo4j, self.index_name)
        return done

    def duplicates(self, ctx: Context) -> Iterator[tuple[Any, list[Any], int]]:
        """Yield what occurs more than once in one tenant: (tenant, values, times); nothing is kept in memory but one
        value's items. Items that lack one of the properties are not subject to the constraint."""
        names = [f"x.{quote(name)}" for name in self._all]
        pattern = f"(x:{quote(self.label)})" if self.entity == "NODE" else f"()-[x:{quote(self.label)}]->()"
        present = " AND ".join(f"{name} IS NOT NULL" for name in names)
        rest = names[1:] or names
        # In the order of the old uniqueness, whose index gives it without a sort.
        query = (
            f"MATCH {pattern} WHERE {present} RETURN {names[0]} AS tenant, [{', '.join(rest)}] AS found "
            f"ORDER BY {', '.join([*rest, names[0]])}"
        )
        rows = ctx.neo4j.stream(query)
        for (tenant, values), group in groupby(rows, key=lambda row: (row["tenant"], row["found"])):
            times = sum(1 for _ in group)
            if times > 1:
                yield tenant, values, times

    def _there(self, ctx: Context) -> bool:
        return find_constraint(ctx.neo4j, self.entity, self.label, self._all, key=self.node_key) is not None

    def _indexed(self, ctx: Context) -> bool:
        return find_index(ctx.neo4j, self.entity, self.label, (self.key,)) is not None

    def _create(self) -> str:
        pattern = f"(x:{quote(self.label)})" if self.entity == "NODE" else f"()-[x:{quote(self.label)}]-()"
        names = ", ".join(f"x.{quote(name)}" for name in self._all)
        kind = ("IS NODE KEY" if self.entity == "NODE" else "IS RELATIONSHIP KEY") if self.node_key else "IS UNIQUE"
        return f"CREATE CONSTRAINT {quote(self.name)} IF NOT EXISTS FOR {pattern} REQUIRE ({names}) {kind}"

    def _create_index(self) -> str:
        pattern = f"(x:{quote(self.label)})" if self.entity == "NODE" else f"()-[x:{quote(self.label)}]-()"
        return f"CREATE RANGE INDEX {quote(self.index_name)} IF NOT EXISTS FOR {pattern} ON (x.{quote(self.key)})"

    def _listed(self, blocking: list[tuple[Any, list[Any], int]]) -> str:
        return "; ".join(
            f"{tenant}: {', '.join(map(str, values))} ({times} times)" for tenant, values, times in blocking
        )

    def _failed(self, problem: str) -> OperationFailedError:
        return OperationFailedError(
            operation=self.id, object=self.object, planned=1, changed=0, left=1, problem=problem
        )
