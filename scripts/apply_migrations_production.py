#!/usr/bin/env python3
"""Runs the production SQL migrations in the order of their manifest, after the operator typed the database's name.

The database comes from TENURE_POSTGRES, in the environment or in `.env`. Stops at the first failure with a non-zero
exit code: 1 a file failed, 2 wrong usage, 3 refused, 4 another runner is at work, 5 the server could not be reached.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tenure.cli.migrations import describe_applied, dsn_from_environment, show_progress
from tenure.errors import RefusedError, TenureError
from tenure.migrations import MigrationRunner

FOLDER = Path(__file__).resolve().parent.parent / "migrations"


def confirm(database: str, given: str | None) -> None:
    """Compare the name that the operator gives, by flag or at the terminal, with the name of the *database*.

    Raises:
        RefusedError: they differ, or there is no terminal to ask at.
    """
    if given is None and not sys.stdin.isatty():
        raise RefusedError(
            reason="there is no terminal to confirm at.", remedy=f"Give the name: --yes-database {database}"
        )
    if given is None:
        print(f"Type the name of the database to go on ({database}): ", end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline().strip()
    if given != database:
        raise RefusedError(reason=f"{given!r} is not the name of the database.", remedy=f"It is {database!r}.")


def main() -> int:
    """Show what would run, ask, run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=FOLDER, help="default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="show what would run; write nothing")
    parser.add_argument("--baseline", metavar="FILE", help="mark everything up to FILE as applied without running it")
    parser.add_argument("--yes-database", metavar="NAME", help="confirm by flag: the database's name")
    arguments = parser.parse_args()
    try:
        runner = MigrationRunner(dsn_from_environment(), arguments.directory)
        planned = runner.apply(dry_run=True, baseline=arguments.baseline)
        print(describe_applied(planned))
        if arguments.dry_run or not (planned.files or planned.baselined):
            return 0
        confirm(runner.database(), arguments.yes_database)
        print(describe_applied(runner.apply(baseline=arguments.baseline, progress=show_progress())))
    except TenureError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped on request; nothing was run since the last message.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
