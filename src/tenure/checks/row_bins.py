"""What the rows of the keyed tables come to, counted by the server; shared by the bins checks and the matrix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from tenure.attribution.rows import table_sql
from tenure.attribution.sources_scope import BIN, ITEM, REASON
from tenure.checks.base import SAMPLE, View

UNASSIGNED, CONFLICT, SHARED, QUARANTINE = "(unassigned)", "(conflict)", "(shared)", "(quarantine)"
BINS = (UNASSIGNED, CONFLICT, SHARED, QUARANTINE)
"""How the matrix writes the bins, in its order."""


@dataclass
class RowBins:
    """The rows of one table by bin (`bins`) and by where they end (`ends`: tenants and bins as the matrix has them).

    `reasons` are the most frequent ones of each bin with their counts, `samples` up to ten (item, reason) of each.
    """

    total: int = 0
    bins: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    by_application: int = 0
    reasons: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def row_bins(view: View) -> dict[str, RowBins]:
    """Return the bins of every keyed table; counted once for a view with decisions."""
    return view.once("row_bins", lambda: {name: _count(view, name) for name in view.rows.rules})


def end_of(view: View, key: str | None, bin_: str) -> str:
    """Return the row of the matrix for an item of a bin that gets *key*."""
    if key is None:
        return CONFLICT if bin_ == "conflict" else UNASSIGNED
    if key == view.key.quarantine:
        return QUARANTINE
    return SHARED if key == view.key.shared else key


def _count(view: View, name: str) -> RowBins:
    found = RowBins()
    relation = view.decided.get(name)
    rule = view.rows.rules[name]
    if relation is None:
        constant = rule.constant()
        assert constant is not None, name
        ((count,),) = view.query(sql.SQL("SELECT count(*) FROM {}").format(table_sql(rule.table)))
        found.total = count
        if count:
            found.bins["assigned"], found.ends[constant] = count, count
        return found
    names = {
        "key": sql.Identifier(view.key.name),
        "bin": sql.Identifier(BIN),
        "reason": sql.Identifier(REASON),
        "item": sql.Identifier(ITEM),
        "relation": relation,
    }
    keeps_null = rule.policy.unassigned == "keep_null"
    for bin_, key, count in view.query(
        sql.SQL("SELECT {bin}, {key}::text, count(*) FROM {relation} GROUP BY 1, 2").format(**names)
    ):
        found.total += count
        found.bins[bin_] += count
        end = end_of(view, key, bin_)
        found.ends[SHARED if end == UNASSIGNED and keeps_null else end] += count
    for bin_ in set(found.bins) - {"assigned"}:
        bound = {**names, "which": sql.Literal(bin_), "limit": sql.Literal(SAMPLE)}
        found.reasons[bin_] = [
            (reason, count)
            for reason, count in view.query(
                sql.SQL(
                    "SELECT coalesce({reason}, ''), count(*) FROM {relation} WHERE {bin} = {which} "
                    "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {limit}"
                ).format(**bound)
            )
        ]
        found.samples[bin_] = [
            {"item": item, "reason": reason}
            for item, reason in view.query(
                sql.SQL(
                    "SELECT {item}, coalesce({reason}, '') FROM {relation} WHERE {bin} = {which} "
                    "ORDER BY {item} LIMIT {limit}"
                ).format(**bound)
            )
        ]
    ((found.by_application,),) = view.query(
        sql.SQL(
            "SELECT count(*) FROM {relation} WHERE {bin} = 'assigned' AND {reason} = 'set by the application'"
        ).format(**names)
    )
    return found
