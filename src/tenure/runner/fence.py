"""The fence around cutover: the application's writers are stopped, and started again whatever happens inside."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tenure.errors import FenceError
from tenure.masking import mask_secrets
from tenure.runner.context import Context
from tenure.values import Frozen

# What an operator sees as down time; a fence that stands longer is taken down and everything is as before.
WINDOW_SECONDS = 15 * 60.0
STATE = "fence"


class Fence(Frozen):
    """The two commands, run without a shell in `directory`; each may take `timeout` seconds, all of it `window`.

    Without commands the operator has said (by allowing NEEDS_FENCE) that writers are stopped or know of tenants.
    """

    fence: tuple[str, ...] = ()
    unfence: tuple[str, ...] = ()
    directory: Path = Path()
    timeout: float = 60.0
    window: float = WINDOW_SECONDS

    def deadline(self) -> float:
        """Return the monotonic time at which the window ends if it begins now."""
        return time.monotonic() + self.window


@contextmanager
def fenced(ctx: Context, fence: Fence) -> Iterator[float]:
    """Stop the writers, yield the deadline of the window, and start them again on every way out.

    A kill inside leaves the ledger's control `fence` at `on`: `tenure status` says so, and the next apply or rollback
    goes through here again and takes the fence down. Errors: FenceError when a command fails or takes too long; when it
    is the one that stops the writers, nothing was done and the other one is run all the same.
    """
    ctx.ledger.set_control(STATE, "on")
    try:
        _run(ctx, "fence", fence.fence, fence)
        yield fence.deadline()
    finally:
        _run(ctx, "unfence", fence.unfence, fence)
        ctx.ledger.set_control(STATE, "off")


def _run(ctx: Context, name: str, command: Sequence[str], fence: Fence) -> None:
    if not command:
        return
    ctx.reporter.note("fence", f"{name}: {' '.join(command)}")
    ctx.ledger.event(ctx.run, name, "", " ".join(command))
    try:
        done = subprocess.run(
            list(command), cwd=fence.directory, timeout=fence.timeout, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FenceError(command=name, problem=f"did not end within {fence.timeout:g} s") from error
    except OSError as error:
        raise FenceError(command=name, problem=f"could not be started: {error}") from error
    if done.returncode != 0:
        said = mask_secrets((done.stderr or done.stdout).strip())[-500:]
        raise FenceError(command=name, problem=f"ended with {done.returncode}: {said or 'it said nothing'}")
