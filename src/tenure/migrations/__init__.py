"""Versioned SQL migrations: files run in manifest order, each with its history row, one runner at a time."""

from tenure.migrations.folder import MigrationFile, MigrationFolder, read_folder
from tenure.migrations.runner import MigrationRunner
from tenure.migrations.statements import Statement, split_statements
from tenure.migrations.values import Applied, AppliedFile, MigrationState, MigrationStatus, Progress

__all__ = [
    "Applied",
    "AppliedFile",
    "MigrationFile",
    "MigrationFolder",
    "MigrationRunner",
    "MigrationState",
    "MigrationStatus",
    "Progress",
    "Statement",
    "read_folder",
    "split_statements",
]
