"""TEN504: agreement. The same item has the same tenant in all stores that hold it."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.checks.base import Named, View
from tenure.checks.drift import comparisons
from tenure.checks.links import Link
from tenure.values import Finding


class Agreement(Named):
    """A node or point that names a row has the row's tenant."""

    id = "TEN504"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error per label and collection with items that differ from their rows, listed by id."""
        for link, compared in comparisons(view).values():
            count, sample = compared.disagree
            if count:
                yield self.finding(
                    "info" if accepted(link) else "error",
                    link.object,
                    f"{count} items have another tenant than their row of {link.rows.table.display}"
                    + (", as the playbook accepts" if accepted(link) else ""),
                    "Find out which of the two is right; an application that writes the wrong key writes more of them.",
                    count=count,
                    sample=sample,
                    store=link.store,
                )


def accepted(link: Link) -> bool:
    """Return whether the playbook lets an item differ from its row."""
    policy = link.rule.policy
    return policy.existing == "keep" or (policy.conflict == "first" and link.rule.sources[0] is not link.rows)
