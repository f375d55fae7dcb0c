"""What the commands print and how they end, on a session that only pretends."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from key_kit import KEY
from tenure.checks.base import MatrixRow, Report
from tenure.cli.logs import log_to_stderr
from tenure.cli.main import run
from tenure.errors import InterruptedRunError, OperationFailedError, PreflightError
from tenure.ledger.ledger import OperationRow, RangeRow
from tenure.operations.base import Operation
from tenure.planner.plan import Plan
from tenure.report.operations import operation_document
from tenure.runner.context import Reporter, StopSignal
from tenure.runner.fence import Fence
from tenure.runner.result import RunResult
from tenure.session import Applied, Session
from tenure.values import Finding, Hazard, Outcome, Phase, Store


class Fill(Operation):
    kind: ClassVar[str] = "cli_commands_fill"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    ranged: ClassVar[bool] = True

    def describe(self) -> str:
        return f"fill {self.object}"

    def statements(self) -> tuple[str, ...]:
        return ("UPDATE t;",)


class Split(Operation):
    kind: ClassVar[str] = "cli_commands_split"
    phase: ClassVar[Phase] = Phase.CUTOVER
    store: ClassVar[Store] = "neo4j"

    def describe(self) -> str:
        return f"split {self.object}"

    def statements(self) -> tuple[str, ...]:
        return ()


class Drop(Operation):
    kind: ClassVar[str] = "cli_commands_drop"
    phase: ClassVar[Phase] = Phase.CONTRACT
    store: ClassVar[Store] = "postgres"

    def describe(self) -> str:
        return f"drop {self.object}"

    def statements(self) -> tuple[str, ...]:
        return ()


GREEN = Report(matrix=(MatrixRow(tenant="a", postgres={"files": 3}),))
WARNED = Report(findings=(Finding(id="TEN601", severity="warning", store="cross", object="f", title="drift"),))
RED = Report(
    findings=(
        Finding(
            id="TEN501", severity="error", store="postgres", object="files", title="2 without key", remedy="Sweep."
        ),
    )
)


class NoLedger:
    """A ledger that was never installed."""

    def installed(self) -> bool:
        return False

    def operations(self) -> list[Any]:
        return []


class Pretended:
    """A session that gives what a test wants and remembers what it was asked to run."""

    def __init__(self, plan: Plan, report: Report = GREEN, error: BaseException | None = None) -> None:
        self._plan, self._report, self._error = plan, report, error
        self.ledger: Any = NoLedger()
        self.runs: list[tuple[Phase, list[Hazard]]] = []
        self.postgres: Any = None

    def __enter__(self) -> Pretended:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def fence(self) -> Fence:
        return Fence(fence=("./stop.sh",), unfence=("./start.sh",), window=600)

    def plan(self) -> Plan:
        return self._plan

    def inspect(self) -> Report:
        return self._report

    def verify(self) -> Report:
        return self._report

    def apply(
        self, through: Phase, *, allowed: Iterable[Hazard], reporter: Reporter, signal: StopSignal, **_: Any
    ) -> Applied:
        self.runs.append((through, list(allowed)))
        if self._error is not None:
            raise self._error
        outcomes = {"postgres.cli_commands_fill.files": Outcome(planned=1500, changed=1500)}
        return Applied(plan=self._plan, result=RunResult(outcomes=outcomes, swept=2), report=self._report)


def plan_of(*operations: Operation, **fields: Any) -> Plan:
    return Plan(key=KEY, playbook_digest="p", catalog_digest="c", operations=operations, **fields)


WAITING = plan_of(Fill(object="files", planned=1500), Split(object="Codigo", waiting="comes later"))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(plan: Plan = WAITING, report: Report = GREEN, error: BaseException | None = None) -> Pretended:
        session = Pretended(plan, report, error)
        monkeypatch.setattr(Session, "open", classmethod(lambda cls, path: session))
        return session

    return install


def test_apply_prints_counts_what_waits_and_the_verification(pretend: Any, capsys: pytest.CaptureFixture[str]) -> None:
    session = pretend()
    assert run(["apply", "--allow", "FIRES_TRIGGERS"]) == 0
    assert session.runs == [(Phase.CONSTRAIN, [Hazard.FIRES_TRIGGERS])]
    shown = capsys.readouterr().out
    assert "fill files" in shown
    assert "1,500" in shown
    assert "2 items were born" in shown
    assert "split Codigo: comes later" in shown
    assert "Verified" in shown


def test_what_a_later_phase_does_is_still_to_come(pretend: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(plan_of(Fill(object="files"), Split(object="Codigo")))
    assert run(["apply"]) == 0
    assert "split Codigo: cutover" in capsys.readouterr().out
    assert run(["apply", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["to_come"] == ["neo4j.cli_commands_split.Codigo"]


def test_apply_is_1_when_its_verification_is_red(pretend: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(report=RED)
    assert run(["apply"]) == 1
    shown = capsys.readouterr().out
    assert "2 without key" in shown
    assert "Not verified: see the errors" in shown
    assert run(["apply", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["operations"][0]["changed"] == 1500


def test_a_phase_before_the_keys_are_held_fast_is_not_judged_by_them(
    pretend: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(report=RED)
    assert run(["apply", "--through", "expand"]) == 0
    assert "Not verified yet" in capsys.readouterr().out
    assert run(["apply", "--through", "expand", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["verified"]) == (True, False)


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (PreflightError(store="neo4j", object="Codigo", problem="twice.", remedy="Merge.", findings=()), 1, "Merge."),
        (
            OperationFailedError(operation="fill", object="files", planned=3, changed=0, left=3, problem="Look."),
            1,
            "planned 3, changed 0, left 3",
        ),
        (InterruptedRunError(operation="fill"), 130, "resumes"),
    ],
)
def test_apply_ends_with_the_code_of_what_stopped_it(
    pretend: Any, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, part: str
) -> None:
    pretend(error=error)
    assert run(["apply"]) == code
    shown = capsys.readouterr()
    assert part in shown.err
    assert shown.out == ""


class TestGates:
    """`--through cutover`."""

    plan = plan_of(Fill(object="files"), Split(object="Codigo"))

    def test_what_waits_cannot_be_passed(self, pretend: Any, capsys: pytest.CaptureFixture[str]) -> None:
        session = pretend()
        assert run(["apply", "--through", "cutover", "--yes"]) == 3
        assert "comes later" in capsys.readouterr().err
        assert session.runs == []

    def test_a_red_verify_closes_it(self, pretend: Any, capsys: pytest.CaptureFixture[str]) -> None:
        session = pretend(self.plan, RED)
        assert run(["apply", "--through", "cutover", "--yes"]) == 3
        assert session.runs == [(Phase.CONSTRAIN, [])]
        shown = capsys.readouterr().err
        assert "files" in shown
        assert "Sweep." in shown

    def test_a_green_verify_and_yes_open_it(self, pretend: Any) -> None:
        session = pretend(self.plan)
        assert run(["apply", "--through", "cutover", "--yes"]) == 0
        assert [phase for phase, _ in session.runs] == [Phase.CONSTRAIN, Phase.CUTOVER]

    def test_it_shows_what_comes_what_it_locks_and_what_ends(
        self, pretend: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        splits = Split(object="Codigo", hazards=(Hazard.NEEDS_FENCE,), lock="a lock on each node")
        pretend(plan_of(Fill(object="files"), splits, Drop(object="files_name", hazards=(Hazard.IRREVERSIBLE,))))
        allow = ("--allow", "NEEDS_FENCE", "--allow", "IRREVERSIBLE")
        assert run(["apply", "--through", "cutover", "--yes", *allow]) == 0
        shown = " ".join(capsys.readouterr().err.split())
        for told in ("split Codigo", "a lock on each node", "`./stop.sh` stops", "1 operation runs", "10 min at most"):
            assert told in shown
        assert "files_name" not in shown, "what is behind the next gate is shown there"
        assert run(["apply", "--through", "contract", "--yes", *allow]) == 0
        assert "What may not come back: drop files_name." in " ".join(capsys.readouterr().err.split())

    def test_without_a_terminal_and_without_yes_nothing_runs(
        self, pretend: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        session = pretend(self.plan)
        assert run(["apply", "--through", "contract"]) == 3
        assert "--yes" in capsys.readouterr().err
        assert session.runs == []

    @pytest.mark.parametrize(("typed", "code"), [("interviews", 0), ("interview", 3), ("", 3)])
    def test_the_name_of_the_database_is_the_word(
        self, pretend: Any, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
    ) -> None:
        session = pretend(self.plan)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("tenure.cli.gates.database_name", lambda _: "interviews")
        monkeypatch.setattr("click.prompt", lambda *_, **__: typed)
        assert run(["apply", "--through", "cutover"]) == code
        assert (len(session.runs) == 2) is (code == 0)

    def test_a_hazard_needs_its_name_before_anything_runs(
        self, pretend: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        session = pretend(plan_of(Fill(object="files"), Split(object="Codigo", hazards=(Hazard.NEEDS_FENCE,))))
        assert run(["apply", "--through", "cutover", "--yes"]) == 3
        assert "--allow NEEDS_FENCE" in capsys.readouterr().err
        assert session.runs == []
        assert run(["apply", "--through", "cutover", "--yes", "--allow", "NEEDS_FENCE"]) == 0


@pytest.mark.parametrize("command", ["inspect", "verify"])
class TestReports:
    """`tenure inspect` and `tenure verify`."""

    def test_json_is_the_published_shape(self, command: str, pretend: Any, capsys: pytest.CaptureFixture[str]) -> None:
        pretend(report=GREEN)
        assert run([command, "--json"]) == 0
        row = {"tenant": "a", "postgres": {"files": 3}, "neo4j": {}, "qdrant": {}}
        assert json.loads(capsys.readouterr().out) == {"ok": True, "findings": [], "matrix": [row]}

    @pytest.mark.parametrize(
        ("report", "strict", "code"),
        [(GREEN, False, 0), (GREEN, True, 0), (WARNED, False, 0), (WARNED, True, 1), (RED, False, 1), (RED, True, 1)],
    )
    def test_exit_codes(
        self,
        command: str,
        pretend: Any,
        capsys: pytest.CaptureFixture[str],
        report: Report,
        strict: bool,
        code: int,
    ) -> None:
        pretend(report=report)
        args = [command, *(["--strict"] if strict else [])]
        assert run(args) == code
        capsys.readouterr()
        assert run([*args, "--json"]) == code
        assert json.loads(capsys.readouterr().out)["ok"] is (code == 0)


class TestPlan:
    """`tenure plan`."""

    def test_errors_are_2_and_shown(self, pretend: Any, capsys: pytest.CaptureFixture[str]) -> None:
        pretend(plan_of(findings=RED.findings))
        assert run(["plan"]) == 2
        assert "Nothing can be run" in capsys.readouterr().out

    def test_json_and_file_have_the_same_document(
        self, pretend: Any, capsys: pytest.CaptureFixture[str], tmp_path: Any
    ) -> None:
        pretend()
        path = tmp_path / "plan.json"
        assert run(["plan", "--json", "-o", str(path)]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document == json.loads(path.read_text())
        assert document["hash"] == WAITING.hash
        fill, split = document["operations"]
        shape = [
            "id",
            "phase",
            "store",
            "object",
            "kind",
            "reversible",
            "online",
            "hazards",
            "lock",
            "planned",
            "changed",
            "left",
            "state",
            "statements",
        ]
        assert set(shape) <= set(fill)
        assert (fill["planned"], fill["changed"], fill["left"], fill["state"]) == (1500, 0, None, "planned")
        assert split["state"] == "waiting"

    def test_a_file_that_cannot_be_written_is_a_wrong_usage(
        self, pretend: Any, capsys: pytest.CaptureFixture[str], tmp_path: Any
    ) -> None:
        pretend()
        assert run(["plan", "-o", str(tmp_path / "no" / "plan.json")]) == 2
        assert "cannot be written" in capsys.readouterr().err


def test_warnings_are_masked_lines_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    log_to_stderr()
    log_to_stderr()
    logging.getLogger("tenure.runner.lease").warning("lost\n%s", "postgresql://u:hunter22@h/d")
    logging.getLogger("neo4j.notifications").warning("chatter")
    logging.getLogger("httpx").info("GET")
    assert capsys.readouterr().err == "tenure: lost postgresql://u:***@h/d\n"


def row(state: str, **fields: Any) -> OperationRow:
    body = {"kind": "cli_commands_fill", "object": "files"}
    given: dict[str, Any] = {
        "id": "postgres.cli_commands_fill.files", "position": 0, "phase": "backfill", "store": "postgres",
        "object": "files", "kind": "cli_commands_fill", "digest": "", "body": body, "state": state, "planned": 1000,
        "changed": 0, "left_over": 0, "note": "", "attempts": 1,
        "started_at": datetime.now(UTC) - timedelta(seconds=10), "finished_at": None,
    }  # fmt: skip
    return OperationRow(**(given | fields))


class Kept(NoLedger):
    """A ledger with one running operation of 1,000 items, 400 of which its ranges have done."""

    def __init__(self, *rows: OperationRow) -> None:
        self._rows = rows

    def totals(self, _: str) -> RangeRow:
        return RangeRow(ranges=2, done=0, planned=1000, changed=400, seen=400)

    def installed(self) -> bool:
        return True

    def operations(self) -> list[OperationRow]:
        return list(self._rows)


@pytest.mark.parametrize(
    ("state", "fields", "expected"),
    [
        ("planned", {}, (1000, 0, None)),
        ("running", {}, (1000, 400, 600)),
        ("done", {"changed": 990, "left_over": 0}, (1000, 990, 0)),
        ("failed", {"changed": 990, "left_over": 10}, (1000, 990, 10)),
    ],
)
def test_counts_while_it_runs_come_from_the_ranges(state: str, fields: dict[str, Any], expected: Any) -> None:
    document = operation_document(Kept(), Fill(object="files"), row(state, **fields))  # type: ignore[arg-type]
    assert (document["planned"], document["changed"], document["left"]) == expected
