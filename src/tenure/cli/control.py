"""`tenure pause`, `resume` and `limit`: requests to a run from another terminal, left in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import print_json

if TYPE_CHECKING:
    from tenure.ledger import Ledger

# Name: the least value, what it is.
LIMITS: dict[str, tuple[int, str]] = {
    "batch_ms": (1, "the time that one batch should take, in milliseconds"),
    "workers.postgres": (1, "threads that write to Postgres"),
    "workers.neo4j": (1, "threads that write to Neo4j"),
    "workers.qdrant": (1, "threads that write to Qdrant"),
}


@click.command()
@playbook_option
@json_option
def pause(playbook: Path, as_json: bool) -> None:
    """Ask the run to pause: the batches in hand are finished first. It stays paused until `tenure resume`."""
    _request(playbook, "pause", "on", as_json, "Asked to pause; `tenure resume` lets it go on.")


@click.command()
@playbook_option
@json_option
def resume(playbook: Path, as_json: bool) -> None:
    """Let a paused run go on."""
    _request(playbook, "pause", "off", as_json, "Asked to go on.")


@click.command()
@playbook_option
@json_option
@click.argument("setting", metavar="NAME=VALUE")
def limit(playbook: Path, setting: str, as_json: bool) -> None:
    """Set a limit of the run: batch_ms, workers.postgres, workers.neo4j or workers.qdrant."""
    name, value = parse_limit(setting)
    _request(playbook, name, str(value), as_json, f"{name} is {value}: {LIMITS[name][1]}.")


def parse_limit(setting: str) -> tuple[str, int]:
    """Return name and value of ``NAME=VALUE``. Errors: click.UsageError that lists what may be set."""
    name, _, text = setting.partition("=")
    if name not in LIMITS:
        raise click.UsageError(f"There is no limit {name!r}. Limits are: {', '.join(LIMITS)}.")
    least, what = LIMITS[name]
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise click.UsageError(f"{name}={text}: write a whole number from {least} on, {what}.")
    return name, int(text)


def _request(playbook: Path, name: str, value: str, as_json: bool, said: str) -> None:
    with open_session(playbook) as session:
        live = leave_request(session.ledger, name, value)
    if as_json:
        print_json({"ok": True, "set": {name: value}, "running": live})
    else:
        click.echo(said if live else f"{said} Nothing runs now: it holds for the next `tenure apply`.")


def leave_request(ledger: Ledger, name: str, value: str) -> bool:
    """Write the request; return whether a runner is alive to hear it. Errors: RefusedError without a run."""
    from tenure.errors import RefusedError

    if not ledger.installed() or ledger.latest_run() is None:
        raise RefusedError(reason="there is no run yet.", remedy="`tenure apply` starts one.")
    ledger.set_control(name, value)
    lease = ledger.lease()
    return lease is not None and bool(lease["live"])
