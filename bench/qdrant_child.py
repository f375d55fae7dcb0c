"""Tenure's own way in a process of its own, whose memory is its own: ``python -m bench.qdrant_child PLAYBOOK [FILE]``.

Runs the playbook up to the backfill, or up to the copy where points are re-keyed, through the real session, runner and
operations, and prints one line of JSON: the seconds of each operation by the ledger, and the peak of memory. With FILE
every update that is sent is kept there, a line of JSON each, to be sent again without tenure; such a run is not timed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import psycopg

from bench.child import begin, peak_mb
from tenure.runner.runner import Runner
from tenure.session import Session
from tenure.stores.qdrant import QdrantStore
from tenure.stores.qdrant_json import Json
from tenure.values import NEEDS_CONSENT, Phase

OPERATIONS = """SELECT o.kind, o.changed, extract(epoch FROM o.finished_at - o.started_at)::float8 AS seconds,
extract(epoch FROM max(r.updated_at) - o.started_at)::float8 AS written
FROM tenure.operation AS o LEFT JOIN tenure.range AS r ON r.operation = o.id
WHERE o.finished_at IS NOT NULL AND o.store = 'qdrant' GROUP BY o.id ORDER BY o.position"""


class Recorded(QdrantStore):
    """Keeps what is sent."""

    def __init__(self, url: str, file: TextIO) -> None:
        """Write to *file*."""
        super().__init__(url)
        self._file = file

    def update(self, collection: str, operations: Sequence[Json]) -> None:
        """Keep the request, and send it."""
        self._file.write(json.dumps(list(operations)) + "\n")
        super().update(collection, operations)


def main() -> None:
    """Run, and print the figures."""
    path, kept = Path(sys.argv[1]), sys.argv[2:]
    with ExitStack() as stack:
        session = stack.enter_context(Session.open(path))
        plan = begin(session)
        ctx = session.context()
        if kept:
            assert ctx.qdrant_store is not None
            file = stack.enter_context(Path(kept[0]).open("w"))
            ctx.qdrant_store = stack.enter_context(Recorded(ctx.qdrant_store.address, file))
        copies = any(operation.kind == "copy_points" for operation in plan.operations)
        Runner(ctx, plan).run(Phase.CONSTRAIN if copies else Phase.BACKFILL, NEEDS_CONSENT)
        print(json.dumps({"operations": _operations(session), "peak_mb": peak_mb()}), flush=True)


def _operations(session: Session) -> dict[str, Any]:
    with session.postgres.connection() as connection, connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return {row["kind"]: row for row in cursor.execute(OPERATIONS).fetchall()}


if __name__ == "__main__":
    main()
