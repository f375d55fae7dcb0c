"""What surrounds the tables: triggers, policies, views, functions, roles, publications, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tenure.catalog.postgres import PostgresCatalog, Table
from tenure.errors import SchemaMovedError
from tenure.stores import postgres_introspect
from tenure.stores.postgres_introspect import ATTEMPTS, introspect_postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """A role of an awkward name without any right; roles outlive databases, so it is removed again."""
    name = f'we"ird; role {uuid4().hex[:8]}'
    connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    yield name
    connection.execute("RESET ROLE")
    connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def run(connection: psycopg.Connection[Any], *statements: str) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def table(catalog: PostgresCatalog, display: str) -> Table:
    found = catalog.table(display)
    assert found is not None, display
    return found


def test_triggers(connection: psycopg.Connection[Any]) -> None:
    run(
        connection,
        'CREATE SCHEMA "fn; s"',
        """CREATE FUNCTION "fn; s".touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'""",
        'CREATE TABLE t (a int, "B" int, updated_at timestamptz)',
        """CREATE TRIGGER "tr ) EXECUTE FUNCTION " BEFORE INSERT OR UPDATE OF "B", a ON t FOR EACH ROW
            WHEN (NEW."B" IS DISTINCT FROM 7 AND 'FOR EACH ROW WHEN (' <> ') EXECUTE FUNCTION ')
            EXECUTE FUNCTION "fn; s".touch('it''s', 'WHEN (x) EXECUTE FUNCTION y()')""",
        'CREATE TRIGGER emptied AFTER TRUNCATE ON t EXECUTE FUNCTION "fn; s".touch()',
        "ALTER TABLE t DISABLE TRIGGER emptied",
        """CREATE CONSTRAINT TRIGGER checked AFTER DELETE ON t DEFERRABLE FOR EACH ROW
            EXECUTE FUNCTION "fn; s".touch()""",
        'CREATE TRIGGER kept AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION "fn; s".touch()',
        "ALTER TABLE t ENABLE ALWAYS TRIGGER kept",
        "CREATE TABLE other (id int PRIMARY KEY, t int REFERENCES other)",
        "CREATE TABLE p (a int) PARTITION BY LIST (a)",
        "CREATE TABLE p_1 PARTITION OF p DEFAULT",
        'CREATE TRIGGER down BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION "fn; s".touch()',
    )
    catalog = introspect_postgres(connection)
    triggers = {trigger.name: trigger for trigger in table(catalog, "t").triggers}
    odd = triggers["tr ) EXECUTE FUNCTION "]
    assert odd.when is not None
    assert odd.when == (
        """((new."B" IS DISTINCT FROM 7) AND ('FOR EACH ROW WHEN ('::text <> ') EXECUTE FUNCTION '::text))"""
    )
    assert (odd.timing, odd.events, odd.per_row, odd.enabled) == ("BEFORE", ("INSERT", "UPDATE"), True, "origin")
    assert (odd.function, odd.update_columns) == ("fn; s.touch", ("B", "a"))
    emptied = triggers["emptied"]
    assert (emptied.timing, emptied.events, emptied.per_row, emptied.enabled) == (
        "AFTER", ("TRUNCATE",), False, "disabled",
    )  # fmt: skip
    assert emptied.when is None
    assert triggers["checked"].constraint
    assert triggers["kept"].enabled == "always"
    assert table(catalog, "other").triggers == (), "those of foreign keys are the server's own"
    assert [trigger.inherited for trigger in table(catalog, "p").triggers] == [False]
    assert [trigger.inherited for trigger in table(catalog, "p_1").triggers] == [True]


def test_row_level_security(connection: psycopg.Connection[Any], role: str) -> None:
    run(
        connection,
        "CREATE TABLE t (a int)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE t FORCE ROW LEVEL SECURITY",
        "CREATE POLICY everyone ON t USING (true)",
        "CREATE TABLE free (a int)",
    )
    statement = sql.SQL("CREATE POLICY {} ON t AS RESTRICTIVE FOR UPDATE TO {} USING (a > 1) WITH CHECK (a > 2)")
    connection.execute(statement.format(sql.Identifier("pol; icy"), sql.Identifier(role)))
    as_superuser = table(introspect_postgres(connection), "t")
    assert (as_superuser.row_security, as_superuser.force_row_security) == (True, True)
    assert not as_superuser.row_security_active
    policies = {policy.name: policy for policy in as_superuser.policies}
    restrictive = policies["pol; icy"]
    assert (restrictive.permissive, restrictive.command, restrictive.roles) == (False, "UPDATE", (role,))
    assert (restrictive.using, restrictive.with_check) == ("(a > 1)", "(a > 2)")
    assert (policies["everyone"].roles, policies["everyone"].command) == (("public",), "ALL")
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    as_role = introspect_postgres(connection)
    assert table(as_role, "t").row_security_active
    assert not table(as_role, "free").row_security_active


