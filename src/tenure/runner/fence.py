"""The fence around cutover: the application's writers are stopped, and started again whatever happens inside."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tenure.errors import FenceError, LeaseLostError, UnfenceError
from tenure.masking import mask_secrets
from tenure.runner.context import Context, StopSignal
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


class Window:
    """How long the fence may stand: when it runs out, what is under way is asked to stop after the batch in hand."""

    def __init__(self, seconds: float, stop: StopSignal) -> None:
        """Ask *stop* after *seconds*, unless `close` comes before."""
        self.problem = f"the window of {seconds:g} s ran out."
        self.expired = False
        self._stop = stop
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self.expired = True
        self._stop.set(self.problem)

    def close(self) -> None:
        """Let the window stand open."""
        self._timer.cancel()


@contextmanager
def fenced(ctx: Context, fence: Fence, *, timed: bool = True) -> Iterator[Window]:
    """Stop the writers, yield the window, and start them again on every way out but one: when another runner took the
    lease over, the fence is its business.

    A kill inside leaves the ledger's control `fence` at `on`: `tenure status` says so, and the next apply or rollback
    takes the fence down. A way back is not *timed*: there is nothing to give it up for. Errors: FenceError when the
    command that stops the writers fails or takes too long: nothing was done and the other one is run all the same;
    UnfenceError when the other one fails.
    """
    ctx.ledger.set_control(STATE, "on")
    window: Window | None = None
    try:
        _run(ctx, "fence", fence.fence, fence)
        window = Window(fence.window if timed else threading.TIMEOUT_MAX, ctx.signal)
        yield window
    except LeaseLostError:
        raise
    except BaseException as error:
        _take_down(ctx, fence, f"Before that: {error}")
        raise
    else:
        _take_down(ctx, fence, "What was to be done inside the fence is done.")
    finally:
        if window is not None:
            window.close()


def stands(ctx: Context) -> bool:
    """Return whether a fence was put up and not taken down: a runner was killed inside, or `unfence` failed."""
    return ctx.ledger.controls().get(STATE) == "on"


def take_down(ctx: Context, fence: Fence) -> None:
    """Start the writers again if a fence still stands. Errors: UnfenceError."""
    if stands(ctx):
        _take_down(ctx, fence, "The fence was left standing by an earlier run.")


def _take_down(ctx: Context, fence: Fence, state: str) -> None:
    try:
        _run(ctx, "unfence", fence.unfence, fence)
    except FenceError as error:
        ctx.ledger.event(ctx.run, "failed", "unfence", str(error.problem))  # type: ignore[attr-defined]
        raise UnfenceError(problem=error.problem, state=state) from error  # type: ignore[attr-defined]
    ctx.ledger.set_control(STATE, "off")


def _run(ctx: Context, name: str, command: Sequence[str], fence: Fence) -> None:
    if not command:
        return
    ctx.reporter.note("fence", f"{name}: {mask_secrets(' '.join(command))}")
    ctx.ledger.event(ctx.run, name, "", mask_secrets(" ".join(command)))
    # Into a file, since a writer that `unfence` leaves running would hold a pipe open for ever; in a session of its
    # own, so that a hook that hangs can be ended with all that it started.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                list(command),
                cwd=fence.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise FenceError(command=name, problem=f"could not be started: {error}") from error
        try:
            ended = process.wait(timeout=fence.timeout)
        except subprocess.TimeoutExpired as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise FenceError(command=name, problem=f"did not end within {fence.timeout:g} s") from error
        if ended != 0:
            output.seek(0)
            told = mask_secrets(output.read().decode(errors="replace").strip())[-500:]
            raise FenceError(command=name, problem=f"ended with {ended}: {told or 'it said nothing'}")
