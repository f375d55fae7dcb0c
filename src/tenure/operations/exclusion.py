"""An exclusion constraint as a value: how it is written, whether it is there, and which rows stand against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psycopg import Connection, errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import OperationFailedError
from tenure.values import Frozen, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context

LISTED = 1000
"""More pairs of rows are counted by nobody: the first of them already stands in the way."""
SAMPLE = 10


class Element(Frozen):
    """One element: `part` as the constraint writes it, `value` as a query does, and the operator that compares two."""

    part: str
    value: str
    operator: str


class Exclusion(Frozen):
    """An exclusion constraint of a table: no two rows may have all its elements' operators true.

    `definition` is what stands behind ADD CONSTRAINT; `predicate` says which rows count.
    """

    table: TableName
    name: str
    definition: str
    elements: tuple[Element, ...]
    predicate: str | None = None

    def add(self) -> sql.Composed:
        """Return what makes it: one index build, under the lock that ALTER TABLE takes."""
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            table_sql(self.table), sql.Identifier(self.name), raw(self.definition)
        )

    def drop(self) -> sql.Composed:
        """Return what drops it."""
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table_sql(self.table), sql.Identifier(self.name))

    def exists(self, ctx: Context) -> bool:
        """Return whether the table has it."""
        with ctx.postgres.connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s AND contype = 'x'",
                (table_sql(self.table).as_string(None), self.name),
            ).fetchone()
        return row is not None

    def build(self, ctx: Context, operation: str, object_: str) -> None:
        """Make it, however long its index takes. Errors: OperationFailedError with rows that stand against it."""
        try:
            ctx.postgres.ddl(
                [sql.SQL("SET LOCAL statement_timeout = 0"), self.add()],
                notify=lambda text: ctx.reporter.note(operation, text),
            )
        except errors.ExclusionViolation as error:
            with ctx.postgres.connection() as connection:
                count, sample = self.conflicts(connection)
            raise OperationFailedError(
                operation=operation,
                object=object_,
                planned=1,
                changed=0,
                left=max(count, 1),
                problem=f"{counted(count)} pair(s) of rows stand against {self.name}: {'; '.join(sample)}. "
                "Resolve them, then run again.",
            ) from error

    def conflicts(self, connection: Connection[Any]) -> tuple[int, tuple[str, ...]]:
        """Return how many pairs of rows stand against it, up to `LISTED`, and some of them."""
        found = connection.execute(sql.SQL("{} LIMIT {}").format(self.pairs(), LISTED)).fetchall()
        return len(found), tuple(f"{one} and {other}" for one, other in found[:SAMPLE])

    def pairs(self) -> sql.Composed:
        """Return the query for the pairs of rows that stand against it: the values of the one and of the other."""
        names = [sql.Identifier(f"tenure_{number}") for number in range(len(self.elements))]
        side = sql.SQL("(SELECT tableoid AS tenure_table, ctid AS tenure_row, {} FROM {}{})").format(
            sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(raw(element.value), name)
                for element, name in zip(self.elements, names, strict=True)
            ),
            table_sql(self.table),
            raw(f" WHERE {self.predicate}") if self.predicate is not None else sql.SQL(""),
        )
        shown = [
            sql.SQL("ROW({})::text").format(sql.SQL(", ").join(sql.SQL("{}.{}").format(raw(alias), n) for n in names))
            for alias in ("a", "b")
        ]
        return sql.SQL(
            "SELECT {} AS one, {} AS other FROM {} AS a JOIN {} AS b ON {} "
            "AND (a.tenure_table, a.tenure_row) < (b.tenure_table, b.tenure_row)"
        ).format(*shown, side, side, met(self.elements, names))


def met(elements: Sequence[Element], names: Sequence[sql.Identifier]) -> sql.Composed:
    """Return the condition that rows `a` and `b` meet in all *elements*, whose values are columns called *names*."""
    return sql.SQL(" AND ").join(
        sql.SQL("a.{} {} b.{}").format(name, raw(element.operator), name)
        for element, name in zip(elements, names, strict=True)
    )


def counted(count: int) -> str:
    """Return the number of pairs as a person is told it: they are counted up to `LISTED`."""
    return f"at least {count}" if count >= LISTED else str(count)
