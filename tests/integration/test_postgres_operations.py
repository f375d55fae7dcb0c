"""Expand, backfill, constrain and undo, looked at after each: a table of cases on a real server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from postgres_kit import PROJECTS, application, without_key

from tenure.values import Phase


class Case(NamedTuple):
    """A schema, its rules, and what each row's key must be; `keys` is a query for (name, key) pairs."""

    schema: str
    tables: dict[str, Any]
    keys: dict[str, dict[Any, Any]]
    options: Mapping[str, Any] = MappingProxyType({})
    quarantined: int = 0


CASES = {
    "column": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'A');",
        {"t": {"tenant": {"column": "p"}}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "b", 3: "a"}},
        {"tenant": {"registry": {"table": "projects", "column": "id"}, "aliases": "al.csv"},
         "files": {"al.csv": "value,tenant\nA,a\n"}},
    ),
    "untagged words": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, q text);"
        "INSERT INTO t VALUES (1, 'default', 'b'), (2, '', NULL), (3, 'a', 'default');",
        {"t": {"tenant": {"first": [{"column": "p"}, {"column": "q"}]}, "unassigned": "quarantine"}},
        {"SELECT id, project_id FROM t": {1: "b", 2: "__quarantine__", 3: "a"}},
        {"tenant": {"registry": {"table": "projects", "column": "id"}, "untagged": ["default", ""]}},
        quarantined=1,
    ),
    "constant": Case(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5);",
        {"t": {"tenant": {"constant": "b"}}},
        {"SELECT id, project_id FROM t": dict.fromkeys(range(1, 6), "b")},
    ),
    "constant that is an alias": Case(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);",
        {"t": {"tenant": {"constant": "Acme"}}},
        {"SELECT id, project_id FROM t": {1: "a"}},
        {"tenant": {"registry": {"table": "projects", "column": "id"}, "aliases": "al.csv"},
         "files": {"al.csv": "value,tenant\nAcme,a\n"}},
    ),
    "parents three deep": Case(
        "CREATE TABLE top (id int PRIMARY KEY, p text);"
        "CREATE TABLE mid (id int PRIMARY KEY, top_id int REFERENCES top);"
        "CREATE TABLE low (id int PRIMARY KEY, mid_id int REFERENCES mid);"
        "CREATE TABLE leaf (id int PRIMARY KEY, low_id int REFERENCES low);"
        "INSERT INTO top VALUES (1, 'a'), (2, 'b'), (3, 'nobody'); INSERT INTO mid VALUES (1, 1), (2, 2), (3, 3);"
        "INSERT INTO low VALUES (1, 1), (2, 2), (3, 3); INSERT INTO leaf VALUES (1, 1), (2, 2), (3, 3);",
        {
            "leaf": {"tenant": {"parent": "low", "match": {"low_id": "id"}}},
            "low": {"tenant": {"parent": "mid", "match": {"mid_id": "id"}}},
            "mid": {"tenant": {"parent": "top", "match": {"top_id": "id"}}},
            "top": {"tenant": {"column": "p"}, "unassigned": "quarantine"},
        },
        {"SELECT id, project_id FROM leaf": {1: "a", 2: "b", 3: "__quarantine__"}},
        quarantined=4,
    ),
    "parent of several": Case(
        "CREATE TABLE files (id int PRIMARY KEY, name text, p text); CREATE INDEX ON files (name);"
        "CREATE TABLE t (id int PRIMARY KEY, file text);"
        "INSERT INTO files VALUES (1, 'x', 'a'), (2, 'x', 'a'), (3, 'y', 'a'), (4, 'y', 'b');"
        "INSERT INTO t VALUES (1, 'x'), (2, 'y');",
        {
            "files": {"tenant": {"column": "p"}},
            "t": {"tenant": {"parent": "files", "match": {"file": "name"}}, "conflict": "quarantine"},
        },
        {"SELECT id, project_id FROM t": {1: "a", 2: "__quarantine__"}},
        quarantined=1,
    ),
    "composite key and parent": Case(
        "CREATE TABLE files (dir text, name text, p text, PRIMARY KEY (dir, name));"
        "CREATE TABLE t (dir text, name text, n int, PRIMARY KEY (dir, name, n),"
        " FOREIGN KEY (dir, name) REFERENCES files);"
        "INSERT INTO files VALUES ('d', '1', 'a'), ('d', '2', 'b'); INSERT INTO t VALUES ('d', '1', 1), ('d', '2', 1);",
        {
            "files": {"tenant": {"column": "p"}},
            "t": {"tenant": {"parent": "files", "match": {"dir": "dir", "name": "name"}}},
        },
        {"SELECT name, project_id FROM t": {"1": "a", "2": "b"}},
    ),
    "witness disagrees": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, q text); INSERT INTO t VALUES (1, 'a', 'b'), (2, 'b', 'b');",
        {"t": {"tenant": {"first": [{"column": "p"}, {"column": "q"}]}, "conflict": "first"}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "b"}},
    ),
    "sql with sub-query, percent, braces": Case(
        "CREATE TABLE t (id int PRIMARY KEY, ref text);"
        "INSERT INTO t VALUES (1, 'a/100%'), (2, 'b/{0}'), (3, '%s/{}');",
        {"t": {"tenant": {"sql": "(SELECT x.id FROM public.projects x WHERE t.ref LIKE x.id || '/%' "
                                 "AND t.ref NOT LIKE '{}%s{x!r}')"},
               "unassigned": {"assign": "c"}}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "b", 3: "c"}},
    ),
    "mapping from a file": Case(
        "CREATE TABLE t (id int PRIMARY KEY, batch text); INSERT INTO t VALUES (1, 'x'), (2, 'y, \"z\"'), (3, NULL);",
        {"t": {"tenant": {"mapping": "map.csv", "match": "batch"}, "unassigned": "shared"}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "b", 3: "__shared__"}},
        {"files": {"map.csv": 'value,tenant\nx,a\n"y, ""z""",b\n'}},
    ),
    "mapping from a table": Case(
        "CREATE TABLE m (v int, owner text); INSERT INTO m VALUES (1, 'a'), (2, 'b'), (2, 'b'), (3, 'a'), (3, 'b');"
        "CREATE TABLE t (id int PRIMARY KEY, batch int); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);",
        {
            "m": {"exempt": "a list"},
            "t": {"tenant": {"mapping": {"table": "m", "value": "v", "tenant": "owner"}, "match": "batch"},
                  "conflict": "quarantine"},
        },
        {"SELECT id, project_id FROM t": {1: "a", 2: "b", 3: "__quarantine__"}},
        quarantined=1,
    ),
    "no primary key": Case(
        "CREATE TABLE t (n int, p text, wide text); INSERT INTO t VALUES (1, 'a', ''), (1, 'a', ''), (2, 'b', ''),"
        " (3, NULL, (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 500) g));",
        {"t": {"tenant": {"column": "p"}, "unassigned": "quarantine"}},
        {"SELECT n, project_id FROM t": {1: "a", 2: "b", 3: "__quarantine__"}},
        quarantined=1,
    ),
    "partitioned": Case(
        "CREATE TABLE t (id int, at date, p text, PRIMARY KEY (id, at, p)) PARTITION BY RANGE (at);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
        "CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (p);"
        "CREATE TABLE t_2a PARTITION OF t_2 FOR VALUES IN ('a'); CREATE TABLE t_2x PARTITION OF t_2 DEFAULT;"
        "INSERT INTO t VALUES (1, '2024-05-01', 'a'), (2, '2025-05-01', 'a'), (3, '2025-05-01', 'b');",
        {"t": {"tenant": {"column": "p"}}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "a", 3: "b"}},
    ),
    "inherited": Case(
        "CREATE TABLE base (id int PRIMARY KEY, p text); CREATE TABLE child (more text) INHERITS (base);"
        "INSERT INTO base VALUES (1, 'a'); INSERT INTO child VALUES (2, 'b', '');",
        {"child": {"tenant": {"column": "p"}}, "base": {"tenant": {"column": "p"}}},
        {"SELECT id, project_id FROM base": {1: "a", 2: "b"}},
    ),
    "existing key, half filled, with a default": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, project_id text DEFAULT 'a');"
        "INSERT INTO t VALUES (1, 'a', 'a'), (2, 'b', NULL), (3, 'b', 'default'), (4, NULL, 'c');",
        {"t": {"tenant": {"column": "p"}}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "b", 3: "b", 4: "c"}},
        {"tenant": {"registry": {"table": "projects", "column": "id"}, "untagged": ["default"]}},
    ),
    "existing key that differs, in conflict": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, project_id text NOT NULL); INSERT INTO t VALUES (1, 'a', 'b');",
        {"t": {"tenant": {"column": "p"}, "conflict": "quarantine"}},
        {"SELECT id, project_id FROM t": {1: "__quarantine__"}},
        quarantined=1,
    ),
    "existing key that differs, kept": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, project_id text); INSERT INTO t VALUES (1, 'a', 'b');",
        {"t": {"tenant": {"column": "p"}, "existing": "keep"}},
        {"SELECT id, project_id FROM t": {1: "b"}},
    ),
    "existing key that differs, derived again": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, project_id text); INSERT INTO t VALUES (1, 'a', 'b');"
        "CREATE TABLE bare (n int, p text, project_id text); INSERT INTO bare VALUES (1, 'a', 'b'), (1, 'a', 'b');",
        {name: {"tenant": {"column": "p"}, "existing": "rederive"} for name in ("t", "bare")},
        {"SELECT id, project_id FROM t": {1: "a"}, "SELECT n, project_id FROM bare": {1: "a"}},
    ),
    "null kept on purpose": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, name text NOT NULL UNIQUE, other text UNIQUE);"
        "INSERT INTO t VALUES (1, 'a', 'x', NULL), (2, NULL, 'y', NULL);",
        {"t": {"tenant": {"column": "p"}, "unassigned": {"keep_null": "built in"}}},
        {"SELECT id, project_id FROM t": {1: "a", 2: None}},
    ),
    "uuid keys": Case(
        "CREATE TABLE orgs (id uuid PRIMARY KEY); INSERT INTO orgs VALUES ('5b2f7b1e-0000-4000-8000-00000000000a');"
        "CREATE TABLE t (id int PRIMARY KEY, o text); INSERT INTO t VALUES (1, '5b2f7b1e-0000-4000-8000-00000000000a'),"
        " (2, 'not a uuid');",
        {"t": {"tenant": {"column": "o"}, "unassigned": "quarantine"}, "projects": {"exempt": "another list"}},
        {"SELECT id, org::text FROM t": {
            1: "5b2f7b1e-0000-4000-8000-00000000000a", 2: "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
        {"tenant": {"key": "org", "type": "uuid", "registry": {"table": "orgs", "column": "id"}}},
        quarantined=1,
    ),
    "bigint keys": Case(
        "CREATE TABLE orgs (id bigint PRIMARY KEY); INSERT INTO orgs VALUES (7);"
        "CREATE TABLE t (id int PRIMARY KEY, o int); INSERT INTO t VALUES (1, 7), (2, 8), (3, NULL);",
        {"t": {"tenant": {"column": "o"}, "unassigned": "quarantine"}, "projects": {"exempt": "another list"}},
        {"SELECT id, org FROM t": {1: 7, 2: -9223372036854775808, 3: -9223372036854775808}},
        {"tenant": {"key": "org", "type": "bigint", "registry": {"table": "orgs", "column": "id"}}},
        quarantined=2,
    ),
    "hostile names": Case(
        'CREATE SCHEMA "s; DROP SCHEMA public;--"; '
        'CREATE TABLE "Top {x} ""q""" ("i%d {}" int PRIMARY KEY, "p\'roj" text UNIQUE NULLS NOT DISTINCT);'
        f'CREATE TABLE "s; DROP SCHEMA public;--"."{"ñ" * 31}" ("""" int, "a b" int PRIMARY KEY REFERENCES '
        '"Top {x} ""q""", CONSTRAINT "un {} %s" UNIQUE ("""", "a b"));'
        f'CREATE TABLE "{"x" * 63}" (id int PRIMARY KEY, "$1" int);'
        'INSERT INTO "Top {x} ""q""" VALUES (1, \'a\'), (2, \'b\');'
        f'INSERT INTO "s; DROP SCHEMA public;--"."{"ñ" * 31}" VALUES (1, 1), (1, 2);'
        f'INSERT INTO "{"x" * 63}" VALUES (1, 1);',
        {
            'Top {x} "q"': {"tenant": {"column": "p'roj"}},
            f"s; DROP SCHEMA public;--.{'ñ' * 31}": {"tenant": {"parent": 'Top {x} "q"', "match": {"a b": "i%d {}"}}},
            "x" * 63: {"tenant": {"parent": 'Top {x} "q"', "match": {"$1": "i%d {}"}}},
        },
        {
            f'SELECT "a b", "pro ject; % {{}}" FROM "s; DROP SCHEMA public;--"."{"ñ" * 31}"': {1: "a", 2: "b"},
            f'SELECT id, "pro ject; % {{}}" FROM "{"x" * 63}"': {1: "a"},
        },
        {"tenant": {"key": "pro ject; % {}", "registry": {"table": "projects", "column": "id"}}},
    ),
    "generated source": Case(
        "CREATE TABLE t (id int PRIMARY KEY, ref text, value text, p text GENERATED ALWAYS AS (split_part(ref, '/', 1))"
        " STORED); INSERT INTO t (id, ref) VALUES (1, 'a/1'), (2, 'b/2');",
        {"t": {"tenant": {"column": "p"}}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "b"}},
    ),
    "existing key with a foreign key to the registry": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, project_id text REFERENCES projects);"
        "INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', 'b');",
        {"t": {"tenant": {"column": "p"}}},
        {"SELECT id, project_id FROM t": {1: "a", 2: "b"}},
    ),
    "triggers of the table's own": Case(
        "CREATE TABLE t (id int PRIMARY KEY, p text, updated_at timestamptz DEFAULT '2001-01-01');"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;"
        "CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();"
        "INSERT INTO t VALUES (1, 'a');",
        {"t": {"tenant": {"column": "p"}}},
        {"SELECT id, project_id FROM t": {1: "a"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_phase_and_back(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Keys are right after backfill, nothing else moved, constraints hold, and undo leaves no trace."""
    case = CASES[name]
    key = case.options.get("tenant", {}).get("key", "project_id")
    options = dict(case.options)
    if "tenant" in options:
        options["tenant"] = {"key": "project_id", "type": "text", **options["tenant"]}
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables, **options) as app:
        before = {name: without_key(rows, key) for name, rows in app.rows_before.items()}

        def others_unchanged() -> None:
            assert {name: without_key(rows, key) for name, rows in app.contents().items()} == before

        app.run(Phase.EXPAND)
        for table in case.tables:
            if "tenant" in case.tables[table]:
                found = app.catalog().table(table)
                assert found is not None
                column = found.column(key)
                assert column is not None
                assert column.default is None
        others_unchanged()

        app.run(Phase.BACKFILL)
        for query, keys in case.keys.items():
            assert app.pairs(query) == keys
        others_unchanged()
        assert app.value("SELECT count(*) FROM tenure.quarantine") == case.quarantined

        app.run(Phase.CONSTRAIN)
        again = app.run(Phase.CONSTRAIN)
        assert again.swept == 0
        kept_null = {table for table, rule in case.tables.items() if "keep_null" in str(rule.get("unassigned"))}
        for table in app.catalog().tables:
            assert all(index.valid for index in table.indexes)
            assert all(found.validated for found in table.foreign_keys)
            column = table.column(key)
            assert column is None or column.nullable is (table.display in kept_null)
        for query, keys in case.keys.items():
            assert app.pairs(query) == keys
        others_unchanged()

        app.undo()
        app.untouched()
