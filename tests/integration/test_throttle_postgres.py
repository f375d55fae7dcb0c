"""Each signal of Postgres on a real server: a replica that lags, slots that keep WAL, checkpoints, dead rows, held
snapshots, lock waiters; and a run that waits for one, says so everywhere, and goes on."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from postgres_kit import Application, application

from tenure.demo.servers import EmbeddedPostgres
from tenure.demo.servers.postgres import wheel_bin_dir
from tenure.operations.base import Operation
from tenure.playbook.limits import Thresholds
from tenure.runner.context import StopSignal
from tenure.runner.gauges_postgres import (
    Autovacuum,
    Checkpoints,
    LockWait,
    ReplicationBytes,
    ReplicationLag,
    SlotWal,
    Snapshot,
    postgres_gauges,
)
from tenure.runner.throttle import Gauge, Hold, UnreadableError
from tenure.stores.postgres import PostgresStore
from tenure.values import Phase, TableName

pytestmark = pytest.mark.postgres

PATIENCE = 60.0
SETTINGS = {
    "max_prepared_transactions": "5",
    "fsync": "off",
    "wal_receiver_status_interval": "1s",
    "autovacuum_naptime": "1s",
}
ROWS = 30_000
SCHEMA = f"""
CREATE TABLE projects (id text PRIMARY KEY);
INSERT INTO projects VALUES ('a'), ('b');
CREATE TABLE notes (id int PRIMARY KEY, project text, seen int NOT NULL DEFAULT 0) WITH (autovacuum_enabled = false);
INSERT INTO notes SELECT n, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, {ROWS}) n;
"""


class OnNotes:
    """What a gauge reads of an operation."""

    leaves = (TableName(name="notes"),)
    object = "notes"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server of this module's own: slots and replicas are the whole server's."""
    found = EmbeddedPostgres(tmp_path_factory.mktemp("throttled"), settings=SETTINGS)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def dsn(server: EmbeddedPostgres) -> Iterator[str]:
    """A database with a table of 30,000 rows; no slot outlives the test."""
    found = server.create_database("notes")
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(SCHEMA)
    yield found
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
    server.drop_database("notes")


@pytest.fixture
def store(dsn: str) -> Iterator[PostgresStore]:
    """The database as tenure sees it."""
    with PostgresStore(dsn) as found:
        yield found


def read(gauge: Gauge, held: bool = False, **limits: Any) -> list[Hold]:
    """Return what *gauge* says under limits written as in the playbook."""
    return list(gauge.read(Thresholds.model_validate(limits), cast(Operation, OnNotes()), held))


def until(true: Callable[[], Any], what: str) -> Any:
    """Return what *true* gives once it is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.1)
    return found


@contextmanager
def connected(dsn: str, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """An application's session."""
    with psycopg.connect(dsn, autocommit=True, application_name="app", **options) as connection:
        yield connection


def write(dsn: str) -> None:
    """Change every row, which dirties a few megabytes of log."""
    with connected(dsn) as connection:
        connection.execute("UPDATE notes SET seen = seen + 1")


