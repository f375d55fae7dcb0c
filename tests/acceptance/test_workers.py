"""Two `tenure worker` processes take the ranges of one run; one of them is killed, and the end is the same.

The run is compared with one that nobody disturbed, as in test_kill_resume.py: fingerprints of all three stores, every
row written once by Postgres's own log, and for Neo4j and Qdrant a witness that notes what they are asked to write.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
from world import PATIENCE, Migration, World

from tenure.demo.fingerprint import differences

# Long enough that both workers are surely found in them.
IN_POSTGRES, IN_NEO4J = "postgres.backfill_rows.entrevista_fragmentos", "neo4j.node_backfill.Fragmento"
HOLDERS = """SELECT DISTINCT w.holder FROM tenure.range r JOIN tenure.worker w USING (token)
             WHERE r.operation = %s AND r.state <> 'done'"""


def _worker(migration: Migration, witness: Path) -> subprocess.Popen[str]:
    return migration.start("worker", "--once", TEST_SMALL_BATCHES="1", TEST_WRITES=str(witness))


def _holding(migration: Migration, operation: str, worker: subprocess.Popen[str], run: subprocess.Popen[str]) -> None:
    """Wait until *worker* holds a range of *operation*."""
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(migration.dsn, autocommit=True) as connection:
        while True:
            assert time.monotonic() < deadline, f"the worker never held a range of {operation}"
            assert run.poll() is None, migration.wait(run).output
            assert worker.poll() is None, migration.wait(worker).output
            there = connection.execute("SELECT to_regclass('tenure.worker') IS NOT NULL").fetchone()
            if there == (True,):
                holders = {row[0] for row in connection.execute(HOLDERS, [operation])}
                if any(holder.endswith(f":{worker.pid}") for holder in holders):
                    return
            time.sleep(0.002)


def _asked(*witnesses: Path) -> dict[str, set[str]]:
    """Return the keys that workers asked Neo4j and Qdrant to write, by item."""
    found: dict[str, set[str]] = {}
    for witness in witnesses:
        for line in witness.read_text().splitlines() if witness.exists() else ():
            try:
                store, key, items = json.loads(line)
            except ValueError:
                continue  # cut off by the kill: never sent
            for item in items:
                found.setdefault(f"{store}:{item}", set()).add(key)
    return found


@pytest.mark.timeout(1800)
def test_a_killed_worker_is_followed_and_nothing_is_written_twice(world: World, tmp_path: Path) -> None:
    with world.fresh() as migration:
        ended = migration.apply()
        assert ended.code == 0, ended.output
        undisturbed, rows = migration.fingerprint(), len(migration.audit.written())
    with world.fresh() as migration:
        witnesses = [tmp_path / f"writes_{number}" for number in range(4)]
        first, second = (_worker(migration, witness) for witness in witnesses[:2])
        # The run decides how small the ranges are.
        small = {"TEST_SMALL_BATCHES": "1", "TEST_WRITES": str(witnesses[3])}
        run = migration.start("apply", "--fanout", "--allow", "NO_BACKUP", **small)

        _holding(migration, IN_POSTGRES, first, run)
        first.kill()
        assert migration.wait(first).code == -signal.SIGKILL

        # Another one comes for it, and one leaves in order.
        third = _worker(migration, witnesses[2])
        _holding(migration, IN_NEO4J, second, run)
        with psycopg.connect(migration.dsn) as connection:
            # Workers compare it with what the graph at their own address calls itself.
            assert connection.execute("SELECT graph <> '' FROM tenure.fanout").fetchone() == (True,)
        second.send_signal(signal.SIGTERM)
        left = migration.wait(second)
        assert left.code == 0, left.output

        ended, last = migration.wait(run), migration.wait(third)
        assert ended.code == 0, ended.output
        assert last.code == 0, last.output
        assert "Traceback" not in ended.output + left.output + last.output

        found = differences(undisturbed, migration.fingerprint())
        assert not found, found
        written = migration.audit.written()
        twice = {item: values for item, values in written.items() if len(values) > 1}
        assert not twice, f"rows were written more than once: {twice}"
        assert len(written) == rows
        keys = world.tenant_keys()
        asked = _asked(*witnesses)
        assert asked
        wrong = {item: values for item, values in asked.items() if values != {keys.get(item)}}
        assert not wrong, wrong
        _noticed(migration, first, second)


def _noticed(migration: Migration, killed: subprocess.Popen[str], left: subprocess.Popen[str]) -> None:
    """The ledger tells of the death, every range was ended once, and nothing of the sharing is left."""
    with psycopg.connect(migration.dsn) as connection:
        events = connection.execute("SELECT kind, detail FROM tenure.event WHERE kind LIKE 'worker%'").fetchall()
        assert [text for kind, text in events if kind == "worker died" and f":{killed.pid} is gone" in text], events
        assert not [text for kind, text in events if kind == "worker died" and f":{left.pid} " in text], events
        counts = """SELECT o.id FROM tenure.operation o JOIN tenure.range r ON r.operation = o.id
                    GROUP BY o.id, o.planned HAVING bool_or(r.state <> 'done') OR sum(r.changed) > o.planned"""
        assert connection.execute(counts).fetchall() == []
        assert connection.execute("SELECT count(*) FROM tenure.worker").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM tenure.fanout").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM pg_class WHERE relname ~ 'procrastinate'").fetchone() == (0,)
