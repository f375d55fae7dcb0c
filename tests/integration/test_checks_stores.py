"""Inspect and verify over three real stores: green when clean, and each planted fault turns exactly its check red."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checks_support import Application, errors, of, red
from neo4j import Driver, GraphDatabase
from qdrant_client import QdrantClient, models

from tenure.errors import PreflightError

GRAPH: dict[str, Any] = {
    "nodes": {
        "File": {"identity": "name", "tenant": {"postgres": "files.name"}},
        "Part": {"identity": "id", "tenant": {"postgres": "parts.id"}},
        "Tag": {"identity": "name", "tenant": {"neighbours": ["TAGGED"]}, "several": "split"},
    },
    "relationships": {"HAS": {"tenant": "ends"}, "TAGGED": {"tenant": "ends"}},
}
POINTS: dict[str, Any] = {"parts": {"tenant": {"first": [{"postgres": "parts.id"}, {"payload": "owner"}]}}}


class Stores:
    """The small application with a graph and a collection of its parts."""

    def __init__(self, app: Application, driver: Driver, client: QdrantClient) -> None:
        self.app, self.driver, self.client = app, driver, client
        rows = app.sql("SELECT p.id, f.name FROM parts p JOIN files f ON f.id = p.file_id ORDER BY p.id")
        self.cypher("CREATE CONSTRAINT tag_name FOR (t:Tag) REQUIRE t.name IS UNIQUE")
        self.cypher("CREATE CONSTRAINT part_id FOR (p:Part) REQUIRE p.id IS UNIQUE")
        self.cypher(
            "UNWIND $rows AS row MERGE (f:File {name: row[1]}) CREATE (p:Part {id: row[0]}) "
            # The last parts hang on nothing, so that their key can be changed without a relationship being wrong.
            "FOREACH (_ IN CASE WHEN row[0] <= 45 THEN [1] ELSE [] END | CREATE (f)-[:HAS]->(p)) "
            "FOREACH (_ IN CASE WHEN row[0] <= 20 THEN [1] ELSE [] END | MERGE (t:Tag {name: row[1]}) "
            "CREATE (p)-[:TAGGED]->(t))",
            rows=[list(row) for row in rows],
        )
        self.cypher("MATCH (p:Part) WHERE p.id IN [1, 10] MERGE (t:Tag {name: 'both'}) CREATE (p)-[:TAGGED]->(t)")
        client.create_collection("parts", models.VectorParams(size=2, distance=models.Distance.DOT))
        keys: list[dict[str, Any]] = [{}, {"project_id": None}, {"project_id": ""}]
        client.upsert(
            "parts",
            [models.PointStruct(id=row[0], vector=[1.0, row[0]], payload=keys[row[0] % 3]) for row in rows],
            wait=True,
        )

    def cypher(self, query: str, **parameters: Any) -> None:
        """Run a statement as the application would."""
        self.driver.execute_query("CYPHER 5 " + query, parameters)  # type: ignore[arg-type]

    def point(self, id: int, payload: dict[str, Any]) -> None:
        """Write a point as the application would, payload and all."""
        self.client.upsert("parts", [models.PointStruct(id=id, vector=[1.0, 2.0], payload=payload)], wait=True)


@pytest.fixture
def stores(tmp_path: Path, postgres_dsn: str, neo4j_url: str, qdrant_url: str) -> Iterator[Stores]:
    app = Application(tmp_path, postgres_dsn)
    app.connections |= {"neo4j": {"url": neo4j_url}, "qdrant": {"url": qdrant_url}}
    app.stores = {"neo4j": GRAPH, "qdrant": POINTS}
    client = QdrantClient(url=qdrant_url, check_compatibility=False)
    with GraphDatabase.driver(neo4j_url) as driver:
        yield Stores(app, driver, client)
    client.close()


Plant = Callable[[Stores], object]


def cypher(query: str) -> Plant:
    return lambda stores: stores.cypher(query)


def point(id: int, **payload: Any) -> Plant:
    return lambda stores: stores.point(id, payload)


BEFORE: dict[str, tuple[set[str], Plant]] = {
    "a node has no row": ({"TEN202"}, cypher("CREATE (:Part {id: 900})")),
    "a relationship lies between two tenants": (
        {"TEN203"},
        cypher("MATCH (f:File {name: 'file 1'}), (p:Part {id: 50}) CREATE (f)-[:HAS]->(p)"),
    ),
    "an identity repeats": ({"TEN205"}, cypher("CREATE (:File {name: 'file 1'})")),
    "a point's tenant is unknown": ({"TEN303"}, point(900, owner="gamma")),
    "a point's sources disagree": ({"TEN304"}, point(1, owner="b")),
    "a point is stale": ({"TEN305"}, point(900)),
    "a key is of a wrong type": ({"TEN302", "TEN304"}, point(1, project_id=5)),
}


@pytest.mark.parametrize("fault", BEFORE)
def test_inspect_finds_the_fault_and_nothing_else(stores: Stores, fault: str) -> None:
    expected, plant = BEFORE[fault]
    plant(stores)
    report = stores.app.inspect()
    assert red(report) == expected, [(f.id, f.object, f.title) for f in report.findings]


def test_a_clean_application_is_green_from_inspect_to_verify(stores: Stores) -> None:
    foretold = stores.app.inspect()
    assert foretold.strict(), foretold.findings
    split = of(foretold, "TEN204")
    assert (split.object, split.count) == ("Tag", 1)
    assert split.sample[0] == {"item": "both", "tenants": "a, b"}
    rows = {row.tenant: row for row in foretold.matrix}
    assert dict(rows["a"].qdrant) == {"parts": 30}
    assert rows["b"].neo4j["Part"] == 20
    report = stores.app.apply()
    assert report.strict(), report.findings
    assert report.matrix == foretold.matrix
    assert of(report, "TEN503").object == "Tag"  # waits for cutover


AFTER: dict[str, tuple[str, Plant]] = {
    "a node lost its key": ("TEN501", cypher("MATCH (p:Part {id: 50}) REMOVE p.project_id")),
    "a relationship has no tenant": (
        "TEN501",
        cypher("MATCH (:File {name: 'file 1'})-[r:HAS]->() WITH r LIMIT 1 SET r.project_id = 'zz'"),
    ),
    "a point lost its key": ("TEN501", point(50)),
    "a point's key is an empty list": ("TEN501", point(50, project_id=[])),
    "a node of its neighbours has another tenant": (
        "TEN502",
        cypher("MATCH (t:Tag {name: 'file 2'}) SET t.project_id = 'b'"),
    ),
    "a relationship crosses tenants": (
        "TEN503",
        cypher("MATCH (f:File {name: 'file 1'}), (p:Part {id: 50}) CREATE (f)-[:HAS {project_id: 'a'}]->(p)"),
    ),
    "a relationship has the other tenant": (
        "TEN503",
        cypher("MATCH (:File {name: 'file 1'})-[r:HAS]->() WITH r LIMIT 1 SET r.project_id = 'b'"),
    ),
    "a node has another tenant than its row": ("TEN504", cypher("MATCH (p:Part {id: 50}) SET p.project_id = 'a'")),
    "a point has its neighbour's tenant": ("TEN504", point(50, project_id="a")),
    "a node is gone": ("TEN505", cypher("MATCH (p:Part {id: 50}) DETACH DELETE p")),
    "a point came that no row knows": ("TEN505", point(900, project_id="a")),
    "a global uniqueness came back": (
        "TEN506",
        cypher("CREATE CONSTRAINT again FOR (f:File) REQUIRE f.title IS UNIQUE"),
    ),
    "the uniqueness per tenant is gone": ("TEN506", lambda stores: _drop_made(stores)),
    "the tenant index is gone": (
        "TEN506",
        lambda stores: stores.client.delete_payload_index("parts", "project_id", wait=True),
    ),
}


def _drop_made(stores: Stores) -> None:
    records = stores.driver.execute_query("SHOW CONSTRAINTS YIELD name, properties").records
    for record in records:
        if record["properties"] == ["project_id", "name"]:
            stores.cypher(f"DROP CONSTRAINT `{record['name']}`")


def test_verify_finds_each_fault_and_nothing_else(stores: Stores) -> None:
    """One run for all faults: each is planted on the stores as they were left clean, and taken back."""
    assert stores.app.apply().strict()
    wrong = {}
    for fault, (id_, plant) in AFTER.items():
        with_fault = _with(stores, plant)
        if red(with_fault) != {id_}:
            wrong[fault] = [(f.id, f.object, f.title) for f in with_fault.findings if f.severity != "info"]
    assert not wrong


GUARDED: dict[str, tuple[str, str, Plant]] = {
    "a new label": ("TEN001", "Late", cypher("CREATE (:Late {name: 'x'})")),
    "a new relationship type": (
        "TEN001",
        "LATE",
        cypher("MATCH (a:File {name: 'file 1'}), (b:File {name: 'file 2'}) CREATE (a)-[:LATE]->(b)"),
    ),
    "a new collection": ("TEN001", "late", lambda stores: _create(stores, "late")),
    "a node without its key": ("TEN501", "Part", cypher("CREATE (:Part {id: 901})")),
    "a relationship without its key": (
        "TEN501",
        "HAS",
        cypher("MATCH (f:File {name: 'file 1'}), (p:Part {id: 46}) CREATE (f)-[:HAS]->(p)"),
    ),
    "a point without its key": ("TEN501", "parts", point(50)),
    "a global uniqueness in the graph": (
        "TEN506",
        "File.again",
        cypher("CREATE CONSTRAINT again FOR (f:File) REQUIRE f.title IS UNIQUE"),
    ),
}


def _create(stores: Stores, collection: str) -> None:
    stores.client.create_collection(collection, models.VectorParams(size=2, distance=models.Distance.DOT))


def test_the_guard_finds_what_is_new_in_graph_and_collections(stores: Stores) -> None:
    """As `verify`'s faults: each on the stores as they were left clean. What is new turns exactly its check red."""

    def guarded() -> Any:
        with stores.app.session() as session:
            return session.guard()

    assert stores.app.apply().strict()
    assert guarded().ok
    wrong = {}
    for fault, (id_, object_, plant) in GUARDED.items():
        report = _with(stores, plant, guarded)
        stores.client.delete_collection("late")
        if {(f.id, f.object) for f in report.findings if f.severity == "error"} != {(id_, object_)}:
            wrong[fault] = [(f.id, f.object, f.title) for f in report.findings if f.severity != "info"]
    assert not wrong
    assert guarded().ok


