"""The ledger's verbs over its named queries; it knows no operation and no other store."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Generator, Iterable, Mapping
from contextlib import nullcontext
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from tenure.errors import LeaseHeldError, LeaseLostError
from tenure.operations.base import Claim, RangeSpec
from tenure.values import Outcome

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.stores.postgres import PostgresStore


@cache
def queries() -> dict[str, str]:
    """Return the named queries of ``queries.sql``."""
    text = files("tenure.ledger").joinpath("queries.sql").read_text()
    parts = re.split(r"^-- (\w+) --$", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


class RunRow(NamedTuple):
    """A run as the ledger has it."""

    id: int
    plan_hash: str
    playbook_hash: str
    plan: dict[str, Any]
    state: str
    reason: str
    through: str
    allowed: list[str]
    created_at: datetime
    updated_at: datetime


class OperationRow(NamedTuple):
    """An operation as the ledger has it."""

    id: str
    position: int
    phase: str
    store: str
    object: str
    kind: str
    digest: str
    body: dict[str, Any]
    state: str
    planned: int | None
    changed: int
    left_over: int
    note: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None


class RangeRow(NamedTuple):
    """The totals of a ranged operation."""

    ranges: int
    done: int
    planned: int
    changed: int
    seen: int


class Ledger:
    """Reads and writes schema `tenure` through a `PostgresStore`; every verb is one short transaction of its own, which
    may be repeated, except those that take the caller's connection because they must commit with its data."""

    def __init__(self, store: PostgresStore) -> None:
        """Use *store*'s connections; nothing is created until `install`."""
        self._store = store
        # While this ledger's user holds the lease, what it records is refused once another took it over.
        self._lease: str | None = None

    def install(self) -> None:
        """Create what is missing of the schema. Errors: StoreError when the role may not."""
        with self._store.connection() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('tenure.install'))")
            connection.execute(files("tenure.ledger").joinpath("schema.sql").read_bytes())

    def installed(self) -> bool:
        """Return whether the ledger exists."""
        there = "SELECT to_regclass('tenure.operation') IS NOT NULL"
        return self._store.transact(lambda connection: connection.execute(there).fetchone()) == (True,)

    # The lease.

    def take_lease(
        self, holder: str, seconds: float, token: str | None = None, *, process: str = "", dead: str | None = None
    ) -> str:
        """Take the lease for *seconds* and return its token; until it is dropped, what this ledger records is fenced.

        *process* names the holder's process for others on its machine; *dead* is the token of a holder whose process
        is known to be gone, and whose lease need not run out. Errors: LeaseHeldError when another holder's runs.
        """
        token = token or str(uuid.uuid4())
        fields = {"token": token, "holder": holder, "seconds": seconds, "process": process, "dead": dead}
        if self._one("take_lease", **fields) is None:
            held = self._one("read_lease")
            raise LeaseHeldError(holder=held.holder if held else "?", expires=held.expires if held else "?")
        self._lease = token
        return token

    def beat_lease(self, token: str, seconds: float) -> None:
        """Prolong the lease. Errors: LeaseLostError when another holder took it over."""
        if self._one("beat_lease", token=token, seconds=seconds) is None:
            raise LeaseLostError(token=token)

    def drop_lease(self, token: str) -> None:
        """Free the ranges claimed under *token* and give the lease back."""
        for query in ("release_ranges", "drop_lease"):
            self._run(query, token=token)
        self._lease = None

    def lease(self) -> Mapping[str, Any] | None:
        """Return token, holder, process, expiry and whether the lease is live, or None when nobody holds it."""
        row = self._one("read_lease")
        return row._asdict() if row is not None and row.token is not None else None

    # Runs and operations.

    def record_run(self, plan_hash: str, playbook_hash: str, plan: Mapping[str, Any]) -> int:
        """Record a plan as a run and adopt its operations; those of an earlier plan that did not change keep their
        state. Returns the run's id."""
        with self._store.connection() as connection:
            cursor = connection.execute(
                queries()["insert_run"],
                {"plan_hash": plan_hash, "playbook_hash": playbook_hash, "plan": Jsonb(plan)},
            )
            row = cursor.fetchone()
            assert row is not None
            with connection.cursor() as many:
                many.executemany(
                    queries()["upsert_operation"],
                    [
                        {
                            "id": body["id"],
                            "position": position,
                            "phase": body["phase"],
                            "store": body["store"],
                            "object": body["object"],
                            "kind": body["kind"],
                            "digest": body["digest"],
                            "body": Jsonb(body),
                            "planned": body.get("planned"),
                        }
                        for position, body in enumerate(plan["operations"])
                    ],
                )
            connection.execute(queries()["forget_ranges"])
            return int(row[0])

    def latest_run(self) -> RunRow | None:
        """Return the newest run, or None."""
        row = self._one("latest_run")
        return RunRow(*row) if row is not None else None

    def set_run_state(self, run: int, state: str, reason: str = "") -> None:
        """Write the state of a run with its reason; `tenure.runner.states` says which moves there are.

        Errors: LeaseLostError, here as in what records the start and end of operations, when another took the lease.
        """
        self._fenced("set_run_state", run=run, state=state, reason=reason)

    def set_run_target(self, run: int, through: str, allowed: Iterable[str]) -> None:
        """Record how far the operator asked to go and which hazards they allowed."""
        self._run("set_run_target", run=run, through=through, allowed=sorted(allowed))

    def operations(self) -> list[OperationRow]:
        """Return all operations in order."""
        rows = self._store.transact(lambda connection: connection.execute(queries()["operations"]).fetchall())
        return [OperationRow(*row) for row in rows]

    def operation(self, operation: str) -> OperationRow:
        """Return one operation. Errors: KeyError when no plan that was applied has it."""
        row = self._one("operation", id=operation)
        if row is None:
            raise KeyError(operation)
        return OperationRow(*row)

    def start_operation(self, operation: str) -> None:
        """Record that an attempt begins."""
        self._fenced("start_operation", id=operation)

    def plan_operation(self, operation: str, planned: int, ranges: Iterable[RangeSpec]) -> None:
        """Persist the exact count and every range of an operation in one transaction, before the first is worked on."""
        with self._store.connection() as connection:
            connection.execute(queries()["plan_operation"], {"id": operation, "planned": planned})
            with connection.cursor() as cursor:
                cursor.executemany(
                    queries()["insert_range"],
                    (
                        {
                            "operation": operation,
                            "number": number,
                            "bounds": Jsonb(dict(spec.bounds)),
                            "planned": spec.planned,
                        }
                        for number, spec in enumerate(ranges)
                    ),
                )
            # Last, so that the lease's row is not locked while the ranges are being found.
            self._still_held(connection)

    def finish_operation(self, operation: str, state: str, outcome: Outcome, *, planned: int | None = None) -> None:
        """Record the end of an attempt with its counts."""
        self._fenced(
            "finish_operation",
            id=operation,
            state=state,
            changed=outcome.changed,
            left=outcome.left,
            note=outcome.note,
            planned=planned,
        )

    def forget_operation(self, operation: str) -> None:
        """Record that an operation was undone: it is as if it had never begun; its journal stays."""
        with self._store.connection() as connection:
            connection.execute(queries()["forget_operation_ranges"].encode(), {"id": operation})
            connection.execute(queries()["forget_operation"].encode(), {"id": operation})
            self._still_held(connection)

    # Ranges.

    def claim(self, operation: str, token: str) -> Claim | None:
        """Claim the next open range for the holder of *token*, or return None when none is left."""
        with self._store.connection() as connection:  # Not repeated: a second one would claim another range.
            row = _first(connection, "claim_range", {"operation": operation, "token": token, "lease": self._lease})
        if row is None:
            return None
        return Claim(operation=row.operation, number=row.number, token=token, bounds=row.bounds, cursor=row.cursor)

    def advance(
        self,
        claim: Claim,
        cursor: Mapping[str, Any] | None,
        *,
        changed: int,
        seen: int,
        connection: Connection[Any] | None = None,
    ) -> None:
        """Move a claim's cursor (None: the range is finished), in the caller's transaction when *connection* is given.

        Errors: LeaseLostError when another holder claimed the range meanwhile; the caller's transaction must then roll
        back, which it does when the error leaves it."""
        fields = {
            "operation": claim.operation,
            "number": claim.number,
            "token": claim.token,
            "cursor": Jsonb(dict(cursor)) if cursor is not None else None,
            "finished": cursor is None,
            "changed": changed,
            "seen": seen,
        }
        with self._store.connection() if connection is None else nullcontext(connection) as used:
            if used.execute(queries()["advance_range"], fields).fetchone() is None:
                raise LeaseLostError(token=claim.token)

    def totals(self, operation: str) -> RangeRow:
        """Return how far a ranged operation is."""
        row = self._one("range_totals", operation=operation)
        assert row is not None
        return RangeRow(*row)

    # Journal, quarantine, baseline, events, control.

    def quarantine(
        self, rows: Iterable[tuple[str, str, Any, str]], *, connection: Connection[Any] | None = None
    ) -> None:
        """List quarantined items: (store, object, item, reason) each."""
        self._many(
            "quarantine_item",
            ({"store": s, "object": o, "item": Jsonb(i), "reason": r} for s, o, i, r in rows),
            connection,
        )

    def journal(
        self,
        operation: str,
        store: str,
        object_name: str,
        rows: Iterable[tuple[Any, Any, Any]],
        *,
        connection: Connection[Any] | None = None,
    ) -> None:
        """Keep before-images: (item, before, after) each; must be committed before the write that they belong to."""
        self._many(
            "journal_item",
            (
                {
                    "operation": operation,
                    "store": store,
                    "object": object_name,
                    "item": Jsonb(item),
                    "before": Jsonb(before),
                    "after": Jsonb(after),
                }
                for item, before, after in rows
            ),
            connection,
        )

    def journal_entries(
        self, operation: str, *, newest_first: bool = True
    ) -> Generator[tuple[Any, Any, Any], None, None]:
        """Stream the before-images of an operation: (item, before, after) each."""
        order = "DESC" if newest_first else "ASC"
        statement = f"SELECT item, before, after FROM tenure.journal WHERE operation = %s ORDER BY id {order}"
        with self._store.connection() as connection, connection.cursor(name="tenure_journal") as cursor:
            cursor.itersize = 2000
            cursor.execute(statement.encode(), (operation,))
            yield from cursor

    def baseline(self, name: str, object_name: str) -> Any | None:
        """Return a baseline's body, or None."""
        row = self._one("baseline_get", name=name, object=object_name)
        return row.body if row is not None else None

    def keep_baseline(self, name: str, object_name: str, body: Any) -> None:
        """Keep the first baseline of a name; a later call changes nothing."""
        self._run("baseline_put", name=name, object=object_name, body=Jsonb(body))

    def forget_baselines(self) -> None:
        """Forget every baseline: everything was taken back, and what comes next starts from what is there then."""
        self._run("baseline_clear")

    def event(self, run: int | None, kind: str, object_name: str = "", detail: str = "") -> None:
        """Record what happened, for status and the report."""
        self._run("insert_event", run=run, kind=kind, object=object_name, detail=detail)

    def events(self, run: int, limit: int = 20) -> list[tuple[str, str, str, datetime]]:
        """Return the newest events of a run."""
        with self._store.connection() as connection:
            return [tuple(r) for r in connection.execute(queries()["events"], {"run": run, "limit": limit}).fetchall()]

    def controls(self) -> dict[str, str]:
        """Return the limits and requests that were set."""
        return dict(self._store.transact(lambda connection: connection.execute(queries()["control_get"]).fetchall()))

    def set_control(self, name: str, value: str) -> None:
        """Set a limit or a request (`pause`)."""
        self._run("control_put", name=name, value=value)

    # One statement each.

    def _one(self, query: str, **fields: Any) -> Any | None:
        return self._store.transact(lambda connection: _first(connection, query, fields))

    def _run(self, query: str, **fields: Any) -> None:
        self._store.transact(lambda connection: connection.execute(queries()[query].encode(), fields))

    def _still_held(self, connection: Connection[Any]) -> None:
        """Errors: LeaseLostError, which rolls the caller's transaction back, when the lease is another's."""
        if self._lease is not None:
            found = connection.execute(queries()["still_held"].encode(), {"lease": self._lease}).fetchone()
            if found is None:
                raise LeaseLostError(token=self._lease)

    def _fenced(self, query: str, **fields: Any) -> None:
        """Run an update that finds no row once the lease is another's. Errors: LeaseLostError."""
        if self._one(query, lease=self._lease, **fields) is None and self._lease is not None:
            raise LeaseLostError(token=self._lease)

    def _many(self, query: str, rows: Iterable[dict[str, Any]], connection: Connection[Any] | None) -> None:
        with (
            self._store.connection() if connection is None else nullcontext(connection) as used,
            used.cursor() as cursor,
        ):
            cursor.executemany(queries()[query].encode(), rows)


def _first(connection: Connection[Any], query: str, fields: Mapping[str, Any]) -> Any | None:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(queries()[query].encode(), fields).fetchone()


def dumps(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces; what digests are taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
