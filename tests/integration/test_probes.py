"""Probes: green where tenants are apart, and each planted fault turns exactly them red."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checks_support import Application, errors, of, red
from neo4j import Driver, GraphDatabase
from qdrant_client import QdrantClient, models

from tenure.values import NEEDS_CONSENT, Phase


@pytest.fixture
def role(postgres_server: Any, postgres_dsn: str) -> Iterator[str]:
    """An application's role that owns nothing and may read everything that is there by the end of a test's set-up."""
    name = f"app_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")  # type: ignore[arg-type]
        connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {name}")  # type: ignore[arg-type]
        yield name
        connection.execute(f"DROP OWNED BY {name}")  # type: ignore[arg-type]
        connection.execute(f"DROP ROLE {name}")  # type: ignore[arg-type]


@pytest.fixture
def app(tmp_path: Path, postgres_dsn: str, role: str) -> Application:
    application = Application(tmp_path, postgres_dsn)
    application.stores["row_security"] = {"role": role, "force": False}
    return application


def cut_over(app: Application) -> None:
    with app.session() as session:
        session.apply(Phase.CUTOVER, allowed=NEEDS_CONSENT)


Plant = Callable[[Application, str], object]
POLICIES: dict[str, tuple[Plant, str]] = {
    "row-level security is off": (
        lambda app, _: app.sql("ALTER TABLE parts DISABLE ROW LEVEL SECURITY"),
        "sees rows of other tenants",
    ),
    "another policy lets everything through": (
        lambda app, role: app.sql(f"CREATE POLICY all_of_it ON parts TO {role} USING (true)"),
        "sees rows of other tenants",
    ),
    "a policy asks for no tenant where none is named": (
        lambda app, role: app.sql(
            f"CREATE POLICY support ON parts TO {role} "
            "USING (coalesce(current_setting('app.project_id', true), '') = '')"
        ),
        "with no tenant named",
    ),
    "the role may bypass": (
        lambda app, role: app.sql(f"ALTER ROLE {role} BYPASSRLS"),
        "sees rows of other tenants",
    ),
}


@pytest.mark.parametrize("fault", POLICIES)
def test_the_applications_role_is_tried_under_row_level_security(app: Application, role: str, fault: str) -> None:
    cut_over(app)
    report = app.verify()
    assert report.strict(), report.findings
    tried = of(report, "TEN508")
    assert (tried.severity, tried.store, tried.object) == ("info", "postgres", "files, notes, parts")
    assert "as a, b: nothing of another tenant was seen, and nothing at all with no tenant named" in tried.title
    plant, words = POLICIES[fault]
    plant(app, role)
    report = app.verify()
    assert errors(report) == {"TEN508"}, report.findings
    found = [f for f in report.findings if f.id == "TEN508" and f.severity == "error"]
    assert "parts" in {f.object for f in found}
    assert any(words in f.title for f in found)
    with psycopg.connect(app.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (50,)


def test_a_role_that_cannot_be_tried_is_said_and_does_not_pass_for_tried(app: Application, role: str) -> None:
    cut_over(app)
    app.sql(f"REVOKE SELECT ON parts FROM {role}")
    report = app.verify()
    assert red(report) == {"TEN508"}
    assert report.ok
    warned = next(f for f in report.findings if f.id == "TEN508" and f.severity == "warning")
    assert "could not be probed" in warned.title
    assert warned.object == "parts"


def test_without_row_security_in_the_playbook_there_is_nothing_to_try(app: Application) -> None:
    app.stores.clear()
    assert not [f for f in app.apply().findings if f.id == "TEN508"]


@pytest.fixture
def stores(
    tmp_path: Path, postgres_dsn: str, neo4j_url: str, qdrant_url: str
) -> Iterator[tuple[Application, Driver, QdrantClient]]:
    app = Application(tmp_path, postgres_dsn)
    app.connections |= {"neo4j": {"url": neo4j_url}, "qdrant": {"url": qdrant_url}}
    app.stores = {
        "neo4j": {
            "nodes": {
                "Part": {"identity": "id", "tenant": {"postgres": "parts.id"}},
                "Language": {"shared": "the same for all"},
            },
            "relationships": {
                "NEXT": {"tenant": "ends"},
                "SPOKEN": {"tenant": "ends"},
                "SEEN": {"exempt": "left behind by a crawler"},
            },
        },
        "qdrant": {"parts": {"tenant": {"postgres": "parts.id"}}},
    }
    client = QdrantClient(url=qdrant_url, check_compatibility=False)
    ids = [row[0] for row in app.sql("SELECT id FROM parts ORDER BY id")]
    with GraphDatabase.driver(neo4j_url) as driver:
        driver.execute_query(
            "CYPHER 5 MERGE (l:Language {name: 'es'}) WITH l UNWIND $ids AS id CREATE (:Part {id: id})-[:SPOKEN]->(l)",
            ids=ids,
        )
        # Parts of one file follow each other: ids ten apart.
        driver.execute_query("CYPHER 5 MATCH (a:Part), (b:Part) WHERE b.id = a.id + 10 CREATE (a)-[:NEXT]->(b)")
        driver.execute_query("CYPHER 5 MATCH (a:Part {id: 1}), (b:Part {id: 11}) CREATE (a)-[:SEEN]->(b)")
        client.create_collection("parts", models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert("parts", [models.PointStruct(id=id, vector=[1.0, id], payload={}) for id in ids], wait=True)
        yield app, driver, client
    client.close()


def test_paths_and_searches_of_a_tenant_stay_with_it(stores: tuple[Application, Driver, QdrantClient]) -> None:
    app, driver, client = stores
    report = app.apply()
    assert report.strict(), report.findings
    tried = {f.store: f for f in report.findings if f.id == "TEN508"}
    assert {store: f.severity for store, f in tried.items()} == {"neo4j": "info", "qdrant": "info"}
    assert tried["qdrant"].count == 4
    # A relationship of a type that nobody keys leads from tenant to tenant.
    driver.execute_query("CYPHER 5 MATCH (a:Part {id: 1}), (b:Part {id: 10}) CREATE (a)-[:SEEN]->(b)")
    report = app.verify()
    assert (red(report), report.ok) == ({"TEN508"}, True), report.findings
    warned = next(f for f in report.findings if f.id == "TEN508" and f.severity == "warning")
    assert (warned.object, warned.count) == ("SEEN", 2)
    # A keyed one that crosses is the references' finding, and is not said twice.
    driver.execute_query("CYPHER 5 MATCH ()-[r:SEEN]->() DELETE r")
    driver.execute_query(
        "CYPHER 5 MATCH (a:Part {id: 1}), (b:Part {id: 10}) CREATE (a)-[:NEXT {project_id: a.project_id}]->(b)"
    )
    assert red(app.verify()) == {"TEN503"}
    # A shared type is no tenant's; over a node of nobody a tenant's own relationship must not end at another's node.
    driver.execute_query("CYPHER 5 MATCH (:Part {id: 1})-[r:NEXT]->(:Part {id: 10}) DELETE r")
    driver.execute_query("CYPHER 5 MATCH (l:Language), (b:Part {id: 10}) CREATE (l)-[:SEEN {project_id: 'a'}]->(b)")
    report = app.verify()
    assert errors(report) == {"TEN508"}, report.findings
    assert "two steps" in next(f.title for f in report.findings if f.id == "TEN508" and f.severity == "error")
    client.close()
