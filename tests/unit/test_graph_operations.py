"""Graph operations as values: what they say, their JSON, and the pieces that need no server."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from neo4j.exceptions import ClientError, Neo4jError, ServiceUnavailable
from test_graph_attribution import graph

from tenure.errors import GraphConstraintError, GraphMemoryError, StoreError, StoreUnreachableError
from tenure.operations.base import Operation
from tenure.operations.graph_keys import FIRST_BATCH, LARGEST_BATCH, LEAST_BATCH
from tenure.operations.graph_text import literal
from tenure.operations.graph_undo import _layers
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.node_constraint import NodeConstraint
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.operations.split_node import SplitNode
from tenure.runner.context import Context
from tenure.runner.pace import Pace
from tenure.stores.neo4j import Neo4jStore

OPERATIONS: list[Operation] = [
    IdentityIndex(object="Codigo", identity="nombre"),
    NodeBackfill(object="Codigo", graph=graph()),
    NodeBackfill(object="Frag mento", graph=graph(), prefix=""),
    RelationshipBackfill(object="T", graph=graph()),
    NodeConstraint(object="Codigo.nombre", label="Codigo", properties=("nombre",), key="project_id"),
    NodeConstraint(object="T.n", label="T", properties=("n",), key="project_id", entity="RELATIONSHIP", node_key=True),
    SplitNode(object="Codigo", graph=graph(), constraints=("codigo_nombre",)),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_an_operation_is_its_json(operation: Operation) -> None:
    """What the ledger keeps gives the same operation, id and statements again."""
    body = json.loads(json.dumps(operation.dump()))
    fields = {name: value for name, value in body.items() if name in type(operation).model_fields}
    again = type(operation).model_validate(fields)
    assert again == operation
    assert (again.id, again.statements()) == (operation.id, operation.statements())
    assert operation.describe()
    assert all(statement.rstrip().endswith(";") for statement in operation.statements())


def test_ids_are_stable_and_differ() -> None:
    """The ledger tells operations apart by them."""
    ids = [operation.id for operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert ids[1] == "neo4j.node_backfill.Codigo"


def test_statements_are_cypher_for_a_dba() -> None:
    """Names are quoted, untagged values written out, the prefix is as the catalog says."""
    backfill, count = OPERATIONS[2].statements()
    assert "MATCH (x:`Frag mento` {`id`: row.id})" in backfill
    assert "x.`project_id` IN ['', 'default', '0', 0]" in backfill
    assert count.splitlines()[1].startswith("MATCH")
    assert OPERATIONS[4].statements() == (
        "CYPHER 5 CREATE CONSTRAINT `tenure_uq_Codigo_project_id_nombre` IF NOT EXISTS FOR (x:`Codigo`) "
        "REQUIRE (x.`project_id`, x.`nombre`) IS UNIQUE;",
        "CYPHER 5 CREATE RANGE INDEX `tenure_idx_Codigo_project_id` IF NOT EXISTS FOR (x:`Codigo`) "
        "ON (x.`project_id`);",
    )
    assert "IS RELATIONSHIP KEY" in OPERATIONS[5].statements()[0]


def test_a_split_says_what_it_drops() -> None:
    """Old uniquenesses first, then an index in their place, then copies and moves."""
    statements = OPERATIONS[6].statements()
    assert statements[0] == "CYPHER 5 DROP CONSTRAINT `codigo_nombre` IF EXISTS;"
    assert "CREATE RANGE INDEX" in statements[1]
    assert "SET c = properties(n), c.`project_id` = $tenant" in statements[2]


@pytest.mark.parametrize(
    ("value", "expected"), [("x", "'x'"), (3, "3"), (["a", 1], "['a', 1]"), ("it's", "'it\\u005C's'")]
)
def test_literals(value: Any, expected: str) -> None:
    """Texts cannot end early."""
    assert literal(value) == expected


def test_the_size_of_batches_follows_the_time_they_take() -> None:
    """It starts at the first batch's, stays within its bounds, and a test's few items a batch are few enough."""
    backfill = NodeBackfill(object="Codigo", graph=graph())
    ctx = cast(Context, SimpleNamespace(pace=Pace(lambda: 300)))
    assert backfill._size(ctx, FIRST_BATCH) == FIRST_BATCH
    ctx.pace.took(backfill.id, FIRST_BATCH, 1.0)
    assert backfill._size(ctx, FIRST_BATCH) == FIRST_BATCH // 2
    for _ in range(100):
        ctx.pace.took(backfill.id, LARGEST_BATCH, 0.01)
    assert backfill._size(ctx, FIRST_BATCH) == LARGEST_BATCH
    for _ in range(100):
        ctx.pace.took(backfill.id, LARGEST_BATCH, 9.0)
    assert backfill._size(ctx, FIRST_BATCH) == LEAST_BATCH
    assert backfill._size(cast(Context, SimpleNamespace(pace=Pace(lambda: 300))), 7) == 7


def test_before_images_of_one_item_are_put_back_one_after_the_other() -> None:
    """Equal ones are one row with a number; different ones of an item are in layers, the newest first."""
    entries = [("x", "b", "c"), ("y", None, "a"), ("x", "a", "b"), ("y", None, "a")]
    layers = _layers(entries)
    assert [[(row["item"], row["before"], row["times"]) for row in layer] for layer in layers] == [
        [("x", "b", 1), ("y", None, 2)],
        [("x", "a", 1)],
    ]


def raised(code: str, message: str = "text") -> Neo4jError:
    """A server's error."""
    return Neo4jError._hydrate_neo4j(code=code, message=message)


