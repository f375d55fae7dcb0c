"""A server process that its starter owns: start, stop, kill, wait until ready, log tail."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from tenure.errors import ServerStartError

GUARD = Path(__file__).with_name("guard.py")
LOG_TAIL_BYTES = 3000


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class GuardedProcess:
    """One server under a guard process (see guard.py), in a session of its own so that Ctrl-C does not reach it."""

    def __init__(
        self,
        name: str,
        *,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        kill_signal: signal.Signals = signal.SIGKILL,
        grace: float = 20.0,
        user: str | None = None,
    ) -> None:
        """Describe the process; nothing is started.

        Args:
            name: What messages call the server.
            log: File that takes the server's output.
            stop_signal: Ends the server in order.
            kill_signal: Ends it at once, without a checkpoint.
            grace: Seconds between a signal and SIGKILL.
            user: Account the server runs as, when started by root.
        """
        self.name = name
        self.log = log
        self.pid: int | None = None
        self._options = [
            f"--log={log}",
            f"--stop-signal={int(stop_signal)}",
            f"--kill-signal={int(kill_signal)}",
            f"--grace={grace}",
            *([f"--user={user}"] if user else []),
        ]
        self._guard: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._cancelled = False
        # The guard would notice the end of this process anyway; stopping here keeps the order "server, then we".
        atexit.register(_stop_at_exit, weakref.ref(self))

    @property
    def running(self) -> bool:
        """Whether the server and its guard live."""
        return self._guard is not None and self._guard.poll() is None

    def spawn(self, command: Sequence[str], *, cwd: Path, env: dict[str, str] | None = None) -> None:
        """Start *command* in *cwd*; raises ServerStartError when it cannot be executed or start was cancelled."""
        with self._lock:
            if self._cancelled:
                raise ServerStartError(server=self.name, problem="Starting it was cancelled.", log="")
            guard = [sys.executable, "-I", "-S", str(GUARD), f"--parent={os.getpid()}", f"--cwd={cwd}"]
            self._guard = subprocess.Popen(
                [*guard, *self._options, "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        if not line:
            assert self._guard.stderr is not None
            problem = self._guard.stderr.read().decode(errors="replace").strip().splitlines()
            self._finish()
            raise ServerStartError(server=self.name, problem="".join(problem[-1:]), log="")
        self.pid = int(line)

    def wait_until_ready(self, check: Callable[[], bool], timeout: float, interval: float = 0.05) -> None:
        """Call *check* until it is true; raises ServerStartError with the log's tail when the server ends or *timeout*
        seconds pass."""
        deadline = time.monotonic() + timeout
        while not check():
            if not self.running:
                self._finish()
                problem = "Starting it was cancelled." if self._cancelled else "It ended while starting."
                raise ServerStartError(server=self.name, problem=problem, log=self.log_tail())
            if time.monotonic() > deadline:
                log = self.log_tail()
                self.kill()
                raise ServerStartError(server=self.name, problem=f"Not ready after {timeout:.0f} s.", log=log)
            time.sleep(interval)

    def log_tail(self) -> str:
        """Return the end of the log."""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
        return ""

    def stop(self) -> None:
        """End the server in order and wait for it. Does nothing when it does not run."""
        self._order(b"stop\n")

    def kill(self) -> None:
        """End the server at once, as a crash would, and wait until its processes are gone."""
        self._order(b"kill\n")

    def cancel(self) -> None:
        """Stop, and let a start that another thread is in the middle of fail instead of leaving a server behind."""
        with self._lock:
            self._cancelled = True
        self.stop()

    def _order(self, order: bytes) -> None:
        with self._lock:
            if self._guard is None:
                return
            assert self._guard.stdin is not None
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._guard.stdin.write(order)
                self._guard.stdin.flush()
            self._finish()

    def _finish(self) -> None:
        guard = self._guard
        if guard is None:
            return
        guard.wait()
        for pipe in (guard.stdin, guard.stdout, guard.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._guard = None
        self.pid = None


def _stop_at_exit(reference: weakref.ref[GuardedProcess]) -> None:
    process = reference()
    if process is not None:
        process.stop()
