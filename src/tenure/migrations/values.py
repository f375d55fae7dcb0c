"""What the runner tells its caller: frozen values."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from tenure.values import Frozen


class MigrationState(StrEnum):
    """Where a file stands between folder, manifest and history."""

    APPLIED = "applied"
    BASELINE = "baseline"
    PENDING = "pending"
    INTERRUPTED = "interrupted"
    CHANGED = "changed"
    MISSING = "missing"
    OUT_OF_ORDER = "out-of-order"
    UNLISTED = "unlisted"
    ABSENT = "absent"


class MigrationStatus(Frozen):
    """One file: its state, what the history knows of it, and for the states that stop `apply` the reason and remedy."""

    file: str
    position: int | None
    state: MigrationState
    checksum: str | None = None
    transactional: bool | None = None
    applied_by: str | None = None
    applied_at: datetime | None = None
    duration_ms: int | None = None
    statements_done: int | None = None
    problem: str = ""
    remedy: str = ""


class HistoryRow(Frozen):
    """A row of tenure.migration_history; `state` is *started* while a non-transactional file is under way."""

    file: str
    position: int
    checksum: str
    state: Literal["applied", "started"]
    transactional: bool
    baseline: bool
    statements_done: int
    done_checksum: str
    applied_by: str
    applied_at: datetime
    duration_ms: int


class AppliedFile(Frozen):
    """A file that was run, or would be: `resumed_at` is its first statement (1 unless an earlier run was cut short)."""

    file: str
    position: int
    statements: int
    transactional: bool
    resumed_at: int = 1
    attempts: int = 0
    duration_ms: int = 0


class Applied(Frozen):
    """The outcome of `apply`: what was marked, what ran, how many files the history had already."""

    dry_run: bool
    already: int
    baselined: tuple[str, ...] = ()
    files: tuple[AppliedFile, ...] = ()


class Progress(Frozen):
    """One event while files run, for whoever shows it."""

    event: Literal["baseline", "file", "statement", "retry", "notice", "done"]
    file: str
    statement: int = 0
    statements: int = 0
    message: str = ""
