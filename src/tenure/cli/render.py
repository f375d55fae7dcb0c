"""`tenure render`: the plan as files for those who read and run scripts by hand."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import open_session, playbook_option


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@playbook_option
@click.option(
    "--neo4j-version", metavar="V", help="The server that the Cypher is for, such as 4.4; else the one at hand."
)
def render(directory: Path, playbook: Path, neo4j_version: str | None) -> None:
    """Write the plan as .sql, .cypher and .py files into DIR, with a README of their order.

    Only the schema of the stores is read, no row, and nothing is changed. The same playbook and schema give the same
    files. Exit code 2 when playbook and stores do not fit.
    """
    from tenure.catalog.neo4j import version_numbers
    from tenure.errors import UsageError
    from tenure.render import render as rendered

    if neo4j_version is not None and not version_numbers(neo4j_version):
        raise UsageError(detail=f"{neo4j_version!r} is not a version of Neo4j, such as 5.26 or 2026.09.")
    with open_session(playbook) as session:
        files = rendered(session.plan(), session.playbook, session.planning_catalog(), neo4j_version=neo4j_version)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(detail=f"{directory} cannot be written to: {error.strerror}.") from error
    for name in files:
        click.echo(directory / name)
