"""A backfill on a real Neo4j that goes away, refuses or answers halfway: every node is keyed, nothing is written over.

A change of leader needs a cluster, which Community has not; its error codes are held by `tests/unit/test_patience.py`,
and a database that is read-only for a while, which answers alike, is made here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from cutting_proxy import Cut, proxy
from failures_kit import Notes
from graph_support import FRAGMENT, KEY, context, fragments, keys, register, rule

from tenure.attribution.graph import GraphSpec, NodeSpec
from tenure.demo.servers import EmbeddedNeo4j
from tenure.errors import InterruptedRunError, StoreFailedError
from tenure.operations import graph_backfill, graph_plain, node_backfill
from tenure.operations.graph_keys import KeyWriter
from tenure.operations.graph_plain import PlainWriter
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_backfill import NodeBackfill
from tenure.runner.context import Context
from tenure.runner.failures import Failures
from tenure.runner.workers import work_off
from tenure.stores.neo4j import Neo4jStore
from tenure.stores.patience import Attendant
from tenure.values import Outcome

NODES = 2000
OWNERS = {f"f{number:04}": "abc"[number % 3] for number in range(NODES)}
GRAPH = GraphSpec(key=KEY, nodes=(NodeSpec(label="Fragmento", identity="id", rule=rule(FRAGMENT)),))
BACKFILL = NodeBackfill(object="Fragmento", graph=GRAPH)
COMMIT = b"\x00\x02\xb0\x12\x00\x00"  # Bolt's message of that name


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small batches."""
    monkeypatch.setattr(node_backfill, "FIRST_BATCH", 50)
    monkeypatch.setattr(node_backfill, "NODES_A_RANGE", 500)
    monkeypatch.setattr(graph_backfill, "LEAST_BATCH", 50)
    monkeypatch.setattr(graph_backfill, "LARGEST_BATCH", 50)
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(graph_plain, name, 50)


@contextmanager
def filled(postgres_dsn: str, url: str) -> Iterator[tuple[Context, Notes]]:
    """Both stores with the fragments, and who hears what is said."""
    with context(postgres_dsn, url) as ctx:
        IdentityIndex(object="Fragmento", identity="id").apply(ctx)
        fragments(ctx, OWNERS)
        register(ctx, BACKFILL)
        ctx.reporter = notes = Notes()
        yield ctx, notes


def backfill(ctx: Context) -> Outcome:
    """Run the backfill as the runner does, with its lease, threads and failures; a second call resumes."""
    failures = Failures(ctx)
    ctx.token = ctx.ledger.take_lease("test", 600)
    try:
        with failures.attended():
            failures.plan(BACKFILL)
            work_off(ctx, BACKFILL, lambda operation: None, failures)
            swept = failures.persist(BACKFILL, "the sweep", lambda: BACKFILL.sweep(ctx))
        failures.flush()
        return swept
    finally:
        ctx.ledger.drop_lease(ctx.token)


def whole(ctx: Context, given: Mapping[str, str] | None = None) -> None:
    """Assert that every node has its key, or the one that the application gave it, and every range is done."""
    assert keys(ctx, "Fragmento", "id") == {**OWNERS, **(given or {})}
    totals = ctx.ledger.totals(BACKFILL.id)
    assert totals.done == totals.ranges > 1


@contextmanager
def at_batch(monkeypatch: pytest.MonkeyPatch, number: int, deed: Callable[[], None]) -> Iterator[threading.Event]:
    """Do something just before the batch of that number is written, in whatever way; yield what is set when it is done.

    Whoever reads beside it may say that the server is away while it is still being stopped.
    """
    ways: tuple[tuple[Any, str], ...] = ((KeyWriter, "_send"), (PlainWriter, "_written"))
    calls = iter(range(1, 10**9))
    lock, done = threading.Lock(), threading.Event()

    def disturbed(real: Callable[..., int]) -> Callable[..., int]:
        def write(*given: Any, **named: Any) -> int:
            with lock:
                if next(calls) == number:
                    deed()
                    done.set()
            return real(*given, **named)

        return write

    with monkeypatch.context() as patch:
        for writer, name in ways:
            patch.setattr(writer, name, disturbed(getattr(writer, name)))
        yield done


