"""Tenant index and payload backfill on the engine behind REST and on a local-mode directory: a table of cases."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from qdrant_client import QdrantClient, models
from qdrant_kit import COLLECTION, KEY, QUARANTINE, App, Killed, application, drive, ids, spec

from tenure.attribution.points import KeyState, RowsExist, count_bins_points, is_untagged, untagged_filter
from tenure.attribution.spec import Policy
from tenure.operations import set_payload
from tenure.operations.set_payload import STALE_PATIENCE_S, SetPayload
from tenure.operations.tenant_index import TenantIndex
from tenure.stores.qdrant import Bounds, Index

STRICT = models.StrictModeConfig(
    enabled=True, max_query_limit=7, condition_max_size=5, unindexed_filtering_update=False, max_timeout=60
)


@pytest.fixture(
    params=[
        pytest.param("engine", marks=pytest.mark.qdrant),
        "local",
        pytest.param("strict", marks=[pytest.mark.qdrant, pytest.mark.qdrant_server]),
    ]
)
def app(request: pytest.FixtureRequest, postgres_dsn: str, tmp_path: Path) -> Iterator[App]:
    """The application on each kind of Qdrant; strict mode is the real server's alone."""
    url = str(tmp_path) if request.param == "local" else request.getfixturevalue("qdrant_url")
    with application(postgres_dsn, url) as found:
        if request.param == "strict":
            found.store.client.update_collection(COLLECTION, strict_mode_config=STRICT)
            assert found.store.bounds(COLLECTION) == Bounds(page=7, ids=5, unindexed_updates=False)
            found.store.create_index(COLLECTION, KEY.name, "keyword", is_tenant=True)
        yield found


@pytest.fixture
def engine(postgres_dsn: str, qdrant_url: str) -> Iterator[App]:
    """The application on the engine."""
    with application(postgres_dsn, qdrant_url) as found:
        yield found


class Case(NamedTuple):
    """A point as it is found, its row, and the key that it must have after the backfill and after undo."""

    name: str
    payload: dict[str, Any]
    row: Any
    state: KeyState
    after: Any
    undone: Any


NO_ROW = object()
QUARANTINED = KEY.quarantine
CASES = [
    Case("missing", {}, "acme", KeyState.MISSING, "acme", None),
    Case("null", {"project_id": None}, "acme", KeyState.NULL, "acme", None),
    Case("empty text", {"project_id": ""}, "acme", KeyState.EMPTY, "acme", ""),
    Case("empty list", {"project_id": []}, "acme", KeyState.EMPTY, "acme", []),
    Case("untagged word", {"project_id": "default"}, "beta", KeyState.UNTAGGED, "beta", "default"),
    Case("nested", {"metadata": {"project_id": "beta"}}, "acme", KeyState.NESTED, "acme", None),
    Case("nested, null", {"project_id": None, "metadata": {"project_id": "x"}}, "acme", KeyState.NESTED, "acme", None),
    Case("right", {"project_id": "acme"}, "acme", KeyState.TENANT, "acme", "acme"),
    Case("alias", {"project_id": "ACME Corp"}, "acme", KeyState.TENANT, "acme", "ACME Corp"),
    Case("other tenant", {"project_id": "beta"}, "acme", KeyState.TENANT, "acme", "beta"),
    Case("unknown", {"project_id": "zzz"}, "acme", KeyState.UNKNOWN, "acme", "zzz"),
    Case("number", {"project_id": 42}, "acme", KeyState.WRONG_TYPE, "acme", 42),
    Case("boolean", {"project_id": True}, "acme", KeyState.WRONG_TYPE, "acme", True),
    Case("list", {"project_id": ["acme"]}, "acme", KeyState.WRONG_TYPE, "acme", ["acme"]),
    Case("object", {"project_id": {"id": "acme"}}, "acme", KeyState.WRONG_TYPE, "acme", {"id": "acme"}),
    Case("quarantined", {"project_id": QUARANTINED}, "acme", KeyState.SENTINEL, QUARANTINED, QUARANTINED),
    Case("shared", {"project_id": "__shared__"}, "acme", KeyState.SENTINEL, "__shared__", "__shared__"),
    Case("row without tenant", {}, None, KeyState.MISSING, QUARANTINED, None),
    Case("row in quarantine", {}, QUARANTINED, KeyState.MISSING, QUARANTINED, None),
    Case("row shared", {}, "__shared__", KeyState.MISSING, "__shared__", None),
    Case("stale", {}, NO_ROW, KeyState.MISSING, QUARANTINED, None),
    Case("drift", {"project_id": "beta"}, NO_ROW, KeyState.TENANT, "beta", "beta"),
]  # fmt: skip
BY_ID = dict(zip(ids(len(CASES)), CASES, strict=True))


