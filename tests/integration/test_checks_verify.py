"""Verify on Postgres: green after apply, and each planted fault turns exactly its check red."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from checks_support import Application, Change, errors, of, red

from tenure.checks.sums import HASH, HASH_16, RANGE, hash_of, range_of
from tenure.errors import StoreError
from tenure.operations.drop_fill_trigger import DropFillTrigger, WatchWriters
from tenure.values import Hazard, Outcome, Phase


@pytest.fixture
def app(tmp_path: Path, postgres_dsn: str) -> Application:
    return Application(tmp_path, postgres_dsn)


def test_before_anything_is_applied_there_is_one_finding(app: Application) -> None:
    report = app.verify()
    assert not report.ok
    assert [finding.id for finding in report.findings] == ["TEN500"]


def test_after_apply_every_check_is_green_and_the_matrix_is_what_inspect_foretold(app: Application) -> None:
    foretold = app.inspect().matrix
    report = app.apply()
    assert report.strict(), report.findings
    assert report.matrix == foretold
    assert {f.id for f in report.findings} == {"TEN506"}  # global uniqueness waits for contract


def sql(*statements: str) -> Change:
    return lambda app: app.sql(*statements)


# Triggers and constraints that would forbid the fault are out of the way for as long as it takes to plant it.
QUIET = "SET session_replication_role = replica"
FAULTS: dict[str, tuple[str, Change]] = {
    "a key is null": (
        "TEN501",
        sql(
            "ALTER TABLE notes ALTER project_id DROP NOT NULL", QUIET, "UPDATE notes SET project_id = NULL WHERE id = 1"
        ),
    ),
    "a key is no tenant": ("TEN501", sql("UPDATE notes SET project_id = 'zz' WHERE id = 1")),
    "a key is wrong but valid": ("TEN502", sql("UPDATE notes SET project_id = 'b' WHERE id = 2")),
    "a row is quarantined although its sources know its tenant": (
        "TEN502",
        sql("UPDATE notes SET project_id = '__quarantine__' WHERE id = 2"),
    ),
    "a foreign key crosses tenants": (
        "TEN503",
        # The child's source goes with its key, so that only the reference is wrong.
        sql(
            "ALTER TABLE links DROP CONSTRAINT links_file_id_fkey_project_id",
            "UPDATE links SET project = 'b', project_id = 'b' WHERE id = 1",
        ),
    ),
    "a named reference crosses tenants": ("TEN503", sql("UPDATE notes SET mentions = '{1, 10}' WHERE id = 2")),
    "a global uniqueness came back": ("TEN506", sql("CREATE UNIQUE INDEX again ON notes (id, project)")),
    "the per-tenant uniqueness is gone": ("TEN506", sql("ALTER TABLE files DROP CONSTRAINT files_name_key_project_id")),
    "the composite foreign key is gone": (
        "TEN506",
        sql("ALTER TABLE parts DROP CONSTRAINT parts_file_id_fkey_project_id"),
    ),
    "the key may be null again": ("TEN506", sql("ALTER TABLE notes ALTER project_id DROP NOT NULL")),
    "a fill trigger is disabled": ("TEN507", sql("ALTER TABLE notes DISABLE TRIGGER zz_tenure_fill_project_id")),
    "a fill trigger is gone": ("TEN507", sql("DROP TRIGGER zz_tenure_fill_project_id ON notes")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_check_red(app: Application, fault: str) -> None:
    id_, plant = FAULTS[fault]
    app.sql(
        "CREATE TABLE links (id integer PRIMARY KEY, project text, file_id integer REFERENCES files (id))",
        "INSERT INTO links VALUES (1, 'a', 1), (2, 'b', 10)",
    )
    app.tables["links"] = {"tenant": {"column": "project"}, "unique": {"links_pkey": {"keep": "numbers are global"}}}
    app.tables["notes"]["references"] = {"mentions": "files.id"}
    assert app.apply().strict()
    plant(app)
    report = app.verify()
    expected = {id_}
    # Taking a constraint away to plant the fault behind it is a fault of its own.
    if fault in ("a key is null", "a foreign key crosses tenants"):
        expected.add("TEN506")
    assert red(report) == expected, [(f.id, f.object, f.title) for f in report.findings]


def test_wrong_keys_are_listed_with_what_the_sources_say(app: Application) -> None:
    app.apply()
    app.sql("UPDATE notes SET project_id = 'b' WHERE id IN (2, 4)")
    found = of(app.verify(), "TEN502")
    assert found.count == 2
    assert found.sample[0] == {"item": {"id": 2}, "key": "b", "sources": "a", "reason": ""}


def test_a_key_that_the_application_set_is_counted_not_judged(app: Application) -> None:
    app.tables["notes"]["unassigned"] = "quarantine"
    app.apply()
    app.sql("INSERT INTO notes (id, project, project_id) VALUES (100, NULL, 'b')")
    report = app.verify()
    assert report.strict()
    found = of(report, "TEN502")
    assert (found.severity, found.count, found.sample[0]["item"]) == ("info", 1, {"id": 100})


def test_writes_without_the_key_are_counted(app: Application) -> None:
    app.apply()
    app.sql("INSERT INTO notes (id, project) VALUES (100, 'b'), (101, 'a')")
    report = app.verify()
    assert report.strict()
    assert of(report, "TEN507").count == 2


def test_a_contract_that_was_stopped_in_the_middle_leaves_its_gate_open(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has dropped by then is no trigger that somebody took away."""

    def breaks(*_: object) -> None:
        raise StoreError(store="postgres", problem="the server went away.", remedy="")

    app.apply()
    with app.session() as session:
        last = session.plan().of_phase(Phase.CONTRACT)[-1]
    assert isinstance(last, DropFillTrigger)
    whole = DropFillTrigger.apply
    with app.session() as session, monkeypatch.context() as patched:
        patched.setattr(WatchWriters, "apply", lambda *_: Outcome(planned=1, changed=1))
        patched.setattr(DropFillTrigger, "apply", lambda one, ctx: breaks() if one.id == last.id else whole(one, ctx))
        with pytest.raises(StoreError):
            session.apply(Phase.CONTRACT, allowed=set(Hazard))
    assert app.verify().ok, errors(app.verify())
    app.sql(f"DROP TRIGGER zz_tenure_fill_project_id ON {last.object}")
    assert app.verify().ok, "a kill between the drop and its record"
    with app.session() as session, monkeypatch.context() as patched:
        patched.setattr(WatchWriters, "apply", lambda *_: Outcome(planned=1, changed=1))
        assert session.apply(Phase.CONTRACT, allowed=set(Hazard)).report.ok


