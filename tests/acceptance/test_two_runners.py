"""Only one runner works at a time: the second one is refused, a dead one is followed at once, a late one steps back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest
from world import Ended, Migration, World

from tenure.errors import LeaseHeldError
from tenure.ledger import Ledger
from tenure.runner.context import StopSignal
from tenure.runner.lease import held
from tenure.runner.process import is_gone, this_process
from tenure.stores.postgres import PostgresStore

LEASE_HELD = 4
LEASE_SECONDS = 4
# The operation that the runners meet in; it is long enough that one is surely found in it.
MEETING = "neo4j.node_backfill.Fragmento"


def _holder(migration: Migration) -> str | None:
    with psycopg.connect(migration.dsn) as connection:
        row = connection.execute("SELECT holder FROM tenure.lease WHERE token IS NOT NULL").fetchone()
    return row[0] if row else None


def _written_once(migration: Migration) -> None:
    written = migration.audit.written()
    assert written
    assert all(len(values) == 1 for values in written.values()), {i: v for i, v in written.items() if len(v) > 1}


def _attempts(migration: Migration) -> dict[str, int]:
    return {identity: attempts for identity, _, _, _, _, attempts in migration.operations()}


def test_of_two_runners_started_at_once_one_is_refused(world: World) -> None:
    with world.fresh() as migration:
        both = [migration.start(), migration.start()]
        ended = [migration.wait(process) for process in both]
        codes = sorted(each.code for each in ended)
        outputs = "\n".join(each.output for each in ended)
        assert codes == [0, LEASE_HELD], outputs
        refused = next(each for each in ended if each.code == LEASE_HELD)
        assert "Another runner" in refused.output
        assert "Traceback" not in outputs
        # No operation was begun by both, no row was written by both.
        assert set(_attempts(migration).values()) <= {0, 1}
        _written_once(migration)


def test_a_runner_whose_process_is_gone_is_followed_at_once(world: World) -> None:
    with world.fresh() as migration:
        first = migration.start()
        assert migration.wait_until(MEETING, first, ("running",))
        # Not waited for: it stays a zombie, as it would under a parent that does not look after its children.
        first.kill()
        began = time.monotonic()
        second = migration.start()
        ended = migration.wait(second)
        assert ended.code == 0, ended.output
        assert _holder(migration) is None
        migration.wait(first)
        assert first.returncode == -signal.SIGKILL
        _written_once(migration)
        print(f"followed and finished {time.monotonic() - began:.1f} s after the kill; its lease would have run 30 s")


def test_a_runner_stopped_past_its_lease_steps_back_when_it_wakes(world: World) -> None:
    lease = {"TEST_LEASE_SECONDS": str(LEASE_SECONDS), "TEST_SMALL_BATCHES": "1"}
    with world.fresh() as migration:
        late = migration.start(**lease)
        assert migration.wait_until(MEETING, late, ("running",))
        late.send_signal(signal.SIGSTOP)
        # It lives, so nobody takes over before its lease has run out.
        with (
            PostgresStore(migration.dsn) as store,
            pytest.raises(LeaseHeldError),
            held(Ledger(store), "a test", StopSignal()),
        ):
            pytest.fail("two runners hold the lease")
        _let_the_lease_run_out(migration)
        other = migration.start(**lease)
        while not (_holder(migration) or "").endswith(f":{other.pid}"):
            assert other.poll() is None, migration.wait(other).output
            time.sleep(0.01)
        late.send_signal(signal.SIGCONT)
        ended = _both(migration, late, other)
        assert ended[0].code == LEASE_HELD, ended[0].output
        assert "took the lease over" in ended[0].output
        assert ended[1].code == 0, ended[1].output
        _written_once(migration)
        with psycopg.connect(migration.dsn) as connection:
            state = connection.execute("SELECT state, reason FROM tenure.run ORDER BY id DESC LIMIT 1").fetchone()
        # The late one did not write its own end over the other one's.
        assert state is not None
        assert state[0] == "done", state
        assert migration.apply().code == 0


def test_what_a_killed_runner_had_asked_of_postgres_ends_with_it(postgres_dsn: str) -> None:
    # Long index builds and their locks would otherwise stand in the next runner's way until they are done.
    program = "import sys; from tenure.stores.postgres import PostgresStore as P; " + (
        "c = P(sys.argv[1]).dedicated(); c.execute('SET application_name = asleep'); c.execute('SELECT pg_sleep(600)')"
    )
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'asleep' AND query ~ 'pg_sleep'"
    process = subprocess.Popen([sys.executable, "-c", program, postgres_dsn])
    try:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            while connection.execute(asleep).fetchone() != (1,):
                assert process.poll() is None
            process.kill()
            process.wait()
            began = time.monotonic()
            while connection.execute(asleep).fetchone() != (0,):
                assert time.monotonic() - began < 60, "the statement of a dead process goes on"
    finally:
        process.kill()


def _let_the_lease_run_out(migration: Migration) -> None:
    with psycopg.connect(migration.dsn, autocommit=True) as connection:
        while connection.execute("SELECT expires > clock_timestamp() FROM tenure.lease").fetchone() == (True,):
            time.sleep(0.1)


def _both(migration: Migration, *processes: subprocess.Popen[str]) -> list[Ended]:
    return [migration.wait(process) for process in processes]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc")
def test_a_process_is_known_to_be_gone_only_where_its_number_means_it() -> None:
    own = this_process()
    boot, namespace, number, started = own.split()
    assert int(number) == os.getpid()
    assert not is_gone(own)
    # Its number was given to a process that started at another time.
    assert is_gone(f"{boot} {namespace} {number} {int(started) + 1}")
    # Another boot, another container, a runner that could not name itself, nonsense: nothing can be known.
    assert not is_gone(f"{'0' * len(boot)} {namespace} {number} {int(started) + 1}")
    assert not is_gone(f"{boot} pid:[1] {number} {int(started) + 1}")
    assert not is_gone("")
    assert not is_gone("x y z")
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    with open(f"/proc/{child.pid}/stat") as file:
        name = f"{boot} {namespace} {child.pid} {file.read().rpartition(')')[2].split()[19]}"
    assert not is_gone(name)
    child.send_signal(signal.SIGSTOP)
    assert not is_gone(name)  # stopped is not gone
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(name)  # a zombie
    child.wait()
    assert is_gone(name)
