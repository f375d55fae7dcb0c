"""The embedded servers' life and death."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, servers
from tenure.errors import ServerStartError

DEATH_TIMEOUT = 30.0


def _still_alive(pids: set[int], timeout: float = DEATH_TIMEOUT) -> set[int]:
    """Return which of *pids* live on after *timeout* seconds."""
    processes = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    _, alive = psutil.wait_procs(processes, timeout=timeout)
    return {process.pid for process in alive}


# --- Postgres ---


def test_postgres_gives_a_fresh_database_and_drops_it(postgres_server: EmbeddedPostgres) -> None:
    dsn = postgres_server.create_database("with space")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE t (i int)")
        version = connection.info.server_version
    assert postgres_server.version == f"{version // 10000}.{version % 10000}"
    copy = postgres_server.create_database("copy", template="with space")
    with psycopg.connect(copy) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    for name in ("copy", "with space"):
        postgres_server.drop_database(name)
    with pytest.raises(psycopg.OperationalError), psycopg.connect(dsn):
        pass


def test_postgres_has_its_client_programs(postgres_dsn: str, postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE dumped (i int)")
    dump = subprocess.run(
        [postgres_server.bin_dir / "pg_dump", "--schema-only", postgres_dsn], capture_output=True, text=True, check=True
    )
    assert "CREATE TABLE public.dumped" in dump.stdout


def test_postgres_keeps_committed_rows_over_a_kill_and_a_restart(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False, settings={"wal_level": "logical"}) as server:
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
            connection.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
        server.kill()
        assert not server.running
        server.start()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
        server.restart()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    assert not server.running
    again = EmbeddedPostgres(tmp_path, durable=False)
    with again, psycopg.connect(again.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)


def test_postgres_listens_on_loopback_only(postgres_server: EmbeddedPostgres) -> None:
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == postgres_server.port
    }
    assert listening == {"127.0.0.1"}


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, durable=False, settings={"no_such_setting": "1"})
    with pytest.raises(ServerStartError, match="no_such_setting") as caught:
        server.start()
    assert caught.value.exit_code == 5
    assert not server.running


# --- no orphans ---


PARENT = """
import sys, time
from pathlib import Path
from tenure.demo.servers import servers

with servers(neo4j=False, directory=Path(sys.argv[1]), durable=False, progress=lambda line: None) as started:
    print(started.postgres.process_id, started.qdrant.process_id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has started Postgres and Qdrant; its first line of output are their process ids."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TENURE_QDRANT"},
        start_new_session=True,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_server_outlives_its_parent(parent: subprocess.Popen[str], sig: signal.Signals, tmp_path: Path) -> None:
    assert parent.stdout is not None
    heads = [int(word) for word in parent.stdout.readline().split()]
    family = set(heads)
    for head in heads:
        process = psutil.Process(head)
        family |= {child.pid for child in process.children(recursive=True)} | {process.ppid()}
    assert len(family) > 4  # both servers, both guards, Postgres' own workers
    os.killpg(parent.pid, sig)  # the whole group, as a terminal does with Ctrl-C
    assert _still_alive(family | {parent.pid}) == set()
    log = (tmp_path / "postgres" / "postgres.log").read_text()
    assert "database system is shut down" in log  # in order, whatever the parent died of


def test_a_killed_guard_takes_its_server_along(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, durable=False)
    server.start()
    assert server.process_id is not None
    head = psutil.Process(server.process_id)
    family = {head.pid} | {child.pid for child in head.children(recursive=True)}
    os.kill(head.ppid(), signal.SIGKILL)
    assert _still_alive(family) == set()
    server.stop()
    server.start()  # the lock file of the dead server stands in nobody's way
    server.stop()


def test_a_failed_start_stops_the_other_servers(tmp_path: Path) -> None:
    (tmp_path / "qdrant").write_text("a file where a folder should be")
    before = {process.pid for process in psutil.process_iter() if process.name() == "postgres"}
    with pytest.raises(OSError, match="qdrant"), servers(neo4j=False, directory=tmp_path, progress=lambda line: None):
        pass
    mine = {
        process.pid
        for process in psutil.process_iter(["cmdline", "cwd"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or []) + (process.info["cwd"] or "")
    }
    assert mine - before == set()


# --- Neo4j ---


def test_neo4j_answers_and_keeps_its_data_over_a_kill(neo4j_server: EmbeddedNeo4j, neo4j_url: str) -> None:
    from neo4j import GraphDatabase

    with GraphDatabase.driver(neo4j_url) as driver:
        components = driver.execute_query("CALL dbms.components() YIELD versions, edition RETURN *").records
        assert components[0]["versions"] == [neo4j_server.version]
        assert components[0]["edition"] == "community"
        driver.execute_query("CREATE CONSTRAINT one FOR (n:Code) REQUIRE n.id IS UNIQUE")
        driver.execute_query("UNWIND range(1, 1000) AS i CREATE (:Code {id: i})")
    neo4j_server.kill()
    neo4j_server.start()
    with GraphDatabase.driver(neo4j_url) as driver:
        assert driver.execute_query("MATCH (n:Code) RETURN count(n) AS n").records[0]["n"] == 1000
    neo4j_server.wipe()
    with GraphDatabase.driver(neo4j_url) as driver:
        assert driver.execute_query("MATCH (n) RETURN count(n) AS n").records[0]["n"] == 0
        assert driver.execute_query("SHOW CONSTRAINTS").records == []
