"""Every statement that plans emit passes squawk, but for remarks that `squawk_exceptions.toml` lists with a reason."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg
from postgres_kit import PROJECTS, Application, application, example_session
from test_postgres_exclusions import EXCLUSIONS
from test_postgres_operations import CASES
from test_postgres_operations_contract import UNIQUES
from test_postgres_operations_references import KEYS
from test_postgres_operations_triggers import RULES, SEEN, TOUCH, TRIGGERS

from tenure.demo.example import generate, load_postgres
from tenure.demo.servers import EmbeddedPostgres
from tenure.operations.base import Operation

EXCEPTIONS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent.parent / "squawk_exceptions.toml").read_text())[
    "exception"
]
# What PostgresStore.ddl sets in the session of a statement that does not build concurrently.
SESSION = "SET lock_timeout = '3s';\n"


def squawk() -> str:
    """The path of the wheel's binary."""
    found = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    assert found is not None, "squawk-cli is a development dependency"
    return found


def applications(server: EmbeddedPostgres, folder: Path) -> list[tuple[str, list[Operation]]]:
    """The plans of every schema that the tests of the operations know, by name."""
    schemas: dict[str, tuple[str, Any, dict[str, Any]]] = {}
    for name, case in CASES.items():
        options = dict(case.options)
        if "tenant" in options:
            options["tenant"] = {"key": "project_id", "type": "text", **options["tenant"]}
        schemas[name] = (case.schema, case.tables, options)
    schemas |= {f"unique, {name}": (case.schema, case.tables, {}) for name, case in UNIQUES.items()}
    schemas |= {f"exclusion, {name}": (case.schema, case.tables, {}) for name, case in EXCLUSIONS.items()}
    schemas |= {f"key, {name}": (case.schema, case.tables, {}) for name, case in KEYS.items()}
    for name, trigger in TRIGGERS.items():
        schemas[f"trigger, {name}"] = (TOUCH + trigger, RULES | (SEEN if "seen" in trigger else {}), {})
    plans = []
    dsn = server.create_database("squawk")
    for number, (name, (schema, tables, options)) in enumerate(schemas.items()):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP PUBLICATION IF EXISTS pub;"
                'DROP SCHEMA IF EXISTS ext CASCADE; DROP SCHEMA IF EXISTS "s; DROP SCHEMA public;--" CASCADE'
            )
        home = folder / str(number)
        home.mkdir()
        with application(dsn, home, PROJECTS + schema, tables, **options) as app:
            plans.append((name, operations(app)))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    load_postgres(dsn, generate(0.01, 1))
    with example_session(dsn, folder) as session:
        plans.append(("the worked example", operations(Application(dsn, session))))
    server.drop_database("squawk")
    return plans


def operations(app: Application) -> list[Operation]:
    """The plan's operations, and what it would have besides for a role that may not silence triggers."""
    from tenure.planner.rows import backfill

    catalog = app.catalog()
    humble = catalog.model_copy(update={"role": catalog.role.model_copy(update={"can_set_replication_role": False})})
    guarded = backfill(humble, app.session.rules(app.session.catalog()))
    return [*app.plan().operations, *(operation for operation in guarded if "triggers" in operation.kind)]


def remarks(folder: Path, statements: dict[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    """What squawk says: rule, file, message. One run over all files; each holds one statement."""
    for name, (_, statement) in statements.items():
        concurrent = " CONCURRENTLY " in statement
        (folder / name).write_text(("" if concurrent else SESSION) + statement)
    files = [str(folder / name) for name in statements]
    found: list[tuple[str, str, str]] = []
    for start in range(0, len(files), 200):
        command = [squawk(), "--reporter", "json", "--pg-version", "18.0", *files[start : start + 200]]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.stdout.startswith("["), run.stderr
        for remark in json.loads(run.stdout):
            found.append((remark["rule_name"], Path(remark["file"]).name, remark["message"]))
    return found


def test_every_statement_passes(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    plans = applications(postgres_server, tmp_path)
    statements: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    kinds = set()
    for _, plan in plans:
        for operation in plan:
            kinds.add(operation.kind)
            for statement in operation.statements():
                if statement not in seen:
                    seen.add(statement)
                    statements[f"{len(statements):05}.sql"] = (operation.kind, statement)
    assert kinds >= {
        "add_key", "backfill_rows", "composite_fk", "drop_exclusion", "drop_fill_trigger", "drop_foreign_key",
        "drop_key_default", "drop_unique", "fill_trigger", "guard_triggers", "key_index", "load_decisions", "not_null",
        "rescope_exclusion", "rescope_unique", "restore_triggers", "surrogate_unique", "swap_primary_key",
        "watch_writers",
    }  # fmt: skip
    sql = tmp_path / "sql"
    sql.mkdir()
    unused = {(entry["rule"], kind) for entry in EXCEPTIONS for kind in entry["kinds"]}
    unexplained: dict[str, list[str]] = defaultdict(list)
    for rule, name, message in remarks(sql, statements):
        kind, statement = statements[name]
        allowed = [
            (entry["rule"], listed)
            for entry in EXCEPTIONS
            for listed in entry["kinds"]
            if entry["rule"] == rule and listed in (kind, "*")
        ]
        unused -= set(allowed)
        if not allowed:
            unexplained[f"{rule} ({kind}): {message}"].append(statement)
    assert not unexplained, {remark: found[0] for remark, found in unexplained.items()}
    assert not unused, f"exceptions that nothing needs: {sorted(unused)}"


def test_every_exception_has_its_reason() -> None:
    assert all(len(entry["reason"]) > 40 for entry in EXCEPTIONS)


def test_a_careless_statement_is_found(tmp_path: Path) -> None:
    """The linter is really asked: a blocking index build is none of the exceptions."""
    found = remarks(tmp_path, {"0.sql": ("add_key", "CREATE INDEX i ON t (x);")})
    assert "require-concurrent-index-creation" in {rule for rule, _, _ in found}
    assert not any(
        entry["rule"] == "require-concurrent-index-creation" and "add_key" in entry["kinds"] for entry in EXCEPTIONS
    )
