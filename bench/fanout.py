"""One `tenure worker` against two, and against a run alone: ``python -m bench.fanout --rows 200000``.

Part `latency`: rows of Postgres, where each batch waits a while for its store, as over a network: what is left of two
workers then is what sharing costs. Part `nodes`: the graph's backfill, where the client works most, since tenants are
looked up and decided in Python; run, workers and servers share the machine's cores there, which bound the ratio. The
clock runs from the first range that is taken to the last that is done: starting, counts and sweeps are not in it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
from neo4j import Driver, GraphDatabase
from psycopg import sql
from rich.console import Console

from bench.history import HISTORY, append, document
from bench.port import Case, Figures, Options, Say, Section, rounds
from bench.table import rendered
from tenure.demo.servers import EmbeddedPostgres, Servers, servers

COMMAND = Path(sys.executable).with_name("tenure")
PLAYBOOK = """
version: 1
tenant: {{key: project_id, type: text, registry: {{table: projects, column: id}}}}
connections:
  postgres: {{url: "{postgres}"}}
  neo4j: {{url: "{neo4j}"}}
postgres:
  notes: {{tenant: {{column: project}}}}
neo4j:
  nodes: {{Note: {{identity: id, tenant: {{postgres: notes.id}}}}}}
limits: {{workers: {{postgres: 2, neo4j: {places}}}, autovacuum: off, checkpoints: off}}
"""
TABLES = """
CREATE TABLE projects (id text PRIMARY KEY);
INSERT INTO projects SELECT 'p' || n FROM generate_series(1, 20) AS n;
CREATE TABLE notes (id bigint PRIMARY KEY, project text NOT NULL);
"""
PLACES = 4
COLUMNS = {"whole": "whole command, s", "took part": "processes that had ranges"}
NODES, ROWS = "neo4j.node_backfill.Note", "postgres.backfill_rows.notes"
CHILD = Path(__file__).with_name("fanout_child.py")
LATENCY_SECONDS = 0.05
LATENCY_ROWS = 60_000
SLOW_PLAYBOOK = """
version: 1
tenant: {{key: project_id, type: text, registry: {{table: projects, column: id}}}}
connections: {{postgres: {{url: "{postgres}"}}}}
postgres: {{notes: {{tenant: {{column: project}}}}}}
limits: {{workers: {{postgres: {places}}}, autovacuum: off, checkpoints: off}}
"""
STANDS = """SELECT count(*) FILTER (WHERE token IS NOT NULL), count(*) FILTER (WHERE state <> 'done'), sum(changed)::int
              FROM tenure.range WHERE operation = %s"""


@dataclass(frozen=True)
class Backfill:
    """A backfill by *workers* processes, or by threads of the run where that is 0: of the nodes, or, without a graph,
    of rows whose store answers late."""

    name: str
    workers: int
    postgres: EmbeddedPostgres
    template: str
    scratch: Path
    graph: Driver | None = None
    neo4j_url: str = ""
    ours: bool = True

    def run(self) -> Figures:
        """Put the stores back, run the phases up to the backfill, and time its ranges."""
        dsn = self._fresh()
        playbook = self.scratch / "fanout.yaml"
        text, operation = (SLOW_PLAYBOOK, ROWS) if self.graph is None else (PLAYBOOK, NODES)
        playbook.write_text(text.format(postgres=dsn, neo4j=self.neo4j_url, places=PLACES))
        latency = LATENCY_SECONDS if self.graph is None else 0.0
        # Where the store is what is waited for, each process has half of the places: that is what a machine more adds.
        threads = ["--threads", str(PLACES // 2)] if self.graph is None else []
        began = time.monotonic()
        with ExitStack() as stack:
            workers = [
                stack.enter_context(_command(playbook, latency, "worker", "--once", *threads))
                for _ in range(self.workers)
            ]
            words = ["apply", "--through", "backfill", "--allow", "NO_BACKUP", *(["--fanout"] if self.workers else [])]
            run = stack.enter_context(_command(playbook, latency, *words))
            seconds, items, holders = _timed(dsn, run, operation)
            _end(run, *workers)
        return Figures(items, seconds, {"whole": time.monotonic() - began, "took part": holders})

    def _fresh(self) -> str:
        if self.graph is not None:
            self.graph.execute_query("CYPHER 5 MATCH (n:Note) WHERE n.project_id IS NOT NULL REMOVE n.project_id")
        name = f"run_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(self.template)))
        return self.postgres.dsn_of(name)


def _command(playbook: Path, latency: float, *words: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "BENCH_"))}
    program = [sys.executable, str(CHILD)] if latency else [str(COMMAND)]
    return subprocess.Popen(
        [*program, *words, "-f", str(playbook)],
        env={**kept, "BENCH_LATENCY": str(latency)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _timed(dsn: str, run: subprocess.Popen[str], operation: str) -> tuple[float, int, int]:
    """Return the seconds from the first range that is taken to the last that is done, the items, and who took part."""
    began: float | None = None
    with psycopg.connect(dsn, autocommit=True) as connection:
        while True:
            if run.poll() is not None:
                raise RuntimeError(run.communicate()[0])
            there = connection.execute("SELECT to_regclass('tenure.range') IS NOT NULL").fetchone()
            taken, left, changed = 0, 1, 0
            if there == (True,):
                row = connection.execute(STANDS, (operation,)).fetchone()
                taken, left, changed = row if row is not None else (0, 1, 0)
            if began is None and taken:
                began = time.monotonic()
            if began is not None and not left:
                query = "SELECT count(DISTINCT token) FROM tenure.range WHERE operation = %s"
                who = connection.execute(query, (operation,)).fetchone()
                return time.monotonic() - began, changed, int(who[0]) if who else 0
            time.sleep(0.02)


def _end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        output, _ = process.communicate(timeout=600)
        if process.returncode != 0:
            raise RuntimeError(output)


def sections(options: Options, say: Say) -> Iterator[Section]:
    """Measure and yield a section for each part."""
    for part in ("latency", "nodes"):
        if not options.wants(part):
            continue
        place = options.scratch / part
        with servers(neo4j=part == "nodes", qdrant=False, directory=place, durable=False, progress=say) as running:
            yield _latency(running, options, say) if part == "latency" else _nodes(running, options, say)


def _latency(running: Servers, options: Options, say: Say) -> Section:
    """Measure batches that wait for their store."""
    assert running.postgres is not None
    template = f"notes_{uuid.uuid4().hex[:8]}"
    _load_rows(running.postgres.create_database(template), LATENCY_ROWS)
    cases: list[Case] = [
        Backfill(name, workers, running.postgres, template, options.scratch)
        for name, workers in (("one worker", 1), ("two workers", 2))
    ]
    lines = rounds(cases, options.repeats, say)
    running.postgres.drop_database(template)
    return Section(
        store="fanout",
        title=f"{LATENCY_ROWS:,} rows, each batch {LATENCY_SECONDS * 1000:.0f} ms late, {PLACES // 2} threads a worker",
        unit="rows",
        lines=lines,
        baselines=("one worker",),
        columns=COLUMNS,
        notes=("What is missing to 2 is what sharing costs: claims, the queue, and ends that do not fall together.",),
    )


def _nodes(running: Servers, options: Options, say: Say) -> Section:
    """Measure the graph's backfill on the cores that there are."""
    assert running.postgres is not None
    assert running.neo4j is not None
    template = f"notes_{uuid.uuid4().hex[:8]}"
    dsn = running.postgres.create_database(template)
    with GraphDatabase.driver(running.neo4j.url) as graph:
        say(f"loading {options.rows:,} nodes")
        _load_rows(dsn, options.rows)
        _load_nodes(graph, options.rows)
        cases: list[Case] = [
            Backfill(name, workers, running.postgres, template, options.scratch, graph, running.neo4j.url)
            for name, workers in (("one worker", 1), ("two workers", 2), (f"the run alone, {PLACES} threads", 0))
        ]
        lines = rounds(cases, options.repeats, say)
    running.postgres.drop_database(template)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Section(
        store="fanout",
        title=f"Nodes of one label keyed by a row of Postgres: {options.rows:,} nodes, {PLACES} ranges at once",
        unit="nodes",
        lines=lines,
        baselines=("one worker",),
        columns=COLUMNS,
        notes=(
            f"Servers, run and workers share {cores} cores: the ratio is bounded by what the servers leave, whatever "
            "the number of workers.",
        ),
    )