def _with(stores: Stores, plant: Plant, look: Callable[[], Any] | None = None) -> Any:
    """Verify (or *look*) with a fault, then put the stores back: graph and collection are small enough to be copied."""
    driver, client = stores.driver, stores.client
    nodes = driver.execute_query("MATCH (n) RETURN elementId(n) AS e, labels(n) AS l, properties(n) AS p").records
    rels = driver.execute_query(
        "MATCH (a)-[r]->(b) RETURN elementId(a) AS a, elementId(b) AS b, type(r) AS t, properties(r) AS p"
    ).records
    constraints = driver.execute_query("SHOW CONSTRAINTS YIELD name, createStatement").records
    points = client.scroll("parts", limit=1000, with_vectors=True)[0]
    plant(stores)
    try:
        return (look or stores.app.verify)()
    finally:
        stores.cypher("MATCH (n) DETACH DELETE n")
        for record in driver.execute_query("SHOW CONSTRAINTS YIELD name").records:
            stores.cypher(f"DROP CONSTRAINT `{record['name']}`")
        mark = f"e{uuid.uuid4().hex}"
        for node in nodes:
            labels = ":".join(node["l"])
            stores.cypher(f"CREATE (n:{labels}) SET n = $p, n.{mark} = $e", p=dict(node["p"]), e=node["e"])
        for rel in rels:
            stores.cypher(
                f"MATCH (a {{{mark}: $a}}), (b {{{mark}: $b}}) CREATE (a)-[r:{rel['t']}]->(b) SET r = $p",
                a=rel["a"], b=rel["b"], p=dict(rel["p"]),
            )  # fmt: skip
        stores.cypher(f"MATCH (n) REMOVE n.{mark}")
        for constraint in constraints:
            stores.cypher(constraint["createStatement"])
        client.delete("parts", models.Filter(), wait=True)
        client.upsert(
            "parts",
            [models.PointStruct(id=p.id, vector=p.vector, payload=p.payload) for p in points],  # type: ignore[arg-type]
            wait=True,
        )
        client.create_payload_index(
            "parts",
            "project_id",
            models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
            wait=True,
        )


