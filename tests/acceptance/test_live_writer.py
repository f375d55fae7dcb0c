"""The old application writes to all three stores during the whole run, without the key; nothing of it is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from world import Migration, World

from tenure.demo.example.journal import lost_writes, replay

RATE = 40
# What the writer adds knows its project: rows of these files and fragments must end there, in every store.
QUARANTINE = "__quarantine__"
# `apply` stops before the gates; what is behind them stays planned.
RUN = ("expand", "backfill", "constrain")


@contextmanager
def _writer(migration: Migration, journal: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the old writer beside the block; it must end in order, with every write that it began confirmed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tenure.demo.example.writer", "--journal", str(journal), "--rate", str(RATE)],
        env=migration.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
        assert process.poll() is None, f"the writer died: {process.communicate()[0]}"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _first_writes(journal: Path, process: subprocess.Popen[str], count: int) -> None:
    """Wait until the writer has done some writes, so that none of the phases is without one."""
    while not journal.exists() or journal.read_text().count('"done"') < count:
        assert process.poll() is None, process.communicate()[0]


def _untagged(migration: Migration) -> dict[str, int]:
    """Count what has no key, in every table that has the column, and in all of the graph and the collection."""
    found: dict[str, int] = {}
    with psycopg.connect(migration.dsn) as connection:
        query = """SELECT table_name FROM information_schema.columns
                   WHERE table_schema = 'public' AND column_name = 'project_id'"""
        tables = [row[0] for row in connection.execute(query)]
        assert len(tables) > 10
        for table in tables:
            count = f"SELECT count(*) FROM {table} WHERE coalesce(project_id, '') IN ('', 'default')"
            row = connection.execute(count.encode()).fetchone()
            found[table] = row[0] if row else 0
    for name, pattern in (("nodes", "(n)"), ("relationships", "()-[n]->()")):
        query = f"CYPHER 5 MATCH {pattern} WHERE coalesce(n.project_id, '') IN ['', 'default'] RETURN count(n) AS n"
        found[name] = migration.world.graph.execute_query(query).records[0]["n"]
    keyed = sum(1 for item in migration.world.tenant_keys() if item.startswith("qdrant:"))
    found["points"] = migration.world.points.count("fragments", exact=True).count - keyed
    return {name: count for name, count in found.items() if count}


def _projects(migration: Migration, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the key of fragments in each store."""
    with psycopg.connect(migration.dsn) as connection:
        query = "SELECT id, project_id FROM entrevista_fragmentos WHERE id = ANY(%s)"
        rows: dict[str, Any] = dict(connection.execute(query, [ids]).fetchall())
    query = "CYPHER 5 MATCH (f:Fragmento) WHERE f.id IN $ids RETURN f.id AS id, f.project_id AS key"
    records = migration.world.graph.execute_query(query, parameters_={"ids": ids}).records
    nodes = {record["id"]: record["key"] for record in records}
    found = migration.world.points.retrieve("fragments", ids, with_payload=["project_id"])
    points = {str(point.id): (point.payload or {}).get("project_id") for point in found}
    return {"postgres": rows, "neo4j": nodes, "qdrant": points}


def _wrong(migration: Migration, journal: Path) -> list[str]:
    """Return the fragments that the writer made which are not their project's in every store."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    owners = {line["id"]: line["project"] for line in lines if line.get("op") == "add_fragment"}
    alive = [identity for identity, record in replay(journal).fragments.items() if record and identity in owners]
    assert alive
    found = _projects(migration, alive)
    return [
        f"{store}: {identity} is {keys.get(identity)!r}, must be {owners[identity]!r}"
        for store, keys in found.items()
        for identity in alive
        if keys.get(identity) != owners[identity]
    ]


def test_a_writer_of_the_old_kind_loses_nothing_and_leaves_nothing_untagged(world: World, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    with world.fresh() as migration:
        with _writer(migration, journal) as writer:
            _first_writes(journal, writer, 10)
            applied = migration.apply()
            # What was born behind the last sweep may be found by the verification: that is what the next run is for.
            assert applied.code in (0, 1), applied.output
            undone = [(i, s) for i, p, _, s, _, _ in migration.operations() if p in RUN and s != "done"]
            assert not undone, (undone, applied.output)
            done = replay(journal).writes
            _first_writes(journal, writer, done + 20)  # all constraints are there, and it goes on
        expected = replay(journal)
        print(f"{expected.writes} writes, {expected.operations}; first apply ended with {applied.code}")
        again = migration.apply()
        assert again.code == 0, again.output
        assert not _untagged(migration)
        assert not _wrong(migration, journal)
        lost = lost_writes(journal, migration.dsn, world.neo4j_url, world.qdrant_url)
        assert not lost, lost
        # What is right stays as it is: nothing is written by one more run.
        fingerprint = migration.fingerprint()
        assert migration.apply().code == 0
        assert migration.fingerprint() == fingerprint
