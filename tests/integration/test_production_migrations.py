"""The eight production migrations: their facts, twice, on a new, a legacy and a migrated database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tenure.demo.example import generate, load_postgres
from tenure.demo.example.postgres import schema
from tenure.migrations import MigrationRunner

FOLDER = Path(__file__).parents[2] / "migrations"
NAMES = [
    "007_codigos_candidatos.sql",
    "008_schema_alignment.sql",
    "008_interview_files.sql",
    "010_neo4j_sync_tracking.sql",
    "012_add_is_deleted_to_proyectos.sql",
    "013_codes_catalog_ontology.sql",
    "014_code_id_columns.sql",
    "015_ontology_freeze.sql",
]
STATES = ("base", "legacy", "migrated")


def manifest() -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (FOLDER / "manifest").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("!")]


def run(connection: psycopg.Connection, *names: str) -> None:
    """Run the files that start with *names* (all without names), each in its own transaction, as the runner does."""
    for name in manifest():
        if not names or name.startswith(names):
            with connection.transaction():
                connection.execute((FOLDER / name).read_bytes())


def rows(connection: psycopg.Connection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), parameters or None).fetchall()


def prepare(dsn: str, state: str) -> None:
    """Bring the empty database *dsn* to one of the states that the files are run on."""
    if state == "base":
        with psycopg.connect(dsn) as connection:
            connection.execute(schema("base.sql").encode())
            connection.execute("INSERT INTO proyectos (id, name, org_id) VALUES ('a', 'A', 'o'), ('b', 'B', 'o')")
            connection.execute(
                "INSERT INTO entrevista_fragmentos (project_id, id, archivo, par_idx, fragmento, char_len) "
                "VALUES ('a', 'f1', 'x', 0, 'hola', 4), ('b', 'f1', 'x', 0, 'hola', 4)"
            )
            connection.execute(
                "INSERT INTO analisis_codigos_abiertos (project_id, fragmento_id, codigo, archivo) "
                "VALUES ('a', 'f1', 'agua', 'x'), ('b', 'f1', 'agua', 'x'), ('a', 'f1', 'miedo', 'x')"
            )
        return
    load_postgres(dsn, generate(0.1, 3))
    if state == "migrated":
        with psycopg.connect(dsn) as connection:
            for table in (
                "interview_files",
                "entrevista_fragmentos",
                "analisis_codigos_abiertos",
                "codigos_candidatos",
            ):
                connection.execute(f"ALTER TABLE {table} ADD COLUMN project_id text".encode())
            connection.execute(
                "UPDATE interview_files SET project_id = coalesce(split_part(blob_url, '/', 4), '__quarantine__')"
            )
            connection.execute(
                "UPDATE entrevista_fragmentos SET project_id = coalesce((SELECT min(project_id) FROM interview_files "
                "WHERE filename = archivo), '__quarantine__')"
            )
            for table in ("analisis_codigos_abiertos", "codigos_candidatos"):
                connection.execute(
                    f"UPDATE {table} AS t SET project_id = coalesce((SELECT f.project_id "
                    "FROM entrevista_fragmentos AS f WHERE f.id = t.fragmento_id), '__quarantine__')".encode()
                )
            for table in ("interview_files", "entrevista_fragmentos", "analisis_codigos_abiertos"):
                connection.execute(f"ALTER TABLE {table} ALTER COLUMN project_id SET NOT NULL".encode())


@pytest.fixture(params=STATES)
def connection(request: pytest.FixtureRequest, postgres_dsn: str) -> Any:
    prepare(postgres_dsn, request.param)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


def columns(connection: psycopg.Connection, table: str) -> dict[str, tuple[str, bool]]:
    """Return name -> (type, not null)."""
    query = (
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    )
    return {name: (kind, not_null) for name, kind, not_null in rows(connection, query, table)}


def indexes(connection: psycopg.Connection, table: str) -> list[str]:
    """Return what follows USING of every index, with UNIQUE before it where it is one."""
    query = (
        "SELECT (CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END) || "
        "regexp_replace(pg_get_indexdef(indexrelid), '.* USING ', '') FROM pg_index WHERE indrelid = %s::regclass"
    )
    return [definition for (definition,) in rows(connection, query, table)]


SCHEMA = {
    "defaults": "SELECT adrelid::regclass::text, adnum, pg_get_expr(adbin, adrelid) FROM pg_attrdef",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "triggers": "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
}


def tables(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in rows(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]


def contents(connection: psycopg.Connection, shown: dict[str, list[str]]) -> dict[str, Any]:
    """Return a hash of the given columns of every table."""
    query = "SELECT md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM (SELECT {} FROM {}) AS r"
    return {table: rows(connection, query.format(", ".join(names), table)) for table, names in shown.items()}


def snapshot(connection: psycopg.Connection) -> dict[str, Any]:
    """Return the whole schema and data of the public schema in a comparable form."""
    found: dict[str, Any] = {name: sorted(rows(connection, query)) for name, query in SCHEMA.items()}
    found["columns"] = {table: columns(connection, table) for table in tables(connection)}
    found["indexes"] = {table: sorted(indexes(connection, table)) for table in tables(connection)}
    found["data"] = contents(connection, {table: ["*"] for table in tables(connection)})
    return found


def updated_at_moves(connection: psycopg.Connection, table: str, change: str) -> bool:
    """Return whether an UPDATE that does not name updated_at sets it."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        connection.execute(f"UPDATE {table} SET updated_at = '2001-01-01'".encode())
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
        connection.execute(f"UPDATE {table} SET {change}".encode())
        total, moved = rows(connection, f"SELECT count(*), count(*) FILTER (WHERE updated_at = now()) FROM {table}")[0]
        return bool(0 < total == moved)


