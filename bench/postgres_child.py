"""Tenure's own way in a process of its own, whose memory is its own: ``python -m bench.postgres_child PLAYBOOK``.

Each line on stdin is the phase to run up to, through the real session, runner and operations; the answer is one line of
JSON with what the ledger says of each operation. `end` answers with the figures of the backfill of `items`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg

from bench.child import begin, peak_mb
from bench.postgres_data import State, difference, state
from tenure.planner import Plan
from tenure.runner.runner import Runner
from tenure.session import Session
from tenure.values import NEEDS_CONSENT, Phase

TABLE = "items"
OPERATIONS = """SELECT id, kind, extract(epoch FROM finished_at - started_at)::float8 AS seconds, planned, changed,
left_over AS left FROM tenure.operation WHERE finished_at IS NOT NULL AND split_part(id, '.', 3) = %s
ORDER BY position"""


def main() -> None:
    """Serve the lines of stdin."""
    with Session.open(Path(sys.argv[1])) as session:
        plan = begin(session)
        _run(session, plan, Phase.EXPAND)
        figures: dict[str, float] = {}
        for line in sys.stdin:
            word = line.strip()
            if word == "end":
                _say({**_end(session, figures), "estimates": plan.dump()["estimates"]})
                return
            phase = Phase(word)
            before = _state(session)
            _run(session, plan, phase)
            if phase is Phase.BACKFILL:
                figures = _difference(session, before)
            _say({"operations": _operations(session)})


def _run(session: Session, plan: Plan, phase: Phase) -> None:
    Runner(session.context(), plan).run(phase, NEEDS_CONSENT)


def _operations(session: Session) -> list[dict[str, Any]]:
    with session.postgres.connection() as connection, connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(OPERATIONS, (TABLE,)).fetchall()


def _end(session: Session, figures: dict[str, float]) -> dict[str, Any]:
    backfill = next((row for row in _operations(session) if row["kind"] == "backfill_rows"), None)
    return {
        "seconds": backfill["seconds"] if backfill is not None else 0.0,
        "figures": figures,
        "operations": _operations(session),
        "peak_mb": peak_mb(),
    }


def _state(session: Session) -> State:
    with session.postgres.connection() as connection:
        return state(connection)


def _difference(session: Session, before: State) -> dict[str, float]:
    with session.postgres.connection() as connection:
        row = connection.execute("SELECT count(*), count(project_id) FROM items").fetchone()
        assert row is not None
        if row[0] != row[1]:
            raise SystemExit(f"{row[0] - row[1]} rows were left without a key")
    # A session that ends reports what it counted; one that idles may wait with that.
    session.postgres.close()
    with session.postgres.connection() as connection:
        return difference(before, state(connection), int(row[0]))


def _say(body: dict[str, Any]) -> None:
    print(json.dumps(body), flush=True)


if __name__ == "__main__":
    main()
