"""The example loaded once, put back between runs of the installed command, and looked at from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from neo4j import Driver, GraphDatabase
from psycopg import sql
from qdrant_client import QdrantClient, models

from tenure.demo.example import directory, generate, load_neo4j, load_postgres, load_qdrant
from tenure.demo.example.vectors import COLLECTION, connect
from tenure.demo.fingerprint import Fingerprint, differences, fingerprint
from tenure.demo.servers import EmbeddedPostgres

KEY = "project_id"
LAUNCHER = Path(__file__).with_name("launcher.py")
COMMAND = Path(sys.executable).with_name("tenure")
PLAYBOOK = directory() / "tenure.yaml"
# Long enough for a machine that does other things too; a command that hangs fails with its output all the same.
PATIENCE = 240.0

Keys = dict[str, Any]
"""The tenant key by item, ``store:item``, of what has one."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str


class World:
    """Three stores with the example in them. `fresh()` lends them as they were loaded, with a database of its own."""

    def __init__(self, postgres: EmbeddedPostgres, neo4j_url: str, qdrant_url: str, scale: float) -> None:
        """Load the example into a template database, the graph and the collection, all empty."""
        self._postgres = postgres
        self.neo4j_url, self.qdrant_url = neo4j_url, qdrant_url
        self._template = f"loaded_{uuid.uuid4().hex[:8]}"
        dsn = postgres.create_database(self._template)
        example = generate(scale, 7)
        load_postgres(dsn, example)
        load_neo4j(neo4j_url, example)
        load_qdrant(qdrant_url, example)
        self.graph: Driver = GraphDatabase.driver(neo4j_url)
        self.points: QdrantClient = connect(qdrant_url)
        self._constraints = self._names("CONSTRAINTS")
        self._payload_indexes = set(self.points.get_collection(COLLECTION).payload_schema)
        self._payloads = {point.id: dict(point.payload or {}) for point in self._scroll()}
        self.loaded = fingerprint(dsn, neo4j_url, qdrant_url)

    def close(self) -> None:
        """Close the connections and drop the template."""
        self.graph.close()
        self.points.close()
        self._postgres.drop_database(self._template)

    @contextmanager
    def fresh(self) -> Iterator[Migration]:
        """Lend the stores as they were loaded; whether they are is proven by their fingerprint."""
        name = f"run_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self._postgres.dsn, autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(self._template)))
        self._put_back()
        migration = Migration(self, self._postgres.dsn_of(name))
        found = differences(self.loaded, migration.fingerprint())
        assert not found, found
        try:
            with Audit(migration.dsn) as migration.audit:
                yield migration
        finally:
            migration.end()
            self._postgres.drop_database(name)

    def _put_back(self) -> None:
        for name in self._names("CONSTRAINTS") - self._constraints:
            self.graph.execute_query(f"CYPHER 5 DROP CONSTRAINT `{name}`")
        for name in self._names("INDEXES"):
            self.graph.execute_query(f"CYPHER 5 DROP INDEX `{name}`")
        self.graph.execute_query("CYPHER 5 MATCH (n) WHERE n.project_id IS NOT NULL REMOVE n.project_id")
        self.graph.execute_query("CYPHER 5 MATCH ()-[r]->() WHERE r.project_id IS NOT NULL REMOVE r.project_id")
        for field in set(self.points.get_collection(COLLECTION).payload_schema) - self._payload_indexes:
            self.points.delete_payload_index(COLLECTION, field, wait=True)
        payloads = [
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload=payload, points=[identity]))
            for identity, payload in self._payloads.items()
        ]
        self.points.batch_update_points(COLLECTION, payloads, wait=True)

    def _names(self, what: str) -> set[str]:
        """Return the names of constraints, or of the indexes that belong to none."""
        where = " WHERE owningConstraint IS NULL AND type <> 'LOOKUP'" if what == "INDEXES" else ""
        query = f"CYPHER 5 SHOW {what} YIELD *{where}"
        return {record["name"] for record in self.graph.execute_query(query).records}

    def _scroll(self) -> Iterator[Any]:
        offset = None
        while True:
            points, offset = self.points.scroll(COLLECTION, limit=1000, offset=offset, with_payload=True)
            yield from points
            if offset is None:
                return

    def tenant_keys(self) -> Keys:
        """Return the key of every node, relationship and point that has one now."""
        query = """CYPHER 5 MATCH (n) WHERE n.project_id IS NOT NULL RETURN elementId(n) AS id, n.project_id AS key
                   UNION ALL MATCH ()-[n]->() WHERE n.project_id IS NOT NULL
                   RETURN elementId(n) AS id, n.project_id AS key"""
        found = {f"neo4j:{record['id']}": record["key"] for record in self.graph.execute_query(query).records}
        for point in self._scroll():
            value = (point.payload or {}).get(KEY)
            if value not in (None, "", "default", []):
                found[f"qdrant:{point.id}"] = value
        return found