def test_the_manifest_lists_the_files_in_the_playbook_order() -> None:
    assert manifest() == NAMES
    assert {name for name in NAMES if (FOLDER / name).is_file()} == set(NAMES)


def test_the_runner_takes_the_folder_once(connection: psycopg.Connection) -> None:
    runner = MigrationRunner(connection, FOLDER)
    runner.apply()
    once = snapshot(connection)
    assert [status.state.value for status in runner.status()] == ["applied"] * len(NAMES)
    assert runner.verify() == ()
    runner.apply()
    assert snapshot(connection) == once


def test_a_second_run_changes_nothing(connection: psycopg.Connection) -> None:
    run(connection)
    once = snapshot(connection)
    run(connection)
    assert snapshot(connection) == once


def test_no_existing_value_changes(connection: psycopg.Connection) -> None:
    before = {table: list(columns(connection, table)) for table in tables(connection)}
    old = contents(connection, before)
    run(connection)
    assert contents(connection, before) == old


def test_007_candidate_codes(connection: psycopg.Connection) -> None:
    run(connection, "007")
    found = columns(connection, "codigos_candidatos")
    assert found.keys() >= {
        "id", "project_id", "codigo", "cita", "fragmento_id", "archivo", "fuente_origen", "fuente_detalle",
        "score_confianza", "estado", "validado_por", "validado_en", "fusionado_a", "memo", "created_at", "updated_at",
    }  # fmt: skip
    assert found["project_id"][0] == "text"
    assert found["fuente_origen"][1]
    assert found["estado"][1]
    nulls = rows(connection, "SELECT count(*) FROM codigos_candidatos WHERE project_id IS NULL")[0][0]
    assert found["project_id"][1] == (nulls == 0)
    assert set(indexes(connection, "codigos_candidatos")) >= {
        "UNIQUE btree (id)",
        "UNIQUE btree (project_id, codigo, fragmento_id)",
        "btree (project_id, estado)",
        "btree (project_id, fuente_origen)",
        "btree (score_confianza DESC)",
        "btree (created_at)",
        "btree (archivo)",
        "btree (codigo)",
    }
    insert = (
        "INSERT INTO codigos_candidatos (project_id, codigo, fragmento_id, fuente_origen) "
        "VALUES (%s, 'agua', 'f9', 'manual') RETURNING id, estado"
    )
    assert rows(connection, insert, "pa")[0][1] == "pendiente"
    with pytest.raises(errors.UniqueViolation):
        connection.execute(insert.encode(), ["pa"])
    assert updated_at_moves(connection, "codigos_candidatos", "memo = 'x'")
    stats = "SELECT fuente_origen, estado, total FROM vw_codigos_candidatos_stats WHERE project_id = 'pa'"
    assert rows(connection, stats) == [("manual", "pendiente", 1)]


