"""What bad input gets: an end before the first write, the exit code, one message with the object and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_kit import Ran, run_tenure

from tenure.demo.servers import EmbeddedPostgres
from tenure.demo.servers.process import free_port
from tenure.values import NEEDS_CONSENT

SCHEMA = """
CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE files (id bigint PRIMARY KEY, project text, name text NOT NULL, CONSTRAINT files_name UNIQUE (name));
CREATE TABLE parts (id text PRIMARY KEY, file_id bigint NOT NULL REFERENCES files);
INSERT INTO projects VALUES ('a'), ('b');
INSERT INTO files SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, 'file ' || n FROM generate_series(1, 20) n;
INSERT INTO parts SELECT 'part ' || n, 1 + n % 20 FROM generate_series(1, 100) n;
"""
WITHOUT_BACKUP = ("--allow", "NO_BACKUP")
TABLES = "  files: {tenant: {column: project}}\n  parts: {tenant: {parent: files, match: {file_id: id}}}\n"
HEAD = "version: 1\ntenant: {key: project_id, registry: {table: projects, column: id}}\n"


@dataclass
class App:
    """A small application in its stores, and the playbook beside it."""

    directory: Path
    dsn: str
    connections: list[str] = field(default_factory=list)
    sections: str = f"postgres:\n{TABLES}"
    postgres: str = ""

    def write(self) -> Path:
        path = self.directory / "tenure.yaml"
        postgres = self.postgres or f'{{url: "{self.dsn}"}}'
        stores = "".join(f"  {line}\n" for line in (f"postgres: {postgres}", *self.connections))
        path.write_text(f"{HEAD}connections:\n{stores}{self.sections}", encoding="utf-8")
        return path

    def run(self, *args: str) -> Ran:
        self.write()
        return run_tenure(*args, cwd=self.directory)

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def fingerprint(self) -> Any:
        """Return everything that a run could have written to Postgres: schemas, columns, triggers, indexes, rows."""
        with psycopg.connect(self.dsn) as connection:
            queries = (
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' ORDER BY 1",
                "SELECT attrelid::regclass::text, attname, attnotnull FROM pg_attribute a JOIN pg_class c ON "
                "c.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0 ORDER BY 1, 2",
                "SELECT tgname FROM pg_trigger ORDER BY 1",
                "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
                "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1",
                "SELECT f::text FROM files f ORDER BY id",
                "SELECT p::text FROM parts p ORDER BY id",
            )
            return [connection.execute(query.encode()).fetchall() for query in queries]


@pytest.fixture
def app(postgres_dsn: str, tmp_path: Path) -> App:
    made = App(tmp_path, postgres_dsn)
    made.execute(SCHEMA)
    return made


@pytest.fixture
def refused(app: App) -> Callable[..., Ran]:
    """Run `tenure apply` on bad input, and hold it to the rules that all bad input has in common."""

    def check(code: int, *named: str, allow: tuple[str, ...] = ()) -> Ran:
        before = app.fingerprint()
        ran = app.run("apply", "--yes", *WITHOUT_BACKUP, *allow)
        assert ran.code == code, ran
        assert "Traceback" not in ran.err
        assert "Unexpected" not in ran.err
        assert ran.err.count("tenure: ") == 1, ran.err
        for name in named:
            assert name in ran.err
        assert ran.out == ""
        after = app.fingerprint()
        assert after == before
        assert ("tenure",) not in after[0]
        return ran

    return check


def test_good_input_is_applied(app: App) -> None:
    """The counterpart without which the rest would prove nothing: the very same application passes."""
    ran = app.run("apply", "--yes", "--json", *WITHOUT_BACKUP)
    assert ran.code == 0, ran
    assert ran.document["ok"] is True
    assert app.run("plan", "--json").document["hash"] == ran.document["hash"]
    assert ("tenure",) in app.fingerprint()[0]
    assert app.run("inspect", "--json").code == 0
    again = app.run("apply", "--json").document
    assert again["swept"] == 0
    assert not [operation for operation in again["operations"] if operation["changed"]]


def test_no_backup(app: App, tmp_path: Path) -> None:
    """Nothing is written without a checked backup or the operator's word; the word and the backup are both kept."""
    before = app.fingerprint()
    ran = app.run("apply")
    assert ran.code == 3
    assert "knows of no checked backup" in ran.err
    assert "--allow NO_BACKUP" in ran.err
    assert app.fingerprint() == before
    assert app.run("backup", "--to", str(tmp_path / "kept")).code == 0
    assert app.run("apply").code == 0
    with psycopg.connect(app.dsn) as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM tenure.event").fetchall()]
    assert "backup checked" in kinds
    assert "backup waived" not in kinds


