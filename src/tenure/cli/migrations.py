"""`tenure migrations apply|status|verify DIR`: parsing and printing around `tenure.migrations`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.cli.common import json_option
from tenure.cli.failures import print_json
from tenure.errors import UsageError

if TYPE_CHECKING:
    from tenure.migrations import Applied, MigrationRunner, MigrationStatus, Progress
    from tenure.values import Finding

DSN_VARIABLE = "TENURE_POSTGRES"


def dsn_from_environment() -> str:
    """Return TENURE_POSTGRES from the environment, or else from `.env` in the current folder.

    Raises:
        UsageError: neither has it.
    """
    from dotenv import dotenv_values

    dsn = os.environ.get(DSN_VARIABLE) or dotenv_values(".env").get(DSN_VARIABLE)
    if not dsn:
        raise UsageError(
            detail=f"no database given: use --dsn, or set {DSN_VARIABLE} in the environment or in .env "
            "(postgresql://user@host:port/database)."
        )
    return dsn


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (
        json_option,
        click.option("--dsn", metavar="DSN", help=f"The database [default: {DSN_VARIABLE}, also from .env]."),
        click.argument("directory", metavar="DIR", type=click.Path(path_type=Path)),
    ):
        command = decorate(command)
    return command


@click.group()
def migrations() -> None:
    """Run the versioned SQL files of a folder, in the order of its manifest."""


@migrations.command(short_help="Run what is pending.")
@_common
@click.option("--dry-run", is_flag=True, help="Show what would run; write nothing.")
@click.option(
    "--baseline", metavar="FILE", help="Mark everything up to FILE as applied without running it, then run the rest."
)
@click.option(
    "--lock-timeout",
    metavar="MS",
    type=click.IntRange(min=0),
    default=3000,
    show_default=True,
    help="How long to wait for a lock before the file steps back and tries again, in milliseconds.",
)
@click.option("--attempts", type=click.IntRange(min=1), default=10, show_default=True, help="Attempts per file.")
def apply(
    directory: Path,
    dsn: str | None,
    as_json: bool,
    dry_run: bool,
    baseline: str | None,
    lock_timeout: int,
    attempts: int,
) -> None:
    """Run what is pending, each file in one transaction with its history row."""
    runner = _runner(directory, dsn, lock_timeout_ms=lock_timeout, attempts=attempts)
    applied = runner.apply(dry_run=dry_run, baseline=baseline, progress=show_progress())
    if as_json:
        print_json({"ok": True, **applied.model_dump(mode="json")})
    else:
        click.echo(describe_applied(applied))


@migrations.command()
@_common
def status(directory: Path, dsn: str | None, as_json: bool) -> None:
    """Show where every file stands; writes nothing."""
    statuses = _runner(directory, dsn).status()
    if as_json:
        document = {
            "ok": not any(status.problem for status in statuses),
            "migrations": [status.model_dump(mode="json") for status in statuses],
        }
        print_json(document)
    else:
        _print_statuses(statuses)


@migrations.command(short_help="Check folder, history and indexes.")
@_common
@click.option("--strict", is_flag=True, help="Files that are not applied yet count as a failure too.")
def verify(directory: Path, dsn: str | None, as_json: bool, strict: bool) -> None:
    """Check folder, manifest, history and indexes against each other; exit 1 when something is wrong."""
    findings = _runner(directory, dsn).verify()
    ok = not any(strict or finding.severity == "error" for finding in findings)
    if as_json:
        document = {"ok": ok, "findings": [finding.model_dump(mode="json") for finding in findings], "matrix": []}
        print_json(document)
    else:
        _print_findings(findings)
    if not ok:
        raise click.exceptions.Exit(1)


def show_progress() -> Callable[[Progress], None]:
    """Return a callable that prints the events of a run to stderr, with a live line at a terminal."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(event: Progress) -> None:
        name = escape(event.file)
        if event.event == "file":
            console.print(f"[bold]{name}[/bold]: {event.statements} statement(s)")
        elif event.event == "statement" and console.is_terminal:
            console.print(f"  {event.statement}/{event.statements}", end="\r")
        elif event.event == "done":
            console.print(f"[green]{name}: applied[/green]")
        elif event.event == "baseline":
            console.print(f"{name}: marked as applied, not run")
        elif event.event in ("retry", "notice"):
            console.print(f"  [yellow]{escape(event.message)}[/yellow]")

    return show


def describe_applied(applied: Applied) -> str:
    """Return the outcome of `apply` as lines of text."""
    verb = "would mark" if applied.dry_run else "marked"
    lines = [f"{verb} as applied, without running: {name}" for name in applied.baselined]
    for file in applied.files:
        how = "" if file.transactional else ", no transaction"
        resumed = f", from statement {file.resumed_at}" if file.resumed_at > 1 else ""
        if applied.dry_run:
            lines.append(f"would run {file.file} ({file.statements} statement(s){how}{resumed})")
        else:
            lines.append(f"ran {file.file} ({file.statements} statement(s){how}{resumed}) in {file.duration_ms} ms")
    if not lines:
        lines.append(f"nothing to do: all {applied.already} file(s) are applied")
    return "\n".join(lines)


def _runner(directory: Path, dsn: str | None, **options: int) -> MigrationRunner:
    from tenure.migrations import MigrationRunner

    return MigrationRunner(dsn or dsn_from_environment(), directory, **options)


def _print_statuses(statuses: Sequence[MigrationStatus]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("#", "file", "state", "applied at", "by", "ms", box=None)
    for status in statuses:
        when = f"{status.applied_at:%Y-%m-%d %H:%M:%S %Z}" if status.applied_at else ""
        table.add_row(
            str(status.position or ""),
            status.file,
            status.state.value,
            when,
            status.applied_by or "",
            "" if status.duration_ms is None else str(status.duration_ms),
        )
    Console(markup=False).print(table)
    for status in statuses:
        if status.problem:
            click.echo(f"{status.file}: {status.problem} {status.remedy}")


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        click.echo(f"{finding.severity} {finding.id} {finding.object}: {finding.title} {finding.remedy}")
    if not findings:
        click.echo("every file is applied, unchanged and in order")
