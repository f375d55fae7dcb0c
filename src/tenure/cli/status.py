"""`tenure status`: how far a run is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tenure.cli.common import json_option, playbook_option
from tenure.cli.failures import print_json


@click.command()
@playbook_option
@json_option
def status(playbook: Path, as_json: bool) -> None:
    """Show the run's state and reason, who runs it, its operations, whether it can be taken back without a loss and
    until what, and writes that came without the key.

    Reads the ledger in Postgres only; Neo4j and Qdrant need not be there.
    """
    # Not by a session, which brings all that plans and checks are made of: people ask often, and want to know now.
    from tenure.cli.logs import log_to_stderr
    from tenure.playbook import load_playbook
    from tenure.report.status import status_document
    from tenure.stores.postgres import PostgresStore

    log_to_stderr()
    loaded = load_playbook(playbook)
    address = loaded.connections.postgres
    with PostgresStore(
        address.url.get_secret_value(), role=address.role, settings=address.settings, pool_size=1
    ) as postgres:
        document = status_document(postgres, loaded, whole=as_json)
    if as_json:
        print_json(document)
    else:
        show_status(document)


def show_status(document: dict[str, Any]) -> None:
    """Print a status document for people."""
    from rich.table import Table
    from rich.text import Text

    from tenure.report.text import clean, stdout_console
    from tenure.report.way_back import said

    console = stdout_console()
    run = document["run"]
    if run is None:
        console.print("No run yet: `tenure apply` starts one.")
        return
    told = f"through {run['through']}"  # what a run that is done says as its reason
    reason = f" ({clean(run['reason'])})" if run["reason"] not in ("", told) else ""
    console.print(
        f"run {run['id']}: {run['state']}{reason}, through {run['through'] or '?'}, plan {run['plan_hash'][:16]}"
    )
    if not run["same_playbook"]:
        console.print("The playbook has changed since: the next `tenure apply` makes a new plan.")
    lease = document["lease"]
    if lease is None:
        console.print("nobody runs it now")
    else:
        alive = "" if lease["live"] else "; it is dead, and the next `tenure apply` takes over"
        console.print(
            f"runner {clean(lease['holder'])}, last sign of life {lease['heartbeat_age_seconds']:.0f} s ago{alive}"
        )
    for worker in document["workers"]:
        silent = "" if worker["live"] else ", and its ranges go to others"
        console.print(
            f"worker {clean(worker['holder'])}, {worker['ranges']} range(s) in hand, "
            f"last sign of life {worker['heartbeat_age_seconds']:.0f} s ago{silent}"
        )
    if document["controls"]:
        console.print("set: " + ", ".join(f"{name}={value}" for name, value in sorted(document["controls"].items())))
    for line in said(document["rollback"]):
        console.print(clean(line))
    console.print()
    table = Table(box=None, pad_edge=False)
    for name in ("phase", "operation", "state"):
        table.add_column(name, overflow="fold")
    for name in ("planned", "changed", "left", "per s"):
        table.add_column(name, justify="right", no_wrap=True)
    styles = {"done": "green", "failed": "bold red", "running": "bold", "waiting": "yellow"}
    for operation in document["operations"]:
        rate = operation["rate"]
        table.add_row(
            operation["phase"],
            clean(operation["description"]),
            Text(operation["state"], style=styles.get(operation["state"], "")),
            *("" if operation[name] is None else f"{operation[name]:,}" for name in ("planned", "changed", "left")),
            "" if rate is None or operation["planned"] == 1 else f"{rate:,.0f}",
        )
    console.print(table)
    if document["dropped"]:
        count = len(document["dropped"])
        console.print(f"\n{count} dropped object(s) can be made again: `tenure rollback --plan` has the scripts.")
    written = [each for each in document["fill_triggers"] if each["writes"]]
    if written:
        console.print("\nWrites that came without the key (an old writer is, or was, alive):")
        for each in written:
            console.print(f"  {clean(each['object'])}: {each['writes']:,}")
    if document["events"]:
        console.print("\nNewest events:")
        for event in document["events"]:
            console.print(f"  {event['at'][:19]} {event['kind']} {clean(event['object'])} {clean(event['detail'])}")
