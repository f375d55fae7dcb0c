"""`tenure release`: gives quarantined items to a tenant, in all stores at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import FAILED, print_json

if TYPE_CHECKING:
    from tenure.release import Released, Request


@click.command()
@playbook_option
@click.option(
    "--object", "name", metavar="OBJECT", default="", help="The table, label, relationship type or collection."
)
@click.option("--item", "items", metavar="JSON", multiple=True, help="What names an item of it; repeatable.")
@click.option(
    "--items",
    "file",
    metavar="FILE.csv",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A CSV as `tenure inspect --export` writes it; lines whose `tenant` is empty go to --tenant, or wait.",
)
@click.option("--tenant", metavar="TENANT", help="To whom the items go; it must be registered.")
@json_option
def release(
    playbook: Path, name: str, items: tuple[str, ...], file: Path | None, tenant: str | None, as_json: bool
) -> None:
    """Give quarantined items to a tenant, with everything that is quarantined because of them, in all stores.

    Without items everything that is quarantined is decided again, after the playbook, an alias or a mapping has
    changed. What no source knows stays where it is. Running it again is safe. Exit code 1 when an item that was asked
    for, or that has a tenant by now, could not be released.
    """
    from tenure.cli.progress import reporter
    from tenure.cli.signals import stopping
    from tenure.release import release as run
    from tenure.runner.context import StopSignal

    requests = _requests(name, items, file, tenant)
    stop = StopSignal()
    with open_session(playbook) as session, reporter() as shown, stopping(stop):
        done = run(session, name, requests, reporter=shown, signal=stop)
    if as_json:
        print_json(dict(done.document()))
    else:
        show_released(done)
    if done.findings:
        raise click.exceptions.Exit(FAILED)


def _requests(name: str, items: tuple[str, ...], file: Path | None, tenant: str | None) -> list[Request]:
    """Return what was asked for. Errors: click.UsageError when the options do not say whose item goes to whom."""
    from tenure.release.items import item_of, read_requests
    from tenure.release.values import Request

    if not items and file is None:
        if name or tenant:
            raise click.UsageError("--object and --tenant need --item or --items.")
        return []
    if not name:
        raise click.UsageError("Say with --object what the items are of.")
    if items and tenant is None:
        raise click.UsageError("Say with --tenant to whom the items go.")
    requests = [Request(item_of(item), tenant) for item in items if tenant is not None]
    if file is not None:
        requests += read_requests(file, tenant)
    if not requests:
        raise click.UsageError(f"No line of {file} has a tenant: fill in the column, or add --tenant.")
    return requests


def show_released(done: Released) -> None:
    """Print what was released and what stays, for people."""
    from rich.table import Table

    from tenure.report.text import clean, findings_table, stdout_console

    console = stdout_console()
    objects = [(store, name) for store, name in {**done.left, **done.released} if done.released[store, name]]
    if objects:
        table = Table(box=None, pad_edge=False)
        table.add_column("store")
        table.add_column("object", overflow="fold")
        table.add_column("released", justify="right")
        table.add_column("still quarantined", justify="right")
        for store, name in objects:
            table.add_row(store, clean(name), f"{done.released[store, name]:,}", f"{done.left.get((store, name), 0):,}")
        console.print(table)
    else:
        console.print("Nothing was released.")
    left = sum(done.left.values())
    if done.already:
        console.print(f"{done.already:,} item(s) have the tenant already.")
    console.print(f"{left:,} item(s) stay quarantined: `tenure inspect --export DIR` lists them with the reason.")
    if done.findings:
        console.print(findings_table(done.findings))