def fill(app: App) -> None:
    """Bring the cases in."""
    app.rows({identity: case.row for identity, case in BY_ID.items() if case.row is not NO_ROW})
    app.points({identity: {"archivo": case.name, **case.payload} for identity, case in BY_ID.items()})


def named(keys: dict[str | int, Any]) -> dict[str, Any]:
    """Return keys by the names of the cases."""
    return {BY_ID[str(identity)].name: key for identity, key in keys.items()}


def test_every_case_is_told_apart_written_and_taken_back(app: App) -> None:
    """Expand, backfill, undo: the key of each case after each."""
    fill(app)
    index = TenantIndex(object=COLLECTION, collection=COLLECTION, key=KEY)
    backfill = SetPayload(object=COLLECTION, spec=spec())
    before, indexes = app.payloads(), app.store.indexes(COLLECTION)

    index.apply(app.ctx)
    assert index.check(app.ctx).left == 0
    assert app.payloads() == before, "expand changes no payload"

    counts = count_bins_points(app.store, spec(), app.ctx.lookups, RowsExist(app.ctx.postgres.connection))
    assert counts.total == len(CASES)
    for state in KeyState:
        assert counts.states[state] == sum(case.state is state for case in CASES), state
    to_write = sum(case.after != case.payload.get("project_id") for case in CASES)
    assert counts.to_write == to_write
    assert (counts.stale, counts.drift) == (1, 1)
    assert [reason for _, reason in counts.samples["stale"]] == ["no row knows this point"]
    assert sum(counts.bins.values()) == len(CASES)

    assert backfill.count(app.ctx) == to_write
    outcome = drive(backfill, app.ctx)
    assert app.ctx.ledger.totals(backfill.id).changed == to_write
    assert outcome.left == 0
    assert named(app.keys()) == {case.name: case.after for case in CASES}
    assert backfill.check(app.ctx).left == 0
    assert backfill.count(app.ctx) == 0, "a second run finds nothing to do"
    others = {i: {k: v for k, v in p.items() if k != "project_id"} for i, p in app.payloads().items()}
    assert others == {i: {k: v for k, v in p.items() if k != "project_id"} for i, p in before.items()}
    listed = {BY_ID[identity].name: reason for identity, reason in app.quarantined().items()}
    assert listed == {
        "stale": "no row knows this point",
        "row without tenant": "no source has a value",
        "row in quarantine": "its parent is quarantined",
    }

    undone = backfill.undo(app.ctx)
    assert undone.changed == to_write
    assert named(app.keys()) == {case.name: case.undone for case in CASES}
    assert backfill.undo(app.ctx).changed == 0, "undo may be repeated"
    index.undo(app.ctx)
    assert app.store.indexes(COLLECTION) == indexes


def test_existing_keys_are_left_where_the_playbook_says_so(app: App) -> None:
    """With `existing: conflict` and `conflict: fail` nothing that is there is touched; the bins say what is wrong."""
    fill(app)
    careful = spec(Policy(unassigned="quarantine"))
    backfill = SetPayload(object=COLLECTION, spec=careful)
    counts = count_bins_points(app.store, careful, app.ctx.lookups, RowsExist(app.ctx.postgres.connection))
    assert counts.bins["conflict"] == 6
    drive(backfill, app.ctx)
    keys = named(app.keys())
    for name in ("other tenant", "unknown", "number", "boolean", "list", "object"):
        assert keys[name] == next(case for case in CASES if case.name == name).payload["project_id"]
    assert keys["alias"] == "acme", "a name that is known is written in its own form all the same"


