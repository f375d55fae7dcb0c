"""`tenure inspect`: what stands in the way, and what will be decided how."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import json_option, open_session, playbook_option, strict_option
from tenure.cli.reports import export_document, masked, print_report


@click.command()
@playbook_option
@click.option(
    "--export",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every item without a clear tenant as CSV, one file an object.",
)
@click.option("--mask", is_flag=True, help="Leave the application's values out of samples.")
@strict_option
@json_option
def inspect(playbook: Path, directory: Path | None, mask: bool, strict: bool, as_json: bool) -> None:
    """Look at the stores and decide everything, without writing anything.

    Shows what would stop a run, what no source can attribute, where sources or stores disagree, and the tenants with
    their items as they would come out. Exit code 1 when there is an error among the findings.
    """
    with open_session(playbook) as session:
        report = session.inspect()
        more = export_document(session, report, directory) if directory is not None else {}
    print_report(
        masked(report) if mask else report,
        strict=strict,
        as_json=as_json,
        clean="Nothing stands in the way: `tenure plan` is next.",
        more=more,
    )
