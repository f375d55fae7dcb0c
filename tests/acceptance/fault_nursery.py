"""Starts commands as processes without the second and a half that importing the drivers takes each time.

A server process imports what the command imports and then forks for every command; the child calls the entry point that
the installed distribution names `tenure`, with the arguments that it is given, and ends as the command does: it can be
killed, stopped and cut off like one. TEST_WATCH_SECONDS shortens the time that contract looks for old writers (10 s).

As a program (``python fault_nursery.py``) it is that server: a line of JSON for each command on stdin, lines on stdout.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import pkgutil
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from command_kit import COMMAND

DRIVERS = (
    "neo4j",
    "psycopg",
    "psycopg_pool",
    "psycopg_binary",
    "qdrant_client",
    "qdrant_client.models",
    "rich.progress",
)
# Long enough for a machine that does other things too; a command that hangs says where, in each of its threads.
PATIENCE = float(os.environ.get("TENURE_FAULT_PATIENCE", "240"))


class HangsError(AssertionError):
    """A command did not end."""


class Command:
    """One process, like subprocess.Popen: `pid`, `code` (negative: the signal) once it has ended, `output`."""

    def __init__(self, pid: int, output: Path) -> None:
        self.pid = pid
        self._output = output
        self.code: int | None = None
        self.ended = threading.Event()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when it has ended."""
        if self.code is not None:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return the exit code. Errors: HangsError with the stacks of its threads after *seconds*."""
        if not self.ended.wait(seconds):
            self.send(signal.SIGCONT)
            self.send(signal.SIGABRT)
            self.ended.wait(10)
            raise HangsError(f"the command still ran when its time was over:\n{self.output}")
        assert self.code is not None
        return self.code

    @property
    def output(self) -> str:
        """What it said so far, on stdout and stderr."""
        return self._output.read_text(errors="replace")


class Nursery:
    """The server process, as its starter sees it."""

    def __init__(self, directory: Path) -> None:
        """Keep the commands' output in *directory*."""
        self._directory = directory
        self._commands: dict[int, Command] = {}
        self._installed: list[Command] = []
        self._born: list[int] = []
        self._news = threading.Condition()
        self._number = 0

    def __enter__(self) -> Nursery:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ready\n", "the nursery did not start"
        threading.Thread(target=self._listen, name="nursery", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for command in [*self._commands.values(), *self._installed]:
            command.send(signal.SIGKILL)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Command:
        """Start the command with *arguments*, and *environment* beside this process's."""
        self._number += 1
        output = self._directory / f"command_{self._number}.txt"
        output.touch()
        request = {"arguments": list(arguments), "environment": dict(environment or {}), "output": str(output)}
        assert self._server.stdin is not None
        with self._news:
            self._server.stdin.write(json.dumps(request) + "\n")
            assert self._news.wait_for(lambda: self._born, 60), "the nursery does not answer"
            command = Command(self._born.pop(), output)
            self._commands[command.pid] = command
            self._news.notify_all()
            return command

    def install(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Command:
        """Start the installed program itself, which imports everything for itself."""
        self._number += 1
        output = self._directory / f"command_{self._number}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [str(COMMAND), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        command = Command(process.pid, output)

        def wait() -> None:
            command.code = process.wait()
            command.ended.set()

        threading.Thread(target=wait, name="installed", daemon=True).start()
        self._installed.append(command)
        return command

    def _listen(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            news = json.loads(line)
            with self._news:
                if "born" in news:
                    self._born.append(news["born"])
                    self._news.notify_all()
                    # Whoever asked takes it before the next line is read: it may be about its end.
                    self._news.wait_for(lambda: not self._born, 60)
                    continue
                command = self._commands.pop(news["ended"])
            command.code = os.waitstatus_to_exitcode(news["status"])
            command.ended.set()


# The server's side.


def _preload() -> None:
    """Import everything that a command may import."""
    import tenure

    for name in DRIVERS:
        import_module(name)
    for module in pkgutil.walk_packages(tenure.__path__, "tenure."):
        if "demo" not in module.name and "__main__" not in module.name:
            try:
                import_module(module.name)
            except ImportError:
                continue  # of an extra that is not installed


def _serve() -> dict[str, Any] | None:
    """Fork for each line of stdin; return the request in the child, None in the server at the end of stdin."""
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing)
    print("ready", flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)
        children = 0
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if reading in ready:
                os.read(reading, 4096)
            while children:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                children -= 1
                print(json.dumps({"ended": pid, "status": status}), flush=True)
            if sys.stdin.fileno() in ready:
                line = sys.stdin.readline()
                if not line:
                    return None
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    request: dict[str, Any] = json.loads(line)
                    return request
                children += 1
                print(json.dumps({"born": pid}), flush=True)


def _become(request: Mapping[str, Any]) -> None:
    """Be the command."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(request["output"], os.O_WRONLY | os.O_APPEND)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # of this process, till its end
    faulthandler.enable()
    os.environ.update(request["environment"])
    watch = os.environ.get("TEST_WATCH_SECONDS")
    if watch:
        from tenure.operations.drop_fill_trigger import WatchWriters

        WatchWriters.model_fields["seconds"].default = float(watch)
        WatchWriters.model_rebuild(force=True)
    sys.argv = ["tenure", *request["arguments"]]
    (found,) = entry_points(group="console_scripts", name="tenure")
    found.load()()


if __name__ == "__main__":
    _preload()
    gc.freeze()
    if (asked := _serve()) is not None:
        _become(asked)
