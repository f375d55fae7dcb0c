"""Folder, manifest and history compared: each disagreement, each with its remedy, and baselines."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tenure.errors import MigrationRefusedError, UsageError
from tenure.migrations import MigrationFile, MigrationFolder, MigrationState
from tenure.migrations.assessment import assess, files_to_baseline, refuse_problems
from tenure.migrations.execution import resume_point
from tenure.migrations.statements import fingerprint, split_statements
from tenure.migrations.values import HistoryRow


def folder(*names: str, unlisted: tuple[str, ...] = (), absent: tuple[tuple[int, str], ...] = ()) -> MigrationFolder:
    files = tuple(
        MigrationFile(name=name, position=position, text="", checksum=f"sum of {name}", transactional=True)
        for position, name in enumerate(names, start=1)
    )
    return MigrationFolder(path=Path("m"), files=files, unlisted=unlisted, absent=absent)


def row(name: str, **changes: Any) -> HistoryRow:
    values: dict[str, Any] = {
        "file": name,
        "position": 1,
        "checksum": f"sum of {name}",
        "state": "applied",
        "transactional": True,
        "baseline": False,
        "statements_done": 0,
        "done_checksum": "",
        "applied_by": "ana",
        "applied_at": datetime(2026, 1, 1, tzinfo=UTC),
        "duration_ms": 5,
    }
    return HistoryRow(**{**values, **changes})


def history(*rows: HistoryRow) -> dict[str, HistoryRow]:
    return {row.file: row for row in rows}


STATES = [
    ("fresh", folder("a", "b"), history(), {"a": "pending", "b": "pending"}, ""),
    ("half way", folder("a", "b"), history(row("a")), {"a": "applied", "b": "pending"}, ""),
    ("baseline", folder("a"), history(row("a", baseline=True)), {"a": "baseline"}, ""),
    ("cut short", folder("a", "b"), history(row("a", state="started")), {"a": "interrupted", "b": "pending"}, ""),
    ("cut short and edited", folder("a"), history(row("a", state="started", checksum="x")), {"a": "interrupted"}, ""),
    ("edited", folder("a"), history(row("a", checksum="x")), {"a": "changed"}, "Restore it .* new file"),
    ("gone", folder("a"), history(row("a"), row("z'")), {"a": "applied", "z'": "missing"}, "file = 'z''';"),
    ("late", folder("a", "b", "c"), history(row("a"), row("c")), {"b": "out-of-order"}, "move its line .* of c"),
    ("before a cut one", folder("a", "b"), history(row("b", state="started")), {"a": "out-of-order"}, "move its line"),
    ("not listed", folder("a", unlisted=("n",)), history(), {"n": "unlisted"}, "Add its line .*`! n`"),
    ("applied, not listed", folder("a", unlisted=("n",)), history(row("n")), {"n": "unlisted"}, "Add its line"),
    ("not there", folder("a", absent=((2, "g"),)), history(), {"g": "absent"}, "Add the file, or remove its line"),
    ("not there any more", folder("a", absent=((2, "g"),)), history(row("g")), {"g": "absent"}, "Restore it"),
]


@pytest.mark.parametrize(
    ("files", "rows", "states", "refusal"), [case[1:] for case in STATES], ids=[c[0] for c in STATES]
)
def test_states_and_refusals(
    files: MigrationFolder, rows: dict[str, HistoryRow], states: dict[str, str], refusal: str
) -> None:
    statuses = assess(files, rows)

    found = {status.file: status.state.value for status in statuses}
    assert len(found) == len(statuses)
    assert {name: found[name] for name in states} == states
    if refusal:
        with pytest.raises(MigrationRefusedError, match=refusal) as caught:
            refuse_problems(statuses)
        assert caught.value.exit_code == 3
    else:
        refuse_problems(statuses)


def test_every_problem_is_told_at_once() -> None:
    statuses = assess(folder("a", "b", unlisted=("n",)), history(row("a", checksum="x"), row("z")))
    with pytest.raises(MigrationRefusedError) as caught:
        refuse_problems(statuses)
    assert caught.value.fields["states"] == (MigrationState.CHANGED, MigrationState.UNLISTED, MigrationState.MISSING)


def test_baseline_marks_up_to_and_including_the_file() -> None:
    files = folder("a", "b", "c")
    assert [file.name for file in files_to_baseline(files, {}, "b")] == ["a", "b"]
    assert [file.name for file in files_to_baseline(files, history(row("a")), "b")] == ["b"]
    assert files_to_baseline(files, history(row("a"), row("b")), "b") == ()


def test_baseline_takes_over_a_file_that_was_finished_by_hand() -> None:
    assert [f.name for f in files_to_baseline(folder("a"), history(row("a", state="started")), "a")] == ["a"]


def test_baseline_is_refused_where_the_history_goes_beyond() -> None:
    with pytest.raises(MigrationRefusedError, match=r"beyond b: it has c.*Name c"):
        files_to_baseline(folder("a", "b", "c"), history(row("c")), "b")


def test_baseline_of_an_unknown_file_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="nope"):
        files_to_baseline(folder("a"), {}, "nope")


def test_resuming_allows_edits_only_behind_what_is_done() -> None:
    def made(text: str, transactional: bool = False) -> MigrationFile:
        return MigrationFile(name="f", position=1, text=text, checksum=text, transactional=transactional)

    file = made("select 1; select 2; select 3;")
    done = fingerprint(split_statements(file)[:2])
    cut = row("f", state="started", statements_done=2, done_checksum=done)

    assert resume_point(file, split_statements(file), None) == 0
    assert resume_point(file, split_statements(file), cut) == 2
    later = made("select 1; /* why */ select 2; select 4; select 5;")
    assert resume_point(later, split_statements(later), cut) == 2
    for edited in (made("select 0; select 2; select 3;"), made("select 1;"), made(file.text, transactional=True)):
        with pytest.raises(MigrationRefusedError, match="--baseline f"):
            resume_point(edited, split_statements(edited), cut)