def test_007_scopes_the_codes_of_a_new_database_to_projects(postgres_dsn: str) -> None:
    prepare(postgres_dsn, "base")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        run(connection, "007", "008_interview")
        connection.execute(
            "INSERT INTO codigos_candidatos (project_id, codigo, fragmento_id, fuente_origen) "
            "VALUES ('a', 'agua', 'f', 'llm'), ('b', 'agua', 'f', 'llm')"
        )
        connection.execute("INSERT INTO interview_files (project_id, filename) VALUES ('a', 'x'), ('b', 'x')")
        for statement in (
            "INSERT INTO codigos_candidatos (codigo, fuente_origen) VALUES ('agua', 'llm')",
            "INSERT INTO codigos_candidatos (project_id, codigo) VALUES ('a', 'agua')",
            "INSERT INTO interview_files (filename) VALUES ('x')",
        ):
            with pytest.raises(errors.NotNullViolation):
                connection.execute(statement.encode())


def test_008_schema_alignment(connection: psycopg.Connection) -> None:
    run(connection, "008_schema")
    codes = columns(connection, "analisis_codigos_abiertos")
    assert {codes["cita"][0], codes["fuente"][0]} == {"text"}
    log = {name: kind for name, (kind, _) in columns(connection, "discovery_navigation_log").items()}
    assert log.items() >= {
        "busqueda_id": "uuid", "positivos": "text[]", "negativos": "text[]", "target_text": "text",
        "fragments_count": "integer", "codigos_sugeridos": "text[]", "refinamientos_aplicados": "jsonb",
        "ai_synthesis": "text", "action_taken": "text", "busqueda_origen_id": "uuid",
    }.items()  # fmt: skip
    assert "hash (cita)" in indexes(connection, "analisis_codigos_abiertos")
    for name in ("busqueda_id", "busqueda_origen_id", "action_taken"):
        assert f"btree ({name})" in indexes(connection, "discovery_navigation_log")
    # A quotation longer than a B-tree entry must still go in.
    long = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500) AS n"
    assert connection.execute(f"UPDATE analisis_codigos_abiertos SET cita = ({long})".encode()).rowcount > 0


def test_008_interview_files(connection: psycopg.Connection) -> None:
    run(connection, "008_interview")
    found = columns(connection, "interview_files")
    assert found.keys() >= {
        "id", "project_id", "filename", "original_filename", "blob_url", "file_size", "status", "error_message",
        "segments_count", "indexed_at", "analyzed_at", "created_at", "updated_at",
    }  # fmt: skip
    assert found["filename"][1]
    assert found["status"][1]
    assert set(indexes(connection, "interview_files")) >= {
        "UNIQUE btree (project_id, filename)",
        "btree (project_id, status)",
        "btree (created_at)",
    }
    connection.execute("INSERT INTO interview_files (project_id, filename) VALUES ('pa', 'z1'), ('pa', 'z2')")
    with pytest.raises(errors.UniqueViolation):
        connection.execute("INSERT INTO interview_files (project_id, filename) VALUES ('pa', 'z1')")
    stats = "SELECT status, total FROM vw_interview_files_stats WHERE project_id = 'pa'"
    assert rows(connection, stats) == [("pending", 2)]
    assert updated_at_moves(connection, "interview_files", "status = 'uploaded'")


