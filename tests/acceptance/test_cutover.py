"""Cutover with real hooks: given up cleanly whatever fails inside, finished after a kill, leaks noticed and said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collision import ALIAS, NEW, OLD, TENANTS, Collision, differing
from command_kit import run_tenure
from qdrant_client import models

from tenure.errors import CutoverAbandonedError, CutoverHalfDoneError, FenceError, StoreError, UnfenceError
from tenure.operations.split_copies import Copies
from tenure.stores import qdrant_copy
from tenure.values import Hazard, Phase

KILLER = Path(__file__).with_name("killer.py")
GATE = ("--through", "cutover", "--yes", "--allow", "NEEDS_FENCE", "--allow", "NO_BACKUP")


class Application(Collision):
    """The application with hooks that write down that they ran, and a body of their own."""

    def hooks(self, fence: str = "", unfence: str = "", timeout: str = "20s", window: str = "15min") -> None:
        """Write the hooks; *fence* and *unfence* are lines of shell."""
        for name, body in (("fence", fence), ("unfence", unfence)):
            script = self.directory / f"{name}.sh"
            script.write_text(f"#!/bin/sh\necho {name} >> hooks.log\n{body}\n")
            script.chmod(0o755)
        self.extra["hooks"] = {"fence": "./fence.sh", "unfence": "./unfence.sh", "timeout": timeout, "window": window}

    def ran(self) -> list[str]:
        """Return which hooks ran, in order, and forget them."""
        log = self.directory / "hooks.log"
        found = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return found

    def cut_over(self) -> Any:
        """Run through cutover in this process."""
        with self.session() as session:
            return session.apply(Phase.CUTOVER, allowed=set(Hazard))

    def controls(self) -> dict[str, str]:
        """Return what `tenure status` says is set."""
        ran = run_tenure("status", "--json", "-f", str(self.playbook()))
        assert ran.code in (0, 1), ran.err
        return dict(ran.document["controls"])

    def isolated(self) -> None:
        """Each tenant sees exactly its own."""
        for tenant in TENANTS:
            assert differing(self.owned(tenant), self.seen(tenant)) == {}, tenant


@pytest.fixture
def application(postgres_dsn: str, neo4j_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Application]:
    """The application, applied up to the gate."""
    found = Application(tmp_path, postgres_dsn, neo4j_url, qdrant_url, 400)
    found.hooks()
    with found.session() as session:
        report = session.apply(allowed={Hazard.NO_BACKUP}).report
    assert report.ok, report.findings
    yield found
    found.close()


def test_whatever_fails_inside_leaves_everything_as_before(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that fails, one that hangs, a store error in a split, one at the alias, a window that runs out."""
    before = application.raw()

    def stays(hooks: list[str]) -> None:
        assert application.ran() == hooks
        assert application.raw() == before
        assert application.controls()["fence"] == "off"

    application.hooks(fence="echo no systemd here >&2; exit 3")
    with pytest.raises(FenceError, match="ended with 3: no systemd here"):
        application.cut_over()
    stays(["fence", "unfence"])

    application.hooks(fence="sleep 600 & wait", timeout="1s")
    started = time.monotonic()
    with pytest.raises(FenceError, match="did not end within 1 s"):
        application.cut_over()
    assert time.monotonic() - started < 60
    stays(["fence", "unfence"])

    application.hooks(unfence="sleep 5 &")
    moved = Copies._send
    calls = 0

    def breaks(self: Copies, *arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreError(store="neo4j", problem="the server went away.", remedy="")
        return moved(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Copies, "_send", breaks)
        with pytest.raises(CutoverAbandonedError, match="the server went away"):
            application.cut_over()
    stays(["fence", "unfence"])

    def refuses(*_: Any) -> None:
        raise StoreError(store="qdrant", problem="no alias today.", remedy="")

    with monkeypatch.context() as patched:
        patched.setattr(qdrant_copy, "point_alias", refuses)
        with pytest.raises(CutoverAbandonedError, match="no alias today"):
            application.cut_over()
    stays(["fence", "unfence"])

    application.hooks(unfence="sleep 5 &", window="8s")
    with monkeypatch.context() as patched:

        def slow(self: Copies, *arguments: Any) -> int:
            time.sleep(1.5)  # longer than the window: what is under test is that it ends here
            return moved(self, *arguments)

        patched.setattr(Copies, "_send", slow)
        with pytest.raises(CutoverAbandonedError, match="window of 8 s ran out"):
            application.cut_over()
    stays(["fence", "unfence"])

    application.hooks(unfence="sleep 5 &")
    assert application.cut_over().report.ok
    assert application.ran() == ["fence", "unfence"]
    application.isolated()


def test_what_cannot_be_taken_back_is_said_and_finished_later(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store stays away: the writers are started all the same, and the next run finishes."""
    moved = Copies._send
    calls = 0

    def gone(self: Copies, *arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise StoreError(store="neo4j", problem="the server went away.", remedy="")
        return moved(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Copies, "_send", gone)
        with pytest.raises(CutoverHalfDoneError, match="split the nodes"):
            application.cut_over()
    assert application.ran() == ["fence", "unfence"]
    assert application.controls()["fence"] == "off"
    assert application.cut_over().report.ok
    application.isolated()


def test_a_hook_that_does_not_start_the_writers_is_said_and_run_again(application: Application) -> None:
    """Cutover itself is done; the fence is shown as standing until a run takes it down."""
    application.hooks(unfence="exit 1")
    with pytest.raises(UnfenceError, match="is done"):
        application.cut_over()
    assert application.ran() == ["fence", "unfence"]
    assert application.controls()["fence"] == "on"
    application.isolated()
    application.hooks()
    with application.session() as session:
        session.apply(allowed={Hazard.NO_BACKUP})
    assert application.ran() == ["unfence"]
    assert application.controls()["fence"] == "off"
    application.isolated()


@pytest.mark.parametrize(
    ("place", "then", "hooks"),
    [
        # The command takes back what was begun, verifies as its gate wants, and cuts over anew.
        ("split", "command", ["unfence", "fence", "unfence"]),
        ("alias", "command", ["unfence", "fence", "unfence"]),
        # The library goes on where it stood, inside the fence.
        ("split", "session", ["fence", "unfence"]),
        ("moved", "session", ["fence", "unfence"]),
        # There is nothing left to do but to start the writers.
        ("unfence", "command", ["unfence"]),
    ],
)
def test_a_kill_inside_the_fence_is_shown_and_finished(
    application: Application, place: str, then: str, hooks: list[str]
) -> None:
    """SIGKILL; `tenure status` shows the fence; the next run finishes, and the way back is open."""
    before = application.raw()
    playbook = str(application.playbook())
    killed = subprocess.run(
        [sys.executable, str(KILLER), "apply", *GATE, "-f", playbook],
        env={**os.environ, "TEST_KILL_AT": place},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert application.ran() == ["fence"]
    assert application.controls()["fence"] == "on"
    if then == "command":
        finished = run_tenure("apply", *GATE, "-f", playbook)
        assert finished.code == 0, finished.err + finished.out
    else:
        assert application.cut_over().report.ok
    assert application.ran() == hooks
    assert application.controls()["fence"] == "off"
    application.isolated()
    back = run_tenure("rollback", "--to", "verify", "--yes", "-f", playbook)
    assert back.code == 0, back.err
    assert application.ran() == ["fence", "unfence"], "merging back needs quiet writers too"
    assert application.raw() == before


def test_writes_that_come_through_are_noticed_and_said(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that the hook did not stop: an item without a key, and a point in the collection that was left."""
    one = application.fragments[0]
    alias = qdrant_copy.point_alias

    def leak(store: Any, name: str, target: str | None) -> None:
        alias(store, name, target)
        application.graph.execute_query(
            "MATCH (f:Fragmento {pk: $pk}), (c:Codigo {nombre: 'confianza', project_id: $t}) "
            "CREATE (f)-[:TIENE_CODIGO {cita: 99}]->(c)",
            pk=one["pk"],
            t=one["tenant"],
        )
        point = models.PointStruct(
            id=one["id"],
            vector=[1.0, 0.0, 0.0, 0.0],
            payload={"archivo": one["archivo"], "par_idx": 0, "texto": "late"},
        )
        application.points.upsert(OLD, [point], wait=True)

    with monkeypatch.context() as patched:
        patched.setattr(qdrant_copy, "point_alias", leak)
        applied = application.cut_over()
    with application.session() as session:
        latest = session.ledger.latest_run()
        assert latest is not None
        said = [detail for kind, _, detail, _ in session.ledger.events(latest.id, 200) if kind == "fence leaked"]
    assert any("1 item(s) were written without a key inside the fence" in text for text in said)
    leaked = [finding for finding in applied.report.findings if finding.id == "TEN509"]
    assert [(finding.object, finding.sample) for finding in leaked] == [(OLD, (one["id"],))]
    assert {point.payload["texto"] for point in application.scroll(ALIAS)} == {
        f["texto"] for f in application.fragments
    }

    # Contract does not drop what somebody still writes to.
    with application.session() as session, pytest.raises(Exception, match="written or deleted since") as raised:
        session.apply(Phase.CONTRACT, allowed=set(Hazard))
    assert one["id"] in str(raised.value)
    assert {found.name for found in application.points.get_collections().collections} == {OLD, NEW}
