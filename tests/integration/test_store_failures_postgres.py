"""A run on a real Postgres that goes away, refuses or loses: everything is written once, or the run says why not.

Out of memory (53200) cannot be had from a healthy server at will: `tests/unit/test_patience.py` and `test_failures.py`
hold its classification and the halving.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cutting_proxy import Cut, proxy
from failures_kit import BACKFILL, ROWS, SCHEMA, TABLES, Run, at_batch, failed, until_the_lease_ran_out, waiting, whole
from postgres_kit import application, owner_of
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tenure.demo.servers import EmbeddedPostgres
from tenure.errors import InterruptedRunError, StandbyError, StoreFailedError
from tenure.operations import row_ranges
from tenure.runner import lease
from tenure.stores import postgres, postgres_errors
from tenure.stores.postgres import PostgresStore
from tenure.values import Phase


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of a few pages, so that a small table has many batches; a lease that is soon over where it was not given
    back."""
    monkeypatch.setattr(row_ranges, "RANGE_PAGES", 60)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 5.0)


def test_backends_killed_in_the_middle_of_batches(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []

    def kill(connection: psycopg.Connection[Any]) -> None:
        killed.append(connection.info.backend_pid)
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (killed[-1],))

    with (
        application(postgres_dsn, tmp_path, SCHEMA, TABLES) as app,
        at_batch(monkeypatch, 2, kill),
        at_batch(monkeypatch, 7, kill),
    ):
        run = Run(app).start()
        run.end()
        assert len(killed) == 2
        assert run.notes.said("terminating connection")
        assert run.notes.said("goes on after")
        whole(app)
        assert app.value("SELECT count(*) FROM tenure.event WHERE kind = 'waiting'") >= 1
        assert app.value("SELECT count(*) FROM tenure.event WHERE kind = 'went on'") >= 1


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_connections_cut_in_the_middle_of_commits(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path, cut: Cut
) -> None:
    """Nobody knows whether such a commit came through. Every seventh is lost: of batches, claims, beats and events."""
    seen = iter(range(1, 10**9))
    with proxy(postgres_server.port) as cutting, ExitStack() as stack:
        url = make_conninfo(postgres_dsn, port=cutting.port)
        app = stack.enter_context(application(postgres_dsn, tmp_path, SCHEMA, TABLES, url=url))
        run = Run(app)
        cutting.decide = lambda sent: cut if b"COMMIT\x00" in sent and next(seen) % 7 == 0 else Cut.NOT
        run.start().end()
        cutting.decide = lambda sent: Cut.NOT
        assert cutting.cuts > 5
        whole(app)


@pytest.mark.parametrize("lease_seconds", [10.0, 1.5], ids=["within the lease", "past the lease"])
def test_a_server_that_crashes_and_comes_back(
    postgres_server: EmbeddedPostgres,
    postgres_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lease_seconds: float,
) -> None:
    """Nobody else took the lease meanwhile, so the run keeps it, also when it ran out."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", lease_seconds)
    gone = threading.Event()

    def crash(connection: psycopg.Connection[Any]) -> None:
        postgres_server.kill()
        gone.set()

    with application(postgres_dsn, tmp_path, SCHEMA, TABLES) as app, at_batch(monkeypatch, 5, crash):
        run = Run(app).start()
        assert gone.wait(60)
        try:
            run.notes.wait_for("could not be reached")
            time.sleep(2.5)  # how long it is away
        finally:
            postgres_server.start()
        run.end()
        assert run.notes.said("goes on after")
        whole(app)


def test_a_request_to_stop_does_not_wait_for_a_server_that_is_away(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        application(postgres_dsn, tmp_path, SCHEMA, TABLES) as app,
        at_batch(monkeypatch, 5, lambda connection: postgres_server.kill()),
    ):
        run = Run(app).start()
        try:
            run.notes.wait_for("could not be reached")
            began = time.monotonic()
            run.signal.set("asked")
            with pytest.raises(InterruptedRunError):
                run.end()
            assert time.monotonic() - began < 10
        finally:
            postgres_server.start()
        until_the_lease_ran_out(app)
        Run(app).start().end()
        whole(app)


def test_a_server_that_stays_away_ends_the_run_and_it_can_go_on(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 3.0)
    with (
        application(postgres_dsn, tmp_path, SCHEMA, TABLES) as app,
        at_batch(monkeypatch, 5, lambda connection: postgres_server.kill()),
    ):
        run = Run(app).start()
        try:
            with pytest.raises(StoreFailedError, match=rf"{BACKFILL}, range \d+: postgres at .* could not be reached"):
                run.end()
        finally:
            postgres_server.start()
        assert run.notes.said("could not be told that the run is failed")
        until_the_lease_ran_out(app)
        Run(app).start().end()
        whole(app)


def test_a_server_that_comes_back_as_a_standby_is_not_believed(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for until it is promoted; who starts meanwhile is refused."""
    marker = postgres_server.directory / "data" / "standby.signal"

    def demote(connection: psycopg.Connection[Any]) -> None:
        postgres_server.stop()
        marker.touch()
        postgres_server.start()

    with application(postgres_dsn, tmp_path, SCHEMA, TABLES) as app, at_batch(monkeypatch, 5, demote):
        run = Run(app).start()
        try:
            run.notes.wait_for("is a standby")
            with pytest.raises(StandbyError, match="Promote it"):
                PostgresStore(postgres_dsn).open()
            assert app.value("SELECT state FROM tenure.operation WHERE id = 'postgres.backfill_rows.t'") == "running"
        finally:
            # A server that was no standby of anybody forgets the marker when it is promoted.
            app.execute("SELECT pg_promote()")
        run.end()
        assert not marker.exists()
        whole(app)


