"""What it takes to swap the primary key of a partitioned table without building an index under a lock.

Postgres takes no index of a partitioned table for a primary key. It does take the keys of its partitions: where each
has one on the same columns, ADD PRIMARY KEY on the whole adopts them and builds nothing. Their indexes are built
concurrently, apart from the per-tenant unique, since an index belongs to one whole only.
"""

from __future__ import annotations

from psycopg import sql

from tenure.attribution.rows import raw, table_sql
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.old_unique import OldUnique
from tenure.operations.text import short_name
from tenure.values import Frozen, TableName


class PartitionKey(Frozen):
    """A partition that holds rows, and the name of its part of the old key."""

    table: TableName
    old: str


class PartitionedKey(Frozen):
    """The partitions of a table whose key is swapped, and the column lists of the new key and the old one.

    `referenced`: composite foreign keys hang on the per-tenant unique, which stays beside the key then; else it goes,
    and the key has its name.
    """

    partitions: tuple[PartitionKey, ...]
    columns: str
    old_columns: str
    referenced: bool = False

    def builds(self, new: str, body: str) -> list[IndexBuild]:
        """Return the indexes that the partitions' new keys are made of."""
        return [
            IndexBuild(table=part.table, name=short_name(new, part.table.name, "part"), unique=True, body=body)
            for part in self.partitions
        ]

    def old_builds(self, old: OldUnique) -> list[IndexBuild]:
        """Return the indexes that the partitions' old keys are made of again."""
        return [
            IndexBuild(table=part.table, name=part.old, unique=True, body=old.index.body) for part in self.partitions
        ]

    def name(self, new: str) -> str:
        """Return what the new primary key is called."""
        return short_name(new, "pkey") if self.referenced else new

    def swap(self, old: OldUnique, new: str) -> list[sql.Composed]:
        """Return the swap, one transaction, once `builds` are there."""
        gone = [] if self.referenced else [_drop_index(old, new)]
        kept = [(build.table, build.name) for build in self.builds(new, old.index.body)]
        return [old.drop(), *gone, *_promote(kept), _whole(old, self.name(new), self.columns)]

    def swap_back(self, old: OldUnique, new: str, bare: str) -> list[sql.Composed]:
        """Return the way back, one transaction, once `old_builds` are there, and the unique under the name *bare*."""
        assert old.constraint is not None
        dropped = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
            table_sql(old.index.table), sql.Identifier(self.name(new))
        )
        renamed = sql.SQL("ALTER INDEX {} RENAME TO {}").format(
            sql.Identifier(old.index.table.schema_name, bare), sql.Identifier(new)
        )
        parts = [(part.table, part.old) for part in self.partitions]
        back = [] if self.referenced else [renamed]
        return [dropped, *back, *_promote(parts), _whole(old, old.constraint, self.old_columns)]


def _promote(parts: list[tuple[TableName, str]]) -> list[sql.Composed]:
    return [
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(
            table_sql(table), sql.Identifier(name), sql.Identifier(name)
        )
        for table, name in parts
    ]


def _whole(old: OldUnique, name: str, columns: str) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY {}").format(
        table_sql(old.index.table), sql.Identifier(name), raw(columns)
    )


def _drop_index(old: OldUnique, name: str) -> sql.Composed:
    return sql.SQL("DROP INDEX {}").format(sql.Identifier(old.index.table.schema_name, name))
