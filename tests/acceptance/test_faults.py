"""Two hundred seeded faults done to real servers and the command, each followed by a resume and a comparison.

What counts as one fault: one of the deeds of faults.py (KINDS) that was done, to a `tenure` command that was running at
that moment, at a place of its conversation with a store that a seed drew: after the n-th message, or write, that
passed a proxy since an operation began, or since the fault before. A fault whose moment never came is not counted.
What a fault left is always resumed: the command is run again where it ended, or went on by itself, and every command of
a round ends with exit code 0.

What is compared: wherever a fault ended a command, every row, node, relationship and point is there once and whole, and
has no other key than at the end of an undisturbed run (fault_world.Picture). When a command has ended well, content and
schema of all three stores, quarantine, journal and ledger (every operation done, no range open, the lease given back)
are those of an undisturbed run. Between the commands of a round nothing is put right by hand.

Rounds draw the same faults and moments again; which thread of a command comes first is not theirs to say.
A round is a way through apply, cutover, contract and rollback, with three to seven faults to a command; its seed draws
all of it. TENURE_FAULTS=N sets the number of faults (200), TENURE_FAULT_FIRST the first seed (1), TENURE_FAULT_SEED=N
runs that round alone, TENURE_FAULT_TALK=1 prints what happens while it does (with -s). Commands come from processes
that have the drivers loaded (fault_nursery.py), which saves most time; one in twelve is the installed program itself.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fault_nursery import Nursery
from fault_rounds import DISK_FULL, Round, RoundError, Told, shares, undisturbed
from fault_world import DATABASE, NOTES, Application
from faults import Scene
from proxy import Proxy

from tenure.demo.fingerprint import differences
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant

FAULTS = int(os.environ.get("TENURE_FAULTS", "200"))
FIRST = int(os.environ.get("TENURE_FAULT_FIRST", "1"))
ALONE = os.environ.get("TENURE_FAULT_SEED")
DISK_MB = 400
# Rounds do not depend on each other: one that fails is told with the others' figures.
MOST_FAILURES = 5


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """A small file system of its own for Postgres, or None where this process may not mount one."""
    directory = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.fixture(scope="module")
def scene(
    disk: Path | None,
    neo4j_server: EmbeddedNeo4j,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """Real servers behind proxies, the application loaded, and commands at hand."""
    directory = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        # Small log files, so that little room goes a long way.
        settings = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
        postgres = stack.enter_context(EmbeddedPostgres((disk or directory) / "postgres", settings=settings))
        # Not the session's, which may be somebody's own: this one is restarted.
        qdrant = EmbeddedQdrant(directory / "qdrant")
        stack.enter_context(qdrant)
        neo4j_server.wipe()
        qdrant.wipe()
        ports = {"postgres": postgres.port, "neo4j": neo4j_server.port, "qdrant": int(qdrant.url.rpartition(":")[2])}
        proxies = {name: stack.enter_context(Proxy(name, port)) for name, port in ports.items()}
        reached = {
            "postgres": f"postgresql://postgres@127.0.0.1:{proxies['postgres'].port}/{DATABASE}",
            "neo4j": f"bolt://127.0.0.1:{proxies['neo4j'].port}",
            "qdrant": f"http://127.0.0.1:{proxies['qdrant'].port}",
        }
        nursery = stack.enter_context(Nursery(directory))
        application = Application(directory, postgres, neo4j_server, qdrant, reached)
        stack.callback(application.close)
        yield Scene(postgres, neo4j_server, qdrant, proxies, application, nursery, disk)
        neo4j_server.wipe()


class Summary:
    """What pytest prints at its end, passed or not."""

    def __init__(self, told: Told) -> None:
        """Print *told* when the session ends."""
        self._told = told

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it."""
        terminalreporter.section("faults")
        for line in _lines(self._told):
            terminalreporter.write_line(line)


def _lines(told: Told) -> list[str]:
    seeds = sorted({each.seed for each in told.struck})
    listed = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 2 else ", ".join(map(str, seeds))
    return [
        f"{len(told.struck):,} faults in {told.rounds:,} rounds, seeds {listed}, {told.commands:,} commands, "
        f"{told.compared:,} comparisons, "
        f"{told.seconds:,.0f} s ({told.seconds / max(1, len(told.struck)):.1f} s a fault)",
        *shares(told.struck),
        "commands ended: "
        + "; ".join(f"{kind}: exit {code} {count}" for (kind, code), count in sorted(told.endings.items())),
        f"left out: {', '.join(told.left_out) or 'no kind'}",
        "where: " + "; ".join(f"{place} {count}" for place, count in sorted(_places(told).items())),
    ]


def _places(told: Told) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in told.struck:
        place = f"{each.command}/{'.'.join(each.flying.split('.')[:2]) or '(between)'}"
        found[place] = found.get(place, 0) + 1
    return found


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_faults_leave_what_an_undisturbed_run_leaves(scene: Scene, request: pytest.FixtureRequest) -> None:
    if scene.qdrant.external:
        pytest.skip("the server at TENURE_QDRANT cannot be restarted from here")
    references, plan = undisturbed(scene)
    # Neither a file system of its own for Postgres nor limits on its processes can be had.
    told = Told(left_out=() if scene.can_fill else (DISK_FULL,))
    request.config.pluginmanager.register(Summary(told))
    began = time.monotonic()
    seed = int(ALONE or FIRST)
    failed: list[RoundError] = []
    while len(failed) < MOST_FAILURES and len(told.struck) < FAULTS:
        try:
            Round(scene, references, plan, seed, told).run()
        except RoundError as error:
            failed.append(error)
        told.seconds = time.monotonic() - began
        if ALONE:
            break
        seed += 1
    print("\n".join([*_lines(told), *map(str, told.struck)]))
    assert not failed, "\n\n".join(map(str, failed))
    # A suite that deals and never strikes would be green too.
    assert told.compared >= told.rounds
    assert len(told.struck) >= (1 if ALONE else FAULTS)


def test_the_comparison_finds_what_is_lost_doubled_and_mis_assigned(scene: Scene) -> None:
    """Damage done by hand to each store, without tenure, and what the two comparisons say of it."""
    application = scene.application
    application.put_back()
    whole, before = application.picture(), application.fingerprint()
    assert application.picture().unlike(whole, whole, divided=False) == []
    with scene.admin() as connection:
        connection.execute("DELETE FROM citas WHERE id = 3")
    application.graph.execute_query(
        "MATCH (f:Fragmento {pk: 1})-[r:TIENE_CODIGO {cita: 1}]->(c) CREATE (f)-[:TIENE_CODIGO {cita: 1}]->(c)"
    )
    application.graph.execute_query("MATCH (f:Fragmento {pk: 2}) SET f.project_id = 'acme'")
    application.points.delete(NOTES, [5], wait=True)
    for divided in (False, True):
        found = "\n".join(application.picture().unlike(whole, whole, divided))
        assert 'citas lost: {"codigo": "confianza"' in found
        assert 'TIENE_CODIGO doubled: [1, "confianza", {"cita": 1}]' in found
        assert "Fragmento is of ['acme'], not []" in found
        assert "points of notas lost: [5, " in found
        assert len(found.splitlines()) == 4
    named = {line.partition(":")[0] for line in differences(before, application.fingerprint())}
    assert named >= {"postgres citas", "neo4j [TIENE_CODIGO]", "neo4j Fragmento", "qdrant notas"}
