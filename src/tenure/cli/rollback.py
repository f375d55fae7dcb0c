"""`tenure rollback`: takes a run back, or says exactly what forbids it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import print_json
from tenure.errors import RefusedError
from tenure.values import Outcome, Phase

if TYPE_CHECKING:
    from tenure.runner.rollback import RollbackPlan
    from tenure.session import Session

MOST_LINES = 12
"""Of one statement in the text of `--plan`; the JSON has all of it."""
SAMPLES = 5
PHASES = [str(phase) for phase in Phase if phase is not Phase.CONTRACT]


@click.command()
@playbook_option
@click.option(
    "--to",
    "target",
    type=click.Choice(PHASES),
    default=str(Phase.INSPECT),
    show_default=True,
    help="The phase that stays done; inspect means that everything is taken back.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be undone and lost; touch nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rollback(playbook: Path, target: str, only_plan: bool, yes: bool, as_json: bool) -> None:
    """Undo what a run did, newest first, also of a half-done or failed one. Data of the application is kept.

    Exit code 3 when something would be lost: the items that block are listed, and nothing is touched. With --plan, exit
    code 0 when the rollback is lossless and 3 when it is not.
    """
    from tenure.cli.progress import reporter
    from tenure.cli.signals import stopping
    from tenure.runner.context import StopSignal

    to = Phase(target)
    with open_session(playbook) as session:
        with reporter() as shown:
            forecast = session.rollback_plan(to, reporter=shown)
        if only_plan:
            _print_plan(forecast, as_json)
            raise click.exceptions.Exit(0 if forecast.lossless else RefusedError.exit_code)
        if forecast.lossless and forecast.operations and not yes:
            _ask(session, forecast, target)
        stop = StopSignal()
        with reporter() as shown, stopping(stop):
            outcomes = session.rollback(to, reporter=shown, signal=stop)
    if as_json:
        print_json({"ok": True, **_document(forecast), "undone": _outcomes(outcomes)})
    elif outcomes:
        click.echo(f"Undone: {len(outcomes)} operation(s). What the application wrote since is there.")
    else:
        click.echo("Nothing was begun after that phase: there is nothing to undo.")


def _ask(session: Session, forecast: RollbackPlan, target: str) -> None:
    """Show what is lost and ask for the word. Errors: RefusedError when nobody can be asked, or says no."""
    from tenure.cli.gates import database_name

    if not sys.stdin.isatty():
        raise RefusedError(reason="nobody is at a terminal to confirm a rollback.", remedy="Add --yes.")
    for note in forecast.notes:
        click.echo(f"{note.object}: {note.title} ({note.count:,})", err=True)
    database = database_name(session)
    typed = click.prompt(
        f"{len(forecast.operations)} operation(s) will be undone, to {target}. Type the name of the database "
        f"({database})",
        err=True,
        default="",
        show_default=False,
    )
    if typed.strip() != database:
        raise RefusedError(reason="that is not the name of the database.", remedy="Nothing was undone.")


def _print_plan(forecast: RollbackPlan, as_json: bool) -> None:
    if as_json:
        print_json({"ok": forecast.lossless, **_document(forecast)})
        return
    from tenure.masking import mask_secrets
    from tenure.report.text import clean

    click.echo(f"{len(forecast.operations)} operation(s) would be undone, newest first:")
    for operation in forecast.operations:
        click.echo(f"  {clean(operation)}")
    if forecast.dropped:
        click.echo("\nWhat contract dropped, and how each would be made again by hand:")
    for dropped in forecast.dropped:
        click.echo(f"\n-- {clean(dropped.store)} {clean(dropped.object)}")
        for statement in dropped.statements:
            click.echo(_shortened(mask_secrets(statement)))
    # Last, where the eye falls: what decides.
    click.echo()
    for finding in (*forecast.blocking, *forecast.notes):
        kind = {"error": "BLOCKS", "warning": "would be lost"}.get(finding.severity, "mind")
        click.echo(f"{kind}: {clean(finding.object)}: {clean(finding.title)} ({finding.count:,}).")
        for sample in finding.sample[:SAMPLES]:
            click.echo(f"  {clean(str(sample))}")
        if finding.remedy:
            click.echo(f"  {clean(finding.remedy)}")
    click.echo("Lossless." if forecast.lossless else "Not lossless: nothing will be undone.")


def _shortened(statement: str) -> str:
    """Return a statement, or how it begins: the body of a function would bury everything else."""
    lines = statement.splitlines()
    if len(lines) <= MOST_LINES:
        return statement
    return f"{lines[0]}\n-- … {len(lines) - 1} more lines: `tenure rollback --plan --json` has them"


def _document(forecast: RollbackPlan) -> dict[str, Any]:
    return {
        "lossless": forecast.lossless,
        "blocking": [finding.model_dump(mode="json") for finding in forecast.blocking],
        "notes": [finding.model_dump(mode="json") for finding in forecast.notes],
        "operations": list(forecast.operations),
        "dropped": [dropped.model_dump(mode="json") for dropped in forecast.dropped],
    }


def _outcomes(outcomes: dict[str, Outcome]) -> list[dict[str, Any]]:
    return [{"id": identity, **outcome.model_dump(mode="json")} for identity, outcome in outcomes.items()]
