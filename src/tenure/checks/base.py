"""What a check is, what it looks at, and what a list of them reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tenure.attribution.rows import Scope
from tenure.values import Finding, Frozen

if TYPE_CHECKING:
    from tenure.attribution.build import RowRules
    from tenure.attribution.items import Lookups
    from tenure.catalog import Catalog
    from tenure.ledger import Ledger
    from tenure.planner.graph import GraphPlan
    from tenure.planner.plan import Plan
    from tenure.planner.points import PointPlan
    from tenure.playbook import Playbook
    from tenure.stores.neo4j import Neo4jStore
    from tenure.stores.postgres import PostgresStore
    from tenure.stores.qdrant import QdrantStore
    from tenure.values import TenantKey


@dataclass
class View:
    """What checks look at: the stores as they are, the rules resolved, and, when there is one, the ledger.

    `scope` and `lookups` say where tenants of rows are read: from the sources before the backfill, from the keys after.
    """

    playbook: Playbook
    key: TenantKey
    catalog: Catalog
    plan: Plan
    rows: RowRules
    graph: GraphPlan
    points: PointPlan
    postgres: PostgresStore
    neo4j: Neo4jStore | None
    qdrant: QdrantStore | None
    lookups: Lookups
    scope: Scope
    ledger: Ledger | None = None
    counts: dict[str, object] = field(default_factory=dict)


class Check(Protocol):
    """One check. `id` is stable and published; what it proves is its docstring."""

    id: str

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what was found; nothing means that it holds."""


class MatrixRow(Frozen):
    """One tenant, or one bin in parentheses, with its items per object in each store."""

    tenant: str
    postgres: Mapping[str, int] = {}
    neo4j: Mapping[str, int] = {}
    qdrant: Mapping[str, int] = {}


class Report(Frozen):
    """What inspect and verify give: ok when there is no error among the findings."""

    findings: tuple[Finding, ...] = ()
    matrix: tuple[MatrixRow, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def strict(self) -> bool:
        """Return whether there is neither error nor warning."""
        return not any(finding.severity in ("error", "warning") for finding in self.findings)
