"""Starts the `tenure` command with smaller batches or a shorter lease, so that small data has many places to be killed.

``python launcher.py apply -f ...``: TEST_SMALL_BATCHES=1 cuts ranges, pages and windows to a few dozen items,
TEST_LEASE_SECONDS shortens the lease. Nothing else is different from the installed command.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping

SMALL = {
    "tenure.operations.backfill_rows": {"RANGE_PAGES": 4, "FEW_ROWS": 40, "PASSES": 4, "SWEEP_ROWS": 50},
    "tenure.operations.node_backfill": {"NODES_A_RANGE": 90, "FIRST_BATCH": 25},
    "tenure.operations.relationship_backfill": {"NODES_A_RANGE": 90, "START_NODES": 20, "FIRST_BATCH": 25},
    "tenure.operations.set_payload": {"WINDOW": 60},
}


def _set(module: str, values: Mapping[str, float]) -> None:
    found = importlib.import_module(module)
    for name, value in values.items():
        if not hasattr(found, name):
            raise SystemExit(f"{module} has no {name} any more: bring {__file__} up to date")
        setattr(found, name, value)


def main() -> None:
    """Change the constants, then be the command."""
    if os.environ.get("TEST_SMALL_BATCHES"):
        for module, values in SMALL.items():
            _set(module, values)
    lease = os.environ.get("TEST_LEASE_SECONDS")
    if lease:
        _set("tenure.runner.lease", {"LEASE_SECONDS": float(lease)})
    from tenure.cli.main import main as command

    command()


if __name__ == "__main__":
    sys.exit(main())  # type: ignore[func-returns-value]
