"""The command: ``python -m bench [postgres|neo4j|qdrant|all] --rows N --json FILE``."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench.history import HISTORY, append, document
from bench.port import Options, Section
from bench.table import rendered

STORES = ("postgres", "neo4j", "qdrant")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table per section, write JSON and history; return 1 when a goal was not reached."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("store", nargs="?", default="all", choices=[*STORES, "all"])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows, nodes or points (1,000,000)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; ratios are the median of theirs (3)")
    parser.add_argument("--foreground-seconds", type=float, default=20.0, help="least length of a latency run (20)")
    parser.add_argument("--only", action="append", default=[], help="a part of the store's bench; repeatable")
    parser.add_argument("--json", type=Path, help="also write what was measured to this file")
    parser.add_argument("--history", type=Path, default=HISTORY, help="the file that a line is added to")
    parser.add_argument("--no-history", action="store_true", help="add nothing to the history")
    options = parser.parse_args(arguments)
    console, err = Console(width=None if sys.stdout.isatty() else 160, highlight=False), Console(stderr=True)
    found: list[Section] = []
    with tempfile.TemporaryDirectory(prefix="tenure-bench-", ignore_cleanup_errors=True) as scratch:
        asked = Options(
            rows=options.rows,
            scratch=Path(scratch),
            repeats=options.repeats,
            foreground_seconds=options.foreground_seconds,
            only=tuple(options.only),
        )
        for store in STORES if options.store == "all" else (options.store,):
            for section in _sections(store, asked, err):
                found.append(section)
                console.print(rendered(section))
                console.print()
    # Without the paths: the history is read on other machines.
    said = [
        options.store,
        f"--rows={options.rows}",
        f"--repeats={options.repeats}",
        *(f"--only={o}" for o in asked.only),
    ]
    body = document(found, said)
    if options.json is not None:
        options.json.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if not options.no_history:
        append(body, options.history)
    return 0 if all(goal.met for section in found for goal in section.goals) else 1


def _sections(store: str, options: Options, err: Console) -> Iterator[Section]:
    """Yield what the store's module measures, as soon as each section is done."""
    if importlib.util.find_spec(f"bench.{store}") is None:
        err.print(f"{store}: no bench yet", style="yellow")
        return
    module = importlib.import_module(f"bench.{store}")
    yield from module.sections(options, lambda text: err.print(f"{store}: {text}", highlight=False))


if __name__ == "__main__":
    sys.exit(main())