def test_wrong_key(app: App, refused: Callable[..., Ran]) -> None:
    app.sections = app.sections.replace("{column: project}", "{colum: project}")
    ran = refused(2, "tenure.yaml:6:", "colum", "`column`")
    assert ran.err.startswith("tenure: ")


def test_every_wrong_key_is_named_at_once(app: App) -> None:
    app.sections = app.sections.replace("column:", "colum:").replace("match:", "mach:")
    ran = app.run("apply")
    assert ran.code == 2
    assert "tenure.yaml:6:" in ran.err
    assert "tenure.yaml:7:" in ran.err


def test_unknown_table(app: App, refused: Callable[..., Ran]) -> None:
    app.sections += "  part: {shared: it is not there}\n"
    refused(2, "part", "Did you mean parts?", "remove the entry")


def test_unclassified_table(app: App, refused: Callable[..., Ran]) -> None:
    app.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    refused(2, "notes", "exempt: REASON")
    ran = app.run("plan", "--json")
    assert ran.code == 2
    assert ran.document["ok"] is False
    assert ran.document["operations"] == []
    assert [finding["object"] for finding in ran.document["findings"]] == ["notes"]


def test_source_cycle(app: App, refused: Callable[..., Ran]) -> None:
    app.execute("ALTER TABLE files ADD part_id text")
    app.sections = app.sections.replace("{column: project}", "{parent: parts, match: {part_id: id}}")
    refused(2, "files", "parts")


@pytest.mark.parametrize("store", ["postgres", "neo4j", "qdrant"])
def test_unreachable_store(app: App, refused: Callable[..., Ran], store: str) -> None:
    port = free_port()
    if store == "postgres":
        app.postgres = f'{{url: "postgresql://u:hunter22@127.0.0.1:{port}/db"}}'
    elif store == "neo4j":
        app.connections = [f'neo4j: {{url: "bolt://127.0.0.1:{port}", password: hunter22}}']
        app.sections += "neo4j: {nodes: {}, relationships: {}}\n"
    else:
        app.connections = [f'qdrant: {{url: "http://127.0.0.1:{port}", api_key: hunter22}}']
        app.sections += "qdrant: {}\n"
    ran = refused(5, store, str(port), "could not be reached", "Check that it runs")
    assert "hunter22" not in ran.err


