"""The tenant × store matrix: one table where it fits, else one per store, else turned on its side or cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from rich.table import Table
from rich.text import Text

from tenure.masking import mask_secrets

STORES = ("postgres", "neo4j", "qdrant")
_PADDING = 2  # what rich puts between two columns of a table without lines
TENANT = "tenant"
Column = tuple[str, str]  # store, object


class Row(Protocol):
    """A row of the matrix, such as `tenure.checks.MatrixRow`."""

    @property
    def tenant(self) -> str:
        """The tenant, or a bin in parentheses."""

    @property
    def postgres(self) -> Mapping[str, int]:
        """Items by table."""

    @property
    def neo4j(self) -> Mapping[str, int]:
        """Items by label or relationship type."""

    @property
    def qdrant(self) -> Mapping[str, int]:
        """Items by collection."""


def matrix_tables(rows: Sequence[Row], width: int) -> Iterator[Table | Text]:
    """Yield what shows *rows* within *width* columns: a heading, a table and an empty line each."""
    if not rows:
        return
    columns = [(store, name) for store in STORES for name in _objects(rows, store)]
    if _needed(rows, columns) <= width:
        yield from _titled("items by tenant", _upright(rows, columns, with_store=True))
        return
    for store in STORES:
        own = [column for column in columns if column[0] == store]
        title = f"{store}: items by tenant"
        if not own:
            continue
        if _needed(rows, own) <= width:
            yield from _titled(title, _upright(rows, own))
        elif _needed_turned(rows, own) <= width:
            yield from _titled(title, _turned(rows, own))
        else:
            for part in _cut(rows, own, width):
                yield from _titled(title, _upright(rows, part))


def _titled(title: str, table: Table) -> Iterator[Table | Text]:
    # Not the table's own title: that one is cut to the width of a narrow table.
    yield Text(title, style="bold")
    yield table
    yield Text("")


def _objects(rows: Sequence[Row], store: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in getattr(row, store)))


def _count(row: Row, column: Column) -> int | None:
    counts: Mapping[str, int] = getattr(row, column[0])
    return counts.get(column[1])


def _total(rows: Sequence[Row], column: Column) -> int:
    return sum(_count(row, column) or 0 for row in rows)


def _heading(name: str) -> str:
    """Return a name that may break where its words end: names are far longer than the numbers under them."""
    return name.replace("_", "_\n").replace(".", ".\n")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in mask_secrets(text))


def _longest(text: str) -> int:
    return max((len(line) for line in text.splitlines()), default=0)


def _width(rows: Sequence[Row], column: Column, with_store: bool = False) -> int:
    heading = _longest(_heading(column[1]))
    return max(heading, len(column[0]) if with_store else 0, len(f"{_total(rows, column):,}")) + _PADDING


def _first_width(rows: Sequence[Row]) -> int:
    return max(len(TENANT), *(len(row.tenant) for row in rows)) + _PADDING


def _needed(rows: Sequence[Row], columns: Sequence[Column]) -> int:
    stores = len({store for store, _ in columns}) > 1
    return _first_width(rows) + sum(_width(rows, column, stores) for column in columns)


def _needed_turned(rows: Sequence[Row], columns: Sequence[Column]) -> int:
    largest = max(len(f"{_total(rows, column):,}") for column in columns)
    names = max(len(name) for _, name in columns) + _PADDING
    return names + sum(max(_longest(row.tenant), largest) + _PADDING for row in rows) + largest + _PADDING


def _cut(rows: Sequence[Row], columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    part: list[Column] = []
    for column in columns:
        if part and _needed(rows, [*part, column]) > width:
            yield part
            part = []
        part.append(column)
    yield part


def _table() -> Table:
    return Table(box=None, pad_edge=False)


def _upright(rows: Sequence[Row], columns: Sequence[Column], with_store: bool = False) -> Table:
    table = _table()
    table.add_column(Text(TENANT), no_wrap=True, vertical="bottom")
    previous = ""
    for store, name in columns:
        above = f"{store}\n" if with_store and store != previous else "\n" if with_store else ""
        previous = store
        table.add_column(Text(above + _heading(_printable(name))), justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        cells = [_cell(row, _count(row, column)) for column in columns]
        table.add_row(Text(_printable(row.tenant), style=_style(row)), *cells)
    table.add_section()
    table.add_row(Text("total", style="bold"), *(Text(f"{_total(rows, c):,}", style="bold") for c in columns))
    return table


def _turned(rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    table = _table()
    table.add_column("object", no_wrap=True)
    for row in rows:
        table.add_column(Text(_printable(row.tenant), style=_style(row)), justify="right", no_wrap=True)
    table.add_column("total", justify="right", no_wrap=True)
    for column in columns:
        cells = [_cell(row, _count(row, column)) for row in rows]
        table.add_row(Text(_printable(column[1])), *cells, Text(f"{_total(rows, column):,}", style="bold"))
    return table


def _cell(row: Row, count: int | None) -> Text:
    if count is None:
        return Text("")
    if count == 0:
        return Text("0", style="dim")
    return Text(f"{count:,}", style=_style(row))


def _style(row: Row) -> str:
    """Return how a row is shown: what nobody owns must be seen."""
    return {"(unassigned)": "bold red", "(conflict)": "bold red", "(quarantine)": "yellow"}.get(row.tenant, "")
