"""The memory of `tenure apply` does not grow with the data. The large scales are measured by bench/memory.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from world import COMMAND, PLAYBOOK

from tenure.demo.example import load_all
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant

SMALL, LARGE = 2, 6
LIMIT_MB = 250.0
GROWTH = 1.10


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.slow
def test_three_times_the_data_take_no_more_memory(
    postgres_server: EmbeddedPostgres, neo4j_server: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant, tmp_path: Path
) -> None:
    peaks: dict[int, float] = {}
    for scale in (SMALL, LARGE):
        neo4j_server.wipe()
        qdrant_server.wipe()
        name = f"memory_{scale}"
        dsn = postgres_server.create_database(name)
        load_all(dsn, neo4j_server.url, qdrant_server.url, scale)
        environment = {
            **os.environ,
            "TENURE_POSTGRES": dsn,
            "TENURE_NEO4J": neo4j_server.url,
            "TENURE_QDRANT": qdrant_server.url,
        }
        log = tmp_path / f"{scale}.log"
        with log.open("wb") as output:
            command = [str(COMMAND), "apply", "--allow", "NO_BACKUP", "-f", str(PLAYBOOK)]
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
            peaks[scale] = _peak_mb(process)
        assert process.returncode == 0, log.read_text()
        with psycopg.connect(dsn) as connection:
            query = "SELECT sum(changed) FROM tenure.operation WHERE phase = 'backfill'"
            row = connection.execute(query).fetchone()
        assert row is not None
        assert row[0] > 5000 * scale, "it was not the whole example that was measured"
        postgres_server.drop_database(name)
    print(f"peak resident memory in MB by scale: {peaks}")
    assert max(peaks.values()) < LIMIT_MB
    assert peaks[LARGE] <= peaks[SMALL] * GROWTH
