"""What Neo4j says of its health: the memory of its transactions. Community has neither metrics nor pools to ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from tenure.runner.throttle import Gauge, Hold, over

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.playbook.limits import Thresholds
    from tenure.stores.neo4j import Neo4jStore

# What is estimated of each transaction's heap, of all databases: they share what they may use.
_USED = (
    "SHOW TRANSACTIONS YIELD database, estimatedUsedHeapMemory RETURN database, sum(estimatedUsedHeapMemory) AS used"
)
_LIMITS = (
    "SHOW SETTINGS 'dbms.memory.transaction.total.max', 'db.memory.transaction.total.max' YIELD name, value "
    "RETURN name, value"
)
_HEAP = "CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes RETURN attributes.HeapMemoryUsage.value AS heap"
# The limits can be changed on a running server, which nobody does often.
LIMITS_SECONDS = 60.0
# A server without a limit of its own still has to live in its heap; it sets 70 % by default.
SHARE_OF_HEAP = 0.7
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kKMGT]?)i?B?")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def neo4j_gauges(store: Neo4jStore) -> list[Gauge]:
    """Return the gauges of a Neo4j database."""
    return [TransactionMemory(store)]


class TransactionMemory:
    """How much of the memory that transactions may use they do use. What goes past it fails with a memory error."""

    limit = "neo4j_memory"

    def __init__(self, store: Neo4jStore) -> None:
        """Know no limits yet."""
        self._store = store
        self._limits: dict[str, float] = {}
        self._read_at = 0.0

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold while the transactions of the server, or of the database, use more than their share."""
        now = monotonic()
        if not self._limits or now - self._read_at > LIMITS_SECONDS:
            self._limits, self._read_at = self._ask_limits(), now
        used = {row["database"]: float(row["used"] or 0) for row in self._ask(_USED)}
        share = thresholds.neo4j_memory or 1.0
        for name, amount in (
            ("server", sum(used.values())),
            ("database", used.get(self._store.database or "neo4j", 0.0)),
        ):
            most = self._limits.get(name, 0.0)
            if most and over(amount / most, share, held):
                text = (
                    f"the transactions of the {name} use {amount / most:.0%} of their memory ({self.limit} {share:.0%})"
                )
                yield Hold(self.limit, text, name)

    def _ask_limits(self) -> dict[str, float]:
        found = {row["name"]: memory(row["value"]) for row in self._ask(_LIMITS)}
        server = found.get("dbms.memory.transaction.total.max", 0.0)
        if not server:
            heap = self._ask(_HEAP)[0]["heap"]["properties"]
            server = SHARE_OF_HEAP * float(heap["max"] if heap["max"] > 0 else heap["committed"])
        return {"server": server, "database": found.get("db.memory.transaction.total.max", 0.0)}

    def _ask(self, query: str) -> list[dict[str, Any]]:
        return self._store.read(query)


def memory(text: str | None) -> float:
    """Return the bytes of a setting such as ``346.46MiB``; 0 for none or for what is no amount."""
    match = _SIZE.fullmatch((text or "").strip())
    return float(match["number"]) * _UNITS[match["unit"].upper()] if match else 0.0
