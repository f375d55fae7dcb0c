"""A small application for the checks: two tenants, a parent, a child, and rows that only the child's file knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tenure.checks import Report
from tenure.playbook import load_playbook
from tenure.session import Session
from tenure.values import Finding, Hazard

SCHEMA = """
CREATE TABLE projects (id text PRIMARY KEY, name text NOT NULL);
INSERT INTO projects VALUES ('a', 'Alpha'), ('b', 'Beta');
CREATE TABLE files (id integer PRIMARY KEY, project text, name text NOT NULL, CONSTRAINT files_name_key UNIQUE (name));
INSERT INTO files SELECT n, CASE WHEN n <= 6 THEN 'a' ELSE 'b' END, 'file ' || n FROM generate_series(1, 10) n;
CREATE TABLE parts (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id integer NOT NULL REFERENCES files (id),
    body text NOT NULL
);
INSERT INTO parts (file_id, body) SELECT 1 + n % 10, 'part ' || n FROM generate_series(0, 49) n;
CREATE TABLE notes (id integer PRIMARY KEY, project text, mentions integer[] NOT NULL DEFAULT '{}');
INSERT INTO notes (id, project) SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 8) n;
"""
TABLES: dict[str, Any] = {
    "files": {"tenant": {"column": "project"}, "unique": {"files_pkey": {"keep": "numbers are global"}}},
    "parts": {"tenant": {"parent": "files", "match": {"file_id": "id"}}},
    "notes": {"tenant": {"column": "project"}, "unique": {"notes_pkey": {"keep": "numbers are global"}}},
}


class Application:
    """The small application in one database: a playbook that tests change, and sessions of it."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self.directory = directory
        self.dsn = dsn
        self.tenant: dict[str, Any] = {"registry": {"table": "projects", "column": "id"}}
        self.tables: dict[str, Any] = {name: dict(rule) for name, rule in TABLES.items()}
        self.connections: dict[str, Any] = {"postgres": {"url": dsn}}
        self.stores: dict[str, Any] = {}
        self.sql(SCHEMA)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the application would; returns the rows of the last."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = None
            for statement in statements:
                cursor = connection.execute(statement.encode())
            assert cursor is not None
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session of the playbook as it stands."""
        path = self.directory / "tenure.yaml"
        playbook = {
            "version": 1,
            "tenant": self.tenant,
            "connections": self.connections,
            "postgres": self.tables,
            **self.stores,
        }
        path.write_text(json.dumps(playbook))
        with Session(load_playbook(path)) as session:
            yield session

    def inspect(self) -> Report:
        """Inspect."""
        with self.session() as session:
            return session.inspect()

    def verify(self) -> Report:
        """Verify."""
        with self.session() as session:
            return session.verify()

    def apply(self) -> Report:
        """Apply through constrain, and verify."""
        with self.session() as session:
            return session.apply(allowed={Hazard.NO_BACKUP}).report


def red(report: Report) -> set[str]:
    """Return the ids of the checks that are not green: errors and warnings."""
    return {finding.id for finding in report.findings if finding.severity != "info"}


def errors(report: Report) -> set[str]:
    """Return the ids of the checks that found errors."""
    return {finding.id for finding in report.findings if finding.severity == "error"}


def of(report: Report, id_: str, object_: str | None = None) -> Finding:
    """Return the one finding of a check (on an object)."""
    found = [f for f in report.findings if f.id == id_ and object_ in (None, f.object)]
    assert len(found) == 1, [f"{f.id} {f.object}: {f.title}" for f in report.findings]
    return found[0]


Change = Callable[[Application], object]
