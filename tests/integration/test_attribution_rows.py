"""The SQL decides each row as the reference in the process does: random rows, sources and policies, a real server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tenure.attribution.resolve import NOTHING, Answer, Says, decide
from tenure.attribution.rows import LEDGER, Scope, decision
from tenure.attribution.spec import ColumnSource, ConstantSource, MappingSource, ParentSource, Policy, RowRule
from tenure.values import TableName, TenantKey

KEY = TenantKey(
    name="project id",
    type="text",
    untagged=("default", ""),
    quarantine="__quarantine__",
    shared="__shared__",
    registry=TableName(name="Projects"),
    registry_column="id",
)
SCHEMA = """
CREATE SCHEMA tenure;
CREATE TABLE tenure.alias (value text PRIMARY KEY, tenant text NOT NULL);
CREATE TABLE tenure.mapping (name text, value text, tenant text, PRIMARY KEY (name, value));
CREATE TABLE "Projects" (id text PRIMARY KEY);
INSERT INTO "Projects" VALUES ('a'), ('b'), ('O''Brien; --');
INSERT INTO tenure.alias VALUES ('A', 'a'), ('BEE', 'b'), ('gone', 'nobody');
INSERT INTO tenure.mapping VALUES ('batches.csv', '1', 'a'), ('batches.csv', '2', 'BEE'), ('batches.csv', '3', 'zz');
CREATE TABLE parent (id int PRIMARY KEY, "project id" text);
CREATE TABLE many (name int, "project id" text);
CREATE INDEX ON many (name);
INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, '__quarantine__'), (4, '__shared__'), (5, NULL), (6, 'default');
INSERT INTO many VALUES (1, 'a'), (1, 'a'), (2, 'a'), (2, 'b'), (3, '__shared__'), (4, '__shared__'), (4, 'b'),
    (5, NULL), (5, 'a'), (6, '__quarantine__'), (7, '__quarantine__'), (7, 'a');
CREATE TABLE item (n int PRIMARY KEY, own text, parent_id int, name int, batch text, "project id" text);
"""
PARENT = {1: "a", 2: "b"}
VALUES = [None, "", "default", "a", "b", "A", "BEE", "gone", "zz", "O'Brien; --", "__quarantine__", "__shared__"]


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        opened.execute(SCHEMA)
        yield opened


def said(value: str | None) -> Answer:
    """What a plain value means, written down from the design."""
    if value is None or value in KEY.untagged:
        return NOTHING
    tenant = {"A": "a", "BEE": "b", "gone": "nobody"}.get(value, value)
    return Answer(Says.TENANT, tenant) if tenant in ("a", "b", "O'Brien; --") else Answer(Says.UNKNOWN, value)


def present(value: str | None) -> Answer:
    if value == KEY.quarantine:
        return Answer(Says.QUARANTINED, value)
    if value == KEY.shared:
        return Answer(Says.SHARED, value)
    return said(value)


QUARANTINED, SHARED = Answer(Says.QUARANTINED, KEY.quarantine), Answer(Says.SHARED, KEY.shared)
BY_PARENT = {1: said("a"), 2: said("b"), 3: QUARANTINED, 4: SHARED}
BY_NAME = {
    1: said("a"),
    2: Answer(Says.SEVERAL),
    3: SHARED,
    4: said("b"),
    5: said("a"),
    6: QUARANTINED,
    7: Answer(Says.SEVERAL),
}
BATCHES = {"1": said("a"), "2": said("BEE"), "3": said("zz")}

COLUMN = ColumnSource(name="own")
UNIQUE_PARENT = ParentSource(table=TableName(name="parent"), match=(("parent_id", "id"),), unique=True, indexed=True)
INDEXED = ParentSource(table=TableName(name="many"), match=(("name", "name"),), unique=False, indexed=True)
FOLDED = INDEXED.model_copy(update={"indexed": False})
MAPPING = MappingSource(match="batch", name="batches.csv")
CONSTANT = ConstantSource(value="b")

Row = tuple[str | None, int | None, int | None, str | None, str | None]


def answer(source: object, row: Row) -> Answer:
    own, parent_id, name, batch, _ = row
    if source is COLUMN:
        return said(own)
    if source is UNIQUE_PARENT:
        return BY_PARENT.get(parent_id or 0, NOTHING)
    if source in (INDEXED, FOLDED):
        return BY_NAME.get(name or 0, NOTHING)
    if source is MAPPING:
        return BATCHES.get(batch or "", NOTHING)
    return said("b")


rows = st.lists(
    st.tuples(
        st.sampled_from(VALUES),
        st.none() | st.integers(1, 8),
        st.none() | st.integers(1, 9),
        st.none() | st.sampled_from(["1", "2", "3", "4"]),
        st.sampled_from(VALUES),
    ),
    min_size=1,
    max_size=25,
)
chosen_sources = st.lists(
    st.sampled_from([COLUMN, UNIQUE_PARENT, INDEXED, FOLDED, MAPPING, CONSTANT]), min_size=1, max_size=4
)
policies = st.builds(
    Policy,
    unassigned=st.sampled_from(["fail", "quarantine", "shared", "keep_null", "assign"]),
    conflict=st.sampled_from(["fail", "quarantine", "first"]),
    existing=st.sampled_from(["conflict", "keep", "rederive"]),
    assign=st.just("a"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows, sources=chosen_sources, policy=policies, key_exists=st.booleans(), whole=st.booleans())
def test_the_sql_decides_like_the_reference(
    connection: psycopg.Connection, rows: list[Row], sources: list, policy: Policy, key_exists: bool, whole: bool
) -> None:
    rule = RowRule(
        key=KEY,
        table=TableName(name="item"),
        primary_key=("n",),
        sources=tuple(sources),
        policy=policy,
        key_exists=key_exists,
    )
    connection.execute("TRUNCATE item")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO item VALUES (%s, %s, %s, %s, %s, %s)", [(n, *row) for n, row in enumerate(rows)]
        )
    scope = Scope(whole=True) if whole else LEDGER
    query = decision(rule, sql.SQL("item"), scope=scope, columns=[sql.SQL("t.n")])
    found = {n: rest for n, *rest in connection.execute(query)}
    assert len(found) == len(rows), "an item in two bins, or in none"
    for n, row in enumerate(rows):
        weighed = present(row[4]) if key_exists else NOTHING
        expected = decide([answer(s, row) for s in sources], weighed, row[4] if key_exists else None, policy, KEY)
        bin_, _, write, reason, by_application = found[n]
        assert (bin_, write, by_application) == (expected.bin, expected.write, expected.by_application), (row, reason)
        assert reason == expected.reason


def test_a_mapping_table_that_names_two_tenants_for_a_value_is_a_conflict(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE TABLE batches (code int, owner text); INSERT INTO batches VALUES (1,'a'), (1,'b'), (2,'A')"
    )
    connection.execute("INSERT INTO item (n, batch) VALUES (1, '1'), (2, '2'), (3, '3')")
    source = MappingSource(match="batch", table=TableName(name="batches"), value_column="code", tenant_column="owner")
    rule = RowRule(key=KEY, table=TableName(name="item"), primary_key=("n",), sources=(source,), policy=Policy())
    query = decision(rule, sql.SQL("item"), columns=[sql.SQL("t.n")])
    assert [(n, bin_, write) for n, bin_, _, write, _, _ in sorted(connection.execute(query).fetchall())] == [
        (1, "conflict", None),
        (2, "assigned", "a"),
        (3, "unassigned", None),
    ]
