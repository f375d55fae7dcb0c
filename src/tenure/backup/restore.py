"""Restores a checked backup into empty stores, and proves that what came out is what went in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.backup.check import check
from tenure.backup.fingerprint import differences
from tenure.backup.manifest import Manifest
from tenure.backup.work import Work
from tenure.errors import RestoreMismatchError, UsageError
from tenure.runner.context import Reporter, SilentReporter, StopSignal

if TYPE_CHECKING:
    from tenure.session import Session

STORES = ("postgres", "neo4j", "qdrant")
_STOPPED = "What was restored so far is there; empty the targets before the next attempt."


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

    Every file is checked and every target looked at before the first is written to. Errors: RestoreTargetError for a
    target that is not empty, RestoreMismatchError when what came out is not what was backed up, and all of `check`.
    """
    stores = [store for store in STORES if not only or store in only]
    manifest = check(directory, reporter=reporter, signal=signal)
    stores = [store for store in stores if store in manifest.sources]
    _connections(session, stores)
    work = Work(directory, reporter or SilentReporter(), signal or StopSignal(), _STOPPED)
    connections = session.playbook.connections
    steps: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {}
    _refuse_unfit(session, manifest, stores)
    if "postgres" in stores:
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
    if "neo4j" in stores and session.neo4j is not None:
        from tenure.backup import neo4j_restore

        neo4j_restore.restore(session.neo4j, manifest, work)
        same = session.neo4j.version.split(".")[0] == manifest.sources["neo4j"].version.split(".")[0]
        steps["neo4j"] = neo4j_restore.found(session.neo4j, manifest, work, schema=same)
    if "qdrant" in stores and session.qdrant is not None and connections.qdrant is not None:
        from tenure.backup import qdrant_restore

        key = connections.qdrant.api_key
        qdrant_restore.restore(
            session.qdrant,
            manifest,
            work,
            url=connections.qdrant.url,
            api_key=key.get_secret_value() if key is not None else None,
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


def _refuse_unfit(session: Session, manifest: Manifest, stores: Collection[str]) -> None:
    if "postgres" in stores:
        from tenure.backup import postgres_restore

        postgres_restore.refuse_unfit(session.postgres, manifest)
    if "neo4j" in stores and session.neo4j is not None:
        from tenure.backup import neo4j_restore

        neo4j_restore.refuse_unfit(session.neo4j)
    if "qdrant" in stores and session.qdrant is not None:
        from tenure.backup import qdrant_restore

        qdrant_restore.refuse_unfit(session.qdrant, manifest)


def _connections(session: Session, stores: Collection[str]) -> None:
    """Errors: UsageError when the playbook does not say where a store of the backup is to go."""
    there = {"postgres": True, "neo4j": session.neo4j is not None, "qdrant": session.qdrant is not None}
    missing = [store for store in stores if not there[store]]
    if missing:
        raise UsageError(
            detail=f"The backup holds {' and '.join(missing)}, which the playbook has no connection or section for. "
            f"Add it, or restore only some stores with --only."
        )
