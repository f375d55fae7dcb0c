"""The table that Postgres is measured on: a primary key and three indexes, filled in insertion order, key by a join."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tenure.demo.servers import EmbeddedPostgres

TENANTS = 50
ROWS_PER_PARENT = 20
BASE = "bench_base"

# The indexes are there before the rows, as in an application that has been writing for years. Codes come in no order
# and never twice: an odd factor permutes the numbers below a power of two.
SCHEMA = """
CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE parents (id bigint PRIMARY KEY, project text NOT NULL, name text NOT NULL);
CREATE TABLE items (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id bigint NOT NULL REFERENCES parents,
    code text NOT NULL,
    created_at timestamptz NOT NULL,
    seen integer NOT NULL DEFAULT 0,
    body text NOT NULL
);
CREATE INDEX items_parent ON items (parent_id);
CREATE UNIQUE INDEX items_code ON items (code);
CREATE INDEX items_created ON items (created_at);
"""
TENANTS_SQL = "INSERT INTO projects SELECT 'jd-' || lpad(n::text, 3, '0') FROM generate_series(1, %(tenants)s::int) n"
PARENTS_SQL = """INSERT INTO parents
SELECT n, 'jd-' || lpad((1 + n %% %(tenants)s::int)::text, 3, '0'), 'parent ' || n
FROM generate_series(1, %(parents)s::bigint) n"""
ITEMS_SQL = """INSERT INTO items (parent_id, code, created_at, body)
SELECT 1 + n * 48271 %% %(parents)s::bigint, 'code-' || lpad(to_hex(n * 2654435761 %% 4294967296), 8, '0'),
       timestamptz '2020-01-01' + n * interval '1 minute', repeat(md5(n::text), 3)
FROM generate_series(1, %(rows)s::bigint) n"""

STATE = """SELECT pg_relation_size('items') AS heap, pg_total_relation_size('items') AS total,
pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal,
(SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = 'items'::regclass) AS updated,
(SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'items'::regclass) AS hot"""
SETTINGS = (
    "server_version",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "data_checksums",
    "wal_level",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
    "jit",
)


def load(server: EmbeddedPostgres, rows: int) -> None:
    """Make the database that every case starts from a copy of: loaded, vacuumed, with statistics."""
    fields = {"rows": rows, "parents": max(1, rows // ROWS_PER_PARENT), "tenants": TENANTS}
    with psycopg.connect(server.create_database(BASE), autocommit=True) as connection:
        connection.execute(SCHEMA)
        for statement in (TENANTS_SQL, PARENTS_SQL, ITEMS_SQL):
            connection.execute(statement, fields)
        connection.execute("VACUUM (ANALYZE)")


def fresh(server: EmbeddedPostgres, name: str) -> str:
    """Return the address of a new copy of the loaded database, read once, with a checkpoint just behind it."""
    server.drop_database(name)
    dsn = server.create_database(name, BASE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in ("projects", "parents", "items"):
            connection.execute(psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table)))
        connection.execute("CHECKPOINT")
    return dsn


@dataclass(frozen=True)
class State:
    """Sizes in bytes, the position in the log, rows updated so far, and how many of them without an index write."""

    heap: int
    total: int
    wal: int
    updated: int
    hot: int


def state(connection: psycopg.Connection[Any]) -> State:
    """Return where the table stands; what this connection's own session did is counted too."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(STATE).fetchone()
    assert row is not None
    return State(*(int(value) for value in row))


def difference(before: State, after: State, rows: int) -> dict[str, float]:
    """Return what the work between two states cost: log bytes a row, growth, share of heap-only updates."""
    updated = after.updated - before.updated
    found = {
        "wal_bytes": (after.wal - before.wal) / rows,
        "growth_percent": 100 * (after.total - before.total) / before.total,
    }
    if updated:
        found["hot_percent"] = 100 * (after.hot - before.hot) / updated
    return found


def settings(dsn: str) -> Mapping[str, str]:
    """Return the settings of the server that the figures depend on."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s) ORDER BY name"
        return dict(connection.execute(query, (list(SETTINGS),)).fetchall())


BY_PARENT = "{parent: parents, match: {parent_id: id}}"


def playbook(dsn: str, path: Path, workers: int, batch_ms: int, source: str = BY_PARENT) -> Path:
    """Write the playbook that tenure's own way runs by, and return its path; *source* is where the key comes from."""
    path.write_text(
        "version: 1\n"
        "tenant: {key: project_id, type: text, registry: {table: projects, column: id}}\n"
        f"connections: {{postgres: {{url: {dsn}}}}}\n"
        "postgres:\n"
        "  parents: {tenant: {column: project}}\n"
        f"  items: {{tenant: {source}}}\n"
        f"limits: {{batch_ms: {batch_ms}, workers: {{postgres: {workers}}}}}\n"
    )
    return path