def test_the_role_that_looks(connection: psycopg.Connection[Any], role: str) -> None:
    run(connection, "CREATE TABLE t (a int)")
    mighty = introspect_postgres(connection)
    assert mighty.role.superuser
    assert mighty.role.can_set_replication_role
    assert table(mighty, "t").owned
    who = sql.Identifier(role)
    connection.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM public").format(sql.Identifier(mighty.database)))
    connection.execute(sql.SQL("SET ROLE {}").format(who))
    weak = introspect_postgres(connection)
    assert weak.role.name == role
    rights = weak.role.model_dump(exclude={"name"})
    assert not any(rights.values()), rights
    assert not table(weak, "t").owned
    assert [column.name for column in table(weak, "t").columns] == ["a"], "a role without rights still sees the schema"
    connection.execute("RESET ROLE")
    connection.execute(sql.SQL("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}").format(
        sql.Identifier(mighty.database), who))  # fmt: skip
    connection.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(who))
    connection.execute(sql.SQL("ALTER TABLE t OWNER TO {}").format(who))
    if connection.info.server_version >= 150000:
        connection.execute(sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(who))
    connection.execute(sql.SQL("SET ROLE {}").format(who))
    strong = introspect_postgres(connection)
    assert (strong.role.bypasses_rls, strong.role.can_create_schema, strong.role.can_create_temp) == (True, True, True)
    assert strong.role.can_set_replication_role is (connection.info.server_version >= 150000)
    assert table(strong, "t").owned


def test_views_functions_and_publications(connection: psycopg.Connection[Any]) -> None:
    run(
        connection,
        'CREATE SCHEMA "S 2"',
        "CREATE TABLE a (id int PRIMARY KEY)",
        "CREATE TABLE b (id int PRIMARY KEY, a int)",
        'CREATE VIEW "S 2"."V" AS SELECT a.id FROM a JOIN b ON b.a = a.id',
        'CREATE MATERIALIZED VIEW mv AS SELECT id FROM "S 2"."V"',
        "CREATE UNIQUE INDEX mv_id ON mv (id)",
        """CREATE FUNCTION "S 2"."f "" x"(a int, OUT b text) LANGUAGE sql BEGIN ATOMIC SELECT 'x'; END""",
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "CREATE PROCEDURE pr(a text) LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END'",
        'CREATE PUBLICATION "Pub 1" FOR TABLE a',
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "ALTER TABLE a REPLICA IDENTITY FULL",
    )
    catalog = introspect_postgres(connection)
    view, materialized = catalog.views
    assert (view.display, view.depends_on, view.materialized) == ("S 2.V", ("a", "b"), False)
    assert (materialized.display, materialized.depends_on, materialized.materialized) == ("mv", ("S 2.V",), True)
    assert [index.name for index in materialized.indexes if index.unique] == ["mv_id"]
    functions = {function.display: function for function in catalog.functions}
    assert sorted(functions) == ['S 2.f " x', "g", "pr"]
    assert "SELECT 'x'::text" in functions['S 2.f " x'].source
    assert functions['S 2.f " x'].identity_arguments == "a integer, OUT b text"
    assert (functions["g"].source, functions["g"].security_definer) == ("SELECT 1", True)
    assert catalog.publications == ("Pub 1", "everything")
    assert table(catalog, "a").publications == ("Pub 1", "everything")
    assert table(catalog, "b").publications == ("everything",)
    assert table(catalog, "a").replica_identity == "full"


