"""Options that commands have in common, and the session they open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tenure.cli.failures import Invocation

if TYPE_CHECKING:
    from tenure.session import Session

Command = TypeVar("Command", bound=Callable[..., Any])


def playbook_option(command: Command) -> Command:
    """Add -f/--playbook."""
    return click.option(
        "-f",
        "--playbook",
        type=click.Path(path_type=Path),
        default="tenure.yaml",
        show_default=True,
        help="The playbook.",
    )(command)


def json_option(command: Command) -> Command:
    """Add --json, and tell the last frame of the program about it, since errors are documents then too."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=_remember_json,
        help="Print one JSON document on stdout.",
    )(command)


def strict_option(command: Command) -> Command:
    """Add --strict."""
    return click.option("--strict", is_flag=True, help="Warnings count as errors.")(command)


def _remember_json(ctx: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    if value and isinstance(ctx.obj, Invocation):
        ctx.obj.json = True
    return value


def open_session(playbook: Path) -> Session:
    """Return the session of a playbook; nothing is connected yet. Errors: PlaybookError."""
    from tenure.cli.logs import log_to_stderr
    from tenure.session import Session

    log_to_stderr()
    return Session.open(playbook)
