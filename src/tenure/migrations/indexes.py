"""Finds indexes that exist and serve no query, because the CREATE INDEX CONCURRENTLY that made them did not finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.migrations.statements import IndexTarget
from tenure.values import Frozen

if TYPE_CHECKING:
    from psycopg import Connection

# Partitioned indexes (relkind I) are left out: one made with ON ONLY is invalid until its partitions are attached.
# Those under construction in another session are not broken either.
_INVALID = """
SELECT c.oid, n.nspname, c.relname, i.indrelid::regclass::text
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i'
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p
                  WHERE p.index_relid = c.oid AND p.pid <> pg_backend_pid())
ORDER BY 2, 3
"""

_NAMED = """
SELECT c.oid, n.nspname, c.relname, i.indrelid::regclass::text
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname = %(name)s
  AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(%(table)s))
"""


class InvalidIndex(Frozen):
    """An index with indisvalid = false."""

    oid: int
    name: str
    table: str
    remedy: str


def invalid_indexes(connection: Connection) -> dict[int, InvalidIndex]:
    """Return every invalid index of the database by oid."""
    return {row[0]: _value(*row) for row in connection.execute(_INVALID).fetchall()}


def invalid_target(connection: Connection, target: IndexTarget) -> InvalidIndex | None:
    """Return the index that a CREATE INDEX names if it is invalid; also when IF NOT EXISTS passed over it."""
    from psycopg.sql import Identifier

    if target.name is None:
        return None
    parts = (target.table_schema, target.table) if target.table_schema else (target.table,)
    table = Identifier(*parts).as_string(connection)
    row = connection.execute(_NAMED, {"name": target.name, "table": table}).fetchone()
    return _value(*row) if row else None


def _value(oid: int, schema: str, name: str, table: str) -> InvalidIndex:
    from psycopg.sql import SQL, Identifier

    qualified = Identifier(schema, name).as_string(None)
    return InvalidIndex(
        oid=oid,
        name=qualified,
        table=table,
        remedy=SQL("DROP INDEX CONCURRENTLY {}").format(Identifier(schema, name)).as_string(None),
    )
