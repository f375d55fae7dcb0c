"""What stands around the filling of the key: a constant tenant, uniques and NOT NULL, and the plan's own estimates."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from bench.port import Figures, Goal, Line, Options, Say, Section
from bench.postgres_data import fresh, playbook
from bench.postgres_ways import BATCH_MS, child
from tenure.demo.servers import EmbeddedPostgres

BARE = "CREATE UNIQUE INDEX CONCURRENTLY bare ON items (project_id, code)"
MILLISECONDS = 250
# An estimate is for an idle server; a busy one takes longer by what it is busy with.
FACTOR = 2.0


def schema_sections(server: EmbeddedPostgres, options: Options, say: Say) -> Iterator[Section]:
    """Yield constants, constraints beside one bare index build, and estimates beside what was measured."""
    say("a constant tenant")
    with child(
        playbook(_database(server), options.scratch / "constant.yaml", 2, BATCH_MS, "{constant: jd-001}")
    ) as talk:
        constant = talk("end")["operations"]
    yield _constant(options.rows, constant)
    say("constraints")
    dsn = _database(server)
    with child(playbook(dsn, options.scratch / "schema.yaml", 2, BATCH_MS)) as talk:
        talk("backfill")
        talk("constrain")
        done = talk("end")
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.monotonic()
        connection.execute(BARE)
        bare = time.monotonic() - began
    yield _constraints(options.rows, done["operations"], bare)
    yield _estimates(options.rows, done)


def _database(server: EmbeddedPostgres) -> str:
    return fresh(server, "bench_case")


def _line(name: str, rows: int, seconds: float, **more: float) -> Line:
    return Line(name, True, (Figures(rows, seconds, {"milliseconds": 1000 * seconds, **more}),))


def _constant(rows: int, operations: list[Mapping[str, Any]]) -> Section:
    lines = tuple(_line(each["kind"], rows, each["seconds"]) for each in operations)
    total = 1000 * sum(each["seconds"] for each in operations)
    return Section(
        store="postgres",
        title=f"Postgres: one tenant for all of {rows:,} rows",
        unit="rows",
        lines=lines,
        columns={"milliseconds": "ms"},
        goals=(Goal("ms for the key of a constant, trigger included", total, MILLISECONDS, at_most=True),),
    )


def _constraints(rows: int, operations: list[Mapping[str, Any]], bare: float) -> Section:
    wanted = ("rescope_unique", "surrogate_unique", "not_null", "key_index", "composite_fk")
    lines = [_line(each["id"], rows, each["seconds"]) for each in operations if each["kind"] in wanted]
    uniques = [each["seconds"] for each in operations if each["kind"] == "rescope_unique"]
    mandatory = [each["seconds"] for each in operations if each["kind"] == "not_null"]
    return Section(
        store="postgres",
        title=f"Postgres: constraints on {rows:,} rows beside one bare index build",
        unit="rows",
        lines=(
            *lines,
            Line("bare concurrent unique index", False, (Figures(rows, bare, {"milliseconds": 1000 * bare}),)),
        ),
        columns={"milliseconds": "ms"},
        goals=(
            Goal("of a bare build's time for a unique per tenant", max(uniques) / bare, 1.5, at_most=True),
            Goal("of a bare build's time for NOT NULL", max(mandatory) / bare, 1.0, at_most=True),
        ),
    )


def _estimates(rows: int, done: Mapping[str, Any]) -> Section:
    measured = {each["id"]: each["seconds"] for each in done["operations"]}
    lines, goals = [], []
    for id_, estimate in done["estimates"].items():
        if id_ not in measured:
            continue
        factor = measured[id_] / estimate["seconds"]
        more = {"estimated": 1000 * estimate["seconds"], "factor": factor}
        if ".backfill_rows." in id_:
            more["estimated_log"] = estimate["log_bytes"] / rows
            more["log"] = done["figures"]["wal_bytes"]
            goals.append(Goal("times the estimated seconds for the backfill", factor, FACTOR, at_most=True))
            goals.append(Goal("times the estimated seconds for the backfill", factor, 1 / FACTOR))
            goals.append(Goal("times the estimated log", more["log"] / more["estimated_log"], FACTOR, at_most=True))
            goals.append(Goal("times the estimated log", more["log"] / more["estimated_log"], 1 / FACTOR))
        lines.append(_line(id_, rows, measured[id_], **more))
    return Section(
        store="postgres",
        title="Postgres: what `tenure plan` estimates, and what it took",
        unit="rows",
        lines=tuple(lines),
        columns={
            "milliseconds": "ms",
            "estimated": "estimated ms",
            "factor": "times as long",
            "log": "log bytes a row",
            "estimated_log": "estimated",
        },
        goals=tuple(goals),
        notes=("The estimates are for an idle server with two cores.",),
    )
