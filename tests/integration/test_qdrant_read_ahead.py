"""Windows that are read while the one before is written: what writers do in between stands, what is old is not used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import models
from qdrant_kit import COLLECTION, KEY, App, application, drive, ids, spec

from tenure.attribution.spec import Policy
from tenure.operations import payload_writes, read_ahead, set_payload
from tenure.operations.base import Claim
from tenure.operations.set_payload import BASELINE, SetPayload
from tenure.stores.qdrant import Page

pytestmark = pytest.mark.qdrant


@pytest.fixture
def app(postgres_dsn: str, qdrant_url: str) -> Iterator[App]:
    """The application on the engine, with 600 points that no key was given yet."""
    with application(postgres_dsn, qdrant_url) as found:
        found.rows({identity: ("acme", "beta")[n % 2] for n, identity in enumerate(ids(600))})
        found.points({identity: {} for identity in ids(600)})
        yield found


EXPECTED = {identity: ("acme", "beta")[n % 2] for n, identity in enumerate(ids(600))}
# The store gives points in the order of their ids: those of the second window of 200.
SECOND = sorted(EXPECTED)[200:400]


THIRD = sorted(EXPECTED)[400:]


def second_is_read(app: App, monkeypatch: pytest.MonkeyPatch, first: str = SECOND[0]) -> threading.Event:
    """Make windows of 200 points, and return what is set when the second, or that which begins at *first*, was read."""
    monkeypatch.setattr(set_payload, "WINDOW", 200)
    monkeypatch.setattr(set_payload, "LARGEST_WINDOW", 200)
    read, scroll = threading.Event(), app.store.scroll

    def noted(collection: str, **options: Any) -> Page:
        page = scroll(collection, **options)
        if options.get("offset") == first:
            read.set()
        return page

    monkeypatch.setattr(app.store, "scroll", noted)
    return read


def test_what_writers_do_to_a_window_that_was_read_stands(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the application sets, a payload that it replaces, a point that it deletes, all after the reading."""
    read = second_is_read(app, monkeypatch)
    keyed, replaced, deleted = SECOND[0], SECOND[1], SECOND[2]
    other = {"acme": "beta", "beta": "acme"}[EXPECTED[keyed]]

    def write(_: Claim, batch: int) -> None:
        if batch == 0:
            assert read.wait(30), "the second window is read while the first is written"
            assert app.keys()[keyed] is None, "nothing is written ahead"
            client = app.store.client
            client.set_payload(COLLECTION, {KEY.name: other}, points=[keyed], wait=True)
            point = models.PointStruct(id=replaced, vector=[1.0, 0.0, 0.0, 0.0], payload={"archivo": "new"})
            client.upsert(COLLECTION, [point], wait=True)
            client.delete(COLLECTION, [deleted], wait=True)

    operation = SetPayload(object=COLLECTION, spec=spec())
    assert drive(operation, app.ctx, before_advance=write).left == 0
    assert app.keys() == {**{i: key for i, key in EXPECTED.items() if i != deleted}, keyed: other}
    assert app.payloads()[replaced]["archivo"] == "new"
    assert app.ctx.ledger.totals(operation.id).seen == 600


@pytest.mark.parametrize("others", [False, True], ids=["alone", "with others"])
def test_what_changed_is_counted_where_somebody_else_wrote(
    app: App, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    """A point that is deleted after it was read is not among the changed; when nobody did that nothing is counted."""
    read = second_is_read(app, monkeypatch, THIRD[0])
    counted: list[str] = []
    keyed = payload_writes._keyed

    def noted(store: Any, rule: Any, batch: payload_writes.Batch) -> int:
        counted.extend(str(identity) for ids_, *_ in batch for identity in ids_)
        return keyed(store, rule, batch)

    monkeypatch.setattr(payload_writes, "_keyed", noted)

    def delete(_: Claim, batch: int) -> None:
        if batch == 1:
            assert read.wait(30)
            if others:
                app.store.client.delete(COLLECTION, [THIRD[7]], wait=True)

    operation = SetPayload(object=COLLECTION, spec=spec())
    assert drive(operation, app.ctx, before_advance=delete).left == 0
    assert app.ctx.ledger.totals(operation.id).changed == 600 - others
    assert bool(set(counted) & set(THIRD)) is others
    assert set(counted) >= set(SECOND), "nothing is known of others before our own first write"


def test_what_was_read_long_ago_is_read_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is given to another tenant while a run is paused decides by what it says then."""
    monkeypatch.setattr(read_ahead, "FRESH_S", 0.0)
    read = second_is_read(app, monkeypatch)
    moved = SECOND[5]
    other = {"acme": "beta", "beta": "acme"}[EXPECTED[moved]]

    def pause(_: Claim, batch: int) -> None:
        if batch == 0:
            assert read.wait(30)
            with app.ctx.postgres.connection() as connection:
                connection.execute("UPDATE frag SET project_id = %s WHERE id = %s", (other, moved))

    drive(SetPayload(object=COLLECTION, spec=spec()), app.ctx, before_advance=pause)
    assert app.keys() == {**EXPECTED, moved: other}


def test_a_reading_that_fails_fails_the_batch_that_needs_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first window is written and counts; a second run goes on behind it."""
    second_is_read(app, monkeypatch)
    scroll = app.store.scroll
    with monkeypatch.context() as broken:

        def fails(collection: str, **options: Any) -> Page:
            if options.get("offset") == SECOND[0]:
                raise ConnectionError("away")
            return scroll(collection, **options)

        broken.setattr(app.store, "scroll", fails)
        operation = SetPayload(object=COLLECTION, spec=spec())
        with pytest.raises(ConnectionError, match="away"):
            drive(operation, app.ctx)
    assert app.ctx.ledger.totals(operation.id).changed == 200
    assert drive(operation, app.ctx).left == 0
    assert app.keys() == EXPECTED
    assert app.ctx.ledger.totals(operation.id).changed == 600


def test_a_collection_without_any_key_is_counted_by_the_store(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read to count it; one key that is there, or points that may stay without, are read for."""
    pages: list[str] = []
    scroll = app.store.scroll

    def noted(collection: str, **options: Any) -> Page:
        pages.append(collection)
        return scroll(collection, **options)

    monkeypatch.setattr(app.store, "scroll", noted)
    operation = SetPayload(object=COLLECTION, spec=spec())
    assert operation.count(app.ctx) == 600
    assert pages == []
    assert app.ctx.ledger.baseline(BASELINE, COLLECTION) == {"points": 600, "keyed": 0}

    with app.ctx.postgres.connection() as connection:
        connection.execute("UPDATE frag SET project_id = NULL WHERE id = %s", (SECOND[0],))
    assert SetPayload(object=COLLECTION, spec=spec(Policy(unassigned="keep_null"))).count(app.ctx) == 599
    assert pages
    app.store.client.set_payload(COLLECTION, {KEY.name: "acme"}, points=[next(iter(EXPECTED))], wait=True)
    assert operation.count(app.ctx) == 599
