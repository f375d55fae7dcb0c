"""The parts of the evidence report that say what was found: matrix, findings, probes, drift, bins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenure.report.charts import tenants_by_store
from tenure.report.evidence import Evidence
from tenure.report.markup import Child, Markup, joined, tag

if TYPE_CHECKING:
    from tenure.checks import MatrixRow
    from tenure.values import Finding

STORES = ("postgres", "neo4j", "qdrant")
PROBES = "TEN508"
DRIFT = ("TEN401", "TEN505")
# Up to so many tenants are columns in any case.
COLUMNS = 9
BINS = ("(unassigned)", "(conflict)", "(shared)", "(quarantine)")
_LOUD = {"(unassigned)": "bad", "(conflict)": "bad", "(quarantine)": "aside"}
_HEADINGS = (("error", "Errors"), ("warning", "Warnings"), ("info", "Notices"))


def matrix_section(evidence: Evidence) -> Markup:
    """Return the chart of tenants by store and a table of items by tenant for each."""
    rows = evidence.report.matrix
    if not rows:
        return joined()
    totals: dict[str, dict[str, int]] = {
        store: {row.tenant: sum(getattr(row, store).values()) for row in rows} for store in STORES
    }
    tables = [_matrix(store, rows) for store in STORES if any(getattr(row, store) for row in rows)]
    return joined(tenants_by_store(totals), *tables)


def _matrix(store: str, rows: Sequence[MatrixRow]) -> Markup:
    objects = list(dict.fromkeys(name for row in rows for name in getattr(row, store)))
    counts: dict[tuple[str, str], int] = {
        (name, row.tenant): getattr(row, store).get(name, 0) for name in objects for row in rows
    }
    empty = [row.tenant for row in rows if row.tenant in BINS and not sum(getattr(row, store).values())]
    tenants = [row.tenant for row in rows if row.tenant not in empty]
    # Names of tables are long and tenants can be many: the shorter side goes across.
    turned = len(tenants) > max(COLUMNS, len(objects))
    down, across = (tenants, objects) if turned else (objects, tenants)

    def count(one: str, other: str) -> int:
        return counts[(other, one) if turned else (one, other)]

    heads = [tag("th", name, class_="number") for name in (*across, "total")]
    head = tag("tr", tag("th", "tenant" if turned else "object"), *heads)
    body = [
        tag(
            "tr",
            tag("td", one, class_="nowrap"),
            *(_count(count(one, other), one if turned else other) for other in across),
            tag("td", f"{sum(count(one, other) for other in across):,}", class_="number"),
        )
        for one in down
    ]
    sums = [sum(count(one, other) for one in down) for other in across]
    last = tag("tr", tag("th", "total"), *(tag("td", f"{each:,}", class_="number") for each in [*sums, sum(sums)]),
               class_="total")  # fmt: skip
    table = tag("table", tag("thead", head), tag("tbody", *body, last))
    none = tag("p", f"No item of {store} is {', '.join(empty)}.", class_="soft") if empty else None
    return joined(tag("h3", store), tag("div", table, class_="wide"), none)


def _count(count: int, tenant: str) -> Markup:
    loud = _LOUD.get(tenant, "") if count else "zero"
    return tag("td", f"{count:,}", class_=f"number {loud}".strip())


def findings_section(evidence: Evidence) -> Markup:
    """Return the findings, worst first; those with a section of their own are only counted."""
    own = [finding for finding in evidence.report.findings if finding.id != PROBES or finding.severity != "info"]
    if not own:
        return tag("p", "Nothing was found.")
    parts: list[Markup] = []
    for severity, heading in _HEADINGS:
        group = [finding for finding in own if finding.severity == severity]
        if group:
            parts.append(tag("h3", f"{heading} ({len(group)})"))
            # Findings of one kind in a row need their common remedy once.
            parts += [
                _finding(finding, remedy=after is None or (finding.id, finding.remedy) != (after.id, after.remedy))
                for finding, after in zip(group, [*group[1:], None], strict=True)
            ]
    return joined(*parts)


def _finding(finding: Finding, *, remedy: bool) -> Markup:
    counted = finding.count > 1 and str(finding.count) not in finding.title
    # Masked, several samples may read alike.
    shown = list(dict.fromkeys(text for text in map(said, finding.sample) if text not in finding.title))
    rest = finding.count - len(finding.sample)
    return tag(
        "div",
        tag(
            "p",
            tag("span", finding.id, class_="id mono"),
            tag("b", f"{finding.store} {finding.object}"),
            f": {finding.title}" + (f" ({finding.count:,})" if counted else ""),
        ),
        tag(
            "ul",
            *(tag("li", tag("span", text, class_="mono")) for text in shown),
            tag("li", f"and {rest:,} more", class_="soft") if rest > 0 else None,
        )
        if shown
        else None,
        tag("p", *coded(finding.remedy), class_="remedy") if finding.remedy and remedy else None,
        class_=f"finding {finding.severity}",
    )


def said(item: Any) -> str:
    """Return a sample in words: what it is, and what is said of it."""
    if isinstance(item, list | tuple):
        return ", ".join(said(each) for each in item)
    if not isinstance(item, Mapping):
        return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)
    if set(item) == {"start", "end"}:
        return f"{_end(item['start'])} → {_end(item['end'])}"
    about = {name: value for name, value in item.items() if name != "item" and value not in ("", None, [])}
    words = ", ".join(f"{name}: {said(value)}" if name != "reason" else said(value) for name, value in about.items())
    if "item" not in item:
        return words
    return f"{said(item['item'])} — {words}" if words else said(item["item"])


def _end(end: Any) -> str:
    """Return one end of a relationship as ``Label name``; a node without an identity is "?"."""
    if not isinstance(end, Mapping) or "value" not in end:
        return "?" if end is None else said(end)
    return f"({end.get('label', '')} {said(end['value'])})"


def coded(text: str) -> list[Child]:
    """Return a sentence with what stands in back-ticks as code."""
    return [tag("code", part) if place % 2 else part for place, part in enumerate(text.split("`"))]


def probes_section(evidence: Evidence) -> Markup:
    """Return what the probes did; those that failed are among the errors."""
    found = [finding for finding in evidence.report.findings if finding.id == PROBES]
    if not found:
        return joined()
    rows = [
        tag(
            "tr",
            tag("td", finding.store, class_="nowrap"),
            tag("td", finding.object, class_="nowrap"),
            tag("td", finding.title, class_="anywhere"),
            tag("td", "held" if finding.severity == "info" else "FAILED",
                class_="state-done" if finding.severity == "info" else "state-failed"),
        )
        for finding in found
    ]  # fmt: skip
    return joined(
        tag("p", "Each probe acts as one tenant and must see nothing of another; it reads and changes nothing.",
            class_="soft"),
        _table(("store", "where", "what was probed", "result"), rows),
    )  # fmt: skip


def drift_section(evidence: Evidence) -> Markup:
    """Return what disagreed between the stores before the run, and what is said of it now."""
    now: dict[str, list[Finding]] = {}
    for finding in evidence.report.findings:
        if finding.id in DRIFT:
            now.setdefault(finding.object, []).append(finding)
    before = {name: (rows, items) for name, rows, items in evidence.drift}
    names = list(dict.fromkeys([*before, *now]))
    if not names:
        return joined()
    rows = [
        tag(
            "tr",
            tag("td", name, class_="nowrap"),
            *(
                tag("td", "" if name not in before else f"{count:,}", class_="number")
                for count in before.get(name, (0, 0))
            ),
            tag("td", "; ".join(f.title for f in now.get(name, ())) or "the two agree", class_="anywhere"),
        )
        for name in names
    ]
    return joined(
        tag("p", "What the stores did not both have before the run is reported as such: never repaired in silence, "
                 "never counted as success.", class_="soft"),
        _table(("between", "#rows without item, before", "#items without row, before", "now"), rows),
    )  # fmt: skip


def bins_section(evidence: Evidence) -> Markup:
    """Return what is quarantined by object, with samples, and what of it was released."""
    if not evidence.bins:
        return joined()
    rows = [
        tag(
            "tr",
            tag("td", each.store, class_="nowrap"),
            tag("td", each.object, class_="nowrap"),
            tag("td", f"{each.items:,}", class_="number"),
            tag("td", f"{each.released:,}", class_="number"),
            tag(
                "td",
                tag(
                    "details",
                    tag("summary", f"{len(each.sample)} of them"),
                    tag(
                        "ul",
                        *(
                            tag("li", tag("span", said(item), class_="mono"), f" — {reason}",
                                f" → released to {tenant}" if tenant else None)
                            for item, reason, tenant in each.sample
                        ),
                    ),
                ),
                class_="anywhere",
            ),
        )
        for each in evidence.bins
    ]  # fmt: skip
    return joined(
        tag(
            "p",
            *coded(
                "Quarantined items keep their data and carry a reserved tenant that no read of a tenant names. "
                "`tenure release` gives them to a tenant, in all stores."
            ),
            class_="soft",
        ),
        _table(("store", "object", "#items", "#released", "which, and why"), rows),
    )  # fmt: skip


def _table(heads: Sequence[str], rows: Sequence[Markup]) -> Markup:
    """Return a table; a heading that starts with # is of numbers."""
    cells = (tag("th", name.removeprefix("#"), class_="number" if name.startswith("#") else None) for name in heads)
    return tag("div", tag("table", tag("thead", tag("tr", *cells)), tag("tbody", *rows)), class_="wide")
