"""The memory of the graph's transactions holds a run back: what Community servers of both lines really tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tenure.operations.base import Operation
from tenure.playbook.limits import Thresholds
from tenure.runner.gauges_neo4j import TransactionMemory, memory
from tenure.stores.neo4j import Neo4jStore

NODES = 60_000


@pytest.fixture
def store(neo4j_url: str) -> Iterator[Neo4jStore]:
    """The empty graph."""
    with Neo4jStore(neo4j_url) as found:
        yield found


def read(gauge: TransactionMemory, share: str, held: bool = False) -> list[str]:
    """Return the reasons of *gauge* under a limit of *share*."""
    thresholds = Thresholds.model_validate({"neo4j_memory": share})
    return [hold.reason for hold in gauge.read(thresholds, cast(Operation, None), held)]


def test_transactions_that_use_up_their_memory(store: Neo4jStore) -> None:
    gauge = TransactionMemory(store)
    assert read(gauge, "1%") == []
    assert gauge._limits["server"] > 2**20, "the server's own limit, or its heap"
    with store.driver.session(database=store.database) as session:
        transaction = session.begin_transaction()
        transaction.run("UNWIND range(1, $n) AS i CREATE (:Big {i: i, text: 'some text'})", n=NODES).consume()
        (reason,) = read(gauge, "1%")
        assert reason.startswith("the transactions of the server use ")
        assert reason.endswith("of their memory (neo4j_memory 1%)")
        assert read(gauge, "100%") == []
        transaction.rollback()
    assert read(gauge, "1%", held=True) == []


class Answers:
    """A store that answers as a server does."""

    database = None

    def __init__(self, settings: dict[str, str], used: dict[str, int], heap: dict[str, int] | None = None) -> None:
        self._settings, self._used, self._heap = settings, used, heap

    def read(self, query: str) -> list[dict[str, Any]]:
        if query.startswith("SHOW TRANSACTIONS"):
            return [{"database": name, "used": used} for name, used in self._used.items()]
        if query.startswith("SHOW SETTINGS"):
            return [{"name": name, "value": value} for name, value in self._settings.items()]
        assert self._heap is not None
        return [{"heap": {"description": "java.lang.management.MemoryUsage", "properties": self._heap}}]


SERVER, DATABASE = "dbms.memory.transaction.total.max", "db.memory.transaction.total.max"


@pytest.mark.parametrize(
    ("answers", "reasons"),
    [
        (Answers({SERVER: "100.00MiB", DATABASE: "0B"}, {"neo4j": 80 * 2**20}), ["server use 80%"]),
        (
            Answers({SERVER: "100.00MiB", DATABASE: "0B"}, {"neo4j": 40 * 2**20, "other": 35 * 2**20}),
            ["server use 75%"],
        ),
        (Answers({SERVER: "1.00GiB", DATABASE: "64.00MiB"}, {"neo4j": 60 * 2**20}), ["database use 94%"]),
        (Answers({SERVER: "1.00GiB", DATABASE: "64.00MiB"}, {"other": 60 * 2**20}), []),
        # Without a limit of its own a server has its heap.
        (Answers({SERVER: "0B"}, {"neo4j": 80 * 2**20}, {"max": 100 * 2**20, "used": 1}), ["server use 114%"]),
        (Answers({SERVER: "0B"}, {"neo4j": 80 * 2**20}, {"max": -1, "committed": 400 * 2**20}), []),
    ],
)
def test_which_memory_counts(answers: Answers, reasons: list[str]) -> None:
    found = read(TransactionMemory(cast(Neo4jStore, answers)), "70%")
    assert len(found) == len(reasons)
    assert all(wanted in reason for wanted, reason in zip(reasons, found, strict=True))


@pytest.mark.parametrize(
    ("text", "amount"),
    [("346.46MiB", 346.46 * 2**20), ("2.00GiB", 2 * 2**30), ("0B", 0), ("512", 512), (None, 0), ("unknown", 0)],
)
def test_amounts_as_the_server_writes_them(text: str | None, amount: float) -> None:
    assert memory(text) == pytest.approx(amount)