def test_of_several_hosts_the_primary_is_taken(postgres_dsn: str, tmp_path: Path) -> None:
    given = conninfo_to_dict(postgres_dsn)
    with EmbeddedPostgres(tmp_path / "standby", durable=False) as standby:
        standby.stop()
        (standby.directory / "data" / "standby.signal").touch()
        standby.start()
        both = {"host": "127.0.0.1,127.0.0.1", "port": f"{standby.port},{given['port']}"}
        with PostgresStore(make_conninfo(postgres_dsn, **both)) as store, store.connection() as connection:
            assert connection.info.port == int(str(given["port"]))
        with pytest.raises(StandbyError):
            PostgresStore(make_conninfo(standby.dsn)).open()


def test_a_server_that_turns_read_only_is_waited_for(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn(value: str) -> None:
        with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(value))
            connection.execute("SELECT pg_reload_conf()")

    with application(postgres_dsn, tmp_path, SCHEMA, TABLES) as app:
        with at_batch(monkeypatch, 5, lambda connection: turn("on")):
            run = Run(app).start()
            try:
                run.notes.wait_for("default_transaction_read_only")
            finally:
                turn("off")
            run.end()
        whole(app)


def test_a_role_without_a_free_connection_waits_for_one(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = owner_of(postgres_dsn)

    def limit(count: int) -> None:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER ROLE owner_only CONNECTION LIMIT {}").format(count))
            if count == 0:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'owner_only'"
                )

    owned = SCHEMA + "ALTER TABLE t OWNER TO owner_only; ALTER TABLE projects OWNER TO owner_only;"
    with application(postgres_dsn, tmp_path, owned, TABLES, url=url) as app:
        with at_batch(monkeypatch, 5, lambda connection: limit(0)):
            run = Run(app).start()
            try:
                run.notes.wait_for("too many connections")
            finally:
                limit(-1)
            run.end()
        whole(app)


