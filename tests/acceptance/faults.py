"""The kinds of faults, what each does at its moment, and how a moment is drawn.

A fault is done inside a trap's callback (proxy.py): the proxy holds one chunk between tenure and a server, the fault
is done, and what it returns says what becomes of the chunk. So each one happens at an exact place of the conversation,
such as *after the COMMIT has left and before its answer has come*, and no test waits and hopes.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import struct
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from fault_nursery import Command, Nursery
from fault_world import DATABASE, Application, connected
from proxy import Link, Proxy, Then

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant

STORES = ("postgres", "neo4j", "qdrant")
# What a client sends when it wants something kept: COMMIT as text, Bolt's COMMIT message, a request that writes.
WRITES: dict[str, re.Pattern[bytes]] = {
    "postgres": re.compile(rb"COMMIT"),
    "neo4j": re.compile(rb"\x00\x02\xb0\x12\x00\x00"),
    "qdrant": re.compile(
        rb"^(?:PUT |PATCH |DELETE |POST /collections/(?:aliases|[^/ ]+/points/(?:batch|payload|delete)))"
    ),
}
OF_TENURE = "SELECT pid FROM pg_stat_activity WHERE application_name = 'tenure' AND datname = %s ORDER BY backend_start"


@dataclass
class Scene:
    """Everything that a fault can be done to."""

    postgres: EmbeddedPostgres
    neo4j: EmbeddedNeo4j
    qdrant: EmbeddedQdrant
    proxies: dict[str, Proxy]
    application: Application
    nursery: Nursery
    disk: Path | None = None
    command: Command | None = None
    # The process that a stopped one has to make way for, once a fault has started it.
    successor: Command | None = None
    arguments: list[str] = field(default_factory=list)
    # Held while a deed is done: a server that is down then is meant to be.
    busy: threading.Lock = field(default_factory=threading.Lock)
    # Changes the lease when the one who has locked it is gone on.
    late: threading.Thread | None = None
    _reviving: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Let the application's questions not wait for a server that is down for good."""
        self.application.revive = self.revive

    @property
    def can_fill(self) -> bool:
        """Whether a full disk can be had: by a file system of its own, or by limits on processes of one's own account
        (root's servers run under another)."""
        return self.disk is not None or (hasattr(resource, "prlimit") and os.geteuid() != 0)

    def admin(self) -> psycopg.Connection[Any]:
        """Connect to the database past the proxy, when it answers."""
        return connected(self.application.dsn, self.revive)

    def in_flight(self) -> str:
        """Return the operation that the ledger has as running, or being undone."""
        query = """SELECT coalesce((SELECT string_agg(id, ', ') FROM tenure.operation WHERE state = 'running'),
                   (SELECT 'undo ' || object FROM tenure.event WHERE kind IN ('undo', 'undone') AND kind = 'undo'
                    AND id = (SELECT max(id) FROM tenure.event)), '')"""
        with self.admin() as connection, suppress(psycopg.errors.UndefinedTable):
            row = connection.execute(query).fetchone()
            return row[0] if row else ""
        return "(before the ledger)"

    def backends(self) -> list[int]:
        """Return the process ids of tenure's sessions, oldest first."""
        with self.admin() as connection:
            return [pid for (pid,) in connection.execute(OF_TENURE, [DATABASE])]

    def calm(self) -> None:
        """End what a fault left behind, and see that every server answers."""
        for proxy in self.proxies.values():
            proxy.calm()
        self.free_disk()
        for server in (self.postgres, self.neo4j, self.qdrant):
            server.start()  # nothing where it runs
        connected(self.postgres.dsn).close()
        if self.late is not None:
            self.late.join(60)
            self.late = None

    def keep_up(self) -> None:
        """Start Postgres again, as its service manager would, when a full disk has taken it down."""
        if self.busy.acquire(blocking=False):
            try:
                self.revive()
            finally:
                self.busy.release()

    def revive(self) -> None:
        """Start Postgres if it is down. While a deed is done, only for what that deed itself asks."""
        with self._reviving:
            if not self.postgres.running:
                self.free_disk()
                self.postgres.start()

    def free_disk(self) -> None:
        """Take away what fills the disk."""
        if self.disk is not None:
            (self.disk / "ballast").unlink(missing_ok=True)


STRIDE = 16
"""More than any round has faults; consecutive rounds take consecutive parts of one sequence."""

