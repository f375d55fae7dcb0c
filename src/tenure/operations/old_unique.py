"""The global uniqueness that contract takes away: what it was, how it is built again, and what forbids that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from tenure.attribution.rows import raw, table_sql
from tenure.operations.concurrent_index import IndexBuild
from tenure.values import Finding, Frozen

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context


class OldUnique(Frozen):
    """A unique index, or the constraint that owns it.

    `index` builds it again; `constraint` is its name as a constraint (None: a bare index), `definition` what stands
    behind ADD CONSTRAINT. `values` are its columns and expressions for looking for duplicates, which count among rows
    of `predicate`, nulls only if `nulls_not_distinct`.
    """

    index: IndexBuild
    constraint: str | None
    primary: bool = False
    definition: str
    values: tuple[str, ...]
    predicate: str | None = None
    nulls_not_distinct: bool = False
    deferral: str = ""

    def duplicates(self, connection: Connection[Any]) -> tuple[int, tuple[str, ...]]:
        """Return how many keys several rows share by now, and some of them."""
        values = sql.SQL(", ").join(map(raw, self.values))
        conditions = [raw(f"({self.predicate})")] if self.predicate is not None else []
        if not self.nulls_not_distinct:
            conditions += [raw(f"{value} IS NOT NULL") for value in self.values]
        grouped = sql.SQL("SELECT ROW({})::text AS item FROM {}{} GROUP BY {} HAVING count(*) > 1").format(
            values,
            table_sql(self.index.table),
            sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL(""),
            values,
        )
        rows = connection.execute(
            sql.SQL("SELECT item, count(*) OVER () FROM ({}) AS shared LIMIT 10").format(grouped)
        ).fetchall()
        return (int(rows[0][1]) if rows else 0), tuple(str(row[0]) for row in rows)

    def losses(self, ctx: Context, object_: str) -> list[Finding]:
        """Return the error that forbids to build it again, where tenants have shared keys since."""
        with ctx.postgres.connection() as connection:
            count, sample = self.duplicates(connection)
        if not count:
            return []
        return [
            Finding(
                id="TEN031",
                severity="error",
                store="postgres",
                object=object_,
                title=f"{count} key(s) belong to several rows by now, which {self.index.name} would forbid",
                count=count,
                sample=sample,
                remedy="Only deleting or renaming rows would bring it back; tenure does neither. Go forward instead.",
            )
        ]

    def exists(self, ctx: Context) -> bool:
        """Return whether it is there as it was: the index, and the constraint where there was one."""
        with ctx.postgres.connection() as connection:
            row = connection.execute(
                "SELECT i.indisvalid AND (%s::text IS NULL OR EXISTS (SELECT 1 FROM pg_constraint k "
                "WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.conname = %s)) "
                "FROM pg_index i WHERE i.indexrelid = to_regclass(%s)",
                (self.constraint, self.constraint, self.qualified.as_string(None)),
            ).fetchone()
        return row is not None and bool(row[0])

    @property
    def qualified(self) -> sql.Identifier:
        """Return the index's name with its schema."""
        return sql.Identifier(self.index.table.schema_name, self.index.name)

    def drop(self) -> sql.Composed:
        """Return what drops it; a bare index is dropped without blocking anybody."""
        if self.constraint is not None:
            return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                table_sql(self.index.table), sql.Identifier(self.constraint)
            )
        if self.index.leaves:
            return sql.SQL("DROP INDEX IF EXISTS {}").format(self.qualified)
        return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(self.qualified)

    def creation(self) -> list[sql.Composed]:
        """Return what makes it again: the index, built without blocking anybody, and the constraint."""
        if self.constraint is None:
            return self.index.statements()
        return [*([] if self.index.leaves else self.index.statements()), self.attach()]

    def attach(self) -> sql.Composed:
        """Return what makes the built index the constraint that it was; a partitioned table's is built under lock."""
        assert self.constraint is not None
        table, name = table_sql(self.index.table), sql.Identifier(self.constraint)
        if self.index.leaves:
            return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(table, name, raw(self.definition))
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}{}").format(
            table,
            name,
            raw("PRIMARY KEY" if self.primary else "UNIQUE"),
            sql.Identifier(self.index.name),
            raw(f" {self.deferral}" if self.deferral else ""),
        )
