"""Refreshes a materialized view that shows the key, once the rows that it reads are keyed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import errors, sql

from tenure.attribution.rows import table_sql
from tenure.operations.base import Operation
from tenure.operations.text import as_texts
from tenure.values import Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context


class RefreshView(Operation):
    """`REFRESH MATERIALIZED VIEW CONCURRENTLY`: the view's readers go on, and see the keys from its end on.

    Postgres wants a plain unique index on the view for that, so only such views are refreshed; and one that was never
    filled is left so (https://www.postgresql.org/docs/current/sql-refreshmaterializedview.html).
    """

    kind: ClassVar[str] = "refresh_view"
    phase: ClassVar[Phase] = Phase.CONSTRAIN
    store: ClassVar[Store] = "postgres"

    view: TableName
    lock: str = "EXCLUSIVE on the view; its readers go on"
    hazards: tuple[Hazard, ...] = (Hazard.TABLE_SCAN,)

    def describe(self) -> str:
        """Return one line."""
        return f"refresh materialized view {self.view.display}, which shows the key"

    def statements(self) -> tuple[str, ...]:
        """Return the refresh."""
        return as_texts([self._refresh()])

    def _refresh(self) -> sql.Composed:
        return sql.SQL("REFRESH MATERIALIZED VIEW CONCURRENTLY {}").format(table_sql(self.view))

    def apply(self, ctx: Context) -> Outcome:
        """Refresh it; twice does no harm. A role that may not is no reason to stop: the note says what to do."""
        with ctx.postgres.connection() as connection:
            query = "SELECT relispopulated FROM pg_class WHERE oid = to_regclass(%s)"
            row = connection.execute(query, (table_sql(self.view).as_string(None),)).fetchone()
        if row is None or not row[0]:
            note = "is gone" if row is None else "was never filled, and is left so"
            return Outcome(planned=1, changed=0, note=note)
        try:
            ctx.postgres.ddl([self._refresh()], transaction=False)
        except errors.InsufficientPrivilege:
            note = f"this role may not refresh it; its owner has to run: {self.statements()[0]}"
            ctx.reporter.note(self.id, note)
            return Outcome(planned=1, changed=0, note=note)
        return Outcome(planned=1, changed=1)

    def undo(self, ctx: Context) -> Outcome:
        """Leave it: the keys that it shows are taken back after this, and only then is there something to refresh."""
        return Outcome(note=f"shows the keys until somebody refreshes it: {self.statements()[0]}")
