"""Measures what `tenure apply` needs: peak memory of its process and the time of each phase, at several scales.

``python -m bench.memory --scale 50 --scale 100`` starts the embedded servers once, loads the example at each scale,
runs the installed command as a child and prints one JSON line for each: the peak of its resident memory, seconds and
items written by phase and store from the ledger. Linux only (/proc).

``python bench/memory.py --rows 1000000 --rows 10000000`` does the same with one long, narrow table of Postgres only: of
its rows one in a hundred has a key already that the playbook derives anew (a before-image in the journal), and one in a
thousand names a parent that is not there (an item in quarantine).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tenure.demo.example import directory, load_all
from tenure.demo.servers import EmbeddedPostgres, Servers, servers

SAMPLE_SECONDS = 0.1
COMMAND = Path(sys.executable).with_name("tenure")
PHASES = """SELECT phase || ' ' || store, extract(epoch FROM sum(finished_at - started_at))::float8, sum(changed)::int
FROM tenure.operation WHERE state = 'done' GROUP BY phase, store ORDER BY min(position)"""


ROWS_A_PARENT, TENANTS = 20, 50
TABLES = """
CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE parents (id bigint PRIMARY KEY, project text NOT NULL);
CREATE TABLE items (id bigint PRIMARY KEY, parent_id bigint NOT NULL, code text NOT NULL, project_id text);
"""
ROWS = (
    "INSERT INTO projects SELECT 'jd-' || n FROM generate_series(0, %(tenants)s::int - 1) n",
    "INSERT INTO parents SELECT n, 'jd-' || n %% %(tenants)s::int FROM generate_series(0, %(parents)s::bigint - 1) n",
    """INSERT INTO items SELECT n, CASE WHEN n %% 1000 = 0 THEN -n - 1 ELSE n %% %(parents)s::bigint END, to_hex(n),
    CASE WHEN n %% 100 = 1 THEN 'jd-' || (n + 1) %% %(tenants)s::int END FROM generate_series(1, %(rows)s::bigint) n""",
)
PLAYBOOK = """version: 1
tenant: {key: project_id, type: text, registry: {table: projects, column: id}}
connections: {postgres: {url: "${TENURE_POSTGRES}"}}
postgres:
  parents: {tenant: {column: project}}
  items:
    tenant: {parent: parents, match: {parent_id: id}}
    unassigned: quarantine
    existing: rederive
"""
LEDGER = "SELECT (SELECT count(*) FROM tenure.journal), (SELECT count(*) FROM tenure.quarantine)"


def peak_and_code(command: list[str], environment: dict[str, str], log: Path) -> tuple[int, int, float]:
    """Run *command*; return its peak resident memory in KiB, its exit code and the seconds it took.

    The peak is the kernel's high-water mark, read several times a second: a child's `ru_maxrss` would not do, since it
    keeps what the starting process had when it forked.
    """
    began = time.monotonic()
    peak = 0
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, _high_water(process.pid))
            time.sleep(SAMPLE_SECONDS)
    return peak, process.returncode, time.monotonic() - began


def _high_water(pid: int) -> int:
    """Return VmHWM in KiB, 0 for a process that has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def measure(running: Servers, scale: float, log: Path, playbook: Path | None = None) -> dict[str, Any]:
    """Load the example at *scale* into the empty servers, apply it, and return the figures."""
    assert running.postgres is not None
    assert running.neo4j is not None
    assert running.qdrant is not None
    name = f"scale_{scale:g}".replace(".", "_")
    running.neo4j.wipe()
    running.qdrant.wipe()
    dsn = running.postgres.create_database(name)
    began = time.monotonic()
    manifest = load_all(dsn, running.neo4j.url, running.qdrant.url, scale)
    loading = time.monotonic() - began
    environment = {
        **os.environ,
        "TENURE_POSTGRES": dsn,
        "TENURE_NEO4J": running.neo4j.url,
        "TENURE_QDRANT": running.qdrant.url,
    }
    command = [str(COMMAND), "apply", "--allow", "NO_BACKUP", "-f", str(playbook or directory() / "tenure.yaml")]
    peak, code, seconds = peak_and_code(command, environment, log)
    with psycopg.connect(dsn) as connection:
        phases = {row[0]: {"seconds": round(row[1], 1), "changed": row[2]} for row in connection.execute(PHASES)}
    running.postgres.drop_database(name)
    return {
        "scale": scale,
        "rows": sum(manifest.postgres.values()),
        "nodes": sum(manifest.nodes.values()),
        "relationships": sum(manifest.relationships.values()),
        "points": manifest.points,
        "peak_mb": round(peak / 1024, 1),
        "exit": code,
        "load_seconds": round(loading, 1),
        "apply_seconds": round(seconds, 1),
        "phases": phases,
    }


def measure_rows(server: EmbeddedPostgres, rows: int, log: Path) -> dict[str, Any]:
    """Make a table of *rows* rows, apply a playbook to it, and return the figures."""
    name = f"rows_{rows}"
    dsn = server.create_database(name)
    began = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)
        for statement in ROWS:
            fields = {"tenants": TENANTS, "parents": max(TENANTS, rows // ROWS_A_PARENT), "rows": rows}
            connection.execute(statement.encode(), fields)
        connection.execute("VACUUM ANALYZE")
    loading = time.monotonic() - began
    playbook = log.with_name(f"{name}.yaml")
    playbook.write_text(PLAYBOOK)
    command = [str(COMMAND), "apply", "--allow", "NO_BACKUP", "-f", str(playbook)]
    peak, code, seconds = peak_and_code(command, {**os.environ, "TENURE_POSTGRES": dsn}, log)
    journal = quarantine = 0
    phases: dict[str, Any] = {}
    if code == 0:
        with psycopg.connect(dsn) as connection:
            ((journal, quarantine),) = connection.execute(LEDGER).fetchall()
            phases = {row[0]: {"seconds": round(row[1], 1), "changed": row[2]} for row in connection.execute(PHASES)}
    server.drop_database(name)
    return {
        "rows": rows,
        "journal": journal,
        "quarantine": quarantine,
        "peak_mb": round(peak / 1024, 1),
        "exit": code,
        "load_seconds": round(loading, 1),
        "apply_seconds": round(seconds, 1),
        "phases": phases,
    }


@contextmanager
def only_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Lend a Postgres without fsync."""
    server = EmbeddedPostgres(folder / "postgres", durable=False, settings={"max_wal_size": "8GB"})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def main() -> int:
    """Measure each scale and print a JSON line for it; return 1 when one did not end clean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, action="append", help="repeatable; 2 and 6 when left out")
    parser.add_argument("--rows", type=int, action="append", help="repeatable; rows of one table, Postgres only")
    parser.add_argument("--log", type=Path, help="where the command's output goes; a temporary file when left out")
    options = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory(prefix="tenure-memory-", ignore_cleanup_errors=True) as directory_:
        log = options.log or Path(directory_) / "apply.log"
        for found in _measured(options, Path(directory_), log):
            print(json.dumps(found), flush=True)
            if found["exit"] != 0:
                print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
                worst = 1
    return worst


def _measured(options: argparse.Namespace, folder: Path, log: Path) -> Iterator[dict[str, Any]]:
    if options.rows:
        with only_postgres(folder) as server:
            for rows in options.rows:
                yield measure_rows(server, rows, log)
    if options.scale or not options.rows:
        with servers() as running:
            for scale in options.scale or [2.0, 6.0]:
                yield measure(running, scale, log)


if __name__ == "__main__":
    sys.exit(main())
