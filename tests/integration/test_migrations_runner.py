"""The migrations runner on a real Postgres: order, transactions, history, refusals, roles, lost connections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from migrations_support import MARK, db_fixture, put_fixture, states, values  # noqa: F401
from psycopg.sql import SQL, Identifier

from tenure.errors import (
    MigrationConnectionLostError,
    MigrationError,
    MigrationFileError,
    MigrationHistoryError,
    MigrationLockTimeoutError,
    MigrationRefusedError,
    MigrationStatementError,
    StoreUnreachableError,
    UsageError,
)
from tenure.migrations import MigrationRunner, Progress


def test_files_run_in_manifest_order_once_with_their_history(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    folder = put(
        b="create table ran (n int, at text default 'ñ;é');",
        a="-- empty\n",
        c="insert into ran values (1); do $$ begin insert into ran values (2); end $$;",
    )
    runner = MigrationRunner(postgres_dsn, folder)
    assert states(runner) == {"b": "pending", "a": "pending", "c": "pending"}

    applied = runner.apply()

    assert [(f.file, f.position, f.statements, f.attempts) for f in applied.files] == [
        ("b.sql", 1, 1, 1),
        ("a.sql", 2, 0, 1),
        ("c.sql", 3, 2, 1),
    ]
    assert values(db, "SELECT n FROM ran ORDER BY n") == [1, 2]
    rows = db.execute(
        "SELECT file, position, length(checksum), state, transactional, baseline, applied_by = current_user,"
        " applied_at > now() - interval '1 minute', duration_ms >= 0 FROM tenure.migration_history ORDER BY position"
    ).fetchall()
    assert rows == [
        (f"{name}.sql", position, 64, "applied", True, False, True, True, True)
        for position, name in enumerate("bac", start=1)
    ]
    assert states(runner) == {"b": "applied", "a": "applied", "c": "applied"}
    again = runner.apply()
    assert (again.files, again.already) == ((), 3)
    assert runner.verify() == ()


def test_dry_run_status_and_verify_write_nothing(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    runner = MigrationRunner(postgres_dsn, put(a="create table t (); select 1;", b=MARK + "vacuum;"))

    planned = runner.apply(dry_run=True)
    findings = runner.verify()
    runner.status()

    assert [(file.file, file.statements, file.transactional) for file in planned.files] == [
        ("a.sql", 2, True),
        ("b.sql", 1, False),
    ]
    assert [(finding.severity, finding.object) for finding in findings] == [("warning", "a.sql"), ("warning", "b.sql")]
    assert values(db, "SELECT nspname FROM pg_namespace WHERE nspname = 'tenure'") == []
    assert values(db, "SELECT relname FROM pg_class WHERE relname = 't'") == []


def test_line_ends_make_no_difference(postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]) -> None:
    text = "create function f() returns text language sql as $$\n  select 'a'\n$$;\n"
    MigrationRunner(postgres_dsn, put(a=text)).apply()

    runner = MigrationRunner(postgres_dsn, put(a=text.replace("\n", "\r\n")))

    assert runner.apply().files == ()
    assert runner.verify() == ()
    MigrationRunner(postgres_dsn, put(a=text, b=text.replace(" f()", " g()").replace("\n", "\r\n"))).apply()
    assert values(db, "SELECT count(DISTINCT prosrc) FROM pg_proc WHERE proname IN ('f', 'g')") == [1]


def test_what_does_not_fit_is_refused_before_anything_runs(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    folder = put(a="select 1;", b="select 2;")
    runner = MigrationRunner(postgres_dsn, folder)
    runner.apply()

    def refused(words: str) -> None:
        for dry_run in (False, True):
            with pytest.raises(MigrationRefusedError, match=words):
                runner.apply(dry_run=dry_run)
        assert any(finding.severity == "error" for finding in runner.verify())
        assert values(db, "SELECT relname FROM pg_class WHERE relname = 'late'") == []

    put(a="select 1;", c="create table late ();", b="select 2;")
    refused(r"c\.sql: it comes before b\.sql")
    put(a="select 1; ", b="select 2;")
    refused(r"c\.sql: it is in the folder")
    (folder / "c.sql").unlink()
    refused(r"a\.sql: it was changed")
    (folder / "a.sql").write_text("select 1;")
    (folder / "manifest").write_text("a.sql\nb.sql\nc.sql\n")
    refused(r"c\.sql: the manifest names it")
    (folder / "b.sql").unlink()
    (folder / "manifest").write_text("a.sql\n")
    refused(r"b\.sql: the history has it")


def test_a_file_that_cannot_run_stops_the_ones_before_it_too(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    runner = MigrationRunner(postgres_dsn, put(a="create table t ();", b="begin; select 1; commit;"))
    with pytest.raises(MigrationFileError, match="controls transactions itself"):
        runner.apply()
    assert [finding.object for finding in runner.verify() if finding.severity == "error"] == ["b.sql"]
    assert values(db, "SELECT relname FROM pg_class WHERE relname = 't'") == []


def test_a_failed_statement_is_reported_with_file_line_and_the_servers_words(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    folder = put(
        a="create table t (id int primary key, año text);",
        b="-- ñ\ninsert into t values (1);\n\nselect 'é',\n  id,\n  idd\nfrom t;\n",
    )
    with pytest.raises(MigrationStatementError) as caught:
        MigrationRunner(postgres_dsn, folder).apply()

    error = caught.value
    assert {name: error.fields[name] for name in ("file", "line", "statement_line", "number", "count", "sqlstate")} == {
        "file": "b.sql",
        "line": 6,
        "statement_line": 4,
        "number": 2,
        "count": 2,
        "sqlstate": "42703",
    }
    assert 'column "idd" does not exist' in str(error)
    assert "Hint: Perhaps you meant" in str(error)
    assert error.exit_code == 1
    assert values(db, "SELECT id FROM t") == []
    assert values(db, "SELECT file FROM tenure.migration_history") == ["a.sql"]


def test_a_failure_at_commit_and_one_inside_a_body_are_reported(postgres_dsn: str, put: Callable[..., Path]) -> None:
    deferred = (
        "create table p (id int primary key);\n"
        "create table c (p int references p deferrable initially deferred);\ninsert into c values (1);"
    )
    with pytest.raises(MigrationStatementError, match=r"at its commit: .*violates foreign key"):
        MigrationRunner(postgres_dsn, put(a=deferred)).apply()
    with pytest.raises(MigrationStatementError, match=r"division by zero .* Context: .*line 2"):
        MigrationRunner(postgres_dsn, put(a="do $$ begin\n perform 1/0; end $$;")).apply()
    with pytest.raises(MigrationStatementError, match="no-transaction` at the top"):
        MigrationRunner(postgres_dsn, put(a="do $$ begin commit; end $$;")).apply()


def test_a_non_transactional_file_resumes_behind_what_is_done(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    start = MARK + "set search_path = app;\ncreate schema app;\ncreate table t (n int);\ninsert into t values (1);\n"
    runner = MigrationRunner(postgres_dsn, put(a=start + "insert into t values (1/0);"))
    with pytest.raises(MigrationStatementError, match=r"first 4 statement\(s\) stay done"):
        runner.apply()
    assert states(runner) == {"a": "interrupted"}
    assert [finding.id for finding in runner.verify()] == ["TEN906"]

    put(a=start.replace("values (1)", "values (7)") + "insert into t values (2);")
    with pytest.raises(MigrationRefusedError, match=r"--baseline a\.sql"):
        runner.apply()
    put(a=start + "insert into t values (2);")
    (file,) = runner.apply().files

    # search_path was set again for the new session, and nothing ran twice.
    assert (file.resumed_at, file.statements) == (5, 5)
    assert values(db, "SELECT n FROM app.t ORDER BY n") == [1, 2]
    assert states(runner) == {"a": "applied"}
    assert runner.verify() == ()


def test_settings_and_roles_of_a_file_end_with_it(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    db.execute("CREATE ROLE tenure_test_nobody")
    try:
        set_all = "set search_path = pg_catalog; set role tenure_test_nobody; set statement_timeout = '1h'; select 1;"
        read = "insert into seen select current_setting('search_path'), current_user, current_setting('{}');"
        folder = put(
            a="create table seen (path text, who text, timeout text);",
            b=set_all,
            c=MARK + set_all,
            d=read.format("statement_timeout"),
        )
        MigrationRunner(postgres_dsn, folder).apply()
        user = db.info.user
        assert db.execute("SELECT * FROM seen").fetchall() == [('"$user", public', user, "0")]
        assert values(db, "SELECT DISTINCT applied_by FROM tenure.migration_history") == [user]

        # A connection that was lent comes back as it was.
        with psycopg.connect(postgres_dsn) as lent:
            lent.execute("SET search_path = tenure, public")
            lent.execute("SET role tenure_test_nobody")
            lent.execute("RESET role")
            lent.commit()
            put(a=(folder / "a.sql").read_text(), b=set_all, c=MARK + set_all, d=read.format("statement_timeout"))
            assert MigrationRunner(lent, folder).apply().already == 4
            assert lent.autocommit is False
            assert lent.execute("SHOW search_path").fetchone() == ("tenure, public",)
            with pytest.raises(UsageError, match="inside a transaction"):
                MigrationRunner(lent, folder).apply()
    finally:
        db.execute("DROP ROLE tenure_test_nobody")


def test_baseline_marks_and_goes_on(postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]) -> None:
    runner = MigrationRunner(postgres_dsn, put(a="select 1/0;", b="select 1/0;", c="create table t ();"))
    planned = runner.apply(dry_run=True, baseline="b.sql")
    assert values(db, "SELECT nspname FROM pg_namespace WHERE nspname = 'tenure'") == []

    applied = runner.apply(baseline="b.sql")

    assert planned.baselined == applied.baselined == ("a.sql", "b.sql")
    assert [f.file for f in planned.files] == [f.file for f in applied.files] == ["c.sql"]
    assert states(runner) == {"a": "baseline", "b": "baseline", "c": "applied"}
    assert values(db, "SELECT file FROM tenure.migration_history WHERE baseline") == ["a.sql", "b.sql"]
    assert runner.apply(baseline="c.sql").baselined == ()
    with pytest.raises(MigrationRefusedError, match=r"goes beyond b\.sql"):
        runner.apply(baseline="b.sql")
    with pytest.raises(UsageError, match=r"z\.sql"):
        runner.apply(baseline="z.sql")


def test_a_half_run_file_that_was_finished_by_hand_can_be_baselined(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    runner = MigrationRunner(postgres_dsn, put(a=MARK + "create table t (); select 1/0;"))
    with pytest.raises(MigrationStatementError):
        runner.apply()
    assert runner.apply(baseline="a.sql").baselined == ("a.sql",)
    assert states(runner) == {"a": "baseline"}


def test_a_role_without_rights_learns_what_to_grant(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    folder = put(a="create table public.t ();")
    db.execute("CREATE ROLE tenure_test_poor LOGIN")
    try:
        poor = psycopg.conninfo.make_conninfo(postgres_dsn, user="tenure_test_poor")
        with pytest.raises(MigrationHistoryError, match=r"may not make .*GRANT") as caught:
            MigrationRunner(poor, folder).apply()
        assert caught.value.exit_code == 5
        assert states(MigrationRunner(poor, folder)) == {"a": "pending"}

        db.execute(SQL("GRANT CREATE ON DATABASE {} TO tenure_test_poor").format(Identifier(db.info.dbname)))
        with pytest.raises(MigrationStatementError, match="permission denied for schema public"):
            MigrationRunner(poor, folder).apply()
        db.execute("GRANT CREATE ON SCHEMA public TO tenure_test_poor")
        assert len(MigrationRunner(poor, folder).apply().files) == 1
        # Schema and table exist now: the right to create them is not asked for again.
        db.execute(SQL("REVOKE CREATE ON DATABASE {} FROM tenure_test_poor").format(Identifier(db.info.dbname)))
        put(a="create table public.t ();", b="create table public.u ();")
        assert len(MigrationRunner(poor, folder).apply().files) == 1
        db.execute("REVOKE SELECT ON tenure.migration_history FROM tenure_test_poor")
        with pytest.raises(MigrationHistoryError, match="may not read"):
            MigrationRunner(poor, folder).status()
    finally:
        db.execute("DROP OWNED BY tenure_test_poor")
        db.execute("DROP ROLE tenure_test_poor")


def test_a_database_that_takes_no_writes_says_so(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    db.execute(SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(Identifier(db.info.dbname)))
    with pytest.raises(MigrationHistoryError, match=r"takes no writes.*primary"):
        MigrationRunner(postgres_dsn, put(a="select 1;")).apply()


def test_a_server_that_is_not_there(put: Callable[..., Path]) -> None:
    folder = put(a="select 1;")
    with pytest.raises(StoreUnreachableError, match=r"127\.0\.0\.1:1/") as caught:
        MigrationRunner("postgresql://ana:hunter22@127.0.0.1:1/x", folder).status()
    assert caught.value.exit_code == 5
    assert "hunter22" not in str(caught.value)
    with pytest.raises(UsageError, match="not valid"):
        MigrationRunner("postgresql://[", folder).status()


@pytest.mark.parametrize("mark", ["", MARK])
def test_a_connection_lost_in_a_file(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path], mark: str
) -> None:
    end = "select pg_terminate_backend(pg_backend_pid());"
    runner = MigrationRunner(postgres_dsn, put(a=mark + "create table t ();" + end))
    with pytest.raises(MigrationConnectionLostError, match=r"while a\.sql ran") as caught:
        runner.apply()
    assert caught.value.exit_code == 5
    assert states(runner) == {"a": "interrupted" if mark else "pending"}
    assert values(db, "SELECT count(*) FROM pg_class WHERE relname = 't'") == [1 if mark else 0]


def test_notices_reach_the_caller(postgres_dsn: str, put: Callable[..., Path]) -> None:
    events: list[Progress] = []
    MigrationRunner(postgres_dsn, put(a="do $$ begin raise notice 'hola ñ'; end $$;")).apply(progress=events.append)
    assert [(event.event, event.file) for event in events] == [
        (kind, "a.sql") for kind in ("file", "statement", "notice", "done")
    ]
    assert events[2].message == "NOTICE: hola ñ"


def test_options_out_of_range(tmp_path: Path) -> None:
    for options in ({"lock_timeout_ms": -1}, {"attempts": 0}):
        with pytest.raises(UsageError):
            MigrationRunner("", tmp_path, **options)
    assert issubclass(MigrationLockTimeoutError, MigrationError)
