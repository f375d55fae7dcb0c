"""The command line: what it parses, what errors become, and what it imports to do so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tenure.cli.failures import Invocation, masked, report_failure, store_of
from tenure.cli.main import COMMANDS, run, tenure
from tenure.errors import (
    InterruptedRunError,
    LeaseHeldError,
    PlanError,
    PlaybookError,
    PreflightError,
    RefusedError,
    StoreUnreachableError,
    TenureError,
    UsageError,
)
from tenure.masking import remember_secret
from tenure.values import Finding

HEAVY = ("psycopg", "neo4j", "qdrant_client", "pydantic", "rich", "ruamel", "httpx", "numpy", "tenure.session")


def imported_by(*args: str) -> set[str]:
    """Return the modules that a process has imported after running `tenure` with *args*."""
    code = (
        "import sys\nfrom tenure.cli.main import run\n"
        f"code = run({list(args)!r})\nassert code == 0, code\n"
        "print('MODULES', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_help_imports_no_driver_and_no_command() -> None:
    modules = imported_by("--help")
    assert not [name for name in modules if name.partition(".")[0] in HEAVY or name in HEAVY]
    commands = {target.partition(":")[0] for target, _ in COMMANDS.values()}
    assert not commands & modules
    # A count instead of a time, which would depend on the machine: click, the standard library, and little else.
    assert len([name for name in modules if name.startswith("tenure")]) <= 8
    assert len(modules) < 200


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_imports_no_driver_for_its_help(name: str) -> None:
    modules = imported_by(name, "--help")
    assert not [module for module in modules if module.partition(".")[0] in ("psycopg", "neo4j", "qdrant_client")]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (_, line) in COMMANDS.items():
        assert name in shown
        assert line.split()[0] in shown


def test_the_nearest_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["aply"]) == 2
    assert "'apply'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["apply", "--through", "contrain"], "constrain"),
        (["apply", "--allow", "NEEDS_FENSE"], "NEEDS_FENCE"),
        (["limit", "batch=3"], "batch_ms"),
        (["limit", "batch_ms=fast"], "whole number"),
        (["limit", "workers.neo4j=0"], "from 1 on"),
        (["demo", "--scale", "0"], "scale"),
    ],
)
def test_wrong_usage_is_2_and_lists_what_is_right(
    args: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(args) == 2
    assert named in capsys.readouterr().err


ERRORS: list[tuple[BaseException, int]] = [
    (TenureError(detail="x"), 1),
    (UsageError(detail="x"), 2),
    (RefusedError(reason="x", remedy="y"), 3),
    (LeaseHeldError(holder="a", expires="b"), 4),
    (StoreUnreachableError(store="neo4j", address="h:1", problem="x"), 5),
    (InterruptedRunError(operation="x"), 130),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
    (click.exceptions.Exit(3), 3),
    (click.UsageError("x"), 2),
    (ZeroDivisionError("division by zero"), 1),
    (SystemExit(7), 7),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_becomes_its_exit_code_and_one_message(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_failure(error, Invocation()) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_an_unknown_error_names_its_type_and_the_way_to_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report_failure(ZeroDivisionError("division\nby zero"), Invocation())
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in shown
    assert "TENURE_DEBUG=1" in shown
    assert len(shown.splitlines()) == 1
    monkeypatch.setenv("TENURE_DEBUG", "1")
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        report_failure(error, Invocation())
    assert "Traceback" in capsys.readouterr().err


def test_a_driver_error_that_escapes_names_its_store(capsys: pytest.CaptureFixture[str]) -> None:
    import httpx
    import psycopg
    from neo4j.exceptions import ServiceUnavailable
    from qdrant_client.http.exceptions import ResponseHandlingException

    denied = psycopg.errors.InsufficientPrivilege("permission denied for schema public")
    for error, store in (
        (denied, "Postgres"),
        (ServiceUnavailable("gone"), "Neo4j"),
        (ResponseHandlingException(OSError("gone")), "Qdrant"),
        (httpx.ConnectError("gone"), "Qdrant"),
    ):
        assert store_of(error) == store
        assert report_failure(error, Invocation()) == 5
        assert store in capsys.readouterr().err
    report_failure(denied, Invocation())
    assert "Grant it" in capsys.readouterr().err


def test_every_problem_of_a_playbook_is_printed_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tenure.yaml"
    path.write_text(
        "version: 1\ntenant: {key: project_id, type: txt, registry: {table: p, column: id}}\n"
        "connections: {postgres: {url: 'postgresql://u@h/d'}}\nposgres: {}\n"
    )
    assert run(["plan", "-f", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(f"{path}:2:" in line and "text" in line for line in lines)
    assert any(f"{path}:4:1" in line and "postgres" in line for line in lines)


def test_secrets_are_masked_wherever_they_turn_up(capsys: pytest.CaptureFixture[str]) -> None:
    remember_secret("correct-horse")
    error = StoreUnreachableError(store="postgres", address="postgresql://u:hunter22@h/d", problem="correct-horse")
    report_failure(error, Invocation(json=True))
    report_failure(RuntimeError("password=hunter22 at correct-horse"), Invocation(json=True))
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert "hunter22" not in text
        assert "correct-horse" not in text
        assert "***" in text
    assert masked({"a": ["x correct-horse", 1, None]}) == {"a": ["x ***", 1, None]}


def test_with_json_an_error_is_the_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding(id="TEN001", severity="error", store="postgres", object="t", title="x")
    report_failure(PlanError(count=1, first="x", findings=(finding,)), Invocation(json=True))
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["error"] == {
        "kind": "PlanError",
        "message": "The playbook and the stores do not fit: 1 problem(s). x",
        "exit_code": 2,
    }
    assert document["findings"][0]["object"] == "t"


def test_json_is_known_even_when_the_rest_of_the_line_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["apply", "--through", "nowhere", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


def test_the_findings_of_a_preflight_are_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding(id="TEN030", severity="error", store="neo4j", object="Codigo", title="twice", remedy="merge")
    error = PreflightError(store="neo4j", object="Codigo", problem="twice.", remedy="merge", findings=(finding,))
    assert report_failure(error, Invocation(json=True)) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["id"] == "TEN030"


def test_a_playbook_that_is_not_there_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("inspect", "plan", "apply", "status", "verify", "pause", "resume"):
        assert run([command, "-f", str(tmp_path / "none.yaml")]) == 2
        assert "does not exist" in capsys.readouterr().err


def test_other_problems_of_a_playbook_follow_the_first() -> None:
    other = PlaybookError(path="p", line=3, column=1, problem="b.", remedy="", others=())
    first = PlaybookError(path="p", line=2, column=1, problem="a.", remedy="", others=(other,))
    assert report_failure(first, Invocation()) == 2


def test_every_option_has_a_help_text() -> None:
    context = click.Context(tenure)
    for name in COMMANDS:
        command = tenure.get_command(context, name)
        assert command is not None
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"
