"""`tenure backup`: backs the stores up, and proves that a backup is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.cli.common import json_option, open_session, playbook_option
from tenure.cli.failures import print_json

if TYPE_CHECKING:
    from tenure.backup.manifest import Manifest
    from tenure.session import Session


@click.group(invoke_without_command=True)
@playbook_option
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to; an unfinished backup there is gone on with.  [default: a new directory here]",
)
@click.option(
    "--qdrant",
    type=click.Choice(["auto", "snapshot", "export"]),
    default="auto",
    show_default=True,
    help="How collections are taken; auto is snapshots where the server has them.",
)
@click.option("--jobs", type=click.IntRange(1, 64), help="Connections that pg_dump uses.  [default: one per processor]")
@click.option("--offline-commands", is_flag=True, help="Only print the commands for a dump of a stopped Neo4j.")
@json_option
@click.pass_context
def backup(
    ctx: click.Context,
    playbook: Path,
    directory: Path | None,
    qdrant: str,
    jobs: int | None,
    offline_commands: bool,
    as_json: bool,
) -> None:
    """Back up Postgres, Neo4j and Qdrant, then check what was written.

    Online; nothing is locked against writers. Interrupted, the same command with --to goes on with what is not done.
    The check is recorded in the ledger, where `tenure apply` looks for one that is younger than a day.
    """
    if ctx.invoked_subcommand is not None:
        return
    from tenure.backup.take import default_directory

    target = directory or default_directory(Path.cwd())
    with open_session(playbook) as session:
        if offline_commands:
            _print_offline(session, target / "neo4j-offline")
            return
        manifest = _take(session, target, qdrant, jobs)
    if as_json:
        print_json(_document(manifest, target))
    else:
        _show(manifest, target)


@backup.command()
@click.argument("directory", type=click.Path(path_type=Path))
@playbook_option
@click.option("--rehearse", is_flag=True, help="Restore it into scratch servers, too, and compare (extra: demo).")
@click.option("--no-record", is_flag=True, help="Do not record the check in the ledger; needs no playbook.")
@json_option
def check(directory: Path, playbook: Path, rehearse: bool, no_record: bool, as_json: bool) -> None:
    """Prove that the backup in DIRECTORY is whole: every file there, as long as it was, with its checksum.

    Exit code 1 when one is missing, truncated or altered, or when what a rehearsal restored is not the same.
    """
    from tenure.backup.check import check as check_files
    from tenure.cli.logs import log_to_stderr
    from tenure.cli.progress import reporter
    from tenure.cli.signals import stopping
    from tenure.runner.context import StopSignal

    log_to_stderr()
    # Before the work, not after it, is the time to say that there is no playbook.
    session = None if no_record else open_session(playbook)
    stop, compared = StopSignal(), 0
    notes: tuple[str, ...] = ()
    with reporter() as shown, stopping(stop):
        if rehearse:
            from tenure.backup.rehearse import rehearse as run

            def note(line: str) -> None:
                shown.note("servers", line)

            manifest, rehearsal = run(directory, reporter=shown, signal=stop, progress=note)
            notes, compared = rehearsal.notes, rehearsal.compared
        else:
            manifest = check_files(directory, reporter=shown, signal=stop)
    if session is not None:
        from tenure.backup.gate import record

        with session:
            record(session, directory, manifest, rehearsed=rehearse and not notes)
    if as_json:
        document = {"rehearsed": compared, "notes": list(notes), "recorded": not no_record}
        print_json({**_document(manifest, directory), **document})
        return
    click.echo(f"Whole: {len(manifest.files)} files, as they were written.")
    if rehearse:
        click.echo(f"Rehearsed: {compared} objects were restored and came out the same.")
    for text in notes:
        click.echo(f"  not shown: {text}")
    click.echo("Not recorded in the ledger." if no_record else "Recorded in the ledger.")


def _take(session: Session, directory: Path, qdrant: Any, jobs: int | None) -> Manifest:
    from tenure.backup.take import take_checked
    from tenure.cli.progress import reporter
    from tenure.cli.signals import stopping
    from tenure.runner.context import StopSignal

    stop = StopSignal()
    with reporter() as shown, stopping(stop):
        return take_checked(session, directory, qdrant=qdrant, jobs=jobs, reporter=shown, signal=stop)


def _print_offline(session: Session, directory: Path) -> None:
    from tenure.backup.offline import offline_commands
    from tenure.errors import UsageError

    if session.neo4j is None:
        raise UsageError(detail="The playbook has no Neo4j connection.")
    for line in offline_commands(session.neo4j, directory):
        click.echo(line)


def _document(manifest: Manifest, directory: Path) -> dict[str, Any]:
    body = manifest.model_dump(mode="json")
    return {"ok": True, "directory": str(directory), "sha256": manifest.digest, **body}


def _show(manifest: Manifest, directory: Path) -> None:
    from tenure.backup.files import size
    from tenure.report.text import clean

    for store in manifest.stores:
        entries = manifest.of(store)
        items, written = sum(entry.items for entry in entries), sum(f.bytes for e in entries for f in e.files)
        methods = ", ".join(sorted({entry.method for entry in entries}))
        click.echo(f"{store}: {len(entries)} object(s), {items:,} items, {size(written)} ({methods})")
        skipped = sum(entry.skipped for entry in entries)
        if skipped:
            click.echo(f"  {skipped:,} relationships lead to nodes that were born during the export and are not in it")
    for note in manifest.notes:
        click.echo(f"  {note}")
    click.echo(f"Backed up and checked: {clean(str(directory))}")
    click.echo(f"Rehearse the way back with `tenure backup check {clean(str(directory))} --rehearse`.")
