"""`tenure pause`, `resume` and `limit`: requests to a run from another terminal, left in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import print_json

if TYPE_CHECKING:
    from tenure.ledger import Ledger


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
    """Change a limit of the run while it goes on: batch_ms, share, workers.postgres, replication_lag, ...

    `off` switches a signal off. The names and words are those of the playbook's `limits`; a wrong name lists them. It
    holds until it is set again.
    """
    name, value = parse_limit(setting)
    _request(playbook, name, value, as_json, f"{name} is {value}: {_meaning(name)}.")


def parse_limit(setting: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``. Errors: click.UsageError that lists what may be set."""
    from tenure.playbook.limits import Limits, limit_names

    name, equals, text = (part.strip() for part in setting.partition("="))
    try:
        if not equals and name in limit_names():
            raise click.UsageError(f"{name} needs a value: {name}=VALUE. It is {_meaning(name)}.")
        Limits().changed(name, text)
    except LookupError:
        raise click.UsageError(f"There is no limit {name!r}. Limits are: {', '.join(limit_names())}.") from None
    except ValueError as error:
        raise click.UsageError(f"{name}={text}: {error}") from None
    return name, text


def _meaning(name: str) -> str:
    from tenure.playbook.limits import limit_names

    text = limit_names()[name]
    return text[0].lower() + text[1:]


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
