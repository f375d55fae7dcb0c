"""Whether somebody else wrote is read off the numbers of updates: never "nobody" where it is not certain."""

from __future__ import annotations

from tenure.stores.qdrant_alone import Alone, Mark


def test_updates_that_are_all_ours_are_told_from_those_between_which_another_came() -> None:
    """Two requests under way at once share out the numbers between them, in whatever order they are learned of."""
    alone = Alone()
    assert alone.mark("c") is None
    alone.note("c", [5, 6, 7])
    mark = alone.mark("c")
    assert mark == Mark(7, 3)
    alone.note("c", [10, 12])
    alone.note("c", [8, 9, 11])
    assert alone.since("c", mark)
    alone.note("c", [14])
    assert not alone.since("c", mark), "the thirteenth was somebody else's"
    later = alone.mark("c")
    alone.note("c", [15])
    assert alone.since("c", later), "what was before a mark is nothing to it"


def test_nobody_knows_without_a_mark_or_without_numbers() -> None:
    """Before the first update, of another collection, of updates without a number, and of one that was sent twice."""
    alone = Alone()
    alone.note("c", [1])
    mark = alone.mark("c")
    assert not alone.since("c", None)
    assert not alone.since("d", mark)
    alone.note("c", [None, None])
    assert not alone.since("c", mark)
    again = Alone()
    again.note("c", [1])
    mark = again.mark("c")
    again.note("c", [3])  # the answer to the first attempt, the second, was lost
    assert not again.since("c", mark)


def test_numbers_that_stand_still_prove_nothing() -> None:
    """Local mode numbers every update 0."""
    alone = Alone()
    alone.note("c", [0])
    mark = alone.mark("c")
    alone.note("c", [0, 0])
    assert not alone.since("c", mark)
