"""`tenure demo` as a newcomer runs it: to its end, kept to look at, and stopped in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from command_kit import COMMAND, run_tenure

from tenure.demo.example import directory, generate
from tenure.demo.example.data import Manifest

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.neo4j, pytest.mark.qdrant, pytest.mark.timeout(900)]

SCALE, SEED = 0.2, 11
PATIENCE = 600.0


@dataclass
class Running:
    """A demo that runs in a process of its own, its output in files."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait_for(self, text: str) -> None:
        """Return when *text* is on stderr; fail when the process ends or patience does."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.err.read_text():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.1)

    def family(self) -> list[psutil.Process]:
        """Return every process below it: guards and servers, with the servers' own workers."""
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code; nothing that it started may be left."""
        family = self.family()
        assert len(family) >= 3
        self.process.send_signal(number)
        code = self.process.wait(120)
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive
        return code


def start(directory: Path, *args: str) -> Running:
    out, err = directory / "out", directory / "err"
    environment = {name: value for name, value in os.environ.items() if name != "TENURE_QDRANT"}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        command = [str(COMMAND), "demo", "--scale", str(SCALE), "--seed", str(SEED), *args]
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
    return Running(process, out, err)


# First, so that no second set of servers runs beside the one that is kept.
@pytest.mark.parametrize(
    ("moment", "number"),
    [("starting Postgres", signal.SIGTERM), ("load neo4j: started", signal.SIGINT), ("backfill", signal.SIGTERM)],
)
def test_stopped_in_the_middle_it_leaves_nothing_behind(
    tmp_path: Path, moment: str, number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    running = start(tmp_path)
    try:
        running.wait_for("write project_id on the rows" if moment == "backfill" else moment)
        if moment == "starting Postgres":
            deadline = time.monotonic() + 30
            while len(running.family()) < 3 and time.monotonic() < deadline:
                time.sleep(0.02)
        assert running.end(number) == 130
        assert "Traceback" not in running.err.read_text()
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A demo that has come to its end and is kept to look at."""
    folder = tmp_path_factory.mktemp("demo")
    running = start(folder, "--keep", str(folder / "kept"), "--json")
    try:
        running.wait_for("The servers keep running")
        yield running
        assert running.end(signal.SIGINT) == 0
        assert (folder / "kept" / "postgres").is_dir()
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture(scope="module")
def document(kept: Running) -> Any:
    return json.loads(kept.out.read_text())


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return generate(SCALE, SEED).manifest


def row(document: Any, tenant: str) -> Any:
    return next(each for each in document["matrix"] if each["tenant"] == tenant)


def total(document: Any, store: str, name: str) -> int:
    return sum(each[store].get(name, 0) for each in document["matrix"])


def test_it_ends_green_and_nothing_is_untagged_or_lost(document: Any) -> None:
    assert document["ok"] is True
    assert document["verified"] is True
    assert document["untagged"] == 0
    assert document["lost"] == {}
    assert not [finding for finding in document["findings"] if finding["severity"] == "error"]


def test_the_matrix_is_what_was_loaded(document: Any, manifest: Manifest) -> None:
    tenants = {each["tenant"] for each in document["matrix"] if not each["tenant"].startswith("(")}
    assert tenants == set(manifest.tenants)
    keyed = [name for name in manifest.postgres if any(name in each["postgres"] for each in document["matrix"])]
    assert len(keyed) == 15
    for name in keyed:
        assert total(document, "postgres", name) == manifest.postgres[name]
    for name, count in {**manifest.nodes, **manifest.relationships}.items():
        assert total(document, "neo4j", name) == count
    assert total(document, "qdrant", "fragments") == manifest.points
    for tenant in manifest.tenants:
        assert row(document, tenant)["postgres"]["entrevista_fragmentos"] == manifest.fragments[tenant]
    for name, count in manifest.quarantined.items():
        assert row(document, "(quarantine)")["postgres"][name] == count


def test_every_operation_did_what_it_planned(document: Any) -> None:
    assert document["operations"]
    for operation in document["operations"]:
        assert operation["left"] == 0, operation
        assert operation["changed"] >= min(1, operation["planned"]) or operation["note"], operation


def test_it_stays_small(document: Any) -> None:
    assert 0 < document["peak_mb"] < 250


def test_the_kept_servers_can_be_looked_at(kept: Running, document: Any) -> None:
    playbook, environment = str(directory() / "tenure.yaml"), document["addresses"]
    status = run_tenure("status", "-f", playbook, "--json", environment=environment)
    assert status.code == 0, status
    assert status.document["run"]["state"] == "done"
    states: dict[str, set[str]] = {"before": set(), "behind the gate": set()}
    for operation in status.document["operations"]:
        behind = operation["phase"] in ("cutover", "contract")
        states["behind the gate" if behind else "before"].add(operation["state"])
    assert states["before"] == {"done"}
    assert states["behind the gate"] <= {"planned", "waiting"}
    assert set(document["to_come"]) == {o["id"] for o in status.document["operations"] if o["state"] != "done"}
    plan = run_tenure("plan", "-f", playbook, "--json", environment=environment)
    assert plan.code == 0, plan
    assert plan.document["hash"] == document["hash"]
    with psycopg.connect(environment["TENURE_POSTGRES"]) as connection:
        left = connection.execute("SELECT count(*) FROM entrevista_fragmentos WHERE project_id IS NULL").fetchone()
        assert left == (0,)


def test_verify_agrees_from_a_process_of_its_own(kept: Running, document: Any) -> None:
    playbook = str(directory() / "tenure.yaml")
    verified = run_tenure("verify", "-f", playbook, "--json", environment=document["addresses"])
    assert verified.code == 0, verified
    assert verified.document["matrix"] == document["matrix"]


def test_apply_again_finds_nothing_to_do(kept: Running, document: Any) -> None:
    playbook = str(directory() / "tenure.yaml")
    again = run_tenure("apply", "-f", playbook, "--json", environment=document["addresses"])
    assert again.code == 0, again
    assert again.document["swept"] == 0
    assert again.document["matrix"] == document["matrix"]


def test_status_needs_postgres_only(kept: Running, document: Any) -> None:
    environment = {**document["addresses"], "TENURE_NEO4J": "bolt://127.0.0.1:9", "TENURE_QDRANT": "http://127.0.0.1:9"}
    status = run_tenure("status", "-f", str(directory() / "tenure.yaml"), environment=environment)
    assert status.code == 0, status
    assert ": done, through constrain" in status.out


def test_a_directory_that_is_not_empty_is_left_alone(kept: Running) -> None:
    # After `kept`: its directory is full of an earlier demo.
    ran = run_tenure("demo", "--keep", str(kept.out.parent / "kept"))
    assert ran.code == 2
    assert "not an empty directory" in ran.err
