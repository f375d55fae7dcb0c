"""What `apply` wants before it writes: a checked backup of these stores, younger than a day, or the explicit word."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.backup.manifest import Manifest
from tenure.errors import RefusedError, UsageError
from tenure.values import Frozen, Hazard, Phase

if TYPE_CHECKING:
    from tenure.session import Session

CHECKED = "backup checked"
WAIVED = "backup waived"
YOUNG = timedelta(days=1)


class CheckedBackup(Frozen):
    """A backup that was proven whole, as the ledger recorded it."""

    directory: str
    digest: str
    started: datetime
    stores: tuple[str, ...]
    rehearsed: bool = False


def record(session: Session, directory: Path, manifest: Manifest, *, rehearsed: bool = False) -> CheckedBackup:
    """Record in the ledger that a backup was checked. Errors: UsageError when it is of another database."""
    from tenure.backup import postgres

    here, there = postgres.source(session.postgres), manifest.sources.get("postgres")
    if there is None or there.identity != here.identity:
        raise UsageError(
            detail=f"The backup in {directory} is whole, but of another database than the playbook's "
            f"({there.address if there else 'none'} instead of {here.address}), whose ledger was left alone."
        )
    checked = CheckedBackup(
        directory=str(directory.absolute()),
        digest=manifest.digest,
        started=datetime.fromisoformat(manifest.started),
        stores=manifest.stores,
        rehearsed=rehearsed,
    )
    session.ledger.install()
    session.ledger.event(None, CHECKED, checked.directory, checked.model_dump_json())
    return checked


def latest_checked_backup(session: Session) -> CheckedBackup | None:
    """Return the youngest backup that the ledger knows to be whole, or None."""
    if not session.ledger.installed():
        return None
    with session.postgres.connection() as connection:
        rows = connection.execute("SELECT detail FROM tenure.event WHERE kind = %s", (CHECKED,)).fetchall()
    found = [CheckedBackup.model_validate(json.loads(row[0])) for row in rows]
    return max(found, key=lambda backup: backup.started, default=None)


def require_backup(
    session: Session, allowed: Iterable[Hazard], through: Phase = Phase.CONSTRAIN
) -> CheckedBackup | None:
    """Let a run begin that has a checked backup of its stores, started less than a day ago, and return the backup.

    It is asked for before the first write of a run, and again before contract drops anything; a run that goes on is
    let through, as is one whose operator allows `NO_BACKUP`, which is recorded (None is returned). The backup's age is
    taken by the database's clock. Errors: RefusedError.
    """
    if not _asked(session, through):
        return None
    if Hazard.NO_BACKUP in frozenset(allowed):
        session.ledger.install()
        session.ledger.event(None, WAIVED, "", f"apply through {through} was allowed without a checked backup")
        return None
    backup = latest_checked_backup(session)
    remedy = (
        f"Run `tenure backup`, which checks what it wrote, or say that you have one with `--allow {Hazard.NO_BACKUP}`."
    )
    if backup is None:
        raise RefusedError(reason="the ledger knows of no checked backup of these stores.", remedy=remedy)
    with session.postgres.connection() as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
    if row[0] - backup.started > YOUNG:
        raise RefusedError(
            reason=f"the youngest checked backup, {backup.directory}, is of {backup.started:%Y-%m-%d %H:%M} UTC, more "
            f"than a day ago.",
            remedy=remedy,
        )
    missing = _stores(session) - set(backup.stores)
    if missing:
        raise RefusedError(
            reason=f"the checked backup {backup.directory} does not hold {' and '.join(sorted(missing))}.",
            remedy=remedy,
        )
    return backup


def _asked(session: Session, through: Phase) -> bool:
    """Return whether this run is about to write for the first time, or to drop for the first time."""
    if not session.ledger.installed():
        return True
    operations = session.ledger.operations()
    if not any(row.attempts for row in operations):
        return True
    dropping = [row for row in operations if row.phase == Phase.CONTRACT]
    return through is Phase.CONTRACT and bool(dropping) and not any(row.attempts for row in dropping)


def _stores(session: Session) -> set[str]:
    others = {"neo4j": session.neo4j is not None, "qdrant": session.qdrant is not None}
    return {"postgres", *(store for store, used in others.items() if used)}
