"""Runs one server for a parent and never lets it outlive that parent. Standard library only, started as a script.

The parent holds the write end of this script's standard input. A line ``stop`` ends the server in order, ``kill`` ends
it at once; end of file means that the parent is gone, by whatever death, and counts as ``stop``. PR_SET_PDEATHSIG alone
would not do: it fires when the *thread* that started the child ends, and servers are started in threads. It is set on
the server all the same, so that a SIGKILL of this guard takes the server along.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 1.0


def child_setup(user: str | None, libc: ctypes.CDLL | None) -> Callable[[], None]:
    """Return what the child does between fork and exec: drop to *user*, then tie its life to this process."""
    account = pwd.getpwnam(user) if user else None

    def setup() -> None:
        if account is not None:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        if libc is not None:  # after setuid: a change of credentials clears the setting
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return setup


def wait_for_order(child: subprocess.Popen[bytes], parent: int, asked: list[str]) -> str:
    """Block until the child ends ("ended"), the parent gives an order ("stop", "kill") or is gone ("stop")."""
    watched: list[int] = [0]
    with contextlib.suppress(AttributeError, OSError):  # not on every platform: then the poll below notices the end
        watched.append(os.pidfd_open(child.pid))
    while child.poll() is None:
        if asked or os.getppid() != parent:
            return "stop"
        ready, _, _ = select.select(watched, [], [], POLL_SECONDS)
        if 0 in ready:
            return os.read(0, 64).decode().strip() or "stop"
    return "ended"


def end(child: subprocess.Popen[bytes], sig: int, grace: float) -> None:
    """Send *sig*, and SIGKILL to whatever is left of the server's process group after *grace* seconds."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(sig)
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def main() -> int:
    """Start the server named by the command line, report its process id, obey until it has ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--cwd", required=True)
    parser.add_argument("--user")
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--kill-signal", type=int, default=int(signal.SIGKILL))
    parser.add_argument("--grace", type=float, default=20.0)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    asked: list[str] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: asked.append("stop"))
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    with open(options.log, "ab") as log:
        child = subprocess.Popen(
            options.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=options.cwd,
            start_new_session=True,
            preexec_fn=child_setup(options.user, libc),
        )
    # The parent may be gone before it reads this; its end is noticed below.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{child.pid}\n".encode())
    order = wait_for_order(child, options.parent, asked)
    if order != "ended":
        end(child, options.kill_signal if order == "kill" else options.stop_signal, options.grace)
    deadline = time.monotonic() + options.grace
    while time.monotonic() < deadline:  # a server killed at once leaves workers that notice a moment later
        try:
            os.killpg(child.pid, 0)
        except (ProcessLookupError, PermissionError):
            break
        time.sleep(0.02)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    return 0 if order != "ended" else abs(child.returncode) or 1


if __name__ == "__main__":
    sys.exit(main())