Deed = Callable[[Scene, random.Random, Link], Then]


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how often it is dealt, where its moments are, and what is done."""

    name: str
    weight: float
    stores: tuple[str, ...]
    deed: Deed
    # Whether its moment is a server's answer (True), a client's request (False), or either, as drawn (None).
    answer: bool | None = False


KINDS: dict[str, Kind] = {}


def kind(
    name: str, weight: float, stores: tuple[str, ...] = STORES, answer: bool | None = False
) -> Callable[[Deed], Deed]:
    """Register a deed as a kind of fault; *weight* is its share of a deck in percent."""

    def register(deed: Deed) -> Deed:
        KINDS[name] = Kind(name, weight, stores, deed, answer)
        return deed

    return register


@kind("SIGKILL tenure", 22, answer=None)
def _kill(scene: Scene, rng: random.Random, link: Link) -> Then:
    """The chunk goes on or is lost, as it would be in the kernel of a machine that lives or dies."""
    assert scene.command is not None
    scene.command.send(signal.SIGKILL)
    return rng.choice([Then.PASS, Then.DROP])


@kind("SIGKILL tenure, its lease in the far future", 3)
def _kill_far(scene: Scene, rng: random.Random, link: Link) -> Then:
    """The database's clock was set back after the lease was taken: it must be taken over at once all the same."""
    assert scene.command is not None
    _lease(scene, "expires = clock_timestamp() + interval '1 year'")
    scene.command.send(signal.SIGKILL)
    return Then.DROP


@kind("pg_terminate_backend", 10, ("postgres",), answer=None)
def _terminate(scene: Scene, rng: random.Random, link: Link) -> Then:
    """One of tenure's sessions, or all of them."""
    found = scene.backends()
    with scene.admin() as connection:
        for pid in found if rng.random() < 0.3 else found[rng.randrange(len(found)) :][:1] if found else []:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    return Then.PASS


@kind("SIGKILL a Postgres backend", 6, ("postgres",), answer=None)
def _crash(scene: Scene, rng: random.Random, link: Link) -> Then:
    """The server ends every session and recovers from its log."""
    found = scene.backends()
    if found:
        struck = rng.choice(found)
        with suppress(ProcessLookupError):
            os.kill(struck, signal.SIGKILL)
            # Until the server has seen it: whoever connects before that is ended in the middle of what it asks, and
            # the test's own questions would be too. Once it has, it takes nobody in before it has recovered.
            pause = threading.Event()
            while True:
                os.kill(struck, 0)
                pause.wait(0.002)
    return rng.choice([Then.PASS, Then.DROP])


def _restart(server: EmbeddedPostgres | EmbeddedNeo4j | EmbeddedQdrant, rng: random.Random) -> Then:
    """In order, or after a crash."""
    (server.kill if rng.random() < 0.5 else server.stop)()
    server.start()
    return Then.PASS


@kind("restart Postgres", 3, ("postgres",), answer=None)
def _restart_postgres(scene: Scene, rng: random.Random, link: Link) -> Then:
    return _restart(scene.postgres, rng)


@kind("restart Neo4j", 1.5, ("neo4j",), answer=None)
def _restart_neo4j(scene: Scene, rng: random.Random, link: Link) -> Then:
    return _restart(scene.neo4j, rng)


@kind("restart Qdrant", 3, ("qdrant",), answer=None)
def _restart_qdrant(scene: Scene, rng: random.Random, link: Link) -> Then:
    return _restart(scene.qdrant, rng)


@kind("cut before a commit arrives", 9)
def _cut_request(scene: Scene, rng: random.Random, link: Link) -> Then:
    return Then.DROP


@kind("cut after a commit, before its answer", 15, answer=True)
def _cut_answer(scene: Scene, rng: random.Random, link: Link) -> Then:
    return Then.DROP


@kind("cut in the middle of a message", 6, answer=None)
def _cut_half(scene: Scene, rng: random.Random, link: Link) -> Then:
    return Then.HALF


@kind("cut every connection of a store", 4, answer=None)
def _cut_all(scene: Scene, rng: random.Random, link: Link) -> Then:
    for proxy in scene.proxies.values():
        if link in proxy.links():
            proxy.cut_all()
    return Then.DROP


@kind("stall", 3, answer=None)
def _stall(scene: Scene, rng: random.Random, link: Link) -> Then:
    _proxy_of(scene, link).stall(rng.uniform(0.1, 1.5))
    return Then.PASS


