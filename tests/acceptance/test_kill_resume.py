"""Kills `tenure apply` at seeded random moments in every phase and store; the end is the same as without.

Each sequence starts from the loaded stores, is killed several times on its way (each time by the next run of the
command), then runs to its end, and is compared with an undisturbed run by fingerprints of all three stores.

That no row is written twice is read from Postgres's own log. Neo4j and Qdrant keep no such log: there, every key that
is in the store after a kill must be there at the end, and a witness in two of three runs (launcher.py) notes what they
ask to be written, which must be one value for each item, the one it has at the end.

TENURE_KILLS sets the number of kills (20), TENURE_SEED the seed. Half of the witnessed runs have small batches, so that
there are many commits to be killed between; the others are of the usual size, and the third runs the plain command.
"""

from __future__ import annotations

import json
import os
import random
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from world import Keys, Migration, World, changed_keys

from tenure.demo.fingerprint import Fingerprint, differences

KILLS = int(os.environ.get("TENURE_KILLS", "20"))
SEED = int(os.environ.get("TENURE_SEED", "3"))
STRATA = (
    ("expand", "postgres"),
    ("backfill", "postgres"),
    ("backfill", "neo4j"),
    ("backfill", "qdrant"),
    ("constrain", "postgres"),
    ("constrain", "neo4j"),
)
ATTEMPTS = 4


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed: what it made, and how long each operation took, by phase and store."""

    fingerprint: Fingerprint
    seconds: dict[tuple[str, str], dict[str, float]]
    written: int


@pytest.fixture(scope="module")
def undisturbed(world: World) -> Undisturbed:
    """Run the installed command once from the loaded stores to its end."""
    with world.fresh() as migration:
        ended = migration.apply()
        assert ended.code == 0, ended.output
        seconds: dict[tuple[str, str], dict[str, float]] = {}
        for identity, phase, store, state, took, _ in migration.operations():
            if state == "done":
                seconds.setdefault((phase, store), {})[identity] = took
        written = migration.audit.written()
        assert written
        assert all(len(values) == 1 for values in written.values())
        return Undisturbed(migration.fingerprint(), seconds, len(written))


def _same_end(migration: Migration, undisturbed: Undisturbed, seen: list[tuple[str, Keys]], witness: Path) -> None:
    """Run to the end, then compare it with the undisturbed run, and with every key that was there after a kill."""
    ended = migration.apply()
    assert ended.code == 0, ended.output
    found = differences(undisturbed.fingerprint, migration.fingerprint())
    assert not found, found
    keys = migration.world.tenant_keys()
    for moment, before in seen:
        changed = changed_keys(before, keys)
        assert not changed, (moment, changed)
    asked = _asked(witness)
    wrong = {item: values for item, values in asked.items() if values != {keys.get(item)}}
    assert not wrong, f"asked to be written, and what is there: {[(i, v, keys.get(i)) for i, v in wrong.items()]}"
    written = migration.audit.written()
    twice = {item: values for item, values in written.items() if len(values) > 1}
    assert not twice, f"rows were written more than once: {twice}"
    assert len(written) == undisturbed.written


def _asked(witness: Path) -> dict[str, set[str]]:
    """Return the keys that were asked to be written, by item; a line that a kill cut off was never sent."""
    found: dict[str, set[str]] = {}
    for line in witness.read_text().splitlines() if witness.exists() else ():
        try:
            store, key, items = json.loads(line)
        except ValueError:
            continue
        for item in items:
            found.setdefault(f"{store}:{item}", set()).add(key)
    return found


def _disturb(
    migration: Migration,
    undisturbed: Undisturbed,
    rng: random.Random,
    stratum: tuple[str, str],
    how: signal.Signals,
    witness: Path,
) -> tuple[str, int] | None:
    """Send a signal at a random moment of a random operation; return what was in flight, and the exit code."""
    for _ in range(ATTEMPTS):
        open_ones = {
            identity
            for identity, phase, store, state, _, _ in migration.operations()
            if (phase, store) == stratum and state != "done"
        }
        known = undisturbed.seconds[stratum]
        operation = rng.choice(sorted(open_ones & known.keys() or known.keys()))
        delay = rng.uniform(0, known[operation])
        watched = {"TEST_WRITES": str(witness)}
        environment = rng.choice([{}, watched, {**watched, "TEST_SMALL_BATCHES": "1"}])
        process = migration.start(**environment)
        flying = migration.signal_at(operation, delay, how, process)
        ended = migration.wait(process)
        if flying is None:
            assert ended.code == 0, ended.output  # it came too late: drawn again, unless nothing is left to disturb
            continue
        print(f"{how.name} {delay * 1000:5.0f} ms into {operation}: in flight {flying}, exit {ended.code}")
        return flying, ended.code
    return None


@pytest.mark.timeout(0)
def test_kills_at_random_moments_leave_the_same_end(world: World, undisturbed: Undisturbed, tmp_path: Path) -> None:
    print(f"seed {SEED}, {KILLS} kills")
    killed: dict[tuple[str, str], int] = {}
    sequence = 0
    while sum(killed.values()) < KILLS:
        rng = random.Random(f"{SEED}|{sequence}")
        sequence += 1
        assert sequence <= KILLS, f"only {killed} kills hit"
        seen: list[tuple[str, Keys]] = []
        witness = tmp_path / f"writes_{sequence}"
        with world.fresh() as migration:
            for stratum in STRATA:
                if sum(killed.values()) == KILLS:
                    break
                hit = _disturb(migration, undisturbed, rng, stratum, signal.SIGKILL, witness)
                if hit is None:
                    continue
                assert hit[1] == -signal.SIGKILL
                killed[stratum] = killed.get(stratum, 0) + 1
                seen.append((f"sequence {sequence}, {hit[0]}", world.tenant_keys()))
            _same_end(migration, undisturbed, seen, witness)
    print(f"{sum(killed.values())} kills in {sequence} sequences: {killed}")
    assert len(STRATA) > KILLS or killed.keys() == set(STRATA)


def test_ctrl_c_and_sigterm_stop_after_the_batch_in_hand_and_resume(
    world: World, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    rng = random.Random(f"{SEED}|signals")
    seen: list[tuple[str, Keys]] = []
    with world.fresh() as migration:
        for number, stratum in (
            (signal.SIGINT, ("backfill", "postgres")),
            (signal.SIGTERM, ("backfill", "neo4j")),
        ):
            hit = _disturb(migration, undisturbed, rng, stratum, number, tmp_path / "writes")
            assert hit is not None
            assert hit[1] == 130
            seen.append((number.name, world.tenant_keys()))
        _same_end(migration, undisturbed, seen, tmp_path / "writes")
