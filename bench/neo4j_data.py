"""The graph that Neo4j is measured on: fragments of many tenants with codes, and hubs that some of them share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import neo4j
import psycopg

from tenure.attribution.graph_read import chunks
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres

TENANTS = 50
PER_CODE = 100
BASE = "bench_graph_base"
CASE = "bench_graph_case"
LOADED = 10_000

SCHEMA = """CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE fragments (id text PRIMARY KEY, project text NOT NULL)"""
PROJECTS = "INSERT INTO projects SELECT 'jd-' || lpad(n::text, 3, '0') FROM generate_series(1, %(tenants)s::int) n"
FRAGMENTS = """INSERT INTO fragments SELECT md5(n::text) || '-' || n, 'jd-' || lpad((1 + n / %(each)s::int %%
%(tenants)s::int)::text, 3, '0') FROM generate_series(0, %(rows)s::bigint - 1) n"""
READ = "SELECT id, project FROM fragments"

LOAD = """UNWIND $rows AS row CREATE (:Fragment {id: row[0], project: row[1], body: row[0] + row[0], number: row[2]})"""
# A code is used by neighbours of one tenant: what is shared by several is measured as a split.
CODES = "UNWIND range($low, $high) AS n CREATE (:Code {name: 'code ' + n, number: n})"
CONNECT = """UNWIND $rows AS row MATCH (f:Fragment {id: row[0]}), (c:Code {name: 'code ' + row[2] / $each})
CREATE (f)-[:HAS_CODE {weight: row[2], note: 'n' + row[2]}]->(c)"""
FORGET = (
    "MATCH (n) WHERE n.project_id IS NOT NULL CALL (n) { REMOVE n.project_id } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH ()-[r]->() WHERE r.project_id IS NOT NULL CALL (r) { REMOVE r.project_id } IN TRANSACTIONS OF 10000 ROWS",
)


@contextmanager
def session(server: EmbeddedNeo4j) -> Iterator[neo4j.Session]:
    """Lend a session as anybody would have it."""
    with (
        neo4j.GraphDatabase.driver(server.url, notifications_min_severity="OFF") as driver,
        driver.session(database="neo4j") as found,
    ):
        yield found


def pages(dsn: str, size: int) -> Iterator[list[list[Any]]]:
    """Yield the fragments with their tenants out of Postgres, *size* at a time."""
    with psycopg.connect(dsn) as connection, connection.cursor(name="fragments") as cursor:
        cursor.itersize = size
        for page in chunks(cursor.execute(READ), size):
            yield [list(row) for row in page]


def load_table(server: EmbeddedPostgres, rows: int) -> str:
    """Make the database that every case starts from a copy of, and return its address."""
    server.drop_database(BASE)
    dsn = server.create_database(BASE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute(PROJECTS, {"tenants": TENANTS})
        connection.execute(FRAGMENTS, {"each": PER_CODE, "tenants": TENANTS, "rows": rows})
        connection.execute("VACUUM (ANALYZE)")
    return dsn


def load_graph(server: EmbeddedNeo4j, dsn: str, rows: int) -> None:
    """Load a node for each row of the table, a code for each hundred, and a relationship between the two."""
    with session(server) as graph:
        graph.run("CREATE CONSTRAINT fragment_id FOR (n:Fragment) REQUIRE n.id IS UNIQUE").consume()
        graph.run("CREATE CONSTRAINT code_name FOR (n:Code) REQUIRE n.name IS UNIQUE").consume()
        graph.run(CODES, low=0, high=(rows - 1) // PER_CODE).consume()
        for page in pages(dsn, LOADED):
            numbered = [[*row, int(row[0].rpartition("-")[2])] for row in page]
            graph.run(LOAD, rows=numbered).consume()
            graph.run(CONNECT, rows=numbered, each=PER_CODE).consume()


def forget(server: EmbeddedNeo4j) -> None:
    """Take every key and every index of tenure away: the next case starts from there."""
    with session(server) as graph:
        for kind in ("CONSTRAINT", "INDEX"):
            names = graph.run(f"SHOW {kind} YIELD name WHERE name STARTS WITH 'tenure' RETURN name").value()
            for name in names:
                graph.run(f"DROP {kind} `{name}` IF EXISTS").consume()
        for statement in FORGET:
            graph.run(statement).consume()


PLAYBOOK = """version: 1
tenant: {{key: project_id, type: text, registry: {{table: projects, column: id}}}}
connections: {{postgres: {{url: {dsn}}}, neo4j: {{url: {url}}}}}
postgres:
  fragments: {{tenant: {{column: project}}}}
neo4j:
  nodes:
    Fragment: {{identity: id, tenant: {source}}}
{labels}
  relationships:
{types}
limits: {{workers: {{neo4j: {workers}}}}}
"""


def run_tenure(
    server: EmbeddedPostgres, graph: EmbeddedNeo4j, scratch: Path, phase: str, *, labels: dict[str, str], **fields: Any
) -> dict[str, Any]:
    """Run tenure up to *phase* in a process of its own, on a copy of the table and the graph as it is.

    *labels* are those that may be shared, with the type of relationship that leads to them. Returns its operations by
    id and the peak of its memory.
    """
    server.drop_database(CASE)
    dsn = server.create_database(CASE, BASE)
    path = scratch / "graph.yaml"
    path.write_text(
        PLAYBOOK.format(
            dsn=dsn,
            url=graph.url,
            labels="\n".join(
                f"    {label}: {{identity: name, tenant: {{neighbours: [{type}]}}, several: split}}"
                for label, type in labels.items()
            ),
            types="\n".join(f"    {type}: {{tenant: ends}}" for type in labels.values()),
            **{"source": "{postgres: fragments.id}", "workers": 4, **fields},
        )
    )
    command = [sys.executable, "-m", "bench.neo4j_child", str(path), phase]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
    if done.returncode:
        raise RuntimeError(f"the process that runs tenure ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