def test_010_old_rows_count_as_synced_and_new_ones_do_not(connection: psycopg.Connection) -> None:
    before = rows(connection, "SELECT count(*) FROM entrevista_fragmentos")[0][0]
    assert before > 0
    run(connection, "010")
    sent = "SELECT neo4j_synced, count(*) FROM entrevista_fragmentos GROUP BY 1"
    assert rows(connection, sent) == [(True, before)]
    insert = (
        "INSERT INTO entrevista_fragmentos (id, project_id, archivo, par_idx, fragmento, char_len) "
        "VALUES ('nuevo', 'a', 'x', 999, 'hola', 4)"
    )
    connection.execute(insert.encode())
    run(connection, "010")
    assert sorted(rows(connection, sent)) == [(False, 1), (True, before)]
    assert "btree (project_id, neo4j_synced) WHERE (neo4j_synced = false)" in indexes(
        connection, "entrevista_fragmentos"
    )


def test_012_projects_are_not_deleted(connection: psycopg.Connection) -> None:
    run(connection, "012")
    assert rows(connection, "SELECT DISTINCT is_deleted FROM proyectos") == [(False,)]
    connection.execute("INSERT INTO proyectos (id, name, org_id) VALUES ('nuevo', 'N', 'o')")
    assert rows(connection, "SELECT is_deleted FROM proyectos WHERE id = 'nuevo'") == [(False,)]
    assert "btree (is_deleted)" in indexes(connection, "proyectos")


def test_013_the_catalogue_is_filled_per_project(connection: psycopg.Connection) -> None:
    run(connection, "013")
    used = (
        "SELECT DISTINCT project_id, codigo FROM analisis_codigos_abiertos WHERE project_id IS NOT NULL ORDER BY 1, 2"
    )
    assert rows(connection, "SELECT project_id, codigo FROM catalogo_codigos ORDER BY 1, 2") == rows(connection, used)
    assert set(indexes(connection, "catalogo_codigos")) >= {
        "UNIQUE btree (project_id, codigo)",
        "btree (project_id, status)",
        "btree (project_id, canonical_codigo)",
    }
    connection.execute("INSERT INTO catalogo_codigos (project_id, codigo) VALUES ('pa', 'agua'), ('pb', 'agua')")
    assert rows(connection, "SELECT DISTINCT status FROM catalogo_codigos") == [("active",)]
    with pytest.raises(errors.CheckViolation):
        connection.execute("INSERT INTO catalogo_codigos (project_id, codigo, status) VALUES ('pa', 'x', 'borrado')")
    assert updated_at_moves(connection, "catalogo_codigos", "memo = 'x'")


def test_013_catches_up_and_keeps_what_people_changed(postgres_dsn: str) -> None:
    prepare(postgres_dsn, "base")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        run(connection, "013")
        connection.execute("UPDATE catalogo_codigos SET status = 'deprecated', memo = 'no' WHERE codigo = 'miedo'")
        connection.execute(
            "INSERT INTO analisis_codigos_abiertos (project_id, fragmento_id, codigo, archivo) "
            "VALUES ('b', 'f1', 'miedo', 'x')"
        )
        run(connection, "013")
        found = rows(connection, "SELECT project_id, status FROM catalogo_codigos WHERE codigo = 'miedo' ORDER BY 1")
        assert found == [("a", "deprecated"), ("b", "active")]


