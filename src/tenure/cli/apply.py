"""`tenure apply`: runs the plan or resumes it, then verifies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import FAILED, print_json
from tenure.values import Hazard, Phase

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.session import Applied, Session

PHASES = [str(phase) for phase in Phase if phase not in (Phase.INSPECT, Phase.BACKUP)]


@click.command()
@playbook_option
@click.option(
    "--through",
    type=click.Choice(PHASES),
    default=str(Phase.CONSTRAIN),
    show_default=True,
    help="The last phase to run; cutover and contract are behind a gate.",
)
@click.option("--yes", is_flag=True, help="Pass a gate without being asked.")
@click.option(
    "--allow",
    metavar="HAZARD",
    multiple=True,
    type=click.Choice([str(hazard) for hazard in Hazard]),
    help="Allow a hazard of the plan by name; repeatable.",
)
@click.option(
    "--fanout", is_flag=True, help="Give the long work away to `tenure worker` processes, on any machine that has one."
)
@json_option
def apply(playbook: Path, through: str, yes: bool, allow: tuple[str, ...], fanout: bool, as_json: bool) -> None:
    """Run the plan, or resume it, sweep up what was born since, and verify.

    Running it again is safe at any time. Ctrl-C stops after the batches in hand; the next `tenure apply` goes on
    there. Exit code 1 when an operation or the verification failed, 3 at a closed gate or a hazard that was not
    allowed, 4 while another runner is at work, 130 when stopped.
    """
    phase = Phase(through)
    with open_session(playbook) as session:
        applied = run_through(session, phase, [Hazard(name) for name in allow], yes=yes, fanout=fanout)
    decides = phase.order >= Phase.CONSTRAIN.order
    if as_json:
        print_json(applied_document(applied, decides))
    else:
        show_applied(applied, decides)
    if decides and not applied.report.ok:
        raise click.exceptions.Exit(FAILED)


def run_through(session: Session, through: Phase, allowed: list[Hazard], *, yes: bool, fanout: bool = False) -> Applied:
    """Run to *through*; before a gate everything in front of it is run and verified first, then the word is asked."""
    from tenure.cli.gates import pass_gate, refuse_early
    from tenure.cli.progress import reporter
    from tenure.cli.signals import stopping
    from tenure.runner.context import StopSignal
    from tenure.runner.runner import settled
    from tenure.session import GATES, LAST_BEFORE_GATE

    def run(phase: Phase) -> Applied:
        stop = StopSignal()
        with reporter() as shown, stopping(stop):
            return session.apply(phase, allowed=allowed, reporter=shown, signal=stop, fanout=fanout)

    if through not in GATES:
        return run(through)
    refuse_early(session.plan(), through, allowed, yes, settled(session.ledger))
    applied = run(LAST_BEFORE_GATE)
    pass_gate(session, applied, through, yes)
    return run(through)


def applied_document(applied: Applied, decides: bool) -> dict[str, Any]:
    """Return what a run did as JSON data; *decides* says whether its verification is part of being ok."""
    from tenure.cli.reports import report_document

    report = report_document(applied.report)
    outcomes = applied.result.outcomes.items()
    return {
        **report,
        "ok": applied.report.ok or not decides,
        "verified": applied.report.ok,
        "hash": applied.plan.hash,
        "operations": [{"id": identity, **outcome.model_dump(mode="json")} for identity, outcome in outcomes],
        "skipped": applied.result.skipped,
        "waiting": [operation.id for operation in applied.plan.operations if operation.waiting],
        "to_come": [operation.id for operation in to_come(applied)],
        "swept": applied.result.swept,
    }


def to_come(applied: Applied) -> list[Operation]:
    """Return what the run did not come to: operations that wait, and those of later phases."""
    met = {*applied.result.outcomes, *applied.result.skipped}
    return [operation for operation in applied.plan.operations if operation.waiting or operation.id not in met]


def show_applied(applied: Applied, decides: bool) -> None:
    """Print what a run did, and its verification, for people."""
    from tenure.cli.reports import show_report
    from tenure.report.text import clean, outcomes_table, stdout_console

    console = stdout_console()
    result = applied.result
    operations = {operation.id: operation for operation in applied.plan.operations}
    worked = [
        (operations[identity], outcome)
        for identity, outcome in result.outcomes.items()
        if outcome.changed or outcome.left
    ]
    if worked:
        console.print(outcomes_table(worked))
    else:
        console.print("Nothing was left to do.")
    if result.swept:
        console.print(f"Of these, {result.swept:,} items were born without a key since the backfill.")
    later = to_come(applied)
    if later:
        console.print(f"\nStill to come ({len(later)}):")
        for operation in later:
            console.print(f"  {clean(operation.describe())}: {clean(operation.waiting or operation.phase)}")
    console.print()
    show_report(applied.report)
    if applied.report.ok:
        click.echo("Verified: every item has its tenant.")
    elif not decides:
        click.echo("Not verified yet: the phases that write the keys and hold them fast are still to come.")
    else:
        click.echo("Not verified: see the errors above.")