def test_slots(connection: psycopg.Connection[Any]) -> None:
    name = f"tenure_{uuid4().hex[:8]}"
    connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (name,))
    try:
        (slot,) = (slot for slot in introspect_postgres(connection).slots if slot.name == name)
        before = slot.retained_bytes
        run(connection, "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g")
        (slot,) = (slot for slot in introspect_postgres(connection).slots if slot.name == name)
        assert (slot.kind, slot.active) == ("physical", False)
        assert slot.retained_bytes > before
    finally:
        connection.execute("SELECT pg_drop_replication_slot(%s)", (name,))


def test_what_belongs_to_the_server_to_extensions_and_to_tenure_is_left_out(
    connection: psycopg.Connection[Any],
) -> None:
    run(
        connection,
        "CREATE EXTENSION pg_stat_statements",
        "CREATE EXTENSION citext",
        "CREATE SCHEMA tenure",
        "CREATE TABLE tenure.runs (id int)",
        "CREATE FUNCTION tenure.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TEMPORARY TABLE passing (id int)",
        "CREATE TABLE mine (id int)",
        "CREATE UNLOGGED TABLE unlogged (id int)",
    )
    catalog = introspect_postgres(connection)
    assert [found.display for found in catalog.tables] == ["mine", "unlogged"]
    assert [found.unlogged for found in catalog.tables] == [False, True]
    assert catalog.views == ()
    assert catalog.functions == ()


def test_rows_are_estimated_before_and_after_analyze(connection: psycopg.Connection[Any]) -> None:
    run(
        connection,
        "CREATE TABLE t AS SELECT g AS a, g::text AS b FROM generate_series(1, 20000) g",
        "CREATE TABLE e ()",
    )
    guess = table(introspect_postgres(connection), "t")
    assert 10_000 < guess.estimated_rows < 40_000
    heap = connection.execute("SELECT pg_relation_size('t') / current_setting('block_size')::int").fetchone()
    assert heap == (guess.pages,)
    run(connection, "ANALYZE t", "ANALYZE e")
    catalog = introspect_postgres(connection)
    assert table(catalog, "t").estimated_rows == 20_000
    assert table(catalog, "e").estimated_rows == 0


def test_the_session_is_left_as_it_was_and_nothing_is_written(connection: psycopg.Connection[Any]) -> None:
    run(connection, "CREATE TABLE t (a int)", "SET search_path = public, pg_temp")
    first = introspect_postgres(connection)
    assert connection.execute("SHOW search_path").fetchone() == ("public, pg_temp",)
    assert connection.execute("SHOW transaction_read_only").fetchone() == ("off",)
    with connection.transaction():
        run(connection, "INSERT INTO t VALUES (1)", "CREATE TABLE mid (a int)")
        inside = introspect_postgres(connection)
        assert inside.table("mid") is not None, "inside a transaction its own changes are seen"
        run(connection, "INSERT INTO t VALUES (2)")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
    run(connection, "DROP TABLE mid")
    assert introspect_postgres(connection).digest() == first.digest()
    assert PostgresCatalog.model_validate_json(first.model_dump_json()) == first


def _drop_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, connection: psycopg.Connection[Any], dsn: str, times: int
) -> list[str]:
    """Drop one of several tables while the first *times* attempts are between two statements; return their names."""
    names = [f"t{place}" for place in range(times + 1)]
    for name in names:
        run(connection, f"CREATE TABLE {name} (a int PRIMARY KEY REFERENCES {name}, CHECK (a > 0))")
    doomed = names[:times]
    read_tables = postgres_introspect._tables

    def tables(*arguments: Any) -> Any:
        if doomed:
            with psycopg.connect(dsn, autocommit=True) as other:
                other.execute(f"DROP TABLE {doomed.pop()}".encode())
        return read_tables(*arguments)

    monkeypatch.setattr(postgres_introspect, "_tables", tables)
    return names


def test_a_table_that_is_dropped_meanwhile_is_gone_and_breaks_nothing(
    connection: psycopg.Connection[Any], postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _drop_in_the_middle(monkeypatch, connection, postgres_dsn, ATTEMPTS - 1)
    assert [found.name for found in introspect_postgres(connection).tables] == names[-1:]


def test_a_schema_that_never_holds_still_is_an_error_with_a_remedy(
    connection: psycopg.Connection[Any], postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _drop_in_the_middle(monkeypatch, connection, postgres_dsn, ATTEMPTS)
    with pytest.raises(SchemaMovedError, match="Try again when no DDL runs"):
        introspect_postgres(connection)
