"""Restores an export into an empty graph, in batches, and compares what came out with what the manifest says.

The dump's number of each node leads to its new id on this machine's disk: the graph gets nothing that would have to be
taken away again.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

from neo4j.exceptions import DriverError, Neo4jError

from tenure.backup.files import lines
from tenure.backup.fingerprint import compact
from tenure.backup.manifest import Entry, Manifest
from tenure.backup.neo4j import NO_LABEL, SCHEMA, Export, Graph, schema_fingerprints
from tenure.backup.neo4j_numbers import Numbers
from tenure.backup.neo4j_values import TEMPORAL, decode, temporal_argument
from tenure.backup.work import Work
from tenure.errors import BackupError, RestoreTargetError, StoreError
from tenure.masking import mask_secrets
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore

_ROWS = 5000
_BYTES = 4_000_000
_WAITING = 50_000
_EMPTYING = "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS"
_EMPTY_IT = (
    "It is not what was backed up. Take another one; or, if an earlier restore has left it so, empty it "
    f"({_EMPTYING}; and drop its constraints and indexes), then run this again. Nothing was changed."
)
_AGAIN = f"The graph is half filled: empty it ({_EMPTYING}), then run the same command again: what is whole is kept."


def refuse_unfit(store: Neo4jStore) -> None:
    """Errors: RestoreTargetError when the graph holds anything."""
    schema = Graph(store).schema()
    found = [f"constraint {row['name']}" for row in schema["constraints"]]
    found += [f"index {row['name']}" for row in schema["indexes"] if row["type"] != "LOOKUP"]
    nodes = int(store.read("MATCH (n) RETURN count(n) AS n")[0]["n"])
    found = [f"{nodes:,} nodes"] * bool(nodes) + found
    if found:
        more = " and more" if found[3:] else ""
        raise RestoreTargetError(
            store="Neo4j", address=store.address, found=", ".join(found[:3]) + more, remedy=_EMPTY_IT
        )


def restore(store: Neo4jStore, manifest: Manifest, work: Work, *, lacking: list[str] | None = None) -> None:
    """Restore nodes, relationships, then constraints and indexes.

    Constraints that the server refuses are appended to *lacking* where it is given (a scratch server of another
    edition), and an error otherwise. Errors: StoreError, BackupError, BackupInterruptedError.
    """
    with tempfile.TemporaryDirectory(prefix="tenure-restore-") as folder:
        load = _Load(store, Path(folder) / "ids.sqlite", work)
        for entry in manifest.of("neo4j"):
            if entry.object.startswith("nodes "):
                load.nodes(entry)
        for entry in manifest.of("neo4j"):
            if entry.object.startswith("relationships "):
                load.relationships(entry)
        load.close()
    _restore_schema(store, work.directory, lacking)


def found(
    store: Neo4jStore, manifest: Manifest, work: Work, *, schema: bool = True
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fingerprints that are expected, and those of the graph as it is now; *schema* False leaves constraints
    and indexes out, which a server of another version may write differently."""
    graph = Graph(store)
    present: dict[str, str] = {}
    work.reporter.start("compare neo4j", "Neo4j: compare", None)
    with (
        tempfile.TemporaryDirectory(prefix="tenure-compare-") as folder,
        graph.held(),
        Numbers(Path(folder) / "numbers.sqlite") as numbers,
    ):
        export = Export(graph, numbers, work)
        for label in (*graph.labels(), None):
            present |= export.nodes(label, f"nodes {label or NO_LABEL}", None)[0].result()
        for kind in graph.types():
            present |= export.relationships(kind, kind, None)[0].result()
    expected = {
        name: value
        for entry in manifest.of("neo4j")
        if entry.object != SCHEMA
        for name, value in entry.fingerprints.items()
    }
    entry = manifest.entry("neo4j", SCHEMA)
    if schema and entry is not None:
        expected |= entry.fingerprints
        present |= schema_fingerprints(graph.schema())
    work.reporter.finish("compare neo4j", f"{len(present)} objects")
    return expected, present


