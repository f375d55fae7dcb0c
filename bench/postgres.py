"""Postgres: filling the key of a large table, beside what people would do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench import gentle
from bench.port import Goal, Options, Say, Section, rounds
from bench.postgres_data import BASE, load, settings
from bench.postgres_schema import schema_sections
from bench.postgres_ways import Baseline, Tenure, contiguous, limited, rewrite, single
from tenure.demo.servers import servers

OURS, ONE_WORKER = "tenure", "tenure, one worker"
SINGLE, CONTIGUOUS = "one UPDATE", "batches of 10,000 ids"
COLUMNS = {
    "wal_bytes": "WAL bytes a row",
    "growth_percent": "growth %",
    "hot_percent": "heap-only %",
    "peak_mb": "peak MB",
}


def sections(options: Options, say: Say) -> Iterator[Section]:
    """Yield the bench's tables. The server runs as a user's would: fsync, full pages, autovacuum on.

    Parts: `backfill` (beside what people would do), `schema` (constants, constraints, estimates), `gentle` (latencies
    of an application beside the backfill).
    """
    if options.wants("backfill") or options.wants("schema"):
        yield from _filling(options, say)
    if options.wants("gentle"):
        yield from gentle.sections(options, say)


def _filling(options: Options, say: Say) -> Iterator[Section]:
    with servers(neo4j=False, qdrant=False, directory=options.scratch, progress=say) as running:
        server = running.postgres
        assert server is not None
        say(f"loading {options.rows:,} rows")
        load(server, options.rows)
        facts = settings(server.dsn_of(BASE))
        if options.wants("backfill"):
            baseline = partial(Baseline, server=server, rows=options.rows)
            cases = (
                Tenure(OURS, server, options.rows, options.scratch),
                Tenure(ONE_WORKER, server, options.rows, options.scratch, workers=1),
                baseline(SINGLE, work=single),
                baseline(CONTIGUOUS, work=contiguous),
                baseline("IS NULL LIMIT 10,000", work=limited),
                baseline("new table and swap", work=rewrite, adds=False),
            )
            section = Section(
                store="postgres",
                title=f"Postgres: the key of {options.rows:,} rows by a join, primary key and three indexes",
                unit="rows",
                lines=rounds(cases, options.repeats, say),
                baselines=(CONTIGUOUS, SINGLE),
                columns=COLUMNS,
                notes=(
                    "The swap locks readers and writers out all the while and needs room for a second table.",
                    "Ratios are medians of the ratios within a round. Server: "
                    + ", ".join(f"{name} {value}" for name, value in facts.items()),
                ),
                facts=facts,
            )
            yield _held(section)
        if options.wants("schema"):
            yield from schema_sections(server, options, say)


def _held(section: Section) -> Section:
    """Return the section with what it is held to."""
    ours, theirs = section.line(OURS), section.line(CONTIGUOUS)
    share = (ours.median("wal_bytes") or 0.0) / (theirs.median("wal_bytes") or 1.0)
    goals = (
        Goal("times the rate of contiguous batches", section.ratio(OURS, CONTIGUOUS), 2.5),
        Goal("times the rate of one UPDATE", section.ratio(OURS, SINGLE), 1.5),
        Goal("of the log that contiguous batches write", share, 0.5, at_most=True),
        Goal("% growth of table and indexes", ours.median("growth_percent") or 0.0, 10, at_most=True),
    )
    return Section(**{**vars(section), "goals": goals})
