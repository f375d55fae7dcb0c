"""A TCP proxy that breaks connections at the byte that a test names: cut, swallow an answer, stall, slow down, refuse.

It runs an event loop in a thread of its own. A test waits for no time: it sets a `Trap`, which springs at the n-th
chunk that matches a pattern, and is called back while that chunk is held. What happens to it then is what the callback
says: pass, drop, or cut in the middle. The callback runs in a thread, so it may kill a process or restart a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

CHUNK = 1 << 16
# SO_LINGER on, zero seconds: closing sends RST instead of FIN, as a firewall or a dead host would make it look.
RESET = struct.pack("ii", 1, 0)
# Slowing down and stalling go in steps of this size, so that they end when they should.
TICK = 0.02


class Way(Enum):
    """Who sends a chunk."""

    UP = "client to server"
    DOWN = "server to client"


class Then(Enum):
    """What becomes of the chunk that a trap holds."""

    PASS = "pass"
    DROP = "drop"
    HALF = "half"


class Link:
    """One connection through the proxy: two sockets, and how much went which way."""

    def __init__(self, number: int, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.number = number
        self._ends = (client, server)
        self._loop = asyncio.get_running_loop()
        self.bytes: Counter[Way] = Counter()
        self.open = True

    def cut(self) -> None:
        """Reset both ends; from any thread."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        self.open = False
        for end in self._ends:
            plug = end.get_extra_info("socket")
            with contextlib.suppress(OSError):
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.transport.abort()


Sprung = Callable[[Link], Then]


@dataclass
class Trap:
    """Springs at the *count*-th chunk upwards that matches *pattern* (None: any); with *answer* it lets that one pass
    and holds the server's answer to it instead. It springs once."""

    call: Sprung
    pattern: re.Pattern[bytes] | None = None
    count: int = 1
    answer: bool = False
    seen: int = 0
    waiting: Link | None = None
    sprung: threading.Event = field(default_factory=threading.Event)

    def takes(self, link: Link, way: Way, chunk: bytes) -> bool:
        """Return whether this is the chunk."""
        if self.sprung.is_set():
            return False
        if self.waiting is not None:
            if not self.waiting.open:
                self.waiting = None  # gone without an answer: the next one that matches has to do
            return way is Way.DOWN and link is self.waiting
        if way is Way.DOWN or (self.pattern is not None and self.pattern.search(chunk) is None):
            return False
        self.seen += 1
        if self.seen < self.count:
            return False
        if self.answer:
            self.waiting = link
            return False
        return True


class Proxy:
    """Stands before one server. `port` stays, whatever happens to the connections."""

    def __init__(self, name: str, port: int) -> None:
        """Stand before 127.0.0.1:*port*; *name* is for messages."""
        self.name = name
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{name}", daemon=True)
        self._links: dict[int, Link] = {}
        self._trap: Trap | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalled_until = 0.0
        self._slow_until = 0.0
        self._rate = 0
        self._refused_until = 0.0
        self.opened = 0
        self.refused = 0
        self.counts: Counter[str] = Counter()
        self.watched: dict[str, re.Pattern[bytes]] = {}
        self.port = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
        self.port = listening.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # What a test does to the connections; all of it from any thread.

    def set(self, trap: Trap | None) -> None:
        """Set a trap instead of the one that is there."""
        self._trap = trap

    def links(self) -> list[Link]:
        """Return the open connections, the oldest first."""
        return [link for link in list(self._links.values()) if link.open]

    def cut_all(self) -> None:
        """Reset every connection."""
        for link in self.links():
            link.cut()

    def stall(self, seconds: float) -> None:
        """Let nothing through, either way, for *seconds*; connections stay open."""
        self._stalled_until = time.monotonic() + seconds

    def slow(self, seconds: float, rate: int) -> None:
        """Let *rate* bytes a second through, each way and connection, for *seconds*."""
        self._rate, self._slow_until = rate, time.monotonic() + seconds

    def refuse(self, seconds: float) -> None:
        """Reset whoever connects, for *seconds*."""
        self._refused_until = time.monotonic() + seconds

    def calm(self) -> None:
        """End whatever was done, and take the trap away."""
        self._trap = None
        self._stalled_until = self._slow_until = self._refused_until = 0.0

    def count(self, watched: dict[str, re.Pattern[bytes]]) -> None:
        """Start to count the chunks upwards that match each of *watched*, and all of them as ``any``."""
        self.counts, self.watched = Counter(), watched

    # The event loop's side.

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        for link in self.links():
            link._cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if time.monotonic() < self._refused_until:
            self.refused += 1
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
            return
        try:
            above, upper = await asyncio.open_connection("127.0.0.1", self._target, limit=CHUNK)
        except OSError:  # the server is down: so is this address
            self.refused += 1
            writer.transport.abort()
            return
        self.opened += 1
        link = Link(self.opened, writer, upper)
        self._links[link.number] = link
        for end in (writer, upper):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps = [self._pump(link, Way.UP, reader, upper), self._pump(link, Way.DOWN, above, writer)]
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            # Either side's end is the connection's: none of the three protocols goes on half closed.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            link.open = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, upper):
                end.close()
            self._links.pop(link.number, None)

    async def _pump(self, link: Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if way is Way.UP:
                    self._tally(chunk)
                then = await self._held(link, way, chunk)
                while time.monotonic() < self._stalled_until:
                    await asyncio.sleep(TICK)
                if then is Then.HALF:
                    writer.write(chunk[: max(1, len(chunk) // 2)])
                    await writer.drain()
                if then is not Then.PASS:
                    link._cut()
                    return
                await self._forward(writer, chunk)
                link.bytes[way] += len(chunk)

    def _tally(self, chunk: bytes) -> None:
        self.counts["any"] += 1
        for name, pattern in self.watched.items():
            if pattern.search(chunk):
                self.counts[name] += 1

    async def _held(self, link: Link, way: Way, chunk: bytes) -> Then:
        trap = self._trap
        if trap is None or not trap.takes(link, way, chunk):
            return Then.PASS
        trap.sprung.set()
        return await self._loop.run_in_executor(None, trap.call, link)

    async def _forward(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        while chunk and time.monotonic() < self._slow_until:
            part = max(1, int(self._rate * TICK))
            writer.write(chunk[:part])
            chunk = chunk[part:]
            await writer.drain()
            await asyncio.sleep(TICK)
        writer.write(chunk)
        await writer.drain()
