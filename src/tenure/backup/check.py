"""Proves that a backup is whole: every file there, as long as it was and with its checksum."""

from __future__ import annotations

from pathlib import Path

from tenure.backup.files import fault
from tenure.backup.manifest import Manifest, load_manifest
from tenure.backup.work import Work
from tenure.errors import BackupDamagedError, BackupError
from tenure.runner.context import Reporter, SilentReporter, StopSignal


def check(directory: Path, *, reporter: Reporter | None = None, signal: StopSignal | None = None) -> Manifest:
    """Read every file of the backup in *directory* and return its manifest.

    Errors: UsageError when there is no backup, BackupError when it is unfinished, BackupDamagedError with every file
    that is missing, truncated or altered.
    """
    manifest = load_manifest(directory)
    if not manifest.finished:
        raise BackupError(
            problem=f"{directory} holds the beginning of one.",
            remedy=f"`tenure backup --to {directory}` goes on with it.",
        )
    work = Work(directory, reporter or SilentReporter(), signal or StopSignal(), "Run the check again.")
    total = sum(file.bytes for file in manifest.files)
    work.reporter.start("check", f"Check of {len(manifest.files)} files", total)
    work.reporter.advance("check", 0)

    def read(count: int) -> None:
        work.check()
        work.reporter.advance("check", count)

    faults = [found for file in manifest.files if (found := fault(directory, file, read)) is not None]
    work.reporter.finish("check", "damaged" if faults else "whole")
    if faults:
        first, *others = faults
        raise BackupDamagedError(
            count=len(faults), first="; ".join([first, *others[:4]]) + ("; and more." if others[4:] else ".")
        )
    return manifest
