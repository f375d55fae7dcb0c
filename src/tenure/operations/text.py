"""Small helpers that operations on Postgres share: statements as text, names that fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from psycopg import sql

from tenure.values import TableName

# Settings of a transaction of tenure's own: guarded triggers keep still in the first, fill triggers in the second.
BACKFILL_SETTING = "tenure.backfill"
UNDO_SETTING = "tenure.undo"
MAX_NAME = 63  # bytes; Postgres cuts longer identifiers off, and two that are cut alike would be one


def as_texts(statements: Iterable[sql.Composable]) -> tuple[str, ...]:
    """Return composed statements as the text that Postgres gets, each with its semicolon."""
    return tuple(statement.as_string(None).rstrip().rstrip(";") + ";" for statement in statements)


def short_name(*parts: str) -> str:
    """Return an identifier made of *parts*; one that would be cut off keeps its head and gets a digest of the whole."""
    name = "_".join(parts)
    if len(name.encode()) <= MAX_NAME:
        return name
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    head = name.encode()[: MAX_NAME - 9].decode(errors="ignore")
    return f"{head}_{digest}"


def not_null_check(table: TableName) -> str:
    """Return the name of the check that stands in for NOT NULL until the column is."""
    return short_name("tenure_not_null", table.name)
