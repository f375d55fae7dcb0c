"""`tenure migrations` and scripts/apply_migrations_production.py: options, output, exit codes, the real folder."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from migrations_support import MARK, db_fixture, put_fixture, values  # noqa: F401

from tenure.cli.migrations import DSN_VARIABLE, migrations
from tenure.demo.example import directory as example_directory
from tenure.errors import TenureError
from tenure.migrations import MigrationRunner

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "apply_migrations_production.py"


def call(*arguments: str | Path, **environment: str | None) -> Result:
    """Run the group in this process; TenureErrors, which the main command turns into exit codes, stay in the result."""
    return CliRunner().invoke(migrations, [str(argument) for argument in arguments], env=environment)


def code(result: Result) -> int:
    return result.exception.exit_code if isinstance(result.exception, TenureError) else result.exit_code


def test_apply_status_and_verify_print_text_and_json(postgres_dsn: str, put: Callable[..., Path]) -> None:
    folder = put(a="do $$ begin raise notice 'hola'; end $$;", b=MARK + "create table t ();")
    env = {DSN_VARIABLE: postgres_dsn}

    dry = call("apply", folder, "--dry-run", **env)
    assert (dry.exit_code, dry.stdout) == (
        0,
        "would run a.sql (1 statement(s))\nwould run b.sql (1 statement(s), no transaction)\n",
    )
    assert code(call("verify", folder, **env)) == 0
    assert code(call("verify", folder, "--strict", **env)) == 1

    applied = call("apply", folder, "--json", **env)
    document = json.loads(applied.stdout)
    assert (document["ok"], [file["file"] for file in document["files"]]) == (True, ["a.sql", "b.sql"])
    assert "NOTICE: hola" in applied.stderr
    assert call("apply", folder, **env).stdout == "nothing to do: all 2 file(s) are applied\n"

    status = call("status", folder, **env).stdout
    assert re.search(r"1 +a\.sql +applied", status)
    document = json.loads(call("status", folder, "--json", **env).stdout)
    assert document["ok"] is True
    assert [(row["file"], row["state"], row["transactional"]) for row in document["migrations"]] == [
        ("a.sql", "applied", True),
        ("b.sql", "applied", False),
    ]
    verified = json.loads(call("verify", folder, "--json", "--strict", **env).stdout)
    assert verified == {"ok": True, "findings": [], "matrix": []}

    put(a="select 1;", b=MARK + "create table t ();")
    result = call("verify", folder, "--json", **env)
    (finding,) = json.loads(result.stdout)["findings"]
    assert (result.exit_code, finding["id"], finding["severity"], finding["object"]) == (1, "TEN901", "error", "a.sql")
    assert "it was changed" in call("status", folder, **env).stdout
    assert json.loads(call("status", folder, "--json", **env).stdout)["ok"] is False


def test_baseline_option(postgres_dsn: str, put: Callable[..., Path]) -> None:
    folder = put(a="select 1/0;", b="select 1;")
    result = call("apply", folder, "--baseline", "a.sql", "--dsn", postgres_dsn)
    assert result.exit_code == 0
    assert result.stdout.startswith("marked as applied, without running: a.sql\nran b.sql (1 statement(s)) in ")


FAILURES: list[tuple[str, dict[str, str], int]] = [
    ("a statement fails", {"a": "select 1/0;"}, 1),
    ("a psql command", {"a": "\\i b.sql"}, 2),
    ("not pending in order", {"a": "select 1;", "stray": ""}, 3),
]


@pytest.mark.parametrize(("files", "expected"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES])
def test_exit_codes(postgres_dsn: str, put: Callable[..., Path], files: dict[str, str], expected: int) -> None:
    folder = put(**files)
    if "stray" in files:
        (folder / "manifest").write_text("a.sql\n")
    assert code(call("apply", folder, "--dsn", postgres_dsn)) == expected
    done = run_script(folder, dsn=postgres_dsn, yes=True)
    assert (done.returncode, done.stderr.count("error: ")) == (expected, 1)


def test_wrong_usage_and_unreachable_servers(put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(a="select 1;")
    monkeypatch.chdir(folder)
    without: dict[str, Any] = {DSN_VARIABLE: None}
    result = call("apply", folder, **without)
    assert (code(result), DSN_VARIABLE in str(result.exception)) == (2, True)
    assert code(call("status", folder / "nowhere", "--dsn", "postgresql:///x")) == 2
    assert code(call("apply", folder, "--lock-timeout", "-1")) == 2
    assert code(call("status", folder, "--dsn", "postgresql://127.0.0.1:1/x")) == 5


def test_the_database_may_stand_in_a_dotenv_file(
    postgres_dsn: str, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(a="select 1;")
    monkeypatch.chdir(folder)
    (folder / ".env").write_text(f"{DSN_VARIABLE}='{postgres_dsn}'\n")
    without: dict[str, Any] = {DSN_VARIABLE: None}
    assert call("apply", folder, **without).exit_code == 0
    done = run_script(folder, "--dry-run", dsn=None, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "nothing to do: all 1 file(s) are applied\n")


def run_script(
    folder: Path, *options: str, dsn: str | None, yes: bool = False, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script as a process without a terminal."""
    environment = {name: value for name, value in os.environ.items() if name != DSN_VARIABLE}
    if dsn:
        environment[DSN_VARIABLE] = dsn
    name = ["--yes-database", psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]] if yes and dsn else []
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *options, *map(str, name)],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_script_runs_only_when_the_database_is_named(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path]
) -> None:
    folder = put(a="create table a ();", b="select 1/0;", c="create table c ();")

    dry = run_script(folder, "--dry-run", dsn=postgres_dsn)
    assert (dry.returncode, dry.stdout.count("would run")) == (0, 3)
    for options, words in (((), "no terminal"), (("--yes-database", "other"), "'other' is not the name")):
        refused = run_script(folder, *options, dsn=postgres_dsn)
        assert refused.returncode == 3
        assert words in refused.stderr
    assert values(db, "SELECT relname FROM pg_class WHERE relname IN ('a', 'migration_history')") == []

    done = run_script(folder, dsn=postgres_dsn, yes=True)

    assert done.returncode == 1
    assert "b.sql:1: statement 1 of 1 (line 1) failed: division by zero" in done.stderr
    assert values(db, "SELECT relname FROM pg_class WHERE relname IN ('a', 'c')") == ["a"]
    (folder / "b.sql").write_text("select 1;")
    assert run_script(folder, dsn=postgres_dsn, yes=True).returncode == 0
    assert values(db, "SELECT relname FROM pg_class WHERE relname = 'c'") == ["c"]


