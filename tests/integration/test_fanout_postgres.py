"""Several processes take the ranges of one run: within the limit, once each, through pauses, kills and failures."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from fanout_kit import LINES, PLAYBOOK, Fleet, fleet

pytestmark = pytest.mark.timeout(900)

SMALL = {"TEST_SMALL": "0.15"}
LEASE_SECONDS = 4
ROWS = 15_000
CLAIMED = """SELECT count(*) FROM tenure.range r JOIN tenure.worker w USING (token)
             WHERE r.state <> 'done' AND w.expires > clock_timestamp()"""


def _claimed(fleet_: Fleet) -> int:
    (row,) = fleet_.ask(CLAIMED)
    return int(row[0])


def _changed(fleet_: Fleet) -> int:
    query = "SELECT coalesce(sum(changed), 0)::int FROM tenure.range WHERE operation = %s"
    (row,) = fleet_.ask(query, LINES)
    return int(row[0])


def _begun(fleet_: Fleet, least: int = 1) -> bool:
    (there,) = fleet_.ask("SELECT to_regclass('tenure.range') IS NOT NULL")
    return bool(there[0]) and _changed(fleet_) >= least


def _holders(fleet_: Fleet) -> set[str]:
    """Who holds ranges now, as host:process."""
    query = "SELECT DISTINCT w.holder FROM tenure.range r JOIN tenure.worker w USING (token) WHERE r.state <> 'done'"
    return {row[0] for row in fleet_.ask(query)}


def _pid(holder: str) -> int:
    return int(holder.rpartition(":")[2])


def _whole(fleet_: Fleet, rows: int = ROWS) -> None:
    """Every row has the tenant of its file, and every range was counted once."""
    query = "SELECT count(*) FROM lines l JOIN files f ON f.id = l.file WHERE l.project_id = f.project"
    assert fleet_.ask(query) == [(rows,)]
    assert _changed(fleet_) == rows
    assert fleet_.ask("SELECT changed, state FROM tenure.operation WHERE id = %s", LINES) == [(rows, "done")]
    # Nothing of it is left: no worker, no offer, no queue.
    assert fleet_.ask("SELECT (SELECT count(*) FROM tenure.fanout), (SELECT count(*) FROM tenure.worker)") == [(0, 0)]
    assert fleet_.ask("SELECT relname FROM pg_class WHERE relname ~ '^procrastinate'") == []
    assert fleet_.ask("SELECT proname FROM pg_proc WHERE proname ~ '^procrastinate'") == []


def test_two_workers_share_within_the_limit_and_heed_pause_resume_and_limit(postgres_dsn: str, tmp_path: Path) -> None:
    with fleet(postgres_dsn, tmp_path, ROWS) as fleet_:
        both = [fleet_.worker("--once", **SMALL) for _ in range(2)]
        run = fleet_.apply(**SMALL)
        most = 0

        def both_at_work() -> bool:
            nonlocal most
            most = max(most, _claimed(fleet_) if _begun(fleet_) else 0)
            return _begun(fleet_, 500) and len(_holders(fleet_)) == 2

        fleet_.until(both_at_work, run, *both)
        fleet_.request("pause", "on")
        fleet_.until(lambda: fleet_.ask("SELECT state FROM tenure.run") == [("paused",)], run, *both)
        # The batches in hand are done within the second in which a worker hears of it.
        fleet_.until(lambda: _stands_still(fleet_, 2.0), run, *both)
        assert _changed(fleet_) < ROWS
        fleet_.request("workers.postgres", "1")
        stood = _changed(fleet_)
        fleet_.request("pause", "off")
        fleet_.until(lambda: _changed(fleet_) > stood, run, *both)
        # What was claimed is ended first; from then on one range is claimed at a time, over both.
        fleet_.until(lambda: _claimed(fleet_) <= 1, run, *both)
        over, end = 0, time.monotonic() + 5
        while run.poll() is None and time.monotonic() < end:
            over = max(over, _claimed(fleet_))
            time.sleep(0.01)  # a sample of what the database says, not a wait for anything
        assert over == 1
        fleet_.request("workers.postgres", "6")
        fleet_.until(lambda: _claimed(fleet_) > 4, run, *both)
        assert 1 < most <= 4
        code, output = fleet_.ended(run)
        assert code == 0, output
        for worker in both:
            code, output = fleet_.ended(worker)
            assert code == 0, output
        _whole(fleet_)
        # Both did a good part, and nothing was left to the run itself.
        query = "SELECT token::text, count(*) FROM tenure.range WHERE operation = %s GROUP BY 1 ORDER BY 2"
        shares = fleet_.ask(query, LINES)
        assert len(shares) == 2, shares


def _stands_still(fleet_: Fleet, seconds: float) -> bool:
    before = _changed(fleet_)
    time.sleep(seconds)  # the time over which nothing must change
    return _changed(fleet_) == before


def test_the_ranges_of_a_killed_worker_go_to_the_other_at_once(postgres_dsn: str, tmp_path: Path) -> None:
    with fleet(postgres_dsn, tmp_path, ROWS) as fleet_:
        killed, other = (fleet_.worker("--once", **SMALL) for _ in range(2))
        run = fleet_.apply(**SMALL)
        fleet_.until(lambda: _begun(fleet_, 500) and len(_holders(fleet_)) == 2, run, killed, other)
        killed.kill()
        # Noticed by its process, not by its row, which would run for 30 s more.
        began = time.monotonic()
        fleet_.until(lambda: killed.pid not in {_pid(holder) for holder in _holders(fleet_)}, run, other)
        assert time.monotonic() - began < 20
        code, output = fleet_.ended(run)
        assert code == 0, output
        code, output = fleet_.ended(other)
        assert code == 0, output
        ((detail,),) = fleet_.ask("SELECT detail FROM tenure.event WHERE kind = 'worker died'")
        assert f":{killed.pid} is gone" in detail
        _whole(fleet_)


def test_workers_outlive_a_killed_run_stop_in_order_and_serve_the_next(postgres_dsn: str, tmp_path: Path) -> None:
    brief = {**SMALL, "TEST_LEASE_SECONDS": str(LEASE_SECONDS)}
    with fleet(postgres_dsn, tmp_path, ROWS) as fleet_:
        both = [fleet_.worker(**SMALL) for _ in range(2)]
        run = fleet_.apply(**brief)
        fleet_.until(lambda: _begun(fleet_, 500) and len(_holders(fleet_)) == 2, run, *both)
        run.kill()
        # Their offer ends with the run's lease: they put back what they hold, and wait.
        fleet_.until(lambda: _claimed(fleet_) == 0, *both)
        stopped = _changed(fleet_)
        assert stopped < ROWS
        assert _stands_still(fleet_, 1.0)
        again = fleet_.apply(**SMALL)
        fleet_.until(lambda: _changed(fleet_) > stopped and len(_holders(fleet_)) == 2, again, *both)

        # SIGTERM ends a worker in order; the other takes its ranges.
        both[0].send_signal(signal.SIGTERM)
        code, output = fleet_.ended(both[0])
        assert code == 0, output
        assert "put back" in output
        assert not [holder for holder in _holders(fleet_) if _pid(holder) == both[0].pid]

        # Ctrl-C ends the run in order: when it is back at the prompt, nobody writes any more.
        before = _changed(fleet_)
        fleet_.until(lambda: _changed(fleet_) > before, again, both[1])
        again.send_signal(signal.SIGINT)
        code, output = fleet_.ended(again)
        assert code == 130, output
        assert _claimed(fleet_) == 0
        rest = _changed(fleet_)
        assert rest < ROWS

        # Without --fanout the rest is done by threads; a worker that waits is not in the way.
        code, output = fleet_.ended(fleet_.start("apply", "--allow", "NO_BACKUP"))
        assert code == 0, output
        both[1].send_signal(signal.SIGINT)
        code, output = fleet_.ended(both[1])
        assert code == 0, output
        _whole(fleet_)


def test_a_run_alone_begins_itself_and_leaves_the_rest_to_a_worker_that_comes(
    postgres_dsn: str, tmp_path: Path
) -> None:
    with fleet(postgres_dsn, tmp_path, ROWS) as fleet_:
        run = fleet_.apply(**SMALL)
        fleet_.until(lambda: _begun(fleet_, 500), run)
        fleet_.request("pause", "on")
        fleet_.until(lambda: fleet_.ask("SELECT state FROM tenure.run") == [("paused",)], run)
        assert {_pid(holder) for holder in _holders(fleet_)} == {run.pid}

        # One that was given another playbook takes nothing and says why.
        other = tmp_path / "other.yaml"
        other.write_text(PLAYBOOK.replace("{column: project}", "{column: project}, unassigned: shared"))
        code, output = fleet_.ended(fleet_.worker("-f", str(other)))
        assert code == 3, output
        assert "playbook" in output

        worker = fleet_.worker("--once", "--threads", "2", **SMALL)
        present = "SELECT holder FROM tenure.worker"
        fleet_.until(lambda: worker.pid in {_pid(row[0]) for row in fleet_.ask(present)}, run, worker)
        fleet_.request("pause", "off")
        # The run ends the ranges in its hands and leaves the rest.
        fleet_.until(lambda: {_pid(holder) for holder in _holders(fleet_)} == {worker.pid}, run, worker)
        code, output = fleet_.ended(run)
        assert code == 0, output
        assert "no worker is alive" in output
        assert fleet_.ended(worker)[0] == 0
        _whole(fleet_)


def test_a_range_that_fails_is_put_back_and_ends_the_run_with_its_reason(postgres_dsn: str, tmp_path: Path) -> None:
    broken = {"TEST_BROKEN_RANGE": "0"}
    with fleet(postgres_dsn, tmp_path, 3000) as fleet_:
        worker = fleet_.worker(**broken)
        run = fleet_.apply(**broken)
        # The worker ends with it, and the run, which takes the rest then, too.
        for process in (worker, run):
            code, output = fleet_.ended(process)
            assert code == 5, output
            assert "range 0" in output
            assert "it broke here" in output
            assert "Traceback" not in output
        assert _claimed(fleet_) == 0
        query = "SELECT DISTINCT number, problem ~ 'it broke here' FROM tenure.range_failure"
        assert fleet_.ask(query) == [(0, True)]
        code, output = fleet_.ended(fleet_.apply(**SMALL))
        assert code == 0, output
        _whole(fleet_, 3000)
