"""No password and no API key leaves the process: not to output, files, the ledger or the list of processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from collision import Collision
from command_kit import COMMAND, Ran, run_tenure
from psycopg.conninfo import conninfo_to_dict

SECRETS = {
    "PRIVATE_POSTGRES": "contrasenya-de-postgres",
    "PRIVATE_NEO4J": "contrasenya-de-neo4j",
    "PRIVATE_QDRANT": "clave-de-qdrant",
}
ALLOW = ("--yes", "--allow", "NEEDS_FENCE", "--allow", "IRREVERSIBLE", "--allow", "BREAKS_ON_CONFLICT")


def given(text: str) -> list[str]:
    """Return the names of the secrets that *text* gives away."""
    return [name for name, secret in SECRETS.items() if secret in text]


@contextmanager
def watched(command: str) -> Iterator[set[str]]:
    """Read the arguments of every process for the time of the block; yields those that belong to *command* or give
    something away."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    arguments = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue  # it ended between the look at the folder and the look at it
                if command in arguments or "pg_dump" in arguments or given(arguments):
                    seen.add(arguments)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@pytest.fixture
def secretive(postgres_dsn: str, neo4j_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Collision]:
    """The application, reached with a password or key in every store; the embedded servers take any."""
    found = Collision(tmp_path, postgres_dsn, neo4j_url, qdrant_url, 200)
    at = conninfo_to_dict(postgres_dsn)
    found.extra["connections"] = {
        "postgres": {
            "url": f"postgresql://{at['user']}:${{PRIVATE_POSTGRES}}@{at['host']}:{at['port']}/{at['dbname']}"
        },
        "neo4j": {"url": neo4j_url, "password": "${PRIVATE_NEO4J}"},
        "qdrant": {"url": qdrant_url, "api_key": "${PRIVATE_QDRANT}"},
    }
    yield found
    found.close()


def test_secrets_stay_inside(secretive: Collision, tmp_path: Path) -> None:
    """A whole migration and back, with debug output, a failure in each store and a refusal; everything is searched."""
    playbook = str(secretive.playbook())
    outside = tmp_path / "written"
    outside.mkdir()
    said: list[str] = []

    def run(*arguments: str, code: int = 0) -> Ran:
        ran = run_tenure(*arguments, "-f", playbook, environment={**SECRETS, "TENURE_DEBUG": "1"})
        said.append(f"{arguments}\n{ran.out}\n{ran.err}")
        assert ran.code == code, ran
        return ran

    with watched(str(COMMAND)) as processes:
        run("inspect", "--json", "--export", str(outside / "bins"))
        run("plan", "--json", "-o", str(outside / "plan.json"))
        run("render", str(outside / "rendered"))
        run("backup", "--to", str(outside / "backup"))
        run("apply", *ALLOW)
        run("apply", "--through", "cutover", *ALLOW)
        run("verify", "--json", "--report", str(outside / "report.html"))
        run("status", "--json")
        run("guard", "--json")
        ledger = _dump(secretive.dsn)
        run("rollback", "--yes", "--json")
    assert any("apply" in arguments for arguments in processes)
    assert any("pg_dump" in arguments for arguments in processes), "the backup's tool was not caught in the act"

    # What cannot be reached, does not let us in or is no address says so without the word that was tried.
    broken = secretive.extra["connections"]
    for store, url in (
        ("postgres", "postgresql://nobody:${PRIVATE_POSTGRES}@127.0.0.1:1/none"),
        ("postgres", "postgresql://nobody:${PRIVATE_POSTGRES}@[::bad/none"),
        ("neo4j", "bolt://127.0.0.1:1"),
        ("qdrant", "http://127.0.0.1:1"),
    ):
        secretive.extra["connections"] = {**broken, store: {**broken[store], "url": url}}
        secretive.playbook()
        ran = run_tenure("inspect", "-f", playbook, environment={**SECRETS, "TENURE_DEBUG": "1"})
        assert ran.code in (2, 5), ran
        said.append(ran.out + ran.err)

    for text in (*said, *processes, ledger):
        assert given(text) == [], text[:3000]
    files = [path for path in outside.rglob("*") if path.is_file()]
    assert {"plan.json", "report.html", "manifest.json"} <= {path.name for path in files}
    for path in files:
        assert given(path.read_bytes().decode(errors="replace")) == [], path


def _dump(dsn: str) -> str:
    """Return the whole ledger as text."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'tenure'").fetchall()
        assert len(tables) > 5
        return "\n".join(
            str(row)
            for (table,) in tables
            for row in connection.execute(f"SELECT to_jsonb(t)::text FROM tenure.{table} AS t".encode()).fetchall()
        )
