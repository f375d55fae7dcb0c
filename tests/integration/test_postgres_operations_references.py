"""Foreign keys of every form: composite in constrain, alone after contract, and the way back from both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest
from postgres_kit import PROJECTS, application

from tenure.errors import OperationFailedError
from tenure.planner.references import references
from tenure.values import NEEDS_CONSENT, Phase

T: dict[str, Any] = {"t": {"tenant": {"column": "p"}}}
ID = "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
ROWS = "INSERT INTO t (p, name) VALUES ('a', 'x'), ('b', 'y');"


class KeyCase(NamedTuple):
    """A schema of t and its child c, what must fail in the end, what must work, and the findings."""

    schema: str
    tables: Mapping[str, Any]
    refused: tuple[str, ...] = ()
    works: Mapping[str, Any] = MappingProxyType({})
    kept: int = 0


CHILD = {**T, "c": {"tenant": {"column": "p"}}}
PARENT = f"CREATE TABLE t ({ID}, p text, name text UNIQUE);" + ROWS
CROSS = "INSERT INTO c (id, p, project_id, t_id) VALUES (9, 'b', 'b', 1)"
KEYS = {
    "plain": KeyCase(PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t);"
                     "INSERT INTO c VALUES (1, 'a', 1), (2, 'b', 2), (3, 'b', NULL);", CHILD, (CROSS,)),
    "set null": KeyCase(
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t ON DELETE SET NULL);"
        "INSERT INTO c VALUES (1, 'a', 1), (2, 'b', 2);", CHILD, (CROSS,),
        {"DELETE FROM t WHERE id = 1; SELECT project_id || coalesce(t_id::text, '-') FROM c WHERE id = 1": "a-"}),
    "set default": KeyCase(
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text,"
        " t_id int DEFAULT NULL REFERENCES t ON DELETE SET DEFAULT);"
        "INSERT INTO c VALUES (1, 'a', 1), (2, 'b', 2);", CHILD, (CROSS,),
        {"DELETE FROM t WHERE id = 1; SELECT project_id || coalesce(t_id::text, '-') FROM c WHERE id = 1": "a-"}),
    "on update set null": KeyCase(
        "CREATE TABLE t (id int PRIMARY KEY, p text, name text UNIQUE);"
        "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y');"
        "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t ON UPDATE SET NULL);"
        "INSERT INTO c VALUES (1, 'a', 1), (2, 'b', 2);", CHILD, (CROSS,),
        {"UPDATE t SET id = 7 WHERE id = 1; SELECT project_id || coalesce(t_id::text, '-') FROM c WHERE id = 1": "a-"},
        kept=1),
    "match full": KeyCase(
        "CREATE TABLE t (x int, y int, p text, PRIMARY KEY (x, y)); INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b');"
        "CREATE TABLE c (id int PRIMARY KEY, p text, t_x int, t_y int, FOREIGN KEY (t_x, t_y) REFERENCES t MATCH FULL);"
        "INSERT INTO c VALUES (1, 'a', 1, 1), (2, 'b', 2, 2), (3, 'b', NULL, NULL);", CHILD,
        ("INSERT INTO c VALUES (9, 'b', 1, 1, 'b')", "INSERT INTO c VALUES (9, 'b', 2, NULL, 'b')")),
    "self and cycle": KeyCase(
        "CREATE TABLE t (id int PRIMARY KEY, p text, up int REFERENCES t, c_id int);"
        "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t);"
        "ALTER TABLE t ADD FOREIGN KEY (c_id) REFERENCES c DEFERRABLE INITIALLY DEFERRED;"
        "INSERT INTO t VALUES (1, 'a', NULL, NULL), (2, 'a', 1, NULL); INSERT INTO c VALUES (1, 'a', 2);"
        "UPDATE t SET c_id = 1 WHERE id = 1;", CHILD,
        (CROSS, "INSERT INTO t VALUES (9, 'b', 1, NULL, 'b')", "INSERT INTO t VALUES (9, 'b', NULL, 1, 'b')")),
    "partitioned on both sides": KeyCase(
        "CREATE TABLE t (id int, at int, p text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
        "CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (9);"
        "CREATE TABLE c (id int, p text, t_id int, t_at int, FOREIGN KEY (t_id, t_at) REFERENCES t)"
        " PARTITION BY HASH (id);"
        "CREATE TABLE c_0 PARTITION OF c FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b'); INSERT INTO c VALUES (1, 'a', 1, 1), (2, 'b', 2, 1);", CHILD,
        ("INSERT INTO c VALUES (9, 'b', 1, 1, 'b')",)),
    "to a shared table": KeyCase(
        PARENT + "CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds VALUES (1);"
        "CREATE TABLE c (id int PRIMARY KEY, p text, kind int REFERENCES kinds); INSERT INTO c VALUES (1, 'a', 1);",
        {**CHILD, "kinds": {"shared": "the same for all"}}, ("INSERT INTO c VALUES (9, 'a', 3, 'a')",)),
    "to rows that may be global": KeyCase(
        PARENT + "INSERT INTO t (p, name) VALUES (NULL, 'all');"
        "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t); INSERT INTO c VALUES (1, 'a', 3);",
        {**CHILD, "t": {"tenant": {"column": "p"}, "unassigned": "shared"}},
        ("INSERT INTO c VALUES (9, 'a', 77, 'a')",), kept=1),
    "from rows whose key may be null": KeyCase(
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t);"
        "INSERT INTO c VALUES (1, 'a', 1), (2, NULL, 2);",
        {**CHILD, "c": {"tenant": {"column": "p"}, "unassigned": {"keep_null": "built in"}}},
        (CROSS, "INSERT INTO c VALUES (9, NULL, 77, NULL)"), kept=1),
    "moved by old code": KeyCase(
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, t_id int REFERENCES t); INSERT INTO c VALUES (1, 1);",
        {**T, "c": {"tenant": {"parent": "t", "match": {"t_id": "id"}}}}, (),
        {"UPDATE t SET p = 'c' WHERE id = 1; SELECT project_id FROM c": "c"}),
    "never validated": KeyCase(
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int); INSERT INTO c VALUES (1, 'a', 77);"
        "ALTER TABLE c ADD FOREIGN KEY (t_id) REFERENCES t NOT VALID;", CHILD, (CROSS,)),
    "not enforced": KeyCase(
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t NOT ENFORCED);"
        "INSERT INTO c VALUES (1, 'a', 77);", CHILD, (), kept=1),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_foreign_keys_within_a_tenant_and_back(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    case = KEYS[name]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        assert len(app.finding("TEN026")) == case.kept
        app.run(Phase.CONSTRAIN)
        for stage in (Phase.CONSTRAIN, Phase.CONTRACT):
            app.run(stage, allowed=tuple(NEEDS_CONSENT))
            for statement in case.refused:
                with pytest.raises((psycopg.errors.ForeignKeyViolation, psycopg.errors.CheckViolation)):
                    app.execute(statement)
            for statements, expected in case.works.items():
                with app.connect() as connection, connection.transaction(force_rollback=True):
                    *first, query = statements.split("; ")
                    for statement in first if stage is Phase.CONSTRAIN or "SET p =" not in statements else ():
                        connection.execute(statement.encode())
                    row = connection.execute(query.encode()).fetchone()
                    if stage is Phase.CONSTRAIN or "SET p =" not in statements:
                        assert row == (expected,)
        app.undo()
        app.untouched()


MOVES = {
    "the parent alone": ("UPDATE t SET p = 'c' WHERE id = 1", "aaa"),
    "parent first": ("UPDATE t SET p = 'c' WHERE id = 1; UPDATE c SET p = 'c'; UPDATE d SET p = 'c'", "aaa"),
    "child first": ("UPDATE d SET p = 'c'; UPDATE c SET p = 'c'; UPDATE t SET p = 'c' WHERE id = 1", "aaa"),
    "a child alone": ("UPDATE c SET p = 'b'", "aaa"),
    "one that refers to nobody": ("UPDATE d SET c_id = NULL, p = 'b'", "aab"),
    "one that nobody refers to any more": ("UPDATE d SET c_id = NULL; UPDATE c SET t_id = 2, p = 'b'", "aba"),
    "the parent, once nobody refers to it": ("UPDATE c SET t_id = NULL; UPDATE t SET p = 'c' WHERE id = 1", "caa"),
}


def test_old_code_that_moves_a_row_is_never_refused(postgres_dsn: str, tmp_path: Path) -> None:
    """Each table says itself whose its rows are: what a foreign key ties to its tenant stays, and verify tells."""
    schema = (
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t); INSERT INTO c VALUES (1, 'a', 1);"
        "CREATE TABLE d (id int PRIMARY KEY, p text, c_id int REFERENCES c, up int REFERENCES d);"
        "INSERT INTO d VALUES (1, 'a', 1, 1);"
        "CREATE TABLE e (id int PRIMARY KEY, p text, up int REFERENCES e);"
        "INSERT INTO e VALUES (1, 'a', NULL), (2, 'a', 1), (3, 'a', NULL);"
    )
    tables = {**CHILD, "d": {"tenant": {"column": "p"}}, "e": {"tenant": {"column": "p"}}}
    with application(postgres_dsn, tmp_path, PROJECTS + schema, tables) as app:
        app.run(Phase.CONSTRAIN)
        for name, (moves, keys) in MOVES.items():
            with app.connect() as connection, connection.transaction(force_rollback=True):
                for statement in moves.split("; "):
                    connection.execute(statement.encode())
                    crossing = "SELECT count(*) FROM t JOIN c ON t.id = c.t_id JOIN d ON c.id = d.c_id WHERE NOT "
                    crossing += "(t.project_id = c.project_id AND c.project_id = d.project_id)"
                    assert connection.execute(crossing.encode()).fetchone() == (0,), name
                found = connection.execute(
                    "SELECT string_agg(k, '') FROM (SELECT project_id AS k FROM t WHERE id = 1 UNION ALL "
                    "SELECT project_id FROM c UNION ALL SELECT project_id FROM d) AS u"
                ).fetchone()
                assert found == (keys,), name
        with app.connect() as connection, connection.transaction(force_rollback=True):
            connection.execute("UPDATE e SET p = 'c'")
            rows = connection.execute("SELECT id, project_id FROM e ORDER BY id").fetchall()
            assert rows == [(1, "a"), (2, "a"), (3, "c")], "a tree stays whole, and what stands alone moves"
        app.execute("UPDATE t SET p = 'c' WHERE id = 1")
        (told,) = (found for found in app.session.verify().findings if found.severity == "error")
        assert (told.id, told.object, told.sample[0]["item"]) == ("TEN502", "t", {"id": 1})
        app.execute("UPDATE t SET p = 'a' WHERE id = 1")
        app.undo()
        app.untouched()


def test_a_reference_that_the_database_computes_has_no_cascade(postgres_dsn: str, tmp_path: Path) -> None:
    schema = (
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int GENERATED ALWAYS AS (id) STORED REFERENCES t);"
        "INSERT INTO c (id, p) VALUES (1, 'a'), (2, 'b');"
    )
    with application(postgres_dsn, tmp_path, PROJECTS + schema, CHILD) as app:
        app.run(Phase.CONSTRAIN)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            app.execute("INSERT INTO c (id, p, project_id) VALUES (1, 'b', 'b') ON CONFLICT (id) DO UPDATE "
                        "SET project_id = 'b'")  # fmt: skip
        app.undo()
        app.untouched()


def test_references_across_tenants_are_listed(postgres_dsn: str, tmp_path: Path) -> None:
    schema = (
        PARENT + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t); INSERT INTO c VALUES (1, 'b', 1);"
    )
    with (
        application(postgres_dsn, tmp_path, PROJECTS + schema, CHILD) as app,
        pytest.raises(OperationFailedError, match=r"1 row\(s\) refer to another tenant's row, or to none: \(b,1\)"),
    ):
        app.run(Phase.CONSTRAIN)


def test_actions_with_column_lists_need_postgres_15(postgres_dsn: str, tmp_path: Path) -> None:
    schema = KEYS["set null"].schema
    with application(postgres_dsn, tmp_path, PROJECTS + schema, CHILD) as app:
        built = app.session.rules(app.session.catalog())
        old = app.catalog().model_copy(update={"server_version": 140000})
        assert [bool(reference.keep) for reference in references(old, built)] == [True]
        assert [bool(reference.keep) for reference in references(app.catalog(), built)] == [False]
