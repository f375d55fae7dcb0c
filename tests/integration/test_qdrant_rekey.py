"""New point ids: the copy and its catch-up, the switch of the alias, overwritten points, and the way back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import models
from qdrant_kit import COLLECTION, KEY, QUARANTINE, App, Killed, application, drive, ids

from tenure.attribution.points import PointSpec
from tenure.attribution.spec import ItemRule, RowSource
from tenure.errors import OperationFailedError, RefusedError, StoreError
from tenure.operations import copy_points
from tenure.operations.copy_points import CopyPoints
from tenure.operations.rekey_points import LostVectors, RekeyPoints
from tenure.operations.set_payload import SetPayload
from tenure.stores.qdrant_copy import alias_target, point_alias
from tenure.values import TableName

TARGET, ALIAS = "fragments__project_id", "readers"
TEMPLATE = "{tenant}|{archivo}|{par_idx}"
Points = dict[str | int, tuple[dict[str, Any], list[float]]]


def new_id(tenant: str, archivo: str, par_idx: Any) -> str:
    """The id that the template makes, by hand."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant}|{archivo}|{par_idx}"))


def spec(*, unique: bool = True) -> PointSpec:
    """The collection, driven by rows that are unique by id or not."""
    rows = RowSource(table=TableName(name="frag"), column="id", column_type="uuid", unique=unique)
    return PointSpec(collection=COLLECTION, rule=ItemRule(key=KEY, sources=(rows,), policy=QUARANTINE))


def operations(rows: PointSpec, **fields: Any) -> tuple[CopyPoints, RekeyPoints]:
    """The copy and the switch."""
    shared: dict[str, Any] = {
        "object": COLLECTION,
        "collection": COLLECTION,
        "spec": rows,
        "template": TEMPLATE,
        "namespace": str(uuid.NAMESPACE_URL),
        "target": TARGET,
        "alias": ALIAS,
        **fields,
    }
    return CopyPoints(**shared), RekeyPoints(**shared, waiting="")


def read(app: App, collection: str) -> Points:
    """Everything in a collection, read past the code under test; vectors rounded."""
    records, offset = app.store.client.scroll(collection, limit=10_000, with_payload=True, with_vectors=True)
    assert offset is None
    found: Points = {}
    for record in records:
        assert isinstance(record.vector, list)
        assert isinstance(record.id, str | int)
        found[record.id] = (record.payload or {}, [round(float(part), 4) for part in record.vector])  # type: ignore[arg-type]
    return found


def write(app: App, collection: str, identity: str, payload: dict[str, Any], vector: list[float]) -> None:
    """Upsert one point as the application does."""
    point = models.PointStruct(id=identity, vector=vector, payload=payload)
    app.store.client.upsert(collection, [point], wait=True)


