"""The rendered files alone bring the example where the library does, on both servers of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from render_kit import MOMENTS, rendered, run_cypher, run_script, run_sql

from tenure.catalog import Catalog
from tenure.demo import example
from tenure.demo.fingerprint import differences, fingerprint
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.demo.servers.neo4j import VERSIONS, default_version
from tenure.planner import plan
from tenure.playbook import Playbook, load_playbook
from tenure.session import Session
from tenure.values import Hazard

SCALE = 0.1


@pytest.fixture(params=VERSIONS)
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedNeo4j]:
    """An empty Neo4j of each version; the session's own where it is that."""
    if request.param == default_version():
        shared: EmbeddedNeo4j = request.getfixturevalue("neo4j_server")
        shared.wipe()
        yield shared
        return
    request.getfixturevalue("neo4j_server")  # marks the test, and skips it where no server can be had
    with EmbeddedNeo4j(tmp_path / "neo4j", version=request.param) as server:
        yield server


def loaded(server: EmbeddedPostgres, name: str, graph: EmbeddedNeo4j, vectors: EmbeddedQdrant) -> tuple[str, Playbook]:
    """Load the example into empty stores; return the database and the playbook that names them."""
    dsn = server.create_database(name)
    graph.wipe()
    vectors.wipe()
    example.load_all(dsn, graph.url, vectors.url, SCALE)
    environment = {"TENURE_POSTGRES": dsn, "TENURE_NEO4J": graph.url, "TENURE_QDRANT": vectors.url}
    return dsn, load_playbook(example.directory() / "tenure.yaml", environment)


@pytest.mark.slow
def test_files_alone_do_what_the_library_does(
    postgres_server: EmbeddedPostgres, graph: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant, tmp_path: Path
) -> None:
    """Psql, Bolt and Python with the files give the content and schema that `Session.apply` gives; verify agrees."""
    name = f"render_{graph.version.replace('.', '_')}"
    dsn, playbook = loaded(postgres_server, f"{name}_hand", graph, qdrant_server)
    rendered(playbook, tmp_path)

    done = run_sql(postgres_server, dsn, tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(row["without a key"] == 0 for row in run_cypher(graph, tmp_path))
    script = run_script(qdrant_server.url, tmp_path)
    assert script.returncode == 0, script.stderr
    by_hand = fingerprint(dsn, graph.url, qdrant_server.url, leave_out=MOMENTS)

    with Session(playbook) as session:
        report = session.verify()
    assert [finding for finding in report.findings if finding.severity == "error"] == []

    # Again, from the start: nothing is left to do, and nothing changes.
    assert run_sql(postgres_server, dsn, tmp_path).returncode == 0
    run_cypher(graph, tmp_path)
    assert "0 written" in run_script(qdrant_server.url, tmp_path).stderr
    assert differences(by_hand, fingerprint(dsn, graph.url, qdrant_server.url, leave_out=MOMENTS)) == []

    # The library finds it done: the plan is the same, and applying it changes no item.
    with Session(playbook) as session:
        applied = session.apply(allowed={Hazard.NO_BACKUP})
    backfills = [o for name, o in applied.result.outcomes.items() if "backfill" in name or "set_payload" in name]
    assert sum(outcome.changed for outcome in backfills) == 0
    assert differences(by_hand, fingerprint(dsn, graph.url, qdrant_server.url, leave_out=MOMENTS)) == []

    dsn, playbook = loaded(postgres_server, f"{name}_library", graph, qdrant_server)
    with Session(playbook) as session:
        session.apply(allowed={Hazard.NO_BACKUP})
    by_library = fingerprint(dsn, graph.url, qdrant_server.url, leave_out=MOMENTS)
    assert differences(by_library, by_hand) == []


@pytest.mark.slow
def test_the_fixture_is_the_example(
    postgres_dsn: str, neo4j_server: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant
) -> None:
    """The catalog that the committed files are rendered from is the one that the example's stores have."""
    neo4j_server.wipe()
    qdrant_server.wipe()
    example.load_all(postgres_dsn, neo4j_server.url, qdrant_server.url, SCALE)
    environment = {
        "TENURE_POSTGRES": postgres_dsn,
        "TENURE_NEO4J": neo4j_server.url,
        "TENURE_QDRANT": qdrant_server.url,
    }
    playbook = load_playbook(example.directory() / "tenure.yaml", environment)
    kept = Path(__file__).parents[1] / "unit" / "test_render_catalog.json"
    fixture = Catalog.model_validate_json(kept.read_text(encoding="utf-8"))
    with Session(playbook) as session:
        live = session.catalog()
    # Settings of the server and the volume of data may differ; what is done to the stores may not.
    made, expected = (
        [operation.model_dump(exclude=set(operation.volatile)) for operation in plan(playbook, one).operations]
        for one in (fixture, live)
    )
    assert made == expected


@pytest.mark.slow
def test_sql_stops_before_anything_is_changed(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    """While rows have no owner that the playbook accepts the file shows them and leaves the tables as they are."""
    import psycopg

    dsn = postgres_server.create_database("render_stop")
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TABLE tenants (id text PRIMARY KEY); INSERT INTO tenants VALUES ('a'), ('b');"
            "CREATE TABLE notes (id int PRIMARY KEY, owner text);"
            "INSERT INTO notes VALUES (1, 'a'), (2, NULL), (3, 'x');"
        )
    path = tmp_path / "tenure.yaml"
    path.write_text(
        "version: 1\ntenant: {key: tenant, registry: {table: tenants, column: id}}\n"
        f"connections: {{postgres: {{url: '{dsn}'}}}}\npostgres:\n  notes: {{tenant: {{column: owner}}}}\n"
    )
    rendered(load_playbook(path), tmp_path / "out")
    done = run_sql(postgres_server, dsn, tmp_path / "out")
    assert done.returncode == 3
    assert "notes: rows without an owner that the playbook accepts: 2" in done.stderr
    assert "unassigned |    2 | no source has a value" in done.stdout
    with psycopg.connect(dsn) as connection:
        query = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'notes'"
        assert connection.execute(query).fetchone() == (2,)
        connection.execute("UPDATE notes SET owner = 'b' WHERE id > 1")
    assert run_sql(postgres_server, dsn, tmp_path / "out").returncode == 0
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT tenant FROM notes ORDER BY id").fetchall() == [("a",), ("b",), ("b",)]
