"""Writes every item that has no clear tenant to CSV files, one an object, for people to decide on.

The `tenant` column is empty: filled in, the file is what `tenure release --items` reads, and its identity column with
the tenant is what a `mapping` of the playbook reads.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from psycopg import sql

from tenure.attribution.ask import ask
from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import decided_nodes, decided_relationships
from tenure.attribution.graph_memory import Memory
from tenure.attribution.graph_read import chunks
from tenure.attribution.points import READ, RowsExist, decide_points
from tenure.attribution.rows import decision, table_sql
from tenure.attribution.sources_scope import item_sql
from tenure.checks.base import View
from tenure.checks.item_bins import graph_objects
from tenure.checks.view import bare_view, deciding, resolving
from tenure.ledger.ledger import dumps

if TYPE_CHECKING:
    from tenure.attribution.points import PointSpec
    from tenure.attribution.spec import RowRule
    from tenure.session import Session

OPEN_BINS = ("unassigned", "conflict", "quarantine")
FETCH = 2000
TENANT, BIN, REASON = "tenant", "bin", "reason"


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how many items are in it."""

    store: str
    object: str
    path: Path
    items: int


def export_items(session: Session, directory: Path) -> list[Exported]:
    """Write the unassigned, conflicting and quarantined items of every object to *directory*; nothing for an object
    without any. Decides everything as `inspect` does and streams: memory does not grow with the items.

    Errors: PreflightError and DecisionFailedError as in inspect, OSError when a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with deciding(bare_view(session, "sources")) as view, Memory() as memory:
        for store, name, head, rows in _objects(view, memory):
            path = directory / f"{store}.{quote(name, safe=' ')[:180]}.csv"
            items = _write(path, head, rows)
            if items:
                written.append(Exported(store, name, path, items))
    return written


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows under a heading; no file is left where there are none, not even an older one."""
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for row in rows:
            writer.writerow([_cell(value) for value in row])
            count += 1
    if not count:
        path.unlink()
    return count


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _objects(view: View, memory: Memory) -> Iterator[tuple[str, str, list[str], Iterator[Sequence[Any]]]]:
    """Yield store, object, heading and open items of everything that is keyed."""
    for name, rule in view.rows.rules.items():
        if rule.constant() is None:
            identity = list(rule.primary_key) or ["row"]
            sources = [f"source {number}" for number, _ in enumerate(rule.sources, start=1)]
            yield "postgres", name, [*identity, TENANT, BIN, REASON, *sources], _rows(view, rule)
    for name, spec in graph_objects(view):
        if isinstance(spec, NodeSpec):
            known, identity = spec.label, [spec.identity or "identity"]
        else:
            known, identity = spec.type, ["start", "end"]
        rows = _explained(view, "neo4j", known, _items(view, spec, memory))
        yield "neo4j", name, [*identity, TENANT, BIN, REASON], rows
    if view.qdrant is not None:
        for points in view.points.specs:
            rows = _explained(view, "qdrant", points.collection, _points(view, points))
            yield "qdrant", points.collection, ["id", TENANT, BIN, REASON], rows


def _rows(view: View, rule: RowRule) -> Iterator[Sequence[Any]]:
    """Yield open rows with what each source says of them."""
    numbers = range(1, len(rule.sources) + 1)
    answers = [
        # Numbers of our own making: the relations that `decision` names.
        sql.SQL("CASE WHEN {a}.says <> 'nothing' THEN coalesce({a}.value, {a}.says) END").format(
            a=sql.SQL(f"a{number}")
        )
        for number in numbers
    ]
    bins = sql.SQL(", ").join(map(sql.Literal, OPEN_BINS))
    query = decision(
        rule,
        table_sql(rule.table),
        scope=view.scope,
        columns=[item_sql(rule), *answers],
        where=sql.SQL("d.bin IN ({})").format(bins),
    )
    with view.connect() as connection, connection.transaction(), connection.cursor(name="tenure_export") as cursor:
        cursor.itersize = FETCH
        cursor.execute(query)
        for item, *said, bin_, _, _, reason, _ in cursor:
            identity = [item[column] for column in rule.primary_key] or [item]
            yield [*identity, None, bin_, reason, *said]


def _explained(view: View, store: str, name: str, rows: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yield rows with the ledger's reason where an item is quarantined already and does not say why by itself."""
    for page in chunks(rows, FETCH):
        silent = {dumps(_named(row)): row for row in page if not row[-1]}
        if silent and view.ledger is not None:
            query = sql.SQL(
                "SELECT item, reason FROM tenure.quarantine WHERE store = $1::text AND object = $2::text "
                "AND item = ANY($3::jsonb[])"
            )
            with view.connect() as connection:
                for item, reason in ask(connection, query, store, name, list(silent)):
                    silent[dumps(item)][-1] = reason
        yield from page


def _named(row: Sequence[Any]) -> Any:
    """Return the identity of an item as the ledger names it."""
    return row[0] if len(row) == len(("identity", TENANT, BIN, REASON)) else {"start": row[0], "end": row[1]}


def _items(view: View, spec: NodeSpec | RelationshipSpec, memory: Memory) -> Iterator[list[Any]]:
    """Yield open nodes or relationships; the reason says which source knew what."""
    graph, store = view.graph.spec, view.neo4j
    assert graph is not None
    assert store is not None
    if isinstance(spec, NodeSpec):
        for name, _, decided in decided_nodes(store, graph, spec, view.lookups, view.mode, memory):
            if decided.decision.bin in OPEN_BINS:
                yield [name, None, decided.decision.bin, decided.decision.reason]
        return
    for ends, _, decided in decided_relationships(store, graph, spec, view.lookups, view.mode, memory):
        if decided.decision.bin in OPEN_BINS:
            yield [ends["start"], ends["end"], None, decided.decision.bin, decided.decision.reason]


def _points(view: View, spec: PointSpec) -> Iterator[list[Any]]:
    """Yield open points; stale ones are among the quarantined, with that as their reason."""
    assert view.qdrant is not None
    rows_exist = RowsExist(view.postgres.connection)
    with resolving(view, spec.collection) as resolve:
        for page in view.qdrant.pages(spec.collection, fields=spec.fields, limit=READ):
            for one in decide_points(spec, page, view.lookups, rows_exist, resolve=resolve):
                if one.stale or one.decision.bin in OPEN_BINS:
                    yield [one.point.id, None, "quarantine" if one.stale else one.decision.bin, one.reason]