def test_014_numbers_codes_and_follows_merges_within_the_project(connection: psycopg.Connection) -> None:
    run(connection, "013")
    connection.execute(
        "INSERT INTO catalogo_codigos (project_id, codigo, status, canonical_codigo) VALUES "
        "('pa', 'Escasez', 'active', NULL), ('pa', 'falta', 'merged', 'ESCASEZ'), ('pb', 'escasez', 'active', NULL), "
        "('pa', 'Falta', 'merged', 'nada de nada'), ('pb', 'falta', 'merged', 'Escasez'), "
        "('pa', 'ESCASEZ', 'merged', 'escasez'), ('pa', 'viejo', 'deprecated', NULL)"
    )
    run(connection, "014")
    run(connection, "014")
    found = columns(connection, "catalogo_codigos")
    assert found["code_id"] == ("bigint", True)
    assert found["canonical_code_id"][0] == "bigint"
    identity = "SELECT attidentity::text FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'code_id'"
    assert rows(connection, identity, "catalogo_codigos")[0][0] in ("a", "d")
    assert "UNIQUE btree (project_id, code_id)" in indexes(connection, "catalogo_codigos")
    assert rows(connection, "SELECT count(*) - count(DISTINCT code_id) FROM catalogo_codigos") == [(0,)]
    wrong = (
        "SELECT count(*) FROM catalogo_codigos WHERE status = 'active' AND canonical_code_id IS DISTINCT FROM code_id"
    )
    assert rows(connection, wrong) == [(0,)]
    pointed = (
        "SELECT m.project_id, m.codigo, c.project_id, c.codigo FROM catalogo_codigos AS m "
        "LEFT JOIN catalogo_codigos AS c ON c.code_id = m.canonical_code_id "
        "WHERE m.status <> 'active' AND m.project_id IN ('pa', 'pb') ORDER BY 1, m.codigo COLLATE \"C\""
    )
    assert rows(connection, pointed) == [
        ("pa", "ESCASEZ", "pa", "Escasez"),  # not itself, although equal without case
        ("pa", "Falta", None, None),  # its canonical does not exist
        ("pa", "falta", "pa", "ESCASEZ"),  # the exact spelling is meant
        ("pa", "viejo", None, None),
        ("pb", "falta", "pb", "escasez"),  # the same name in another project is another code
    ]


def test_014_keeps_numbers_and_numbers_what_comes_later(postgres_dsn: str) -> None:
    prepare(postgres_dsn, "base")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        run(connection, "013", "014")
        numbers = "SELECT project_id, codigo, code_id, canonical_code_id FROM catalogo_codigos ORDER BY 1, 2"
        first = rows(connection, numbers)
        assert all(code_id == canonical for _, _, code_id, canonical in first)
        connection.execute("INSERT INTO catalogo_codigos (project_id, codigo) VALUES ('z', 'nuevo')")
        run(connection, "014")
        later = rows(connection, numbers)
        assert later[:-1] == first
        assert later[-1][2] == later[-1][3] == max(row[2] for row in first) + 1


def test_015_ontology_freeze(connection: psycopg.Connection) -> None:
    run(connection, "015")
    assert columns(connection, "project_ontology_freeze").keys() == {
        "project_id", "is_frozen", "frozen_at", "frozen_by", "broken_at", "broken_by", "note", "updated_at",
    }  # fmt: skip
    connection.execute("INSERT INTO project_ontology_freeze (project_id) VALUES ('pa')")
    assert rows(connection, "SELECT is_frozen FROM project_ontology_freeze") == [(False,)]
    with pytest.raises(errors.UniqueViolation):
        connection.execute("INSERT INTO project_ontology_freeze (project_id) VALUES ('pa')")
    assert updated_at_moves(connection, "project_ontology_freeze", "note = 'x'")


def test_an_old_writer_still_writes_after_the_migrations(postgres_dsn: str) -> None:
    prepare(postgres_dsn, "legacy")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        run(connection)
        run(connection)
        for statement in (
            "INSERT INTO interview_files (proyecto, filename) VALUES ('jd-007', 'nuevo.docx')",
            "INSERT INTO codigos_candidatos (proyecto, codigo) VALUES ('jd-007', 'nuevo')",
            "INSERT INTO entrevista_fragmentos (id, archivo, par_idx, fragmento, char_len) "
            "VALUES ('n', 'n', 0, 'n', 1)",
            "INSERT INTO analisis_codigos_abiertos (fragmento_id, codigo, archivo) VALUES ('n', 'nuevo', 'n')",
        ):
            assert connection.execute(statement.encode()).rowcount == 1