def test_drift_of_before_is_reported_as_such_and_does_not_make_verify_red(stores: Stores) -> None:
    stores.cypher("MATCH (p:Part {id: 50}) DETACH DELETE p")
    stores.point(900, {"owner": "a"})
    report = stores.app.inspect()
    assert report.strict(), report.findings
    assert {f.object for f in report.findings if f.id == "TEN401"} == {"neo4j.Part", "qdrant.parts"}
    report = stores.app.apply()
    assert report.strict(), report.findings
    assert {(f.object, f.count) for f in report.findings if f.id == "TEN505"} == {
        ("neo4j.Part", 1),
        ("qdrant.parts", 1),
    }
    assert all("unchanged" in f.title for f in report.findings if f.id == "TEN505")
    assert not errors(report)


def test_items_quarantined_for_a_key_they_had_are_not_taken_for_releasable(stores: Stores) -> None:
    nodes = {**GRAPH["nodes"], "Part": {**GRAPH["nodes"]["Part"], "conflict": "quarantine"}}
    stores.app.stores = {
        "neo4j": {**GRAPH, "nodes": nodes},
        "qdrant": {"parts": {**POINTS["parts"], "conflict": "quarantine"}},
    }
    stores.cypher("MATCH (p:Part {id: 50}) SET p.project_id = 'a'")
    stores.point(50, {"project_id": "a"})
    report = stores.app.apply()
    assert report.strict(), report.findings
    rows = {row.tenant: row for row in report.matrix}
    assert (rows["(quarantine)"].neo4j["Part"], rows["(quarantine)"].qdrant["parts"]) == (1, 1)
    # Put aside by nobody, and its row knows its tenant: that one can be released.
    stores.cypher("MATCH (p:Part {id: 49}) SET p.project_id = '__quarantine__'")
    stores.point(49, {"project_id": "__quarantine__"})
    report = stores.app.verify()
    assert red(report) == {"TEN502"}
    assert {(f.object, f.severity, f.count) for f in report.findings if f.id == "TEN502"} == {
        ("Part", "warning", 1),
        ("parts", "warning", 1),
    }


