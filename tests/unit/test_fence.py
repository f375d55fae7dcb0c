"""The fence: its hooks as processes, its window, and what the ledger is told; with a ledger that only remembers."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tenure.errors import FenceError, InterruptedRunError, LeaseLostError, UnfenceError
from tenure.runner.context import Context, SilentReporter, StopSignal
from tenure.runner.fence import Fence, fenced, stands, take_down


class Ledger:
    """Remembers controls and events."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []

    def controls(self) -> dict[str, str]:
        """Return them."""
        return self.kept

    def set_control(self, name: str, value: str) -> None:
        """Set one."""
        self.kept[name] = value

    def event(self, _: int | None, kind: str, object_: str = "", detail: str = "") -> None:
        """Keep one."""
        self.told.append((kind, detail))


@pytest.fixture
def ctx() -> Context:
    """As much of a context as the fence uses."""
    found = SimpleNamespace(ledger=Ledger(), run=1, reporter=SilentReporter(), signal=StopSignal())
    return cast(Context, found)


def fence(directory: Path, **more: Any) -> Fence:
    """A fence whose hooks append a word to a file."""
    for name in ("down", "up"):
        script = directory / f"{name}.sh"
        if not script.exists():
            script.write_text(f"#!/bin/sh\necho {name} >> log\n")
            script.chmod(0o755)
    return Fence(fence=("./down.sh",), unfence=("./up.sh",), directory=directory, timeout=10, **more)


def log(directory: Path) -> list[str]:
    """The words."""
    return (directory / "log").read_text().split()


def test_the_writers_are_started_on_every_way_out(ctx: Context, tmp_path: Path) -> None:
    """After success and after any error; the ledger shows the fence while it stands."""
    with fenced(ctx, fence(tmp_path)):
        assert stands(ctx)
    with pytest.raises(RuntimeError, match="inside"), fenced(ctx, fence(tmp_path)):
        raise RuntimeError("inside")
    assert log(tmp_path) == ["down", "up", "down", "up"]
    assert not stands(ctx)


def test_a_lost_lease_leaves_the_fence_to_who_took_it(ctx: Context, tmp_path: Path) -> None:
    """The other runner is inside it: starting the writers would be its ruin."""
    with pytest.raises(LeaseLostError), fenced(ctx, fence(tmp_path)):
        raise LeaseLostError(token="t")
    assert log(tmp_path) == ["down"]
    assert stands(ctx)


def test_a_hook_may_leave_writers_running(ctx: Context, tmp_path: Path) -> None:
    """A process that `unfence` starts keeps its output open: nobody waits for its end."""
    (tmp_path / "up.sh").write_text("#!/bin/sh\nsleep 30 &\necho $! > pid\n")
    (tmp_path / "up.sh").chmod(0o755)
    started = time.monotonic()
    with fenced(ctx, fence(tmp_path)):
        pass
    assert time.monotonic() - started < 8
    pid = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{pid}").exists()
    os.kill(pid, 15)


def test_a_hook_that_hangs_is_ended_with_all_that_it_started(ctx: Context, tmp_path: Path) -> None:
    """Its children too; then the writers are started."""
    (tmp_path / "down.sh").write_text("#!/bin/sh\nsleep 30 &\necho $! > pid\nwait\n")
    (tmp_path / "down.sh").chmod(0o755)
    with (
        pytest.raises(FenceError, match="did not end within 1 s"),
        fenced(ctx, fence(tmp_path).model_copy(update={"timeout": 1.0})),
    ):
        raise AssertionError("inside a fence that is not there")
    pid = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + 5
    while state.exists() and state.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not state.exists() or state.read_text().split()[2] == "Z"
    assert log(tmp_path) == ["up"]


def test_secrets_of_hooks_are_masked(ctx: Context, tmp_path: Path) -> None:
    """What a hook says is shown without passwords, and a hook that is not there is named."""
    (tmp_path / "down.sh").write_text("#!/bin/sh\necho cannot reach postgresql://u:hunter2@h/d; exit 2\n")
    (tmp_path / "down.sh").chmod(0o755)
    with pytest.raises(FenceError, match="ended with 2: cannot reach") as raised, fenced(ctx, fence(tmp_path)):
        pass
    assert "hunter2" not in str(raised.value)
    missing = fence(tmp_path).model_copy(update={"fence": ("./nowhere.sh",)})
    with pytest.raises(FenceError, match="could not be started"), fenced(ctx, missing):
        pass


def test_a_fence_that_cannot_be_taken_down_is_said_and_tried_again(ctx: Context, tmp_path: Path) -> None:
    """What happened inside is said with it."""
    (tmp_path / "up.sh").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "up.sh").chmod(0o755)
    with pytest.raises(UnfenceError, match=r"ended with 7.*Before that: inside"), fenced(ctx, fence(tmp_path)):
        raise RuntimeError("inside")
    assert stands(ctx)
    (tmp_path / "up.sh").unlink()
    take_down(ctx, fence(tmp_path))
    take_down(ctx, fence(tmp_path))
    assert log(tmp_path) == ["down", "up"], "once, and not again when none stands"


def test_the_window_asks_what_is_under_way_to_stop(ctx: Context, tmp_path: Path) -> None:
    """It ends the next batch, not the operation after the next."""
    with pytest.raises(InterruptedRunError), fenced(ctx, fence(tmp_path, window=0.2)) as window:
        work(ctx)
    assert window.expired
    assert ctx.signal.reason == "the window of 0.2 s ran out."


def work(ctx: Context) -> None:
    """Work in batches until somebody asks to stop."""
    while True:
        ctx.signal.check("split")
        ctx.signal.wait(0.01)