class Migration:
    """One database and the two other stores, and the commands that work on them."""

    def __init__(self, world: World, dsn: str) -> None:
        self.world = world
        self.dsn = dsn
        self.audit: Audit
        self._running: list[subprocess.Popen[str]] = []

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a command needs to find the stores."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "TEST_"))}
        return {
            **kept,
            "TENURE_POSTGRES": self.dsn,
            "TENURE_NEO4J": self.world.neo4j_url,
            "TENURE_QDRANT": self.world.qdrant_url,
            **more,
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `tenure apply` (or other *arguments*): the installed command, or the launcher where it has to be
        changed by TEST_... variables."""
        program = [sys.executable, str(LAUNCHER)] if environment else [str(COMMAND)]
        process = subprocess.Popen(
            [*program, *(arguments or ("apply", "--allow", "NO_BACKUP")), "-f", str(PLAYBOOK)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environment(**environment),
        )
        self._running.append(process)
        return process

    def wait(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for a command's end."""
        output, _ = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, output)

    def apply(self, **environment: str) -> Ended:
        """Run `tenure apply` to its end."""
        return self.wait(self.start(**environment))

    def end(self) -> None:
        """Kill what still runs, a stopped process included."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def fingerprint(self) -> Fingerprint:
        """Return what the three stores hold."""
        return fingerprint(self.dsn, self.world.neo4j_url, self.world.qdrant_url)

    def operations(self) -> list[tuple[str, str, str, str, float, int]]:
        """Return (id, phase, store, state, seconds, attempts) of every operation that the ledger knows."""
        query = """SELECT id, phase, store, state, coalesce(extract(epoch FROM finished_at - started_at), 0)::float8,
                   attempts FROM tenure.operation ORDER BY position"""
        with psycopg.connect(self.dsn) as connection:
            if connection.execute("SELECT to_regclass('tenure.operation')").fetchone() == (None,):
                return []
            return connection.execute(query).fetchall()

    def in_flight(self) -> str:
        """Return the operation that the ledger has as running."""
        running = [identity for identity, _, _, state, _, _ in self.operations() if state == "running"]
        return ", ".join(running) or "(between operations)"

    def wait_until(self, operation: str, process: subprocess.Popen[str], states: tuple[str, ...]) -> bool:
        """Wait until *operation* is in one of *states*; False when the command ended before."""
        deadline = time.monotonic() + PATIENCE
        query = "SELECT state = ANY(%s) FROM tenure.operation WHERE id = %s"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while process.poll() is None:
                assert time.monotonic() < deadline, f"{operation} never became {states}"
                there = connection.execute("SELECT to_regclass('tenure.operation') IS NOT NULL").fetchone()
                if there == (True,) and connection.execute(query, [list(states), operation]).fetchone() == (True,):
                    return True
                time.sleep(0.002)
        return False

    def signal_at(
        self, operation: str, delay: float, number: signal.Signals, process: subprocess.Popen[str]
    ) -> str | None:
        """Send a signal *delay* seconds after *operation* began; return what was in flight, None when it came late."""
        if not self.wait_until(operation, process, ("running", "settling", "done")):
            return None
        time.sleep(delay)  # the moment that the test has drawn, not a wait for anything
        if process.poll() is not None:
            return None
        process.send_signal(number)
        return self.in_flight()


_COLUMN = re.compile(r"""("(?:[^"]|"")+"|\w+)\[((?:[^\[\]]|\[\])+)\]:('(?:[^']|'')*'|[^ ]+)""")
_CHANGE = re.compile(r"table ([^:]+): UPDATE: (?:old-key: .* new-tuple: )?")


class Audit:
    """Every committed update of every row, as the server's log has it: nothing of the application is changed for it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._slot = f"audit_{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Audit:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", [self._slot])
            query = """SELECT c.conrelid::regclass::text, array_agg(a.attname::text) FROM pg_constraint AS c
                       JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)
                       WHERE c.contype = 'p' GROUP BY 1"""
            self._keys: dict[str, list[str]] = dict(connection.execute(query).fetchall())
        return self

    def __exit__(self, *_: object) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            # A walsender of a killed reader may hold it for a moment; there is none here.
            connection.execute("SELECT pg_drop_replication_slot(%s)", [self._slot])

    def written(self) -> dict[tuple[str, str], list[str]]:
        """Return the keys that updates left on each row, (table, primary key) to values in order of commit."""
        found: dict[tuple[str, str], list[str]] = {}
        query = "SELECT data FROM pg_logical_slot_peek_changes(%s, NULL, NULL, 'skip-empty-xacts', '1')"
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            for (line,) in connection.execute(query, [self._slot]):
                change = _CHANGE.match(line)
                if change is None or change.group(1).startswith("tenure."):
                    continue
                table = change.group(1).removeprefix("public.")
                columns = {name: value for name, _, value in _COLUMN.findall(line[change.end() :])}
                names = self._keys.get(table) or sorted(columns.keys() - {KEY})
                item = (table, ", ".join(f"{name}={columns[name]}" for name in names))
                found.setdefault(item, []).append(columns.get(KEY, "null").strip("'"))
        return found


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what had a key in *before* and has another, or none, in *after*."""
    return [f"{item}: {key!r} became {after.get(item)!r}" for item, key in before.items() if after.get(item) != key]
