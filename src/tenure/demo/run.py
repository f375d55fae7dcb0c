"""The demo: the example application on real servers, moved from single-tenant to project-scoped by one session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from tenure.backup.take import take_checked
from tenure.demo.example import Manifest, directory, generate, load_all
from tenure.demo.servers import Servers, servers
from tenure.errors import UsageError
from tenure.playbook import load_playbook
from tenure.runner.context import Reporter, StopSignal
from tenure.session import LAST_BEFORE_GATE, Applied, Session
from tenure.values import NEEDS_CONSENT, Hazard, Phase

if TYPE_CHECKING:
    from tenure.checks import Report
    from tenure.planner.plan import Plan

DATABASE = "interviews"
PLAYBOOK = "tenure.yaml"
UNTAGGED = ("(unassigned)", "(conflict)")


@dataclass(frozen=True)
class DemoOptions:
    """How large the example is, from which seed, and where it runs.

    `directory` keeps the servers' data (a temporary one is removed at the end); `through` is the last phase.
    """

    scale: float = 1.0
    seed: int = 7
    neo4j_version: str | None = None
    directory: Path | None = None
    through: Phase = LAST_BEFORE_GATE


@dataclass(frozen=True)
class Addresses:
    """Where the three stores are, as the playbook's environment."""

    postgres: str
    neo4j: str
    qdrant: str

    def environment(self) -> dict[str, str]:
        """Return what ``${NAME}`` in the example's playbook refers to."""
        return {
            "TENURE_POSTGRES": self.postgres,
            "TENURE_NEO4J": self.neo4j,
            "TENURE_NEO4J_PASSWORD": "",
            "TENURE_QDRANT": self.qdrant,
        }


@dataclass(frozen=True)
class DemoResult:
    """What the demo did: the run and its verification, what the load put in, seconds per step, peak memory (MB)."""

    manifest: Manifest
    applied: Applied
    seconds: dict[str, float]
    peak_mb: float | None

    @property
    def untagged(self) -> int:
        """Return the items of all stores that have no tenant, in a bin or not."""
        return sum(
            sum(row.postgres.values()) + sum(row.neo4j.values()) + sum(row.qdrant.values())
            for row in self.applied.report.matrix
            if row.tenant in UNTAGGED
        )

    @property
    def lost(self) -> dict[str, tuple[int, int]]:
        """Return the objects whose items are not as many as were loaded: (loaded, found)."""
        expected = {
            "postgres": self.manifest.postgres,
            "neo4j": {**self.manifest.nodes, **self.manifest.relationships},
            "qdrant": {"fragments": self.manifest.points},
        }
        found: dict[tuple[str, str], int] = {}
        for row in self.applied.report.matrix:
            for store in expected:
                for name, count in getattr(row, store).items():
                    found[store, name] = found.get((store, name), 0) + count
        return {
            f"{store} {name}": (expected[store][name], count)
            for (store, name), count in found.items()
            if name in expected[store] and expected[store][name] != count
        }

    @property
    def ok(self) -> bool:
        """Return whether verify is green, nothing is untagged and nothing is missing."""
        report = self.applied.report
        return report.ok and bool(report.matrix) and not self.untagged and not self.lost


class Audience(Protocol):
    """Who watches the demo."""

    def say(self, text: str) -> None:
        """A sentence or two before each step."""

    def planned(self, plan: Plan) -> None:
        """The plan, before it is run."""

    def inspected(self, report: Report) -> None:
        """What inspect found."""

    def progress(self) -> AbstractContextManager[tuple[Reporter, StopSignal]]:
        """Lend a reporter, and a signal that a person can set, for the time of one step."""


@contextmanager
def demo_servers(options: DemoOptions) -> Iterator[tuple[Servers, Addresses]]:
    """Start the three servers with an empty database and stop them at the end, whatever ends the block.

    Errors: UsageError when the directory holds an earlier demo or a Qdrant that TENURE_QDRANT names is not empty;
    ServerStartError, ServerDownloadError.
    """
    kept = options.directory
    if kept is not None and kept.exists() and (not kept.is_dir() or any(kept.iterdir())):
        raise UsageError(detail=f"{kept} is not an empty directory. Name a new one with --keep DIR, or remove it.")
    with servers(directory=kept, neo4j_version=options.neo4j_version) as started:
        assert started.postgres is not None
        assert started.neo4j is not None
        assert started.qdrant is not None
        if started.qdrant.external and started.qdrant.collections():
            raise UsageError(
                detail="the Qdrant that TENURE_QDRANT names holds collections. The demo fills an empty one: "
                "name another, or unset TENURE_QDRANT to have one started."
            )
        dsn = started.postgres.create_database(DATABASE)
        yield started, Addresses(dsn, started.neo4j.url, started.qdrant.url)


