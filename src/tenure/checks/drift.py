"""TEN401 and TEN505: drift. What the stores do not both have, before the run and since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tenure.checks.base import Named, View
from tenure.checks.links import Comparison, Link, compare, links
from tenure.values import Finding, Store

BASELINE = "drift"
"""The name under which the ledger keeps it."""


def comparisons(view: View) -> dict[str, tuple[Link, Comparison]]:
    """Return how every link's two sides compare, by the link's name; with keys in mode "keys". Made once for a view."""
    return view.once(
        "comparisons",
        lambda: {link.name: (link, compare(view, link, keys=view.mode == "keys")) for link in links(view)},
    )


def drift_baseline(view: View) -> dict[str, dict[str, Any]]:
    """Return the drift as it is now, by object, for the ledger to keep before anything is written."""
    return {name: compared.baseline() for name, (_, compared) in comparisons(view).items()}


class DriftBefore(Named):
    """What disagrees between the stores before the run is known, and will not be taken for tenure's doing."""

    id = "TEN401"
    store: Store = "cross"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice per link and side."""
        for link, compared in comparisons(view).values():
            if compared.rows_without_item.count:
                yield self.finding(
                    "info",
                    link.name,
                    f"rows of {link.rows.table.display} have no {_item(link)}: drift that was there before",
                    "Tenure never makes up what is missing; the application's own import would.",
                    count=compared.rows_without_item.count,
                    sample=compared.rows_without_item.sample,
                )
            if compared.items_without_row.count:
                yield self.finding(
                    "info",
                    link.name,
                    f"{_items(link)} name no row of {link.rows.table.display}: drift that was there before",
                    "Tenure never deletes them; they get a tenant where another source knows one.",
                    count=compared.items_without_row.count,
                    sample=compared.items_without_row.sample,
                )


class DriftSince(Named):
    """What disagreed before the run disagrees in the same way: nothing was repaired in silence, nothing lost."""

    id = "TEN505"
    store: Store = "cross"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice for drift that is as it was, a warning for drift that changed."""
        for link, compared in comparisons(view).values():
            kept = view.ledger.baseline(BASELINE, link.name) if view.ledger is not None else None
            sides = (
                (f"rows of {link.rows.table.display} without a {_item(link)}", compared.rows_without_item, "rows"),
                (f"{_items(link)} without a row of {link.rows.table.display}", compared.items_without_row, "items"),
            )
            for what, side, name in sides:
                if kept is None:
                    if side.count:
                        yield self.finding(
                            "info",
                            link.name,
                            f"{side.count} {what}; no baseline was kept to compare with",
                            count=side.count,
                            sample=side.sample,
                        )
                    continue
                before = int(kept["rows_without_item" if name == "rows" else "items_without_row"])
                if before == side.count and kept[name] == side.fingerprint:
                    if side.count:
                        yield self.finding(
                            "info",
                            link.name,
                            f"{side.count} {what}: drift that was there before, unchanged",
                            count=side.count,
                            sample=side.sample,
                        )
                    continue
                yield self.finding(
                    "warning",
                    link.name,
                    f"{what}: {before} before the run, {side.count} now"
                    + (", and not the same ones" if before == side.count else ""),
                    "Writers may have done it; look whether one of them writes to one store only.",
                    count=max(1, abs(side.count - before)),
                    sample=side.sample,
                )


def _item(link: Link) -> str:
    return f"{link.object} node" if link.store == "neo4j" else f"point in {link.object}"


def _items(link: Link) -> str:
    return f"{link.object} nodes" if link.store == "neo4j" else f"points in {link.object}"
