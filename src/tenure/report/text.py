"""Findings, plans and outcomes as text and tables for terminals; every text in them is masked and printable."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tenure.masking import mask_secrets
from tenure.planner.plan import Plan
from tenure.report.estimate import duration, estimate
from tenure.report.matrix import matrix_tables
from tenure.values import NEEDS_CONSENT, Finding, Outcome, Phase

__all__ = ["clean", "findings_text", "matrix_tables", "outcomes_table", "plan_text", "stdout_console"]

PIPED_WIDTH = 120
SAMPLES = 5
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


def findings_text(findings: Sequence[Finding], samples: int = SAMPLES) -> Text:
    """Return *findings* grouped by severity, worst first, each with a few samples and its remedy."""
    text = Text()
    for severity, heading, style in _HEADINGS:
        group = [finding for finding in findings if finding.severity == severity]
        if not group:
            continue
        text.append(f"{heading} ({len(group)})\n", style=style)
        for finding in group:
            _append_finding(text, finding, samples, style)
    text.rstrip()
    return text


def _append_finding(text: Text, finding: Finding, samples: int, style: str) -> None:
    text.append(f"  {clean(finding.id)} ", style=style)
    text.append(f"{clean(finding.store)} {clean(finding.object)}: ", style="bold")
    title = clean(finding.title)
    text.append(title if title.endswith((".", "!", "?")) else f"{title}.")
    if finding.count > 1:
        text.append(f" ({finding.count:,})")
    text.append("\n")
    for item in finding.sample[:samples]:
        text.append(f"      {clean(_item(item))}\n", style="dim")
    rest = finding.count - samples
    if len(finding.sample) >= samples and rest > 0:
        text.append(f"      … and {rest:,} more\n", style="dim")
    if finding.remedy:
        text.append(f"    → {clean(finding.remedy)}\n")


def _item(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)


def plan_text(plan: Plan, width: int) -> Group:
    """Return the plan for people: a table per phase, then findings, then what stays as it is, then the hash."""
    parts: list[Any] = []
    for phase in Phase:
        operations = plan.of_phase(phase)
        if not operations:
            continue
        table = Table(title=f"{phase}", title_justify="left", title_style="bold", box=None, pad_edge=False)
        wide = width >= _WIDE
        for name in ("store", *(("object",) if wide else ()), "what"):
            table.add_column(name, overflow="fold", ratio=None if name == "store" else 2)
        table.add_column("lock", overflow="fold", ratio=1)
        table.add_column("hazards", overflow="fold")
        table.add_column("items", justify="right", no_wrap=True)
        table.add_column("takes", justify="right", no_wrap=True)
        for operation in operations:
            what = Text(clean(operation.describe()))
            if operation.waiting:
                what.append(f" (waits: {clean(operation.waiting)})", style="yellow")
            hazards = Text("\n").join(
                Text(str(hazard), style="bold red" if hazard in NEEDS_CONSENT else "") for hazard in operation.hazards
            )
            items = f"{operation.planned:,}" if operation.ranged and operation.planned is not None else ""
            cells: list[Text | str] = [operation.store]
            if wide:
                cells.append(clean(operation.object))
            cells += [what, clean(operation.lock), hazards, items, duration(estimate(operation))]
            table.add_row(*cells)
        parts += [table, ""]
    if plan.findings:
        parts += [findings_text(plan.findings), ""]
    if plan.untouched:
        parts.append(Text("Stay as they are", style="bold"))
        parts += [Text(f"  {store} {clean(name)}: {clean(reason)}") for store, name, reason in plan.untouched]
        parts.append("")
    count = len(plan.operations)
    parts.append(Text(f"{count} operation{'' if count == 1 else 's'}, plan {plan.hash[:16]}", style="bold"))
    return Group(*parts)


def outcomes_table(outcomes: Iterable[tuple[str, Outcome]], describe: Mapping[str, str]) -> Table:
    """Return *planned / changed / left* per operation; *describe* has the sentence of each id."""
    table = Table(box=None, pad_edge=False)
    table.add_column("operation", overflow="fold")
    for name in ("planned", "changed", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", overflow="fold")
    for identity, outcome in outcomes:
        table.add_row(
            clean(describe.get(identity, identity)),
            f"{outcome.planned:,}",
            f"{outcome.changed:,}",
            Text(f"{outcome.left:,}", style="bold red" if outcome.left else ""),
            clean(outcome.note),
        )
    return table
