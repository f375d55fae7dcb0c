"""The memory of `tenure apply` does not grow with the data. The large scales are measured by bench/memory.py."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from world import COMMAND, PLAYBOOK

from tenure.attribution import graph_around, graph_bins, graph_read
from tenure.checks import item_keys
from tenure.demo.example import load_all
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.operations import graph_plain, node_backfill, relationship_backfill, set_payload
from tenure.session import Session
from tenure.stores.neo4j import Neo4jStore
from tenure.stores.qdrant import Bounds, QdrantStore
from tenure.values import Hazard

pytestmark = pytest.mark.slow

WARM, SMALL, LARGE = 0.3, 0.6, 2.4
PAGE = 50
# What a process of Python with the drivers of three stores has before it does anything is some 150 MB.
LIMIT_MB = 250.0
# Some 150 KB more are measured: caches that fill up to a few hundred entries. A list of the ids of all nodes, or what
# is kept of each relationship, is above this.
SLACK_KB = 600


def _peak_mb(process: subprocess.Popen[bytes]) -> float:
    """Return the high-water mark of a process when it has ended, read until then."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    return peak / 1024


@contextmanager
def _loaded(
    postgres: EmbeddedPostgres, neo4j: EmbeddedNeo4j, qdrant: EmbeddedQdrant, scale: float
) -> Iterator[dict[str, str]]:
    """Lend the environment of the example at a scale, in stores that have nothing else."""
    neo4j.wipe()
    qdrant.wipe()
    name = f"memory_{scale:g}".replace(".", "_")
    dsn = postgres.create_database(name)
    load_all(dsn, neo4j.url, qdrant.url, scale)
    yield {"TENURE_POSTGRES": dsn, "TENURE_NEO4J": neo4j.url, "TENURE_QDRANT": qdrant.url}
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT sum(changed) FROM tenure.operation WHERE phase = 'backfill'").fetchone()
    assert row is not None
    assert row[0] > 5000 * scale, "it was not the whole example that was measured"
    postgres.drop_database(name)


@pytest.mark.timeout(1200)
def test_four_times_the_data_take_no_more_memory(
    postgres_server: EmbeddedPostgres,
    neo4j_server: EmbeddedNeo4j,
    qdrant_server: EmbeddedQdrant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inspect, backfill and verify allocate as much at four times the scale, once pages are small beside the data.

    It is Python's own allocations that are compared: resident memory differs from run to run. Pages are so small that
    the smaller scale has many too, and that one more of them being read ahead is nothing.
    """
    for module in (graph_around, graph_bins, item_keys, node_backfill, relationship_backfill):
        monkeypatch.setattr(module, "CHUNK", PAGE)
    for backfill in (node_backfill, relationship_backfill):
        monkeypatch.setattr(backfill, "FIRST_BATCH", PAGE)
        monkeypatch.setattr(backfill.GraphBackfill, "_size", lambda _self, _ctx, first: first)
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(graph_plain, name, PAGE)
    monkeypatch.setattr(graph_read, "SHARED_ENDS", PAGE)
    monkeypatch.setattr(relationship_backfill, "START_NODES", PAGE)
    monkeypatch.setattr(set_payload, "WINDOW", PAGE)
    monkeypatch.setattr(set_payload, "LARGEST_WINDOW", PAGE)
    monkeypatch.setattr(QdrantStore, "bounds", lambda _self, _name: Bounds(page=PAGE, ids=PAGE))
    monkeypatch.setattr(Neo4jStore.stream, "__defaults__", (PAGE,))

    peaks: dict[float, float] = {}
    for scale in (WARM, SMALL, LARGE):
        with _loaded(postgres_server, neo4j_server, qdrant_server, scale) as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            with Session.open(PLAYBOOK) as session:
                assert session.apply(allowed={Hazard.NO_BACKUP}).report.ok
            peaks[scale] = (tracemalloc.get_traced_memory()[1] - before) / 1024
            tracemalloc.stop()
    print(f"peak of what was allocated, in KB by scale: {peaks}")
    assert peaks[LARGE] - peaks[SMALL] < SLACK_KB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_command_stays_below_its_limit(
    postgres_server: EmbeddedPostgres, neo4j_server: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant, tmp_path: Path
) -> None:
    """With pages as large as they are, drivers and all."""
    log = tmp_path / "apply.log"
    with (
        _loaded(postgres_server, neo4j_server, qdrant_server, LARGE) as environment,
        log.open("wb") as output,
    ):
        command = [str(COMMAND), "apply", "--allow", "NO_BACKUP", "-f", str(PLAYBOOK)]
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT)
        peak = _peak_mb(process)
        assert process.returncode == 0, log.read_text()
    print(f"peak resident memory in MB: {peak:.1f}")
    assert peak < LIMIT_MB
