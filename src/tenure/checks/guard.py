"""`tenure guard`: whether anything has appeared since that would undo the work; no key is derived again for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tenure.checks.base import Check, Named, Report, View
from tenure.checks.complete import Completeness
from tenure.checks.inspect import found_by, ordered
from tenure.checks.item_uniqueness import ItemUniqueness
from tenure.checks.replaced import Replaced
from tenure.checks.uniqueness import Uniqueness
from tenure.checks.view import bare_view
from tenure.checks.writers import Writers
from tenure.planner.classify import classification
from tenure.planner.points import with_replaced
from tenure.values import Finding

if TYPE_CHECKING:
    from tenure.session import Session


class Classified(Named):
    """Every table, label, relationship type and collection that there is now is in the playbook, and known."""

    id = "TEN601"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what the planner would refuse, of the stores as they are now."""
        yield from classification(view.playbook, with_replaced(view.live, view.catalog, view.key.name))
        yield from view.rows.findings


class KeysMandatory(Named):
    """Every keyed table has the key, and cannot be without it, but where the playbook keeps nulls."""

    id = "TEN602"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for a key column that is missing, or nullable."""
        for name, rule in view.rows.rules.items():
            table = view.live.postgres.table(name)
            column = table.column(view.key.name) if table is not None else None
            if column is None:
                yield self.finding(
                    "error",
                    name,
                    f"has no column {view.key.name}",
                    "Run `tenure apply`, or add the column where the table is made.",
                )
            elif column.nullable and rule.policy.unassigned != "keep_null":
                yield self.finding(
                    "error",
                    name,
                    f"column {view.key.name} may be null",
                    f"ALTER TABLE … ALTER COLUMN {view.key.name} SET NOT NULL, or run `tenure apply`.",
                )


CHECKS: tuple[Check, ...] = (
    Classified(),
    KeysMandatory(),
    Completeness(),
    Uniqueness(),
    ItemUniqueness(),
    Writers(),
    Replaced(),
)


def guard(session: Session) -> Report:
    """Return what is unclassified, untagged, nullable or globally unique now."""
    return Report(findings=ordered(found_by(CHECKS, bare_view(session, "keys"))))
