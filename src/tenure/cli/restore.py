"""`tenure restore`: restores a backup into empty stores."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import print_json


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@playbook_option
@click.option(
    "--only", type=click.Choice(["postgres", "neo4j", "qdrant"]), multiple=True, help="Only this store; repeatable."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Connections that pg_restore uses; with one, Postgres is restored in a single transaction.",
)
@json_option
def restore(directory: Path, playbook: Path, only: tuple[str, ...], jobs: int, as_json: bool) -> None:
    """Restore the backup in DIRECTORY into the stores that the playbook names, and prove that it came out the same.

    The stores must be empty (an empty database, an empty graph, no collection of the same name): exit code 3 when one
    is not, before anything is written. After a failure run the same command again: a store, or a collection, that is
    as it was backed up is kept; one that was left half filled is named, with what empties it.
    """
    from tenure.backup.restore import restore as run
    from tenure.cli.progress import reporter
    from tenure.cli.signals import stopping
    from tenure.runner.context import StopSignal

    stop = StopSignal()
    with open_session(playbook) as session, reporter() as shown, stopping(stop):
        manifest = run(session, directory, only=only, jobs=jobs, reporter=shown, signal=stop)
    stores = [store for store in manifest.stores if not only or store in only]
    if as_json:
        print_json({"ok": True, "directory": str(directory), "stores": stores})
        return
    click.echo(f"Restored and compared: {', '.join(stores)}. Every object is as it was backed up.")
