"""Reads what people decided: items and their tenants, from the command line or from a CSV that inspect exported."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenure.errors import UsageError
from tenure.release.values import Request

# Columns of an export that do not name the item.
_ABOUT = re.compile(r"^(tenant|bin|reason|source \d+)$")


def item_of(text: str) -> Any:
    """Return an item as it is written on a command line: JSON, or the value itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_requests(path: Path, tenant: str | None = None) -> Iterator[Request]:
    """Yield the items of a CSV with their tenants: the `tenant` column where it is filled in, else *tenant*.

    A line without either is not decided yet and is left out. Errors: UsageError with the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name for name in reader.fieldnames or () if not _ABOUT.match(name)]
            if not names:
                raise UsageError(detail=f"{path}: the first line has no column that names an item.")
            for row in reader:
                if None in row or None in row.values():
                    raise UsageError(detail=f"{path}:{reader.line_num}: this line has not as many fields as the first.")
                given = (row.get("tenant") or "").strip() or tenant
                if given:
                    yield Request(_item(names, row, path, reader.line_num), given)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(detail=f"{path} cannot be read: {error}.") from error


def _item(names: list[str], row: dict[str, str], path: Path, line: int) -> Any:
    if set(names) == {"start", "end"}:
        try:
            return {name: json.loads(row[name]) if row[name] else None for name in names}
        except ValueError as error:
            raise UsageError(detail=f"{path}:{line}: the ends of a relationship are JSON: {error}.") from error
    return row[names[0]] if len(names) == 1 else {name: row[name] for name in names}
