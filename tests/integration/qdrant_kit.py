"""What the Qdrant tests share: a small application in Postgres and Qdrant, and a runner of one operation."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from key_kit import EXAMPLE_KEY as KEY
from tenure.attribution.items import Lookups
from tenure.attribution.points import PointSpec
from tenure.attribution.spec import ItemRule, Policy, RowSource
from tenure.ledger import Ledger
from tenure.operations.base import Claim, Operation
from tenure.runner.context import Context
from tenure.stores.postgres import PostgresStore
from tenure.stores.qdrant import QdrantStore
from tenure.values import Outcome, TableName, TenantKey

COLLECTION = "fragments"
ROWS = RowSource(table=TableName(name="frag"), column="id", column_type="uuid", unique=True)
QUARANTINE = Policy(unassigned="quarantine", conflict="quarantine", existing="rederive")


def spec(policy: Policy = QUARANTINE, key: TenantKey = KEY) -> PointSpec:
    """The collection, driven by the rows whose id is the point id."""
    return PointSpec(collection=COLLECTION, rule=ItemRule(key=key, sources=(ROWS,), policy=policy))


@dataclass
class App:
    """Both stores with the ledger installed, and helpers to fill and look at them."""

    ctx: Context
    store: QdrantStore

    def rows(self, keys: Mapping[str, str | None]) -> None:
        """Insert rows: id to project."""
        with self.ctx.postgres.connection() as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO frag (id, project_id) VALUES (%s, %s)", list(keys.items()))

    def points(self, payloads: Mapping[str | int, Mapping[str, Any]]) -> None:
        """Upsert points."""
        batch = [models.PointStruct(id=i, vector=[0.1, 0.2, 0.3, 0.4], payload=dict(p)) for i, p in payloads.items()]
        for start in range(0, len(batch), 1000):
            self.store.client.upsert(COLLECTION, batch[start : start + 1000], wait=True)

    def payloads(self) -> dict[str | int, dict[str, Any]]:
        """All payloads by id, read past the code under test."""
        found: dict[str | int, dict[str, Any]] = {}
        offset: Any = None
        page = min(1000, self.store.bounds(COLLECTION).page)
        while True:
            records, offset = self.store.client.scroll(COLLECTION, limit=page, offset=offset, with_payload=True)
            found.update({record.id: record.payload or {} for record in records})  # type: ignore[misc]
            if offset is None:
                return found

    def keys(self) -> dict[str | int, Any]:
        """All tenant keys by id; None where there is none."""
        return {identity: payload.get(KEY.name) for identity, payload in self.payloads().items()}

    def quarantined(self) -> dict[str, str]:
        """The ledger's list: id to reason."""
        with self.ctx.postgres.connection() as connection:
            rows = connection.execute("SELECT item #>> '{}', reason FROM tenure.quarantine WHERE store = 'qdrant'")
            return dict(rows.fetchall())

    def journal(self, operation: str) -> int:
        """How many before-images an operation has."""
        return sum(1 for _ in self.ctx.ledger.journal_entries(operation))


@contextmanager
def application(dsn: str, url: str, tenants: tuple[str, ...] = ("acme", "beta")) -> Iterator[App]:
    """Yield an application with an empty collection, registered *tenants* and the alias `ACME Corp` of acme."""
    with PostgresStore(dsn) as postgres, QdrantStore(url) as store:
        with postgres.connection() as connection:
            connection.execute("CREATE TABLE proyectos (id text PRIMARY KEY)")
            connection.execute("CREATE TABLE frag (id uuid PRIMARY KEY, project_id text)")
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO proyectos VALUES (%s)", [(tenant,) for tenant in tenants])
        ledger = Ledger(postgres)
        ledger.install()
        with postgres.connection() as connection:
            connection.execute("INSERT INTO tenure.alias VALUES ('ACME Corp', 'acme')")
        store.client.create_collection(
            COLLECTION, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE)
        )
        lookups = Lookups(postgres.connection, KEY)
        yield App(Context(KEY, postgres, ledger, lookups, qdrant_store=store), store)


def ids(count: int) -> list[str]:
    """Return *count* point ids, the same in every run."""
    return [str(uuid.uuid5(uuid.NAMESPACE_URL, f"point {number}")) for number in range(count)]


class Killed(RuntimeError):
    """Stands for a kill between the store's answer and the ledger's."""


def drive(
    operation: Operation, ctx: Context, *, before_advance: Callable[[Claim, int], None] = lambda claim, batch: None
) -> Outcome:
    """Run a ranged operation as the runner does; *before_advance* comes between the write and the cursor."""
    ledger = ctx.ledger
    body = operation.dump()
    ledger.record_run("plan", "playbook", {"operations": [{**body, "digest": "1"}]})
    ledger.start_operation(operation.id)
    if ledger.totals(operation.id).ranges == 0:
        ledger.plan_operation(operation.id, operation.count(ctx), list(operation.ranges(ctx)))
    ctx.token = ledger.take_lease("test", 60)
    try:
        while (claim := ledger.claim(operation.id, ctx.token)) is not None:
            batch = 0
            while True:
                step = operation.run_batch(ctx, claim)
                before_advance(claim, batch)
                ledger.advance(claim, step.cursor, changed=step.changed, seen=step.seen)
                if step.cursor is None:
                    break
                claim = claim.model_copy(update={"cursor": step.cursor})
                batch += 1
    finally:
        ledger.drop_lease(ctx.token)
    return operation.sweep(ctx)
