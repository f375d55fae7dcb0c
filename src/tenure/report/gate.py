"""What an operator sees before a gate: what comes, what it locks and for how long, and what ends with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from tenure.report.text import clean, phase_table
from tenure.values import Hazard, Phase

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.runner.fence import Fence

_SHOWN = 3


def gate_text(operations: Sequence[Operation], fence: Fence, width: int) -> Group:
    """Return for people what lies behind the gate: *operations* are those of cutover and contract still to come.

    Each phase is a table with locks, hazards and estimates; then how long writers stand still, and what can no longer
    be undone without loss. *width* is in characters.
    """
    parts: list[Any] = []
    for phase in (Phase.CUTOVER, Phase.CONTRACT):
        of_phase = [operation for operation in operations if operation.phase is phase]
        if of_phase:
            parts += [phase_table(str(phase), of_phase, wide=width >= 120), *_told(phase, of_phase, fence), ""]
    return Group(*parts)


def _told(phase: Phase, operations: Sequence[Operation], fence: Fence) -> list[Text]:
    lines = []
    if phase is Phase.CUTOVER:
        fenced = sum(Hazard.NEEDS_FENCE in operation.hazards for operation in operations)
        if fenced:
            who = (
                f"`{clean(' '.join(fence.fence))}` stops the application's writers, "
                f"`{clean(' '.join(fence.unfence))}` starts them again"
                if fence.fence
                else "You have said that the application's writers are stopped or know of tenants; tenure stops none"
            )
            lines.append(
                Text(f"{who}. {_operations(fenced)} with the writers stopped, {_minutes(fence.window)} at most;")
            )
            lines.append(Text("what is not done by then is taken back, and everything is as before."))
        lines.append(Text("All of it can be undone without loss until contract: `tenure rollback --to constrain`."))
    else:
        final = [operation for operation in operations if Hazard.IRREVERSIBLE in operation.hazards]
        if final:
            named = "; ".join(clean(operation.describe()) for operation in final[:_SHOWN])
            more = f"; and {len(final) - _SHOWN} more (`tenure plan`)" if len(final) > _SHOWN else ""
            lines.append(Text(f"What may not come back: {named}{more}.", style="bold"))
            lines.append(
                Text(
                    "A way back is then possible only while the data still fit the old uniqueness, and what was "
                    "dropped for good comes from the backup. `tenure rollback --plan` tells at any moment."
                )
            )
    return lines


def _operations(count: int) -> str:
    return "1 operation runs" if count == 1 else f"{count} operations run"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
