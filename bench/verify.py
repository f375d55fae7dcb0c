"""What `tenure verify` asks of Postgres to compare it with another store, beside a bare scan of the same columns.

``python -m bench.verify --rows 1000000`` makes one table in the shape of the example's fragments, and prints how many
times a sequential scan the fingerprints take, and what the process needs to add up the other store's side.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
from rich.console import Console

from bench.history import append, document
from bench.port import Figures, Goal, Options, Say, Section, rounds
from bench.table import rendered
from tenure.attribution.spec import RowSource
from tenure.checks import links
from tenure.checks.base import View
from tenure.checks.links import Link
from tenure.checks.sums import Sums
from tenure.demo.servers import EmbeddedPostgres
from tenure.values import TableName, TenantKey

TENANTS = 50
RANGES = 1024
MOST_SCANS = 3.0

SCAN = "a scan of both columns"
BY_TENANT = "fingerprints by tenant"
BY_RANGE = "fingerprints by tenant and range"
READ = "reading both columns out"
ADDED = "the other store's side"

SCHEMA = """CREATE TABLE fragments (id text PRIMARY KEY, file text NOT NULL, paragraph integer NOT NULL,
body text NOT NULL, project_id text NOT NULL)"""
ROWS = """INSERT INTO fragments SELECT md5(n::text) || '-' || n, 'file ' || n / 40, n %% 40, repeat(md5(n::text), 12),
'jd-' || lpad((n / 40 %% %(tenants)s::int)::text, 3, '0') FROM generate_series(1, %(rows)s::bigint) n"""
KEY = TenantKey(
    name="project_id",
    type="text",
    quarantine="__quarantine__",
    shared="__shared__",
    registry=TableName(name="projects"),
    registry_column="id",
)
SOURCE = RowSource(table=TableName(name="fragments"), column="id", column_type="text", unique=True)


@dataclass(frozen=True)
class Timed:
    """A case that is one function over a connection to the loaded table."""

    name: str
    ours: bool
    rows: int
    work: Callable[[], object]

    def run(self) -> Figures:
        """Do it once."""
        started = time.monotonic()
        self.work()
        return Figures(self.rows, time.monotonic() - started)


def sections(options: Options, say: Say) -> Iterator[Section]:
    """Yield the one table of this bench."""
    with _loaded(options, say) as connection:
        # A rule and a key are all that the queries take from a view and a link.
        view = cast(View, SimpleNamespace(key=KEY))
        link = cast(Link, SimpleNamespace(rows=SOURCE))

        def run(query: str) -> Callable[[], object]:
            return lambda: connection.execute(query.encode()).fetchall()

        def read() -> None:
            for _ in _values(connection):
                pass

        cases = (
            Timed(SCAN, False, options.rows, run("SELECT count(id), count(project_id) FROM fragments")),
            Timed(READ, False, options.rows, read),
            Timed(BY_TENANT, True, options.rows, lambda: list(links._by_tenant(connection, view, link, True))),
            Timed(BY_RANGE, True, options.rows, lambda: list(links._by_range(connection, view, link, RANGES, True))),
            Timed(ADDED, True, options.rows, lambda: _added(connection)),
        )
        lines = rounds(cases, options.repeats, say)
        size = connection.execute("SELECT pg_relation_size('fragments')").fetchone()
        workers = connection.execute("SHOW max_parallel_workers_per_gather").fetchone()
        kept = _allocated(connection)
    assert size is not None
    assert workers is not None
    section = Section(
        store="verify",
        title=f"Fingerprints of {options.rows:,} rows",
        unit="rows",
        lines=lines,
        baselines=(SCAN,),
        notes=(
            f"{size[0] / 2**20:,.0f} MiB of heap in the cache, up to {workers[0]} parallel workers, {TENANTS} tenants. "
            "Verify asks by tenant; by range only where a tenant's sums differ.",
            f"`{ADDED}` is what the process adds up while nodes or points stream by, here read from Postgres: all of "
            f"its {RANGES} ranges and {TENANTS} tenants take {kept / 2**10:,.0f} KiB at any number of items.",
        ),
    )
    scans = 1 / section.ratio(BY_TENANT, SCAN)
    yield replace(section, goals=(Goal("fingerprints in so many scans", scans, MOST_SCANS, at_most=True),))


@contextmanager
def _loaded(options: Options, say: Say) -> Iterator[psycopg.Connection[Any]]:
    server = EmbeddedPostgres(options.scratch / "postgres", durable=False)
    server.start()
    try:
        say(f"loading {options.rows:,} rows")
        with psycopg.connect(server.create_database("verify"), autocommit=True) as connection:
            connection.execute(SCHEMA)
            connection.execute(ROWS, {"rows": options.rows, "tenants": TENANTS})
            connection.execute("VACUUM (ANALYZE) fragments")
            connection.execute("SET jit = off")
            yield connection
    finally:
        server.stop()


def _values(connection: psycopg.Connection[Any]) -> Iterator[Sequence[Any]]:
    with connection.cursor().copy("COPY (SELECT id, project_id FROM fragments) TO STDOUT") as copy:
        yield from copy.rows()


def _added(connection: psycopg.Connection[Any]) -> Sums:
    sums = Sums(RANGES, TENANTS + 16)
    for value, tenant in _values(connection):
        sums.add(tenant, value)
    return sums


def _allocated(connection: psycopg.Connection[Any]) -> int:
    """Return what the sums of all rows take, in bytes."""
    tracemalloc.start()
    sums = _added(connection)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sums is not None
    return kept


def main() -> int:
    """Measure, print and keep; return 1 when the goal was not reached."""
    parser = argparse.ArgumentParser(prog="python -m bench.verify", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-history", action="store_true", help="add nothing to the history")
    options = parser.parse_args()
    console, err = Console(width=140, highlight=False), Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="tenure-bench-", ignore_cleanup_errors=True) as scratch:
        asked = Options(rows=options.rows, scratch=Path(scratch), repeats=options.repeats)
        found = list(sections(asked, lambda text: err.print(text, highlight=False)))
    for section in found:
        console.print(rendered(section))
    if not options.no_history:
        append(document(found, ["verify", *sys.argv[1:]]))
    return 0 if all(goal.met for section in found for goal in section.goals) else 1


if __name__ == "__main__":
    raise SystemExit(main())
