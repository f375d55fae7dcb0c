"""The migrations runner among others: locks, runners at once, kills in the middle, index builds that break."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from migrations_support import MARK, WAIT_S, db_fixture, put_fixture, states, until, values  # noqa: F401
from psycopg import IsolationLevel

from tenure.errors import (
    MigrationInterruptedError,
    MigrationInvalidIndexError,
    MigrationLockedError,
    MigrationLockTimeoutError,
    MigrationStatementError,
)
from tenure.migrations import MigrationRunner, Progress


def test_a_lock_that_is_released_lets_the_whole_file_run_again(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    db.execute("CREATE TABLE t (n int)")
    folder = put(a="create table other (n int); insert into other values (1); alter table t add column m int;")
    with psycopg.connect(postgres_dsn) as holder:
        holder.execute("LOCK TABLE t IN ACCESS SHARE MODE")
        retries: list[Progress] = []

        def on(event: Progress) -> None:
            if event.event == "retry":
                retries.append(event)
                holder.commit()

        (file,) = MigrationRunner(postgres_dsn, folder, lock_timeout_ms=50).apply(progress=on).files

    assert (file.attempts, [event.statement for event in retries]) == (2, [3])
    assert "lock timeout" in retries[0].message
    assert values(db, "SELECT n FROM other") == [1]


def test_a_lock_that_is_released_lets_the_one_statement_run_again(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    db.execute("CREATE TABLE t (n int)")
    folder = put(a=MARK + "create table other (n int); alter table t add m int; insert into other values (1);")
    with psycopg.connect(postgres_dsn) as holder:
        holder.execute("LOCK TABLE t IN ACCESS SHARE MODE")

        def on(event: Progress) -> None:
            if event.event == "retry":
                holder.commit()

        (file,) = MigrationRunner(postgres_dsn, folder, lock_timeout_ms=50).apply(progress=on).files
    assert file.attempts == 2
    assert values(db, "SELECT n FROM other") == [1]


@pytest.mark.parametrize("mark", ["", MARK])
def test_a_lock_that_is_never_released_is_reported_with_its_holders(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path], mark: str
) -> None:
    db.execute("CREATE TABLE t (n int)")
    folder = put(a=mark + "select 1;\nalter table t add column m int;")
    with psycopg.connect(postgres_dsn, application_name="long report") as holder:
        holder.execute("SELECT * FROM t")
        with pytest.raises(MigrationLockTimeoutError, match=r"in 2 attempts.*\(long report, idle in") as caught:
            MigrationRunner(postgres_dsn, folder, lock_timeout_ms=20, attempts=2).apply()
    assert caught.value.fields["line"] == (3 if mark else 2)
    assert values(db, "SELECT state FROM tenure.migration_history") == (["started"] if mark else [])


def test_a_deadlock_victim_tries_again(postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]) -> None:
    db.execute("CREATE SEQUENCE tries")
    body = "do $$ begin if nextval('tries') < 3 then raise exception using errcode = '40P01'; end if; end $$;"
    (file,) = MigrationRunner(postgres_dsn, put(a="create table t ();" + body)).apply().files
    assert file.attempts == 3


def test_one_runner_at_a_time(postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]) -> None:
    db.execute("SELECT pg_advisory_lock(7)")
    runner = MigrationRunner(postgres_dsn, put(a="select pg_advisory_xact_lock(7); create table t ();"))
    slow = MigrationRunner(
        postgres_dsn, put(a="select pg_advisory_xact_lock(7); create table t ();"), lock_timeout_ms=0
    )
    outcome: list[Any] = []
    thread = threading.Thread(target=lambda: outcome.append(slow.apply()))
    thread.start()
    try:
        pid = until(
            lambda: values(db, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'"), "the first runner"
        )[0]
        with pytest.raises(MigrationLockedError, match=rf"pid {pid}, application 'tenure migrations'") as caught:
            runner.apply()
        assert caught.value.exit_code == 4
        assert runner.apply(dry_run=True).files[0].file == "a.sql"
        assert states(runner) == {"a": "pending"}
    finally:
        db.execute("SELECT pg_advisory_unlock(7)")
        thread.join(WAIT_S)
    assert [file.file for file in outcome[0].files] == ["a.sql"]
    assert runner.apply().files == ()


def test_runners_that_start_together_apply_each_file_once(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    folder = put(a="create table t (n int);", b="insert into t values (1);", c=MARK + "insert into t values (2);")
    barrier = threading.Barrier(4)
    results: list[Any] = []

    def run() -> None:
        barrier.wait()
        try:
            results.append([file.file for file in MigrationRunner(postgres_dsn, folder).apply().files])
        except MigrationLockedError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert len(results) == 4
    assert sum(result == ["a.sql", "b.sql", "c.sql"] for result in results) == 1
    assert all(
        isinstance(result, MigrationLockedError) or result in ([], ["a.sql", "b.sql", "c.sql"]) for result in results
    )
    assert values(db, "SELECT n FROM t ORDER BY n") == [1, 2]


@pytest.fixture
def start(postgres_dsn: str) -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Start a runner as a process; whatever is left of it is killed at the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(folder: Path) -> subprocess.Popen[bytes]:
        code = "import sys; from tenure.migrations import MigrationRunner; MigrationRunner(*sys.argv[1:]).apply()"
        processes.append(subprocess.Popen([sys.executable, "-c", code, postgres_dsn, str(folder)]))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def apply_when_free(runner: MigrationRunner) -> Any:
    """Apply as soon as the server has noticed that the killed runner is gone."""

    def attempt() -> Any:
        try:
            return runner.apply()
        except MigrationLockedError:
            return None

    return until(attempt, "the killed runner's lock")


@pytest.mark.parametrize("mark", ["", MARK], ids=["transactional", "non-transactional"])
def test_kill_in_the_middle_then_apply_gives_the_same_end(
    postgres_dsn: str,
    db: psycopg.Connection,
    put: Callable[..., Path],
    start: Callable[[Path], subprocess.Popen[bytes]],
    mark: str,
) -> None:
    db.execute("CREATE TABLE pause (n int); INSERT INTO pause VALUES (600); CREATE TABLE log (n int)")
    folder = put(
        a="insert into log values (0);",
        b=mark + "insert into log values (1);\nselect pg_sleep(n) from pause;\ninsert into log values (2);\n",
        c="insert into log values (3);",
    )
    process = start(folder)
    until(lambda: values(db, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "the pause")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    db.execute("TRUNCATE pause")
    runner = MigrationRunner(postgres_dsn, folder)
    assert states(runner) == {"a": "applied", "b": "interrupted" if mark else "pending", "c": "pending"}

    applied = apply_when_free(runner)

    assert [(file.file, file.resumed_at) for file in applied.files] == [("b.sql", 2 if mark else 1), ("c.sql", 1)]
    assert values(db, "SELECT n FROM log ORDER BY n") == [0, 1, 2, 3]
    assert runner.verify() == ()
    assert runner.apply().files == ()


@pytest.mark.parametrize("mark", ["", MARK], ids=["transactional", "non-transactional"])
def test_an_interrupt_cancels_the_statement_and_says_how_to_go_on(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path], mark: str
) -> None:
    db.execute("CREATE TABLE pause (n int); INSERT INTO pause VALUES (600); CREATE TABLE log (n int)")
    runner = MigrationRunner(postgres_dsn, put(a=mark + "insert into log values (1); select pg_sleep(n) from pause;"))

    def interrupt() -> None:
        until(lambda: values(db, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "the pause")
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(MigrationInterruptedError, match="resumes with statement 2" if mark else "Nothing of") as caught:
        runner.apply()
    thread.join(WAIT_S)

    assert caught.value.exit_code == 130
    assert values(db, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == []
    db.execute("TRUNCATE pause")
    runner.apply()
    assert values(db, "SELECT n FROM log") == [1]


def test_a_function_that_refuses_transactions_runs_without_one(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    db.execute(
        "CREATE SEQUENCE tries; CREATE TABLE log (n int);"
        " CREATE FUNCTION picky() RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('tries') = 1 THEN RAISE EXCEPTION 'not in a transaction' USING errcode = '25001'; END IF;"
        " INSERT INTO log VALUES (1); END $$"
    )
    MigrationRunner(postgres_dsn, put(a=MARK + "select picky();")).apply()
    assert values(db, "SELECT n FROM log") == [1]


@pytest.mark.parametrize("guard", ["", "if not exists "])
def test_kill_in_the_middle_of_an_index_build_does_not_pass_for_done(
    postgres_dsn: str,
    db: psycopg.Connection,
    put: Callable[..., Path],
    start: Callable[[Path], subprocess.Popen[bytes]],
    guard: str,
) -> None:
    db.execute('CREATE TABLE "T t" (n int)')
    folder = put(a=MARK + f'create index concurrently {guard}"T i" on "T t" (n);\ninsert into "T t" values (1);')
    with psycopg.connect(postgres_dsn) as holder:
        holder.isolation_level = IsolationLevel.REPEATABLE_READ
        holder.execute('SELECT count(*) FROM "T t"')
        process = start(folder)
        until(
            lambda: values(
                db,
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'create index conc%' AND wait_event_type = 'Lock'",
            ),
            "the build to wait",
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
        runner = MigrationRunner(postgres_dsn, folder)

        with pytest.raises(MigrationInvalidIndexError) as caught:
            apply_when_free(runner)

    assert caught.value.fields["line"] == 2
    assert caught.value.fields["remedy"] == 'DROP INDEX CONCURRENTLY "public"."T i"'
    assert states(runner) == {"a": "interrupted"}
    assert {finding.id for finding in runner.verify()} == {"TEN906", "TEN908"}
    db.execute(caught.value.fields["remedy"])
    assert runner.apply().files[0].resumed_at == 1
    assert values(db, "SELECT indisvalid FROM pg_index WHERE indexrelid = '\"T i\"'::regclass") == [True]
    assert values(db, 'SELECT n FROM "T t"') == [1]


def test_a_failed_unique_build_names_the_index_it_left(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    db.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1)")
    build = "create unique index concurrently if not exists u on t (n);"
    runner = MigrationRunner(postgres_dsn, put(a=MARK + build, b="select 1;"))

    with pytest.raises(MigrationStatementError, match=r"is duplicated.*invalid index \"public\".\"u\" on t behind"):
        runner.apply()
    db.execute("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)")
    with pytest.raises(MigrationInvalidIndexError, match="IF NOT EXISTS does not look at that"):
        runner.apply()
    put(a=MARK + build, b=build.replace(" concurrently", ""))
    runner.apply(baseline="a.sql", dry_run=True)
    # A transactional file must not pass over it either.
    with pytest.raises(MigrationInvalidIndexError, match="Nothing of this file was kept"):
        runner.apply(baseline="a.sql")
    db.execute("DROP INDEX CONCURRENTLY u")
    assert [file.file for file in runner.apply().files] == ["b.sql"]


def test_an_index_build_waits_without_a_lock_timeout(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    db.execute("CREATE TABLE t (n int)")
    folder = put(a=MARK + "create index concurrently i on t (n); insert into t values (1);")
    outcome: list[Any] = []
    runner = MigrationRunner(postgres_dsn, folder, lock_timeout_ms=20, attempts=1)
    thread = threading.Thread(target=lambda: outcome.append(runner.apply()))
    with psycopg.connect(postgres_dsn) as holder:
        holder.isolation_level = IsolationLevel.REPEATABLE_READ
        holder.execute("SELECT count(*) FROM t")
        thread.start()
        until(
            lambda: values(
                db,
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'create index conc%' AND wait_event_type = 'Lock'"
                " AND clock_timestamp() - query_start > interval '0.2 s'",
            ),
            "the build to wait longer than the timeout",
        )
    thread.join(WAIT_S)
    assert outcome[0].files[0].statements == 2
