"""A TCP proxy in front of a real server that cuts connections where a test says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum


class Cut(Enum):
    """What becomes of bytes that a client sent: they pass; the connection is cut before the server sees them; or after
    it has answered, so that only the answer is lost."""

    NOT = "not"
    BEFORE = "before"
    AFTER = "after"


class Proxy:
    """Forwards one port; `decide` is asked about everything that clients send and may be replaced at any time.

    It gives a cut, or bytes that are answered in the server's place before the connection is closed.
    """

    def __init__(self, port: int) -> None:
        """Listen on a free port for what is forwarded to 127.0.0.1:*port*."""
        self.decide: Callable[[bytes], Cut | bytes] = lambda sent: Cut.NOT
        self.cuts = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and cut what is open."""
        self._listener.close()
        with self._lock:
            for each in self._open:
                _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            lost = threading.Event()
            threading.Thread(target=self._upwards, args=(client, server, lost), daemon=True).start()
            threading.Thread(target=self._downwards, args=(client, server, lost), daemon=True).start()

    def _upwards(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while sent := client.recv(65536):
                cut = self.decide(sent)
                self.cuts += cut is not Cut.NOT
                if isinstance(cut, bytes):
                    client.sendall(cut)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        """What else belongs to the request goes nowhere."""
                if cut is Cut.BEFORE or isinstance(cut, bytes):
                    break
                if cut is Cut.AFTER:
                    lost.set()
                server.sendall(sent)
        if not lost.is_set():
            self._forget(client, server)

    def _downwards(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while said := server.recv(65536):
                if lost.is_set():
                    break
                client.sendall(said)
        self._forget(client, server)

    def _forget(self, *ends: socket.socket) -> None:
        for each in ends:
            _end(each)
        with self._lock:
            self._open -= set(ends)


def _end(each: socket.socket) -> None:
    # A close alone does not wake a thread that reads from it.
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """A proxy to a local server for as long as the block."""
    cutting = Proxy(port)
    try:
        yield cutting
    finally:
        cutting.close()