def run_demo(options: DemoOptions, addresses: Addresses, audience: Audience) -> DemoResult:
    """Load the example into the empty stores at *addresses* and move it; raises what `Session` raises."""
    seconds: dict[str, float] = {}

    @contextmanager
    def step(name: str, text: str) -> Iterator[None]:
        audience.say(text)
        begun = time.monotonic()
        yield
        seconds[name] = round(time.monotonic() - begun, 2)

    with step("load", _LOAD.format(scale=f"{options.scale:g}", seed=options.seed)):
        manifest = _load(options, addresses, audience)
    playbook = load_playbook(directory() / PLAYBOOK, environment=addresses.environment())
    with Session(playbook) as session:
        with step("inspect", _INSPECT):
            audience.inspected(session.inspect())
        with step("plan", _PLAN):
            audience.planned(session.plan())
        with step("backup", _BACKUP), _backup_directory(options) as kept, audience.progress() as (reporter, stop):
            take_checked(session, kept, reporter=reporter, signal=stop)
        with step("apply", _APPLY.format(through=options.through)), audience.progress() as (reporter, stop):
            # Nobody else writes to these stores, so nothing has to be asked.
            allowed = NEEDS_CONSENT - {Hazard.NO_BACKUP}
            applied = session.apply(options.through, allowed=allowed, reporter=reporter, signal=stop)
    return DemoResult(manifest=manifest, applied=applied, seconds=seconds, peak_mb=peak_memory())


@contextmanager
def _backup_directory(options: DemoOptions) -> Iterator[Path]:
    """Lend where the backup goes: beside the servers' data when they are kept, else one that is removed again."""
    if options.directory is not None:
        yield options.directory / "backup"
        return
    with TemporaryDirectory(prefix="tenure-demo-backup-") as directory_:
        yield Path(directory_) / "backup"


def peak_memory() -> float | None:
    """Return the most memory that this process ever had in RAM, in MB, or None where the system does not tell.

    Not `getrusage`: its figure is inherited from whatever started the process.
    """
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")]
    return round(int(found[0]) / 1024, 1) if found else None


def _load(options: DemoOptions, addresses: Addresses, audience: Audience) -> Manifest:
    expected = generate(options.scale, options.seed).manifest
    totals = {
        "postgres": sum(expected.postgres.values()),
        # A fragment and the relationship to its interview are one item of the load.
        "neo4j": sum(expected.nodes.values()) + sum(expected.relationships.values()) - expected.relationships[_OWNING],
        "qdrant": expected.points,
    }
    done: dict[tuple[str, str], int] = {}
    with audience.progress() as (reporter, stop):

        def progress(store: str, name: str, count: int, _total: int) -> None:
            stop.check(f"loading {store}")
            if not any(begun == store for begun, _ in done):
                _finish_all(reporter, done)
                reporter.start(store, f"load {store}", totals[store])
                reporter.advance(store, 0)
            reporter.advance(store, count - done.get((store, name), 0))
            done[store, name] = count

        manifest = load_all(
            addresses.postgres, addresses.neo4j, addresses.qdrant, options.scale, options.seed, progress=progress
        )
        _finish_all(reporter, done)
    return manifest


def _finish_all(reporter: Reporter, done: dict[tuple[str, str], int]) -> None:
    """End the store that was loaded last; stores are loaded one after the other."""
    if done:
        last = next(reversed(done))[0]
        items = sum(count for (store, _), count in done.items() if store == last)
        reporter.finish(last, f"{items:,} items")


_OWNING = "TIENE_FRAGMENTO"
_LOAD = (
    "Loading the example (scale {scale}, seed {seed}): an application for analysing interviews, one project "
    "at a time. Its tables call the project `proyecto`, or know it only through a file name; code nodes are shared by "
    "several projects; points spell a missing project in four ways; and the stores do not quite agree."
)
_INSPECT = (
    "inspect: looks at all three stores, read-only, and decides the project of every row, node, relationship and "
    "point from the sources that the playbook names. What no source knows is listed, never guessed."
)
_PLAN = "plan: what will be done, in the safe order; the same playbook and the same stores always give the same plan."
_BACKUP = (
    "backup: a copy of all three stores, read again to prove it whole; apply wants one that is younger than a day."
)
_APPLY = (
    "apply: adds the key, fills it range by range while the application could go on working, holds it fast (through "
    "{through}), and then verifies: every key is derived again from its sources and compared, in all three stores."
)
