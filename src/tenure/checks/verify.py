"""`tenure verify`: whether every item has its tenant, in all stores; at any time after the first apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.checks.agreement import Agreement
from tenure.checks.base import Check, MatrixRow, Report, View
from tenure.checks.complete import Completeness
from tenure.checks.correct import Correctness
from tenure.checks.drift import DriftSince
from tenure.checks.inspect import found_by, ordered
from tenure.checks.item_keys import graph_keys, point_keys
from tenure.checks.item_uniqueness import ItemUniqueness
from tenure.checks.matrix import matrix
from tenure.checks.probes import Probes
from tenure.checks.references import References
from tenure.checks.replaced import Replaced
from tenure.checks.row_keys import row_keys
from tenure.checks.uniqueness import Uniqueness
from tenure.checks.view import bare_view
from tenure.checks.writers import Writers
from tenure.values import Finding

if TYPE_CHECKING:
    from tenure.session import Session

CHECKS: tuple[Check, ...] = (
    Completeness(),
    Correctness(),
    References(),
    Agreement(),
    DriftSince(),
    Uniqueness(),
    ItemUniqueness(),
    Writers(),
    Replaced(),
    Probes(),
)


def verify(session: Session) -> Report:
    """Run every check that asks what was done. Errors: StoreError and its like when a store breaks."""
    if not _applied(session):
        nothing = Finding(
            id="TEN500",
            severity="error",
            store="cross",
            object="ledger",
            title="nothing was applied yet: there is nothing to verify",
            count=1,
            remedy="Run `tenure inspect`, then `tenure apply`.",
        )
        return Report(findings=(nothing,))
    view = bare_view(session, "keys")
    findings = [finding for finding in view.plan.findings if finding.severity == "error"]
    findings += found_by(CHECKS, view)
    return Report(findings=ordered(findings), matrix=_matrix(view))


def _applied(session: Session) -> bool:
    """Return whether there is something to verify: a run has begun, or rendered files have made every key column."""
    if not session.ledger.installed():
        return False
    if any(row.attempts for row in session.ledger.operations()):
        return True
    tables = session.catalog().postgres
    keyed = [name for name, rule in (session.playbook.postgres or {}).items() if rule.kind == "keyed"]
    found = [tables.table(name) for name in keyed]
    return bool(keyed) and all(table is not None and table.column(session.key.name) is not None for table in found)


def _matrix(view: View) -> tuple[MatrixRow, ...]:
    return matrix(
        view,
        {name: keys.ends for name, keys in row_keys(view).items()},
        {name: found.keys.ends for name, found in graph_keys(view).items()},
        {name: found.keys.ends for name, found in point_keys(view).items()},
    )
