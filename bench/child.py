"""What the processes of tenure's own ways share: they begin the same way, and say what memory they took."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from tenure.planner import Plan
from tenure.session import Session


def begin(session: Session) -> Plan:
    """Return the plan, with the ledger ready for a run of it. Errors: SystemExit when the plan has errors."""
    plan = session.plan()
    if plan.errors:
        raise SystemExit(f"the plan has errors: {plan.errors}")
    session.ledger.install()
    session.ledger.keep_baseline("catalog", "", session.catalog().model_dump(mode="json"))
    return plan


def peak_mb() -> float:
    """Return the peak of resident memory where the kernel has that figure, else that of the largest moment known."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
