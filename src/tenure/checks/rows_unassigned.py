"""TEN111 and TEN112: rows that no source knows, and rows on which sources disagree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tenure.checks.base import SAMPLE, Named, View
from tenure.checks.registry import insert
from tenure.checks.row_bins import CONFLICT, RowBins, row_bins
from tenure.values import Finding

UNKNOWN = re.compile(
    r"^(?:source \d+ says (?P<said>.*), which is not a tenant|the existing key (?P<there>.*) is not a tenant)$", re.S
)


class RowsUnassigned(Named):
    """Every row has a tenant, or the playbook says what becomes of those that have none."""

    id = "TEN111"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error where the policy is `fail`, else a notice of what is done with them."""
        for name, bins in row_bins(view).items():
            count = bins.bins["unassigned"]
            if not count:
                continue
            policy = view.rows.rules[name].policy
            said = unassigned_becomes(policy.unassigned, policy.assign)
            failing = policy.unassigned == "fail"
            yield self.finding(
                "error" if failing else "info",
                name,
                f"rows without a tenant: {reasons(bins, 'unassigned')}{'' if failing else f'; {said}'}",
                remedy_unassigned(view, (reason for reason, _ in bins.reasons["unassigned"])) if failing else "",
                count=count,
                sample=tuple(bins.samples["unassigned"]),
            )
        for name, bins in row_bins(view).items():
            if count := bins.bins["quarantine"]:
                yield self.finding(
                    "info",
                    name,
                    f"rows that follow a quarantined parent, or are quarantined already: {reasons(bins, 'quarantine')}",
                    "They are released with their parent.",
                    count=count,
                    sample=tuple(bins.samples["quarantine"]),
                )


class RowsInConflict(Named):
    """No two sources of a row disagree, and no key that is there differs from what they say."""

    id = "TEN112"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error where the policy is `fail`, or says `first` of a source that itself names several; else a
        notice of what is done with them."""
        for name, bins in row_bins(view).items():
            count = bins.bins["conflict"]
            if not count:
                continue
            policy = view.rows.rules[name].policy.conflict
            # What `first` decides for has a key; what it cannot decide would end the backfill half-way.
            open_ = bins.ends[CONFLICT] if policy == "first" else 0
            becomes = {"fail": "", "quarantine": "; they are quarantined", "first": "; the first source decides"}
            if policy == "fail" or count > open_:
                yield self.finding(
                    "error" if policy == "fail" else "info",
                    name,
                    f"rows whose sources disagree: {reasons(bins, 'conflict')}{becomes[policy]}",
                    CONFLICT_REMEDY if policy == "fail" else "",
                    count=count - open_,
                    sample=tuple(bins.samples["conflict"]),
                )
            if open_:
                yield self.finding(
                    "error",
                    name,
                    f"rows that `conflict: first` cannot decide: {reasons(bins, 'conflict')}",
                    UNDECIDED_REMEDY,
                    count=open_,
                    sample=tuple(bins.samples["conflict"]),
                )


CONFLICT_REMEDY = (
    "Correct the data, or say what becomes of them: `conflict: quarantine` or `conflict: first`; "
    "for a key that is there and differs, `existing: keep` or `existing: rederive`."
)


UNDECIDED_REMEDY = (
    "The first source with a value names several tenants itself, or a key that is no tenant stands against a parent "
    "that has none. Put a source that knows better first, correct the data, or write `conflict: quarantine`."
)


def unassigned_becomes(policy: str, tenant: str | None) -> str:
    """Return what a policy does with unassigned items, as a report says it."""
    return {
        "quarantine": "they are quarantined",
        "shared": "they become shared",
        "assign": f"they are assigned to {tenant}",
        "keep_null": "they keep a null key",
    }.get(policy, "")


def reasons(bins: RowBins, bin_: str) -> str:
    """Return the three most frequent reasons of a bin with their counts."""
    listed = bins.reasons.get(bin_, [])
    text = "; ".join(f"{reason or 'the key says so'} ({count})" for reason, count in listed[:3])
    return text + (f"; and {len(listed) - 3} more reasons" if len(listed) > 3 else "")


def remedy_unassigned(view: View, found: Iterable[str]) -> str:
    """Return what an operator can do about unassigned items; unknown values get the INSERT that registers them."""
    values: list[str] = []
    for reason in found:
        if match := UNKNOWN.match(reason):
            values.append(match["said"] if match["said"] is not None else match["there"])
    text = ""
    if values:
        inserts = " ".join(insert(view, value) for value in list(dict.fromkeys(values))[:SAMPLE])
        text = f"Where a value is a tenant, register it: {inserts} Where it is another spelling of one, alias it. "
    return (
        f"{text}Name another source in `first:`, or say what becomes of them: `unassigned: quarantine`, `shared`, "
        "`{assign: TENANT}` or `{keep_null: REASON}`."
    )
