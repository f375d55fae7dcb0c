"""TEN202 to TEN205 and TEN303 to TEN305: nodes, relationships and points without one clear tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tenure.attribution.graph import NodeSpec
from tenure.attribution.spec import Policy
from tenure.checks.base import Named, View
from tenure.checks.item_bins import CollectionCounts, graph_counts, graph_objects, point_counts
from tenure.checks.row_bins import CONFLICT
from tenure.checks.rows_unassigned import CONFLICT_REMEDY, UNDECIDED_REMEDY, remedy_unassigned, unassigned_becomes
from tenure.values import Finding, Store


class GraphUnassigned(Named):
    """Every node and relationship has a tenant, or the playbook says what becomes of those that have none."""

    id = "TEN202"
    store: Store = "neo4j"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error where the policy is `fail`, else a notice."""
        counts = graph_counts(view)
        for name, spec in graph_objects(view):
            found = counts[name]
            samples = found.bins.samples
            yield from unassigned(self, view, name, spec.rule.policy, found.bins.bins, found.reasons, samples)


class GraphConflict(Named):
    """No two sources of a node or relationship disagree; no relationship lies between two tenants."""

    id = "TEN203"
    store: Store = "neo4j"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error where the policy is `fail`, else a notice."""
        counts = graph_counts(view)
        for name, spec in graph_objects(view):
            found = counts[name]
            yield from conflict(
                self, name, spec.rule.policy, found.ends, found.bins.bins, found.reasons, found.bins.samples
            )


class ToBeSplit(Named):
    """The nodes that several tenants feed are known, and the relationships whose references several tenants own."""

    id = "TEN204"
    store: Store = "neo4j"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice per label and type, with tenants."""
        counts = graph_counts(view)
        for name, spec in graph_objects(view):
            bins = counts[name].bins
            if not bins.several:
                continue
            nodes = isinstance(spec, NodeSpec)
            yield self.finding(
                "info",
                name,
                "nodes belong to several tenants and are split at cutover, one copy each; until then they have the "
                "key of the tenant with most relationships"
                if nodes
                else "relationships name items of several tenants and are divided at cutover, one per owner",
                "" if not nodes else "Two copies of one name cannot live under a global constraint: cutover drops it.",
                count=bins.several,
                sample=tuple({"item": item, "tenants": tenants} for item, tenants in bins.samples.get("several", [])),
            )


class PointsUnassigned(Named):
    """Every point has a tenant, or the playbook says what becomes of those that have none."""

    id = "TEN303"
    store: Store = "qdrant"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error where the policy is `fail`, else a notice."""
        for name, policy, found in _collections(view):
            bins = Counter(found.points.bins)
            bins["quarantine"] -= found.points.stale
            yield from unassigned(self, view, name, policy, bins, found.reasons, found.points.samples)


class PointsInConflict(Named):
    """No two sources of a point disagree."""

    id = "TEN304"
    store: Store = "qdrant"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error where the policy is `fail`, else a notice."""
        for name, policy, found in _collections(view):
            yield from conflict(self, name, policy, found.ends, found.points.bins, found.reasons, found.points.samples)


class StalePoints(Named):
    """Points that no row and no rule knows are named as what they are."""

    id = "TEN305"
    store: Store = "qdrant"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a warning per collection that has some; they do not block."""
        for name, _, found in _collections(view):
            if found.points.stale:
                yield self.finding(
                    "warning",
                    name,
                    "points are stale: no row knows them and no rule names their tenant; they are quarantined",
                    "Delete them when you are sure that nobody needs them; tenure never does.",
                    count=found.points.stale,
                    sample=tuple(_listed(found.points.samples.get("stale", []))),
                )


def unassigned(
    check: Named,
    view: View,
    name: str,
    policy: Policy,
    bins: Counter[str],
    why: Counter[tuple[str, str]],
    samples: dict[str, list[tuple[Any, str]]],
) -> Iterator[Finding]:
    """Yield what there is to say of the unassigned and the quarantined items of an object."""
    if count := bins["unassigned"]:
        failing = policy.unassigned == "fail"
        becomes = unassigned_becomes(policy.unassigned, policy.assign)
        found = [reason for (bin_, reason), _ in why.most_common() if bin_ == "unassigned"]
        yield check.finding(
            "error" if failing else "info",
            name,
            f"items without a tenant: {_reasons(why, 'unassigned')}{'' if failing else f'; {becomes}'}",
            remedy_unassigned(view, found) if failing else "",
            count=count,
            sample=tuple(_listed(samples.get("unassigned", []))),
        )
    if (count := bins["quarantine"]) > 0:
        yield check.finding(
            "info",
            name,
            f"items that follow a quarantined row or node, or are quarantined already: {_reasons(why, 'quarantine')}",
            "They are released with it.",
            count=count,
            sample=tuple(_listed(samples.get("quarantine", []))),
        )


def conflict(
    check: Named,
    name: str,
    policy: Policy,
    ends: Counter[str],
    bins: Counter[str],
    why: Counter[tuple[str, str]],
    samples: dict[str, list[tuple[Any, str]]],
) -> Iterator[Finding]:
    """Yield what there is to say of the items of an object whose sources disagree; as `RowsInConflict` of rows."""
    count = bins["conflict"]
    open_ = ends[CONFLICT] if policy.conflict == "first" else 0
    becomes = {"fail": "", "quarantine": "; they are quarantined", "first": "; the first source decides"}
    sample = tuple(_listed(samples.get("conflict", [])))
    if count > open_:
        yield check.finding(
            "error" if policy.conflict == "fail" else "info",
            name,
            f"items whose sources disagree: {_reasons(why, 'conflict')}{becomes[policy.conflict]}",
            CONFLICT_REMEDY if policy.conflict == "fail" else "",
            count=count - open_,
            sample=sample,
        )
    if open_:
        yield check.finding(
            "error",
            name,
            f"items that `conflict: first` cannot decide: {_reasons(why, 'conflict')}",
            UNDECIDED_REMEDY,
            count=open_,
            sample=sample,
        )


def _reasons(why: Counter[tuple[str, str]], bin_: str) -> str:
    listed = [(reason, count) for (of, reason), count in why.most_common() if of == bin_]
    text = "; ".join(f"{reason or 'the key says so'} ({count})" for reason, count in listed[:3])
    return text + (f"; and {len(listed) - 3} more reasons" if len(listed) > 3 else "")


def _listed(samples: list[tuple[Any, str]]) -> list[dict[str, Any]]:
    return [{"item": item, "reason": reason} for item, reason in samples]


def _collections(view: View) -> Iterator[tuple[str, Policy, CollectionCounts]]:
    if view.qdrant is None:
        return
    counts = point_counts(view)
    for spec in view.points.specs:
        yield spec.collection, spec.rule.policy, counts[spec.collection]
