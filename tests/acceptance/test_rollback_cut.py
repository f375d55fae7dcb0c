"""A way back whose connections are cut in the middle, again and again, ends well by itself: it is as patient as apply.

The application of the fault suite is taken forward undisturbed, then back by the command, through proxies that reset
one connection after another, before a message reaches the server or before its answer comes back.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from command_kit import COMMAND
from fault_world import DATABASE, Application, Reference
from proxy import Link, Proxy, Then, Trap

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant

# Messages between two cuts: fewer than a transaction has, and more than all of an operation has.
GAPS = {"postgres": (2, 40), "neo4j": (2, 25), "qdrant": (1, 12)}
MOST = 12
"""Cuts a store at most: each of them costs a pause."""


class Cuts:
    """Cuts connections of one proxy, each time when a drawn number of messages has passed."""

    def __init__(self, proxy: Proxy, rng: random.Random) -> None:
        """Begin with the first message that gets through once the server has answered: before that, nobody waits."""
        self._proxy, self._rng = proxy, rng
        self.done = 0
        self._next()

    def _next(self) -> None:
        count = self._rng.randint(*GAPS[self._proxy.name]) + (8 if not self.done else 0)
        self._proxy.set(Trap(self._cut, count=count, answer=self._rng.random() < 0.5))

    def _cut(self, _: Link) -> Then:
        self.done += 1
        if self.done < MOST:
            self._next()
        return Then.DROP


@pytest.fixture(scope="module")
def proxies(
    postgres_server: EmbeddedPostgres, neo4j_server: EmbeddedNeo4j, qdrant_server: EmbeddedQdrant
) -> Iterator[Mapping[str, Proxy]]:
    """A proxy before each server."""
    ports = {
        "postgres": postgres_server.port,
        "neo4j": neo4j_server.port,
        "qdrant": int(qdrant_server.url.rpartition(":")[2]),
    }
    with ExitStack() as stack:
        yield {name: stack.enter_context(Proxy(name, port)) for name, port in ports.items()}


@pytest.fixture(scope="module")
def application(
    postgres_server: EmbeddedPostgres,
    neo4j_server: EmbeddedNeo4j,
    qdrant_server: EmbeddedQdrant,
    proxies: Mapping[str, Proxy],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Application]:
    """The application, reached through the proxies."""
    neo4j_server.wipe()
    qdrant_server.wipe()
    reached = {
        "postgres": f"postgresql://postgres@127.0.0.1:{proxies['postgres'].port}/{DATABASE}",
        "neo4j": f"bolt://127.0.0.1:{proxies['neo4j'].port}",
        "qdrant": f"http://127.0.0.1:{proxies['qdrant'].port}",
    }
    found = Application(tmp_path_factory.mktemp("cut"), postgres_server, neo4j_server, qdrant_server, reached)
    yield found
    found.close()
    neo4j_server.wipe()
    qdrant_server.wipe()


@pytest.fixture(scope="module")
def loaded(application: Application) -> Reference:
    """What there is before the way forward."""
    application.put_back()
    return application.reference()


def _run(application: Application, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), *application.arguments(command)], capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stores", [("postgres",), ("neo4j", "qdrant")], ids="-".join)
def test_a_way_back_that_is_cut_goes_on_by_itself(
    application: Application, proxies: Mapping[str, Proxy], loaded: Reference, stores: tuple[str, ...]
) -> None:
    application.put_back()
    forward = _run(application, "cutover")
    assert forward.returncode == 0, forward.stderr
    cuts = {name: Cuts(proxies[name], random.Random(f"cut|{name}")) for name in stores}
    back = _run(application, "back")
    for name in stores:
        proxies[name].calm()
    told = {name: cut.done for name, cut in cuts.items()}
    print(f"cuts: {told}")
    assert back.returncode == 0, f"{told}: {back.stderr}"
    assert application.unlike(loaded, "back") == []
    assert all(told.values()), told
