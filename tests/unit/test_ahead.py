"""Reading ahead: the same items in the same order, errors where they belong, and nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from tenure.operations.ahead import one_ahead


def numbers(log: list[str], upto: int, *, fails: bool = False) -> Generator[int, None, None]:
    """Count, and note when it is closed."""
    try:
        for number in range(upto):
            log.append(f"read {number}")
            yield number
        if fails:
            raise ValueError("broken")
    finally:
        log.append("closed")


def test_the_items_come_in_order_and_the_source_is_closed() -> None:
    log: list[str] = []
    assert list(one_ahead(numbers(log, 100))) == list(range(100))
    assert log[-1] == "closed"


def test_the_next_is_read_while_the_last_is_worked_on() -> None:
    """Item 1 is read before item 0 is given back; item 50 is not."""
    log: list[str] = []
    second = threading.Event()

    def told() -> Generator[int, None, None]:
        for number in numbers(log, 100):
            if number == 1:
                second.set()
            yield number

    items = one_ahead(told())
    assert next(items) == 0
    assert second.wait(10)
    assert "read 50" not in log
    assert sum(1 for _ in items) == 99


def test_an_error_of_the_source_comes_after_its_items() -> None:
    items = one_ahead(numbers([], 3, fails=True))
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_whoever_stops_in_the_middle_leaves_nothing_behind() -> None:
    log: list[str] = []
    before = threading.active_count()

    def stops() -> None:
        with closing(one_ahead(numbers(log, 1000))) as items:
            for item in items:
                if item == 2:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stops()
    assert log[-1] == "closed"
    assert threading.active_count() == before
    assert len(log) < 20
