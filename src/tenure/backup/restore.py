"""Restores a checked backup into empty stores, and proves that what came out is what went in.

A restore that failed is run again as it was: what an earlier attempt brought back whole is recognised by its content
and kept, stores and collections one by one. What is there and is not the backup is never emptied here, whoever made it:
it is named, with what empties it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.backup.check import check
from tenure.backup.fingerprint import differences
from tenure.backup.manifest import Manifest
from tenure.backup.work import Work
from tenure.errors import RestoreMismatchError, RestoreTargetError, UsageError
from tenure.runner.context import Reporter, SilentReporter, StopSignal

if TYPE_CHECKING:
    from tenure.session import Session
    from tenure.stores.neo4j import Neo4jStore

STORES = ("postgres", "neo4j", "qdrant")
_STOPPED = (
    "Run the same command again: what is whole is kept. What was being filled has to be emptied first; the command "
    "says what that is, and how."
)


def restore(
    session: Session,
    directory: Path,
    *,
    only: Collection[str] = (),
    jobs: int = 1,
    reporter: Reporter | None = None,
    signal: StopSignal | None = None,
) -> Manifest:
    """Restore the backup in *directory* into the stores of *session*'s playbook (those of *only*, where it is given).

    Every file is checked and every target looked at before the first is written to; one that is as it was backed up is
    left as it is. Errors: RestoreTargetError for a target that holds something else, RestoreMismatchError when what
    came out is not what was backed up, and all of `check`.
    """
    stores = [store for store in STORES if not only or store in only]
    manifest = check(directory, reporter=reporter, signal=signal)
    stores = [store for store in stores if store in manifest.sources]
    _connections(session, stores)
    work = Work(directory, reporter or SilentReporter(), signal or StopSignal(), _STOPPED)
    connections = session.playbook.connections
    steps: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {}
    whole = _whole(session, manifest, stores, work)
    if "postgres" in stores and "postgres" not in whole:
        from tenure.backup import postgres_restore

        postgres_restore.restore(
            session.postgres,
            connections.postgres.url.get_secret_value(),
            manifest,
            work,
            role=connections.postgres.role,
            settings=connections.postgres.settings,
            jobs=jobs,
        )
        steps["postgres"] = postgres_restore.found(session.postgres, manifest, work)
    if "neo4j" in stores and "neo4j" not in whole and session.neo4j is not None:
        from tenure.backup import neo4j_restore

        neo4j_restore.restore(session.neo4j, manifest, work)
        steps["neo4j"] = _found_neo4j(session.neo4j, manifest, work)
    if "qdrant" in stores and session.qdrant is not None and connections.qdrant is not None:
        from tenure.backup import qdrant_restore

        key = connections.qdrant.api_key
        qdrant_restore.restore(
            session.qdrant,
            manifest,
            work,
            url=connections.qdrant.url,
            api_key=key.get_secret_value() if key is not None else None,
            whole=whole.get("qdrant", frozenset()),
        )
        steps["qdrant"] = qdrant_restore.found(session.qdrant, manifest, work)
    refuse_differences(steps)
    return manifest


def refuse_differences(found: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]]) -> None:
    """Errors: RestoreMismatchError when a store's fingerprints are not those expected."""
    lines = [f"{store} {line}" for store, (before, after) in found.items() for line in differences(before, after)]
    if lines:
        raise RestoreMismatchError(
            count=len(lines), first="; ".join(lines[:5]) + ("; and more." if lines[5:] else "."), lines=tuple(lines)
        )


def _whole(session: Session, manifest: Manifest, stores: Collection[str], work: Work) -> dict[str, frozenset[str]]:
    """Return the stores that are as they were backed up, and the collections among them; empty ones are not.

    Errors: RestoreTargetError for what holds something else, RefusedError for what cannot take the backup.
    """
    whole: dict[str, frozenset[str]] = {}
    if "postgres" in stores:
        from tenure.backup import postgres_restore

        try:
            postgres_restore.refuse_unfit(session.postgres, manifest)
        except RestoreTargetError:
            if differences(*postgres_restore.found(session.postgres, manifest, work)):
                raise
            whole["postgres"] = frozenset()
    if "neo4j" in stores and session.neo4j is not None:
        from tenure.backup import neo4j_restore

        try:
            neo4j_restore.refuse_unfit(session.neo4j)
        except RestoreTargetError:
            if differences(*_found_neo4j(session.neo4j, manifest, work)):
                raise
            whole["neo4j"] = frozenset()
    if "qdrant" in stores and session.qdrant is not None:
        from tenure.backup import qdrant_restore

        there = qdrant_restore.whole(session.qdrant, manifest, work)
        qdrant_restore.refuse_unfit(session.qdrant, manifest, whole=there)
        whole["qdrant"] = there
    for store in whole:
        kept = ", ".join(sorted(whole[store])) if store == "qdrant" else "everything"
        if kept:
            work.reporter.note(f"restore {store}", f"{kept} is there as it was backed up, and is kept")
    return whole


def _found_neo4j(store: Neo4jStore, manifest: Manifest, work: Work) -> tuple[Mapping[str, str], Mapping[str, str]]:
    from tenure.backup import neo4j_restore

    same = store.version.split(".")[0] == manifest.sources["neo4j"].version.split(".")[0]
    return neo4j_restore.found(store, manifest, work, schema=same)


def _connections(session: Session, stores: Collection[str]) -> None:
    """Errors: UsageError when the playbook does not say where a store of the backup is to go."""
    there = {"postgres": True, "neo4j": session.neo4j is not None, "qdrant": session.qdrant is not None}
    missing = [store for store in stores if not there[store]]
    if missing:
        raise UsageError(
            detail=f"The backup holds {' and '.join(missing)}, which the playbook has no connection or section for. "
            f"Add it, or restore only some stores with --only."
        )
