"""`tenure init`: proposes a playbook from what is in the stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.cli.common import json_option, playbook_option
from tenure.cli.failures import print_json

if TYPE_CHECKING:
    from tenure.propose.run import Result


@click.command()
@playbook_option
@click.option("--registry", metavar="TABLE.COLUMN", help="The table and column that list the tenants.")
@click.option("--key", metavar="NAME", help="Name of the tenant key.  [default: project_id]")
@click.option("--full", is_flag=True, help="Count all rows instead of samples, however long that takes.")
@click.option("--postgres", metavar="URL", help="Instead of the playbook's connection, or TENURE_POSTGRES.")
@click.option("--neo4j", metavar="URL", help="Likewise, or TENURE_NEO4J; without either no graph is read.")
@click.option("--qdrant", metavar="URL", help="Likewise, or TENURE_QDRANT; without either no vectors are read.")
@json_option
def init(
    playbook: Path,
    registry: str | None,
    key: str | None,
    full: bool,
    postgres: str | None,
    neo4j: str | None,
    qdrant: str | None,
    as_json: bool,
) -> None:
    """Read the stores and propose a playbook: what is keyed, where each key comes from, how sure that is.

    Nothing but the playbook (and tenants.csv beside it, for other spellings of tenants) is written. Run on a playbook
    that exists, it adds what is new and leaves the rest as it is, to the byte.
    """
    from tenure.cli.logs import log_to_stderr
    from tenure.propose.run import Request, initialise

    log_to_stderr()
    given = {"postgres": postgres, "neo4j": neo4j, "qdrant": qdrant}
    addresses = {store: url for store, url in given.items() if url}
    result = initialise(
        Request(playbook, key, registry, full, addresses), lambda text: click.echo(f"tenure: {text}", err=True)
    )
    if as_json:
        print_json(_document(playbook, result))
    else:
        _show(playbook, result)


def _document(playbook: Path, result: Result) -> dict[str, Any]:
    proposal = result.proposal
    return {
        "ok": True,
        "playbook": str(playbook),
        "written": [str(path) for path in result.written],
        "key": proposal.key,
        "registry": {"table": proposal.registry[0], "column": proposal.registry[1], "why": proposal.registry_comments},
        "aliases": [{"value": a.value, "tenant": a.tenant, "why": a.why} for a in proposal.aliases],
        "untagged": list(proposal.untagged),
        "objects": [
            {
                "store": entry.store.partition(".")[0],
                "section": entry.store,
                "object": entry.name,
                "rule": dict(entry.rule),
                "confidence": entry.confidence,
                "evidence": list(entry.comments),
                "question": entry.question,
                "new": entry in result.added,
            }
            for entry in proposal.entries
        ],
        "notes": list(result.notes),
    }


def _show(playbook: Path, result: Result) -> None:
    from tenure.masking import mask_secrets

    for note in result.notes:
        click.echo(mask_secrets(f"tenure: {note}"), err=True)
    if "?" in result.proposal.registry:
        click.echo("Which table lists the tenants cannot be told. Candidates:")
        for line in result.proposal.registry_comments[1:-1]:
            click.echo(line)
        click.echo(f"Name it in `tenant.registry` of {playbook}, or give --registry TABLE.COLUMN, and run init again.")
        return
    if not result.written:
        click.echo(f"{playbook} names everything that is in the stores; nothing was added.")
        return
    for path in result.written:
        click.echo(f"Written: {path}")
    kinds = [entry.confidence or "question" for entry in result.added]
    counts = {kind: kinds.count(kind) for kind in ("high", "medium", "low", "question")}
    click.echo(
        f"{len(kinds)} objects: {counts['high']} with high confidence, {counts['medium']} medium, {counts['low']} low, "
        f"{counts['question']} open questions."
    )
    for entry in result.added:
        if entry.question:
            click.echo(f"  ? {entry.store} {entry.name}: {'; '.join(entry.comments[:2])}")
    click.echo("Next: read it, answer the questions, then `tenure plan` and `tenure inspect`.")
