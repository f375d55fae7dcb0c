"""What a backfill costs the application beside it: ``python -m bench.gentle --rows N --limits "share=50%"``.

The application is pgbench on the table that is being backfilled (reads, updates and inserts by key) at half of the rate
that the machine gives it alone. Stretches with the backfill at work and stretches with it paused take turns, so that a
slow minute of the machine hits both, and what is compared are the latencies within a round. A latency counts from the
moment that a transaction was due, as the application's users would count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console

from bench.history import append, document
from bench.port import Figures, Goal, Line, Options, Say, Section
from bench.postgres_data import BASE, fresh, load, playbook, settings
from bench.table import rendered
from tenure.demo.servers import EmbeddedPostgres, servers
from tenure.demo.servers.postgres import wheel_bin_dir
from tenure.playbook.limits import Limits

CLIENTS, THREADS, LOAD = 8, 2, 0.5
SCRIPTS = {
    "read@14": "\\set id random(1, :rows)\nSELECT body, seen FROM items WHERE id = :id;\n",
    "update@5": "\\set id random(1, :rows)\nUPDATE items SET seen = seen + 1 WHERE id = :id;\n",
    "insert@1": (
        "\\set parent random(1, :parents)\nINSERT INTO items (parent_id, code, created_at, body) "
        "VALUES (:parent, gen_random_uuid()::text, now(), 'new');\n"
    ),
}
UNDISTURBED, DEFAULTS = "undisturbed (backfill paused)", "the limits' defaults"
WANTED = 1.5
COLUMNS = {"p50": "p50 ms", "p95": "p95 ms", "p99": "p99 ms", "p99.9": "p99.9 ms", "backfill": "backfill rows/s"}
# The heart of the lease beats every three seconds, and brings limits and pauses with it.
SETTLE_SECONDS = 4.0
LEAD_SECONDS = 3
PATIENCE_SECONDS = 120.0
COMMAND = Path(sys.executable).with_name("tenure")

STATE = """SELECT r.state, o.state, (SELECT coalesce(sum(changed), 0)::bigint FROM tenure.range WHERE operation = o.id)
  FROM tenure.run r, tenure.operation o WHERE o.kind = 'backfill_rows' AND o.object = 'items'"""
SET = """INSERT INTO tenure.control (name, value) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value"""


@dataclass(frozen=True)
class Pgbench:
    """The application, seen through the log that pgbench writes of each transaction."""

    folder: Path
    rows: int

    def run(self, dsn: str, seconds: float, rate: float | None) -> Figures:
        """Return what a stretch at *rate* transactions per second gave, in milliseconds; None is as fast as it goes.

        The first seconds count for nobody: they are those of connecting, and of a run that has nobody beside it yet.
        """
        for old in self.folder.glob("stretch.*"):
            old.unlink()
        command = [str(wheel_bin_dir() / "pgbench"), "-n", "-M", "prepared", f"-c{CLIENTS}", f"-j{THREADS}"]
        command += [
            f"-T{max(1, round(seconds)) + LEAD_SECONDS}",
            f"-Drows={self.rows}",
            f"-Dparents={max(1, self.rows // 20)}",
        ]
        command += ["-l", "--log-prefix=stretch", *([] if rate is None else [f"-R{rate:.0f}"])]
        for name, text in SCRIPTS.items():
            script, _, weight = name.partition("@")
            (self.folder / script).write_text(text)
            command.append(f"-f{self.folder / script}@{weight}")
        subprocess.run([*command, dsn], cwd=self.folder, check=True, capture_output=True, text=True)
        # client, transaction, microseconds since it was due, script, second in which it ended, ...
        lines = [line.split() for log in self.folder.glob("stretch.*") for line in log.read_text().splitlines()]
        begin = min(int(words[4]) for words in lines) + LEAD_SECONDS
        found = sorted(float(words[2]) / 1000 for words in lines if int(words[4]) >= begin)
        cuts = statistics.quantiles(found, n=1000, method="inclusive")
        return Figures(len(found), seconds, {"p50": cuts[499], "p95": cuts[949], "p99": cuts[989], "p99.9": cuts[998]})


@dataclass(frozen=True)
class Backfill:
    """`tenure apply` at work on a copy of the table, steered as `tenure pause` and `tenure limit` would."""

    dsn: str
    process: subprocess.Popen[bytes]

    def state(self) -> tuple[str, str, int]:
        """Return the run's state, that of the backfill of the large table, and how many rows of it are done."""
        with psycopg.connect(self.dsn) as connection:
            there = connection.execute("SELECT to_regclass('tenure.control') IS NOT NULL").fetchone()
            row = connection.execute(STATE).fetchone() if there and there[0] else None
        return (row[0], row[1], row[2]) if row else ("", "", 0)

    def steer(self, changes: Mapping[str, str]) -> None:
        """Leave requests in the ledger, and wait until they are heard."""
        with psycopg.connect(self.dsn) as connection:
            connection.cursor().executemany(SET, list(changes.items()))
        wanted = "paused" if changes.get("pause") == "on" else "running"
        _until(lambda: self.ended or self.state()[0] == wanted, f"the run to be {wanted}")
        time.sleep(SETTLE_SECONDS)

    @property
    def ended(self) -> bool:
        """Return whether the large table is done, which makes a stretch worthless."""
        return self.process.poll() is not None or self.state()[1] not in ("", "running")


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_SECONDS:.0f} s for {what}")
        time.sleep(0.2)


