"""A graph with every kind of value, exported, destroyed, restored and compared past the code under test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from neo4j import GraphDatabase
from neo4j.spatial import CartesianPoint, WGS84Point
from neo4j.time import Duration

from tenure.backup import neo4j, neo4j_restore
from tenure.backup.manifest import Growing, Manifest
from tenure.backup.restore import refuse_differences
from tenure.backup.work import Work
from tenure.demo.servers import EmbeddedNeo4j
from tenure.errors import RestoreTargetError
from tenure.stores.neo4j import Neo4jStore

VALUES: dict[str, Any] = {
    "text": 'línea\n"quoted" `tick` \\u0041 🎉 \x00end',
    "empty": "",
    "yes": True,
    "no": False,
    "zero": 0,
    "big": 2**63 - 1,
    "small": -(2**63),
    "float": 0.1,
    "whole": 1.0,
    "negative zero": -0.0,
    "least": 5e-324,
    "most": 1.7976931348623157e308,
    "nan": math.nan,
    "inf": math.inf,
    "minus": -math.inf,
    "bytes": bytes(range(256)),
    "no bytes": b"",
    "point2": CartesianPoint((1.5, -2.25)),
    "point3": CartesianPoint((1.0, 2.0, 5e-324)),
    "place2": WGS84Point((-70.66, -33.45)),
    "place3": WGS84Point((-70.66, -33.45, 570.0)),
    "duration": Duration(months=14, days=-3, seconds=10_000_000_000, nanoseconds=999_999_999),
    "negative duration": Duration(seconds=-1, nanoseconds=5),
    "texts": ["a", "", "ñ"],
    "ints": [2**62, -1],
    "floats": [1.0, math.nan, -math.inf],
    "bools": [True, False],
    "nothing": [],
    "points": [CartesianPoint((0.0, 1.0))],
    "durations": [Duration(days=1)],
    "key `with` \\ signs": 1,
}
# Written by the server: the driver has no value for some of them.
TEMPORAL = {
    "d": "date('2024-02-29')",
    "old": "date('-0044-03-15')",
    "far": "date('+999999999-12-31')",
    "ldt": "localdatetime('2024-02-29T23:59:59.123456789')",
    "far ldt": "localdatetime('+12345-01-01T00:00:00')",
    "dt": "datetime('2024-02-29T23:59:59.000000001+05:30')",
    "utc": "datetime('2024-01-01T00:00:00Z')",
    "named utc": "datetime('2024-01-01T00:00:00[UTC]')",
    "odd": "datetime({epochSeconds: 1, nanosecond: 1, timezone: '+01:02:03'})",
    "mean": "datetime({year: 1800, timezone: 'Europe/Berlin'})",
    "odd t": "time({hour: 1, timezone: '-01:02:03'})",
    "zone": "datetime('2024-07-01T12:00:00[America/Santiago]')",
    "first of two": "datetime('2020-10-25T02:30:00+02:00[Europe/Berlin]')",
    "second of two": "datetime('2020-10-25T02:30:00+01:00[Europe/Berlin]')",
    "t": "time('10:11:12.131415161-03:00')",
    "t utc": "time('10:11Z')",
    "lt": "localtime('23:59:59.999999999')",
    "lts": "[localtime('01:02'), localtime('03:04')]",
    "dates": "[date('2024-01-01'), date('+10000-01-01')]",
    "dts": "[datetime('2024-01-01T00:00:00Z'), datetime('2024-01-01T00:00:00[Asia/Tokyo]')]",
    "ts": "[time('10:11Z')]",
}
# What the server itself says of every property, so that neither the driver nor the export is asked.
SEEN = """MATCH (n:Todo) UNWIND keys(n) AS k
RETURN k, valueType(n[k]) AS type, CASE WHEN n[k] IS :: LIST<ANY> THEN [x IN n[k] | toStringOrNull(x)]
  ELSE toStringOrNull(n[k]) END AS text ORDER BY k"""
DDL = (
    "CREATE CONSTRAINT `one name` FOR (n:Todo) REQUIRE (n.big) IS UNIQUE",
    "CREATE CONSTRAINT two FOR (n:Codigo) REQUIRE (n.a, n.`b c`) IS UNIQUE",
    "CREATE INDEX three FOR ()-[r:REL]-() ON (r.peso)",
    "CREATE TEXT INDEX four FOR (n:Todo) ON (n.text)",
    "CREATE POINT INDEX five FOR (n:Todo) ON (n.place2)",
    "CREATE FULLTEXT INDEX six FOR (n:Todo|Codigo) ON EACH [n.text, n.a]",
)


def fill(url: str) -> None:
    """Nodes of no, one and several labels, parallel relationships, loops, hostile names, and all values."""
    with GraphDatabase.driver(url) as driver, driver.session(database="neo4j") as session:
        for statement in DDL:
            session.run(statement).consume()
        session.run("CREATE (n:Todo) SET n = $values", values=VALUES).consume()
        for name, expression in TEMPORAL.items():
            session.run(f"MATCH (n:Todo) SET n.`{name}` = {expression}").consume()
        session.run(
            """UNWIND range(1, 2500) AS i CREATE (n:Codigo {a: i, `b c`: toString(i % 7)})
            FOREACH (_ IN CASE WHEN i % 3 = 0 THEN [1] ELSE [] END | SET n:Extra)"""
        ).consume()
        session.run("CREATE (:`Nombre ``raro`` :x` {a: 1}), ({solo: 'sin etiqueta'}), ()").consume()
        session.run(
            """MATCH (n:Todo), (c:Codigo) WHERE c.a <= 1200
            CREATE (n)-[:REL {peso: c.a, cuando: datetime('2024-01-01T00:00:00Z')}]->(c)"""
        ).consume()
        session.run("MATCH (n:Todo) CREATE (n)-[:REL]->(n), (n)-[:REL {x: 1}]->(n), (n)-[:`T ``2`]->(n)").consume()
        session.run("CALL db.awaitIndexes()").consume()


def state(url: str) -> dict[str, Any]:
    """What the server says of values, structure and schema."""
    with GraphDatabase.driver(url) as driver, driver.session(database="neo4j") as session:

        def rows(query: str) -> list[list[Any]]:
            return [record.values() for record in session.run(query)]

        exact = session.run("MATCH (n:Todo) RETURN n.bytes, n.`no bytes`, n.duration, n.`negative duration`").values()
        return {
            "values": rows(SEEN),
            "points": [
                str(row) for row in rows("MATCH (n:Todo) RETURN n.point2, n.point3, n.place2, n.place3, n.points")
            ],
            "exact": exact,
            "nodes": rows("MATCH (n) RETURN labels(n), n.a, n.`b c`, n.solo, count(*) ORDER BY labels(n), n.a"),
            "relationships": rows(
                """MATCH (a)-[r]->(b) RETURN type(r), labels(a), b.a, r.peso, toString(r.cuando), r.x, a = b, count(*)
                ORDER BY type(r), b.a, r.peso, r.x"""
            ),
            "constraints": rows("SHOW CONSTRAINTS YIELD name, createStatement ORDER BY name"),
            "indexes": rows("SHOW INDEXES YIELD name, type, createStatement ORDER BY name WHERE type <> 'LOOKUP'"),
        }


def manifest_of(store: Neo4jStore) -> Manifest:
    """An empty manifest of this store."""
    return Manifest(tenure="0", started="", sources={"neo4j": neo4j.source(store)})


def export(url: str, directory: Path, manifest: Manifest | None = None) -> Manifest:
    """Export the graph at *url*, going on with *manifest*."""
    with Neo4jStore(url) as store:
        growing = Growing(manifest or manifest_of(store), directory)
        neo4j.back_up(store, Work(directory), growing)
        return growing.manifest


def test_everything_comes_back(neo4j_url: str, neo4j_server: EmbeddedNeo4j, tmp_path: Path) -> None:
    fill(neo4j_url)
    before = state(neo4j_url)
    manifest = export(neo4j_url, tmp_path)
    assert sum(entry.items for entry in manifest.entries if entry.object.startswith("nodes ")) == 2504
    assert sum(entry.items for entry in manifest.entries if entry.object.startswith("relationships ")) == 1203
    with Neo4jStore(neo4j_url) as store:
        with pytest.raises(RestoreTargetError, match="2,504 nodes"):
            neo4j_restore.refuse_unfit(store)
        neo4j_server.wipe()
        neo4j_restore.refuse_unfit(store)
        neo4j_restore.restore(store, manifest, Work(tmp_path))
        refuse_differences({"neo4j": neo4j_restore.found(store, manifest, Work(tmp_path))})
    after = state(neo4j_url)
    for part, content in before.items():
        assert str(after[part]) == str(content), part
