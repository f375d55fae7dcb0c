"""The installed command waits where a store suffers: it says for what, is steered from another terminal, and ends at
once when it is asked to.

What a backfill costs the application beside it is measured by ``python -m bench.gentle``: a figure that a busy machine
would spoil is no test.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_kit import COMMAND, Ran, run_tenure

PATIENCE = 120.0
ROWS = 20_000
SCHEMA = f"""
CREATE TABLE projects (id text PRIMARY KEY);
INSERT INTO projects VALUES ('a'), ('b');
CREATE TABLE notes (id int PRIMARY KEY, project text NOT NULL);
INSERT INTO notes SELECT n, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, {ROWS}) n;
"""
PLAYBOOK = """version: 1
tenant: {key: project_id, registry: {table: projects, column: id}}
connections: {postgres: {url: "%s"}}
postgres:
  notes: {tenant: {column: project}}
limits: {%s}
"""
APPLY = ("apply", "--through", "backfill", "--allow", "NO_BACKUP")
SLOT = "pg_create_physical_replication_slot('tenure_test_forgotten', true)"


@pytest.fixture
def folder(postgres_dsn: str, tmp_path: Path) -> Iterator[Path]:
    """Where the playbook is; the database has a table of 20,000 rows, and no slot outlives the test."""
    execute(postgres_dsn, SCHEMA)
    yield tmp_path
    execute(postgres_dsn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")


def execute(dsn: str, statement: str) -> Any:
    """Run what the application or its DBA would, and return the first row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchone() if cursor.description else None


def write(folder: Path, dsn: str, limits: str) -> None:
    (folder / "tenure.yaml").write_text(PLAYBOOK % (dsn, limits))


def tenure(folder: Path, *arguments: str) -> Ran:
    return run_tenure(*arguments, cwd=folder)


@contextmanager
def applying(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `tenure apply` while the block lasts."""
    with subprocess.Popen(
        [COMMAND, *APPLY], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as it:
        try:
            yield it
        finally:
            it.kill()


def until(true: Callable[[], Any], what: str) -> Any:
    """Return what *true* gives once it is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.2)
    return found


def waits(folder: Path, process: subprocess.Popen[str]) -> str:
    """Return the reason that `tenure status` gives, once the run waits."""

    def reason() -> str:
        assert process.poll() is None, process.communicate()
        run = tenure(folder, "status", "--json").document["run"]
        return run["reason"] if run and run["reason"].startswith("waits: ") else ""

    return str(until(reason, "the run to wait"))


def test_a_run_that_waits_says_why_and_is_steered_from_another_terminal(postgres_dsn: str, folder: Path) -> None:
    execute(postgres_dsn, f"SELECT {SLOT}")
    write(folder, postgres_dsn, "slot_wal: 64kB")
    with applying(folder) as process:
        reason = waits(folder, process)
        assert "replication slot tenure_test_forgotten, which nobody reads, keeps" in reason
        assert execute(postgres_dsn, "SELECT count(project_id) FROM notes") == (0,)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, said
        assert time.monotonic() - asked < 30
        assert "waits: replication slot tenure_test_forgotten" in said
    wrong = tenure(folder, "limit", "slot_wal=plenty")
    assert (wrong.code, "10GB, or off" in wrong.err) == (2, True), wrong.err
    with applying(folder) as process:
        waits(folder, process)
        told = tenure(folder, "limit", "slot_wal=off")
        assert (told.code, told.out.startswith("slot_wal is off: ")) == (0, True), told
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    assert execute(postgres_dsn, "SELECT count(*) FROM notes WHERE project_id IS DISTINCT FROM project") == (0,)
    document = tenure(folder, "status", "--json").document
    assert document["run"]["state"] == "done"
    assert document["controls"] == {"slot_wal": "off"}
    assert "goes on" in [event["kind"] for event in document["events"]]


def test_a_snapshot_that_somebody_holds_is_waited_for_within_bounds(postgres_dsn: str, folder: Path) -> None:
    write(folder, postgres_dsn, "snapshot: 1s, patience: 3s")
    with psycopg.connect(postgres_dsn, application_name="report") as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        # A snapshot and no lock: the column can be added.
        holder.execute("SELECT 1")
        time.sleep(1.5)
        done = tenure(folder, *APPLY)
    assert done.code == 0, done.err
    assert "waits: the session of postgres (report), pid " in done.err
    assert "goes on after 3 s of waiting, although the session of postgres (report), pid " in done.err
    assert execute(postgres_dsn, "SELECT count(*) FROM notes WHERE project_id IS DISTINCT FROM project") == (0,)
