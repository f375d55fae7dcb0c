"""Where a run stands, from the ledger alone: works while Neo4j and Qdrant cannot be reached.

Read with a few queries on one connection and by the database's clock, without the driver of any other store and without
making the plan's operations again: people ask often, and from other machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import namedtuple_row

from tenure.ledger.sharing import WorkerRow, workers_of
from tenure.operations.text import short_name
from tenure.report.way_back import recreations, standing

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.playbook import Playbook
    from tenure.stores.postgres import PostgresStore

EVENTS = 10
NO_RUN: dict[str, Any] = {
    "ok": True,
    "run": None,
    "lease": None,
    "workers": [],
    "controls": {},
    "operations": [],
    "rollback": None,
    "dropped": [],
    "fill_triggers": [],
    "events": [],
}

_INSTALLED = "SELECT to_regclass('tenure.operation') IS NOT NULL, to_regclass('tenure.worker') IS NOT NULL"
_RUN = """SELECT id, plan_hash, playbook_hash, state, reason, through, allowed, created_at, updated_at
  FROM tenure.run ORDER BY id DESC LIMIT 1"""
_LEASE = """SELECT holder, expires, expires > clock_timestamp() AS live,
       greatest(0, extract(epoch FROM clock_timestamp() - heartbeat))::float8 AS age
  FROM tenure.lease WHERE token IS NOT NULL"""
# What a newer plan no longer has is shown for as long as it stands in the stores.
_OPERATIONS = """SELECT o.id, o.phase, o.store, o.object, o.kind, o.body, o.state, o.planned, o.changed, o.left_over,
       o.note, o.attempts, r.changed AS ranges_changed,
       extract(epoch FROM coalesce(o.finished_at, clock_timestamp()) - o.started_at)::float8 AS seconds
  FROM tenure.operation o
  LEFT JOIN (SELECT operation, sum(changed)::bigint AS changed FROM tenure.range GROUP BY operation) r
    ON r.operation = o.id AND o.state = 'running'
 WHERE o.attempts > 0 OR o.id IN (SELECT jsonb_array_elements(plan->'operations')->>'id' FROM tenure.run WHERE id = %s)
 ORDER BY o.position, o.id"""
# What an operator has set; names with a colon are what operations keep there for themselves.
_CONTROLS = "SELECT name, value FROM tenure.control WHERE strpos(name, ':') = 0"
_EVENTS = "SELECT kind, object, detail, at FROM tenure.event WHERE run = %s ORDER BY id DESC LIMIT %s"
# One look at all fill triggers' sequences; a role sees those it may read.
_FILLED = """SELECT c.relname, coalesce(pg_sequence_last_value(c.oid), 0)::bigint
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'tenure' AND c.relkind = 'S' AND c.relname = ANY (%s)"""


class OperationState(NamedTuple):
    """An operation as the ledger has it, with the seconds since its first attempt began."""

    id: str
    phase: str
    store: str
    object: str
    kind: str
    body: dict[str, Any]
    state: str
    planned: int | None
    changed: int
    left_over: int
    note: str
    attempts: int
    ranges_changed: int | None
    seconds: float | None

    @property
    def waiting(self) -> str:
        """Why no run does it yet; empty where one does."""
        return str(self.body.get("waiting") or "")

    @property
    def description(self) -> str:
        """What it does, in one line."""
        if "described" not in self.body:
            from tenure.operations import load

            return load(self.body).describe()
        return str(self.body["described"])


def status_document(postgres: PostgresStore, playbook: Playbook, *, whole: bool = True) -> dict[str, Any]:
    """Return where the run stands: state and reason, lease, workers, operations, whether the way back is open, what was
    dropped with how it is made again, the fill triggers and the newest events.

    *whole* adds what only a document has: the statements of each operation, and what its kind says of it.
    """
    with postgres.connection() as connection:
        row = connection.execute(_INSTALLED).fetchone()
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            run: Any = cursor.execute(_RUN).fetchone() if row is not None and row[0] else None
            if run is None:
                return dict(NO_RUN)
            lease = cursor.execute(_LEASE).fetchone()
        found = connection.execute(_OPERATIONS, (run.id,)).fetchall()
        operations = [OperationState(*each) for each in found]
        return {
            "ok": run.state != "failed",
            "run": {
                "id": run.id,
                "state": run.state,
                "reason": run.reason,
                "through": run.through,
                "allowed": run.allowed,
                "plan_hash": run.plan_hash,
                "same_playbook": run.playbook_hash == playbook.digest(),
                "created_at": run.created_at.isoformat(),
                "updated_at": run.updated_at.isoformat(),
            },
            "lease": None if lease is None else _lease(lease),
            "workers": [_worker(each) for each in (workers_of(connection) if row is not None and row[1] else ())],
            "controls": dict(connection.execute(_CONTROLS).fetchall()),
            "operations": [operation_state(operation, whole=whole) for operation in operations],
            "rollback": standing(connection, operations),
            "dropped": recreations(connection),
            "fill_triggers": _fill_triggers(connection, operations),
            "events": [
                {"kind": kind, "object": name, "detail": detail, "at": at.isoformat()}
                for kind, name, detail, at in connection.execute(_EVENTS, (run.id, EVENTS)).fetchall()
            ],
        }


def operation_state(row: OperationState, *, whole: bool) -> dict[str, Any]:
    """Return the published shape of an operation, with its attempts and rate; *whole* as for the document."""
    changed, left = row.changed, row.left_over
    rest: int | None = left
    if row.state not in ("done", "failed", "settling"):
        # While an operation runs its ranges know more than its own row.
        changed = max(changed, row.ranges_changed or 0)
        rest = None if row.planned is None or row.state == "planned" else max(0, row.planned - changed)
    document = {
        "id": row.id,
        "phase": row.phase,
        "store": row.store,
        "object": row.object,
        "kind": row.kind,
        "hazards": row.body.get("hazards", []),
        "lock": row.body.get("lock", ""),
        "planned": row.planned,
        "changed": changed,
        "left": rest,
        "state": "waiting" if row.waiting else row.state,
        "description": row.description,
        "waiting": row.waiting,
        "note": row.note,
        "attempts": row.attempts,
        "rate": round(changed / row.seconds, 1) if row.seconds and changed else None,
    }
    if not whole:
        return document
    from tenure.operations import load
    from tenure.report.estimate import estimate

    operation = load(row.body)
    return {
        **document,
        "reversible": operation.reversible,
        "online": operation.online,
        "statements": list(operation.statements()),
        "estimate_seconds": estimate(operation),
    }


def _lease(held: Any) -> dict[str, Any]:
    return {
        "holder": held.holder,
        "live": held.live,
        "expires": held.expires.isoformat(),
        "heartbeat_age_seconds": round(held.age, 1),
    }


def _worker(row: WorkerRow) -> dict[str, Any]:
    return {
        "holder": row.holder,
        "live": row.live,
        "threads": row.threads,
        "ranges": row.ranges,
        "heartbeat_age_seconds": round(max(0.0, row.silent), 1),
    }


def _fill_triggers(connection: Connection[Any], operations: list[OperationState]) -> list[dict[str, Any]]:
    """Return how many writes came without the key, per table."""
    tables = {row.object: row.body["rule"]["table"] for row in operations if row.kind == "fill_trigger"}
    sequences = {short_name("filled", table["schema_name"], table["name"]): name for name, table in tables.items()}
    found = connection.execute(_FILLED, (list(sequences),)).fetchall()
    return [{"object": sequences[name], "writes": writes} for name, writes in sorted(found)]
