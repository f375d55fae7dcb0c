"""Starts the `tenure` command with smaller batches, a shorter lease, or a witness of what it asks stores to write.

``python launcher.py apply -f ...``: TEST_SMALL_BATCHES=1 cuts ranges, pages and windows to a few dozen items,
TEST_LEASE_SECONDS shortens the lease, and TEST_WRITES names a file that gets a line for every batch of keys before it
is sent to Neo4j or Qdrant, killed or not. Nothing else is different from the installed command.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

SMALL = {
    "tenure.operations.row_ranges": {
        "RANGE_PAGES": 4,
        "LEAST_RANGE_PAGES": 4,
        "LEAST_PAGES": 1,
        "FEW_ROWS": 40,
        "PASSES": 4,
    },
    "tenure.operations.backfill_rows": {
        "FEW_ROWS": 40,
        "START_PAGES": 1,
        "LEAST_PAGES": 1,
        "MOST_PAGES": 1,
        "SWEEP_ROWS": 50,
    },
    "tenure.operations.node_backfill": {"NODES_A_RANGE": 90, "FIRST_BATCH": 25},
    "tenure.operations.relationship_backfill": {"NODES_A_RANGE": 90, "START_NODES": 20, "FIRST_BATCH": 25},
    "tenure.operations.graph_plain": {"FIRST": 25, "LEAST": 25, "MOST": 25},
    "tenure.operations.set_payload": {"WINDOW": 60},
}


def _set(module: str, values: Mapping[str, Any]) -> None:
    found = importlib.import_module(module)
    for name, value in values.items():
        if not hasattr(found, name):
            raise SystemExit(f"{module} has no {name} any more: bring {__file__} up to date")
        setattr(found, name, value)


def _witness(path: str) -> None:
    """Note every (item, key) that is about to be written, at the last place that knows both."""
    from tenure.operations.graph_keys import Change, KeyWriter
    from tenure.operations.graph_plain import PlainWriter

    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(store: str, key: Any, items: Sequence[Any]) -> None:
        # A line of its own from the start: the one before may have been cut off by a kill.
        os.write(file, ("\n" + json.dumps([store, key, [str(item) for item in items]])).encode())

    write = KeyWriter.write
    set_tenant = importlib.import_module("tenure.operations.payload_writes").set_tenant

    def write_keys(self: KeyWriter, changes: Sequence[Change]) -> int:
        for after in {change.after for change in changes}:
            note("neo4j", after, [change.element for change in changes if change.after == after])
        return write(self, changes)

    def write_payload(name: str, tenant: Any, ids: Sequence[Any], *rest: Any, **more: Any) -> Any:
        note("qdrant", tenant, ids)
        return set_tenant(name, tenant, ids, *rest, **more)

    written = PlainWriter._written

    def write_plainly(self: PlainWriter, query: str, items: int, **parameters: Any) -> int:
        # The server decides what it writes: it is asked first.
        where = query.partition(" SET ")[0]
        (variable,) = re.findall(r" WITH (\w), ", where)
        asked = f"{where} RETURN tenant, collect(elementId({variable})) AS elements"
        for row in self._ctx.neo4j.read(asked, **parameters):
            note("neo4j", row["tenant"], row["elements"])
        return written(self, query, items, **parameters)

    KeyWriter.write = write_keys  # type: ignore[method-assign]
    PlainWriter._written = write_plainly  # type: ignore[method-assign]
    _set("tenure.operations.payload_writes", {"set_tenant": write_payload})


def main() -> NoReturn:
    """Change what is asked for, then be the command."""
    if os.environ.get("TEST_SMALL_BATCHES"):
        for module, values in SMALL.items():
            _set(module, values)
    lease = os.environ.get("TEST_LEASE_SECONDS")
    if lease:
        _set("tenure.runner.lease", {"LEASE_SECONDS": float(lease)})
    writes = os.environ.get("TEST_WRITES")
    if writes:
        _witness(writes)
    from tenure.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
