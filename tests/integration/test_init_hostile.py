"""`tenure init` on stores whose names break whoever formats them into text: tables, labels, types, fields."""

from __future__ import annotations

from pathlib import Path

import psycopg
from neo4j import GraphDatabase
from qdrant_client import models

from tenure.demo.example.vectors import connect
from tenure.playbook import load_playbook
from tenure.propose.run import Request, initialise
from tenure.session import Session

HOSTILE = """
CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE "it's; {x}" ("the ""id" text PRIMARY KEY, project_id text NOT NULL REFERENCES projects);
INSERT INTO projects VALUES ('a`b'), ('c; d'), ('${e}');
INSERT INTO "it's; {x}" SELECT 'row `' || n || '` \\u0060', (ARRAY['a`b', 'c; d', '${e}'])[n % 3 + 1]
    FROM generate_series(1, 12) AS n;
"""
HOSTILE_GRAPH = """
UNWIND range(1, 12) AS n CREATE (r:`ro``w; MATCH (x) {DETACH}` {`the "id`: 'row `' + n + '` ' + $backslash + 'u0060'})
MERGE (t:`null` {`- name`: 'tag ' + (n % 4)}) CREATE (r)-[:`HAS {a}: b #`]->(t) CREATE (r)-[:PLAIN]->(:Bare)
"""


def test_hostile_names_in_all_stores(postgres_dsn: str, neo4j_url: str, qdrant_url: str, tmp_path: Path) -> None:
    """Through init and plan, with a node that nothing identifies left as a question."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(HOSTILE.encode())
    with GraphDatabase.driver(neo4j_url) as driver:
        driver.execute_query("CYPHER 5 " + HOSTILE_GRAPH, backslash="\\")
    client = connect(qdrant_url)
    odd = "a b; {c}"
    client.create_collection(odd, vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    points = [models.PointStruct(id=n, vector=[1, n], payload={"ref 'x'": f"row `{n}` \\u0060"}) for n in range(1, 13)]
    client.upsert(odd, points, wait=True)
    client.close()
    addresses = {"postgres": postgres_dsn, "neo4j": neo4j_url, "qdrant": qdrant_url}
    initialise(Request(tmp_path / "tenure.yaml", addresses=addresses))
    environment = {f"TENURE_{store.upper()}": url for store, url in addresses.items()}
    playbook = load_playbook(tmp_path / "tenure.yaml", environment)
    assert playbook.neo4j is not None
    assert playbook.qdrant is not None
    row = "it's; {x}.the \"id"
    label = "ro`w; MATCH (x) {DETACH}"
    assert playbook.neo4j.nodes[label].sources[0].model_dump(exclude_none=True) == {"postgres": row}
    assert playbook.neo4j.nodes["null"].several == "split"
    assert playbook.neo4j.nodes["Bare"].kind == "question"  # nothing identifies these nodes
    assert set(playbook.neo4j.relationships) == {"HAS {a}: b #", "PLAIN"}
    assert playbook.qdrant[odd].sources[0].model_dump(exclude_none=True) == {"payload": "ref 'x'", "postgres": row}
    with Session(playbook) as session:
        assert {finding.object for finding in session.plan().errors} == {"Bare"}
