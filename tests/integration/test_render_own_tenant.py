"""Relationships with a tenant of their own beside their ends: what is decided today is what verify sees tomorrow."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
from neo4j import GraphDatabase
from render_kit import rendered, run_cypher, run_sql

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres
from tenure.playbook import Playbook, load_playbook
from tenure.session import Session
from tenure.values import Hazard

QUARANTINE, SHARED = "__quarantine__", "__shared__"
# Each node: its own property, its relationships as (other end, own property), its key, its relationships' keys.
# Documents a and b are those tenants', q is quarantined; every node also leads to a shared one.
CASES: dict[str, tuple[str | None, list[tuple[str, str | None]], str, list[str], str]] = {
    "agrees": (None, [("a", "a")], "a", ["a"], "a"),
    "goes by the other end": (None, [("b", None)], "b", ["b"], "b"),
    "towards a quarantined end": (None, [("q", "a")], QUARANTINE, [QUARANTINE], QUARANTINE),
    "towards quarantined ends": (None, [("q", "a"), ("q", None)], QUARANTINE, [QUARANTINE] * 2, QUARANTINE),
    "beside a quarantined end": (None, [("q", "b"), ("a", None)], "a", [QUARANTINE, "a"], "a"),
    "crosses to another tenant": (None, [("b", "a"), ("b", None), ("b", "b")], "b", [QUARANTINE, "b", "b"], "b"),
    "crosses, so that the shared one is left": (None, [("b", "a")], SHARED, [QUARANTINE], SHARED),
    "says what is no tenant": (None, [("a", "lost"), ("b", None)], "b", [QUARANTINE, "b"], "b"),
    "belongs to several": (None, [("a", None), ("b", "b"), ("a", "a")], "a", ["a", "b", "a"], QUARANTINE),
    "knows it itself": ("b", [("b", "b"), ("a", None)], "b", ["b", QUARANTINE], "b"),
    "is denied by its neighbours": ("b", [("a", None)], QUARANTINE, [QUARANTINE], QUARANTINE),
    "knows it, beside a quarantined end": ("b", [("q", None)], QUARANTINE, [QUARANTINE], QUARANTINE),
}


def playbook(path: Path, postgres: str, neo4j: str) -> Playbook:
    """Write the playbook of a graph whose nodes ask relationships that may know their tenant themselves."""
    body = {
        "version": 1,
        "tenant": {"key": "ten", "type": "text", "registry": {"table": "tenants", "column": "id"}},
        "connections": {"postgres": {"url": postgres}, "neo4j": {"url": neo4j}},
        "defaults": {"unassigned": "quarantine", "conflict": "quarantine"},
        "postgres": {"docs": {"tenant": {"column": "owner"}}},
        "neo4j": {
            "nodes": {
                # Before the label that it asks: what it asks has to be decided first all the same.
                "Mix": {
                    "identity": "id",
                    "tenant": {"first": [{"property": "owner"}, {"neighbours": ["NEAR", "GLOBAL"]}]},
                    "several": "split",
                },
                "Doc": {"identity": "id", "tenant": {"postgres": "docs.id"}},
                "Global": {"shared": "on purpose"},
            },
            "relationships": {
                "NEAR": {"tenant": {"first": [{"property": "owner"}, "ends"]}},
                "GLOBAL": {"tenant": "ends"},
            },
        },
    }
    path.write_text(json.dumps(body), encoding="utf-8")
    return load_playbook(path)


def load(dsn: str, url: str) -> None:
    """Fill both stores."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TABLE tenants (id text PRIMARY KEY); INSERT INTO tenants VALUES ('a'), ('b');"
            "CREATE TABLE docs (id text PRIMARY KEY, owner text);"
            "INSERT INTO docs VALUES ('a', 'a'), ('b', 'b'), ('q', NULL);"
        )
    with GraphDatabase.driver(url) as driver, driver.session() as session:
        session.run("UNWIND ['a', 'b', 'q'] AS id CREATE (:Doc {id: id}) WITH count(*) AS n CREATE (:Global {id: 'g'})")
        for name, (owner, near, *_) in CASES.items():
            session.run(
                "MATCH (g:Global) CREATE (m:Mix {id: $name, owner: $owner})-[:GLOBAL]->(g) WITH m "
                "UNWIND range(0, size($near) - 1) AS nr MATCH (d:Doc {id: $near[nr][0]}) "
                "CREATE (d)-[:NEAR {nr: nr, owner: $near[nr][1]}]->(m)",
                name=name,
                owner=owner,
                near=[list(one) for one in near],
            )


def found(url: str) -> dict[str, tuple[str, list[str], str]]:
    """Return the keys of every node, of its relationships to documents, and of the one to the shared node."""
    with GraphDatabase.driver(url) as driver, driver.session() as session:
        rows = session.run(
            "MATCH (m:Mix)-[g:GLOBAL]->() MATCH ()-[r:NEAR]->(m) WITH m, g, r ORDER BY r.nr "
            "RETURN m.id AS id, m.ten AS node, collect(coalesce(r.ten, '')) AS near, g.ten AS global"
        )
        return {row["id"]: (row["node"], row["near"], row["global"]) for row in rows}


def test_what_is_decided_of_them_holds_once_it_is_written(
    postgres_server: EmbeddedPostgres, neo4j_server: EmbeddedNeo4j, tmp_path: Path
) -> None:
    """The library, a second run, verify and the rendered files: one opinion."""
    expected = {name: (node, near, to_shared) for name, (_, _, node, near, to_shared) in CASES.items()}

    dsn = postgres_server.create_database("own_tenant_library")
    neo4j_server.wipe()
    load(dsn, neo4j_server.url)
    with Session(playbook(tmp_path / "library.yaml", dsn, neo4j_server.url)) as session:
        forecast = {row.tenant: row.neo4j.get("Mix", 0) for row in session.inspect().matrix}
        session.apply(allowed={Hazard.NO_BACKUP})
        assert found(neo4j_server.url) == expected
        report = session.verify()
        wrong = [found_ for found_ in report.findings if found_.severity == "error" or found_.id == "TEN502"]
        assert [(found_.id, found_.object, found_.title, found_.sample) for found_ in wrong] == []
        matrix = {row.tenant: row.neo4j.get("Mix", 0) for row in report.matrix}
        session.apply(allowed={Hazard.NO_BACKUP})
    assert found(neo4j_server.url) == expected
    assert (forecast["a"], forecast["b"]) == (matrix["a"], matrix["b"])

    dsn = postgres_server.create_database("own_tenant_hand")
    neo4j_server.wipe()
    load(dsn, neo4j_server.url)
    rendered(playbook(tmp_path / "hand.yaml", dsn, neo4j_server.url), tmp_path / "files")
    done = run_sql(postgres_server, dsn, tmp_path / "files")
    assert done.returncode == 0, done.stderr
    run_cypher(neo4j_server, tmp_path / "files")
    assert found(neo4j_server.url) == expected
