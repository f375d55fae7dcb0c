"""Compares folder, manifest and history: pure, so that every refusal can be tested without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tenure.errors import MigrationRefusedError, UsageError
from tenure.migrations.folder import MANIFEST, MigrationFile, MigrationFolder
from tenure.migrations.values import HistoryRow, MigrationState, MigrationStatus
from tenure.values import Finding

_FINDING_IDS = {
    MigrationState.CHANGED: "TEN901",
    MigrationState.MISSING: "TEN902",
    MigrationState.OUT_OF_ORDER: "TEN903",
    MigrationState.UNLISTED: "TEN904",
    MigrationState.ABSENT: "TEN905",
    MigrationState.INTERRUPTED: "TEN906",
    MigrationState.PENDING: "TEN907",
}

History = Mapping[str, HistoryRow]

BLOCKING = frozenset(
    {
        MigrationState.CHANGED,
        MigrationState.MISSING,
        MigrationState.OUT_OF_ORDER,
        MigrationState.UNLISTED,
        MigrationState.ABSENT,
    }
)


def assess(folder: MigrationFolder, history: History) -> tuple[MigrationStatus, ...]:
    """Return the status of every file that folder, manifest or history know, in manifest order, strays last."""
    last = max((file.position for file in folder.files if file.name in history), default=0)
    last_name = next((file.name for file in folder.files if file.position == last), "")
    known = [_listed(file, history.get(file.name), file.position < last, last_name) for file in folder.files]
    known += [_absent(position, name, name in history) for position, name in folder.absent]
    known.sort(key=lambda status: status.position or 0)
    known += [_unlisted(name) for name in folder.unlisted]
    names = {status.file for status in known}
    known += [_missing(row) for row in history.values() if row.file not in names]
    return tuple(known)


def findings_of(statuses: Iterable[MigrationStatus]) -> tuple[Finding, ...]:
    """Return a finding for every status that is not as it should be; a pending file is only a warning."""
    return tuple(
        Finding(
            id=_FINDING_IDS[status.state],
            severity="warning" if status.state is MigrationState.PENDING else "error",
            store="postgres",
            object=status.file,
            title=status.problem or "it is not applied yet.",
            count=1,
            remedy=status.remedy or "`tenure migrations apply` runs it.",
        )
        for status in statuses
        if status.state in _FINDING_IDS
    )


def refuse_problems(statuses: Iterable[MigrationStatus]) -> None:
    """Raise MigrationRefusedError with every problem and its remedy, if there is one that `apply` must not pass."""
    problems = [status for status in statuses if status.state in BLOCKING]
    if problems:
        raise MigrationRefusedError(
            problems="".join(f"\n  {status.file}: {status.problem} {status.remedy}" for status in problems),
            files=tuple(status.file for status in problems),
            states=tuple(status.state for status in problems),
            findings=findings_of(problems),
        )


def files_to_baseline(folder: MigrationFolder, history: History, name: str) -> tuple[MigrationFile, ...]:
    """Return the files up to and including *name* that are not in the history as applied yet.

    A file that an earlier run left half done is among them: the operator says that it was finished by hand.

    Raises:
        UsageError: the manifest does not name the file.
        MigrationRefusedError: the history already goes beyond it.
    """
    position = folder.position_of(name)
    if position is None:
        raise UsageError(detail=f"--baseline {name}: the manifest of {folder.path} names no such file in the folder.")
    beyond = [file.name for file in folder.files if file.position > position and file.name in history]
    if beyond:
        raise MigrationRefusedError(
            problems=f"the history already goes beyond {name}: it has {', '.join(beyond)}. A baseline is for a "
            f"database that was migrated by hand before its first `apply`. Name {beyond[-1]} or a later file, or "
            "apply without --baseline.",
            files=tuple(beyond),
            states=(),
        )
    return tuple(
        file
        for file in folder.files
        if file.position <= position and (file.name not in history or history[file.name].state == "started")
    )


def _listed(file: MigrationFile, row: HistoryRow | None, before_last: bool, last: str) -> MigrationStatus:
    status = MigrationStatus(
        file=file.name,
        position=file.position,
        state=MigrationState.PENDING,
        checksum=file.checksum,
        transactional=file.transactional,
    )
    if row is None:
        if not before_last:
            return status
        return status.model_copy(
            update={
                "state": MigrationState.OUT_OF_ORDER,
                "problem": f"it comes before {last}, which is applied already, and was not applied itself.",
                "remedy": f"If it is new, move its line in the {MANIFEST} below the one of {last}.",
            }
        )
    status = status.model_copy(
        update={
            "applied_by": row.applied_by,
            "applied_at": row.applied_at,
            "duration_ms": row.duration_ms,
            "statements_done": row.statements_done,
        }
    )
    if row.state == "started":
        return status.model_copy(
            update={
                "state": MigrationState.INTERRUPTED,
                "problem": f"a run was cut short after {row.statements_done} statement(s).",
                "remedy": "`tenure migrations apply` resumes with the next one.",
            }
        )
    if row.checksum != file.checksum:
        return status.model_copy(
            update={
                "state": MigrationState.CHANGED,
                "problem": f"it was changed after it was applied (checksum {row.checksum[:12]}, now "
                f"{file.checksum[:12]}).",
                "remedy": "Restore it from version control and put the change into a new file. If the change means "
                "nothing to the database (a comment), record it: UPDATE tenure.migration_history SET checksum = "
                f"'{file.checksum}' WHERE file = {_literal(file.name)};",
            }
        )
    return status.model_copy(update={"state": MigrationState.BASELINE if row.baseline else MigrationState.APPLIED})


def _absent(position: int, name: str, applied: bool) -> MigrationStatus:
    remedy = "Restore it from version control" if applied else "Add the file"
    return MigrationStatus(
        file=name,
        position=position,
        state=MigrationState.ABSENT,
        problem=f"the {MANIFEST} names it, and it is not in the folder.",
        remedy=f"{remedy}." if applied else f"{remedy}, or remove its line.",
    )


def _unlisted(name: str) -> MigrationStatus:
    return MigrationStatus(
        file=name,
        position=None,
        state=MigrationState.UNLISTED,
        problem=f"it is in the folder, and the {MANIFEST} does not name it.",
        remedy=f"Add its line where it must run, or `! {name}` if this runner must leave it alone.",
    )


def _missing(row: HistoryRow) -> MigrationStatus:
    return MigrationStatus(
        file=row.file,
        position=None,
        state=MigrationState.MISSING,
        checksum=row.checksum,
        transactional=row.transactional,
        applied_by=row.applied_by,
        applied_at=row.applied_at,
        duration_ms=row.duration_ms,
        statements_done=row.statements_done,
        problem="the history has it, and neither folder nor manifest do.",
        remedy="Restore it from version control (or check that this is the folder of this database). If it was "
        f"retired on purpose: DELETE FROM tenure.migration_history WHERE file = {_literal(row.file)};",
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
