"""What a check is, what it looks at, and what a list of them reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from tenure.attribution.rows import Scope
from tenure.values import Finding, Frozen, Severity, Store

if TYPE_CHECKING:
    from psycopg import Connection, sql

    from tenure.attribution.build import RowRules
    from tenure.attribution.items import Lookups
    from tenure.catalog import Catalog
    from tenure.ledger import Ledger
    from tenure.operations.rekey_points import RekeyPoints
    from tenure.planner.graph import GraphPlan
    from tenure.planner.plan import Plan
    from tenure.planner.points import PointPlan
    from tenure.playbook import Playbook
    from tenure.stores.neo4j import Neo4jStore
    from tenure.stores.postgres import PostgresStore
    from tenure.stores.qdrant import QdrantStore
    from tenure.values import TenantKey

SAMPLE = 10
"""How many items a finding names."""

T = TypeVar("T")


@dataclass
class View:
    """What checks look at: the stores as they are, the rules resolved, and, when there is one, the ledger.

    `catalog` is what the plan is made from (the state before the first run, with what is new), `live` the state now.
    `mode` says where tenants of rows are read: "sources" before the backfill, "keys" after; `scope`, `lookups` and
    `connect` (the session in which their relations exist) go by it. `decided` has the relation with the decisions of
    each table in mode "sources". `switches` are those that took readers to a re-keyed copy, by the copy's name:
    `points` has the copies then, not the collections that they replaced.
    """

    playbook: Playbook
    key: TenantKey
    catalog: Catalog
    live: Catalog
    plan: Plan
    rows: RowRules
    graph: GraphPlan
    points: PointPlan
    postgres: PostgresStore
    neo4j: Neo4jStore | None
    qdrant: QdrantStore | None
    ledger: Ledger | None
    mode: Literal["sources", "keys"]
    lookups: Lookups
    scope: Scope
    connect: Callable[[], AbstractContextManager[Connection[Any]]]
    decided: Mapping[str, sql.Identifier] = field(default_factory=dict)
    switches: Mapping[str, RekeyPoints] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)

    def query(self, statement: sql.Composable | str) -> list[tuple[Any, ...]]:
        """Return all rows of a statement that gives few, in the session that `scope` belongs to."""
        with self.connect() as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what *make* gives, made at the first call: several checks read what one pass found."""
        if name not in self.counts:
            self.counts[name] = make()
        found: T = self.counts[name]
        return found


class Check(Protocol):
    """One check. `id` is stable and published; what it proves is its docstring."""

    id: str

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what was found; nothing means that it holds."""


class Named:
    """Base of the checks: makes findings that carry the check's id, with at most ten samples."""

    id: str
    store: Store = "postgres"

    def finding(
        self,
        severity: Severity,
        object_: str,
        title: str,
        remedy: str = "",
        *,
        count: int = 1,
        sample: tuple[Any, ...] = (),
        store: Store | None = None,
    ) -> Finding:
        """Return a finding of this check."""
        return Finding(
            id=self.id,
            severity=severity,
            store=store or self.store,
            object=object_,
            title=title,
            count=count,
            sample=tuple(sample[:SAMPLE]),
            remedy=remedy,
        )


class MatrixRow(Frozen):
    """One tenant, or one bin in parentheses, with its items per object in each store."""

    tenant: str
    postgres: Mapping[str, int] = {}
    neo4j: Mapping[str, int] = {}
    qdrant: Mapping[str, int] = {}


class Report(Frozen):
    """What inspect and verify give: ok when there is no error among the findings.

    `drift` is what inspect found that the stores do not both have, by link: `apply` keeps it in the ledger.
    """

    findings: tuple[Finding, ...] = ()
    matrix: tuple[MatrixRow, ...] = ()
    drift: Mapping[str, Mapping[str, Any]] = {}

    @property
    def ok(self) -> bool:
        """Return whether no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def strict(self) -> bool:
        """Return whether there is neither error nor warning."""
        return not any(finding.severity in ("error", "warning") for finding in self.findings)
