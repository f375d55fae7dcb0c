"""`tenure inspect`: what stands in the way, and what will be decided how."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import json_option, open_session, playbook_option, strict_option
from tenure.cli.reports import print_report


@click.command()
@playbook_option
@strict_option
@json_option
def inspect(playbook: Path, strict: bool, as_json: bool) -> None:
    """Look at the stores and decide everything, without writing anything.

    Shows what would stop a run, what no source can attribute, where sources or stores disagree, and the tenants with
    their items as they would come out. Exit code 1 when there is an error among the findings.
    """
    with open_session(playbook) as session:
        report = session.inspect()
    print_report(report, strict=strict, as_json=as_json, clean="Nothing stands in the way: `tenure plan` is next.")
