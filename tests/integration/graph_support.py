"""A graph with its Postgres, ledger and context, and a runner in miniature for ranged operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from key_kit import EXAMPLE_KEY as KEY
from tenure.attribution.graph import GraphSpec, NodeSpec, Reference, RelationshipSpec
from tenure.attribution.items import Lookups
from tenure.attribution.spec import EndsSource, ItemRule, ItemSource, NeighboursSource, Policy, RowSource
from tenure.ledger import Ledger
from tenure.operations.base import Claim, Operation
from tenure.runner.context import Context, Limits
from tenure.stores.neo4j import Neo4jStore
from tenure.stores.postgres import PostgresStore
from tenure.values import Outcome, TableName

TOKEN = "00000000-0000-0000-0000-000000000001"


def rule(*sources: ItemSource, **policy: Any) -> ItemRule:
    """A rule with the sources and a policy."""
    return ItemRule(key=KEY, sources=sources, policy=Policy(**policy))


FRAGMENT = RowSource(table=TableName(name="fragmentos"), column="id", column_type="text", unique=True)
ENDS = rule(EndsSource())


def interviews(**changed: Any) -> GraphSpec:
    """The example's graph: fragments from Postgres, codes and categories by their neighbours."""
    codes = rule(NeighboursSource(types=("TIENE_CODIGO",)))
    categories = rule(NeighboursSource(types=("REL",)))
    specs: dict[str, Any] = {
        "key": KEY,
        "nodes": (
            NodeSpec(label="Fragmento", identity="id", rule=rule(FRAGMENT)),
            NodeSpec(label="Codigo", identity="nombre", rule=codes, several="split"),
            NodeSpec(label="Categoria", identity="nombre", rule=categories, several="split"),
        ),
        "relationships": (
            RelationshipSpec(type="TIENE_CODIGO", start_labels=("Fragmento",), end_labels=("Codigo",), rule=ENDS),
            RelationshipSpec(
                type="REL",
                start_labels=("Categoria", "Codigo"),
                end_labels=("Codigo",),
                rule=rule(EndsSource(), conflict="quarantine"),
                references=(Reference(property="evidencia", label="Fragmento", identity="id"),),
            ),
        ),
        **changed,
    }
    return GraphSpec(**specs)


@contextmanager
def context(postgres_dsn: str, neo4j_url: str, tenants: Sequence[str] = ("a", "b", "c")) -> Iterator[Context]:
    """A context on empty stores: registry *tenants*, table fragmentos(id, project_id), an installed ledger."""
    with PostgresStore(postgres_dsn, pool_size=4) as postgres, Neo4jStore(neo4j_url) as graph:
        with postgres.connection() as connection:
            connection.execute("CREATE TABLE proyectos (id text PRIMARY KEY)")
            connection.execute("CREATE TABLE fragmentos (id text PRIMARY KEY, project_id text)")
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO proyectos VALUES (%s)", [(tenant,) for tenant in tenants])
        ledger = Ledger(postgres)
        ledger.install()
        yield Context(
            key=KEY,
            postgres=postgres,
            ledger=ledger,
            lookups=Lookups(postgres.connection, KEY),
            neo4j_store=graph,
            token=TOKEN,
            limits=Limits(batch_ms=300),
        )


def fragments(ctx: Context, owners: Mapping[str, str | None]) -> None:
    """Fragments in both stores; an owner None has no row."""
    with ctx.postgres.connection() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO fragmentos VALUES (%s, %s)", [(i, t) for i, t in owners.items() if t is not None]
        )
    ctx.neo4j.write("UNWIND $ids AS id CREATE (:Fragmento {id: id})", ids=list(owners))


def connect(ctx: Context, pairs: Sequence[tuple[str, str]]) -> None:
    """(Fragmento)-[:TIENE_CODIGO]->(Codigo), codes made as needed."""
    ctx.neo4j.write(
        "UNWIND $pairs AS pair MATCH (f:Fragmento {id: pair[0]}) MERGE (c:Codigo {nombre: pair[1]}) "
        "CREATE (f)-[:TIENE_CODIGO]->(c)",
        pairs=[list(pair) for pair in pairs],
    )


def keys(ctx: Context, label: str, identity: str) -> dict[Any, Any]:
    """The key of every node of a label, by identity."""
    rows = ctx.neo4j.read(f"MATCH (n:`{label}`) RETURN n.`{identity}` AS id, n.project_id AS key")
    return {row["id"]: row["key"] for row in rows}


def register(ctx: Context, operation: Operation) -> None:
    """Record an operation as the runner does, so that ranges can hang on it."""
    body = {**operation.dump(), "id": operation.id, "digest": "d"}
    ctx.ledger.record_run("hash", "hash", {"operations": [body]})


def run(ctx: Context, operation: Operation, *, stop_after: int | None = None, advance: bool = True) -> Outcome:
    """Run a ranged operation to its end, or stop after some batches; *advance* false loses the last one's cursor.

    Called again it resumes, as a run after a kill does: ranges that are planned stay, claims are taken over.
    """
    if not ctx.ledger.totals(operation.id).ranges:
        register(ctx, operation)
        ctx.ledger.plan_operation(operation.id, operation.count(ctx), operation.ranges(ctx))
    else:
        ctx.ledger.drop_lease(TOKEN)
    batches = 0
    while (claim := ctx.ledger.claim(operation.id, TOKEN)) is not None:
        current: Claim = claim
        while True:
            step = operation.run_batch(ctx, current)
            batches += 1
            stopping = batches == stop_after
            if advance or not stopping:
                ctx.ledger.advance(current, step.cursor, changed=step.changed, seen=step.seen)
            if stopping:
                return Outcome()
            if step.cursor is None:
                break
            current = current.model_copy(update={"cursor": step.cursor})
    done = operation.sweep(ctx)
    return Outcome(
        planned=done.planned,
        changed=done.changed + ctx.ledger.totals(operation.id).changed,
        left=operation.check(ctx).left,
    )
