"""Names that no quoting by hand would survive, through plan, rendering and running the files; equal to the library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from neo4j import GraphDatabase
from psycopg import sql
from qdrant_client import QdrantClient, models
from render_kit import MOMENTS, run_cypher, run_script, run_sql

from tenure.cli.main import run
from tenure.demo.fingerprint import differences, fingerprint
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.playbook import Playbook, load_playbook
from tenure.session import Session
from tenure.stores.cypher import quote
from tenure.values import Hazard

KEY = "mandant; ñ -- x"
REGISTRY, ID = 'the "registry"; -- DROP', "id'\""
FILES, NAME = "select", "na;me\\"
PARTS, PART_NAME, PART = "Größe $tenure$ {x} %s", "$1 fi'le", 'primary "key"'
LABEL, TYPE = "La`bel;\n// x \\u0060", "RE;L`'\n;"
GROUP, IDENTITY = "Group {0}", "i'd; \"` \\"
COLLECTION, FIELD = "points ñ'; x", "fi'le; name"
SCHEMA = "My Schema; --"


def playbook(path: Path, postgres: str, neo4j: str, qdrant: str) -> Playbook:
    """Write the playbook as JSON, which is YAML, and load it."""
    body: Mapping[str, Any] = {
        "version": 1,
        "tenant": {"key": KEY, "registry": {"table": REGISTRY, "column": ID}, "untagged": ["de'fault;", ""]},
        "connections": {"postgres": {"url": postgres}, "neo4j": {"url": neo4j}, "qdrant": {"url": qdrant}},
        "defaults": {"unassigned": "quarantine", "conflict": "quarantine"},
        "postgres": {
            FILES: {"tenant": {"column": "order"}, "unique": {"weird\"; uq'": "rescope"}},
            f"{SCHEMA}.{PARTS}": {"tenant": {"parent": FILES, "match": {PART_NAME: NAME}}},
        },
        "neo4j": {
            "nodes": {
                LABEL: {"identity": IDENTITY, "tenant": {"postgres": f"{SCHEMA}.{PARTS}.{PART}"}},
                GROUP: {"identity": IDENTITY, "tenant": {"neighbours": [TYPE]}, "several": "split"},
            },
            "relationships": {TYPE: {"tenant": "ends"}},
        },
        "qdrant": {COLLECTION: {"tenant": {"payload": FIELD, "postgres": f"{FILES}.{NAME}"}}},
    }
    path.write_text(json.dumps(body), encoding="utf-8")
    return load_playbook(path)


def load_postgres(dsn: str) -> None:
    """Fill the tables; values have what CSV readers stumble over."""
    names = [f"file \"{n}\", 'x'; \\\n% %41" for n in range(6)]
    tenants = ["a'; --", 'b "quoted"', "ñandú\\"]
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
        for text in (
            "CREATE TABLE {registry} ({id} text PRIMARY KEY)",
            'CREATE TABLE {files} ({name} text PRIMARY KEY, "order" text, "select" int, CONSTRAINT {uq} '
            'UNIQUE ("order", "select"))',
            "CREATE TABLE {schema}.{parts} ({part} text PRIMARY KEY, {part_name} text REFERENCES {files} ({name}))",
        ):
            connection.execute(
                sql.SQL(text).format(
                    registry=sql.Identifier(REGISTRY), id=sql.Identifier(ID), files=sql.Identifier(FILES),
                    name=sql.Identifier(NAME), uq=sql.Identifier("weird\"; uq'"), schema=sql.Identifier(SCHEMA),
                    parts=sql.Identifier(PARTS), part=sql.Identifier(PART), part_name=sql.Identifier(PART_NAME),
                )
            )  # fmt: skip
        many = connection.cursor()
        many.executemany(
            sql.SQL("INSERT INTO {} VALUES (%s)").format(sql.Identifier(REGISTRY)), [(t,) for t in tenants]
        )
        owners = [tenants[n % 3] if n < 4 else "de'fault;" if n == 4 else None for n in range(6)]
        many.executemany(
            sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(sql.Identifier(FILES)),
            [(name, owner, n) for n, (name, owner) in enumerate(zip(names, owners, strict=True))],
        )
        for n in range(30):  # no parameters: the table's name has a placeholder in it
            values = sql.SQL(", ").join(map(sql.Literal, (f'part "{n}"; \' \\ {n}', names[n % 6])))
            connection.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(SCHEMA, PARTS), values))


def load_neo4j(url: str) -> None:
    """Fill the graph: every part a node, in groups that several tenants share."""
    label, type_, group, identity = (quote(name) for name in (LABEL, TYPE, GROUP, IDENTITY))
    with GraphDatabase.driver(url) as driver, driver.session() as session:
        session.run(f"CYPHER 5 CREATE CONSTRAINT {quote('c;` x')} FOR (n:{label}) REQUIRE n.{identity} IS UNIQUE")
        session.run(
            f"CYPHER 5 UNWIND range(0, 31) AS n CREATE (p:{label} {{{identity}: 'part \"' + n + '\"; \\' \\\\ ' + n}}) "
            f"MERGE (g:{group} {{{identity}: n % 5}}) CREATE (g)-[:{type_}]->(p)"
        )


def load_qdrant(url: str) -> None:
    """Fill the collection: points by file, some of none, some with a key that means nothing."""
    client = QdrantClient(url=url, check_compatibility=False)
    client.create_collection(COLLECTION, vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    points = []
    for n in range(40):
        payload: dict[str, Any] = {FIELD: f"file \"{n % 7}\", 'x'; \\\n% %41"}
        if n % 4 == 0:
            payload[KEY] = "de'fault;"
        points.append(models.PointStruct(id=n, vector=[1.0, n / 40], payload=payload))
    client.upsert(COLLECTION, points, wait=True)
    client.close()


@pytest.mark.slow
def test_hostile_names_round_trip(
    postgres_server: EmbeddedPostgres, neo4j_server: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant, tmp_path: Path
) -> None:
    """Plan, render, run the files, verify; the library makes the same of the same data."""

    def load(name: str) -> tuple[str, Playbook]:
        dsn = postgres_server.create_database(name)
        neo4j_server.wipe()
        qdrant_server.wipe()
        load_postgres(dsn)
        load_neo4j(neo4j_server.url)
        load_qdrant(qdrant_server.url)
        return dsn, playbook(tmp_path / f"{name}.yaml", dsn, neo4j_server.url, qdrant_server.url)

    dsn, by_name = load("render_hostile_hand")
    directory = tmp_path / "files; 'x'"
    assert run(["render", str(directory), "-f", str(tmp_path / "render_hostile_hand.yaml")]) == 0
    done = run_sql(postgres_server, dsn, directory)
    assert done.returncode == 0, done.stderr
    assert all(row["without a key"] == 0 for row in run_cypher(neo4j_server, directory))
    script = run_script(qdrant_server.url, directory)
    assert script.returncode == 0, script.stderr
    by_hand = fingerprint(dsn, neo4j_server.url, qdrant_server.url, leave_out=MOMENTS)
    with Session(by_name) as session:
        found = session.verify().findings
    assert [finding for finding in found if finding.severity == "error"] == []

    dsn, by_name = load("render_hostile_library")
    with Session(by_name) as session:
        session.apply(allowed={Hazard.NO_BACKUP})
    by_library = fingerprint(dsn, neo4j_server.url, qdrant_server.url, leave_out=MOMENTS)
    assert differences(by_library, by_hand) == []
