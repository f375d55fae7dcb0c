"""Asks Postgres about a page of values without leaving them behind in the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import RawCursor, sql

if TYPE_CHECKING:
    from psycopg import Connection


def ask(connection: Connection[Any], query: sql.SQL | sql.Composed, *values: Any) -> RawCursor[Any]:
    """Run a query in which `$1`, `$2`, ... stand for *values*, and return its cursor.

    Each connection of the driver keeps the texts of its last hundred statements, in case they come again: with the
    values in the text that was a hundred pages of ids a connection. Percent signs in names mean themselves here.
    """
    return RawCursor(connection).execute(query, values, prepare=False)
