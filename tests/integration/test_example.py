"""The interviews example against real stores: what the manifest claims, counted by queries that know nothing of it."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from neo4j import Driver, GraphDatabase
from ruamel.yaml import YAML

from tenure.demo.example import directory, generate, load_all, load_neo4j, load_postgres, load_qdrant
from tenure.demo.example.journal import lost_writes, replay
from tenure.demo.example.shape import COLLIDING, fragment_id
from tenure.demo.example.tables import COLUMNS, rows
from tenure.demo.example.vectors import COLLECTION, connect
from tenure.demo.example.writer import OldWriter
from tenure.runner.runner import Runner
from tenure.session import Session
from tenure.values import Phase

SCALE, SEED = 0.4, 11

# The owner of every fragment, found as a person would: through the file's column, its blob's address, the aliases.
OWNERS = """
WITH named AS (
    SELECT filename, coalesce(nullif(proyecto, 'default'), split_part(blob_url, '/', 4)) AS value FROM interview_files
), owner AS (
    SELECT filename, min(coalesce(a.tenant, p.id)) AS tenant, count(DISTINCT coalesce(a.tenant, p.id)) AS tenants
    FROM named LEFT JOIN aliases AS a USING (value) LEFT JOIN proyectos AS p ON p.id = value GROUP BY filename
)
SELECT f.id, CASE WHEN o.tenants = 1 THEN o.tenant ELSE '(quarantine)' END
FROM entrevista_fragmentos AS f LEFT JOIN owner AS o ON o.filename = f.archivo
"""


def owners(connection: psycopg.Connection) -> dict[str, str]:
    connection.execute("CREATE TEMP TABLE aliases (value text, tenant text)")
    with (directory() / "tenants.csv").open() as file, connection.cursor() as cursor:
        header, *lines = csv.reader(file)
        assert header == ["value", "tenant"]
        cursor.executemany("INSERT INTO aliases VALUES (%s, %s)", lines)
    return dict(connection.execute(OWNERS).fetchall())


@pytest.fixture
def driver(neo4j_url: str) -> Iterator[Driver]:
    with GraphDatabase.driver(neo4j_url) as driver:
        yield driver


def test_scale_1_has_the_sizes_of_the_real_application() -> None:
    manifest = generate(1, SEED).manifest
    assert manifest.postgres["entrevista_fragmentos"] == 1872
    assert manifest.postgres["analisis_codigos_abiertos"] == 745
    assert manifest.nodes["Entrevista"] == 51


@pytest.mark.parametrize("scale", [0.02, SCALE, 1])
def test_postgres_holds_what_the_manifest_says(postgres_dsn: str, scale: float) -> None:
    example = generate(scale, SEED)
    load_postgres(postgres_dsn, example)
    with psycopg.connect(postgres_dsn) as connection:
        tables = [r[0] for r in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        found = {t: connection.execute(f'SELECT count(*) FROM "{t}"'.encode()).fetchall()[0][0] for t in tables}
        assert found == example.manifest.postgres
        assert Counter(owners(connection).values()) == example.manifest.fragments
        # No column of the application has the key but the one that a hotfix added.
        keyed = connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'project_id'"
        ).fetchall()
        assert keyed == [("doctoral_reports",)]
        touched = connection.execute("SELECT count(*) FROM entrevista_fragmentos WHERE updated_at <> created_at")
        assert touched.fetchone() == (0,)


def test_every_kind_of_source_and_stray_occurs(postgres_dsn: str) -> None:
    load_postgres(postgres_dsn, generate(1, SEED))
    with psycopg.connect(postgres_dsn) as connection:

        def count(query: str) -> int:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return int(row[0])

        assert count("SELECT count(*) FROM interview_files WHERE proyecto IS NULL") > 0
        assert count("SELECT count(*) FROM interview_files WHERE proyecto = 'default'") > 1
        spelled = "SELECT count(*) FROM analisis_codigos_abiertos WHERE proyecto"
        assert count(f"{spelled} ~ '^[0-9a-f]{{8}}-'") > 0
        assert count(f"{spelled} = 'JD 007'") > 0
        assert (
            count("SELECT count(*) FROM (SELECT filename FROM interview_files GROUP BY 1 HAVING count(*) > 1) x") == 1
        )
        assert count("SELECT count(*) FROM doctoral_reports WHERE project_id = 'default' AND proyecto <> 'default'") > 0
        assert count("SELECT count(*) FROM mv_categoria_por_rol") > 0
        strays = count(
            "SELECT count(*) FROM entrevista_fragmentos f WHERE NOT EXISTS "
            "(SELECT FROM interview_files i WHERE i.filename = f.archivo)"
        )
        assert strays == 2


def test_neo4j_holds_what_the_manifest_says(postgres_dsn: str, neo4j_url: str, driver: Driver) -> None:
    example = generate(SCALE, SEED)
    load_postgres(postgres_dsn, example)
    load_neo4j(neo4j_url, example)
    with psycopg.connect(postgres_dsn) as connection:
        owner = owners(connection)
    manifest = example.manifest

    def pairs(query: str) -> list[tuple[str, object]]:
        return [(record[0], record[1]) for record in driver.execute_query("CYPHER 5 " + query).records]

    assert dict(pairs("MATCH (n) UNWIND labels(n) AS l RETURN l, count(*)")) == manifest.nodes
    assert dict(pairs("MATCH ()-[r]->() RETURN type(r), count(*)")) == manifest.relationships
    nodes = {identity for identity, _ in pairs("MATCH (f:Fragmento) RETURN f.id, 1")}
    assert len(nodes - owner.keys()) == manifest.nodes_without_row
    assert len(owner.keys() - nodes) == manifest.rows_without_node
    users: dict[str, set[str]] = {}
    for codigo, identity in pairs("MATCH (f:Fragmento)-[:TIENE_CODIGO]->(c:Codigo) RETURN c.nombre, f.id"):
        users.setdefault(codigo, set()).add(owner[str(identity)])
    assert len(users) == manifest.nodes["Codigo"]
    assert sum(len(tenants) > 1 for tenants in users.values()) == manifest.shared_codes > 0
    mixed = 0
    for _, evidence in pairs("MATCH ()-[r:REL]->() RETURN r.tipo, r.evidencia"):
        mixed += len({owner[identity] for identity in evidence}) > 1  # type: ignore[attr-defined]
    assert mixed > 0
    constraints = {name for name, _ in pairs("SHOW CONSTRAINTS YIELD name, type RETURN name, type")}
    assert constraints == {"ent_nombre", "frag_id", "codigo_nombre", "categoria_nombre"}


def test_qdrant_holds_what_the_manifest_says(postgres_dsn: str, qdrant_url: str) -> None:
    example = generate(SCALE, SEED)
    load_postgres(postgres_dsn, example)
    load_qdrant(qdrant_url, example)
    with psycopg.connect(postgres_dsn) as connection:
        owner = owners(connection)
        vector = connection.execute(
            "SELECT id, embedding FROM entrevista_fragmentos ORDER BY created_at LIMIT 1"
        ).fetchone()
    client = connect(qdrant_url)
    points: dict[str, Any] = {}
    offset = None
    while True:
        page, offset = client.scroll(COLLECTION, limit=200, offset=offset, with_payload=True)
        points |= {str(point.id): point.payload or {} for point in page}
        if offset is None:
            break
    manifest = example.manifest
    assert len(points) == manifest.points == client.count(COLLECTION).count
    strays = points.keys() - owner.keys()
    assert len(strays) == manifest.stale_points + manifest.keyed_stray_points
    assert sum("project_id" in points[i]["metadata"] for i in strays) == manifest.keyed_stray_points
    absent = Counter(owner[i] for i in owner.keys() - points.keys())
    assert absent == {manifest.tenants[-1]: manifest.rows_without_point}
    states = Counter(
        "nested" if "project_id" in p["metadata"] else repr(p.get("project_id", "missing")) for p in points.values()
    )
    assert states.keys() == {"nested", "'missing'", "None", "''"}
    assert min(states.values()) > manifest.points // 10
    assert vector is not None
    (found,) = client.retrieve(COLLECTION, [vector[0]], with_vectors=True)
    norm = sum(x * x for x in vector[1]) ** 0.5  # a cosine collection stores the direction only
    assert found.vector == pytest.approx([x / norm for x in vector[1]], abs=1e-4)


def test_without_drift_the_stores_agree() -> None:
    manifest = generate(SCALE, SEED, drift=False).manifest
    assert manifest.nodes["Fragmento"] == manifest.postgres["entrevista_fragmentos"] == manifest.points
    assert manifest.rows_without_node == manifest.stale_points == manifest.nodes_without_row == 0


def fingerprint(scale: float, seed: int) -> str:
    example, digest = generate(scale, seed), hashlib.sha256()
    for table in COLUMNS:
        for row in rows(example, table):
            digest.update(repr(row).encode())
    return digest.hexdigest()


def test_the_seed_alone_decides_the_data() -> None:
    assert fingerprint(0.1, 5) == fingerprint(0.1, 5)
    assert fingerprint(0.1, 5) != fingerprint(0.1, 6)


def test_rows_are_streamed_in_flat_memory() -> None:
    def peak(scale: float) -> int:
        example = generate(scale, SEED)
        tracemalloc.start()
        try:
            for _ in rows(example, "entrevista_fragmentos"):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(0.1)
    assert peak(5) < 2 * peak(0.5) + 100_000


def test_the_playbook_classifies_every_object(postgres_dsn: str, neo4j_url: str, qdrant_url: str) -> None:
    load_all(postgres_dsn, neo4j_url, qdrant_url, 0.05, SEED)
    playbook = YAML(typ="safe").load(directory() / "tenure.yaml")
    with psycopg.connect(postgres_dsn) as connection:
        tables = {r[0] for r in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
        uniques = connection.execute(
            "SELECT c.relname, i.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid "
            "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE x.indisunique AND n.nspname = 'public' AND c.relkind = 'r'"
        ).fetchall()
    assert tables == playbook["postgres"].keys() | {playbook["tenant"]["registry"]["table"]}
    for table, rule in playbook["postgres"].items():
        assert rule.get("unique", {}).keys() <= {index for owner, index in uniques if owner == table}, table
    with GraphDatabase.driver(neo4j_url) as driver:
        labels = {r[0] for r in driver.execute_query("MATCH (n) UNWIND labels(n) AS l RETURN DISTINCT l").records}
        types = {r[0] for r in driver.execute_query("MATCH ()-[r]->() RETURN DISTINCT type(r)").records}
    assert labels == playbook["neo4j"]["nodes"].keys()
    assert types <= playbook["neo4j"]["relationships"].keys()
    assert {c.name for c in connect(qdrant_url).get_collections().collections} == playbook["qdrant"].keys()


def test_the_playbook_brings_the_stores_to_the_state_that_the_manifest_tells(
    postgres_dsn: str, neo4j_url: str, qdrant_url: str, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_all(postgres_dsn, neo4j_url, qdrant_url, 0.1, SEED)
    for store, address in (("POSTGRES", postgres_dsn), ("NEO4J", neo4j_url), ("QDRANT", qdrant_url)):
        monkeypatch.setenv(f"TENURE_{store}", address)
    with Session.open(directory() / "tenure.yaml") as session:
        # The runner alone: what inspect and verify think of the result is not asked here, but counted.
        plan = session.plan()
        assert plan.errors == ()
        session.ledger.install()
        session.ledger.keep_baseline("catalog", "", session.catalog().model_dump(mode="json"))
        Runner(session.context(), plan).run(Phase.CONSTRAIN)
    tenant = {"(quarantine)": "__quarantine__"}
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute("SELECT project_id, count(*) FROM entrevista_fragmentos GROUP BY 1").fetchall()
        assert dict(found) == {tenant.get(name, name): count for name, count in manifest.fragments.items()}
        for table in YAML(typ="safe").load(directory() / "tenure.yaml")["postgres"]:
            if table in ("app_users", "ui_analytics", "schema_migrations"):
                continue
            query = (
                "SELECT count(*) FILTER (WHERE project_id = '__quarantine__'), "
                f"count(*) FILTER (WHERE project_id = ANY(%s) OR project_id = '__quarantine__'), count(*) FROM {table}"
            )
            quarantined, valid, total = connection.execute(query.encode(), [list(manifest.tenants)]).fetchall()[0]
            assert (quarantined, valid) == (manifest.quarantined.get(table, 0), total), table
    put_aside = "CYPHER 5 MATCH (n {project_id: '__quarantine__'}) RETURN labels(n)[0], count(*) UNION ALL "
    put_aside += "MATCH ()-[r {project_id: '__quarantine__'}]->() RETURN type(r) AS `labels(n)[0]`, count(*)"
    found = [(record[0], record[1]) for record in driver.execute_query(put_aside).records]
    assert dict(found) == manifest.quarantined_graph
    counts = {hit.value: hit.count for hit in connect(qdrant_url).facet(COLLECTION, "project_id", limit=50).hits}
    assert counts.pop("__quarantine__") == manifest.quarantined_points
    assert sum(counts.values()) + manifest.quarantined_points == manifest.points


def test_the_old_writer_loses_nothing_by_itself_and_a_loss_is_seen(
    postgres_dsn: str, neo4j_url: str, qdrant_url: str, driver: Driver, tmp_path: Path
) -> None:
    load_all(postgres_dsn, neo4j_url, qdrant_url, 0.1, SEED)
    path = tmp_path / "journal.jsonl"
    with OldWriter(postgres_dsn, neo4j_url, qdrant_url, 3, journal=path) as writer:
        done = Counter(writer.step() for _ in range(160))
    expected = replay(path)
    assert expected.writes == 160
    assert expected.operations == done
    assert len(done) == 8, "every kind of write occurs"
    assert lost_writes(path, postgres_dsn, neo4j_url, qdrant_url) == []
    alive = [identity for identity, record in expected.fragments.items() if record][:3]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE entrevista_fragmentos SET fragmento = 'otro' WHERE id = %s", [alive[0]])
    driver.execute_query("CYPHER 5 MATCH (f:Fragmento {id: $id}) DETACH DELETE f", id=alive[1])
    connect(qdrant_url).delete(COLLECTION, [alive[2]], wait=True)
    lost = lost_writes(path, postgres_dsn, neo4j_url, qdrant_url)
    for store, identity in zip(("postgres", "neo4j", "qdrant"), alive, strict=True):
        assert any(line.startswith(f"{store}: fragment {identity}") for line in lost), store


def test_an_unconfirmed_write_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(
        '{"n": 1, "state": "begin", "op": "edit_fragment", "id": "a", "fragmento": "x"}\n{"n": 1, "state": "done"}\n'
        '{"n": 2, "state": "begin", "op": "edit_fragment", "id": "a", "fragmento": "y"}\n{"n": 3, "sta'
    )
    assert replay(path).fragments == {}


def test_the_writer_process_stops_between_writes(
    postgres_dsn: str, neo4j_url: str, qdrant_url: str, tmp_path: Path
) -> None:
    load_all(postgres_dsn, neo4j_url, qdrant_url, 0.05, SEED)
    path = tmp_path / "journal.jsonl"
    environment = os.environ | {
        "TENURE_POSTGRES": postgres_dsn,
        "TENURE_NEO4J": neo4j_url,
        "TENURE_QDRANT": qdrant_url,
    }
    command = [sys.executable, "-m", "tenure.demo.example.writer", "--journal", str(path), "--rate", "200"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        # Wait for what the test needs (some confirmed writes), not for a length of time.
        while process.poll() is None and (not path.exists() or path.read_text().count('"done"') < 10):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    text = path.read_text()
    assert text.count('"begin"') == text.count('"done"') >= 10
    assert lost_writes(path, postgres_dsn, neo4j_url, qdrant_url) == []


def test_the_colliding_file_has_one_set_of_fragments(postgres_dsn: str) -> None:
    load_postgres(postgres_dsn, generate(SCALE, SEED))
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute("SELECT proyecto FROM interview_files WHERE filename = %s", [COLLIDING]).fetchall()
        assert len({proyecto for (proyecto,) in found}) == 2
        ids = connection.execute("SELECT id FROM entrevista_fragmentos WHERE archivo = %s", [COLLIDING]).fetchall()
    assert {identity for (identity,) in ids} == {fragment_id(COLLIDING, n) for n in range(4)}
