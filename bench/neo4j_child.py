"""Tenure's own way with a graph, in a process of its own: ``python -m bench.neo4j_child PLAYBOOK PHASE``.

Runs the playbook up to the phase through the real session, runner and operations, and prints one line of JSON: what the
ledger says of each operation, and the peak of the process' memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

from bench.child import begin, peak_mb
from tenure.runner.runner import Runner
from tenure.session import Session
from tenure.values import NEEDS_CONSENT, Phase

OPERATIONS = """SELECT id, extract(epoch FROM finished_at - started_at)::float8 AS seconds, planned, changed, note
FROM tenure.operation WHERE finished_at IS NOT NULL AND store = 'neo4j' ORDER BY position"""


def main() -> None:
    """Run it."""
    with Session.open(Path(sys.argv[1])) as session:
        plan = begin(session)
        Runner(session.context(), plan).run(Phase(sys.argv[2]), NEEDS_CONSENT)
        with session.postgres.connection() as connection:
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
            found = {row["id"]: row for row in cursor.execute(OPERATIONS)}
    print(json.dumps({"operations": found, "peak_mb": peak_mb()}), flush=True)


if __name__ == "__main__":
    main()