@contextmanager
def settings(server: EmbeddedNeo4j, **changed: str) -> Iterator[None]:
    """Let the server's next start have other settings; dots in names are written as double underscores."""
    before = dict(server._settings)
    server._settings.update({name.replace("__", "."): value for name, value in changed.items()})
    try:
        yield
    finally:
        server._settings.clear()
        server._settings.update(before)


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_commits_whose_outcome_nobody_knows(
    neo4j_server: EmbeddedNeo4j, neo4j_url: str, postgres_dsn: str, cut: Cut
) -> None:
    """Every third commit loses its answer. What the application writes before the batch is repeated stays its own."""
    seen = iter(range(1, 10**9))
    given: dict[str, str] = {}
    with proxy(neo4j_server.port) as cutting, Neo4jStore(neo4j_url) as application:

        def decide(sent: bytes) -> Cut:
            if COMMIT not in sent or next(seen) % 3:
                return Cut.NOT
            if not given:
                # An application's own word, on a node that this very commit may hold: whoever comes first, it stays.
                given["f1999"] = "c"
                application.write("MATCH (n:Fragmento {id: 'f1999'}) SET n.project_id = 'c'")
            return cut

        with filled(postgres_dsn, f"bolt://127.0.0.1:{cutting.port}") as (ctx, notes):
            assert OWNERS["f1999"] != "c"
            cutting.decide = decide
            swept = backfill(ctx)
            cutting.decide = lambda sent: Cut.NOT
            assert cutting.cuts > 5
            assert swept.left == 0
            whole(ctx, given)
            assert any("could not be reached" in text for text in notes.texts)


def test_a_server_that_comes_back_read_only_crashes_and_is_short_of_memory_then(
    neo4j_server: EmbeddedNeo4j, neo4j_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        filled(postgres_dsn, neo4j_url) as (ctx, notes),
        at_batch(monkeypatch, 5, neo4j_server.stop) as stopped,
        ThreadPoolExecutor(1) as pool,
    ):
        try:
            run = pool.submit(backfill, ctx)
            notes.wait_for("could not be reached")
            assert stopped.wait(120)
            with settings(neo4j_server, server__databases__read_only="neo4j"):
                neo4j_server.start()
            notes.wait_for("takes no writes now", 120)
            neo4j_server.kill()
            with settings(neo4j_server, db__memory__transaction__max="8m"):
                neo4j_server.start()
            assert run.result(120).left == 0
            whole(ctx)
            assert any("goes on after" in text for text in notes.texts)
            with ctx.postgres.connection() as connection:
                events = connection.execute("SELECT kind, object FROM tenure.event").fetchall()
            assert {("waiting", "neo4j"), ("went on", "neo4j")} <= set(events)
            _write_with_little_memory(ctx, notes)
        finally:
            neo4j_server.restart()


def _write_with_little_memory(ctx: Context, notes: Notes) -> None:
    """A batch that does not fit is sent in halves until it does."""
    other = NodeBackfill(object="Other", graph=GRAPH)
    sizes: list[int] = []

    def work() -> int:
        sizes.append(ctx.pace.size(other.id, start=40_000, least=1, most=40_000))
        query = "UNWIND range(1, $size) AS i CREATE (:Other {id: i, text: $text + i})"
        return ctx.neo4j.write(query, size=sizes[-1], text="x" * 1000).counters["nodes_created"]

    assert Failures(ctx).persist(other, "range 0", work) == sizes[-1]
    assert len(sizes) > 1
    assert all(after == before // 2 for before, after in pairwise(sizes))
    assert any("The next batch is half as large." in text for text in notes.texts)


def test_a_server_that_stays_away_ends_the_run_and_a_request_to_stop_ends_the_wait(
    neo4j_server: EmbeddedNeo4j, neo4j_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(postgres_dsn, neo4j_url) as (ctx, notes):
        try:
            with at_batch(monkeypatch, 5, neo4j_server.kill), ThreadPoolExecutor(1) as pool:
                ctx.neo4j.patience = 2.0
                with pytest.raises(StoreFailedError, match=rf"{BACKFILL.id}, range \d+: neo4j at .* not be reached"):
                    backfill(ctx)
                ctx.neo4j.patience = 600.0
                run = pool.submit(backfill, ctx)
                notes.texts.clear()
                notes.wait_for("could not be reached")
                ctx.signal.set("asked")
                with pytest.raises(InterruptedRunError):
                    run.result(20)
        finally:
            neo4j_server.start()
        ctx.signal = type(ctx.signal)()
        assert backfill(ctx).left == 0
        whole(ctx)


def test_two_writers_that_meet_in_opposite_order_both_come_to_an_end(neo4j_url: str) -> None:
    """The server ends one of them as a deadlock; the statement is repeated."""
    said: list[str] = []
    statement = "UNWIND $ids AS i MATCH (n:N {i: i}) SET n.w = coalesce(n.w, 0) + 0, n.by = $by"
    with Neo4jStore(neo4j_url) as store:
        store.attendant = Attendant(notify=said.append, over=lambda text: None)
        store.schema("CREATE INDEX n_i IF NOT EXISTS FOR (n:N) ON (n.i)")
        store.write("UNWIND range(1, 20000) AS i CREATE (:N {i: i})")
        ids = list(range(1, 20001))
        for _ in range(10):
            with ThreadPoolExecutor(2) as pool:
                both = [pool.submit(store.write, statement, ids=order, by=1) for order in (ids, ids[::-1])]
                assert [each.result(120).counters["properties_set"] for each in both] == [40000, 40000]
            if said:
                break
        assert any("deadlock" in text.lower() for text in said), "they never met"
