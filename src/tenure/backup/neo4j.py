"""Exports a graph over Bolt while it is in use: a file per label and per relationship type, values with their types.

It is no picture of one moment: every file is read in a transaction of its own. One transaction is held open all the
while, for then Neo4j gives no id of a deleted item to a new one, and no relationship can be written to a wrong node.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from tenure.backup.files import WORK, Written, write_text, writing
from tenure.backup.fingerprint import Sums, compact, item_hash
from tenure.backup.manifest import Entry, Growing, Source
from tenure.backup.neo4j_numbers import Numbers
from tenure.backup.neo4j_values import properties_expression, split
from tenure.backup.work import Work, now
from tenure.catalog.neo4j import version_numbers
from tenure.errors import StoreError
from tenure.masking import mask_secrets
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore

SCHEMA = "schema"
NO_LABEL = "(no label)"
_FETCH = 1000
_STEP = 500
_SAMPLE = 200
# A node is in the file of the first of its labels, so each is in exactly one.
_FIRST = "NOT any(label IN labels(n) WHERE label < $label)"


def source(store: Neo4jStore) -> Source:
    """Return where the backup comes from."""
    found = store.read("CALL db.info() YIELD id RETURN id")
    return Source(
        address=store.address,
        version=store.version,
        identity=str(found[0]["id"]) if found else "",
        detail={"edition": store.edition, "database": store.database},
    )


def estimate(store: Neo4jStore) -> int:
    """Return about how many bytes the export will take: a sample's share, with what the working file needs."""
    graph = Graph(store)
    total = 0
    for pattern, variable in (("(n)", "n"), ("()-[n]->()", "n")):
        count = int(store.read(f"MATCH {pattern} RETURN count({variable}) AS n")[0]["n"])
        rows = store.read(f"MATCH {pattern} WITH {variable} LIMIT {_SAMPLE} RETURN {graph.properties('n')} AS p")
        sample = sum(len(compact(split(row["p"]))) + 40 for row in rows)
        total += count * (sample // max(1, len(rows)) // 2 + 80)
    return total


class Graph:
    """Reads a graph as JSON data, for an export and for a comparison alike."""

    def __init__(self, store: Neo4jStore) -> None:
        """Read from *store*."""
        self.store = store
        assert store.driver is not None
        numbers = version_numbers(store.version)
        self._typed = numbers >= (5, 13)
        self.identity = "elementId" if numbers >= (5,) else "id"

    def properties(self, variable: str) -> str:
        """Return Cypher for the properties of *variable*."""
        return properties_expression(variable, typed=self._typed)

    def labels(self) -> list[str]:
        """Return all labels that a node has."""
        names = [row["label"] for row in self.store.read("CALL db.labels() YIELD label RETURN label ORDER BY label")]
        return [name for name in names if self.count(f"(n:{quote(name)})")]

    def types(self) -> list[str]:
        """Return all relationship types that a relationship has."""
        rows = self.store.read("CALL db.relationshipTypes() YIELD relationshipType AS t RETURN t ORDER BY t")
        return [row["t"] for row in rows if self.count(f"()-[n:{quote(row['t'])}]->()")]

    def count(self, pattern: str) -> int:
        """Return how many `n` match a pattern."""
        return int(self.store.read(f"MATCH {pattern} RETURN count(n) AS n")[0]["n"])

    def nodes(self, label: str | None) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield (id, ``{l, p, t}``) of the nodes whose first label is *label*, or that have none."""
        match = "(n) WHERE size(labels(n)) = 0" if label is None else f"(n:{quote(label)}) WHERE {_FIRST}"
        query = f"MATCH {match} RETURN {self.identity}(n), labels(n), {self.properties('n')}"
        for identity, labels, pairs in self._stream(query, label=label):
            plain, temporal = split(pairs)
            node: dict[str, Any] = {"l": sorted(labels), "p": plain}
            yield identity, {**node, "t": temporal} if temporal else node

    def relationships(self, kind: str) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """Yield (start id, end id, ``{p, t}``) of the relationships of a type."""
        query = (
            f"MATCH (a)-[n:{quote(kind)}]->(b) RETURN {self.identity}(a), {self.identity}(b), {self.properties('n')}"
        )
        for start, end, pairs in self._stream(query):
            plain, temporal = split(pairs)
            yield start, end, {"p": plain, "t": temporal} if temporal else {"p": plain}

    def schema(self) -> dict[str, list[dict[str, Any]]]:
        """Return the statements that make the constraints and indexes, with what tells each."""
        constraints = self.store.read("SHOW CONSTRAINTS YIELD name, type, createStatement")
        indexes = self.store.read(
            "SHOW INDEXES YIELD name, type, entityType, owningConstraint, createStatement "
            "WHERE owningConstraint IS NULL RETURN name, type, entityType, createStatement"
        )
        return {
            "constraints": sorted(constraints, key=lambda row: str(row["name"])),
            "indexes": sorted(indexes, key=lambda row: str(row["name"])),
        }

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Hold a transaction open; yields what asks whether it still is. Errors: StoreError."""
        # For writing, though nothing is written: in a cluster it is the leader that gives ids away.
        access = neo4j.WRITE_ACCESS
        with self._translated(), self._session(access) as session, session.begin_transaction(timeout=0) as transaction:

            def ask() -> None:
                transaction.run("RETURN 1").consume()

            ask()
            yield ask

    def _stream(self, query: str, **parameters: Any) -> Iterator[list[Any]]:
        with self._translated(), self._session() as session, session.begin_transaction(timeout=0) as transaction:
            for record in transaction.run(self.store.prefix + query, parameters):
                yield record.values()

    def _session(self, access: str = neo4j.READ_ACCESS) -> neo4j.Session:
        return self.store.driver.session(database=self.store.database, default_access_mode=access, fetch_size=_FETCH)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (Neo4jError, DriverError) as error:
            problem = mask_secrets(str(getattr(error, "message", None) or error)).strip()
            raise StoreError(store="neo4j", problem=problem, remedy="Run the same command again.") from error


class Export:
    """One export: of nodes first, then of relationships, then of the schema. Objects that are done are kept."""

    def __init__(self, graph: Graph, numbers: Numbers, work: Work) -> None:
        """Read from *graph*, with *numbers* for its nodes."""
        self._graph = graph
        self._numbers = numbers
        self._work = work

    def nodes(self, label: str | None, name: str, written: Written | None) -> tuple[Sums, str]:
        """Export the nodes of one file; returns the sums by label set, and a checksum that covers the ids too."""
        sums, ids = Sums(), Sums()
        with self._counted(name) as step, self._numbers.file(name) as number:
            for identity, node in self._graph.nodes(label):
                text = compact(node)
                digest = item_hash(text)
                assigned = number(identity, digest)
                if assigned is None:
                    continue  # its labels changed meanwhile, and another file has it already
                sums.add(":".join(node["l"]) or NO_LABEL, digest)
                ids.add("", hashlib.blake2b(str(identity).encode() + digest, digest_size=16).digest())
                if written is not None:
                    written.line(f'{{"n":{assigned},{text[1:]}')
                step()
        return sums, ids.result().get("", "")

    def unchanged(self, label: str | None, name: str, ids: str) -> bool:
        """Return whether the nodes of a file that is done are still the same, ids included."""
        sums = Sums()
        for identity, node in self._graph.nodes(label):
            sums.add("", hashlib.blake2b(str(identity).encode() + item_hash(compact(node)), digest_size=16).digest())
            self._work.check()
        return sums.result().get("", "") == ids and self._numbers.has(name)

    def relationships(self, kind: str, name: str, written: Written | None) -> tuple[Sums, int]:
        """Export the relationships of a type; returns the sums, and how many led to nodes that are in no file."""
        sums, skipped = Sums(), 0
        with self._counted(name) as step:
            for start, end, relationship in self._graph.relationships(kind):
                step()
                first, second = self._numbers.find(start), self._numbers.find(end)
                if first is None or second is None:
                    skipped += 1
                    continue
                text = compact(relationship)
                # Its ends count by what they hold, so that one hung up elsewhere is noticed.
                sums.add(f"[{kind}]", item_hash(f"{text}{first.hash.hex()}{second.hash.hex()}"))
                if written is not None:
                    written.line(f'{{"a":{first.number},"b":{second.number},{text[1:]}')
        return sums, skipped

    @contextmanager
    def _counted(self, name: str) -> Iterator[Callable[[], None]]:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            if done % _STEP == 0:
                self._work.check()
                self._work.reporter.advance(f"neo4j {name}", _STEP)

        self._work.check()
        yield step


def back_up(store: Neo4jStore, work: Work, growing: Growing) -> None:
    """Export the graph, adding each object to *growing*; what that has already is kept where it is still true.

    Errors: StoreError, BackupInterruptedError.
    """
    graph = Graph(store)
    with graph.held() as ask, Numbers(work.directory / WORK / "neo4j.sqlite") as numbers:
        export = Export(graph, numbers, work)
        kept = True
        labels: list[str | None] = [*graph.labels(), None]
        types = graph.types()
        numbers.keep_only([_node_file(label) for label in labels])
        growing.keep_only("neo4j", [*map(_nodes, labels), *map(_relationships, types)])
        for label in labels:
            name = _nodes(label)
            old, file = growing.entry("neo4j", name), _node_file(label)
            if old is not None and kept and export.unchanged(label, file, old.detail["ids"]):
                work.reporter.start(f"neo4j {file}", f"Neo4j: {name}", old.items)
                work.reporter.finish(f"neo4j {file}", "kept: it was done before")
                continue
            kept = False
            started = now()
            pattern = "(n)" if label is None else f"(n:{quote(label)})"
            work.reporter.start(f"neo4j {file}", f"Neo4j: {name}", graph.count(pattern) if label is not None else None)
            work.reporter.advance(f"neo4j {file}", 0)
            with writing(work.directory, f"neo4j/{file}") as written:
                sums, ids = export.nodes(label, file, written)
            work.reporter.finish(f"neo4j {file}", f"{sums.items:,} nodes")
            growing.add(_entry(name, sums.items, sums.result(), written, started, {"ids": ids}))
            ask()
        for kind in types:
            name, file = _relationships(kind), _file("relationships", kind)
            if kept and growing.entry("neo4j", name) is not None:
                continue
            started = now()
            work.reporter.start(f"neo4j {file}", f"Neo4j: {name}", graph.count(f"()-[n:{quote(kind)}]->()"))
            work.reporter.advance(f"neo4j {file}", 0)
            with writing(work.directory, f"neo4j/{file}") as written:
                sums, skipped = export.relationships(kind, file, written)
            work.reporter.finish(f"neo4j {file}", f"{sums.items:,} relationships")
            growing.add(_entry(name, sums.items, sums.result(), written, started, {"type": kind}, skipped))
            ask()
    started = now()
    schema = graph.schema()
    file_written = write_text(work.directory, "neo4j/schema.json", json.dumps(schema, indent=2, ensure_ascii=False))
    growing.add(
        Entry(
            store="neo4j",
            object=SCHEMA,
            method="export",
            items=sum(len(rows) for rows in schema.values()),
            fingerprints=schema_fingerprints(schema),
            files=(file_written,),
            started=started,
            finished=now(),
        )
    )


def schema_fingerprints(schema: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return a fingerprint of each constraint and index; token lookup indexes, which every database has, aside."""
    rows = [row for group in ("constraints", "indexes") for row in schema[group] if row["type"] != "LOOKUP"]
    return {
        f"schema {row['name']}": f"1:{item_hash(compact([row['type'], row['createStatement']])).hex()}" for row in rows
    }


def _entry(
    name: str,
    items: int,
    fingerprints: dict[str, str],
    written: Written,
    started: str,
    detail: dict[str, Any],
    skipped: int = 0,
) -> Entry:
    assert written.file is not None
    return Entry(
        store="neo4j",
        object=name,
        method="export",
        items=items,
        fingerprints=fingerprints,
        files=(written.file,),
        started=started,
        finished=now(),
        skipped=skipped,
        detail=detail,
    )


def _nodes(label: str | None) -> str:
    return f"nodes {label if label is not None else NO_LABEL}"


def _relationships(kind: str) -> str:
    return f"relationships {kind}"


def _node_file(label: str | None) -> str:
    return _file("nodes", label) if label is not None else "nodes.jsonl.gz"


def _file(kind: str, name: str) -> str:
    """Return a file's name: what a label may be called is not always what a file may."""
    return str(Path(f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.jsonl.gz"))
