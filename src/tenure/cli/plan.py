"""`tenure plan`: what will be done, in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import USAGE, masked, print_json

if TYPE_CHECKING:
    from tenure.planner.plan import Plan


@click.command()
@playbook_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write the plan as JSON.")
@json_option
def plan(playbook: Path, output: Path | None, as_json: bool) -> None:
    """Show the operations in order: phase, store, object, locks, hazards, items and how long they may take.

    Changes nothing. Exit code 2 when playbook and stores do not fit, which makes the playbook a gate in CI.
    """
    from tenure.report.operations import plan_document

    with open_session(playbook) as session:
        made = session.plan()
        document = plan_document(session, made)
    if output is not None:
        _write(output, json.dumps(masked(document), indent=2, ensure_ascii=False, default=str))
    if as_json:
        print_json(document)
    else:
        _show(made)
        if output is not None:
            click.echo(f"Written to {output}.", err=True)
    if made.errors:
        raise click.exceptions.Exit(USAGE)


def _write(path: Path, text: str) -> None:
    from tenure.errors import UsageError

    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(detail=f"the plan cannot be written to {path}: {error.strerror}.") from error


def _show(made: Plan) -> None:
    from tenure.report.estimates import estimates_table
    from tenure.report.text import plan_text, stdout_console

    console = stdout_console()
    console.print(plan_text(made, console.width))
    if (table := estimates_table(made)) is not None:
        console.print("", table)
    if made.errors:
        click.echo("Nothing can be run before the errors are resolved.")