def test_the_filter_means_what_the_payload_means(app: App) -> None:
    """`untagged_filter` and `is_untagged` agree on every kind of value, with and without the index."""
    values: list[Any] = [..., None, "", [], "default", "acme", 0, 1.5, False, ["default"], [None], {}, {"a": None}]
    app.points({n: {} if value is ... else {"project_id": value} for n, value in enumerate(values)})
    expected = [n for n, value in enumerate(values) if is_untagged(KEY, None if value is ... else value)]
    for _ in range(2):
        found = [point.id for page in app.store.pages(COLLECTION, filter=untagged_filter(KEY)) for point in page]
        if ["default"] in values and values.index(["default"]) in found:
            found.remove(values.index(["default"]))  # a list that holds an untagged word matches in Qdrant
        assert found == expected
        app.store.create_index(COLLECTION, "project_id", "keyword", is_tenant=True)


def test_a_row_that_is_committed_after_its_point_is_waited_for(app: App) -> None:
    """A writer that indexes first and commits later makes no stale point."""
    known = ids(1)[0]
    app.points({known: {}})
    late = threading.Timer(STALE_PATIENCE_S / 3, lambda: app.rows({known: "acme"}))
    late.start()
    drive(SetPayload(object=COLLECTION, spec=spec()), app.ctx)
    late.join()
    assert app.keys() == {known: "acme"}
    assert app.quarantined() == {}


def test_keep_null_is_not_left(app: App) -> None:
    """Points that the playbook wants without a key are no remainder; stale ones get the sentinel all the same."""
    known, stale = ids(2)
    app.rows({known: None})
    app.points({known: {}, stale: {}})
    backfill = SetPayload(object=COLLECTION, spec=spec(Policy(unassigned="keep_null")))
    assert drive(backfill, app.ctx).left == 0
    assert app.keys() == {known: None, stale: "__quarantine__"}
    assert backfill.check(app.ctx).left == 0


def test_what_may_not_be_decided_is_left_and_said(app: App) -> None:
    """With `unassigned: fail` a point without a tenant stays untagged and counts as left."""
    known = ids(1)[0]
    app.rows({known: None})
    app.points({known: {}})
    backfill = SetPayload(object=COLLECTION, spec=spec(Policy()))
    assert drive(backfill, app.ctx).left == 1
    assert backfill.check(app.ctx).left == 1


@pytest.mark.parametrize(
    ("found", "note"),
    [
        (None, ""),
        (Index("keyword", True), "kept"),
        (Index("keyword", False), "without is_tenant"),
        (Index("uuid", True), "uuid"),
    ],
)
def test_the_index_is_created_adopted_or_replaced(engine: App, found: Index | None, note: str) -> None:
    """What is equivalent is kept, what is not is replaced, and undo leaves what was there before."""
    if found is not None:
        engine.store.create_index(COLLECTION, "project_id", found.kind, is_tenant=found.is_tenant)
    operation = TenantIndex(object=COLLECTION, collection=COLLECTION, key=KEY)
    outcome = operation.apply(engine.ctx)
    assert note in outcome.note
    assert outcome.changed == (0 if found == operation.index else 1)
    assert engine.store.indexes(COLLECTION) == {"project_id": operation.index}
    assert operation.apply(engine.ctx).changed == 0
    operation.undo(engine.ctx)
    assert engine.store.indexes(COLLECTION) == ({} if found is None else {"project_id": found})
    assert operation.undo(engine.ctx).changed == 0


