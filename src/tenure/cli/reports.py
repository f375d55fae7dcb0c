"""Prints what inspect and verify found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tenure.cli.failures import FAILED, print_json

if TYPE_CHECKING:
    from tenure.checks import Report
    from tenure.session import Session

Command = TypeVar("Command", bound=Callable[..., Any])


def report_document(report: Report, *, strict: bool = False) -> dict[str, Any]:
    """Return the published shape of a report."""
    return {
        "ok": report.strict() if strict else report.ok,
        "findings": [finding.model_dump(mode="json") for finding in report.findings],
        "matrix": [row.model_dump(mode="json") for row in report.matrix],
    }


def print_report(
    report: Report, *, strict: bool, as_json: bool, clean: str, more: Mapping[str, Any] | None = None
) -> None:
    """Print a report; exits 1 when it is not ok (with *strict*: not spotless), and says *clean* when it is.

    *more* is added to the JSON document.
    """
    document = {**report_document(report, strict=strict), **(more or {})}
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


def report_option(command: Command) -> Command:
    """Add --report FILE.html."""
    return click.option(
        "--report",
        "evidence",
        metavar="FILE.html",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the evidence report: one HTML file that opens offline and prints.",
    )(command)


def write_report(session: Session, report: Report, path: Path, *, mask: bool = False) -> None:
    """Write the evidence report and say where. Errors: UsageError when the file cannot be written."""
    from tenure.errors import UsageError
    from tenure.report.html import write_evidence

    try:
        write_evidence(session, report, path, mask=mask)
    except OSError as error:
        raise UsageError(detail=f"{path} cannot be written: {error.strerror}.") from error
    click.echo(f"The evidence report is {path}.", err=True)


def masked(report: Report) -> Report:
    """Return a report without the application's values."""
    from tenure.report.masked import masked_report

    return masked_report(report)


def export_document(session: Session, report: Report, directory: Path) -> dict[str, Any]:
    """Export the items without a clear tenant, say where, and return what is there for JSON.

    Errors: UsageError when a file cannot be written.
    """
    from tenure.checks.export import export_items
    from tenure.errors import UsageError

    if any(finding.id == "TEN100" for finding in report.findings):
        click.echo("Nothing was exported: the errors that stop inspect come first.", err=True)
        return {"exported": []}
    try:
        exported = export_items(session, directory)
    except OSError as error:
        raise UsageError(detail=f"{error.filename or directory} cannot be written: {error.strerror}.") from error
    for each in exported:
        click.echo(f"{each.items:,} item(s) of {each.store} {each.object}: {each.path}", err=True)
    if not exported:
        click.echo("There is nothing to export: every item has a clear tenant.", err=True)
    return {
        "exported": [
            {"store": each.store, "object": each.object, "path": str(each.path), "items": each.items}
            for each in exported
        ]
    }
