"""Prints a section as a table, with its goals below."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.port import Goal, Section


def rendered(section: Section) -> RenderableType:
    """Return *section* for a terminal."""
    table = Table(title=section.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("way", overflow="fold", min_width=24)
    table.add_column(f"{section.unit}/s", justify="right", no_wrap=True)
    for baseline in section.baselines:
        table.add_column(f"× {baseline}", justify="right", max_width=14)
    shown = {
        name: heading
        for name, heading in section.columns.items()
        if any(line.median(name) is not None for line in section.lines)
    }
    for heading in shown.values():
        table.add_column(heading, justify="right", max_width=14)
    for line in section.lines:
        cells: list[Text | str] = [Text(line.name, style="bold" if line.ours else ""), f"{line.rate():,.0f}"]
        cells += [
            "" if line.name == baseline else f"{section.ratio(line.name, baseline):.2f}"
            for baseline in section.baselines
        ]
        cells += [number(line.median(name)) for name in shown]
        table.add_row(*cells)
    notes = [Text(note, style="dim") for note in section.notes]
    return Group(table, *(_goal(goal) for goal in section.goals), *notes)


def number(value: float | None) -> str:
    """Return a figure with as many digits as it means; nothing for None."""
    if value is None:
        return ""
    if value and abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _goal(goal: Goal) -> Text:
    said = "reached" if goal.met else "NOT reached"
    limit = "at most" if goal.at_most else "at least"
    text = f"{said}: {goal.what}: {number(goal.value)}, {limit} {number(goal.wanted)}"
    return Text(text, style="green" if goal.met else "bold red")
