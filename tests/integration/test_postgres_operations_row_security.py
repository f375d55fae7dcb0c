"""Row-level security at cutover, seen with the eyes of the application's role, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_kit import PROJECTS, Application, application

from tenure.errors import OperationFailedError
from tenure.operations.base import Operation
from tenure.planner.row_security import cutover
from tenure.values import Finding, Phase

ROLES = """
DO $$ BEGIN CREATE ROLE app_role LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT USAGE ON SCHEMA public TO app_role;
"""
SCHEMA = (
    PROJECTS
    + ROLES
    + """
CREATE TABLE t (id int PRIMARY KEY, p text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL);
CREATE TABLE parted (id int PRIMARY KEY, p text) PARTITION BY HASH (id);
CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO parted VALUES (1, 'a'), (2, 'b');
GRANT ALL ON ALL TABLES IN SCHEMA public TO app_role;
"""
)
RULES: dict[str, Any] = {name: {"tenant": {"column": "p"}} for name in ("t", "parted")}
SECURITY = {"role": "app_role", "setting": "app.project_id"}


def planned(app: Application) -> tuple[list[Operation], list[Finding]]:
    """The operations of row-level security, and what the planner has to say of them."""
    findings: list[Finding] = []
    catalog = app.session.planning_catalog()
    built = app.session.rules(catalog)
    return list(cutover(app.session.playbook, catalog.postgres, built, findings)), findings


@contextmanager
def secured(
    dsn: str, folder: Path, unassigned: Any = "quarantine", schema: str = "", role: str = "app_role"
) -> Iterator[tuple[Application, list[Operation]]]:
    """An application with all keys written and its policies enabled."""
    rules = {**RULES, "t": {"tenant": {"column": "p"}, "unassigned": unassigned}}
    with application(dsn, folder, SCHEMA + schema, rules, row_security={**SECURITY, "role": role}) as app:
        operations, findings = planned(app)
        assert not findings
        app.run(Phase.CONSTRAIN)
        for operation in operations:
            operation.apply(app.session.context())
        yield app, operations


def seen(dsn: str, tenant: str | None, query: str) -> list[Any]:
    """The first column of *query* for the application's role in a session of *tenant*."""
    url = psycopg.conninfo.make_conninfo(dsn, user="app_role", password="x")
    with psycopg.connect(url, autocommit=True) as connection:
        if tenant is not None:
            connection.execute("SELECT set_config('app.project_id', %s, false)", (tenant,))
        return sorted(row[0] for row in connection.execute(query.encode()).fetchall())


def does(dsn: str, tenant: str, statement: str) -> int:
    """The rows that *statement* changes for the application's role."""
    url = psycopg.conninfo.make_conninfo(dsn, user="app_role", password="x")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.project_id', %s, false)", (tenant,))
        return connection.execute(statement.encode()).rowcount


