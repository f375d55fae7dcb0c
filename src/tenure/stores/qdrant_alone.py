"""Tells whether anybody else has written to a collection meanwhile, by the numbers that a server gives to updates.

A shard numbers every update that it takes, whoever sends it, and applies them in that order. When an update was the
seventh and five of ours later the last is the twelfth, nobody else has written in between: what our conditional writes
were to change they have changed, and there is nothing to count.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple


class Mark(NamedTuple):
    """The number of our last update of a collection, and how many updates of ours there have been."""

    last: int
    ours: int


class Alone:
    """Keeps what the updates of one store's client were numbered."""

    def __init__(self) -> None:
        """Know of no update."""
        self._marks: dict[str, Mark] = {}
        self._lock = threading.Lock()

    def note(self, collection: str, numbers: Sequence[int | None]) -> None:
        """Learn the numbers of updates that are applied. One that was sent twice, or has no number, makes two marks
        that it lies between differ in more than ours."""
        with self._lock:
            before = self._marks.get(collection, Mark(0, 0))
            last = max([before.last, *(number for number in numbers if number is not None)])
            self._marks[collection] = Mark(last, before.ours + len(numbers))

    def mark(self, collection: str) -> Mark | None:
        """Return where it stands; None before the first update. To be asked while none is under way."""
        with self._lock:
            return self._marks.get(collection)

    def since(self, collection: str, mark: Mark | None) -> bool:
        """Return whether all updates since *mark* are ours; without a mark nobody knows."""
        now = self.mark(collection)
        return mark is not None and now is not None and now.last - mark.last == now.ours - mark.ours
