"""The size of a batch follows the time that batches take."""

from __future__ import annotations

import threading

from tenure.runner.pace import Pace

OPERATION = "backfill:table"


def paced(batch_ms: int = 300) -> Pace:
    pace = Pace(lambda: batch_ms)
    assert pace.size(OPERATION, start=1_000, least=100, most=10_000) == 1_000
    return pace


def now(pace: Pace) -> int:
    return pace.size(OPERATION, start=1_000, least=100, most=10_000)


def test_a_slow_batch_halves_the_next_one_down_to_the_least() -> None:
    pace = paced()
    sizes = []
    for _ in range(6):
        pace.took(OPERATION, now(pace), 0.5)
        sizes.append(now(pace))
    assert sizes == [500, 250, 125, 100, 100, 100]


def test_quick_batches_add_a_twentieth_of_the_most_up_to_it() -> None:
    pace = paced()
    pace.took(OPERATION, now(pace), 0.01)
    assert now(pace) == 1_500
    for _ in range(30):
        pace.took(OPERATION, now(pace), 0.01)
    assert now(pace) == 10_000


def test_a_batch_that_fits_changes_nothing() -> None:
    pace = paced()
    pace.took(OPERATION, 1_000, 0.25)
    assert now(pace) == 1_000


def test_a_short_batch_at_the_end_of_a_range_does_not_grow_the_next() -> None:
    pace = paced()
    pace.took(OPERATION, 7, 0.001)
    assert now(pace) == 1_000


def test_the_time_that_is_asked_for_may_change_while_it_runs() -> None:
    asked = [300]
    pace = Pace(lambda: asked[0])
    pace.size(OPERATION, start=1_000, least=100, most=10_000)
    asked[0] = 50
    pace.took(OPERATION, 1_000, 0.2)
    assert now(pace) == 500


def test_batches_are_shorter_while_others_are_at_work() -> None:
    pace = Pace(lambda: 300)

    def size() -> int:
        return pace.size("a", start=1200, least=1, most=1200)

    assert size() == 1200
    pace.took("a", 1200, 0.2)
    assert size() == 1200
    pace.be_gentle(True)
    assert size() == 200, "at once"
    pace.be_gentle(True)
    assert size() == 200, "once"
    pace.took("a", 200, 0.06)
    assert size() == 100
    pace.be_gentle(False)
    pace.took("a", 100, 0.1)
    assert size() == 160


def test_who_asked_for_short_batches_gets_no_shorter_ones() -> None:
    pace = Pace(lambda: 20)
    assert pace.size("a", start=1000, least=1, most=1000) == 1000
    pace.be_gentle(True)
    assert pace.size("a", start=1000, least=1, most=1000) == 1000
    pace.took("a", 1000, 0.03)
    assert pace.size("a", start=1000, least=1, most=1000) == 500


def test_one_batch_runs_at_a_time_while_others_are_at_work() -> None:
    pace = paced()
    entered = threading.Event()

    def another() -> None:
        with pace.timed(OPERATION, 1):
            entered.set()

    pace.be_gentle(True)
    thread = threading.Thread(target=another)
    with pace.timed(OPERATION, 1):
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join()
    pace.be_gentle(False)
    entered.clear()
    thread = threading.Thread(target=another)
    with pace.timed(OPERATION, 1):
        thread.start()
        assert entered.wait(10)
    thread.join()
