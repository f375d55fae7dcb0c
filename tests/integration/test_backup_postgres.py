"""A database of hostile names and odd types, dumped, destroyed, restored and compared past the code under test."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tenure.backup import postgres, postgres_restore, tools
from tenure.backup.manifest import Manifest
from tenure.backup.restore import refuse_differences
from tenure.backup.take import take
from tenure.backup.tools import find_tool, reaching
from tenure.backup.work import Work
from tenure.demo.servers import EmbeddedPostgres
from tenure.errors import BackupToolError, RefusedError, RestoreTargetError
from tenure.session import Session
from tenure.stores.postgres import PostgresStore

NAME = "data ' \" base=x -- $(id) ñ"
SCHEMA = r'''
CREATE SCHEMA "Other; DROP";
CREATE TYPE "Other; DROP".mood AS ENUM ('a b', 'ñ');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE "Tabla ""rara"" ; --" (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "x" text, "Nombre ""q""" text UNIQUE, dropped int,
  amount numeric, price money, real4 real, real8 double precision, bits bit varying, raw bytea, doc json, docb jsonb,
  at timestamptz, day date, gap interval, ip inet, span int4range, several int[][], texts text[], m "Other; DROP".mood,
  p positive, oid_ regclass, doubled bigint GENERATED ALWAYS AS (id * 2) STORED, search tsvector, u uuid);