class _Load:
    """Creates items in batches that are alike: the same labels or type, the same properties that need a function."""

    def __init__(self, store: Neo4jStore, path: Path, work: Work) -> None:
        self._store = store
        self._work = work
        self._identity = Graph(store).identity
        self._ids = sqlite3.connect(path)
        self._ids.executescript("PRAGMA synchronous = OFF; CREATE TABLE id (number INTEGER PRIMARY KEY, id)")

    def close(self) -> None:
        self._ids.close()

    def nodes(self, entry: Entry) -> None:
        for (labels, temporal), rows in self._batches(entry, lambda item: tuple(item["l"])):
            text = "".join(f":{quote(label)}" for label in labels)
            statement = f"UNWIND $rows AS row CREATE (n{text}) SET n = row.p{_assignments(temporal)} "
            statement += f"RETURN row.n, {self._identity}(n)"
            created = self._run(statement, rows, entry)
            with self._ids:
                self._ids.executemany("INSERT INTO id VALUES (?, ?)", created)

    def relationships(self, entry: Entry) -> None:
        for (kind, temporal), rows in self._batches(entry, lambda item: entry.detail["type"]):
            for row in rows:
                row["a"], row["b"] = self._id(row["a"], entry), self._id(row["b"], entry)
            statement = (
                f"UNWIND $rows AS row MATCH (a) WHERE {self._identity}(a) = row.a "
                f"MATCH (b) WHERE {self._identity}(b) = row.b "
                f"CREATE (a)-[n:{quote(kind)}]->(b) SET n = row.p{_assignments(temporal)} RETURN 1"
            )
            self._run(statement, rows, entry)

    def _id(self, number: int, entry: Entry) -> Any:
        row = self._ids.execute("SELECT id FROM id WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise BackupError(problem=f"{entry.object}: an end, node {number}, is in no file.", remedy=_AGAIN)
        return row[0]

    def _batches(self, entry: Entry, kind: Any) -> Iterator[tuple[tuple[Any, tuple[Any, ...]], list[dict[str, Any]]]]:
        """Yield batches of like items with what they have in common."""
        name = f"restore neo4j {entry.object}"
        self._work.reporter.start(name, f"Neo4j: restore {entry.object}", entry.items)
        self._work.reporter.advance(name, 0)
        groups: dict[Any, tuple[list[dict[str, Any]], list[int]]] = {}
        waiting = 0
        for item in lines(self._work.directory, entry.files[0].path):
            temporal = item.get("t", {})
            signature = tuple(sorted((key, type_, isinstance(value, list)) for key, (type_, value) in temporal.items()))
            key = kind(item), signature
            rows, weights = groups.setdefault(key, ([], [0]))
            row = {name: item[name] for name in ("n", "a", "b") if name in item}
            row["p"] = {name: decode(value) for name, value in item["p"].items()}
            row["t"] = {name: temporal_argument(value) for name, (_, value) in temporal.items()}
            rows.append(row)
            weights[0] += len(compact(item["p"]))
            waiting += 1
            if len(rows) >= _ROWS or weights[0] >= _BYTES:
                waiting -= len(rows)
                yield key, rows
                self._work.reporter.advance(name, len(rows))
                del groups[key]
            elif waiting >= _WAITING:
                for other, (some, _) in groups.items():
                    yield other, some
                    self._work.reporter.advance(name, len(some))
                groups.clear()
                waiting = 0
        for other, (some, _) in groups.items():
            yield other, some
            self._work.reporter.advance(name, len(some))
        self._work.reporter.finish(name, f"{entry.items:,} restored")

    def _run(self, statement: str, rows: list[dict[str, Any]], entry: Entry) -> list[list[Any]]:
        """Run one batch in one transaction, once: what creates must not be tried again when nobody knows its end."""
        self._work.check()
        # Composed of constants and quoted names only; the driver's type wants a literal.
        text: LiteralString = self._store.prefix + statement
        try:
            with (
                self._store.driver.session(database=self._store.database) as session,
                session.begin_transaction(timeout=0) as transaction,
            ):
                created = [record.values() for record in transaction.run(text, rows=rows)]
                transaction.commit()
        except (Neo4jError, DriverError) as error:
            problem = mask_secrets(str(getattr(error, "message", None) or error)).strip()
            raise StoreError(store="neo4j", problem=f"{entry.object}: {problem}", remedy=_AGAIN) from error
        if len(created) != len(rows):
            raise BackupError(problem=f"{entry.object}: {len(created)} of {len(rows)} were created.", remedy=_AGAIN)
        return created


def _assignments(temporal: tuple[tuple[str, str, bool], ...]) -> str:
    """Return the SET items of the properties that the server has to read from their text."""
    parts = []
    for key, kind, several in temporal:
        value, function = f"row.t.{quote(key)}", TEMPORAL[kind]
        read = f"[item IN {value} | {function}(item)]" if several else f"{function}({value})"
        parts.append(f", n.{quote(key)} = {read}")
    return "".join(parts)


def _restore_schema(store: Neo4jStore, directory: Path, lacking: list[str] | None) -> None:
    schema = json.loads((directory / "neo4j" / "schema.json").read_text())
    lookups = {row["entityType"] for row in Graph(store).schema()["indexes"] if row["type"] == "LOOKUP"}
    for row in (*schema["constraints"], *schema["indexes"]):
        if row["type"] == "LOOKUP" and row["entityType"] in lookups:
            continue  # every new database has it, under a name of its own
        try:
            store.schema(row["createStatement"])
        except StoreError as error:
            if lacking is None:
                raise
            lacking.append(f"{row['name']}: {error}")
