"""The gates before cutover and contract: a green verify of the same plan, and the operator's explicit word."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from tenure.errors import RefusedError
from tenure.report.text import clean

if TYPE_CHECKING:
    from tenure.planner.plan import Plan
    from tenure.session import Applied, Session
    from tenure.values import Hazard, Phase


def refuse_early(
    plan: Plan, through: Phase, allowed: Iterable[Hazard], yes: bool, done: Mapping[str, str] | None = None
) -> None:
    """Refuse what can be seen before any work; operations that are *done* need no word again.

    Errors: RefusedError for operations that wait, for hazards that were not allowed, and when nobody can be asked.
    """
    from tenure.runner.runner import consent

    waiting = [operation for operation in plan.operations if operation.waiting and passes(operation.phase, through)]
    if waiting:
        first = waiting[0]
        more = f", and {len(waiting) - 1} more" if waiting[1:] else ""
        raise RefusedError(
            reason=f"{first.describe()}{more} cannot be run yet: {first.waiting}.",
            remedy="Run `tenure apply` without --through: it stops before the gate.",
        )
    consent(plan, through, allowed, done)
    if not yes and not sys.stdin.isatty():
        raise RefusedError(
            reason=f"{through} is behind a gate, and nobody is at a terminal to confirm it.", remedy="Add --yes."
        )


def passes(phase: Phase, through: Phase) -> bool:
    """Return whether *phase* is behind the gates and at or before *through*."""
    from tenure.session import LAST_BEFORE_GATE

    return LAST_BEFORE_GATE.order < phase.order <= through.order


def pass_gate(session: Session, applied: Applied, through: Phase, yes: bool) -> None:
    """Show what lies behind the gate and let the run through.

    Errors: RefusedError when verify is red, or the word is not given.
    """
    report = applied.report
    show_gate(session, applied.plan, through)
    if not report.ok:
        errors = [finding for finding in report.findings if finding.severity == "error"]
        raise RefusedError(
            reason=f"verify has {len(errors)} error(s), the first on {errors[0].store} {errors[0].object}: "
            f"{errors[0].title}.",
            remedy=errors[0].remedy or "`tenure verify` lists them.",
        )
    if yes:
        return
    database = database_name(session)
    typed = click.prompt(
        f"Verify is green. To go through {through}, type the name of the database ({clean(database)})",
        err=True,
        default="",
        show_default=False,
    )
    if typed.strip() != database:
        raise RefusedError(reason="that is not the name of the database.", remedy="Nothing of it was run.")


def show_gate(session: Session, plan: Plan, through: Phase) -> None:
    """Print on stderr what comes, what it locks and for how long, and what becomes irreversible."""
    from rich.console import Console

    from tenure.report.gate import gate_text

    done = {row.id for row in session.ledger.operations() if row.state == "done"}
    comes = [one for one in plan.operations if passes(one.phase, through) and one.id not in done]
    console = Console(stderr=True, highlight=False, markup=False)
    console.print(gate_text(comes, session.fence(), console.width))


def database_name(session: Session) -> str:
    """Return the name of the database that the ledger is in."""
    with session.postgres.connection() as connection:
        return connection.info.dbname
