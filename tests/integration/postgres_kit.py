"""What the tests of the Postgres operations share: an application, its playbook, and a run that is looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tenure.attribution.build import row_rules
from tenure.catalog.postgres import PostgresCatalog
from tenure.demo import example
from tenure.operations.base import Operation
from tenure.planner import Plan
from tenure.planner.constraints import contract
from tenure.playbook import load_playbook
from tenure.runner.context import StopSignal
from tenure.runner.result import RunResult
from tenure.runner.runner import Runner
from tenure.session import Session
from tenure.values import NEEDS_CONSENT, Hazard, Phase

PROJECTS = """
CREATE TABLE projects (id text PRIMARY KEY);
INSERT INTO projects VALUES ('a'), ('b'), ('c');
"""

# The operations that take a global uniqueness away at contract.
DROPS = ("drop_unique", "swap_primary_key", "drop_exclusion")


class Application:
    """A database with its playbook. `session` is open for as long as the context manager that made it."""

    def __init__(self, dsn: str, session: Session) -> None:
        """Remember the catalog and the rows as they are now."""
        self.dsn = dsn
        self.session = session
        self.before = self.catalog()
        self.rows_before = self.contents()

    def plan(self) -> Plan:
        """The plan; fails the test when it has errors, since then it has no operations."""
        plan = self.session.plan()
        assert not plan.errors, [f"{finding.object}: {finding.title}" for finding in plan.errors]
        if not any(operation.kind == "watch_writers" for operation in plan.operations):
            playbook, catalog = self.session.playbook, self.session.planning_catalog().postgres
            findings = list(plan.findings)
            added = tuple(contract(playbook, catalog, row_rules(playbook, catalog), findings))
            plan = plan.model_copy(update={"operations": (*plan.operations, *added), "findings": tuple(findings)})
        # Writers are watched for a moment only.
        quick = tuple(
            o.model_copy(update={"seconds": 0.01}) if o.kind == "watch_writers" else o for o in plan.operations
        )
        return plan.model_copy(update={"operations": quick})

    def contracted(self) -> int:
        """Run all phases with consent to everything; return how many uniques were dropped or swapped."""
        self.run(Phase.CONTRACT, allowed=tuple(NEEDS_CONSENT))
        return sum(operation.kind in DROPS for operation in self.plan().operations)

    def finding(self, id_: str) -> list[str]:
        """The objects and titles of the plan's findings of one sort."""
        return [f"{finding.object}: {finding.title}" for finding in self.plan().findings if finding.id == id_]

    def run(self, through: Phase, allowed: tuple[Hazard, ...] = (), signal: StopSignal | None = None) -> RunResult:
        """Run or resume up to and including *through*."""
        self.session.ledger.install()
        self.session.ledger.keep_baseline("catalog", "", self.session.catalog().model_dump(mode="json"))
        return Runner(self.session.context(signal=signal), self.plan()).run(through, allowed)

    def undo(self, only: Callable[[Operation], bool] = lambda _: True) -> None:
        """Take every operation of the plan back, the last one first."""
        ctx = self.session.context()
        done = {row.id for row in self.session.ledger.operations() if row.state != "planned"}
        for operation in reversed(self.plan().operations):
            if operation.id in done and only(operation):
                operation.undo(ctx)

    def catalog(self) -> PostgresCatalog:
        """The database as introspection sees it."""
        return self.session.catalog().postgres

    def contents(self) -> dict[str, list[str]]:
        """Every row of every table that is not tenure's own, as sorted JSON texts."""
        found = {}
        with self.connect() as connection:
            for schema, name in connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind = 'r' AND n.nspname NOT IN ('tenure', 'information_schema') AND n.nspname !~ '^pg_'"
            ).fetchall():
                query = sql.SQL("SELECT to_jsonb(t.*)::text FROM ONLY {} AS t ORDER BY 1")
                rows = connection.execute(query.format(sql.Identifier(schema, name))).fetchall()
                found[f"{schema}.{name}"] = [row[0] for row in rows]
        return found

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the application's own."""
        return psycopg.connect(self.dsn, autocommit=True)

    def execute(self, statement: str) -> None:
        """Run what the application would."""
        with self.connect() as connection:
            connection.execute(statement.encode())

    def pairs(self, query: str) -> dict[Any, Any]:
        """The first two columns of *query* as a dict."""
        with self.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query.encode()).fetchall()}

    def value(self, query: str) -> Any:
        """The one value that *query* gives."""
        with self.connect() as connection:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return row[0]

    def untouched(self) -> None:
        """Assert that schema and rows are what they were at first."""
        assert self.catalog().structure() == self.before.structure()
        assert self.contents() == self.rows_before


def without_key(rows: list[str], key: str) -> list[str]:
    """The rows without their tenant key, for comparing what tenure must not touch."""
    return sorted(
        json.dumps({name: value for name, value in json.loads(row).items() if name != key}, sort_keys=True)
        for row in rows
    )


@contextmanager
def application(
    dsn: str,
    folder: Path,
    schema: str,
    tables: Mapping[str, Any],
    *,
    files: Mapping[str, str] | None = None,
    url: str | None = None,
    **playbook: Any,
) -> Iterator[Application]:
    """An application with *schema*, whose playbook has the rules *tables*; `files` are written beside it.

    `playbook` replaces whole sections; `url` is how tenure connects where that differs from *dsn*.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(schema.encode())
        connection.execute("ANALYZE")
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    body = {
        "version": 1,
        "tenant": {"key": "project_id", "type": "text", "registry": {"table": "projects", "column": "id"}},
        "connections": {"postgres": {"url": url or dsn}},
        "postgres": dict(tables),
        **playbook,
    }
    path = folder / "tenure.yaml"
    path.write_text(json.dumps(body))
    with Session(load_playbook(path, {})) as session:
        yield Application(dsn, session)


def example_session(dsn: str, folder: Path) -> Session:
    """A session of the worked example's playbook, the Postgres part alone, for the database at *dsn*."""
    source = Path(example.__file__).parent
    text = (source / "tenure.yaml").read_text()
    text = re.sub(r"\n  neo4j: .*\n  qdrant: .*\n", "\n", text[: text.index("\nneo4j:\n")])
    (folder / "tenure.yaml").write_text(text)
    (folder / "tenants.csv").write_text((source / "tenants.csv").read_text())
    return Session(load_playbook(folder / "tenure.yaml", {"TENURE_POSTGRES": dsn}))


def owner_of(dsn: str) -> str:
    """The database at *dsn* as an owner of tables sees it who may not set session_replication_role."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS owner_only")
        connection.execute("CREATE ROLE owner_only LOGIN PASSWORD 'x'")
        connection.execute("GRANT CREATE ON SCHEMA public TO owner_only")
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO owner_only").format(database))
    return psycopg.conninfo.make_conninfo(dsn, user="owner_only", password="x")
