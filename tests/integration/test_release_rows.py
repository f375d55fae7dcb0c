"""Releasing rows: what hangs on a row goes with it, no foreign key is ever broken, and undo knows all of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checks_support import Application, of

from tenure.checks.export import export_items
from tenure.errors import LeaseHeldError, RefusedError, UsageError
from tenure.release import Released, Request, release
from tenure.release.items import read_requests

NOBODYS = "UPDATE files SET project = NULL WHERE id IN (3, 7)"
# The key would follow at once, which the foreign key forbids.
QUIET = "SET session_replication_role = replica"
# A comment hangs on a part, and a foreign key that the playbook does not name as a source leads to files too.
DEEPER = """
CREATE TABLE comments (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                       part_id integer NOT NULL REFERENCES parts (id), body text NOT NULL DEFAULT 'x');
INSERT INTO comments (part_id) SELECT id FROM parts;
"""


@pytest.fixture
def app(tmp_path: Path, postgres_dsn: str) -> Application:
    application = Application(tmp_path, postgres_dsn)
    application.sql(DEEPER, NOBODYS)
    application.tables["files"]["unassigned"] = "quarantine"
    application.tables["comments"] = {"tenant": {"parent": "parts", "match": {"part_id": "id"}}}
    return application


def keys(app: Application, table: str, of_file: int) -> set[str]:
    where = {
        "files": "id = {}",
        "parts": "file_id = {}",
        "comments": "part_id IN (SELECT id FROM parts WHERE file_id = {})",
    }[table].format(of_file)
    return {key for (key,) in app.sql(f"SELECT DISTINCT project_id FROM {table} WHERE {where}")}


def everywhere(app: Application, of_file: int) -> set[str]:
    return set().union(*(keys(app, table, of_file) for table in ("files", "parts", "comments")))


def give(app: Application, table: str, *requests: tuple[Any, str]) -> Released:
    with app.session() as session:
        return release(session, table, [Request(item, tenant) for item, tenant in requests])


def again(app: Application) -> Released:
    with app.session() as session:
        return release(session)


def test_a_row_goes_to_a_tenant_with_everything_that_hangs_on_it(app: Application) -> None:
    assert app.apply().ok
    assert everywhere(app, 3) == everywhere(app, 7) == {"__quarantine__"}
    done = give(app, "files", (3, "b"))
    assert not done.findings
    assert dict(done.released) == {("postgres", "files"): 1, ("postgres", "parts"): 5, ("postgres", "comments"): 5}
    assert everywhere(app, 3) == {"b"}
    assert everywhere(app, 7) == {"__quarantine__"}
    listed = app.sql(
        "SELECT object, released_to, released_at IS NOT NULL FROM tenure.quarantine WHERE released_to <> ''"
    )
    assert sorted(name for name, _, _ in listed) == ["comments"] * 5 + ["files"] + ["parts"] * 5
    assert {(tenant, at) for _, tenant, at in listed} == {("b", True)}
    report = app.verify()
    assert report.ok, report.findings
    assert next(row for row in report.matrix if row.tenant == "(quarantine)").postgres["parts"] == 5


def test_a_repeat_finds_it_done_and_what_is_not_quarantined_is_refused_by_name(app: Application) -> None:
    app.apply()
    give(app, "files", (3, "b"))
    done = give(app, "files", (3, "b"))
    assert (done.total, done.already, done.findings) == (0, 1, ())
    done = give(app, "files", (3, "a"), (1, "b"), (99, "a"))
    assert [(f.object, f.count) for f in done.findings] == [("files", 3)]
    assert {entry["reason"] for entry in done.findings[0].sample} == {
        "it is not quarantined: its key is b",
        "it is not quarantined: its key is a",
        "there is no such row",
    }
    assert everywhere(app, 3) == {"b"}


def test_what_hangs_on_a_quarantined_row_cannot_go_alone(app: Application) -> None:
    app.apply()
    ((part,),) = app.sql("SELECT min(id) FROM parts WHERE file_id = 3")
    done = give(app, "parts", (part, "a"))
    assert done.total == 0
    (finding,) = done.findings
    assert (finding.id, finding.object, finding.count) == ("TEN130", "parts", 1)
    assert "violates foreign key" in finding.sample[0]["reason"]
    assert everywhere(app, 3) == {"__quarantine__"}


def test_the_export_filled_in_brings_decisions_back(app: Application, tmp_path: Path) -> None:
    app.apply()
    with app.session() as session:
        written = {each.object: each for each in export_items(session, tmp_path / "open")}
    assert {name: each.items for name, each in written.items()} == {"files": 2, "parts": 10, "comments": 10}
    with written["files"].path.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["id"])
    assert rows[0] == {
        "id": "3", "tenant": "", "bin": "unassigned", "reason": "no source has a value", "source 1": "",
    }  # fmt: skip
    assert list(read_requests(written["files"].path)) == []
    rows[1]["tenant"] = "a"
    with written["files"].path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with app.session() as session:
        done = release(session, "files", list(read_requests(written["files"].path)))
    assert not done.findings
    assert everywhere(app, 7) == {"a"}
    assert everywhere(app, 3) == {"__quarantine__"}


def test_a_mapping_decides_before_the_run_and_after(app: Application, tmp_path: Path) -> None:
    """`inspect --export`, two columns of it as a mapping, and nothing is left open."""
    app.tables["files"] = {**app.tables["files"], "unassigned": "fail"}
    assert of(app.inspect(), "TEN111", "files").count == 2
    with app.session() as session:
        exported = export_items(session, tmp_path / "open")
    with next(each.path for each in exported if each.object == "files").open(newline="") as file:
        open_ids = [row["id"] for row in csv.DictReader(file)]
    mapping = tmp_path / "decided.csv"
    mapping.write_text("value,tenant\n" + "".join(f"{value},b\n" for value in open_ids[:1]))
    sources = [{"column": "project"}, {"mapping": "decided.csv", "match": "id"}]
    app.tables["files"] = {**app.tables["files"], "tenant": {"first": sources}, "unassigned": "quarantine"}
    app.apply()
    assert everywhere(app, int(open_ids[0])) == {"b"}
    assert everywhere(app, int(open_ids[1])) == {"__quarantine__"}
    mapping.write_text("value,tenant\n" + "".join(f"{value},b\n" for value in open_ids))
    done = again(app)
    assert not done.findings
    assert everywhere(app, int(open_ids[1])) == {"b"}
    assert done.left == {("postgres", "files"): 0, ("postgres", "parts"): 0, ("postgres", "comments"): 0,
                         ("postgres", "notes"): 0}  # fmt: skip
    assert again(app).total == 0


def test_rows_that_hang_on_each_other_without_a_source_between_them_go_together(app: Application) -> None:
    """A composite foreign key between two tables that both know their tenant from a column of their own."""
    app.sql(
        "ALTER TABLE notes ADD COLUMN file_id integer REFERENCES files (id)",
        "UPDATE notes SET file_id = 3, project = NULL WHERE id IN (1, 2)",
    )
    app.tables["notes"]["unassigned"] = "quarantine"
    app.apply()
    app.sql(QUIET, "UPDATE files SET project = 'a' WHERE id = 3")
    done = again(app)
    assert {f.object for f in done.findings} == {"files"}
    assert everywhere(app, 3) == {"__quarantine__"}
    app.sql(QUIET, "UPDATE notes SET project = 'a' WHERE id IN (1, 2)")
    done = again(app)
    assert not done.findings, done.findings
    assert everywhere(app, 3) == {"a"}
    assert app.sql("SELECT DISTINCT project_id FROM notes WHERE id IN (1, 2)") == [("a",)]


def test_a_row_that_the_tenant_has_already_stays_and_the_others_go(app: Application) -> None:
    app.apply()
    # Both are called alike by now: the old global uniqueness is gone, and only one of them fits into tenant b.
    app.sql("ALTER TABLE files DROP CONSTRAINT files_name_key", "UPDATE files SET name = 'same' WHERE id IN (3, 10)")
    done = give(app, "files", (3, "b"), (7, "b"))
    (finding,) = done.findings
    assert finding.sample[0]["item"] == {"id": 3}
    assert "duplicate key" in finding.sample[0]["reason"]
    assert everywhere(app, 3) == {"__quarantine__"}
    assert everywhere(app, 7) == {"b"}


def test_a_rollback_takes_a_release_back_where_a_key_was_there_before(app: Application) -> None:
    app.sql("ALTER TABLE files ADD COLUMN project_id text", "UPDATE files SET project_id = 'gamma' WHERE id = 3")
    app.tables["files"] |= {"conflict": "quarantine"}
    before = app.sql("SELECT id, project_id FROM files ORDER BY id")
    app.apply()
    assert everywhere(app, 3) == {"__quarantine__"}
    assert not give(app, "files", (3, "b")).findings
    assert everywhere(app, 3) == {"b"}
    with app.session() as session:
        session.rollback()
    assert app.sql("SELECT id, project_id FROM files ORDER BY id") == before
    assert app.sql("SELECT count(*) FROM information_schema.columns WHERE column_name = 'project_id'") == [(1,)]


def test_what_cannot_be_asked_is_refused_before_anything_is_written(app: Application) -> None:
    with pytest.raises(RefusedError, match="nothing was applied"):
        give(app, "files", (3, "b"))
    app.apply()
    with pytest.raises(RefusedError, match="'gamma' is no registered tenant"):
        give(app, "files", (3, "gamma"))
    with pytest.raises(UsageError, match="is none of: "):
        give(app, "fils", (3, "b"))
    with pytest.raises(UsageError, match="a row of files is named by id"):
        give(app, "files", ({"name": "file 3"}, "b"))
    with pytest.raises(UsageError, match="cannot be a row of files"):
        give(app, "files", ("three", "b"))
    with app.session() as session:
        session.ledger.take_lease("somebody", 60)
    with pytest.raises(LeaseHeldError):
        give(app, "files", (3, "b"))
    assert everywhere(app, 3) == {"__quarantine__"}


def test_a_row_that_a_writer_holds_is_waited_for_and_read_as_it_is_then(app: Application) -> None:
    app.apply()
    with psycopg.connect(app.dsn) as writer:
        writer.execute("UPDATE parts SET body = 'changed' WHERE file_id = 3")
        writer.commit()
    assert not give(app, "files", (3, "b")).findings
    assert everywhere(app, 3) == {"b"}
    assert app.sql("SELECT DISTINCT body FROM parts WHERE file_id = 3") == [("changed",)]


@pytest.mark.parametrize("key_exists", [False, True])
def test_a_persons_word_holds_against_the_sources_in_every_later_run(app: Application, key_exists: bool) -> None:
    """Two sources disagree on a file; what a person decides is neither called wrong nor put aside again."""
    app.sql("ALTER TABLE files ADD COLUMN other text", "UPDATE files SET other = 'a' WHERE id = 9")
    if key_exists:
        app.sql("ALTER TABLE files ADD COLUMN project_id text")
    sources = [{"column": "project"}, {"column": "other"}]
    app.tables["files"] |= {"tenant": {"first": sources}, "conflict": "quarantine"}
    assert app.apply().ok
    assert everywhere(app, 9) == {"__quarantine__"}
    assert not again(app).total
    assert not give(app, "files", (9, "a")).findings
    for report in (app.verify(), app.apply(), app.verify()):
        assert report.strict(), report.findings
        given = [f for f in report.findings if f.id == "TEN502" and "given by a person" in f.title]
        assert [(f.object, f.count, f.severity) for f in given] == [("files", 1, "info")]
        assert everywhere(app, 9) == {"a"}


def test_the_evidence_report_is_made_of_what_the_ledger_knows(app: Application, tmp_path: Path) -> None:
    from tenure.report.evidence import gather
    from tenure.report.html import write_evidence

    app.apply()
    give(app, "files", (3, "b"))
    target = tmp_path / "reports" / "evidence.html"
    with app.session() as session:
        report = session.verify()
        evidence = gather(session, report)
        write_evidence(session, report, target, mask=True)
        run = session.ledger.latest_run()
    assert run is not None
    assert {(each.object, each.items, each.released) for each in evidence.bins} == {
        ("files", 2, 1), ("parts", 10, 5), ("comments", 10, 5),
    }  # fmt: skip
    assert evidence.plan_hash == run.plan_hash
    assert evidence.same_playbook
    rows = app.sql("SELECT count(*) FROM tenure.operation")[0][0]
    assert len(evidence.operations) == rows
    assert all(each.seconds is not None for each in evidence.operations if each.document["state"] == "done")
    # 10 files, 8 notes, 50 parts, 50 comments.
    assert sum(changed for _, _, changed in evidence.progress) == 118
    assert [detail for kind, _, detail, _ in evidence.events if kind == "release"] == [
        "11 items released, 11 stay quarantined"
    ]
    text = target.read_text()
    assert app.dsn not in text
    assert run.plan_hash in text
    assert "no source has a value" in text
    assert "file 7" not in text
