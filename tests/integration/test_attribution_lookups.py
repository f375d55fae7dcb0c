"""What pages of nodes and points ask of Postgres: any names, any values, and nothing of it stays in the process."""

from __future__ import annotations

import tracemalloc
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tenure.attribution.end_rows import end_rows
from tenure.attribution.items import Lookups
from tenure.attribution.points import RowsExist
from tenure.attribution.resolve import NOTHING, Answer, Says
from tenure.attribution.rows import Scope
from tenure.attribution.spec import EndRowsSource, RowSource
from tenure.values import TableName, TenantKey

KEY = TenantKey(
    name="100% key $1",
    type="text",
    quarantine="__quarantine__",
    shared="__shared__",
    registry=TableName(name="pro%s"),
    registry_column='i"d',
)
TABLE = TableName(name="it's %(table)s $2")
ROWS = RowSource(table=TABLE, column="a %s {}", column_type="text", unique=True)
IDS = RowSource(table=TABLE, column="number", column_type="integer", unique=True)
ENDS = EndRowsSource(table=TABLE, start_column="a %s {}", end_column="number")
VALUES = ["x", "it's", 'a "quoted" one', "{brace,comma}", "back\\slash", "100%", "$1", "Ñandú", "NULL", ""]


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Tables whose names would be placeholders, each value a row of tenant a."""
    with psycopg.connect(postgres_dsn, autocommit=True) as found:
        found.execute(b'CREATE TABLE "pro%s" ("i""d" text PRIMARY KEY)')
        found.execute(b"INSERT INTO \"pro%s\" VALUES ('a'), ('b')")
        found.execute("CREATE SCHEMA tenure; CREATE TABLE tenure.alias (value text PRIMARY KEY, tenant text)")
        table, key = sql.Identifier(TABLE.name), sql.Identifier(KEY.name)
        found.execute(
            sql.SQL("CREATE TABLE {} ({} text PRIMARY KEY, number serial, {} text)").format(
                table, sql.Identifier("a %s {}"), key
            )
        )
        for value in VALUES:
            found.execute(sql.SQL("INSERT INTO {} VALUES ({}, DEFAULT, 'a')").format(table, sql.Literal(value)))
        yield found


def lookups(connection: psycopg.Connection[Any]) -> Lookups:
    """Lookups over one connection."""

    @contextmanager
    def connect() -> Iterator[psycopg.Connection[Any]]:
        yield connection

    return Lookups(connect, KEY, Scope(aliases=sql.SQL("tenure.alias"), whole=True))


def test_any_name_and_any_value_is_looked_up(connection: psycopg.Connection[Any]) -> None:
    asked = lookups(connection)
    tenant = Answer(Says.TENANT, "a")
    assert asked.values(["a", "it's"]) == {"a": tenant, "it's": Answer(Says.UNKNOWN, "it's")}
    assert asked.rows(ROWS, [*VALUES, "none"]) == {**dict.fromkeys(VALUES, tenant), "none": NOTHING}
    assert asked.rows(IDS, [1, 2, "x", 999]) == {"1": tenant, "2": tenant, "x": NOTHING, "999": NOTHING}
    assert asked.tenants(ROWS, ["x", "none"]) == {"x": frozenset("a")}
    assert end_rows(asked, ENDS, [("x", 1), ("x", 2), ("it's", 2)]) == [tenant, NOTHING, tenant]

    @contextmanager
    def connect() -> Iterator[psycopg.Connection[Any]]:
        yield connection

    assert RowsExist(connect)(ROWS, [*VALUES, "none"]) == set(VALUES)
    assert RowsExist(connect)(IDS, [1, "x", 999]) == {"1"}


def test_pages_of_ids_leave_nothing_behind(connection: psycopg.Connection[Any]) -> None:
    """The driver remembers the last hundred statements of a connection: with the ids in their texts, megabytes."""
    asked = lookups(connection)

    def pages(number: int) -> None:
        for _ in range(number):
            assert len(asked.rows(ROWS, [str(uuid.uuid4()) for _ in range(1000)])) == 1000

    pages(2)
    tracemalloc.start()
    pages(60)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 200_000, "sixty pages of a thousand ids have two megabytes of text"