def test_a_fresh_collection_needs_no_journal(engine: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no point had a key, undo clears by filter and nothing is journalled point by point."""
    monkeypatch.setattr(set_payload, "WINDOW", 700)
    points = ids(3000)
    engine.rows({identity: "acme" if n % 3 else "beta" for n, identity in enumerate(points)})
    engine.points({identity: {"archivo": "a"} for identity in points})
    backfill = SetPayload(object=COLLECTION, spec=spec())
    drive(backfill, engine.ctx)
    assert engine.keys() == {identity: "acme" if n % 3 else "beta" for n, identity in enumerate(points)}
    assert engine.journal(backfill.id) == 0
    assert backfill.undo(engine.ctx).changed == 3000
    assert set(engine.keys().values()) == {None}


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_kill_between_write_and_cursor_changes_nothing(engine: App, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The window in flight is written again to no effect; the end and the undone state are the same."""
    monkeypatch.setattr(set_payload, "WINDOW", 200)
    monkeypatch.setattr(set_payload, "LARGEST_WINDOW", 200)
    points = ids(1000)
    expected = {identity: ("acme", "beta")[n % 2] for n, identity in enumerate(points)}
    engine.rows(dict(expected))
    engine.points({identity: {"project_id": "default"} if n % 5 == 0 else {} for n, identity in enumerate(points)})
    backfill = SetPayload(object=COLLECTION, spec=spec())

    def kill(_: object, batch: int) -> None:
        if batch == at:
            raise Killed

    with pytest.raises(Killed):
        drive(backfill, engine.ctx, before_advance=kill)
    written = sum(key in ("acme", "beta") for key in engine.keys().values())
    assert written == 200 * (at + 1)
    assert drive(backfill, engine.ctx).left == 0
    assert engine.keys() == expected
    totals = engine.ctx.ledger.totals(backfill.id)
    assert (totals.done, totals.changed) == (1, 800), "a window written twice counts once, the one in flight"
    backfill.undo(engine.ctx)
    assert engine.keys() == {identity: "default" if n % 5 == 0 else None for n, identity in enumerate(points)}


def test_many_tenants_make_few_requests(engine: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window over hundreds of tenants is a handful of requests, not one for each."""
    tenants = [f"t{number}" for number in range(600)]
    with engine.ctx.postgres.connection() as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO proyectos VALUES (%s)", [(tenant,) for tenant in tenants])
    points = ids(3000)
    expected = {identity: tenants[n % 600] for n, identity in enumerate(points)}
    engine.rows(dict(expected))
    engine.points({identity: {} for identity in points})
    requests: list[int] = []
    real = engine.store.update

    def update(collection: str, operations: Sequence[Mapping[str, Any]]) -> None:
        requests.append(len(operations))
        real(collection, operations)

    monkeypatch.setattr(engine.store, "update", update)
    drive(SetPayload(object=COLLECTION, spec=spec()), engine.ctx)
    assert engine.keys() == expected
    assert len(requests) <= 4
    assert sum(requests) == 600


def test_an_old_writer_loses_nothing_and_leaves_nothing_untagged(
    engine: App, qdrant_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upserts without the key, payload edits and deletions go on during the backfill, and all of them stand."""
    monkeypatch.setattr(set_payload, "WINDOW", 250)
    monkeypatch.setattr(set_payload, "LARGEST_WINDOW", 250)
    points = ids(4000)
    born, kept, gone = points[3000:], points[:2000], points[2000:3000]
    expected = {identity: ("acme", "beta")[n % 2] for n, identity in enumerate(points)}
    engine.rows(dict(expected))
    engine.points({identity: {"archivo": "old"} for identity in [*kept, *gone]})
    running, wrote = threading.Event(), threading.Event()
    edits: dict[str, int] = {}

    def write() -> None:
        client = QdrantClient(url=qdrant_url, timeout=60, check_compatibility=False)
        turn = 0
        while not running.is_set() or turn < 20:
            turn += 1
            new, again, dead = born[turn % 1000], kept[(turn * 7) % 2000], gone[turn % 1000]
            structs = [models.PointStruct(id=i, vector=[1, 2, 3, 4], payload={"turn": turn}) for i in (new, again)]
            client.upsert(COLLECTION, structs, wait=True)
            client.delete(COLLECTION, [dead], wait=True)
            edits[new] = edits[again] = turn
            edits[dead] = -1
            wrote.set()
        client.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert wrote.wait(30)
        backfill = SetPayload(object=COLLECTION, spec=spec(QUARANTINE))
        drive(backfill, engine.ctx)
    finally:
        running.set()
        writer.join(60)
    assert backfill.sweep(engine.ctx).left == 0
    found = engine.payloads()
    assert {identity: payload.get("project_id") for identity, payload in found.items()} == {
        identity: expected[str(identity)] for identity in found
    }
    for identity, turn in edits.items():
        if turn == -1:
            assert identity not in found, "a deleted point stays deleted"
        else:
            assert found[identity]["turn"] == turn, "the writer's last word stands"
    assert len([turn for turn in edits.values() if turn >= 0]) >= 40
