"""`tenure contract`: applies through contract, behind its gate."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.apply import applied_document, run_through, show_applied
from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import print_json
from tenure.errors import RefusedError
from tenure.values import Hazard, Phase


@click.command()
@playbook_option
@click.option("--yes", is_flag=True, help="Pass the gate without being asked.")
@click.option(
    "--allow",
    metavar="HAZARD",
    multiple=True,
    type=click.Choice([str(hazard) for hazard in Hazard]),
    help="Allow a hazard of the plan by name; repeatable.",
)
@json_option
def contract(playbook: Path, yes: bool, allow: tuple[str, ...], as_json: bool) -> None:
    """Drop what was replaced: the old uniqueness, foreign keys, triggers. The last step, and the one to take late.

    Exit code 3 when the verification is red or a fill trigger still counts writes without the key: an old writer is
    alive.
    """
    with open_session(playbook) as session:
        applied = run_through(session, Phase.CONTRACT, [Hazard(name) for name in allow], yes=yes)
    if as_json:
        print_json(applied_document(applied, True))
    else:
        show_applied(applied, True)
    if not applied.report.ok:
        raise click.exceptions.Exit(RefusedError.exit_code)
