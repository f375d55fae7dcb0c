"""Keeps what was measured: one line of JSON a run, with the machine and the date, in ``bench/history.jsonl``."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.port import Section

HISTORY = Path(__file__).with_name("history.jsonl")


def document(sections: Iterable[Section], arguments: Iterable[str]) -> dict[str, Any]:
    """Return what a run measured as JSON data; nothing in it names the machine or a folder on it."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tenure": metadata.version("tenure"),
        "commit": _commit(),
        "machine": machine(),
        "arguments": list(arguments),
        "sections": [_section(section) for section in sections],
    }


def append(body: dict[str, Any], path: Path = HISTORY) -> None:
    """Add a run to the history."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(body, ensure_ascii=False) + "\n")


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, system; how busy it was with other things."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "store": section.store,
        "title": section.title,
        "unit": section.unit,
        "lines": [
            {
                "way": line.name,
                "ours": line.ours,
                "rate": round(line.rate(), 1),
                "ratios": {b: round(section.ratio(line.name, b), 3) for b in section.baselines if b != line.name},
                "rounds": [
                    {"items": f.items, "seconds": round(f.seconds, 4), **{k: round(v, 4) for k, v in f.more.items()}}
                    for f in line.rounds
                ],
            }
            for line in section.lines
        ],
        "goals": [
            {"what": g.what, "value": round(g.value, 4), "wanted": g.wanted, "at_most": g.at_most, "met": g.met}
            for g in section.goals
        ],
        "notes": list(section.notes),
        "facts": dict(section.facts),
    }


def _commit() -> str:
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        done = subprocess.run(command, cwd=HISTORY.parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