@pytest.mark.parametrize(("right", "expected"), [(True, 0), (False, 3)])
def test_script_asks_at_a_terminal(
    postgres_dsn: str, db: psycopg.Connection, put: Callable[..., Path], right: bool, expected: int
) -> None:
    folder = put(a="create table a ();")
    terminal, end = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder)],
            env={**os.environ, DSN_VARIABLE: postgres_dsn},
            stdin=end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(terminal, (db.info.dbname if right else "yes").encode() + b"\n")
        _, errors = process.communicate(timeout=60)
    finally:
        os.close(terminal)
        os.close(end)
    assert process.returncode == expected
    assert f"Type the name of the database to go on ({db.info.dbname})" in errors
    assert values(db, "SELECT relname FROM pg_class WHERE relname = 'a'") == (["a"] if right else [])


@pytest.mark.parametrize("schema", ["base.sql", "legacy.sql"])
def test_the_production_migrations_apply_twice(postgres_dsn: str, db: psycopg.Connection, schema: str) -> None:
    db.execute((example_directory() / schema).read_bytes())
    runner = MigrationRunner(postgres_dsn, ROOT / "migrations")

    first = runner.apply()
    findings = runner.verify()
    # Without its history the database looks as if migrated by hand: running every file again must do no harm.
    db.execute("DROP SCHEMA tenure CASCADE")
    second = runner.apply()

    assert [file.file[:3] for file in first.files] == ["007", "008", "008", "010", "012", "013", "014", "015"]
    assert [file.file for file in first.files][1:3] == ["008_schema_alignment.sql", "008_interview_files.sql"]
    assert [file.file for file in second.files] == [file.file for file in first.files]
    assert findings == runner.verify() == ()
    assert runner.apply().files == ()