def test_a_deadlock_costs_the_batch_and_not_the_run(postgres_dsn: str, tmp_path: Path) -> None:
    # Who looks first ends itself: the batch, which waits for the other, finds that the other waits for it.
    settings = {"deadlock_timeout": "2s"}
    connections = {"postgres": {"url": postgres_dsn, "settings": settings}}
    with application(postgres_dsn, tmp_path, SCHEMA, TABLES, connections=connections) as app, app.connect() as other:
        other.execute("SET deadlock_timeout = '60s'")
        app.run(Phase.EXPAND)
        run = Run(app)
        deadlocks = app.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        with other.transaction():
            other.execute("UPDATE t SET body = 'mine' WHERE id = 40")
            run.start()
            waiting(app)
            # A row that the batch which waits has written already, in the same pass over the same pages.
            other.execute("UPDATE t SET body = 'mine' WHERE id <= 39")
        run.end()
        until = time.monotonic() + 30
        while app.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == deadlocks:
            assert time.monotonic() < until, "there was no deadlock"
            time.sleep(0.1)
        assert app.pairs("SELECT p, count(*) FROM t WHERE project_id = p GROUP BY p") == dict.fromkeys("abc", ROWS // 3)


def test_a_serialization_failure_costs_the_batch_and_not_the_run(postgres_dsn: str, tmp_path: Path) -> None:
    settings = {"default_transaction_isolation": "repeatable read"}
    connections = {"postgres": {"url": postgres_dsn, "settings": settings}}
    with application(postgres_dsn, tmp_path, SCHEMA, TABLES, connections=connections) as app, app.connect() as other:
        app.run(Phase.EXPAND)
        run = Run(app)
        with other.transaction():
            other.execute("UPDATE t SET body = 'mine' WHERE id = 40")
            run.start()
            waiting(app)
        run.end()
        assert app.pairs("SELECT p, count(*) FROM t WHERE project_id = p GROUP BY p") == dict.fromkeys("abc", ROWS // 3)


def test_a_lock_timeout_is_tried_again_and_named(postgres_dsn: str, tmp_path: Path) -> None:
    connections = {"postgres": {"url": postgres_dsn, "settings": {"lock_timeout": "100ms"}}}
    with application(postgres_dsn, tmp_path, SCHEMA, TABLES, connections=connections) as app, app.connect() as other:
        app.run(Phase.EXPAND)
        run = Run(app)
        with other.transaction():
            other.execute("UPDATE t SET body = 'mine' WHERE id = 40")
            run.start()
            run.notes.wait_for("lock_timeout is 100ms, set by: session")
        run.end()
        assert app.pairs("SELECT p, count(*) FROM t WHERE project_id = p GROUP BY p") == dict.fromkeys("abc", ROWS // 3)


def test_a_statement_timeout_ends_the_run_with_the_setting_s_name(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_errors, "BRIEF_SECONDS", 1.0)
    owner = owner_of(postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("ALTER ROLE owner_only SET statement_timeout = '250ms'")
    owned = SCHEMA + "ALTER TABLE t OWNER TO owner_only; ALTER TABLE projects OWNER TO owner_only;"
    with application(postgres_dsn, tmp_path, owned, TABLES, url=owner) as app, app.connect() as other:
        app.run(Phase.EXPAND)
        with other.transaction():
            other.execute("UPDATE t SET body = 'mine' WHERE id = 40")
            with pytest.raises(StoreFailedError, match="statement_timeout is 250ms, set by: user"):
                Run(app).start().end()
        for reason in failed(app):
            assert f"{BACKFILL}, range" in reason
            assert "connections.postgres.settings: {statement_timeout: ...}" in reason
        Run(app).start().end()
        assert app.pairs("SELECT p, count(*) FROM t WHERE project_id = p GROUP BY p") == dict.fromkeys("abc", ROWS // 3)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 8 MB that the server's account may write; skipped where none can be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("needs to mount a small file system")
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def test_a_full_disk_ends_the_run_at_once_and_it_goes_on_when_there_is_room(
    postgres_server: EmbeddedPostgres, tmp_path: Path, small_disk: Path
) -> None:
    data = small_disk / "space"
    data.mkdir()
    os.chown(data, small_disk.stat().st_uid, -1)
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(data)))
    dsn = postgres_server.create_database("fulldisk")
    try:
        placed = SCHEMA.replace("body text);", "body text) TABLESPACE small;")
        with application(dsn, tmp_path, placed, TABLES) as app:
            run = Run(app)
            ballast = small_disk / "ballast"
            with pytest.raises(OSError, match="No space"):
                ballast.write_bytes(bytes(16 << 20))
            began = time.monotonic()
            with pytest.raises(StoreFailedError, match=r"No space left on device.*Free room"):
                run.start().end()
            assert time.monotonic() - began < 30
            assert run.notes.texts == []
            for reason in failed(app):
                assert f"{BACKFILL}, range" in reason
            ballast.unlink()
            Run(app).start().end()
            whole(app)
    finally:
        postgres_server.drop_database("fulldisk")
        with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
            connection.execute("DROP TABLESPACE small")
