"""What people would do to give a live table a tenant key, written as well as its authors would, one `Case` each."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.port import Figures
from bench.postgres_data import difference, fresh, playbook, state
from tenure.demo.servers import EmbeddedPostgres

BATCH = 10_000
BATCH_MS = 300
ADD_COLUMN = "ALTER TABLE items ADD COLUMN project_id text"
SINGLE = "UPDATE items AS t SET project_id = p.project FROM parents AS p WHERE p.id = t.parent_id"
CONTIGUOUS = SINGLE + " AND t.id > %s AND t.id <= %s"
LIMITED = f"""WITH batch AS (SELECT id FROM items WHERE project_id IS NULL LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
UPDATE items AS t SET project_id = p.project FROM batch AS b, parents AS p WHERE t.id = b.id AND p.id = t.parent_id"""
# The whole in one transaction: writers wait from the lock to the commit, or lose what they write meanwhile.
REWRITE = (
    "LOCK TABLE items IN ACCESS EXCLUSIVE MODE",
    "CREATE TABLE fresh (LIKE items INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)",
    "ALTER TABLE fresh ADD COLUMN project_id text",
    "INSERT INTO fresh SELECT t.*, p.project FROM (SELECT id, parent_id, code, created_at, seen, body FROM items) AS t "
    "LEFT JOIN parents AS p ON p.id = t.parent_id",
    "ALTER TABLE fresh ADD PRIMARY KEY (id)",
    "CREATE INDEX fresh_parent ON fresh (parent_id)",
    "CREATE UNIQUE INDEX fresh_code ON fresh (code)",
    "CREATE INDEX fresh_created ON fresh (created_at)",
    "ALTER TABLE fresh ADD FOREIGN KEY (parent_id) REFERENCES parents",
    "ALTER TABLE fresh ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
    "SELECT setval(pg_get_serial_sequence('fresh', 'id'), (SELECT max(id) FROM fresh))",
    "DROP TABLE items",
    "ALTER TABLE fresh RENAME TO items",
)

Work = Callable[[psycopg.Connection[Any], int], None]


def single(connection: psycopg.Connection[Any], rows: int) -> None:
    """One UPDATE of the whole table."""
    connection.execute(SINGLE)


def contiguous(connection: psycopg.Connection[Any], rows: int) -> None:
    """Batches of neighbouring primary keys, a transaction each."""
    for first in range(0, rows, BATCH):
        connection.execute(CONTIGUOUS, (first, first + BATCH))


def limited(connection: psycopg.Connection[Any], rows: int) -> None:
    """Whatever lacks a key, some at a time, until nothing does."""
    while connection.execute(LIMITED).rowcount:
        pass


def rewrite(connection: psycopg.Connection[Any], rows: int) -> None:
    """A new table, its indexes, and a swap."""
    with connection.transaction():
        for statement in REWRITE:
            connection.execute(statement.encode())


@dataclass(frozen=True)
class Baseline:
    """A way that is a few statements on one connection; `adds` says that the column is there before the clock runs."""

    name: str
    server: EmbeddedPostgres
    rows: int
    work: Work
    adds: bool = True
    ours: bool = False

    def run(self) -> Figures:
        """Do it on a fresh copy and see that every row got its key."""
        with psycopg.connect(fresh(self.server, "bench_case"), autocommit=True) as connection:
            if self.adds:
                connection.execute(ADD_COLUMN)
            before = state(connection)
            began = time.monotonic()
            self.work(connection, self.rows)
            seconds = time.monotonic() - began
            after = state(connection)
            row = connection.execute("SELECT count(*) FROM items WHERE project_id IS NULL").fetchone()
        if row is None or row[0]:
            raise AssertionError(f"{self.name} left {row}")
        return Figures(self.rows, seconds, difference(before, after, self.rows))


@dataclass(frozen=True)
class Tenure:
    """Tenure's own way: the session, runner and operations of a process of its own; seconds are the ledger's."""

    name: str
    server: EmbeddedPostgres
    rows: int
    scratch: Path
    workers: int = 2
    ours: bool = True

    def run(self) -> Figures:
        """Do it on a fresh copy; the process itself fails when a row is left."""
        dsn = fresh(self.server, "bench_case")
        with child(playbook(dsn, self.scratch / "tenure.yaml", self.workers, BATCH_MS)) as talk:
            talk("backfill")
            done = talk("end")
        return Figures(self.rows, done["seconds"], {**done["figures"], "peak_mb": done["peak_mb"]})


@contextmanager
def child(path: Path) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Start `bench.postgres_child` on a playbook; what is lent sends it a word and returns its answer."""
    command = [sys.executable, "-m", "bench.postgres_child", str(path)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def talk(word: str) -> dict[str, Any]:
            stdin.write(word + "\n")
            stdin.flush()
            answer = stdout.readline()
            if not answer:
                raise RuntimeError(f"the process that runs tenure ended at {word!r}")
            found: dict[str, Any] = json.loads(answer)
            return found

        try:
            yield talk
        finally:
            stdin.close()
