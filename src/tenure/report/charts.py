"""Charts of the evidence report as inline SVG; colours come from its style sheet, so they follow dark and light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenure.report.markup import Markup, joined, tag

WIDTH = 860
COLOURS = 8
"""Classes c0 to c7 of the style sheet; more tenants than that are folded into `OTHERS`."""
STORES = {"postgres": "c0", "neo4j": "c1", "qdrant": "c2"}
"""The colours of the stores, the same in every chart."""
OTHERS = "(others)"
_BINS = {"(unassigned)": "bad", "(conflict)": "bad", "(quarantine)": "aside", "(shared)": "shared", OTHERS: "others"}


@dataclass(frozen=True)
class Line:
    """A line of a chart over time, in its store's colour: (seconds since the start, value) in order."""

    name: str
    store: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bar:
    """A bar of a timeline, in its store's colour: when it began and how long it took, in seconds since the start."""

    name: str
    store: str
    start: float
    seconds: float
    note: str


def tenants_by_store(counts: Mapping[str, Mapping[str, int]]) -> Markup:
    """Return one bar per store, divided by tenant in proportion to its items, with a legend.

    *counts* are items by store, then by tenant or bin.
    """
    stores = {store: found for store, found in counts.items() if sum(found.values())}
    if not stores:
        return joined()
    folded, classes = _classes(stores)
    left, height, gap = 90, 30, 14
    parts: list[Markup] = []
    for place, (store, found) in enumerate(folded.items()):
        y, x, total = place * (height + gap), float(left), sum(found.values())
        parts.append(tag("text", store, x=0, y=y + height / 2 + 5, class_="label"))
        for name in classes:
            count = found.get(name, 0)
            width = (WIDTH - left) * count / total
            if not count:
                continue
            title = tag("title", f"{name}: {count:,} items of {store}, {count / total:.1%}")
            parts.append(
                tag("rect", title, x=round(x, 2), y=y, width=round(max(width, 0.5), 2), height=height,
                    class_=f"part {classes[name]}")
            )  # fmt: skip
            text = f"{count:,}"
            if width > 9 * len(text):
                parts.append(
                    tag(
                        "text",
                        text,
                        x=round(x + width / 2, 2),
                        y=y + height / 2 + 5,
                        class_=f"inside on-{classes[name]}",
                        text_anchor="middle",
                    )
                )
            x += width
    legend = joined(
        *(
            tag("span", tag("span", class_=f"swatch {class_}", aria_hidden="true"), name, class_="key")
            for name, class_ in classes.items()
        )
    )
    tall = len(folded) * (height + gap) - gap
    return joined(_svg(tall, "Items per tenant in each store", *parts), tag("p", legend, class_="legend"))


def progress(lines: Sequence[Line]) -> Markup:
    """Return the share of items (0 to 1) that had been written, per store, over time."""
    lines = [line for line in lines if line.points]
    if not lines:
        return joined()
    left, top, tall, right = 50, 10, 200, 10
    end = max(max(seconds for seconds, _ in line.points) for line in lines) or 1.0
    span = WIDTH - left - right
    parts: list[Markup] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + tall * (1 - share)
        parts.append(tag("line", x1=left, x2=WIDTH - right, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", f"{share:.0%}", x=left - 8, y=y + 4, text_anchor="end", class_="tick"))
    for seconds in _ticks(end):
        x = left + span * seconds / end
        parts.append(
            tag("text", _clock(seconds), x=round(x, 1), y=top + tall + 18, text_anchor="middle", class_="tick")
        )
    for line in lines:
        path = " ".join(
            f"{'M' if number == 0 else 'L'}{left + span * seconds / end:.1f} {top + tall * (1 - value):.1f}"
            for number, (seconds, value) in enumerate(line.points)
        )
        parts.append(tag("path", tag("title", line.name), d=path, class_=f"line {STORES.get(line.store, 'c3')}"))
    legend = joined(
        *(
            tag(
                "span",
                tag("span", class_=f"swatch {STORES.get(line.store, 'c3')}", aria_hidden="true"),
                line.name,
                class_="key",
            )
            for line in lines
        )
    )
    return joined(_svg(top + tall + 26, "Items written over time", *parts), tag("p", legend, class_="legend"))


def timeline(bars: Sequence[Bar]) -> Markup:
    """Return when each operation ran, one row each, in the order given; the stores have a colour each."""
    if not bars:
        return joined()
    left, row, right = 330, 18, 60
    end = max(bar.start + bar.seconds for bar in bars) or 1.0
    span = WIDTH - left - right
    stores = list(dict.fromkeys(bar.store for bar in bars))
    parts: list[Markup] = []
    tall = len(bars) * row
    for seconds in _ticks(end):
        x = round(left + span * seconds / end, 1)
        parts.append(tag("line", x1=x, x2=x, y1=0, y2=tall, class_="grid"))
        parts.append(tag("text", _clock(seconds), x=x, y=tall + 14, text_anchor="middle", class_="tick"))
    for place, bar in enumerate(bars):
        y = place * row
        x, width = left + span * bar.start / end, max(2.0, span * bar.seconds / end)
        name = bar.name if len(bar.name) <= 50 else f"{bar.name[:49]}…"
        parts.append(tag("text", tag("title", bar.name), name, x=left - 8, y=y + 13, text_anchor="end", class_="row"))
        parts.append(
            tag("rect", tag("title", f"{bar.name}: {bar.note}"), x=round(x, 1), y=y + 3, width=round(width, 1),
                height=row - 6, rx=2, class_=f"part {STORES.get(bar.store, 'c3')}")
        )  # fmt: skip
        parts.append(tag("text", took(bar.seconds), x=round(x + width + 5, 1), y=y + 13, class_="tick"))
    legend = joined(
        *(
            tag(
                "span", tag("span", class_=f"swatch {STORES.get(store, 'c3')}", aria_hidden="true"), store, class_="key"
            )
            for store in stores
        )
    )
    return joined(_svg(tall + 20, "When each operation ran", *parts), tag("p", legend, class_="legend"))


def took(seconds: float) -> str:
    """Return a measured time in words."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _svg(height: float, label: str, *parts: Markup) -> Markup:
    box = f"0 0 {WIDTH} {math.ceil(height)}"
    return tag("svg", *parts, viewBox=box, role="img", aria_label=label, class_="chart")


def _classes(stores: Mapping[str, Mapping[str, int]]) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Return the counts with the smallest tenants folded into one, and the class of everything, largest first."""
    totals: dict[str, int] = {}
    for found in stores.values():
        for name, count in found.items():
            totals[name] = totals.get(name, 0) + count
    tenants = sorted((name for name in totals if name not in _BINS), key=lambda name: (-totals[name], name))
    shown = tenants if len(tenants) <= COLOURS else tenants[: COLOURS - 1]
    folded = {
        store: {
            **{name: count for name, count in found.items() if name in shown or name in _BINS},
            OTHERS: sum(count for name, count in found.items() if name in tenants and name not in shown),
        }
        for store, found in stores.items()
    }
    classes = {name: f"c{place}" for place, name in enumerate(shown)}
    for name in (OTHERS, "(shared)", "(quarantine)", "(conflict)", "(unassigned)"):
        if any(found.get(name) for found in folded.values()):
            classes[name] = _BINS[name]
    return folded, classes


def _ticks(end: float) -> list[float]:
    """Return about five round times from 0 to *end* seconds."""
    rough = end / 5
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    return [place * step for place in range(int(end / step) + 1)]


def _clock(seconds: float) -> str:
    if seconds == 0:
        return "0"
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
