"""Operations with where they stand in the ledger: what `plan --json` and `status` show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.report.estimate import estimate

if TYPE_CHECKING:
    from tenure.ledger import Ledger
    from tenure.ledger.ledger import OperationRow
    from tenure.operations.base import Operation
    from tenure.planner.plan import Plan
    from tenure.session import Session


def plan_document(session: Session, plan: Plan) -> dict[str, Any]:
    """Return the published shape of a plan, with the state of its operations."""
    rows = ledger_rows(session.ledger)
    return {
        "ok": not plan.errors,
        "hash": plan.hash,
        "operations": [operation_document(session.ledger, each, rows.get(each.id)) for each in plan.operations],
        "findings": [finding.model_dump(mode="json") for finding in plan.findings],
        "untouched": [{"store": store, "object": name, "reason": reason} for store, name, reason in plan.untouched],
        "estimates": {id_: estimate.model_dump(mode="json") for id_, estimate in plan.estimates},
    }


def ledger_rows(ledger: Ledger) -> Mapping[str, OperationRow]:
    """Return what the ledger has, by operation; nothing where it was never installed."""
    return {row.id: row for row in ledger.operations()} if ledger.installed() else {}


def operation_document(ledger: Ledger, operation: Operation, row: OperationRow | None) -> dict[str, Any]:
    """Return the published shape of an operation."""
    planned, changed, left = progress(ledger, operation.ranged, row)
    if row is None:
        planned = operation.planned
    return {
        "id": operation.id,
        "phase": str(operation.phase),
        "store": operation.store,
        "object": operation.object,
        "kind": operation.kind,
        "reversible": operation.reversible,
        "online": operation.online,
        "hazards": [str(hazard) for hazard in operation.hazards],
        "lock": operation.lock,
        "planned": planned,
        "changed": changed,
        "left": left,
        "state": "waiting" if operation.waiting else row.state if row is not None else "planned",
        "statements": list(operation.statements()),
        "description": operation.describe(),
        "waiting": operation.waiting,
        "estimate_seconds": estimate(operation),
        "note": row.note if row is not None else "",
    }


def progress(ledger: Ledger, ranged: bool, row: OperationRow | None) -> tuple[int | None, int, int | None]:
    """Return planned, changed and left; while an operation runs its ranges know more than its own row."""
    if row is None:
        return None, 0, None
    if row.state in ("done", "failed", "settling"):
        return row.planned, row.changed, row.left_over
    changed = row.changed
    if ranged and row.state == "running":
        changed = max(changed, ledger.totals(row.id).changed)
    left = None if row.planned is None or row.state == "planned" else max(0, row.planned - changed)
    return row.planned, changed, left
