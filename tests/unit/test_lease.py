"""A lease while the database is away: nothing is started, and what was held is held on to where nobody else took it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import psycopg
import pytest

from tenure.errors import LeaseLostError, StoreUnreachableError
from tenure.ledger import Ledger
from tenure.runner.context import StopSignal
from tenure.runner.lease import held

LOST = psycopg.OperationalError("server closed the connection unexpectedly")


class Leases:
    """A ledger's lease whose beats can fail."""

    def __init__(self, fate: Callable[[], None]) -> None:
        self.fate = fate
        self.beats = 0
        self.token = ""
        self.dropped = False

    def take_lease(self, holder: str, seconds: float, token: str, *, process: str = "", dead: str | None = None) -> str:
        self.token = token
        return token

    def beat_lease(self, token: str, seconds: float) -> None:
        self.fate()
        self.beats += 1

    def drop_lease(self, token: str) -> None:
        self.dropped = True


def _work_until_told(signal: StopSignal) -> None:
    while True:
        signal.check("batch")
        time.sleep(0.01)


def test_a_lease_outlives_a_database_that_is_away_for_longer_than_it() -> None:
    back = threading.Event()

    def fate() -> None:
        if not back.is_set():
            raise LOST

    ledger, signal = Leases(fate), StopSignal()
    with held(cast(Ledger, ledger), "me", signal, lease_seconds=0.2):
        until = time.monotonic() + 10
        while not signal.in_doubt():
            assert time.monotonic() < until
            time.sleep(0.01)
        assert not signal.is_set()
        back.set()
        signal.check("batch")  # returns once the lease is known to be its own again
        assert not signal.in_doubt()
    assert ledger.dropped


def test_a_lease_that_another_took_meanwhile_is_given_up() -> None:
    tries = iter(range(3))

    def fate() -> None:
        if next(tries, None) is not None:
            raise LOST
        raise LeaseLostError(token="t")

    ledger, signal = Leases(fate), StopSignal()
    with pytest.raises(LeaseLostError), held(cast(Ledger, ledger), "me", signal, lease_seconds=0.2):
        _work_until_told(signal)
    assert not ledger.dropped


def test_a_database_that_stays_away_ends_the_run_as_what_it_is() -> None:
    def fate() -> None:
        raise StoreUnreachableError(store="postgres", address="x", problem="gone for good")

    signal = StopSignal()
    with (
        pytest.raises(StoreUnreachableError, match="gone for good"),
        held(cast(Ledger, Leases(fate)), "me", signal, lease_seconds=0.2),
    ):
        _work_until_told(signal)
