"""The parts of the evidence report that say what was done: operations by phase, progress over time, events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from tenure.report.charts import Bar, Line, progress, timeline, took
from tenure.report.evidence import Done, Evidence
from tenure.report.markup import Markup, joined, tag

# A chart of more rows than this is longer than a page; the table below it has them all.
BARS = 40


def progress_section(evidence: Evidence) -> Markup:
    """Return how the backfills of each store went over time, by the ledger's ranges."""
    steps = evidence.progress
    if not steps:
        return joined()
    begun = [
        each.started
        for each in evidence.operations
        if each.started is not None and each.document["phase"] == "backfill"
    ]
    first = min([*begun, min(at for _, at, _ in steps)])
    lines = []
    for store in dict.fromkeys(store for store, _, _ in steps):
        own = [(at, changed) for name, at, changed in steps if name == store]
        total, so_far = sum(changed for _, changed in own), 0
        points = [(_since(first, _store_start(evidence, store) or own[0][0]), 0.0)]
        for at, changed in own:
            so_far += changed
            points.append((_since(first, at), so_far / total))
        lines.append(Line(f"{store}: {total:,} items", store, points))
    return joined(
        tag("p", f"Keys written by the backfills, from {first:%Y-%m-%d %H:%M:%S} UTC on.", class_="soft"),
        progress(lines),
    )


def _store_start(evidence: Evidence, store: str) -> datetime | None:
    starts = [
        each.started
        for each in evidence.operations
        if each.started is not None and each.document["store"] == store and each.document["phase"] == "backfill"
    ]
    return min(starts, default=None)


def done_section(evidence: Evidence) -> Markup:
    """Return every operation by phase, with when it ran, what it changed, and its statements folded."""
    parts: list[Markup] = []
    for phase, group in groupby(evidence.operations, key=lambda each: str(each.document["phase"])):
        operations = list(group)
        ran = [each for each in operations if each.started is not None]
        parts.append(tag("h3", phase))
        if ran:
            first = min(each.started for each in ran if each.started is not None)
            last = max(each.finished or first for each in ran)
            parts.append(
                tag("p", f"{len(ran)} of {len(operations)} operations ran, from {first:%Y-%m-%d %H:%M:%S} to "
                         f"{last:%Y-%m-%d %H:%M:%S} UTC.", class_="soft")
            )  # fmt: skip
            parts.append(timeline(_bars(ran, first)))
        parts.append(_table(operations))
    return joined(*parts)


def _bars(ran: Sequence[Done], first: datetime) -> list[Bar]:
    shown = [each for each in ran if each.started is not None and each.seconds is not None]
    if len(shown) > BARS:
        longest = sorted(shown, key=lambda each: -(each.seconds or 0.0))[:BARS]
        shown = [each for each in shown if each in longest]
    return [
        Bar(
            name=str(each.document["description"]),
            store=str(each.document["store"]),
            start=_since(first, each.started or first),
            seconds=each.seconds or 0.0,
            note=f"{each.document['changed']:,} changed in {took(each.seconds or 0.0)}",
        )
        for each in shown
    ]


def _table(operations: Sequence[Done]) -> Markup:
    heads = ("store", "operation", "state", "began (UTC)", "took", "planned", "changed", "left")
    numbers = ("took", "planned", "changed", "left")
    head = tag("tr", *(tag("th", name, class_="number" if name in numbers else None) for name in heads))
    return tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", *(_operation(each) for each in operations))),
        class_="wide",
    )


def _operation(each: Done) -> Markup:
    document = each.document
    began = f"{each.started:%H:%M:%S}" if each.started is not None else ""
    numbers = [document["planned"], document["changed"], document["left"]]
    statements = document["statements"]
    folded = tag(
        "details",
        tag("summary", f"{len(statements)} statement{'' if len(statements) == 1 else 's'}"),
        tag("pre", "\n\n".join(statements)),
    )
    hazards = [tag("span", hazard, class_="tag") for hazard in document["hazards"]]
    return tag(
        "tr",
        tag("td", document["store"], class_="nowrap"),
        tag(
            "td",
            document["description"],
            tag("p", document["note"], class_="soft") if document["note"] else None,
            tag("p", *hazards) if hazards else None,
            folded if statements else None,
            class_="anywhere",
        ),
        tag("td", document["state"], class_=f"nowrap state-{document['state']}"),
        tag("td", began, class_="nowrap"),
        tag("td", took(each.seconds) if each.seconds is not None else "", class_="number"),
        *(tag("td", "" if count is None else f"{count:,}", class_="number") for count in numbers),
    )


def events_section(evidence: Evidence) -> Markup:
    """Return the events of the run, oldest first, folded."""
    if not evidence.events:
        return joined()
    rows = [
        tag(
            "tr",
            tag("td", f"{at:%Y-%m-%d %H:%M:%S}", class_="nowrap"),
            tag("td", kind, class_="nowrap"),
            tag("td", name, class_="anywhere mono"),
            tag("td", detail, class_="anywhere"),
        )
        for kind, name, detail, at in evidence.events
    ]
    head = tag("tr", *(tag("th", name) for name in ("at (UTC)", "what", "operation", "detail")))
    table = tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="wide")
    return tag("details", tag("summary", f"{len(rows)} newest events"), table)


def _since(first: datetime, at: datetime) -> float:
    return max(0.0, (at - first).total_seconds())
