"""`tenure migrations` and scripts/apply_migrations_production.py: options, output, exit codes, the real folder."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest
from migrations_support import MARK, db_fixture, put_fixture, values  # noqa: F401

from tenure.cli.main import run
from tenure.cli.migrations import DSN_VARIABLE
from tenure.demo.example import directory as example_directory
from tenure.migrations import MigrationRunner

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "apply_migrations_production.py"


@dataclass(frozen=True)
class Result:
    """What a command line printed and returned."""

    exit_code: int
    stdout: str
    stderr: str


def call(*arguments: str | Path, dsn: str | None = None) -> Result:
    """Run `tenure migrations` in this process, with *dsn* as the only database in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != DSN_VARIABLE}
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment | ({DSN_VARIABLE: dsn} if dsn else {}), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = run(["migrations", *map(str, arguments)])
    return Result(code, out.getvalue(), err.getvalue())


def test_apply_status_and_verify_print_text_and_json(postgres_dsn: str, put: Callable[..., Path]) -> None:
    folder = put(a="do $$ begin raise notice 'hola'; end $$;", b=MARK + "create table t ();")

    dry = call("apply", folder, "--dry-run", dsn=postgres_dsn)
    assert (dry.exit_code, dry.stdout) == (
        0,
        "would run a.sql (1 statement(s))\nwould run b.sql (1 statement(s), no transaction)\n",
    )
    assert call("verify", folder, dsn=postgres_dsn).exit_code == 0
    assert call("verify", folder, "--strict", dsn=postgres_dsn).exit_code == 1

    applied = call("apply", folder, "--json", dsn=postgres_dsn)
    document = json.loads(applied.stdout)
    assert (document["ok"], [file["file"] for file in document["files"]]) == (True, ["a.sql", "b.sql"])
    assert "NOTICE: hola" in applied.stderr
    assert call("apply", folder, dsn=postgres_dsn).stdout == "nothing to do: all 2 file(s) are applied\n"

    status = call("status", folder, dsn=postgres_dsn).stdout
    assert re.search(r"1 +a\.sql +applied", status)
    document = json.loads(call("status", folder, "--json", dsn=postgres_dsn).stdout)
    assert document["ok"] is True
    assert [(row["file"], row["state"], row["transactional"]) for row in document["migrations"]] == [
        ("a.sql", "applied", True),
        ("b.sql", "applied", False),
    ]
    verified = json.loads(call("verify", folder, "--json", "--strict", dsn=postgres_dsn).stdout)
    assert verified == {"ok": True, "findings": [], "matrix": []}

    put(a="select 1;", b=MARK + "create table t ();")
    result = call("verify", folder, "--json", dsn=postgres_dsn)
    (finding,) = json.loads(result.stdout)["findings"]
    assert (result.exit_code, finding["id"], finding["severity"], finding["object"]) == (1, "TEN901", "error", "a.sql")
    assert "it was changed" in call("status", folder, dsn=postgres_dsn).stdout
    assert json.loads(call("status", folder, "--json", dsn=postgres_dsn).stdout)["ok"] is False


def test_a_refusal_is_a_document_too(postgres_dsn: str, put: Callable[..., Path]) -> None:
    folder = put(a="select 1;")
    call("apply", folder, dsn=postgres_dsn)
    put(a="select 2;")
    result = call("apply", folder, "--json", dsn=postgres_dsn)
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"], document["error"]["exit_code"]) == (3, False, 3)
    assert [(finding["id"], finding["object"]) for finding in document["findings"]] == [("TEN901", "a.sql")]


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
    assert call("apply", folder, "--dsn", postgres_dsn).exit_code == expected
    done = run_script(folder, dsn=postgres_dsn, yes=True)
    assert (done.returncode, done.stderr.count("error: ")) == (expected, 1)


def test_wrong_usage_and_unreachable_servers(put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(a="select 1;")
    monkeypatch.chdir(folder)
    result = call("apply", folder)
    assert (result.exit_code, DSN_VARIABLE in result.stderr) == (2, True)
    assert call("status", folder / "nowhere", "--dsn", "postgresql:///x").exit_code == 2
    assert call("apply", folder, "--lock-timeout", "-1").exit_code == 2
    assert call("status", folder, "--dsn", "postgresql://127.0.0.1:1/x").exit_code == 5


def test_the_database_may_stand_in_a_dotenv_file(
    postgres_dsn: str, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(a="select 1;")
    monkeypatch.chdir(folder)
    (folder / ".env").write_text(f"{DSN_VARIABLE}='{postgres_dsn}'\n")
    assert call("apply", folder).exit_code == 0
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
