"""`tenure verify`: the proof that every item has its tenant."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import json_option, open_session, playbook_option, strict_option
from tenure.cli.reports import print_report


@click.command()
@playbook_option
@strict_option
@json_option
def verify(playbook: Path, strict: bool, as_json: bool) -> None:
    """Check completeness, correctness, references, agreement, drift, uniqueness and writers across the stores.

    Exit code 1 when a check fails. Drift that was there before tenure came is listed and does not fail.
    """
    with open_session(playbook) as session:
        report = session.verify()
    print_report(report, strict=strict, as_json=as_json, clean="Verified: every item has its tenant.")
