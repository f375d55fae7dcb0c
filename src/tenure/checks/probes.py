"""TEN508: probes. Acting as one tenant, nothing of another is to be seen; with no tenant named, nothing at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tenure.checks.base import SAMPLE, Named, View
from tenure.checks.item_keys import graph_keys, point_keys
from tenure.checks.row_bins import BINS
from tenure.checks.row_keys import row_keys
from tenure.values import Finding, Severity, Store

TENANTS = 3
"""As how many tenants is probed: those with most items, and the one with fewest."""


@dataclass
class Seen:
    """What was seen that should not be, or what there is to say of a probe."""

    store: Store
    object: str
    title: str
    remedy: str
    severity: Severity = "error"
    count: int = 1
    sample: list[Any] = field(default_factory=list)


@dataclass
class Probed:
    """What the probes of one store did, for the evidence: *reads* as *tenants*, of which objects."""

    store: Store
    what: str
    reads: int = 0
    objects: set[str] = field(default_factory=set)


class Probes(Named):
    """As tenant A nothing of tenant B is seen: by the application's role under row-level security, along the
    relationships from A's nodes one and two steps, by a search with A's filter; with no tenant named the role sees
    nothing at all.

    Only reads, of a bounded number of tenants and items. What another check reports of the same is not said twice.
    """

    id = "TEN508"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error per object that shows too much, and a notice per store of what was probed."""
        from tenure.checks.probes_graph import probe_graph
        from tenure.checks.probes_points import probe_points
        from tenure.checks.probes_rows import probe_rows

        tenants = sampled_tenants(view)
        if not tenants:
            return
        for probe in (probe_rows, probe_graph, probe_points):
            probed, seen = probe(view, tenants)
            for one in seen:
                yield self.finding(
                    one.severity, one.object, one.title, one.remedy, count=one.count, sample=tuple(one.sample),
                    store=one.store,
                )  # fmt: skip
            if probed.reads and not any(one.severity == "error" for one in seen):
                names = ", ".join(sorted(probed.objects)[:SAMPLE])
                more = f" and {len(probed.objects) - SAMPLE} more" if len(probed.objects) > SAMPLE else ""
                yield self.finding(
                    "info",
                    names + more,
                    f"{probed.reads} probes as {', '.join(tenants)}: {probed.what}",
                    count=probed.reads,
                    store=probed.store,
                )


def sampled_tenants(view: View) -> list[str]:
    """Return up to three tenants that have items, the largest two and the smallest."""

    def count() -> list[str]:
        totals: Counter[str] = Counter()
        ends: Iterable[Counter[str]] = [
            *(keys.ends for keys in row_keys(view).values()),
            *(found.keys.ends for found in graph_keys(view).values()),
            *(found.keys.ends for found in point_keys(view).values()),
        ]
        for found in ends:
            totals.update({tenant: count for tenant, count in found.items() if tenant not in BINS and count > 0})
        ordered = [tenant for tenant, _ in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))]
        return ordered if len(ordered) <= TENANTS else [*ordered[: TENANTS - 1], ordered[-1]]

    return view.once("probed tenants", count)
