"""Builds an index without blocking writers, and never mistakes a broken one for a built one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import Connection, errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import OperationFailedError
from tenure.operations.text import short_name
from tenure.values import Frozen, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context


class IndexBuild(Frozen):
    """An index to build: `body` is all that follows the table's name in CREATE INDEX (method, parts, options).

    `leaves` are the partitions with a heap, empty for an ordinary table: a partitioned table's index is built leaf by
    leaf, since Postgres cannot build it concurrently as a whole. The statement for the whole then finds the leaves'
    indexes and takes them over, on every level of partitions; only leaves born since are built by it.
    """

    table: TableName
    name: str
    unique: bool
    body: str
    leaves: tuple[TableName, ...] = ()

    def statements(self) -> list[sql.Composed]:
        """Return the statements in order, each for a transaction of its own."""
        if not self.leaves:
            return [self._create(self.table, self.name, concurrently=True)]
        built = [self._create(leaf, self._leaf_name(leaf), concurrently=True) for leaf in self.leaves]
        return [*built, self._whole()]

    def build(self, ctx: Context, operation: str, object_: str) -> bool:
        """Build what is missing and return whether anything was. A broken index of the name is dropped and built again.

        Errors: OperationFailedError when duplicates break a unique index; the broken index is taken away before.
        """
        built = False
        for table, name in [(leaf, self._leaf_name(leaf)) for leaf in self.leaves] or [(self.table, self.name)]:
            built |= self._build_one(ctx, table, name, operation, object_)
        if self.leaves:
            built |= self._assemble(ctx, operation)
        return built

    def drop(self, ctx: Context) -> None:
        """Drop the index; a partitioned table's goes with its parts."""
        if self.leaves:
            ctx.postgres.ddl([sql.SQL("DROP INDEX IF EXISTS {}").format(self._qualified(self.table, self.name))])
            return
        self._drop_concurrently(ctx, self.table, self.name)

    def _build_one(self, ctx: Context, table: TableName, name: str, operation: str, object_: str) -> bool:
        with ctx.postgres.connection() as connection:
            valid = _is_valid(connection, table, name, self.unique)
        if valid:
            return False
        if valid is not None:
            ctx.reporter.note(operation, f"index {name} is invalid, left by a build that failed: built again")
            self._drop_concurrently(ctx, table, name)
        try:
            ctx.postgres.ddl(
                [self._create(table, name, concurrently=True)],
                transaction=False,
                notify=lambda text: ctx.reporter.note(operation, text),
            )
        except errors.UniqueViolation as error:
            self._drop_concurrently(ctx, table, name)
            raise OperationFailedError(
                operation=operation,
                object=object_,
                planned=1,
                changed=0,
                left=1,
                problem=f"Rows of one tenant share a key: {error.diag.message_detail or str(error).strip()} "
                "`tenure inspect` lists them all; resolve them, then run `tenure apply` again.",
            ) from error
        with ctx.postgres.connection() as connection:
            if not _is_valid(connection, table, name, self.unique):
                raise OperationFailedError(
                    operation=operation, object=object_, planned=1, changed=0, left=1,
                    problem=f"Index {name} was built and is not valid. Run `tenure apply` again to rebuild it.",
                )  # fmt: skip
        return True

    def _assemble(self, ctx: Context, operation: str) -> bool:
        """Make the partitioned index of its parts."""
        with ctx.postgres.connection() as connection:
            valid = _is_valid(connection, self.table, self.name, self.unique)
        if valid:
            return False
        statements = [self._whole()]
        if valid is not None:
            statements.insert(0, sql.SQL("DROP INDEX {}").format(self._qualified(self.table, self.name)))
        ctx.postgres.ddl(statements, notify=lambda text: ctx.reporter.note(operation, text))
        return True

    def _create(self, table: TableName, name: str, *, concurrently: bool) -> sql.Composed:
        return sql.SQL("CREATE {}INDEX {}{} ON {} {}").format(
            raw("UNIQUE " if self.unique else ""),
            raw("CONCURRENTLY " if concurrently else ""),
            sql.Identifier(name),
            table_sql(table),
            raw(self.body),
        )

    def _whole(self) -> sql.Composed:
        return self._create(self.table, self.name, concurrently=False)

    def _leaf_name(self, leaf: TableName) -> str:
        return short_name(self.name, leaf.name)

    def _qualified(self, table: TableName, name: str) -> sql.Identifier:
        return sql.Identifier(table.schema_name, name)

    def _drop_concurrently(self, ctx: Context, table: TableName, name: str) -> None:
        drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(self._qualified(table, name))
        ctx.postgres.ddl([drop], transaction=False)


def _is_valid(connection: Connection[Any], table: TableName, name: str, unique: bool) -> bool | None:
    """Return whether the index is valid and ready, or None when there is none of that name.

    Errors: OperationFailedError when the name belongs to something else, which must neither be used nor dropped.
    """
    row = connection.execute(
        "SELECT coalesce(i.indrelid = to_regclass(%s) AND i.indisunique = %s, false), i.indisvalid AND i.indisready "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid "
        "WHERE n.nspname = %s AND c.relname = %s",
        (table_sql(table).as_string(None), unique, table.schema_name, name),
    ).fetchone()
    if row is None:
        return None
    if not row[0]:
        raise OperationFailedError(
            operation=f"index {name}", object=table.display, planned=1, changed=0, left=1,
            problem=f"Something else in schema {table.schema_name} is called {name}. Rename it, then run again.",
        )  # fmt: skip
    return bool(row[1])
