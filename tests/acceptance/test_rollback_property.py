"""Whatever the playbook, wherever a run stops or breaks: after the way back the stores are as before.

Cases are drawn from TENURE_SEED; TENURE_ROLLBACKS says how many, TENURE_ROLLBACK_CASE names a single one. What a
concurrent writer wrote is what it would have written without tenure: the same writes, made on the loaded stores alone,
are what the stores are compared with.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trap import Trap, set_in_process
from way_back import Ground
from way_back_cases import Case, draw

from tenure.demo.fingerprint import Fingerprint, differences
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.errors import OperationFailedError, PlanError, PreflightError, TenureError
from tenure.runner.context import StopSignal
from tenure.session import Session
from tenure.values import Hazard, Phase

SEED = os.environ.get("TENURE_SEED", "11")
CASES = int(os.environ.get("TENURE_ROLLBACKS", "16"))
ONLY = os.environ.get("TENURE_ROLLBACK_CASE")
TRAP = Path(__file__).with_name("trap.py")
EVERY = set(Hazard)


class Hurried(StopSignal):
    """A stop signal that waits for nothing as long as it is asked to: there are no old writers to be looked for."""

    def wait(self, seconds: float) -> bool:
        """Wait for a moment."""
        return super().wait(min(seconds, 0.05))


class Unverified(Session):
    """A session that does not verify what it applied, which changes nothing and takes as long as the rest."""

    def verify(self) -> Any:
        """Look at nothing."""


@pytest.fixture(scope="module")
def ground(
    postgres_server: EmbeddedPostgres, neo4j_server: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant
) -> Iterator[Ground]:
    """The example, loaded once."""
    neo4j_server.wipe()
    qdrant_server.wipe()
    found = Ground(postgres_server, neo4j_server, qdrant_server)
    yield found
    found.close()


def _apply(path: Path, through: Phase) -> None:
    with Unverified.open(path) as session:
        session.apply(through, allowed=EVERY, signal=Hurried())


def _killed(path: Path, trap: Trap, *arguments: str) -> bool:
    """Run the command with a deadly trap; return whether it sprang."""
    done = subprocess.run(
        [sys.executable, str(TRAP), *arguments, "-f", str(path)],
        env={**os.environ, "TEST_TRAP": trap.as_json()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # 1 is a verification that is not green, which no rollback needs.
    assert done.returncode in (0, 1, -9), done.stderr
    return done.returncode == -9


def _forward(case: Case, path: Path) -> str:
    """Run as the case says; return how it went."""
    if case.broken is None:
        try:
            _apply(path, case.through)
        except OperationFailedError as error:
            # What the playbook did not foresee; taken back like any other failed run.
            return f"failed by itself ({error})"
        return "whole"
    if case.killed:
        allowed = [word for hazard in Hazard for word in ("--allow", str(hazard))]
        sprung = _killed(path, case.broken, "apply", "--through", str(case.through), "--yes", *allowed)
    else:
        with set_in_process(case.broken) as has_sprung:
            try:
                _apply(path, case.through)
            except TenureError:
                if not has_sprung():
                    raise
        sprung = has_sprung()
    if sprung and case.again:
        _apply(path, case.through)
    return ("killed" if case.killed else "failed") if sprung else "whole"


def _back(case: Case, path: Path, to: Phase, trap: Trap | None) -> str:
    """Take back to a phase; a way back that breaks is gone on with."""
    if trap is not None and case.killed:
        sprung = _killed(path, trap, "rollback", "--to", str(to), "--yes")
    else:
        with set_in_process(trap) as has_sprung, Session.open(path) as session:
            try:
                session.rollback(to, signal=Hurried())
            except TenureError:
                if not has_sprung():
                    raise
        sprung = has_sprung()
    if sprung:
        with Session.open(path) as session:
            session.rollback(to, signal=Hurried())
    return "broken" if sprung else "whole"


def _course(case: Case, path: Path) -> tuple[str, str]:
    went = _forward(case, path)
    for stop in case.stops:
        _back(case, path, stop, None)
    if case.forward:
        _apply(path, case.through)
    with Session.open(path) as session:
        forecast = session.rollback_plan()
    assert forecast.lossless, forecast.blocking
    came = _back(case, path, Phase.INSPECT, case.broken_back)
    return went, came


def _run(ground: Ground, case: Case, folder: Path) -> tuple[list[str], str]:
    """Run a case; return what differs from before, and how it went."""
    ground.lend(case)
    before: Fingerprint = ground.expected(case)
    path = ground.playbook(case, folder)
    try:
        with ground.writing(case):
            went = " and ".join(_course(case, path))
    except (PlanError, PreflightError) as error:
        went = f"refused: {error}"
    found = differences(before, ground.fingerprint(case))
    ground.take_back(case)
    return found, went


@pytest.mark.timeout(0)
def test_the_way_back_leads_to_where_it_began(ground: Ground, tmp_path: Path) -> None:
    print(f"seed {SEED}, {CASES} cases")
    numbers = [int(ONLY)] if ONLY else list(range(CASES))
    failed: list[str] = []
    outcomes: Counter[str] = Counter()
    for number in numbers:
        case = draw(SEED, number)
        started = time.monotonic()
        try:
            found, went = _run(ground, case, tmp_path)
        except Exception as error:  # noqa: BLE001 - the other cases are to be seen too
            found, went = [f"{type(error).__name__}: {error}"], "stopped by an error"
        print(f"{case}\n    {went}, {time.monotonic() - started:.1f} s", flush=True)
        outcomes[went.partition(":")[0]] += 1
        if found:
            failed.append("\n    ".join([str(case), went, *found]))
            print("    " + "\n    ".join(found), flush=True)
            ground.reload()
    print(dict(outcomes))
    assert not failed, "\n\n".join(failed)