@pytest.fixture
def app(postgres_dsn: str, qdrant_url: str) -> Iterator[App]:
    """120 keyed points of two tenants with the same file names, and an alias that readers use."""
    with application(postgres_dsn, qdrant_url) as found:
        points = ids(120)
        found.rows({identity: ("acme", "beta")[n % 2] for n, identity in enumerate(points)})
        structs = [
            models.PointStruct(
                id=identity,
                vector=[n + 1.0, 2.0, 0.0, 1.0],
                payload={"archivo": f"file{n // 20}", "par_idx": n // 2, "project_id": ("acme", "beta")[n % 2]},
            )
            for n, identity in enumerate(points)
        ]
        found.store.client.upsert(COLLECTION, structs, wait=True)
        found.store.client.create_payload_index(COLLECTION, "archivo", models.PayloadSchemaType.KEYWORD, wait=True)
        found.store.create_index(COLLECTION, "project_id", "keyword", is_tenant=True)
        point_alias(found.store, ALIAS, COLLECTION)
        yield found


def expected(old: Points) -> Points:
    """What the new collection must hold."""
    return {new_id(p["project_id"], p["archivo"], p["par_idx"]): (p, vector) for p, vector in old.values()}


def test_copy_catch_up_switch_and_back(app: App) -> None:
    """Old writers change, delete and add while the copy is made, new ones after the switch; nothing is lost."""
    copy, switch = operations(spec())
    before = read(app, COLLECTION)
    drive(copy, app.ctx)
    assert read(app, TARGET) == expected(before)
    assert app.store.indexes(TARGET) == app.store.indexes(COLLECTION)
    assert app.store.collection(TARGET).config.params == app.store.collection(COLLECTION).config.params

    first, second, third = ids(3)
    write(app, COLLECTION, first, {**before[first][0], "text": "edited"}, [9.0, 9.0, 0.0, 1.0])
    app.store.client.delete(COLLECTION, [second], wait=True)
    write(app, COLLECTION, third, {"archivo": "other", "par_idx": 7.0, "project_id": "acme"}, [1.0, 0.0, 0.0, 0.0])
    assert copy.check(app.ctx).left == 4, "one changed, one gone, one under another name"
    assert copy.sweep(app.ctx).changed == 4
    old = read(app, COLLECTION)
    moved = read(app, TARGET)
    assert set(moved) == {
        new_id(p["project_id"], p["archivo"], str(p["par_idx"]).removesuffix(".0")) for p, _ in old.values()
    }

    outcome = switch.apply(app.ctx)
    assert outcome.changed == len(old) == 119
    assert alias_target(app.store, ALIAS) == TARGET
    assert switch.apply(app.ctx).changed == 0
    assert switch.check(app.ctx).left == 0
    entries = app.ctx.ledger.journal_entries(switch.id)
    pairs = [(pair[0], pair[1]) for item, _, _ in entries for pair in item.get("ids", ())]
    assert len(pairs) == 119
    assert dict(pairs)[first] in moved

    # What the application writes through the alias from now on.
    changed, gone = dict(pairs)[first], dict(pairs)[ids(5)[4]]
    born = new_id("beta", "new", 1)
    write(app, ALIAS, changed, {**moved[changed][0], "text": "again"}, [5.0, 5.0, 5.0, 5.0])
    app.store.client.delete(ALIAS, [gone], wait=True)
    write(app, ALIAS, born, {"archivo": "new", "par_idx": 1, "project_id": "beta"}, [0.0, 0.0, 0.0, 1.0])
    late = read(app, ALIAS)
    with pytest.raises(StoreError, match="Roll the cutover back first"):
        copy.undo(app.ctx)
    assert switch.undo(app.ctx).changed == 3
    assert alias_target(app.store, ALIAS) == COLLECTION
    back = read(app, COLLECTION)
    assert back[first] == late[changed]
    assert back[born] == late[born]
    assert ids(5)[4] not in back
    untouched = set(old) - {first, ids(5)[4]}
    assert {identity: back[identity] for identity in untouched} == {identity: old[identity] for identity in untouched}
    assert len(back) == len(late)
    assert switch.undo(app.ctx).changed == 0
    copy.undo(app.ctx)
    assert TARGET not in app.store.collections()
    app.ctx.ledger.forget_operation(copy.id)  # as a rollback does
    drive(copy, app.ctx)
    assert switch.apply(app.ctx).changed == len(back), "the way forward is open again"


def test_a_born_point_without_key_is_keyed_after_the_switch(app: App) -> None:
    """The copy's sweep goes on in the new collection."""
    copy, switch = operations(spec())
    drive(copy, app.ctx)
    switch.apply(app.ctx)
    late = ids(200)[150]
    app.rows({late: "beta"})
    write(app, ALIAS, late, {"archivo": "late"}, [1.0, 1.0, 1.0, 1.0])
    assert copy.sweep(app.ctx).changed == 1
    assert read(app, TARGET)[late][0]["project_id"] == "beta"


def test_what_old_writers_bring_and_take_during_a_catch_up_is_no_failure(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a page's reading and its writing an old writer adds, edits and deletes; it sends no key."""
    monkeypatch.setattr("tenure.stores.qdrant_copy.WHOLE_PAGE", 20)
    copy, switch = operations(spec())
    drive(copy, app.ctx)
    inner = sorted(ids(120))
    before, early, late = (str(uuid.UUID(int=(1 << 128) - 1 - n)) for n in range(3))
    app.rows({before: "beta", early: "acme", late: "beta"})
    write(app, COLLECTION, before, {"archivo": "born", "par_idx": 0}, [1.0, 1.0, 0.0, 0.0])
    real, deeds = CopyPoints.wanted, iter([True])

    def wanted(self: CopyPoints, *arguments: Any) -> Any:
        found = real(self, *arguments)
        if next(deeds, False):
            for number, identity in enumerate((early, late), start=1):
                write(app, COLLECTION, identity, {"archivo": "born", "par_idx": number}, [1.0, 1.0, 0.0, 0.0])
            app.store.client.delete(COLLECTION, [inner[0]], wait=True)
            app.store.client.set_payload(COLLECTION, {"text": "edited"}, points=[inner[1]], wait=True)
        return found

    monkeypatch.setattr(CopyPoints, "wanted", wanted)
    outcome = copy.sweep(app.ctx)
    assert (outcome.changed, outcome.left) == (1, 0), "what was born before the sweep came over with a key"
    assert "2 point(s) were born meanwhile" in outcome.note
    assert copy.check(app.ctx).left == 4, "two born, one gone, one edited: all seen"
    assert copy.sweep(app.ctx).changed == 4
    old = read(app, COLLECTION)
    assert {old[identity][0]["project_id"] for identity in (before, late)} == {"beta"}
    assert read(app, TARGET) == expected(old)
    assert switch.apply(app.ctx).changed == len(old) == 122
    assert switch.undo(app.ctx).changed == 0
    assert read(app, COLLECTION) == old


def test_a_point_that_nobody_can_decide_is_left(app: App) -> None:
    """A writer at work does not hide what has no tenant at all."""
    rows = RowSource(table=TableName(name="frag"), column="id", column_type="uuid", unique=True)
    policy = QUARANTINE.model_copy(update={"unassigned": "fail"})
    strict = PointSpec(collection=COLLECTION, rule=ItemRule(key=KEY, sources=(rows,), policy=policy))
    copy, switch = operations(strict)
    drive(copy, app.ctx)
    nobodys, born = ids(122)[120:]
    app.rows({nobodys: None, born: "acme"})
    for number, identity in enumerate((nobodys, born)):
        write(app, COLLECTION, identity, {"archivo": "born", "par_idx": number}, [1.0, 1.0, 0.0, 0.0])
    outcome = copy.sweep(app.ctx)
    assert (outcome.planned, outcome.changed, outcome.left) == (2, 1, 1)
    with pytest.raises(OperationFailedError):
        switch.apply(app.ctx)


def test_a_point_that_is_replaced_under_a_new_id_is_not_two(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that reads a point before and the one that takes its place after does not hold them for two of one id."""
    monkeypatch.setattr("tenure.stores.qdrant_copy.WHOLE_PAGE", 20)
    copy, switch = operations(spec())
    drive(copy, app.ctx)
    gone, fresh = min(ids(120)), str(uuid.UUID(int=(1 << 128) - 1))
    payload, vector = read(app, COLLECTION)[gone]
    real, deeds = CopyPoints.wanted, iter([True])

    def wanted(self: CopyPoints, *arguments: Any) -> Any:
        found = real(self, *arguments)
        if next(deeds, False):
            app.rows({fresh: payload["project_id"]})
            write(app, COLLECTION, fresh, {**payload, "text": "indexed again"}, vector)
            app.store.client.delete(COLLECTION, [gone], wait=True)
        return found

    monkeypatch.setattr(CopyPoints, "wanted", wanted)
    outcome = copy.sweep(app.ctx)
    assert (outcome.left, outcome.note) == (0, "")
    now = read(app, COLLECTION)
    assert now[fresh][0]["text"] == "indexed again"
    assert gone not in now
    copy.sweep(app.ctx)
    assert read(app, TARGET) == expected(now)
    assert switch.apply(app.ctx).changed == len(now) == 120


def test_a_kill_while_copying_costs_a_batch(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy after a kill and a second run is the copy of an undisturbed one."""
    monkeypatch.setattr("tenure.stores.qdrant_copy.WHOLE_PAGE", 20)
    monkeypatch.setattr(copy_points, "PAGES", 2)
    copy, _ = operations(spec())

    def kill(_: object, batch: int) -> None:
        if batch == 1:
            raise Killed

    with pytest.raises(Killed):
        drive(copy, app.ctx, before_advance=kill)
    assert len(read(app, TARGET)) == 80
    assert drive(copy, app.ctx).changed == 0
    assert read(app, TARGET) == expected(read(app, COLLECTION))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"archivo": "file0", "project_id": "acme"}, "has no par_idx"),
        ({"archivo": "file0", "par_idx": 0, "project_id": "acme"}, "would all become"),
    ],
)
def test_points_that_cannot_be_named_stop_it_before_a_write(app: App, payload: dict[str, Any], message: str) -> None:
    """A missing field, or two points of one name: said by id, and no collection is made."""
    write(app, COLLECTION, ids(130)[129], payload, [1.0, 0.0, 0.0, 0.0])
    copy, _ = operations(spec())
    with pytest.raises(OperationFailedError, match=message) as raised:
        copy.count(app.ctx)
    assert ids(130)[129] in str(raised.value)
    assert TARGET not in app.store.collections()


