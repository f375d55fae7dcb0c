"""Releasing over three real stores: the nodes, relationships and points of a row follow it, also after a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checks_support import Application
from neo4j import Driver, GraphDatabase
from qdrant_client import QdrantClient, models

from tenure.checks.export import export_items
from tenure.release import Released, Request, release
from tenure.release.items import read_requests
from tenure.values import NEEDS_CONSENT, Phase

QUARANTINE = {"unassigned": "quarantine", "conflict": "quarantine"}
GRAPH: dict[str, Any] = {
    "nodes": {
        "File": {"identity": "name", "tenant": {"postgres": "files.name"}, **QUARANTINE},
        "Part": {"identity": "id", "tenant": {"postgres": "parts.id"}, **QUARANTINE},
        "Tag": {"identity": "name", "tenant": {"neighbours": ["TAGGED"]}, "several": "split", **QUARANTINE},
    },
    "relationships": {"HAS": {"tenant": "ends", **QUARANTINE}, "TAGGED": {"tenant": "ends", **QUARANTINE}},
}
POINTS: dict[str, Any] = {
    "parts": {"tenant": {"first": [{"postgres": "parts.id"}, {"payload": "owner"}]}, **QUARANTINE}
}


class Stores:
    """The small application; file 3 is nobody's. Each part has a node, a point, its file's tag and the tag `both`."""

    def __init__(self, app: Application, driver: Driver, client: QdrantClient) -> None:
        self.app, self.driver, self.client = app, driver, client
        app.sql("UPDATE files SET project = NULL WHERE id = 3")
        rows = [list(row) for row in app.sql("SELECT p.id, f.name FROM parts p JOIN files f ON f.id = p.file_id")]
        self.cypher("CREATE CONSTRAINT tag_name FOR (t:Tag) REQUIRE t.name IS UNIQUE")
        self.cypher(
            "UNWIND $rows AS row MERGE (f:File {name: row[1]}) CREATE (f)-[:HAS]->(p:Part {id: row[0]}) "
            "MERGE (t:Tag {name: row[1]}) CREATE (p)-[:TAGGED {weight: row[0]}]->(t) "
            "MERGE (b:Tag {name: 'both'}) CREATE (p)-[:TAGGED {weight: row[0]}]->(b)",
            rows=rows,
        )
        client.create_collection("parts", models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert(
            "parts", [models.PointStruct(id=row[0], vector=[1.0, row[0]], payload={}) for row in rows], wait=True
        )

    def cypher(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        records, _, _ = self.driver.execute_query("CYPHER 5 " + query, parameters)  # type: ignore[arg-type]
        return [record.data() for record in records]

    def apply(self, through: Phase) -> None:
        with self.app.session() as session:
            session.apply(through, allowed=NEEDS_CONSENT)

    def give(self, name: str, *requests: tuple[Any, str]) -> Released:
        with self.app.session() as session:
            return release(session, name, [Request(item, tenant) for item, tenant in requests])

    def tenants_of_file_3(self) -> dict[str, set[str]]:
        """Return the keys of everything that is of file 3 in all stores."""
        ids = [row[0] for row in self.app.sql("SELECT id FROM parts WHERE file_id = 3")]
        found = self.cypher(
            "MATCH (f:File {name: 'file 3'})-[h:HAS]->(p:Part)-[g:TAGGED]->(t:Tag) "
            "RETURN f.project_id AS File, h.project_id AS HAS, p.project_id AS Part, g.project_id AS TAGGED, "
            "t.project_id AS Tag"
        )
        assert len(found) == 2 * len(ids)
        keys = {name: {row[name] for row in found} for name in ("File", "HAS", "Part", "TAGGED", "Tag")}
        points = self.client.retrieve("parts", ids)
        keys["points"] = {(point.payload or {})["project_id"] for point in points}
        keys["rows"] = {row[0] for row in self.app.sql("SELECT project_id FROM parts WHERE file_id = 3 UNION "
                                                       "SELECT project_id FROM files WHERE id = 3")}  # fmt: skip
        return keys


@pytest.fixture
def stores(tmp_path: Path, postgres_dsn: str, neo4j_url: str, qdrant_url: str) -> Iterator[Stores]:
    app = Application(tmp_path, postgres_dsn)
    app.tables["files"]["unassigned"] = "quarantine"
    app.connections |= {"neo4j": {"url": neo4j_url}, "qdrant": {"url": qdrant_url}}
    app.stores = {"neo4j": GRAPH, "qdrant": POINTS}
    client = QdrantClient(url=qdrant_url, check_compatibility=False)
    with GraphDatabase.driver(neo4j_url) as driver:
        yield Stores(app, driver, client)
    client.close()


@pytest.mark.parametrize("through", [Phase.CONSTRAIN, Phase.CUTOVER])
def test_a_row_takes_its_nodes_relationships_and_points_along(stores: Stores, through: Phase) -> None:
    stores.apply(through)
    assert stores.app.verify().ok
    before = stores.tenants_of_file_3()
    before.pop("Tag")
    assert set().union(*before.values()) == {"__quarantine__"}
    done = stores.give("files", (3, "b"))
    assert not done.findings, done.findings
    after = stores.tenants_of_file_3()
    shared = after.pop("Tag")
    assert set().union(*after.values()) == {"b"}
    # Before the split the shared tag has one key for all its tenants; after it each tenant has its own copy.
    assert shared == ({"a", "b"} if through is Phase.CONSTRAIN else {"b"})
    assert sum(done.left.values()) == 0
    counted = stores.cypher("MATCH ()-[g:TAGGED]->() RETURN count(g) AS n, sum(g.weight) AS weight")
    assert counted == [{"n": 100, "weight": 2 * sum(range(1, 51))}]
    report = stores.app.verify()
    assert report.ok, report.findings
    # A person gave the row away, and everything else has its key from there.
    said = [(f.severity, f.object, f.count) for f in report.findings if f.id == "TEN502"]
    assert said == [("info", "files", 1)], report.findings
    assert stores.give("files", (3, "b")).total == 0


def test_points_and_nodes_that_only_people_know_are_named_by_file(stores: Stores, tmp_path: Path) -> None:
    stores.cypher("CREATE (:Part {id: 900})-[:TAGGED {weight: 0}]->(:Tag {name: 'alone'})")
    stores.client.upsert("parts", [models.PointStruct(id=900, vector=[0.0, 1.0], payload={"x": 1})], wait=True)
    stores.apply(Phase.CONSTRAIN)
    with stores.app.session() as session:
        exported = {(each.store, each.object): each for each in export_items(session, tmp_path / "open")}
    assert exported["qdrant", "parts"].items == exported["neo4j", "Part"].items == 6
    assert exported["neo4j", "HAS"].items == 5
    files = {key: each.path for key, each in exported.items()}
    text = files["qdrant", "parts"].read_text()
    assert "900,,quarantine,no row knows this point" in text
    for path, line in ((files["qdrant", "parts"], "900,,"), (files["neo4j", "Part"], "900,,")):
        path.write_text(path.read_text().replace(line, "900,b,"))
    with stores.app.session() as session:
        done = release(session, "qdrant.parts", list(read_requests(files["qdrant", "parts"])))
        assert dict(done.released) == {("qdrant", "parts"): 1}
        done = release(session, "Part", list(read_requests(files["neo4j", "Part"])))
    assert dict(done.released) == {("neo4j", "Part"): 1, ("neo4j", "Tag"): 1, ("neo4j", "TAGGED"): 1}
    found = stores.cypher(
        "MATCH (p:Part {id: 900})-[g:TAGGED]->(t) RETURN [p.project_id, g.project_id, t.project_id] AS k"
    )
    assert found == [{"k": ["b", "b", "b"]}]
    assert (stores.client.retrieve("parts", [900])[0].payload or {}) == {"x": 1, "project_id": "b"}
    assert stores.tenants_of_file_3()["Part"] == {"__quarantine__"}
    assert stores.app.verify().ok


def test_a_rollback_leaves_nothing_of_a_release(stores: Stores) -> None:
    stores.apply(Phase.CONSTRAIN)
    stores.give("files", (3, "b"))
    with stores.app.session() as session:
        session.rollback()
    assert stores.cypher("MATCH (n) WHERE n.project_id IS NOT NULL RETURN count(n) AS n") == [{"n": 0}]
    assert stores.cypher("MATCH ()-[r]->() WHERE r.project_id IS NOT NULL RETURN count(r) AS n") == [{"n": 0}]
    points, _ = stores.client.scroll("parts", limit=100)
    assert all(not point.payload for point in points)


def test_a_release_that_stopped_between_the_stores_goes_on(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.release.graph import GraphRelease

    stores.apply(Phase.CONSTRAIN)

    def killed(self: GraphRelease) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GraphRelease, "again", killed)
        with pytest.raises(KeyboardInterrupt):
            stores.give("files", (3, "b"))
    assert stores.tenants_of_file_3()["rows"] == {"b"}
    assert stores.tenants_of_file_3()["Part"] == {"__quarantine__"}
    with stores.app.session() as session:
        done = release(session)
    assert not done.findings
    keys = stores.tenants_of_file_3()
    keys.pop("Tag")
    assert set().union(*keys.values()) == {"b"}


def test_two_nodes_that_the_tenant_cannot_both_have_stay_and_are_said(stores: Stores) -> None:
    stores.cypher("CREATE (:Part {id: 901}), (:Part {id: 902})")
    stores.cypher("CREATE CONSTRAINT part_id FOR (p:Part) REQUIRE p.id IS UNIQUE")
    stores.apply(Phase.CONSTRAIN)
    stores.cypher("DROP CONSTRAINT part_id")
    stores.cypher("MATCH (p:Part {id: 901}) SET p.id = 1")
    done = stores.give("Part", (1, "a"), (902, "a"))
    assert dict(done.released)["neo4j", "Part"] == 1
    (finding,) = done.findings
    assert (finding.object, finding.count, finding.sample[0]["item"]) == ("Part", 1, 1)
    listed = stores.app.sql("SELECT item #>> '{}', released_to FROM tenure.quarantine WHERE object = 'Part'")
    assert ("902", "a") in listed
    assert ("1", "a") not in listed


def test_a_persons_word_holds_for_nodes_and_points_and_not_between_tenants(stores: Stores) -> None:
    stores.client.set_payload("parts", {"owner": "b"}, [1], wait=True)
    stores.apply(Phase.CUTOVER)
    assert (stores.client.retrieve("parts", [1])[0].payload or {})["project_id"] == "__quarantine__"
    done = stores.give("qdrant.parts", (1, "a"))
    assert not done.findings
    for report in (stores.app.verify(), stores.app.apply(), stores.app.verify()):
        assert report.ok, report.findings
        assert [(f.store, f.object, f.count) for f in report.findings if "given by a person" in f.title] == [
            ("qdrant", "parts", 1)
        ]
    tag = {"label": "Tag", "property": "name", "value": "file 3"}
    ((part,),) = stores.app.sql("SELECT min(id) FROM parts WHERE file_id = 3")
    ends = {"start": {"label": "Part", "property": "id", "value": part}, "end": tag}
    (finding,) = stores.give("TAGGED", (ends, "a")).findings
    assert "it starts at a node of quarantined, not of a" in finding.sample[0]["reason"]


def test_what_was_put_aside_before_a_split_is_not_decided_by_where_it_stayed(stores: Stores) -> None:
    """A relationship between two tags that several tenants had in common: nobody knows whose it is after the split."""
    stores.app.stores["neo4j"] = {
        "nodes": GRAPH["nodes"],
        "relationships": {**GRAPH["relationships"], "NEAR": {"tenant": "ends", **QUARANTINE}},
    }
    stores.cypher(
        "MATCH (p:Part) MERGE (t:Tag {name: 'also'}) CREATE (p)-[:TAGGED {weight: 0}]->(t) "
        "WITH DISTINCT t MATCH (b:Tag {name: 'both'}) MERGE (t)-[:NEAR]->(b)"
    )
    stores.apply(Phase.CUTOVER)
    assert stores.cypher("MATCH ()-[r:NEAR]->() RETURN r.project_id AS k") == [{"k": "__quarantine__"}]
    done = stores.give("files", (3, "b"))
    assert done.left["neo4j", "NEAR"] == 1
    assert stores.cypher("MATCH ()-[r:NEAR]->() RETURN r.project_id AS k") == [{"k": "__quarantine__"}]
    ends = {
        side: {"label": "Tag", "property": "name", "value": name} for side, name in (("start", "also"), ("end", "both"))
    }
    ((home,),) = [tuple(row.values()) for row in stores.cypher("MATCH (t)-[:NEAR]->() RETURN t.project_id AS k")]
    assert not stores.give("NEAR", (ends, home)).findings
    assert stores.cypher("MATCH ()-[r:NEAR]->() RETURN r.project_id AS k") == [{"k": home}]
    assert stores.app.verify().ok


def test_points_of_a_rekeyed_collection_are_released_where_readers_look(stores: Stores) -> None:
    ids = {"ids": {"rekey": "{tenant}|{id}", "namespace": "url"}, "alias": "live"}
    stores.app.stores["qdrant"] = {"parts": {**POINTS["parts"], **ids}}
    alias = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="parts", alias_name="live"))
    stores.client.update_collection_aliases([alias])
    stores.apply(Phase.CUTOVER)
    sentinel = models.Filter(
        must=[models.FieldCondition(key="project_id", match=models.MatchValue(value="__quarantine__"))]
    )
    assert stores.client.count("live", count_filter=sentinel).count == 5
    done = stores.give("files", (3, "b"))
    assert not done.findings
    assert done.released["qdrant", "parts"] == 5
    assert stores.client.count("live", count_filter=sentinel).count == 0
    report = stores.app.verify()
    assert report.ok, report.findings
    parts = {row[0] for row in stores.app.sql("SELECT id FROM parts WHERE file_id = 3")}
    listed = stores.app.sql(
        "SELECT item, released_to FROM tenure.quarantine WHERE store = 'qdrant' AND object = 'parts'"
    )
    assert {(item, tenant) for item, tenant in listed} == {(part, "b") for part in parts}