@contextmanager
def backfill(server: EmbeddedPostgres, scratch: Path) -> Iterator[Backfill]:
    """Run the installed command on a fresh copy while the block lasts."""
    dsn = fresh(server, "bench_gentle")
    limits = Limits()
    path = playbook(dsn, scratch / "tenure.yaml", limits.workers.postgres, limits.batch_ms)
    command = [str(COMMAND), "apply", "-f", str(path), "--through", "backfill", "--allow", "NO_BACKUP"]
    with (scratch / "apply.log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            running = Backfill(dsn, process)
            _until(lambda: process.poll() is not None or running.state()[1] == "running", "the backfill to begin")
            if process.poll() is not None:
                raise RuntimeError((scratch / "apply.log").read_text()[-2000:])
            yield running
        finally:
            process.kill()


def sections(
    options: Options, say: Say, variants: Sequence[Mapping[str, str]] = ({},), rate: float | None = None
) -> Iterator[Section]:
    """Yield the table: latencies without the backfill and with it, under each of the *variants* of its limits.

    *rate* is the application's, in transactions per second: half of what it reaches alone when None.
    """
    with servers(neo4j=False, qdrant=False, directory=options.scratch / "servers", progress=say) as running:
        server = running.postgres
        assert server is not None
        say(f"loading {options.rows:,} rows")
        load(server, options.rows)
        pgbench = Pgbench(options.scratch, options.rows)
        dsn = fresh(server, "bench_gentle")
        pgbench.run(dsn, 5, None)
        most = pgbench.run(dsn, 10, None).rate
        rate = rate or LOAD * most
        say(f"the application alone reaches {most:,.0f} transactions/s; it gets {rate:,.0f}")
        names = [", ".join(f"{name}={value}" for name, value in variant.items()) or DEFAULTS for variant in variants]
        found: dict[str, list[Figures]] = {name: [] for name in (UNDISTURBED, *names)}
        reset = {name: value for variant in variants for name, value in _defaults(variant).items()}
        measure = _Stretches(server, options, pgbench, rate, say)
        with measure:
            for number in range(1, options.repeats + 1):
                turns = [(UNDISTURBED, {"pause": "on"})]
                turns += [(n, {**reset, **v, "pause": "off"}) for n, v in zip(names, variants, strict=True)]
                for name, changes in turns if number % 2 else reversed(turns):
                    figures = measure.stretch(changes)
                    found[name].append(figures)
                    p50, p99, rows = (figures.more.get(column, 0) for column in ("p50", "p99", "backfill"))
                    say(f"round {number}: {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, backfill {rows:,.0f} rows/s")
        yield _section(found, names, rate, most, settings(server.dsn_of(BASE)))


def _defaults(variant: Mapping[str, str]) -> dict[str, str]:
    """Return the limits that a variant changes as they are by default, in the words of `tenure limit`."""
    plain = Limits()
    known = {"beside": f"{plain.beside:.0%}", "share": f"{plain.share:.0%}", "batch_ms": f"{plain.batch_ms}"}
    known |= {f"workers.{store}": f"{count}" for store, count in plain.workers.model_dump().items()}
    return {name: known[name] for name in variant}


class _Stretches:
    """Measures stretch by stretch, on a new copy of the table when the backfill has come to its end."""

    def __init__(self, server: EmbeddedPostgres, options: Options, pgbench: Pgbench, rate: float, say: Say) -> None:
        self._server, self._scratch = server, options.scratch
        self._seconds, self._pgbench, self._rate, self._say = options.foreground_seconds, pgbench, rate, say

    def __enter__(self) -> None:
        self._context = backfill(self._server, self._scratch)
        self._running = self._context.__enter__()

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def stretch(self, changes: Mapping[str, str]) -> Figures:
        """Return the application's figures while the backfill goes on (or is paused) under *changes*."""
        while True:
            self._running.steer(changes)
            before, began = self._running.state()[2], time.monotonic()
            figures = self._pgbench.run(self._running.dsn, self._seconds, self._rate)
            done, seconds = self._running.state()[2] - before, time.monotonic() - began
            if not self._running.ended:
                return Figures(figures.items, figures.seconds, {**figures.more, "backfill": done / seconds})
            self._say("the backfill came to its end within the stretch: again, on a new copy")
            self.__exit__()
            self.__enter__()


def _section(
    found: Mapping[str, Sequence[Figures]], names: Sequence[str], rate: float, most: float, facts: Mapping[str, str]
) -> Section:
    lines = tuple(Line(name, name != UNDISTURBED, tuple(figures)) for name, figures in found.items())
    ratios = {name: _ratio(found[name], found[UNDISTURBED], "p99") for name in names}
    said = "; ".join(
        f"{name}: p99 × {ratio:.2f}, p50 × {_ratio(found[name], found[UNDISTURBED], 'p50'):.2f}"
        for name, ratio in ratios.items()
    )
    return Section(
        store="postgres",
        title=f"The application beside a backfill, at {rate:,.0f}/s ({rate / most:.0%} of what it reaches alone)",
        unit="transactions",
        lines=lines,
        columns=COLUMNS,
        goals=(Goal(f"times the undisturbed p99, {names[0]}", ratios[names[0]], WANTED, at_most=True),),
        notes=(f"Medians of the ratios within a round: {said}.",),
        facts=facts,
    )


def _ratio(ours: Sequence[Figures], theirs: Sequence[Figures], column: str) -> float:
    return statistics.median(a.more[column] / b.more[column] for a, b in zip(ours, theirs, strict=True))


def main() -> int:
    """Measure, print and keep; return 1 when the application felt more than it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.gentle", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a stretch (15)")
    parser.add_argument("--limits", action="append", default=[], help="a variant beside the defaults: NAME=VALUE,...")
    parser.add_argument("--rate", type=float, help="the application's transactions/s (half of what it reaches alone)")
    parser.add_argument("--no-history", action="store_true", help="add nothing to the history")
    asked = parser.parse_args()
    console, err = Console(highlight=False, width=None if sys.stdout.isatty() else 160), Console(stderr=True)
    variants = [{}, *(dict(one.split("=", 1) for one in text.split(",")) for text in asked.limits)]
    found = []
    with tempfile.TemporaryDirectory(prefix="tenure-bench-", ignore_cleanup_errors=True) as scratch:
        options = Options(asked.rows, Path(scratch), asked.repeats, asked.seconds)
        for section in sections(options, lambda text: err.print(text, highlight=False), variants, asked.rate):
            found.append(section)
            console.print(rendered(section))
    if not asked.no_history:
        append(document(found, ["gentle", *sys.argv[1:]]))
    return 0 if all(goal.met for section in found for goal in section.goals) else 1


if __name__ == "__main__":
    sys.exit(main())
