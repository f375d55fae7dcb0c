"""Finds the rows that cannot be written among those that can: by halving the pages, then row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from tenure.attribution.rows import raw, table_sql
from tenure.attribution.spec import RowRule
from tenure.errors import StoreError
from tenure.masking import mask_secrets
from tenure.operations.row_statements import LISTED_ITEM, item_of, on_pages
from tenure.values import TableName

REASON = "cannot be written: "
# More than this in one batch are no bad rows but a rule that no key fits under: a person has to look.
MOST_BAD = 200
# Classes of errors that say nothing of a row: connections, transactions, privileges, syntax, resources, locks, limits
# of time, the system, the server's own faults.
_NOT_OF_A_ROW = ("08", "0A", "25", "26", "28", "34", "3D", "3F", "40", "42", "53", "55", "57", "58", "F0", "XX")

Writer = Callable[[sql.Composable], int]


def is_of_a_row(error: psycopg.Error) -> bool:
    """Return whether an error may be one row's: a constraint, a trigger that raises, a value that does not fit."""
    return error.sqlstate is not None and not error.sqlstate.startswith(_NOT_OF_A_ROW)


class BadRows:
    """Writes the rows of one heap but those that refuse, and lists these in `tenure.quarantine` with the reason."""

    def __init__(self, connection: psycopg.Connection[Any], rule: RowRule, leaf: TableName, write: Writer) -> None:
        """Work in the transaction of *connection*; *write* writes the rows that meet a condition and counts them."""
        self._connection = connection
        self._rule = rule
        self._leaf = leaf
        self._write = write
        self._found = 0
        # What is checked at the end of a transaction would refuse the good rows with the bad one.
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def pages(self, first: int, end: int, where: sql.Composable | None) -> int:
        """Write the rows on these pages that meet *where*; return how many. Errors: StoreError when too many refuse."""
        within: sql.Composable = on_pages(first, end)
        condition = within if where is None else sql.SQL("{} AND {}").format(within, where)
        written = self._attempt(condition)
        if isinstance(written, int):
            return written
        if end - first > 1:
            middle = (first + end) // 2
            return self.pages(first, middle, where) + self.pages(middle, end, where)
        return self._rows(condition, where)

    def _rows(self, on_page: sql.Composable, where: sql.Composable | None) -> int:
        query = sql.SQL("SELECT t.ctid::text FROM ONLY {} AS t WHERE {}").format(table_sql(self._leaf), on_page)
        changed = 0
        for (tid,) in self._connection.execute(query).fetchall():
            this: sql.Composable = sql.SQL("t.ctid = {}::tid").format(sql.Literal(tid))
            written = self._attempt(this if where is None else sql.SQL("{} AND {}").format(this, where))
            if isinstance(written, int):
                changed += written
            else:
                self._list(this, written)
        return changed

    def _attempt(self, condition: sql.Composable) -> int | psycopg.Error:
        """Return how many rows were written, or the error that one of them caused; nothing was written then."""
        try:
            with self._connection.transaction():
                return self._write(condition)
        except psycopg.Error as error:
            if not is_of_a_row(error):
                raise
            return error

    def _list(self, this: sql.Composable, error: psycopg.Error) -> None:
        self._found += 1
        reason = said(error)
        if self._found > MOST_BAD:
            raise StoreError(
                store="postgres",
                problem=f"more than {MOST_BAD} rows of {self._rule.table.display} in one batch refuse their key, the "
                f"last one because of this: {reason}.",
                remedy="Look at the table's constraints and triggers: hardly any key can be written under them.",
            )
        self._connection.execute(
            sql.SQL(
                "INSERT INTO tenure.quarantine AS z (store, object, item, reason) SELECT 'postgres', {}, {}, {} "
                "FROM (SELECT {} AS item FROM ONLY {} AS t WHERE {}) AS refused "
                "ON CONFLICT (store, object, item) DO UPDATE SET reason = excluded.reason WHERE z.released_to IS NULL"
            ).format(
                sql.Literal(self._rule.table.display),
                raw(LISTED_ITEM),
                sql.Literal(f"{REASON}{reason}"),
                item_of(self._rule),
                table_sql(self._leaf),
                this,
            )
        )


def said(error: psycopg.Error) -> str:
    """Return what the server said of a row, without its detail, which shows the row."""
    return " ".join(mask_secrets(error.diag.message_primary or type(error).__name__).split()).rstrip(".")


def forget(connection: psycopg.Connection[Any], rule: RowRule) -> None:
    """Take the rows that refused off the list; those that still do come back when they are tried again."""
    connection.execute(
        "DELETE FROM tenure.quarantine WHERE store = 'postgres' AND object = %s AND starts_with(reason, %s) "
        "AND released_to IS NULL",
        (rule.table.display, REASON),
    )


def summary(connection: psycopg.Connection[Any], rule: RowRule) -> str:
    """Return what there is to say of the rows that refused; nothing where none did."""
    row = connection.execute(
        "SELECT count(*), min(reason) FROM tenure.quarantine WHERE store = 'postgres' AND object = %s "
        "AND starts_with(reason, %s) AND released_to IS NULL",
        (rule.table.display, REASON),
    ).fetchone()
    if row is None or not row[0]:
        return ""
    first = row[1].removeprefix(REASON)
    return (
        f"{row[0]:,} row(s) refuse their key and are listed in tenure.quarantine, the first with this reason: {first}. "
        "Put right what refuses them (the row, its constraint or trigger) and apply again."
    )
