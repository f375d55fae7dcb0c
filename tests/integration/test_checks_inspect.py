"""Inspect on Postgres: a clean application is green, and each planted fault turns exactly its check red."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from checks_support import Application, Change, errors, of, red


@pytest.fixture
def app(tmp_path: Path, postgres_dsn: str) -> Application:
    return Application(tmp_path, postgres_dsn)


def snapshot(app: Application) -> list[tuple[Any, ...]]:
    return app.sql(
        "SELECT nspname, relname, relkind::text, relnatts FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname NOT LIKE 'pg_%' AND nspname <> 'information_schema' ORDER BY 1, 2"
    )


def test_a_clean_application_is_green_and_nothing_is_written(app: Application) -> None:
    before = snapshot(app)
    report = app.inspect()
    assert report.ok
    assert report.strict(), report.findings
    assert snapshot(app) == before
    rows = {row.tenant: dict(row.postgres) for row in report.matrix}
    assert list(rows) == ["a", "b", "(unassigned)", "(conflict)", "(shared)", "(quarantine)"]
    assert rows["a"] == {"files": 6, "parts": 30, "notes": 4}
    assert rows["b"] == {"files": 4, "parts": 20, "notes": 4}
    assert all(count == 0 for bin_ in list(rows)[2:] for count in rows[bin_].values())


def tenant(**options: Any) -> Change:
    return lambda app: app.tenant.update(options)


def table(name: str, **options: Any) -> Change:
    return lambda app: app.tables.__setitem__(name, {**app.tables.get(name, {}), **options})


def sql(*statements: str) -> Change:
    return lambda app: app.sql(*statements)


def aliases(text: str) -> Change:
    def change(app: Application) -> None:
        (app.directory / "aliases.csv").write_text(text)
        app.tenant["aliases"] = "aliases.csv"

    return change


def both(*changes: Change) -> Change:
    def change(app: Application) -> None:
        for one in changes:
            one(app)

    return change


FAULTS: dict[str, tuple[str, Change]] = {
    "the registry has a reserved tenant": (
        "TEN106",
        sql("INSERT INTO projects VALUES ('__quarantine__', 'x')"),
    ),
    "the registry has a tenant that is no uuid": ("TEN106", tenant(type="uuid")),
    "an untagged value is a tenant": (
        "TEN107",
        both(tenant(untagged=["b"]), table("files", unassigned="quarantine"), table("notes", unassigned="quarantine")),
    ),
    "a constant is not registered": ("TEN108", table("notes", tenant={"constant": "c"})),
    "`assign` is not registered": ("TEN108", table("notes", unassigned={"assign": "c"})),
    "an alias leads nowhere": ("TEN108", aliases("value,tenant\nAlpha,zz\n")),
    "an expression does not compile": ("TEN104", table("notes", tenant={"sql": "t.nothing || 'x'"})),
    "a mapping table cannot be read": (
        "TEN104",
        table("notes", tenant={"mapping": {"table": "files", "value": "gone", "tenant": "project"}, "match": "id"}),
    ),
    "columns do not compare": (
        "TEN105",
        table("parts", tenant={"parent": "files", "match": {"file_id": "name"}}),
    ),
    "an expression fails on a row": ("TEN109", table("notes", tenant={"sql": "(1 / (t.id - 3))::text"})),
    "the key column has a default": (
        "TEN110",
        both(sql("ALTER TABLE notes ADD COLUMN project_id text DEFAULT 'a'", "UPDATE notes SET project_id = project")),
    ),
    "rows have no tenant": ("TEN111", sql("UPDATE notes SET project = NULL WHERE id = 1")),
    "rows have an unknown tenant": ("TEN111", sql("UPDATE notes SET project = 'gamma' WHERE id IN (1, 2)")),
    "sources disagree": (
        "TEN112",
        both(
            sql("ALTER TABLE parts ADD COLUMN project text", "UPDATE parts SET project = 'b' WHERE id = 1"),
            table("parts", tenant={"first": [{"parent": "files", "match": {"file_id": "id"}}, {"column": "project"}]}),
        ),
    ),
    "an existing key differs": (
        "TEN112",
        sql("ALTER TABLE notes ADD COLUMN project_id text", "UPDATE notes SET project_id = 'b' WHERE id = 2"),
    ),
    "two spellings of a tenant collide": (
        "TEN113",
        both(
            sql(
                "ALTER TABLE notes ADD COLUMN title text DEFAULT 'same' || gen_random_uuid()",
                "UPDATE notes SET project = 'Alpha', title = 'x' WHERE id = 2",
                "UPDATE notes SET title = 'x' WHERE id = 4",
                "ALTER TABLE notes ADD CONSTRAINT notes_title_key UNIQUE (project, title)",
            ),
            aliases("value,tenant\nAlpha,a\n"),
            table("notes", unique={"notes_title_key": "rescope", "notes_pkey": {"keep": "global"}}),
        ),
    ),
    "a foreign key crosses tenants": (
        "TEN114",
        both(
            sql(
                "ALTER TABLE parts ADD COLUMN project text",
                "UPDATE parts SET project = CASE WHEN file_id > 6 THEN 'b' ELSE 'a' END",
                "UPDATE parts SET project = 'b' WHERE id = 1",
            ),
            table("parts", tenant={"column": "project"}),
        ),
    ),
    "a named reference crosses tenants": (
        "TEN119",
        both(
            sql("UPDATE notes SET mentions = '{1, 10}' WHERE id = 2"),
            table("notes", references={"mentions": "files.id"}),
        ),
    ),
    "an index is invalid": (
        "TEN118",
        sql(
            "CREATE INDEX notes_project_idx ON notes (project)",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'notes_project_idx'::regclass",
        ),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_check_red(app: Application, fault: str) -> None:
    id_, plant = FAULTS[fault]
    plant(app)
    report = app.inspect()
    assert red(report) == {id_}, [(f.id, f.object, f.title) for f in report.findings]


def test_unknown_values_come_with_the_insert_that_registers_them(app: Application) -> None:
    app.sql("UPDATE notes SET project = 'Gamma''s' WHERE id IN (1, 2)")
    found = of(app.inspect(), "TEN111")
    assert found.count == 2
    assert found.object == "notes"
    assert 'INSERT INTO "public"."projects" ("id", "name") VALUES (\'Gamma\'\'s\', ...);' in found.remedy
    assert found.sample[0]["item"] == {"id": 1}
    assert "says Gamma's, which is not a tenant" in found.sample[0]["reason"]


def test_policies_turn_unassigned_and_conflict_into_notices_and_the_matrix_shows_where_they_end(
    app: Application,
) -> None:
    app.sql("UPDATE notes SET project = NULL WHERE id = 1", "UPDATE files SET project = NULL WHERE id = 10")
    app.tables["notes"]["unassigned"] = "quarantine"
    app.tables["files"]["unassigned"] = "shared"
    report = app.inspect()
    assert report.ok
    rows = {row.tenant: dict(row.postgres) for row in report.matrix}
    assert rows["(quarantine)"] == {"files": 0, "parts": 0, "notes": 1}
    # What hangs on a shared row is shared too.
    assert rows["(shared)"] == {"files": 1, "parts": 5, "notes": 0}
    app.tables["notes"]["unassigned"] = {"keep_null": "null is global"}
    rows = {row.tenant: dict(row.postgres) for row in app.inspect().matrix}
    assert rows["(shared)"]["notes"] == 1


def test_children_are_decided_by_parents_that_have_no_key_yet(app: Application) -> None:
    app.sql("UPDATE files SET project = NULL WHERE id = 1")
    app.tables["files"]["tenant"] = {"first": [{"column": "project"}, {"mapping": "names.csv", "match": "name"}]}
    (app.directory / "names.csv").write_text("value,tenant\nfile 1,b\n")
    rows = {row.tenant: dict(row.postgres) for row in app.inspect().matrix}
    assert rows["b"]["files"] == 5
    assert rows["b"]["parts"] == 25


def test_a_role_that_policies_blind_is_refused_unless_settings_lift_them(app: Application, postgres_dsn: str) -> None:
    app.sql(
        "DROP ROLE IF EXISTS tenure_blind",
        "CREATE ROLE tenure_blind",
        "GRANT ALL ON SCHEMA public TO tenure_blind",
        "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO tenure_blind', current_database()); END $$",
        *(f"ALTER TABLE {name} OWNER TO tenure_blind" for name in ("projects", "files", "parts", "notes")),
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE notes FORCE ROW LEVEL SECURITY",
        "CREATE POLICY own ON notes USING (current_setting('app.bypass', true) = 'on')",
    )
    app.connections["postgres"]["role"] = "tenure_blind"
    try:
        report = app.inspect()
        assert errors(report) == {"TEN102"}
        assert of(report, "TEN102").object == "notes"
        assert report.matrix == ()
        app.connections["postgres"]["settings"] = {"app.bypass": "on"}
        report = app.inspect()
        assert report.ok
        assert red(report) == {"TEN102"}
        assert {row.tenant: row.postgres["notes"] for row in report.matrix}["a"] == 4
    finally:
        app.sql("DROP OWNED BY tenure_blind CASCADE", "DROP ROLE tenure_blind")


def test_a_role_without_rights_is_told_which_are_missing(app: Application) -> None:
    app.sql(
        "DROP ROLE IF EXISTS tenure_guest",
        "CREATE ROLE tenure_guest",
        "GRANT USAGE ON SCHEMA public TO tenure_guest",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO tenure_guest",
        "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$",
    )
    app.connections["postgres"]["role"] = "tenure_guest"
    try:
        report = app.inspect()
        assert errors(report) == {"TEN101"}
        titles = " ".join(finding.title for finding in report.findings)
        for word in ("may not alter it", "schema `tenure`", "temporary tables"):
            assert word in titles
        assert {f.object for f in report.findings if "alter" in f.title} == {"files", "parts", "notes"}
    finally:
        app.sql("DROP OWNED BY tenure_guest", "DROP ROLE tenure_guest")


def test_surroundings_are_noticed(app: Application) -> None:
    app.sql(
        "CREATE MATERIALIZED VIEW per_project AS SELECT project, count(*) FROM notes GROUP BY 1",
        "CREATE PUBLICATION everything FOR TABLE notes",
    )
    report = app.inspect()
    assert report.strict()
    assert of(report, "TEN117").object == "per_project"
    assert of(report, "TEN116").object == "notes"


def test_deciding_leaves_nothing_behind_and_holds_no_connection(app: Application) -> None:
    app.inspect()
    with psycopg.connect(app.dsn) as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenure' AND datname = current_database()"
        ).fetchone()
    assert left == (0,)
    assert "tenure" not in {row[0] for row in snapshot(app)}