def test_null_keys_that_are_kept_on_purpose_are_no_finding_but_a_null_that_hides_a_tenant_is(app: Application) -> None:
    app.sql("INSERT INTO notes (id) VALUES (100), (101)")
    app.tables["notes"]["unassigned"] = {"keep_null": "null is global"}
    report = app.apply()
    assert report.strict(), report.findings
    assert {row.tenant: row.postgres["notes"] for row in report.matrix}["(shared)"] == 2
    app.sql(QUIET, "UPDATE notes SET project_id = NULL WHERE id = 1")
    assert errors(app.verify()) == {"TEN502"}


def test_a_key_that_was_there_is_compared_with_what_the_sources_said_before_it_was_overwritten(
    app: Application,
) -> None:
    app.sql(
        "ALTER TABLE notes ADD COLUMN project_id text",
        "UPDATE notes SET project_id = CASE WHEN id <= 4 THEN 'none' ELSE project END",
    )
    app.tenant["untagged"] = ["none"]
    app.tables["notes"]["tenant"] = {"first": [{"column": "project_id"}, {"column": "project"}]}
    assert app.apply().strict()
    # The key vouches for itself in the first source; only the journal knows that it said nothing before.
    app.sql("UPDATE notes SET project_id = 'b' WHERE id = 2")
    report = app.verify()
    assert errors(report) == {"TEN502"}


def test_verify_finds_the_table_that_lost_its_key(app: Application) -> None:
    app.apply()
    app.sql("ALTER TABLE notes DROP COLUMN project_id CASCADE")
    report = app.verify()
    assert "TEN501" in errors(report)
    assert any(f.object == "notes" and "no column" in f.title for f in report.findings)


def test_inspect_after_apply_says_the_same_as_before(app: Application) -> None:
    before = app.inspect()
    app.apply()
    after = app.inspect()
    assert after.strict()
    assert after.matrix == before.matrix


def test_postgres_and_the_process_compute_the_same_fingerprints(app: Application) -> None:
    values = ["", "a", "Ñandú", "x" * 300, "7f2c1c0e-5c4d-4c1e-9a53-6a0f6c1d2e3f"]
    # The driver reads percent signs where there are parameters.
    texts = (RANGE, HASH, HASH_16)
    place, *hashes = (text.format(digest="md5(v)", ranges=1024).replace("%", "%%") for text in texts)
    query = f"SELECT v, {place}, {', '.join(hashes)} FROM unnest(%s::text[]) AS v"
    with psycopg.connect(app.dsn) as connection:
        found = connection.execute(query.encode(), (values,)).fetchall()
    assert found == [(value, range_of(value, 1024), *[hash_of(value)] * 2) for value in values]
