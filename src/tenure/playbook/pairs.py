"""CSV files that map values to tenants: aliases and mappings."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tenure.errors import PlaybookError
from tenure.playbook.sentinels import TenantType, tenant_problem

HEADER = ["value", "tenant"]


def read_pairs(path: Path, type: TenantType | None = None) -> Iterator[tuple[str, str]]:
    """Yield the (value, tenant) pairs of the CSV file *path*, each once, exactly as written.

    Args:
        path: UTF-8 CSV with the header ``value,tenant``; a byte order mark is skipped.
        type: where given, every tenant is checked to be one of this key type and not a reserved one.

    Raises:
        PlaybookError: with file and line, for a wrong header, a row that has not two fields, an empty tenant, a value
            that stands there twice with different tenants, a tenant that cannot be one, or text that is not UTF-8.
    """

    def wrong(line: int, problem: str, remedy: str) -> PlaybookError:
        return PlaybookError(path=path, line=line, column=1, problem=problem, remedy=remedy, others=())

    try:
        file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise wrong(1, f"the file cannot be read: {error.strerror}.", "Correct the path or the rights.") from None
    # What was seen is kept in a temporary SQLite file, so that a mapping of millions of values costs no memory.
    with file, closing(sqlite3.connect("")) as seen:
        seen.execute("CREATE TABLE seen (value TEXT PRIMARY KEY, tenant TEXT, line INTEGER) WITHOUT ROWID")
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, [])
            "".join(header).encode()  # fails on bytes that are not UTF-8, here and below, where the line is known
            if header != HEADER:
                raise wrong(
                    1, "the header is not `value,tenant`.", "Make `value,tenant` the first line, without spaces."
                )
            for row in rows:
                if not row:
                    continue
                line = rows.line_num
                if len(row) != len(HEADER):
                    raise wrong(
                        line, f"the row has {len(row)} field(s), not 2.", "Quote values that contain commas or quotes."
                    )
                value, tenant = row
                f"{value}{tenant}".encode()
                if not tenant or "\0" in value or "\0" in tenant:
                    raise wrong(
                        line, "the tenant is empty, or there is a NUL character.", "Name a tenant, or remove the row."
                    )
                found = tenant_problem(tenant, type) if type is not None else None
                if found is not None:
                    raise wrong(line, *found)
                if seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (value, tenant, line)).rowcount:
                    yield value, tenant
                    continue
                other, where = seen.execute("SELECT tenant, line FROM seen WHERE value = ?", (value,)).fetchone()
                if other != tenant:
                    raise wrong(
                        line, f"{value!r} is {tenant!r} here and {other!r} in line {where}.", "Remove one of the two."
                    )
        except UnicodeEncodeError:
            raise wrong(rows.line_num, "the file is not UTF-8.", "Save it as UTF-8.") from None
        except csv.Error as error:
            raise wrong(rows.line_num, f"this is not CSV: {error}.", "Double quotes inside a quoted value.") from None
