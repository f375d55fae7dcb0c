"""What the old writer did, line by line, and the check that none of it was lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tenure.demo.example.graph import batches
from tenure.demo.example.vectors import COLLECTION, connect

Record = dict[str, Any]


class Journal:
    """JSON lines, flushed one by one: every write before it starts and again when all stores confirmed it."""

    def __init__(self, path: Path) -> None:
        # Numbers go on where an earlier process stopped.
        self._number = sum(1 for _ in path.open(encoding="utf-8")) if path.exists() else 0
        self._file = path.open("a", encoding="utf-8")

    def begin(self, record: Record) -> None:
        """Note that the write *record* starts."""
        self._number += 1
        self._line({"n": self._number, "state": "begin", **record})

    def done(self) -> None:
        """Note that the write begun last is confirmed."""
        self._line({"n": self._number, "state": "done"})

    def _line(self, record: Record) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@dataclass
class Expected:
    """What the stores must hold after the confirmed writes; None means deleted.

    Keys that an unconfirmed write touched are left out: it may have happened or not.
    """

    writes: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    fragments: dict[str, Record | None] = field(default_factory=dict)
    codes: dict[tuple[str, str], bool] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    reports: set[str] = field(default_factory=set)
    axial: dict[tuple[str, str], str] = field(default_factory=dict)


def replay(path: Path) -> Expected:
    """Return what the stores must hold after the writes of the journal at *path*."""
    begun: dict[int, Record] = {}
    confirmed: list[Record] = []
    for line in _lines(path):
        if line["state"] == "begin":
            begun[line["n"]] = line
        else:
            confirmed.append(begun.pop(line["n"]))
    expected = Expected(writes=len(confirmed))
    for record in confirmed:
        _apply(expected, record)
        expected.operations[record["op"]] = expected.operations.get(record["op"], 0) + 1
    for record in begun.values():
        expected.fragments.pop(record.get("id", ""), None)
        for key in [key for key in expected.codes if key[0] == record.get("id")]:
            del expected.codes[key]
    return expected


def _lines(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for text in file:
            if text.endswith("\n"):  # a line cut off by a kill says nothing
                yield json.loads(text)


def _apply(expected: Expected, record: Record) -> None:
    identity = record.get("id", "")
    match record["op"]:
        case "add_file":
            expected.files.add(record["archivo"])
        case "add_fragment" | "edit_fragment":
            expected.fragments[identity] = record
        case "delete_fragment":
            expected.fragments[identity] = None
            for key in [key for key in expected.codes if key[0] == identity]:
                expected.codes[key] = False
        case "add_code":
            expected.codes[identity, record["codigo"]] = True
        case "delete_code":
            expected.codes[identity, record["codigo"]] = False
        case "add_report":
            expected.reports.add(record["contenido"])
        case "add_axial":
            expected.axial[record["categoria"], record["codigo"]] = identity
        case unknown:
            raise ValueError(f"the journal holds an operation nobody knows: {unknown}")


def lost_writes(
    path: Path, postgres_dsn: str, neo4j_url: str, qdrant_url: str, *, neo4j_auth: tuple[str, str] | None = None
) -> list[str]:
    """Return one line for every confirmed write of the journal at *path* that a store does not hold (any more)."""
    expected = replay(path)
    return [
        *_lost_in_postgres(expected, postgres_dsn),
        *_lost_in_neo4j(expected, neo4j_url, neo4j_auth),
        *_lost_in_qdrant(expected, qdrant_url),
    ]


def _differences(store: str, expected: Expected, found: dict[str, Any], wanted: str) -> Iterator[str]:
    for identity, record in expected.fragments.items():
        value = record and (len(record["fragmento"]) if wanted == "char_len" else record["fragmento"])
        if found.get(identity) != value:
            yield f"{store}: fragment {identity} is {found.get(identity)!r}, must be {value!r}"


def _lost_in_postgres(expected: Expected, dsn: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(dsn) as connection:
        ids = list(expected.fragments)
        query = "SELECT id, fragmento FROM entrevista_fragmentos WHERE id = ANY(%s)"
        yield from _differences("postgres", expected, dict(connection.execute(query, [ids]).fetchall()), "fragmento")
        query = "SELECT fragmento_id, codigo FROM analisis_codigos_abiertos WHERE fragmento_id = ANY(%s)"
        codes = set(connection.execute(query, [[identity for identity, _ in expected.codes]]).fetchall())
        yield from (
            f"postgres: code {key} must be {'there' if there else 'gone'}"
            for key, there in expected.codes.items()
            if (key in codes) != there
        )
        files = {row[0] for row in connection.execute("SELECT filename FROM interview_files")}
        yield from (f"postgres: file {name} is gone" for name in expected.files - files)
        reports = {row[0] for row in connection.execute("SELECT contenido FROM doctoral_reports")}
        yield from (f"postgres: report {text!r} is gone" for text in expected.reports - reports)
        axial = {(row[0], row[1]) for row in connection.execute("SELECT categoria, codigo FROM analisis_axial")}
        yield from (f"postgres: axial row {key} is gone" for key in expected.axial.keys() - axial)


def _lost_in_neo4j(expected: Expected, url: str, auth: tuple[str, str] | None) -> Iterator[str]:
    from neo4j import GraphDatabase

    fragments = """CYPHER 5 UNWIND $ids AS id MATCH (f:Fragmento {id: id})<-[:TIENE_FRAGMENTO]-(:Entrevista)
        RETURN f.id AS id, f.char_len AS char_len"""
    codes = """CYPHER 5 UNWIND $ids AS id MATCH (f:Fragmento {id: id})-[:TIENE_CODIGO]->(c:Codigo)
        RETURN f.id AS id, c.nombre AS codigo"""
    axial = """CYPHER 5 UNWIND $pairs AS pair
        MATCH (a:Categoria {nombre: pair[0]})-[r:REL]->(c:Codigo {nombre: pair[1]})
        UNWIND r.evidencia AS id RETURN a.nombre AS categoria, c.nombre AS codigo, id"""
    with GraphDatabase.driver(url, auth=auth) as driver:
        records = driver.execute_query(fragments, ids=list(expected.fragments)).records
        found = {record["id"]: record["char_len"] for record in records}
        yield from _differences("neo4j", expected, found, "char_len")
        records = driver.execute_query(codes, ids=sorted({identity for identity, _ in expected.codes})).records
        there = {(record["id"], record["codigo"]) for record in records}
        for key, wanted in expected.codes.items():
            if (key in there) != wanted:
                yield f"neo4j: code {key} must be {'there' if wanted else 'gone'}"
        records = driver.execute_query(axial, pairs=[list(key) for key in expected.axial]).records
        evidence = {(record["categoria"], record["codigo"], record["id"]) for record in records}
        for (categoria, codigo), identity in expected.axial.items():
            if (categoria, codigo, identity) not in evidence:
                yield f"neo4j: relationship {categoria} to {codigo} lacks the evidence {identity}"


def _lost_in_qdrant(expected: Expected, url: str) -> Iterator[str]:
    client = connect(url)
    try:
        found: dict[str, Any] = {}
        for ids in batches(expected.fragments, 500):
            for point in client.retrieve(COLLECTION, ids, with_payload=["fragmento"]):
                found[str(point.id)] = (point.payload or {}).get("fragmento")
        yield from _differences("qdrant", expected, found, "fragmento")
    finally:
        client.close()
