"""The SQL file where a plan is less plain: partitions, guarded triggers, global rows, one tenant for a whole table."""

from __future__ import annotations

from pathlib import Path

import psycopg
from render_kit import rendered, run_sql

from tenure.demo.servers import EmbeddedPostgres
from tenure.playbook import load_playbook

SCHEMA = """
CREATE ROLE {role} LOGIN;
GRANT CREATE ON DATABASE {role} TO {role};
GRANT CREATE ON SCHEMA public TO {role};
SET ROLE {role};
CREATE TABLE tenants (id text PRIMARY KEY);
INSERT INTO tenants VALUES ('a'), ('b');
CREATE TABLE items (id int PRIMARY KEY, owner text, touched int NOT NULL DEFAULT 0);
INSERT INTO items SELECT n, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 12000) AS n;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE "Logs" (item int REFERENCES items (id), day int, text text, UNIQUE (item, day)) PARTITION BY RANGE (day);
CREATE TABLE "Logs 1" PARTITION OF "Logs" FOR VALUES FROM (0) TO (10);
CREATE TABLE "Logs 2" PARTITION OF "Logs" FOR VALUES FROM (10) TO (20);
INSERT INTO "Logs" SELECT n, n % 20, 'x' FROM generate_series(1, 2000) AS n;
CREATE TABLE models (id int PRIMARY KEY, owner text, name text UNIQUE);
INSERT INTO models VALUES (1, 'a', 'm'), (2, NULL, 'n');
CREATE TABLE audit (id int PRIMARY KEY);
INSERT INTO audit VALUES (1), (2);
"""
PLAYBOOK = """
version: 1
tenant: {{key: tenant, registry: {{table: tenants, column: id}}}}
connections: {{postgres: {{url: '{dsn}'}}}}
postgres:
  items: {{tenant: {{column: owner}}}}
  Logs: {{tenant: {{parent: items, match: {{item: id}}}}, unique: {{Logs_item_day_key: rescope}}}}
  models: {{tenant: {{column: owner}}, unassigned: {{keep_null: built in}}, unique: {{models_name_key: rescope}}}}
  audit: {{tenant: {{constant: b}}}}
"""


def test_partitions_guards_global_rows_and_constants(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    """As a role that may not switch triggers off: every row has its key, no trigger fired, all is valid, twice."""
    role = "render_owner"
    admin = postgres_server.create_database(role)
    with psycopg.connect(admin) as connection:
        connection.execute(SCHEMA.format(role=role))
    dsn = admin.replace("//postgres@", f"//{role}@")
    path = tmp_path / "tenure.yaml"
    path.write_text(PLAYBOOK.format(dsn=dsn), encoding="utf-8")
    text = rendered(load_playbook(path), tmp_path / "out")
    assert "tenure.backfill" in next(iter(text.values()))
    for _ in range(2):
        done = run_sql(postgres_server, dsn, tmp_path / "out")
        assert done.returncode == 0, done.stderr
        with psycopg.connect(dsn) as connection:

            def one(query: str, connection: psycopg.Connection[tuple[object, ...]] = connection) -> tuple[object, ...]:
                found = connection.execute(query).fetchone()
                assert found is not None
                return found

            owned = "SELECT count(*), count(*) FILTER (WHERE tenant = owner), sum(touched) FROM items"
            assert one(owned) == (12000, 12000, 0)
            assert one('SELECT count(*) FROM "Logs" JOIN items ON id = item AND "Logs".tenant = items.tenant') == (
                2000,
            )
            assert one("SELECT array_agg(tenant ORDER BY id) FROM models") == (["a", None],)
            assert one("SELECT count(*) FROM audit WHERE tenant = 'b'") == (2,)
            invalid = "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)"
            assert one(invalid) == (0,)
            assert one("SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == (0,)
            assert "tenure.backfill" not in str(
                one("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'touch'")
            )
            composite = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND cardinality(conkey) = 2"
            assert one(composite + " AND conparentid = 0") == (1,)