@kind("slow down", 2.5)
def _slow(scene: Scene, rng: random.Random, link: Link) -> Then:
    _proxy_of(scene, link).slow(rng.uniform(0.3, 1.0), rng.randrange(2_000, 40_000))
    return Then.PASS


@kind("cut all and refuse for a while", 3)
def _refuse(scene: Scene, rng: random.Random, link: Link) -> Then:
    proxy = _proxy_of(scene, link)
    proxy.refuse(rng.uniform(0.1, 1.0))
    proxy.cut_all()
    return Then.DROP


@kind("disk full under Postgres", 3, ("postgres",))
def _fill(scene: Scene, rng: random.Random, link: Link) -> Then:
    """The file system has no room left until tenure has ended or a while has passed; Postgres may go down over it.

    Where no file system could be mounted, no file of tenure's sessions may grow instead: the same answers from the
    kernel, and a Postgres that cannot write its log ends all sessions and recovers.
    """
    if scene.disk is None:
        for pid in scene.backends():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return Then.PASS
    with (scene.disk / "ballast").open("wb", buffering=0) as ballast:
        block = bytes(1 << 20)
        with suppress(OSError):
            while True:
                ballast.write(block)
        with suppress(OSError):
            while True:
                ballast.write(block[:4096])
    threading.Timer(rng.uniform(0.3, 1.5), scene.free_disk).start()
    return Then.PASS


@kind("lease in the past", 2, ("postgres",))
def _lease_past(scene: Scene, rng: random.Random, link: Link) -> Then:
    """The database's clock jumped; nobody else is there: the run goes on."""
    _lease(scene, "expires = clock_timestamp() - interval '1 hour'")
    return Then.PASS


@kind("lease of another token", 2, ("postgres",))
def _lease_stolen(scene: Scene, rng: random.Random, link: Link) -> Then:
    """As if another runner had taken over, who is gone when the next one comes."""
    _lease(scene, "holder = 'a fault', process = '', token = %s", str(uuid.UUID(int=rng.getrandbits(128), version=4)))
    return Then.PASS


@kind("SIGSTOP past the lease, and another runner", 2, ("postgres",))
def _stop_past(scene: Scene, rng: random.Random, link: Link) -> Then:
    """The other one is started by the round, which wakes the first when the other one holds the lease."""
    assert scene.command is not None
    scene.command.send(signal.SIGSTOP)
    _lease(scene, "expires = clock_timestamp() - interval '1 second'")
    scene.successor = scene.nursery.start(scene.arguments, ENVIRONMENT)
    return Then.PASS


ENVIRONMENT = {"TEST_WATCH_SECONDS": "1"}


def _lease(scene: Scene, change: str, *values: Any) -> None:
    """Change the lease. What the proxy holds may be the COMMIT of a transaction that has locked it: then the change
    comes as soon as the deed is done."""

    def update(patience: str) -> None:
        with suppress(psycopg.errors.UndefinedTable), scene.admin() as connection:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", [patience])
            connection.execute(f"UPDATE tenure.lease SET {change} WHERE token IS NOT NULL".encode(), values)

    try:
        update("200ms")
    except psycopg.errors.LockNotAvailable:
        scene.late = threading.Thread(target=update, args=("60s",), name="late lease")
        scene.late.start()


def _proxy_of(scene: Scene, link: Link) -> Proxy:
    return next((proxy for proxy in scene.proxies.values() if link in proxy.links()), scene.proxies["postgres"])


def deal(seed: int, number: int, left_out: frozenset[str] = frozenset()) -> list[Kind]:
    """Return the kinds of *number* faults of round *seed*: rounds together have each kind in its share.

    Positions on the line of all weights are a golden-ratio sequence, so any run of consecutive seeds covers the line
    evenly, and each round is the same whether it is run alone or among others.
    """
    kinds = [each for each in KINDS.values() if each.name not in left_out]
    total = sum(each.weight for each in kinds)
    found = []
    for position in range(number):
        point = ((seed * STRIDE + position) * 0.618033988749895) % 1.0 * total
        for each in kinds:
            point -= each.weight
            if point < 0:
                break
        found.append(each)
    random.Random(f"deal|{seed}").shuffle(found)
    return found


def begins(operation: str, word: str = "start") -> re.Pattern[bytes]:
    """Return what passes to Postgres when the ledger notes that *operation* starts (or *word* is "undo")."""
    return re.compile(re.escape(word.encode() + struct.pack(">I", len(operation)) + operation.encode()), re.DOTALL)
