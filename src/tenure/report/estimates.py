"""The estimates of a plan as a table: how each table's key comes to be, how long that takes, what it logs and keeps."""

from __future__ import annotations

from rich.table import Table

from tenure.planner.plan import Plan
from tenure.report.estimate import duration
from tenure.report.text import clean
from tenure.values import Phase

_CAPTION = (
    "For an idle server with two cores; from statistics. A default for the majority's tenant and a rewrite of the "
    "table are never chosen: docs/planning-a-large-migration.md says why."
)
_UNITS = ("B", "kB", "MB", "GB", "TB")


def estimates_table(plan: Plan) -> Table | None:
    """Return the estimates of the operations that go through rows, with their sum; None where there is none."""
    if not plan.estimates:
        return None
    named = {operation.id: operation for operation in plan.operations}
    table = Table(title="estimates", title_justify="left", title_style="bold", box=None, pad_edge=False)
    if any(operation.kind == "backfill_rows" for operation in plan.operations):
        table.caption, table.caption_justify = _CAPTION, "left"
    table.add_column("object", overflow="fold")
    table.add_column("what", overflow="fold")
    table.add_column("way", overflow="fold")
    for name in ("takes", "log", "disk"):
        table.add_column(name, justify="right", no_wrap=True)
    for id_, estimate in plan.estimates:
        operation = named[id_]
        table.add_row(
            clean(operation.object),
            operation.kind.replace("_", " "),
            estimate.way,
            duration(estimate.seconds),
            size(estimate.log_bytes),
            size(estimate.disk_bytes),
        )
    for phase in (Phase.BACKFILL, Phase.CONSTRAIN):
        of_phase = [estimate for id_, estimate in plan.estimates if named[id_].phase is phase]
        if len(of_phase) > 1:
            table.add_row(
                f"all of {phase}",
                "",
                "",
                duration(sum(estimate.seconds for estimate in of_phase)),
                size(sum(estimate.log_bytes for estimate in of_phase)),
                size(sum(estimate.disk_bytes for estimate in of_phase)),
                style="bold",
            )
    return table


def size(count: int) -> str:
    """Return bytes in a unit that people read; nothing for none."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if count else ""
        value /= 1000
    raise AssertionError
