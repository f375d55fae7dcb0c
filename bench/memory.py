"""Measures what `tenure apply` needs: peak memory of its process and the time of each phase, at several scales.

``python -m bench.memory --scale 50 --scale 100`` starts the embedded servers once, loads the example at each scale,
runs the installed command as a child and prints one JSON line for each: the peak of its resident memory, seconds and
items written by phase and store from the ledger. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from tenure.demo.example import directory, load_all
from tenure.demo.servers import Servers, servers

SAMPLE_SECONDS = 0.1
COMMAND = Path(sys.executable).with_name("tenure")
PHASES = """SELECT phase || ' ' || store, extract(epoch FROM sum(finished_at - started_at))::float8, sum(changed)::int
FROM tenure.operation WHERE state = 'done' GROUP BY phase, store ORDER BY min(position)"""


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


def main() -> int:
    """Measure each scale and print a JSON line for it; return 1 when one did not end clean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, action="append", help="repeatable; 2 and 6 when left out")
    parser.add_argument("--log", type=Path, help="where the command's output goes; a temporary file when left out")
    options = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory(prefix="tenure-memory-") as directory_, servers() as running:
        log = options.log or Path(directory_) / "apply.log"
        for scale in options.scale or [2.0, 6.0]:
            found = measure(running, scale, log)
            print(json.dumps(found), flush=True)
            if found["exit"] != 0:
                print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
                worst = 1
    return worst


if __name__ == "__main__":
    sys.exit(main())
