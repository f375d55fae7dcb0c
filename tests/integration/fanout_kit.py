"""A Postgres application with long tables, its playbook, and the commands that work on it as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

COMMAND = Path(sys.executable).with_name("tenure")
LAUNCHER = Path(__file__).with_name("fanout_launcher.py")
PATIENCE = 240.0

APPLICATION = """
CREATE TABLE projects (id text PRIMARY KEY);
INSERT INTO projects VALUES ('a'), ('b'), ('c');
CREATE TABLE files (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, project text NOT NULL, name text NOT NULL);
INSERT INTO files (project, name) SELECT chr(97 + n % 3), 'file ' || n FROM generate_series(1, 300) AS n;
CREATE TABLE lines (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file bigint NOT NULL REFERENCES files (id),
    body text NOT NULL
);
INSERT INTO lines (file, body) SELECT 1 + n % 300, repeat('x', 200) FROM generate_series(1, {rows}) AS n;
ANALYZE;
"""
PLAYBOOK = """
version: 1
tenant: {key: project_id, type: text, registry: {table: projects, column: id}}
connections: {postgres: {url: "${TENURE_POSTGRES}"}}
postgres:
  files: {tenant: {column: project}}
  lines: {tenant: {parent: files, match: {file: id}}}
limits: {batch_ms: 300, workers: {postgres: 4}, autovacuum: off, checkpoints: off}
"""
LINES = "postgres.backfill_rows.lines"


class Fleet:
    """The application's database, and every process that was started on it; all are ended at the end."""

    def __init__(self, dsn: str, directory: Path, rows: int) -> None:
        """Create the application with *rows* lines."""
        self.dsn, self.directory = dsn, directory
        (directory / "tenure.yaml").write_text(PLAYBOOK)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(APPLICATION.replace("{rows}", str(rows)).encode())
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command on the playbook: the launcher where TEST_... variables change it."""
        program = [sys.executable, str(LAUNCHER)] if environment else [str(COMMAND)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "TEST_"))}
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=self.directory,
            env={**kept, "TENURE_POSTGRES": self.dsn, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._running.append(process)
        return process

    def apply(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `tenure apply --fanout`."""
        return self.start("apply", "--fanout", "--allow", "NO_BACKUP", *arguments, **environment)

    def worker(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `tenure worker`."""
        return self.start("worker", *arguments, **environment)

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for a command's end; return its exit code and what it said."""
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def execute(self, statement: str) -> None:
        """Change the database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def request(self, name: str, value: str) -> None:
        """Leave a request in the ledger, as `tenure pause`, `resume` and `limit` do."""
        statement = """INSERT INTO tenure.control (name, value) VALUES (%s, %s)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement, (name, value))

    def until(self, met: Callable[[], bool], *processes: subprocess.Popen[str]) -> None:
        """Wait until *met*; fails when it takes too long, or one of *processes* ended."""
        deadline = time.monotonic() + PATIENCE
        while not met():
            assert time.monotonic() < deadline, "it never came to that"
            for process in processes:
                assert process.poll() is None, self.ended(process)
            time.sleep(0.02)

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
                process.communicate()


@contextmanager
def fleet(dsn: str, directory: Path, rows: int = 60_000) -> Iterator[Fleet]:
    """Lend the application; its processes do not outlive the block."""
    lent = Fleet(dsn, directory, rows)
    try:
        yield lent
    finally:
        lent.end()
