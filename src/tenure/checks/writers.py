"""TEN507: writers. What still writes without the key is caught and counted."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from tenure.checks.base import Named, View
from tenure.checks.done import is_done, operation_begun, operation_done
from tenure.operations.drop_fill_trigger import DropFillTrigger
from tenure.operations.fill_trigger import FillTrigger
from tenure.values import Finding, Phase


class Writers(Named):
    """Until contract, a fill trigger stands on every keyed table and catches each write that comes without the key."""

    id = "TEN507"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for a trigger that is gone or disabled, a notice with the writes that came without the key."""
        if is_done(view, Phase.CONTRACT):
            return
        for operation in view.plan.operations:
            if not isinstance(operation, FillTrigger) or not operation_done(view, operation.id):
                continue
            table = view.live.postgres.table(operation.rule.table.display)
            triggers = [t for t in (table.triggers if table is not None else ()) if t.name == operation.name]
            if not triggers and operation_begun(view, f"postgres.{DropFillTrigger.kind}.{operation.object}"):
                continue  # contract was stopped in the middle; what it has dropped stays dropped
            if not triggers or triggers[0].enabled not in ("origin", "always"):
                yield self.finding(
                    "error",
                    operation.object,
                    f"the fill trigger {operation.name} is {'disabled' if triggers else 'gone'}: "
                    "rows of an old writer stay without a tenant",
                    "Enable it, or run `tenure apply`, which creates it again.",
                )
                continue
            query = sql.SQL("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}").format(
                sql.Identifier("tenure", operation.sequence)
            )
            ((count,),) = view.query(query)
            if count:
                yield self.finding(
                    "info",
                    operation.object,
                    f"{count} writes came without {view.key.name} so far; the fill trigger gave it to them",
                    "An old writer is, or was, alive: contract is refused while this number moves.",
                    count=count,
                )