@pytest.fixture
def other_role(app: App, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A role that may read and write the tables, and nothing else; the playbook connects as it."""
    role = "role_" + app.dsn.rpartition("_")[2]
    app.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'hunter22'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    )
    app.postgres = '{{url: "{}"}}'.format(app.dsn.replace("postgres@", f"{role}:hunter22@"))
    yield role
    app.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_role_without_rights(app: App, refused: Callable[..., Ran], other_role: str) -> None:
    ran = refused(1, other_role, "files", "may not")
    assert "hunter22" not in ran.err
    ids = {finding["id"] for finding in app.run("inspect", "--json").document["findings"]}
    assert "TEN101" in ids


def test_role_that_does_not_exist(app: App, refused: Callable[..., Ran]) -> None:
    app.postgres = f'{{url: "{app.dsn}", role: nobody_here}}'
    refused(5, "nobody_here", "`role`")


def test_role_that_row_security_blinds(app: App, refused: Callable[..., Ran], other_role: str) -> None:
    app.execute(
        *(f"ALTER TABLE {table} OWNER TO {other_role}" for table in ("files", "parts", "projects")),
        f"GRANT CREATE ON SCHEMA public TO {other_role}",
        f"GRANT ALL ON DATABASE {app.dsn.rpartition('/')[2]} TO {other_role}",
        "ALTER TABLE files ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE files FORCE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON files USING (project = current_setting('app.project', true))",
    )
    refused(1, "files", "row-level security", "BYPASSRLS")
    app.execute(*(f"ALTER TABLE {table} OWNER TO postgres" for table in ("files", "parts", "projects")))


def test_key_of_another_type(app: App, refused: Callable[..., Ran]) -> None:
    app.execute("ALTER TABLE files ADD project_id integer")
    refused(2, "files", "project_id", "integer")


def test_a_row_that_no_source_knows(app: App, refused: Callable[..., Ran]) -> None:
    app.execute("UPDATE files SET project = 'nobody' WHERE id = 3")
    refused(1, "files", "INSERT INTO")


@pytest.fixture
def graph(app: App, neo4j_url: str) -> Iterator[Any]:
    """A graph beside the application, with one node twice; a driver to it."""
    from neo4j import GraphDatabase

    app.connections = [f'neo4j: {{url: "{neo4j_url}", password: ""}}']
    app.sections += "neo4j: {nodes: {Part: {identity: id, tenant: {postgres: parts.id}}}, relationships: {}}\n"
    with GraphDatabase.driver(neo4j_url) as driver:
        driver.execute_query("UNWIND range(1, 5) AS n CREATE (:Part {id: 'part ' + n})")
        yield driver


def test_graph_duplicates_break_the_constraint_to_come(app: App, graph: Any) -> None:
    """The plan has the constraint, since there was one when the run began; then duplicates came in without it."""
    graph.execute_query("CREATE CONSTRAINT part_id FOR (p:Part) REQUIRE p.id IS UNIQUE")
    assert app.run("apply", "--through", "expand", *WITHOUT_BACKUP).code == 0
    graph.execute_query("DROP CONSTRAINT part_id")
    graph.execute_query("CREATE (:Part {id: 'part 3'})")
    ran = app.run("inspect", "--json")
    assert ran.code == 1, ran
    errors = [finding for finding in ran.document["findings"] if finding["severity"] == "error"]
    assert [(finding["store"], finding["object"].partition(".")[0]) for finding in errors] == [("neo4j", "Part")]
    assert "part 3" in str(errors[0]["sample"])
    assert errors[0]["remedy"]
    ran = app.run("apply")
    assert ran.code == 1, ran
    assert "Part" in ran.err
    assert "Traceback" not in ran.err
    assert "Unexpected" not in ran.err
    assert not [record for record in graph.execute_query("SHOW CONSTRAINTS").records if "Part" in str(record)]


def test_graph_duplicates_that_no_constraint_forbade_are_a_warning(app: App, graph: Any) -> None:
    graph.execute_query("CREATE (:Part {id: 'part 3'})")
    ran = app.run("inspect", "--json")
    assert ran.code == 0, ran
    (found,) = [finding for finding in ran.document["findings"] if finding["severity"] == "warning"]
    assert found["object"].startswith("Part")
    assert "part 3" in str(found["sample"])
    assert app.run("inspect", "--strict").code == 1
    records, _, _ = graph.execute_query("MATCH (n) WHERE n.project_id IS NOT NULL RETURN count(*) AS n")
    assert records[0]["n"] == 0


@pytest.mark.qdrant_server
def test_collection_that_is_not_green(app: App, refused: Callable[..., Ran], qdrant_url: str) -> None:
    """Only a server can be made to lag behind: the optimizer of the embedded engine is always done."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(url=qdrant_url, check_compatibility=False)
    client.create_collection(
        "parts",
        vectors_config=models.VectorParams(size=64, distance=models.Distance.COSINE),
        # More segments than points: the optimizer has work that it is not given the threads to do (status grey).
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1, max_optimization_threads=0),
    )
    client.upsert(
        "parts",
        [models.PointStruct(id=n, vector=[float(n + m) for m in range(64)], payload={}) for n in range(5_000)],
        wait=True,
    )
    if client.get_collection("parts").status == models.CollectionStatus.GREEN:
        pytest.skip("this Qdrant is green even without optimization threads")
    app.connections = [f'qdrant: {{url: "{qdrant_url}"}}']
    app.sections += "qdrant: {parts: {tenant: {constant: a}}}\n"
    refused(1, "parts", "green")
    assert not client.scroll(
        "parts", models.Filter(must_not=[models.IsEmptyCondition(is_empty={"key": "project_id"})])
    )[0]


def test_gates_are_closed_without_a_word(app: App) -> None:
    before = app.fingerprint()
    ran = app.run("apply", "--through", "contract")
    assert ran.code == 3, ran
    assert "--allow IRREVERSIBLE" in ran.err
    consented = [word for hazard in NEEDS_CONSENT for word in ("--allow", str(hazard))]
    ran = app.run("apply", "--through", "contract", *consented)
    assert ran.code == 3, ran
    assert "--yes" in ran.err
    assert app.fingerprint() == before


def test_requests_to_a_run_that_is_not_there(app: App) -> None:
    for args in (["pause"], ["resume"], ["limit", "batch_ms=100"]):
        ran = app.run(*args)
        assert ran.code == 3, ran
        assert "tenure apply" in ran.err
    status = app.run("status", "--json")
    assert status.code == 0
    assert status.document["run"] is None


def test_stdout_that_nobody_reads_leaves_no_traceback(app: App) -> None:
    import subprocess

    from command_kit import COMMAND

    path = app.write()
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} plan -f {path} | true"], capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