def test_a_tenant_sees_and_writes_its_own(postgres_dsn: str, tmp_path: Path) -> None:
    with secured(postgres_dsn, tmp_path) as (app, operations):
        for table in ("t", "parted", "part"):
            query = f"SELECT id FROM {table}"
            assert seen(postgres_dsn, "a", query) == [1]
            assert seen(postgres_dsn, "b", query) == [2]
            assert seen(postgres_dsn, None, query) == []
            assert seen(postgres_dsn, "", query) == []
            assert seen(postgres_dsn, "c", query) == []
        assert does(postgres_dsn, "a", "UPDATE t SET p = p") == 1
        assert does(postgres_dsn, "a", "DELETE FROM t WHERE id = 2") == 0
        assert does(postgres_dsn, "a", "INSERT INTO t VALUES (10, 'a')") == 1, "old code: the trigger brings the key"
        for statement in ("INSERT INTO t VALUES (11, 'b', 'b')", "UPDATE t SET project_id = 'b'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                does(postgres_dsn, "a", statement)
        app.execute("DELETE FROM t WHERE id = 10")
        again = app.run(Phase.CONSTRAIN)
        assert again.swept == 0
        for operation in operations:
            operation.apply(app.session.context())
        for operation in reversed(operations):
            operation.undo(app.session.context())
        app.undo()
        app.untouched()


@pytest.mark.parametrize("unassigned", ["shared", {"keep_null": "built in"}])
def test_rows_of_all_are_read_and_not_written(postgres_dsn: str, tmp_path: Path, unassigned: Any) -> None:
    with secured(postgres_dsn, tmp_path, unassigned) as (_, operations):
        assert seen(postgres_dsn, "a", "SELECT id FROM t") == [1, 3]
        assert seen(postgres_dsn, "b", "SELECT id FROM t") == [2, 3]
        assert seen(postgres_dsn, None, "SELECT id FROM t") == []
        assert does(postgres_dsn, "a", "DELETE FROM t WHERE id = 3") == 0
        assert does(postgres_dsn, "a", "UPDATE t SET id = 4 WHERE id = 3") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            does(postgres_dsn, "a", "INSERT INTO t VALUES (9, NULL)")
        assert len(operations) == 2


def test_policies_that_exist_go_on_granting(postgres_dsn: str, tmp_path: Path) -> None:
    """The new policy takes away from what the old ones grant, and undo leaves theirs and their state."""
    policies = """
    ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
    CREATE POLICY low ON t USING (id < 2);
    """
    with secured(postgres_dsn, tmp_path, schema=policies) as (app, operations):
        assert seen(postgres_dsn, "a", "SELECT id FROM t") == [1]
        assert seen(postgres_dsn, "b", "SELECT id FROM t") == []
        assert seen(postgres_dsn, "b", "SELECT id FROM parted") == [2]
        for operation in reversed(operations):
            operation.undo(app.session.context())
        app.undo()
        app.untouched()


def test_keys_of_other_types(postgres_dsn: str, tmp_path: Path) -> None:
    schema = ROLES + """
    CREATE TABLE orgs (id uuid PRIMARY KEY); INSERT INTO orgs VALUES ('5b2f7b1e-0000-4000-8000-00000000000a');
    CREATE TABLE t (id int PRIMARY KEY, o uuid); INSERT INTO t SELECT 1, id FROM orgs;
    GRANT ALL ON t TO app_role;
    """  # fmt: skip
    tenant = {"key": "org", "type": "uuid", "registry": {"table": "orgs", "column": "id"}}
    rules = {"t": {"tenant": {"column": "o"}}}
    with application(postgres_dsn, tmp_path, schema, rules, tenant=tenant, row_security=SECURITY) as app:
        operations, _ = planned(app)
        app.run(Phase.CONSTRAIN)
        for operation in operations:
            operation.apply(app.session.context())
        assert seen(postgres_dsn, "5b2f7b1e-0000-4000-8000-00000000000a", "SELECT id FROM t") == [1]
        assert seen(postgres_dsn, "", "SELECT id FROM t") == []
        assert seen(postgres_dsn, None, "SELECT id FROM t") == []


def test_what_would_bind_nobody_or_blind_tenure_is_refused(postgres_dsn: str, tmp_path: Path) -> None:
    with application(postgres_dsn, tmp_path, SCHEMA, RULES, row_security=SECURITY) as app:
        catalog, built = app.catalog(), app.session.rules(app.session.catalog())
        role = catalog.role.model_copy(update={"superuser": False, "bypasses_rls": False})
        humble = catalog.model_copy(update={"role": role})
        findings: list[Finding] = []
        list(cutover(app.session.playbook, humble, built, findings))
        assert {finding.id for finding in findings} == {"TEN032"}
        own = tuple(table.model_copy(update={"owner": "app_role"}) for table in catalog.tables)
        findings = []
        wanted = app.session.playbook.row_security
        assert wanted is not None
        mild = app.session.playbook.model_copy(update={"row_security": wanted.model_copy(update={"force": False})})
        list(cutover(mild, catalog.model_copy(update={"tables": own}), built, findings))
        assert {finding.id for finding in findings} == {"TEN033"}


def test_a_role_that_is_not_there(postgres_dsn: str, tmp_path: Path) -> None:
    with (
        pytest.raises(OperationFailedError, match=r'role "no one" does not exist.*row_security\.role'),
        secured(postgres_dsn, tmp_path, role="no one"),
    ):
        pass
