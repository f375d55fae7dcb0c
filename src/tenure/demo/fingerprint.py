"""What is in the three stores, as numbers that two runs can be compared by: the content of every object and the schema.

Every item (row, node, relationship, point) is hashed with its key and all else that it holds; the fingerprint of an
object is the sum of its items' hashes, so neither the order of reading nor internal ids matter, and memory stays flat.
The ledger (schema tenure) and sequences are left out: they tell how a run went, not what it made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neo4j import Driver
    from psycopg import Connection
    from qdrant_client import QdrantClient

Fingerprint = dict[str, dict[str, str]]

_MODULUS = 1 << 128
_PAGE = 1000
_TABLES = """SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('tenure', 'information_schema') AND n.nspname !~ '^pg_'
ORDER BY 1, 2"""
_NODES = "CYPHER 5 MATCH (n) RETURN labels(n) AS labels, properties(n) AS properties"
_RELATIONSHIPS = """CYPHER 5 MATCH (a)-[r]->(b) RETURN type(r) AS type, properties(r) AS properties,
labels(a) AS start_labels, properties(a) AS start, labels(b) AS end_labels, properties(b) AS end"""


def fingerprint(
    postgres_dsn: str,
    neo4j_url: str,
    qdrant_url: str,
    *,
    neo4j_auth: tuple[str, str] | None = None,
    leave_out: Collection[str] = (),
) -> Fingerprint:
    """Return ``{store: {object: "items:hash"}}`` of the three stores, ``(schema)`` among the objects of each.

    Args:
        postgres_dsn: The database; every table of every schema but the ledger's is read.
        neo4j_url: The graph, node by node and relationship by relationship; ends count with all that they hold.
        qdrant_url: The vector store: ids, payloads and vectors of every collection.
        neo4j_auth: User and password, or None without authentication.
        leave_out: Columns that may differ between the runs compared, such as the time of loading.
    """
    import psycopg
    from neo4j import GraphDatabase

    from tenure.demo.example.vectors import connect

    with psycopg.connect(postgres_dsn) as connection:
        rows = _postgres(connection, leave_out)
    with GraphDatabase.driver(neo4j_url, auth=neo4j_auth) as driver:
        graph = _neo4j(driver)
    client = connect(qdrant_url)
    try:
        points = _qdrant(client)
    finally:
        client.close()
    return {"postgres": rows, "neo4j": graph, "qdrant": points}


def differences(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """Return a line for every object that is not the same in both."""
    lines = []
    for store in sorted(expected.keys() | found.keys()):
        before, after = expected.get(store, {}), found.get(store, {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                lines.append(f"{store} {name}: expected {before.get(name)}, found {after.get(name)}")
    return lines


def _postgres(connection: Connection[Any], leave_out: Collection[str]) -> dict[str, str]:
    """Let the server add up the rows' hashes: MD5 by halves, as numerics, since it has no unsigned 128-bit type."""
    from psycopg import sql

    from tenure.stores.postgres_introspect import introspect_postgres

    # The database's name is no part of what it holds: runs are compared across databases.
    found = {"(schema)": introspect_postgres(connection).model_copy(update={"database": ""}).digest()}
    connection.rollback()
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 1")
    half = "sum(('x' || substr(hash, {}, 16))::bit(64)::bigint::numeric)"
    statement = (
        f"SELECT count(*), {half.format(1)}, {half.format(17)} "
        "FROM (SELECT md5((to_jsonb(tenure_row) - {}::text[])::text) AS hash FROM ONLY {} AS tenure_row) AS h"
    )
    for schema, name in connection.execute(_TABLES).fetchall():
        # No parameter: names may hold what reads as a placeholder.
        query = sql.SQL(statement).format(sql.Literal(list(leave_out)), sql.Identifier(schema, name))
        row = connection.execute(query).fetchone()
        assert row is not None
        count, first, second = row
        low, high = (int(part or 0) % (1 << 64) for part in (first, second))
        found[name if schema == "public" else f"{schema}.{name}"] = f"{count}:{low:016x}{high:016x}"
    return found


def _neo4j(driver: Driver) -> dict[str, str]:
    from tenure.stores.neo4j_introspect import introspect_neo4j

    found = {"(schema)": introspect_neo4j(driver, None).digest()}
    with driver.session(fetch_size=_PAGE) as session:
        nodes = (
            (":".join(sorted(row["labels"])) or "(no label)", [sorted(row["labels"]), row["properties"]])
            for row in session.run(_NODES)
        )
        found |= _sums(nodes)
        relationships = (
            (
                f"[{row['type']}]",
                [
                    row["properties"],
                    [sorted(row["start_labels"]), row["start"]],
                    [sorted(row["end_labels"]), row["end"]],
                ],
            )
            for row in session.run(_RELATIONSHIPS)
        )
        found |= _sums(relationships)
    return found


def _qdrant(client: QdrantClient) -> dict[str, str]:
    from tenure.stores.qdrant_introspect import introspect_qdrant

    found = {"(schema)": introspect_qdrant(client).digest()}
    for collection in client.get_collections().collections:
        points = ((collection.name, point) for point in _points(client, collection.name))
        found |= {collection.name: f"0:{0:032x}"} | _sums(points)
    return found


def _points(client: QdrantClient, collection: str) -> Iterator[Any]:
    offset = None
    while True:
        points, offset = client.scroll(collection, limit=_PAGE, offset=offset, with_payload=True, with_vectors=True)
        for point in points:
            yield [point.id, point.payload, point.vector]
        if offset is None:
            return


def _sums(items: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return ``count:sum`` of the hashes of *items* by their object."""
    counts: dict[str, int] = {}
    totals: dict[str, int] = {}
    for name, content in items:
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=_other)
        value = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
        counts[name] = counts.get(name, 0) + 1
        totals[name] = (totals.get(name, 0) + value) % _MODULUS
    return {name: f"{counts[name]}:{totals[name]:032x}" for name in counts}


def _other(value: Any) -> Any:
    """Return what JSON has no form for (temporal and spatial values, bytes, the client's models) as text with its
    type."""
    dump: Callable[[], Any] | None = getattr(value, "model_dump", None)
    return dump() if dump is not None else f"{type(value).__name__} {value!r}"
