"""Findings, plans and outcomes as text and tables for terminals; every text in them is masked and printable."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tenure.masking import mask_secrets
from tenure.report.estimate import duration, estimate
from tenure.report.matrix import matrix_tables
from tenure.values import NEEDS_CONSENT, Finding, Outcome, Phase

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.planner.plan import Plan

__all__ = ["clean", "findings_table", "matrix_tables", "outcomes_table", "plan_text", "stdout_console"]

PIPED_WIDTH = 120
SAMPLES = 5
NOTICE_SAMPLES = 2
_HEADINGS = (("error", "Errors", "bold red"), ("warning", "Warnings", "bold yellow"), ("info", "Notices", "bold"))
# Below this a plan leaves out the column that only repeats what the sentence beside it says.
_WIDE = 130


def stdout_console() -> Console:
    """Return a console on stdout: as wide as the terminal, or as COLUMNS says, or 120 columns in a pipe."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def clean(value: Any) -> str:
    """Return *value* as one line without secrets and without characters that would steer a terminal."""
    text = mask_secrets(value if isinstance(value, str) else str(value))
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def findings_table(findings: Sequence[Finding], samples: int = SAMPLES) -> Group:
    """Return *findings* grouped by severity, worst first, each with a few samples (fewer for notices) and remedy."""
    parts: list[Any] = []
    for severity, heading, style in _HEADINGS:
        group = [finding for finding in findings if finding.severity == severity]
        if not group:
            continue
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        limit = min(samples, NOTICE_SAMPLES) if severity == "info" else samples
        for finding, following in zip(group, [*group[1:], None], strict=True):
            _add_finding(table, finding, limit, style)
            # A dozen findings of one kind need their common remedy once.
            if finding.remedy and (
                following is None or (finding.id, finding.remedy) != (following.id, following.remedy)
            ):
                table.add_row("", Text(f"→ {clean(finding.remedy)}"))
        parts += [Text(f"{heading} ({len(group)})", style=style), table]
    return Group(*parts)


def _add_finding(table: Table, finding: Finding, samples: int, style: str) -> None:
    line = Text()
    line.append(f"{clean(finding.store)} {clean(finding.object)}: ", style="bold")
    title = clean(finding.title)
    line.append(title.rstrip("."))
    if finding.count > 1 and str(finding.count) not in title:
        line.append(f" ({finding.count:,})")
    line.append("" if title.endswith(("!", "?")) else ".")
    table.add_row(Text(f"  {clean(finding.id)}", style=style), line)
    shown = [text for text in (clean(_item(item)) for item in finding.sample[:samples]) if text not in title]
    for text in shown:
        table.add_row("", Text(f"  {text}", style="dim"))
    rest = finding.count - samples
    if shown and len(finding.sample) >= samples and rest > 0:
        table.add_row("", Text(f"  … and {rest:,} more", style="dim"))


def _item(item: Any) -> str:
    """Return a sample in words: what it is, and what is said of it."""
    if not isinstance(item, Mapping):
        return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)
    if "item" not in item:
        return ", ".join(f"{name}={_item(value)}" for name, value in item.items())
    said = {name: value for name, value in item.items() if name != "item"}
    about = said.get("reason") if set(said) == {"reason"} else _item(said) if said else ""
    return f"{_item(item['item'])}: {about}" if about else _item(item["item"])


def plan_text(plan: Plan, width: int) -> Group:
    """Return the plan for people: a table per phase, then findings, then what stays as it is, then the hash."""
    parts: list[Any] = []
    for phase in Phase:
        operations = plan.of_phase(phase)
        if operations:
            parts += [phase_table(str(phase), operations, wide=width >= _WIDE), ""]
    if plan.findings:
        parts += [findings_table(plan.findings), ""]
    if plan.untouched:
        parts.append(Text("Stay as they are", style="bold"))
        parts += [Text(f"  {store} {clean(name)}: {clean(reason)}") for store, name, reason in plan.untouched]
        parts.append("")
    count = len(plan.operations)
    parts.append(Text(f"{count} operation{'' if count == 1 else 's'}, plan {plan.hash[:16]}", style="bold"))
    return Group(*parts)


def phase_table(phase: str, operations: Sequence[Operation], *, wide: bool) -> Table:
    """Return one phase as a table; columns that would be empty throughout are left out."""
    columns: dict[str, list[Text | str]] = {
        "store": [operation.store for operation in operations],
        "object": [clean(operation.object) if wide else "" for operation in operations],
        "what": [_what(operation) for operation in operations],
        "lock": [clean(operation.lock) for operation in operations],
        "hazards": [_hazards(operation) for operation in operations],
        "items": [f"{o.planned:,}" if o.ranged and o.planned is not None else "" for o in operations],
        "takes": [duration(estimate(operation)) for operation in operations],
    }
    table = Table(title=phase, title_justify="left", title_style="bold", box=None, pad_edge=False)
    shown = {name: cells for name, cells in columns.items() if any(str(cell) for cell in cells)}
    for name in shown:
        number = name in ("items", "takes")
        limit = {"lock": 34, "object": 40}.get(name)
        table.add_column(name, overflow="fold", justify="right" if number else "left", no_wrap=number, max_width=limit)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def _what(operation: Operation) -> Text:
    text = Text(clean(operation.describe()))
    if operation.waiting:
        text.append(f" (waits: {clean(operation.waiting)})", style="yellow")
    return text


def _hazards(operation: Operation) -> Text:
    """Return the hazards that the lock beside them does not name already; loud where they need consent."""
    named = operation.lock.upper().replace(" ", "_")
    rest = [hazard for hazard in operation.hazards if hazard in NEEDS_CONSENT or str(hazard) not in named]
    return Text("\n").join(Text(str(hazard), style="bold red" if hazard in NEEDS_CONSENT else "") for hazard in rest)


def outcomes_table(outcomes: Iterable[tuple[Operation, Outcome]]) -> Table:
    """Return *planned / changed / left* per operation; single steps that did what they should are one line a phase."""
    table = Table(box=None, pad_edge=False)
    table.add_column("operation", overflow="fold")
    for name in ("planned", "changed", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", overflow="fold")
    single: dict[Phase, list[Outcome]] = {}
    for operation, outcome in outcomes:
        if not operation.ranged and not outcome.left and not outcome.note:
            single.setdefault(operation.phase, []).append(outcome)
        else:
            _add_outcome(table, operation.describe(), outcome)
    for phase, several in single.items():
        total = Outcome()
        for outcome in several:
            total = total.plus(outcome)
        _add_outcome(table, f"single steps of {phase} ({len(several)})", total)
    return table


def _add_outcome(table: Table, what: str, outcome: Outcome) -> None:
    left = Text(f"{outcome.left:,}", style="bold red" if outcome.left else "")
    table.add_row(clean(what), f"{outcome.planned:,}", f"{outcome.changed:,}", left, clean(outcome.note))