ALTER TABLE "Tabla ""rara"" ; --" DROP COLUMN dropped;
CREATE TABLE child (id int PRIMARY KEY, parent bigint REFERENCES "Tabla ""rara"" ; --" DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "Other; DROP".parted (k int, v text) PARTITION BY LIST (k);
CREATE TABLE "Other; DROP".parted_1 PARTITION OF "Other; DROP".parted FOR VALUES IN (1);
CREATE TABLE "Other; DROP".parted_d PARTITION OF "Other; DROP".parted DEFAULT;
CREATE TABLE "--help" (id int);
CREATE TABLE empty_one (id int);
CREATE TABLE no_columns ();
CREATE INDEX partial_ix ON child (parent) WHERE id > 3;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER "touch; me" BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW "V w" AS SELECT id FROM child;
CREATE MATERIALIZED VIEW mv AS SELECT count(*) AS n FROM child;
ALTER TABLE child ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON child USING (id > 0);
CREATE EXTENSION citext;
'''
ROWS = r'''
INSERT INTO "Tabla ""rara"" ; --" (x, "Nombre ""q""", amount, price, real4, real8, bits, raw, doc, docb, at, day, gap,
  ip, span, several, texts, m, p, oid_, search, u)
SELECT repeat(E'línea\n\t\\"' || chr(39), i), 'n' || i,
  CASE i % 3 WHEN 0 THEN 'NaN' WHEN 1 THEN i / 3.0 ELSE -1e-20 END,
  '12.34', 1.0 / i, CASE i % 4 WHEN 0 THEN 'Infinity'::float8 WHEN 1 THEN '-0' ELSE sqrt(i) END, '10101',
  decode(md5(i::text), 'hex'), '{"b": 1,  "a": [1,1.0]}', '{"a": null}',
  '2024-02-29 12:00+05:30'::timestamptz + i * '1 h'::interval,
  'infinity', '1 mon -3 days 04:05:06.789', '::1', '[1,5)', ARRAY[[1,2],[3,NULL]], ARRAY['a,b', NULL, '"', ''], 'ñ', i,
  'pg_class', to_tsvector('simple', 'a b ' || i), md5(i::text)::uuid FROM generate_series(1, 500) AS i;
INSERT INTO child SELECT i, i FROM generate_series(1, 100) AS i;
INSERT INTO "Other; DROP".parted VALUES (1, 'one'), (7, 'seven');
INSERT INTO "--help" VALUES (1);
INSERT INTO no_columns DEFAULT VALUES;
SELECT lo_from_bytea(0, 'large'); REFRESH MATERIALIZED VIEW mv;
SELECT setval(pg_get_serial_sequence('"Tabla ""rara"" ; --"', 'id'), 900);
'''


@pytest.fixture
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database of a hostile name, dropped after the test."""
    yield postgres_server.create_database(NAME)
    postgres_server.drop_database(NAME)


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.encode())
        connection.execute(ROWS.encode())


def state(url: str) -> dict[str, Any]:
    """What pg_dump of the plain format says: everything there is, but for what changes with each call."""
    tool = find_tool("pg_dump", 18)
    with reaching(url, {}) as target:
        done = subprocess.run(
            [tool.path, "--no-password", "-d", target.conninfo],
            env={**os.environ, **target.environment},
            capture_output=True,
            check=True,
        )
    lines = [line for line in done.stdout.decode().splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
    return {"lines": lines}


def back_up(store: PostgresStore, url: str, directory: Path, **options: Any) -> Manifest:
    entry = postgres.back_up(store, url, Work(directory), jobs=2, **options)
    return Manifest(
        tenure="0", started="", sources={"postgres": postgres.source(store)}, entries=(entry,), finished="now"
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_everything_comes_back(database: str, postgres_server: EmbeddedPostgres, tmp_path: Path, jobs: int) -> None:
    fill(database)
    before = state(database)
    with PostgresStore(database) as store:
        manifest = back_up(store, database, tmp_path)
        with pytest.raises(RestoreTargetError, match="is not empty: function touch"):
            postgres_restore.refuse_unfit(store, manifest)
    counts = {name: value.partition(":")[0] for name, value in manifest.fingerprints("postgres").items()}
    assert counts['Tabla "rara" ; --'] == "500"
    assert counts["Other; DROP.parted_d"] == "1"
    assert counts["no_columns"] == "1"
    assert counts["(large objects)"] == "1"
    postgres_server.drop_database(NAME)
    postgres_server.create_database(NAME)
    with PostgresStore(database) as store:
        postgres_restore.refuse_unfit(store, manifest)
        postgres_restore.restore(store, database, manifest, Work(tmp_path), jobs=jobs)
        refuse_differences({"postgres": postgres_restore.found(store, manifest, Work(tmp_path))})
    assert state(database) == before


def test_the_fingerprints_are_of_what_was_dumped(database: str, tmp_path: Path) -> None:
    """A writer at work all the while: the dump and its fingerprints read one snapshot."""
    fill(database)
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            number = 1000
            while not stop.is_set():
                number += 1
                connection.execute("INSERT INTO child VALUES (%s, 1)", (number,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with PostgresStore(database) as store:
            manifest = back_up(store, database, tmp_path)
    finally:
        stop.set()
        writer.join()
    data = b"".join(path.read_bytes() for path in (tmp_path / "postgres").iterdir())
    assert data
    listed = int(manifest.fingerprints("postgres")["child"].partition(":")[0])
    tool = find_tool("pg_restore", 18)
    rows = subprocess.run(
        [tool.path, "--data-only", "--table=child", "--file=-", str(tmp_path / "postgres")],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()
    begin = next(place for place, line in enumerate(rows) if line.startswith("COPY "))
    assert rows.index("\\.") - begin - 1 == listed > 100


def test_a_role_that_policies_blind_is_refused(database: str, tmp_path: Path) -> None:
    fill(database)
    role = f"blind_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        try:
            connection.execute(
                sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(sql.Identifier(role))
            )
            with PostgresStore(database, role=role) as store, pytest.raises(RefusedError, match="rows of child"):
                back_up(store, database, tmp_path, role=role)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(*[sql.Identifier(role)] * 2))
    assert not list(tmp_path.iterdir())


def test_passwords_and_settings_are_in_no_argument() -> None:
    url = "postgresql://u:s3cret%20word@h:1/d%20b?sslpassword=another1&options=-c%20a.b%3Dthird"
    with reaching(url, {"app.bypass": "o n\\"}) as target:
        assert "s3cret" not in target.conninfo
        assert "another1" not in target.conninfo
        assert "third" not in target.conninfo
        assert target.environment["PGPASSWORD"] == "s3cret word"
        assert target.environment["PGOPTIONS"] == "-c a.b=third -c app.bypass=o\\ n\\\\"
        service = Path(target.environment["PGSERVICEFILE"])
        assert service.stat().st_mode & 0o077 == 0
        assert "another1" in service.read_text()
    assert not service.exists()


def test_a_tool_that_is_not_there_is_said_with_how_to_get_it() -> None:
    with pytest.raises(BackupToolError, match=r"pg_dump of Postgres 99 was not found.*postgresql-client-99"):
        find_tool("pg_dump", 99)


def test_without_the_tool_no_directory_is_left_behind(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook = tmp_path / "tenure.yaml"
    playbook.write_text(
        f"""version: 1
tenant: {{key: project_id, type: text, registry: {{table: projects, column: id}}}}
connections: {{postgres: {{url: "{postgres_dsn}"}}}}
postgres: {{projects: {{shared: the registry}}}}
"""
    )
    monkeypatch.setattr(tools, "_candidates", lambda name: iter(()))
    with Session.open(playbook) as session, pytest.raises(BackupToolError):
        take(session, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
