"""How a heap is cut into ranges, passes and batches, and where a range stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

RANGE_PAGES = 2_000  # 16 MB: the pages of a range stay cached over its passes
LEAST_RANGE_PAGES = 400
# Smaller tables have smaller ranges: room that finished ones left is of use only to those that come after them.
LEAST_RANGES = 16
# A batch is at most a quarter of its range. A pass reuses the room of the one before it only when no transaction is
# left that began before that one's end; with batches on other pages in between, other workers' batches have ended too.
PARTS = 4
MOST_PAGES = RANGE_PAGES // PARTS
START_PAGES = 250
LEAST_PAGES = 16
# More passes are more scans and move fewer rows: of a million, 84 % stayed on their page in 12, 88 % in 20, and the
# heap grew by 10 and 8.7 %.
PASSES = 14
FEW_ROWS = 5_000  # a table this small is done in one pass: a dozen commits would cost more than they save
FIRST_TIDY = 2
TIDY_GROWTH = 1.5


def passes_for(rows: int, rows_per_page: int, fillfactor: int) -> int:
    """Return how many passes over its pages a table of *rows* takes.

    Pages that were left with room on purpose take as much of themselves at once as there is room for: half-empty ones
    are done in one pass. No pass is left without a row on a page of the usual density.
    """
    if rows <= FEW_ROWS:
        return 1
    free = max(0, 100 - fillfactor)
    enough = math.ceil((100 - free) / free) if free else PASSES
    return max(1, min(PASSES, enough, rows_per_page or PASSES))


def tidies(number: int) -> bool:
    """Return whether range *number* of a table begins by making the room known that the ranges before it left.

    What a finished range has free is found by the rows that later ranges move only when it was vacuumed. The ranges
    that do lie half as far apart again each time, so that all of these scans together read the table three times at
    most, however large it is.
    """
    at = FIRST_TIDY
    while at < number:
        at = math.ceil(at * TIDY_GROWTH)
    return at == number


def page_ranges(pages: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a heap of *pages*: first page, page behind the last."""
    size = max(LEAST_RANGE_PAGES, min(RANGE_PAGES, pages // LEAST_RANGES))
    for first in range(0, pages, size):
        yield first, min(first + size, pages)


def batch_end(place: Place, bounds: Mapping[str, Any], pages: int) -> int:
    """Return the page behind the batch that begins at *place* and may have *pages*: at most a part of the range."""
    first, end = int(bounds["from"]), int(bounds["to"])
    most = max(LEAST_PAGES, -(-(end - first) // PARTS))
    return min(place.page + min(pages, most), end)


class Place(NamedTuple):
    """Where a range stands: the pass, and the page that its next batch begins on.

    With `rest` 0 the passes are those of the plain statement; else they are the `rest` passes of the deciding one, over
    what the plain statement left.
    """

    number: int
    page: int
    rest: int = 0

    @classmethod
    def of(cls, bounds: Mapping[str, Any], cursor: Mapping[str, Any] | None, *, plainly: bool) -> Place:
        """Return the place that a cursor names; one of an earlier version has nothing but the number of the pass."""
        known = cursor or {}
        rest = int(known.get("rest", 0))
        return cls(
            int(known.get("pass", 0)),
            int(known.get("page", bounds["from"])),
            rest if rest or plainly else int(bounds["passes"]),
        )

    def passes(self, bounds: Mapping[str, Any]) -> int:
        """Return how many passes there are of the kind that the place is in."""
        return self.rest or int(bounds["passes"])

    def after(self, end: int, bounds: Mapping[str, Any]) -> Place | None:
        """Return the place behind a batch that ended before page *end*; None behind the last pass of its kind."""
        if end < int(bounds["to"]):
            return self._replace(page=end)
        if self.number + 1 < self.passes(bounds):
            return self._replace(number=self.number + 1, page=int(bounds["from"]))
        return None

    def cursor(self) -> dict[str, int]:
        """Return what the ledger keeps."""
        kept = {"pass": self.number, "page": self.page}
        return {**kept, "rest": self.rest} if self.rest else kept
