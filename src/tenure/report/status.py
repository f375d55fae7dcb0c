"""Where a run stands, from the ledger alone: works while Neo4j and Qdrant cannot be reached."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tenure.operations import load
from tenure.report.operations import ledger_rows, operation_document
from tenure.runner.lease import LEASE_SECONDS

if TYPE_CHECKING:
    from tenure.ledger import Ledger
    from tenure.ledger.ledger import OperationRow
    from tenure.session import Session

EVENTS = 10

# One look at all fill triggers' sequences; a role sees those it may read.
_FILLED = """
SELECT c.relname, coalesce(pg_sequence_last_value(c.oid), 0)::bigint
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'tenure' AND c.relkind = 'S' AND c.relname = ANY (%s)"""


def status_document(session: Session) -> dict[str, Any]:
    """Return the run's state with its reason, the lease, the operations, the fill triggers and the newest events."""
    ledger = session.ledger
    run = ledger.latest_run() if ledger.installed() else None
    if run is None:
        return {"ok": True, "run": None, "lease": None, "operations": [], "fill_triggers": [], "events": []}
    rows = ledger_rows(ledger)
    return {
        "ok": run.state != "failed",
        "run": {
            "id": run.id,
            "state": run.state,
            "reason": run.reason,
            "through": run.through,
            "allowed": run.allowed,
            "plan_hash": run.plan_hash,
            "same_playbook": run.playbook_hash == session.playbook.digest(),
            "created_at": run.created_at.isoformat(),
            "updated_at": run.updated_at.isoformat(),
        },
        "lease": _lease(ledger),
        "controls": ledger.controls(),
        "operations": [_operation(ledger, row) for row in rows.values()],
        "fill_triggers": _fill_triggers(session, rows.values()),
        "events": [
            {"kind": kind, "object": name, "detail": detail, "at": at.isoformat()}
            for kind, name, detail, at in ledger.events(run.id, EVENTS)
        ],
    }


def _lease(ledger: Ledger) -> dict[str, Any] | None:
    held = ledger.lease()
    if held is None:
        return None
    age = LEASE_SECONDS - (held["expires"] - datetime.now(UTC)).total_seconds()
    return {
        "holder": held["holder"],
        "live": held["live"],
        "expires": held["expires"].isoformat(),
        "heartbeat_age_seconds": round(max(0.0, age), 1),
    }


def _operation(ledger: Ledger, row: OperationRow) -> dict[str, Any]:
    document = operation_document(ledger, load(row.body), row)
    document["attempts"] = row.attempts
    document["rate"] = _rate(row, document["changed"])
    return document


def _rate(row: OperationRow, changed: int) -> float | None:
    """Return items per second since the first attempt began; None for what is instant or has not begun."""
    if row.started_at is None or not changed:
        return None
    end = row.finished_at or datetime.now(UTC)
    seconds = (end - row.started_at).total_seconds()
    return round(changed / seconds, 1) if seconds > 0 else None


def _fill_triggers(session: Session, rows: Any) -> list[dict[str, Any]]:
    """Return how many writes came without the key, per table."""
    sequences = {load(row.body).sequence: row.object for row in rows if row.kind == "fill_trigger"}  # type: ignore[attr-defined]
    with session.postgres.connection() as connection:
        found = connection.execute(_FILLED, (list(sequences),)).fetchall()
    return [{"object": sequences[name], "writes": writes} for name, writes in sorted(found)]