def test_items_that_first_cannot_decide_are_an_error_as_rows_are(stores: Stores) -> None:
    """TEN203, TEN304: where the first source itself names several tenants there is no first answer; apply must not
    begin. Those that it decides have its key from then on, and are no conflict any more."""
    app = stores.app
    app.sql(
        "CREATE TABLE codes (id int PRIMARY KEY, code text, owner text)",
        "INSERT INTO codes VALUES (1, 'x', 'a'), (2, 'x', 'b'), (3, 'y', 'b')",
    )
    app.tables["codes"] = {"tenant": {"column": "owner"}}
    asked = {"tenant": {"first": [{"postgres": "codes.code"}, {"property": "owner"}]}, "conflict": "first"}
    nodes = {**GRAPH["nodes"], "Code": {"identity": "name", **asked}}
    sources = [{"payload": "code", "postgres": "codes.code"}, {"payload": "owner"}, {"postgres": "parts.id"}]
    points = {"parts": {"tenant": {"first": sources}, "conflict": "first"}}
    app.stores = {"neo4j": {**GRAPH, "nodes": nodes}, "qdrant": points}
    stores.cypher("CREATE (:Code {name: 'x', owner: 'a'}), (:Code {name: 'y', owner: 'a'})")
    stores.point(900, {"code": "x", "owner": "a"})
    stores.point(901, {"code": "y", "owner": "a"})
    report = app.inspect()
    assert red(report) == {"TEN203", "TEN304"}, [(f.id, f.object, f.title) for f in report.findings]
    for id_ in ("TEN203", "TEN304"):
        said = {f.severity: f for f in report.findings if f.id == id_}
        assert (said["error"].count, said["info"].count) == (1, 1)
        assert "`conflict: first` cannot decide" in said["error"].title
    with pytest.raises(PreflightError):
        app.apply()
    app.sql("DELETE FROM codes WHERE id = 1")
    foretold = app.inspect()
    assert not errors(foretold)
    report = app.apply()
    assert not errors(report)
    assert report.matrix == foretold.matrix == app.inspect().matrix
    (conflicts,) = (row for row in report.matrix if row.tenant == "(conflict)")
    assert not any(conflicts.neo4j.values())
    assert not any(conflicts.qdrant.values())