def test_what_cannot_be_switched_is_refused(app: App) -> None:
    """Without an alias, with a collection's own name for one, and over a collection that is not tenure's."""
    _, raw_name = operations(spec(), alias=None)
    with pytest.raises(RefusedError, match="let the application use an alias"):
        raw_name.apply(app.ctx)
    _, own_name = operations(spec(), alias=COLLECTION)
    with pytest.raises(RefusedError, match="is the name of a collection"):
        own_name.apply(app.ctx)
    app.store.client.create_collection(
        TARGET, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE)
    )
    copy, switch = operations(spec())
    with pytest.raises(StoreError, match="tenure did not make it"):
        list(copy.ranges(app.ctx))
    assert copy.undo(app.ctx).changed == 0
    assert TARGET in app.store.collections()
    waiting = switch.model_copy(update={"waiting": "re-keying comes with cutover"})
    with pytest.raises(RefusedError, match="re-keying comes with cutover"):
        waiting.apply(app.ctx)


@pytest.fixture
def collided(postgres_dsn: str, qdrant_url: str) -> Iterator[App]:
    """Two tenants with rows of equal ids: the point holds what was written last."""
    with application(postgres_dsn, qdrant_url) as found:
        one, two, three, four = ids(4)
        with found.ctx.postgres.connection() as connection:
            connection.execute("DROP TABLE frag")
            connection.execute(
                "CREATE TABLE frag (project_id text, id uuid, archivo text, par_idx int, fragmento text, "
                "embedding float8[], PRIMARY KEY (project_id, id))"
            )
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO frag VALUES (%s, %s, 'a', %s, %s, %s)",
                    [
                        ("acme", one, 1, "acme's words", [1.0, 0.0, 0.0, 0.0]),
                        ("beta", one, 1, "beta's words", [0.0, 1.0, 0.0, 0.0]),
                        ("acme", two, 2, "only acme", [0.0, 0.0, 1.0, 0.0]),
                        ("acme", three, 3, "lost", None),
                        ("beta", three, 3, "beta has it", [0.0, 0.0, 0.0, 1.0]),
                        ("acme", four, 4, "never indexed", [1.0, 1.0, 0.0, 0.0]),
                        ("beta", four, 4, "never indexed", [1.0, 1.0, 0.0, 0.0]),
                    ],
                )
        for identity, index, text in ((one, 1, "beta's words"), (two, 2, "only acme"), (three, 3, "beta has it")):
            write(
                found, COLLECTION, identity, {"archivo": "a", "par_idx": index, "fragmento": text}, [0.0, 0.6, 0.8, 0.0]
            )
        point_alias(found.store, ALIAS, COLLECTION)
        yield found


