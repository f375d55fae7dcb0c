"""Every kind of source and policy, on random graphs and collections: the files decide what the library decides."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
from neo4j import GraphDatabase
from qdrant_client import QdrantClient, models
from render_kit import rendered, run_cypher, run_script, run_sql

from tenure.demo.fingerprint import differences, fingerprint
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.playbook import Playbook, load_playbook
from tenure.session import Session
from tenure.values import Hazard

TENANTS = {"text": ["a", "b", "c"], "bigint": ["1", "2", "10"]}
DOCS = 40


def playbook(path: Path, kind: str, postgres: str, neo4j: str, qdrant: str) -> Playbook:
    """Write a playbook that has each source and each policy somewhere."""
    one, two, _ = TENANTS[kind]
    # An alias of a tenant that is not registered means nothing, even where its name is one.
    lost = "nowhere" if kind == "text" else "77"
    (path.parent / "aliases.csv").write_text(f"value,tenant\nuno,{one}\nlost,{lost}\n", encoding="utf-8")
    row = {"postgres": "docs.id"}
    body = {
        "version": 1,
        "tenant": {
            "key": "ten",
            "type": kind,
            "registry": {"table": "tenants", "column": "id"},
            "aliases": "aliases.csv",
            "untagged": ["0" if kind == "bigint" else "none"] if kind == "text" else [],
        },
        "connections": {"postgres": {"url": postgres}, "neo4j": {"url": neo4j}, "qdrant": {"url": qdrant}},
        "defaults": {"unassigned": "quarantine", "conflict": "quarantine"},
        "postgres": {
            "docs": {"tenant": {"column": "owner"}},
            "codes": {"tenant": {"column": "owner"}, "unassigned": "shared"},
            "pairs": {"tenant": {"column": "owner"}},
        },
        "neo4j": {
            "nodes": {
                "Doc": {"identity": "id", "tenant": {"first": [{"property": "owner"}, row]}, "existing": "rederive"},
                "Num": {"identity": "n", "tenant": {"postgres": "codes.code"}, "unassigned": {"keep_null": "global"}},
                "Ext": {
                    "identity": "id",
                    "tenant": {"first": [{"postgres": "docs.id", "match": "ref"}, {"property": "owner"}]},
                    "unassigned": {"assign": two},
                    "conflict": "first",
                    "existing": "keep",
                },
                "Const": {"identity": "id", "tenant": {"constant": one}},
                "Tag": {"identity": "id", "tenant": {"neighbours": ["HAS", "NUM"]}, "several": "split"},
                "Top": {"identity": "id", "tenant": {"neighbours": ["IN"]}, "several": "split"},
                "Mix": {
                    "identity": "id",
                    "tenant": {"first": [{"property": "owner"}, {"neighbours": ["NEAR", "GLOBAL"]}]},
                    "several": "split",
                },
                "Clash": {"identity": "id", "tenant": {"neighbours": ["NEAR"]}, "conflict": "quarantine"},
                "Wide": {"identity": "id", "tenant": {"neighbours": ["NEAR"]}, "several": "shared"},
                "Global": {"shared": "on purpose"},
            },
            "relationships": {
                "HAS": {"tenant": "ends"},
                "NUM": {"tenant": "ends", "unassigned": "shared"},
                "IN": {"tenant": "ends", "references": {"docs": "Doc.id"}},
                "NEAR": {"tenant": {"first": [{"property": "owner"}, "ends"]}},
                "PAIR": {"tenant": {"first": [{"postgres": "pairs", "match": {"start": "a", "end": "b"}}, "ends"]}},
                "GLOBAL": {"tenant": "ends"},
                "REF": {"tenant": {"property": "owner"}, "unassigned": "shared", "existing": "keep"},
            },
        },
        "qdrant": {
            "pts": {
                "tenant": {"first": [{"payload": "meta.owner"}, {"payload": "code", "postgres": "codes.code"}]},
                "existing": "rederive",
            },
            "kept": {"tenant": {"payload": "doc", "postgres": "docs.id"}, "unassigned": {"keep_null": "global"}},
        },
    }
    path.write_text(json.dumps(body), encoding="utf-8")
    return load_playbook(path)


def load_postgres(dsn: str, kind: str, rng: random.Random) -> None:
    """Fill the tables."""
    tenants = TENANTS[kind]
    owners = [*tenants, *tenants, "uno", "lost", None]
    with psycopg.connect(dsn) as connection:
        connection.execute(
            f"CREATE TABLE tenants (id {kind} PRIMARY KEY); CREATE TABLE docs (id text PRIMARY KEY, owner text);"
            "CREATE TABLE codes (nr serial PRIMARY KEY, code int, owner text);"
            "CREATE TABLE pairs (nr serial PRIMARY KEY, a text, b text, owner text);"
        )
        many = connection.cursor()
        many.executemany(f"INSERT INTO tenants VALUES (%s::text::{kind})", [(tenant,) for tenant in tenants])
        many.executemany("INSERT INTO docs VALUES (%s, %s)", [(f"d{n}", rng.choice(owners)) for n in range(DOCS - 5)])
        many.executemany(
            "INSERT INTO codes (code, owner) VALUES (%s, %s)",
            [(rng.randrange(30), rng.choice(owners)) for _ in range(40)],
        )
        many.executemany(
            "INSERT INTO pairs (a, b, owner) VALUES (%s, %s, %s)",
            [(f"d{rng.randrange(DOCS)}", f"d{rng.randrange(DOCS)}", rng.choice(owners)) for _ in range(300)],
        )


def load_neo4j(url: str, kind: str, rng: random.Random) -> None:
    """Fill the graph: nodes of every label, relationships at random, some with a key or an owner already."""
    tenants: list[Any] = TENANTS[kind]
    said = [*tenants, "uno", "lost", "", None, None, None, ["list"]]
    keys: list[Any] = [None, None, None, tenants[0], "nobody", "uno"] if kind == "text" else [None, None, 1, 7, "2"]
    with GraphDatabase.driver(url) as driver, driver.session() as session:

        def nodes(label: str, count: int, make: Any) -> None:
            session.run(
                f"CYPHER 5 UNWIND $rows AS row CREATE (n:{label}) SET n = row", rows=[make(n) for n in range(count)]
            )

        def edges(type_: str, start: str, end: str, count: int, make: Any) -> None:
            rows = [{"a": rng.random(), "b": rng.random(), "p": make()} for _ in range(count)]
            session.run(
                f"CYPHER 5 MATCH (a:{start}) WITH a ORDER BY a.id, a.n WITH collect(a) AS starts MATCH (b:{end}) "
                "WITH starts, b ORDER BY b.id, b.n WITH starts, collect(b) AS ends UNWIND $rows AS row "
                "WITH starts[toInteger(row.a * size(starts))] AS a, ends[toInteger(row.b * size(ends))] AS b, row.p "
                f"AS p CREATE (a)-[r:{type_}]->(b) SET r = p",
                rows=rows,
            )

        nodes("Doc", DOCS, lambda n: {"id": f"d{n}", "owner": rng.choice(said), "ten": rng.choice(keys)})
        nodes("Num", 40, lambda n: {"n": n if n % 3 else float(n)})
        nodes(
            "Ext", 30, lambda n: {"id": f"e{n}", "ref": f"d{n * 2}", "owner": rng.choice(said), "ten": rng.choice(keys)}
        )
        nodes("Const", 3, lambda n: {"id": f"c{n}"})
        for label in ("Tag", "Top", "Mix", "Clash", "Wide"):
            nodes(label, 12, lambda n, label=label: {"id": f"{label}{n}", "owner": rng.choice(said)})
        nodes("Global", 2, lambda n: {"id": f"g{n}"})
        edges("HAS", "Doc", "Tag", 40, dict)
        edges("NUM", "Num", "Tag", 6, dict)
        edges("IN", "Tag", "Top", 30, lambda: {"docs": [f"d{rng.randrange(DOCS)}" for _ in range(rng.randrange(4))]})
        for label in ("Mix", "Clash", "Wide"):
            edges("NEAR", "Doc", label, 24, lambda: {"owner": rng.choice(said)})
        edges("GLOBAL", "Mix", "Global", 5, dict)
        edges("PAIR", "Doc", "Doc", 60, dict)
        edges("REF", "Const", "Doc", 30, lambda: {"owner": rng.choice(said), "ten": rng.choice(keys)})


def load_qdrant(url: str, kind: str, rng: random.Random) -> None:
    """Fill two collections."""
    tenants = TENANTS[kind]
    said = [*tenants, "uno", "lost", "", None, None, ["x"], {"y": 1}]
    client = QdrantClient(url=url, check_compatibility=False)
    for name in ("pts", "kept"):
        vectors = models.VectorParams(size=2, distance=models.Distance.COSINE)
        client.create_collection(name, vectors_config=vectors)
        points = []
        for n in range(60):
            payload: dict[str, Any] = {
                "code": n if n % 2 else float(n),
                "doc": f"d{n}",
                "meta": {"owner": rng.choice(said)},
            }
            if name == "pts" and n % 3 == 0:
                payload["ten"] = rng.choice([*tenants, "nobody", "", None, [], "uno"])
            points.append(models.PointStruct(id=n, vector=[1.0, n / 60], payload=payload))
        client.upsert(name, points, wait=True)
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seed"), [("text", 1), ("bigint", 2)])
def test_files_decide_what_the_library_decides(
    postgres_server: EmbeddedPostgres,
    neo4j_server: EmbeddedNeo4j,
    qdrant_server: EmbeddedQdrant,
    tmp_path: Path,
    kind: str,
    seed: int,
) -> None:
    """The same keys on every row, node, relationship and point."""

    def load(name: str) -> tuple[str, Playbook]:
        dsn = postgres_server.create_database(f"render_{kind}_{seed}_{name}")
        neo4j_server.wipe()
        qdrant_server.wipe()
        rng = random.Random(seed)
        load_postgres(dsn, kind, rng)
        load_neo4j(neo4j_server.url, kind, rng)
        load_qdrant(qdrant_server.url, kind, rng)
        return dsn, playbook(tmp_path / f"{name}.yaml", kind, dsn, neo4j_server.url, qdrant_server.url)

    dsn, by_files = load("hand")
    rendered(by_files, tmp_path / "files")
    done = run_sql(postgres_server, dsn, tmp_path / "files")
    assert done.returncode == 0, done.stderr
    run_cypher(neo4j_server, tmp_path / "files")
    script = run_script(qdrant_server.url, tmp_path / "files")
    assert script.returncode == 0, script.stderr
    by_hand = fingerprint(dsn, neo4j_server.url, qdrant_server.url)
    keys = graph_keys(neo4j_server.url)

    dsn, by_files = load("library")
    with Session(by_files) as session:
        session.apply(allowed={Hazard.NO_BACKUP})
    expected = graph_keys(neo4j_server.url)
    assert [pair for pair in zip(expected, keys, strict=True) if pair[0] != pair[1]] == []
    assert differences(fingerprint(dsn, neo4j_server.url, qdrant_server.url), by_hand) == []


def graph_keys(url: str) -> list[str]:
    """Return every node and relationship with its key, as lines to read when two runs differ."""
    with GraphDatabase.driver(url) as driver, driver.session() as session:
        nodes = session.run("MATCH (n) RETURN labels(n)[0] AS l, coalesce(n.id, n.n) AS i, n AS n")
        lines = [f"{row['l']} {row['i']} {dict(row['n'])}" for row in nodes]
        edges = session.run("MATCH (a)-[r]->(b) RETURN a.id AS a, type(r) AS t, b.id AS b, r AS r")
        lines += [f"{row['a']} {row['t']} {row['b']} {sorted(dict(row['r']).items())}" for row in edges]
    return sorted(lines)