@contextmanager
def replica(server: EmbeddedPostgres, folder: Path) -> Iterator[EmbeddedPostgres]:
    """A streaming replica called `copy`."""
    copy = EmbeddedPostgres(folder / "copy", settings=SETTINGS)
    copy.directory.mkdir()
    data = copy.directory / "data"
    source = f"{server.dsn}?application_name=copy"
    command = [
        str(wheel_bin_dir() / "pg_basebackup"),
        "-d",
        source,
        "-D",
        str(data),
        "-R",
        "-X",
        "stream",
        "-c",
        "fast",
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    data.chmod(0o700)
    owner = (server.directory / "data").stat()
    for path in (data, *data.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
    copy.start()
    try:
        yield copy
    finally:
        copy.stop()


def delay(copy: EmbeddedPostgres, text: str) -> None:
    """Make a replica apply commits this much later."""
    with psycopg.connect(copy.dsn, autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("ALTER SYSTEM SET recovery_min_apply_delay = {}").format(text))
        connection.execute("SELECT pg_reload_conf()")


def test_a_replica_that_falls_behind(server: EmbeddedPostgres, dsn: str, store: PostgresStore, tmp_path: Path) -> None:
    lag, amount = ReplicationLag(store), ReplicationBytes(store)
    assert (read(lag, replication_lag="1ms"), read(amount, replication_bytes=1)) == ([], [])
    with replica(server, tmp_path) as copy:
        until(lambda: _streaming(server.dsn), "the replica to stream")
        until(lambda: not read(lag, replication_lag="1s") and not read(amount, replication_bytes="16kB"), "no lag")
        with PostgresStore(dsn, role=_plain_role(dsn)) as blind:
            with pytest.raises(UnreadableError, match="pg_read_all_stats"):
                read(ReplicationLag(blind), replication_lag="1s")
            assert [read(gauge) for gauge in postgres_gauges(blind) if not gauge.limit.startswith("rep")] == [[]] * 5
        delay(copy, "1h")
        # The first commit is what the replica waits at: what comes after it is still to be replayed.
        write(dsn)
        write(dsn)
        # The server's own figure stands still with the replay: that the seconds grow is this gauge's own doing.
        for seconds in ("1s", "3s"):
            holds = until(partial(read, lag, replication_lag=seconds), f"a lag of {seconds}")
            assert holds[0].reason.startswith("replica copy is ")
            assert holds[0].curable
        assert "copy has" in read(amount, replication_bytes="1MB")[0].reason
        assert read(amount, replication_bytes="1GB") == []
        assert read(lag, replication_lag="1s", ignore_replicas="copy,other") == []
        delay(copy, "0")
        until(lambda: not read(lag, replication_lag="1s", held=True), "the replica to catch up")


def _streaming(dsn: str) -> bool:
    with connected(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").fetchone()
        return bool(row and row[0])


def _plain_role(dsn: str) -> str:
    with connected(dsn) as connection:
        connection.execute("DROP ROLE IF EXISTS plain_role")
        connection.execute("CREATE ROLE plain_role")
    return "plain_role"


def test_a_slot_that_keeps_wal(dsn: str, store: PostgresStore) -> None:
    gauge = SlotWal(store)
    with connected(dsn) as connection:
        connection.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    write(dsn)
    hold = read(gauge, slot_wal="64kB")[0]
    assert hold.reason.startswith("replication slot forgotten, which nobody reads, keeps ")
    assert hold.reason.endswith("of WAL (slot_wal 64 kB)")
    assert read(gauge, slot_wal="1GB") == []
    with connected(dsn) as connection:
        # What the server lets a slot keep counts too: past it the slot is lost.
        connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            until(lambda: read(gauge, slot_wal="1GB"), "the server's own bound to count")
        finally:
            connection.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_drop_replication_slot('forgotten')")
    assert read(gauge, slot_wal="64kB") == []


def test_checkpoints_that_come_too_soon(dsn: str, store: PostgresStore) -> None:
    gauge = Checkpoints(store)
    read(gauge)
    with connected(dsn) as connection:
        _checkpoint(connection, gauge, "1h")
        assert read(gauge, checkpoints="1h") == [], "one alone is no pressure"
        _checkpoint(connection, gauge, "1h")
        assert "less than 3600 s apart" in read(gauge, checkpoints="1h")[0].reason
        gauge = Checkpoints(store)
        read(gauge)
        for _ in range(2):
            _checkpoint(connection, gauge, "2s")
    until(lambda: not read(gauge, checkpoints="2s"), "the least time to be over")


def _checkpoint(connection: psycopg.Connection[Any], gauge: Checkpoints, least: str) -> None:
    """Ask for a checkpoint, and wait until the gauge has seen it counted."""
    before = gauge._seen
    connection.execute("CHECKPOINT")

    def counted() -> bool:
        read(gauge, checkpoints=least)
        return gauge._seen != before

    until(counted, "the checkpoint to be counted")


def test_dead_rows_that_vacuum_does_not_take_away(dsn: str, store: PostgresStore) -> None:
    gauge = Autovacuum(store)
    with connected(dsn) as connection:
        # As in a copied database, or after a crash: nothing is known of live rows, and a few dead ones seem to be all.
        connection.execute("SELECT pg_stat_reset()")
        write(dsn)
        until(lambda: _dead(connection), "the statistics")
        connection.execute("UPDATE pg_class SET reltuples = %s WHERE oid = 'notes'::regclass", (10 * ROWS,))
        assert read(gauge, autovacuum="50%") == []
        connection.execute("VACUUM (ANALYZE) notes")
    write(dsn)
    hold = until(lambda: read(gauge, autovacuum="50%"), "the statistics")[0]
    assert f"{ROWS:,} dead rows of notes wait for vacuum" in hold.reason
    assert not hold.curable, "vacuum may be switched off, as it is for this table"
    with connected(dsn) as connection:
        connection.execute("VACUUM notes")
    until(lambda: not read(gauge, held=True, autovacuum="50%"), "the statistics")


def test_a_vacuum_against_wraparound(dsn: str, store: PostgresStore) -> None:
    gauge = Autovacuum(store)
    with connected(dsn) as connection:
        # Old after the fewest transactions that the server allows, and slow enough to be seen at it.
        connection.execute(
            "ALTER TABLE notes SET (autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_delay = 100, "
            "autovacuum_vacuum_cost_limit = 1)"
        )
        connection.execute("SET synchronous_commit = off")
        connection.execute("DO $$ BEGIN FOR n IN 1..100100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
    hold = until(lambda: read(gauge, autovacuum="100%"), "the server's own vacuum")[0]
    assert (hold.reason, hold.curable) == ("notes is vacuumed against wraparound", False)


def _dead(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT pg_stat_get_dead_tuples('notes'::regclass) >= %s", (ROWS,)).fetchone()
    return bool(row and row[0])


def test_snapshots_that_are_held(dsn: str, store: PostgresStore) -> None:
    gauge = Snapshot(store)
    with connected(dsn) as reader, connected(dsn) as harmless, connected(dsn) as writer, connected(dsn) as prepared:
        harmless.execute("BEGIN")
        harmless.execute("SELECT count(*) FROM notes")
        assert read(gauge, snapshot="1ms") == [], "a transaction between two READ COMMITTED statements holds nothing"
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM notes")
        hold = until(lambda: read(gauge, snapshot="1s"), "the snapshot to grow old")[0]
        pid = reader.info.backend_pid
        assert hold.reason.startswith(f"the session of postgres (app), pid {pid} has held back vacuum for 1 s")
        assert not hold.curable
        assert read(gauge, snapshot="1h") == []
        reader.execute("ROLLBACK")
        writer.execute("BEGIN")
        writer.execute("UPDATE notes SET seen = 9 WHERE id = 1")
        holds = until(lambda: read(gauge, snapshot="1s"), "the open write to grow old")
        assert f"pid {writer.info.backend_pid}" in holds[0].holder
        writer.execute("ROLLBACK")
        prepared.execute("BEGIN")
        prepared.execute("UPDATE notes SET seen = 9 WHERE id = 2")
        prepared.execute("PREPARE TRANSACTION 'left over'")
        holds = until(lambda: read(gauge, snapshot="1s"), "the prepared transaction to grow old")
        assert holds[0].reason.startswith("the prepared transaction left over has held")
        prepared.execute("ROLLBACK PREPARED 'left over'")
        assert read(gauge, snapshot="1s") == []
    with store.connection() as ours:
        ours.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        ours.execute("SELECT count(*) FROM notes")
        time.sleep(0.2)
        assert read(gauge, snapshot="100ms") == [], "tenure does not wait for itself"


def test_somebody_who_waits_for_us(dsn: str, store: PostgresStore) -> None:
    gauge = LockWait(store)
    done = threading.Event()

    def application() -> None:
        with connected(dsn) as connection:
            connection.execute("UPDATE notes SET seen = 1 WHERE id = 5")
        done.set()

    with store.connection() as ours:
        ours.execute("UPDATE notes SET seen = 2 WHERE id = 5")
        waiter = threading.Thread(target=application)
        waiter.start()
        hold = until(lambda: read(gauge, lock_wait="300ms"), "the application to wait")[0]
        assert (hold.reason, hold.press) == ("1 session(s) wait for a lock of ours (app)", True)
        assert read(gauge, lock_wait="1h") == []
        assert not done.is_set()
    waiter.join()
    assert read(gauge, lock_wait="1ms") == []
    with connected(dsn) as other, store.connection() as ours:
        other.execute("BEGIN")
        other.execute("UPDATE notes SET seen = 1 WHERE id = 6")
        third = threading.Thread(target=write, args=(dsn,))
        third.start()
        until(lambda: _waiting(other), "somebody to wait")
        ours.execute("SELECT 1")
        assert read(gauge, lock_wait="1ms") == [], "who waits for somebody else is no concern of ours"
        other.execute("ROLLBACK")
        third.join()


def _waiting(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return bool(row and row[0])


RULES = {"notes": {"tenant": {"column": "project"}}}


def test_a_run_waits_says_so_and_goes_on_when_the_limit_is_changed(
    server: EmbeddedPostgres, dsn: str, tmp_path: Path
) -> None:
    with connected(dsn) as connection:
        connection.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    write(dsn)
    signal = StopSignal()
    with application(dsn, tmp_path, "", RULES, limits={"slot_wal": "64kB", "autovacuum": "off"}) as app:
        with _running(app, signal) as ended:
            reason = until(lambda: _reason(app), "the run to wait")
            assert reason.startswith("waits: replication slot forgotten, which nobody reads, keeps ")
            assert app.value("SELECT count(project_id) FROM notes") == 0
            assert _kinds(app).count("waits") == 1
            app.session.ledger.set_control("slot_wal", "off")
            assert ended.wait(PATIENCE)
        assert app.value("SELECT count(*) FROM notes WHERE project_id IS DISTINCT FROM project") == 0
        kinds = _kinds(app)
        assert (kinds.count("waits"), kinds.count("goes on")) == (1, 1)
        assert _state(app) == "done"


def test_a_request_to_stop_ends_a_wait_at_once(dsn: str, tmp_path: Path) -> None:
    with connected(dsn) as connection:
        connection.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    write(dsn)
    signal = StopSignal()
    with application(dsn, tmp_path, "", RULES, limits={"slot_wal": "64kB", "autovacuum": "off"}) as app:
        with _running(app, signal) as ended:
            until(lambda: _reason(app), "the run to wait")
            asked = time.monotonic()
            signal.set("asked")
            assert ended.wait(PATIENCE)
            assert time.monotonic() - asked < 10
        assert _state(app) == "interrupted"


@contextmanager
def _running(app: Application, signal: StopSignal) -> Iterator[threading.Event]:
    """Run the backfill in a thread; what is lent is set at its end."""
    ended = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            app.run(Phase.BACKFILL, signal=signal)
        except BaseException as error:  # noqa: BLE001 - raised again by the test's thread
            failed.append(error)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ended
    finally:
        asked = signal.is_set()
        signal.set("the test is over")
        thread.join()
    if failed and not asked:
        raise failed[0]


def _reason(app: Application) -> str:
    if not app.session.ledger.installed():
        return ""
    run = app.session.ledger.latest_run()
    return run.reason if run is not None else ""


def _state(app: Application) -> str:
    run = app.session.ledger.latest_run()
    assert run is not None
    return run.state


def _kinds(app: Application) -> list[str]:
    run = app.session.ledger.latest_run()
    assert run is not None
    return [event[0] for event in app.session.ledger.events(run.id, 1000)]