def test_an_overwritten_point_is_had_again(collided: App) -> None:
    """Each tenant gets its own point: the one that agrees keeps its vector, the lost one gets the column's; one that
    has none is said; points that never existed are not made up."""
    app, rows = collided, spec(unique=False)
    drive(SetPayload(object=COLLECTION, spec=rows), app.ctx)
    one, two, three, _ = ids(4)
    assert app.keys() == {one: "__quarantine__", two: "acme", three: "__quarantine__"}
    copy, switch = operations(rows, lost=LostVectors(table=TableName(name="frag"), column="embedding"))
    assert copy.count(app.ctx) == 4
    outcome = drive(copy, app.ctx)
    assert "1 overwritten point(s) have no vector left" in outcome.note
    had = {(p["project_id"], p["par_idx"], p["fragmento"], tuple(vector)) for p, vector in read(app, TARGET).values()}
    assert had == {
        ("acme", 1, "acme's words", (1.0, 0.0, 0.0, 0.0)),
        ("beta", 1, "beta's words", (0.0, 0.6, 0.8, 0.0)),
        ("acme", 2, "only acme", (0.0, 0.6, 0.8, 0.0)),
        ("beta", 3, "beta has it", (0.0, 0.6, 0.8, 0.0)),
    }
    assert set(read(app, TARGET)) == {new_id("acme", "a", n) for n in (1, 2)} | {new_id("beta", "a", n) for n in (1, 3)}

    switch.apply(app.ctx)
    mine = new_id("acme", "a", 1)
    write(app, ALIAS, mine, {"archivo": "a", "par_idx": 1, "fragmento": "new", "project_id": "acme"}, [1.0, 0, 0, 0])
    with pytest.raises(RefusedError, match=mine):
        switch.undo(app.ctx)
    assert alias_target(app.store, ALIAS) == TARGET, "refused before anything was written"
    app.store.client.delete(ALIAS, [mine], wait=True)
    switch.undo(app.ctx)
    assert set(read(app, COLLECTION)) == {one, two, three}
