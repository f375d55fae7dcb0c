"""`tenure verify`: the proof that every item has its tenant."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import json_option, open_session, playbook_option, strict_option
from tenure.cli.reports import masked, print_report, report_option, write_report


@click.command()
@playbook_option
@report_option
@click.option("--mask", is_flag=True, help="Leave the application's values out of samples.")
@strict_option
@json_option
def verify(playbook: Path, evidence: Path | None, mask: bool, strict: bool, as_json: bool) -> None:
    """Check completeness, correctness, references, agreement, drift, uniqueness and writers across the stores.

    Exit code 1 when a check fails. Drift that was there before tenure came is listed and does not fail.
    """
    with open_session(playbook) as session:
        report = session.verify()
        if evidence is not None:
            write_report(session, report, evidence, mask=mask)
    report = masked(report) if mask else report
    print_report(report, strict=strict, as_json=as_json, clean="Verified: every item has its tenant.")
