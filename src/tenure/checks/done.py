"""What the ledger calls done, asked by the checks of verify."""

from __future__ import annotations

from tenure.checks.base import View
from tenure.ledger.ledger import OperationRow
from tenure.values import Phase


def is_done(view: View, phase: Phase) -> bool:
    """Return whether the ledger has operations of a phase, all of them done."""
    rows = [row for row in ledger_rows(view).values() if row.phase == phase.value]
    return bool(rows) and all(row.state == "done" for row in rows)


def operation_done(view: View, operation: str) -> bool:
    """Return whether the ledger calls an operation done."""
    row = ledger_rows(view).get(operation)
    return row is not None and row.state == "done"


def operation_begun(view: View, operation: str) -> bool:
    """Return whether the ledger knows of an attempt at an operation: what it does may be done."""
    row = ledger_rows(view).get(operation)
    return row is not None and row.attempts > 0


def ledger_rows(view: View) -> dict[str, OperationRow]:
    """Return the ledger's operations by id; none without a ledger."""
    return view.once(
        "operations", lambda: {row.id: row for row in view.ledger.operations()} if view.ledger is not None else {}
    )
