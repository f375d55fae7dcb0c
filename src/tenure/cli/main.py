"""`tenure`: the group of commands, each imported when it is used, and the one place where errors become exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from tenure import __version__
from tenure.cli.failures import INTERRUPTED, Invocation, report_failure

# Command: (module:attribute, the line in `tenure --help`). Here, so that the help of all imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("tenure.cli.init:init", "Propose a playbook from what is in the stores. Read-only."),
    "inspect": ("tenure.cli.inspect:inspect", "Show what stands in the way, and whose everything is. Read-only."),
    "backup": ("tenure.cli.backup:backup", "Back up the three stores, and prove that a backup is whole."),
    "plan": ("tenure.cli.plan:plan", "Show the operations in order, with locks, hazards and counts."),
    "render": ("tenure.cli.render:render", "Write the plan as .sql, .cypher and .py files to read and run by hand."),
    "apply": ("tenure.cli.apply:apply", "Run the plan, or resume it; then verify."),
    "status": ("tenure.cli.status:status", "Show how far a run is, from any terminal."),
    "pause": ("tenure.cli.control:pause", "Ask a run to pause after the batches in hand."),
    "resume": ("tenure.cli.control:resume", "Let a paused run go on."),
    "limit": ("tenure.cli.control:limit", "Set a limit of a run: NAME=VALUE."),
    "worker": ("tenure.cli.worker:worker", "Take ranges of a run on this machine."),
    "verify": ("tenure.cli.verify:verify", "Prove that every item has its tenant, in all stores."),
    "guard": ("tenure.cli.guard:guard", "The CI gate: fail when something without a tenant has appeared."),
    "contract": ("tenure.cli.contract:contract", "Drop what was replaced; the last step, behind a gate."),
    "release": ("tenure.cli.release:release", "Give quarantined items to a tenant, in all stores at once."),
    "rollback": ("tenure.cli.rollback:rollback", "Take a run back, or say what forbids it."),
    "restore": ("tenure.cli.restore:restore", "Restore a backup into empty stores."),
    "migrations": ("tenure.cli.migrations:migrations", "Run the versioned SQL files of a folder."),
    "demo": ("tenure.cli.demo:demo", "Run everything on real embedded servers and an example application."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or fail with the nearest name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1) if args else []
            if not near:
                raise
            raise click.UsageError(f"There is no command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tenure")
def tenure() -> None:
    """Move a live application on Postgres, Neo4j and Qdrant from single-tenant to project-scoped.

    Start with `tenure demo`, or with `tenure inspect` where a playbook (tenure.yaml) is.
    """


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing that a user can cause leaves a traceback."""
    invocation = Invocation()
    try:
        code = tenure.main(args=list(args), prog_name="tenure", standalone_mode=False, obj=invocation)
    except BaseException as error:  # noqa: BLE001  # the last frame of the program: everything becomes an exit code
        return report_failure(error, invocation)
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminated)
    # A script's background jobs start with SIGINT ignored; being asked to stop in order must work there as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read stdout is gone; the interpreter would complain about it at exit.
        sys.stdout = sys.stderr
        code = code or 1
    sys.exit(code)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


__all__ = ["COMMANDS", "INTERRUPTED", "main", "run", "tenure"]
