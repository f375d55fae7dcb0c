"""Prints what inspect and verify found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tenure.cli.failures import FAILED, print_json

if TYPE_CHECKING:
    from tenure.checks import Report


def report_document(report: Report, *, strict: bool = False) -> dict[str, Any]:
    """Return the published shape of a report."""
    return {
        "ok": report.strict() if strict else report.ok,
        "findings": [finding.model_dump(mode="json") for finding in report.findings],
        "matrix": [row.model_dump(mode="json") for row in report.matrix],
    }


def print_report(report: Report, *, strict: bool, as_json: bool, clean: str) -> None:
    """Print a report; exits 1 when it is not ok (with *strict*: not spotless), and says *clean* when it is."""
    document = report_document(report, strict=strict)
    if as_json:
        print_json(document)
    else:
        show_report(report)
        if document["ok"]:
            click.echo(clean)
    if not document["ok"]:
        raise click.exceptions.Exit(FAILED)


def show_report(report: Report) -> None:
    """Print findings, worst first, and the matrix, for people."""
    from tenure.report.text import findings_table, matrix_tables, stdout_console

    console = stdout_console()
    for table in matrix_tables(report.matrix, console.width):
        console.print(table)
    console.print(findings_table(report.findings))
