"""TEN503: references. Nothing leads from one tenant's item to another's."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.checks.base import Named, View
from tenure.checks.done import is_done
from tenure.checks.item_keys import CROSSED, graph_keys
from tenure.checks.row_keys import has_key
from tenure.checks.row_references import crossing, foreign_keys, named_references
from tenure.values import Finding, Phase


class References(Named):
    """No foreign key and no named reference crosses tenants, and a relationship's key is that of both its ends."""

    id = "TEN503"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error per foreign key with rows that cross, a warning per reference without one."""
        held = {
            (name, key.ref_table, frozenset(key.columns) - {view.key.name})
            for name in view.rows.rules
            if (table := view.live.postgres.table(name)) is not None
            for key in table.foreign_keys
            if view.key.name in key.columns and key.validated and key.enforced
        }
        for reference in [*foreign_keys(view, view.live.postgres), *named_references(view)]:
            if not has_key(view, reference.table) or not has_key(view, reference.target):
                continue
            # A validated composite foreign key is the database's own proof, and cheaper than any query.
            if (reference.table, reference.target, frozenset(reference.columns)) in held:
                continue
            count, sample = crossing(view, reference)
            if count:
                yield self.finding(
                    "error" if reference.by_foreign_key else "warning",
                    f"{reference.table}.{reference.name}",
                    f"{count} references lead to rows of {reference.target} that belong to another tenant",
                    "Correct the reference, or the tenant of one of the two.",
                    count=count,
                    sample=sample,
                )
        for name, found in graph_keys(view).items():
            if CROSSED in found.kinds:
                count, listed = found.kinds[CROSSED]
                yield self.finding(
                    "error",
                    name,
                    f"{count} relationships have a key that is not that of both their ends",
                    "Correct the relationship, or the tenant of one end.",
                    count=count,
                    sample=tuple(listed),
                    store="neo4j",
                )
            if found.several:
                split = is_done(view, Phase.CUTOVER)
                yield self.finding(
                    "error" if split else "info",
                    name,
                    f"{found.several} items belong to several tenants"
                    + (" again: something connected tenants since the split" if split else " and wait for cutover"),
                    "Remove the connection, or run `tenure apply --through cutover` again." if split else "",
                    count=found.several,
                    sample=tuple(found.several_sample),
                    store="neo4j",
                )
