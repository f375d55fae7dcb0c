"""Ranges are worked off by as many threads as the limit allows at the moment, and the first error stops them all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import pytest

from key_kit import KEY
from tenure.attribution.items import Lookups
from tenure.errors import InterruptedRunError, StoreError
from tenure.ledger import Ledger
from tenure.operations.base import Claim, Operation, Step
from tenure.runner.context import Context, Limits
from tenure.runner.workers import work_off
from tenure.stores.postgres import PostgresStore
from tenure.values import Phase, Store


class FakeLedger:
    """Hands out numbered ranges of three batches and remembers how far each came."""

    def __init__(self, ranges: int) -> None:
        self._lock = threading.Lock()
        self.open = list(range(ranges))
        self.advanced: list[tuple[int, Any]] = []

    def claim(self, operation: str, token: str) -> Claim | None:
        with self._lock:
            if not self.open:
                return None
            return Claim(operation=operation, number=self.open.pop(0), token=token, bounds={})

    def advance(self, claim: Claim, cursor: Mapping[str, Any] | None, *, changed: int, seen: int) -> None:
        with self._lock:
            self.advanced.append((claim.number, cursor))


class Batches(Operation):
    """Does nothing, in three batches a range."""

    kind: ClassVar[str] = "test_batches"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    ranged: ClassVar[bool] = True

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        number = int((claim.cursor or {}).get("batch", 0)) + 1
        return Step(cursor={"batch": number} if number < 3 else None, changed=1, seen=1)


def context(ledger: FakeLedger, workers: int) -> Context:
    return Context(
        key=KEY,
        postgres=PostgresStore(""),
        ledger=cast(Ledger, ledger),
        lookups=cast(Lookups, None),
        limits=Limits(workers={"postgres": workers}),
    )


def test_every_range_comes_to_its_end_once() -> None:
    ledger = FakeLedger(20)
    work_off(context(ledger, 3), Batches(object="t"), lambda operation: None)
    assert sorted(number for number, cursor in ledger.advanced if cursor is None) == list(range(20))
    assert len(ledger.advanced) == 60


def test_a_limit_that_is_raised_brings_threads_in() -> None:
    ledger = FakeLedger(8)
    ctx = context(ledger, 1)
    seen: set[int] = set()
    two = threading.Barrier(2, timeout=30)

    def hold(operation: Operation) -> None:
        seen.add(threading.get_ident())
        if len(seen) == 1 and ctx.limits.workers["postgres"] == 1:
            ctx.limits = ctx.limits.with_controls({"workers.postgres": "2"})
        if not two.broken and len(ledger.advanced) < 3:
            two.wait()

    work_off(ctx, Batches(object="t"), hold)
    assert len(seen) == 2


def test_the_first_error_stops_all_and_is_the_one_that_is_raised() -> None:
    ledger = FakeLedger(50)

    class Broken(Batches):
        kind: ClassVar[str] = "test_broken"

        def run_batch(self, ctx: Context, claim: Claim) -> Step:
            if claim.number == 3:
                raise StoreError(store="postgres", problem="it broke.", remedy="")
            return super().run_batch(ctx, claim)

    with pytest.raises(StoreError):
        work_off(context(ledger, 2), Broken(object="t"), lambda operation: None)
    assert ledger.open, "the other thread went on to the end"


def test_a_request_to_stop_ends_after_the_batch_in_hand() -> None:
    ledger = FakeLedger(5)
    ctx = context(ledger, 1)

    def hold(operation: Operation) -> None:
        if len(ledger.advanced) == 2:
            ctx.signal.set("asked")

    with pytest.raises(InterruptedRunError):
        work_off(ctx, Batches(object="t"), hold)
    assert len(ledger.advanced) == 2
