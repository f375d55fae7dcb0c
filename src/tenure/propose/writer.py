"""Writes a proposal as a new playbook, atomically; connections are references to the environment, never values."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path

from tenure.errors import UsageError
from tenure.masking import mask_secrets
from tenure.propose.proposal import Alias, Entry, Proposal
from tenure.propose.yaml_text import comment, entry_lines, flow, scalar

ALIASES = "tenants.csv"
_CONNECTIONS = {
    "postgres": '  postgres: {url: "${TENURE_POSTGRES}"}',
    "neo4j": '  neo4j: {url: "${TENURE_NEO4J}", user: "${TENURE_NEO4J_USER:-neo4j}", '
    'password: "${TENURE_NEO4J_PASSWORD:-}", database: "${TENURE_NEO4J_DATABASE:-neo4j}"}',
    "qdrant": '  qdrant: {url: "${TENURE_QDRANT}", api_key: "${TENURE_QDRANT_API_KEY:-}"}',
}
_HEAD = (
    "Proposed by `tenure init`, which only read. Above each entry stands what was counted and how sure that makes it.",
    'Read the entries marked low or medium, answer those with `tenant: "?"` and the comments that begin with',
    "`question:`, then run `tenure plan`. Run `tenure init` again for what is new: your text is kept.",
)


def new_playbook(proposal: Proposal, aliases: str | None) -> str:
    """Return the text of a new playbook; *aliases* is the name of the CSV file beside it, or None."""
    return "\n".join(_lines(proposal, aliases)) + "\n"


def _lines(proposal: Proposal, aliases: str | None) -> Iterator[str]:
    for text in _HEAD:
        yield from comment(text, 0)
    yield from ("version: 1", "", "tenant:", f"  key: {scalar(proposal.key)}")
    if proposal.registry[0] != "?":  # the type is the registry's, so it waits for the answer too
        yield f"  type: {proposal.type}"
    for text in proposal.registry_comments:
        yield from comment(_shown(text), 2)
    table, column = proposal.registry
    yield f"  registry: {flow({'table': table, 'column': column})}"
    yield from tenant_lines(proposal, aliases, 2)
    yield from ("", "connections:")
    for store in proposal.stores:
        yield _CONNECTIONS[store]
    yield from ("", "# What no source can decide stops the run until the object says what becomes of it.")
    yield "defaults: {unassigned: fail, conflict: fail}"
    for store in proposal.stores:
        yield ""
        yield from section_lines(store, proposal)


def tenant_lines(proposal: Proposal, aliases: str | None, indent: int) -> Iterator[str]:
    """Yield the lines of `aliases` and `untagged`."""
    margin = " " * indent
    if aliases is not None:
        for alias in proposal.aliases:
            if "other sources" in alias.why:
                yield from comment(f"check: {alias.value!r} is taken for {alias.tenant!r}: {_shown(alias.why)}", indent)
        yield f"{margin}aliases: {scalar(aliases)}"
    for text in proposal.tenant_comments:
        yield from comment(_shown(text), indent)
    if proposal.untagged:
        yield f"{margin}untagged: {flow(list(proposal.untagged))}"


def section_lines(store: str, proposal: Proposal) -> Iterator[str]:
    """Yield a whole section with its entries."""
    if store != "neo4j":
        entries = [entry for entry in proposal.entries if entry.store == store]
        yield f"{store}:" if entries else f"{store}: {{}}"
        yield from entries_lines(entries, 2)
        return
    yield "neo4j:"
    for part in ("nodes", "relationships"):
        entries = [entry for entry in proposal.entries if entry.store == f"neo4j.{part}"]
        yield f"  {part}:" if entries else f"  {part}: {{}}"
        yield from entries_lines(entries, 4)


def entries_lines(entries: Iterable[Entry], indent: int) -> Iterator[str]:
    """Yield entries, with secrets that happen to stand in an example masked."""
    for entry in entries:
        masked = tuple(_shown(text) for text in entry.comments)
        yield from entry_lines(Entry(entry.store, entry.name, entry.rule, masked, entry.confidence), indent)


def aliases_csv(aliases: Iterable[Alias]) -> str:
    """Return the aliases as the CSV file that a playbook names."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("value", "tenant"))
    writer.writerows((alias.value, alias.tenant) for alias in aliases)
    return out.getvalue()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that whoever reads it sees the old content or the new, never a part. Errors: UsageError."""
    path = path.resolve()
    mode = path.stat().st_mode & 0o7777 if path.exists() else None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            if mode is None:
                mask = os.umask(0)
                os.umask(mask)
                mode = 0o666 & ~mask
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(detail=f"{path} cannot be written: {error.strerror}.") from error


def _shown(text: str) -> str:
    return mask_secrets(text)
