"""`tenure guard`: the CI gate."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import json_option, open_session, playbook_option, strict_option
from tenure.cli.reports import print_report


@click.command()
@playbook_option
@strict_option
@json_option
def guard(playbook: Path, strict: bool, as_json: bool) -> None:
    """Fail when something unclassified, untagged, nullable or globally unique has appeared. For CI, and every night.

    Exit code 1 when a table, label, relationship type or collection is not in the playbook, a uniqueness across tenants
    came back, a key column may be null again, or an item without a tenant was born.
    """
    with open_session(playbook) as session:
        report = session.guard()
    print_report(report, strict=strict, as_json=as_json, clean="Guarded: nothing has appeared.")