@pytest.mark.parametrize(
    ("error", "expected", "attempts"),
    [
        (raised("Neo.TransientError.Transaction.DeadlockDetected"), None, 2),
        (ServiceUnavailable("gone"), None, 2),
        (raised("Neo.TransientError.General.MemoryPoolOutOfMemoryError"), GraphMemoryError, 1),
        (raised("Neo.ClientError.Schema.ConstraintValidationFailed"), GraphConstraintError, 1),
        (raised("Neo.ClientError.Statement.SyntaxError"), StoreError, 1),
    ],
    ids=["deadlock", "lost connection", "memory", "constraint", "syntax"],
)
def test_what_passes_is_tried_again(error: Exception, expected: type[StoreError] | None, attempts: int) -> None:
    """Deadlocks and lost connections are; a batch that does not fit, a broken constraint, a wrong query are not."""
    tried = []

    def attempt() -> str:
        tried.append(1)
        if len(tried) == 1:
            raise error
        return "done"

    store = Neo4jStore("bolt://127.0.0.1:1", patience=5)
    if expected is None:
        assert store._retried(attempt) == "done"
    else:
        with pytest.raises(expected):
            store._retried(attempt)
    assert len(tried) == attempts


def test_patience_ends() -> None:
    """A server that stays away is reported as such."""

    def attempt() -> None:
        raise ServiceUnavailable("gone")

    with pytest.raises(StoreUnreachableError, match=r"bolt://127\.0\.0\.1:1"):
        Neo4jStore("bolt://user:secret@127.0.0.1:1", patience=0.2)._retried(attempt)


def test_a_missing_database_is_named() -> None:
    """The message says which database, and where it is written."""
    error = Neo4jStore("bolt://127.0.0.1:1", database="graph")._translated(
        raised("Neo.ClientError.Database.DatabaseNotFound")
    )
    assert "no database `graph`" in str(error)
    assert isinstance(raised("Neo.ClientError.Database.DatabaseNotFound"), ClientError)


def test_an_address_that_is_none_is_refused() -> None:
    """With the form it should have; nothing is opened."""
    with pytest.raises(StoreError, match="bolt://host:7687"):
        Neo4jStore("http://127.0.0.1:7474").open()
