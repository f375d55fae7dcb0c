"""Options around the evidence report, the export and releases: what is refused, and what a file of decisions says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tenure.checks.base import MatrixRow, Report
from tenure.cli.main import run
from tenure.errors import UsageError
from tenure.release import Released, Request
from tenure.release.items import item_of, read_requests
from tenure.session import Session
from tenure.values import Finding

FOUND = Report(
    findings=(
        Finding(id="TEN111", severity="info", store="postgres", object="files", title="rows without a tenant", count=1,
                sample=({"item": {"id": "Ana Maria"}, "reason": "no source has a value"},)),
    ),
    matrix=(MatrixRow(tenant="a", postgres={"files": 3}),),
)  # fmt: skip


class Pretended:
    """A session that only gives a report."""

    def __enter__(self) -> Pretended:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def verify(self) -> Report:
        return FOUND

    inspect = verify


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "open", classmethod(lambda *_: Pretended()))


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_mask_leaves_the_applications_values_out(
    command: str, more: list[str], pretended: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, *more]) == 0
    assert "Ana Maria" in capsys.readouterr().out
    assert run([command, "--mask", *more]) == 0
    out = capsys.readouterr().out
    assert "Ana Maria" not in out
    assert "files" in out
    if more:
        assert json.loads(out)["findings"][0]["sample"] == [{"item": {"id": "***"}, "reason": "no source has a value"}]


def test_a_report_is_written_where_it_was_asked_for(
    pretended: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[tuple[Path, bool]] = []

    def write(_session: object, report: Report, path: Path, *, mask: bool) -> None:
        assert report is FOUND
        asked.append((path, mask))

    monkeypatch.setattr("tenure.report.html.write_evidence", write)
    target = tmp_path / "evidence.html"
    assert run(["verify", "--report", str(target), "--mask"]) == 0
    assert asked == [(target, True)]
    assert str(target) in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_a_wrong_command_line(
    pretended: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def write(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tenure.report.html.write_evidence", write)
    assert run(["verify", "--report", str(tmp_path / "x.html")]) == 2
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tenant", "a"], "need --item or --items"),
        (["--object", "files"], "need --item or --items"),
        (["--item", "3", "--tenant", "a"], "what the items are of"),
        (["--object", "files", "--item", "3"], "to whom the items go"),
        (["--object", "files", "--items", "nowhere.csv"], "does not exist"),
    ],
)
def test_a_release_must_say_what_goes_to_whom(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["release", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_file_without_a_decision_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "open.csv"
    path.write_text("id,tenant,bin,reason\n3,,unassigned,no source\n")
    assert run(["release", "--object", "files", "--items", str(path)]) == 2
    assert "has a tenant" in capsys.readouterr().err


def test_an_item_is_json_or_the_value_itself() -> None:
    assert item_of("3") == 3
    assert item_of('{"a": 1}') == {"a": 1}
    assert item_of("file 3") == "file 3"
    assert item_of("0a3f") == "0a3f"


def test_a_file_of_decisions_gives_items_as_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "fragment,code,tenant,bin,reason,source 1\n"
        'x,"y, z",b,conflict,two,a\n'
        "x,w,,conflict,two,a\n"
        '"line\nbreak",w, c ,conflict,two,a\n'
    )
    assert list(read_requests(path)) == [
        Request({"fragment": "x", "code": "y, z"}, "b"),
        Request({"fragment": "line\nbreak", "code": "w"}, "c"),
    ]
    assert [request.tenant for request in read_requests(path, "d")] == ["b", "d", "c"]
    path.write_text('start,end,tenant,bin,reason\n"{""value"": 1}",,b,conflict,x\n')
    assert list(read_requests(path)) == [Request({"start": {"value": 1}, "end": None}, "b")]
    path.write_text("\ufeffid,tenant\n7,b\n", encoding="utf-8")
    assert list(read_requests(path)) == [Request("7", "b")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column that names an item"),
        ("tenant,reason\nb,x\n", "no column that names an item"),
        ("id,tenant\n1,b,more\n", ":2: this line has not as many fields"),
        ("id,tenant\n1\n", ":2: this line has not as many fields"),
        ("start,end,tenant\nx,y,b\n", ":2: the ends of a relationship are JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        list(read_requests(path))


def test_a_release_says_what_it_did_and_what_stands_in_the_way() -> None:
    done = Released()
    done.released["postgres", "files"] += 2
    done.left["postgres", "files"] = 1
    assert done.document()["ok"]
    done.is_stuck("postgres", "files", "3", {"id": 3}, "a reason")
    done.is_missing("qdrant", "parts", 900, "there is no such point")
    document = done.document()
    assert not document["ok"]
    assert [(f["id"], f["severity"], f["count"]) for f in document["findings"]] == [
        ("TEN130", "error", 1),
        ("TEN131", "error", 1),
    ]
    assert document["released"] == [{"store": "postgres", "object": "files", "released": 2, "left": 1}]