def _load_rows(dsn: str, rows: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(TABLES)
        connection.execute("INSERT INTO notes SELECT n, 'p' || 1 + n %% 20 FROM generate_series(1, %s) AS n", (rows,))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE notes")


def _load_nodes(graph: Driver, rows: int) -> None:
    graph.execute_query("CYPHER 5 CREATE CONSTRAINT note_id IF NOT EXISTS FOR (n:Note) REQUIRE n.id IS UNIQUE")
    for first in range(1, rows + 1, 20_000):
        ids = list(range(first, min(first + 20_000, rows + 1)))
        graph.execute_query("CYPHER 5 UNWIND $ids AS id CREATE (:Note {id: id, text: 'note ' + id})", ids=ids)


def main() -> int:
    """Measure, print and write the history."""
    parser = argparse.ArgumentParser(prog="python -m bench.fanout", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="nodes (400,000: eight ranges)")
    parser.add_argument("--only", action="append", default=[], choices=["latency", "nodes"], help="a part; repeatable")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (3)")
    parser.add_argument("--no-history", action="store_true", help="add nothing to the history")
    asked = parser.parse_args()
    console, err = Console(width=None if sys.stdout.isatty() else 160, highlight=False), Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="tenure-bench-", ignore_cleanup_errors=True) as scratch:
        options = Options(rows=asked.rows, scratch=Path(scratch), repeats=asked.repeats, only=tuple(asked.only))
        found = []
        for section in sections(options, lambda text: err.print(f"fanout: {text}", highlight=False)):
            found.append(section)
            console.print(rendered(section))
    if not asked.no_history:
        append(document(found, ["fanout", f"--rows={asked.rows}", f"--repeats={asked.repeats}"]), HISTORY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
