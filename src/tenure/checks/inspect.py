"""`tenure inspect`: what stands in the way and what will be decided how; nothing is written to any store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tenure.attribution.sources_scope import DecisionFailedError
from tenure.checks.base import Check, MatrixRow, Report, View
from tenure.checks.collection_state import CollectionIsGreen, KeyStates, StrictMode
from tenure.checks.drift import DriftBefore, drift_baseline
from tenure.checks.duplicates import DuplicatesPerTenant
from tenure.checks.existing_key import ExistingKey
from tenure.checks.graph_state import GraphReferences, GraphServer, IdentityIsUnique
from tenure.checks.item_bins import graph_counts, point_counts
from tenure.checks.items_unassigned import (
    GraphConflict,
    GraphUnassigned,
    PointsInConflict,
    PointsUnassigned,
    StalePoints,
    ToBeSplit,
)
from tenure.checks.matrix import matrix
from tenure.checks.registry import NamedTenantsExist, RegistryIsClean, UntaggedIsNoTenant
from tenure.checks.role import RoleRights, RoleSeesEverything
from tenure.checks.row_bins import row_bins
from tenure.checks.row_references import ForeignKeysByDecision, ReferencesByDecision
from tenure.checks.rows_unassigned import RowsInConflict, RowsUnassigned
from tenure.checks.sources import MatchTypes, SourcesCompile
from tenure.checks.surroundings import (
    GeneratedColumns,
    InvalidIndexes,
    MaterializedViews,
    Replication,
    TriggersFire,
)
from tenure.checks.view import bare_view, deciding
from tenure.values import Finding

if TYPE_CHECKING:
    from tenure.session import Session

FIRST: tuple[Check, ...] = (
    RoleRights(),
    RoleSeesEverything(),
    RegistryIsClean(),
    SourcesCompile(),
    MatchTypes(),
    GraphServer(),
    CollectionIsGreen(),
)
"""What must hold before rows can be decided at all."""

CHECKS: tuple[Check, ...] = (
    UntaggedIsNoTenant(),
    NamedTenantsExist(),
    ExistingKey(),
    RowsUnassigned(),
    RowsInConflict(),
    DuplicatesPerTenant(),
    ForeignKeysByDecision(),
    ReferencesByDecision(),
    TriggersFire(),
    Replication(),
    MaterializedViews(),
    InvalidIndexes(),
    GeneratedColumns(),
    IdentityIsUnique(),
    GraphUnassigned(),
    GraphConflict(),
    ToBeSplit(),
    GraphReferences(),
    KeyStates(),
    PointsUnassigned(),
    PointsInConflict(),
    StalePoints(),
    StrictMode(),
    DriftBefore(),
)
"""What is found by deciding every item."""


def inspect(session: Session) -> Report:
    """Run every check that asks what is there. Errors: StoreError and its like when a store breaks."""
    view = bare_view(session, "sources")
    findings = [*view.plan.findings]
    if not view.plan.errors:
        findings += found_by(FIRST, view)
    if any(finding.severity == "error" for finding in findings):
        # What these say is wrong would make everything else wrong or impossible.
        return Report(findings=ordered([*findings, *_stopped()]))
    try:
        with deciding(view):
            findings += found_by(CHECKS, view)
            return Report(findings=ordered(findings), matrix=_matrix(view), drift=drift_baseline(view))
    except DecisionFailedError as error:
        findings.append(
            Finding(
                id="TEN109",
                severity="error",
                store="postgres",
                object=error.fields["object"],
                title=f"its sources fail on the data: {error.fields['problem']}",
                count=1,
                remedy=error.fields["remedy"],
            )
        )
        return Report(findings=ordered([*findings, *_stopped()]))


def found_by(checks: Iterable[Check], view: View) -> Iterator[Finding]:
    """Yield what checks find."""
    for check in checks:
        yield from check.run(view)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with errors first, then warnings, each by id and object; the same one only once."""
    rank = {"error": 0, "warning": 1, "info": 2}
    # Samples may hold what cannot be hashed, so it is not the findings themselves that are told apart.
    unique = {(found.id, found.store, found.object, found.title): found for found in findings}
    return tuple(sorted(unique.values(), key=lambda found: (rank[found.severity], found.id, found.object)))


def _matrix(view: View) -> tuple[MatrixRow, ...]:
    return matrix(
        view,
        {name: bins.ends for name, bins in row_bins(view).items()},
        {name: found.ends for name, found in graph_counts(view).items()},
        {name: found.ends for name, found in point_counts(view).items()},
    )


def _stopped() -> Iterator[Finding]:
    yield Finding(
        id="TEN100",
        severity="info",
        store="cross",
        object="inspect",
        title="the stores were not looked at any further: the errors above come first",
        remedy="Resolve them and inspect again.",
    )
