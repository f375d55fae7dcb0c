"""TEN502: correctness. The key is derived again from its sources and compared, item by item."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.checks.base import Named, View
from tenure.checks.item_keys import STAYED, graph_keys, point_keys
from tenure.checks.row_differences import APPLICATION, GIVEN, RELEASABLE, WRONG, differences
from tenure.checks.row_keys import has_key
from tenure.values import Finding, Store


class Correctness(Named):
    """Every key is the one that its sources give.

    A key that the application set where no source knows the item is counted, not judged; a quarantined or shared item
    whose sources know a tenant by now is a warning.
    """

    id = "TEN502"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error per object with wrong keys, with samples."""
        for name in view.rows.rules:
            if has_key(view, name):
                kinds: dict[str, tuple[int, list[object]]] = {}
                for kind, count, sample in view.query(differences(view, name)):
                    counted, listed = kinds.setdefault(kind, (count, []))
                    listed.append(sample)
                    kinds[kind] = (counted, listed)
                yield from self.findings("postgres", name, kinds)
        for name, found in graph_keys(view).items():
            yield from self.findings("neo4j", name, found.kinds)
        for name, found in point_keys(view).items():
            yield from self.findings("qdrant", name, found.kinds)

    def findings(self, store: Store, name: str, kinds: dict[str, tuple[int, list[object]]]) -> Iterator[Finding]:
        """Yield what the differences of one object, by kind, come to."""
        texts = {
            WRONG: ("error", "items have a key that differs from what their sources say", _WRONG),
            RELEASABLE: ("warning", "items carry a sentinel although their sources know a tenant by now", _RELEASABLE),
            STAYED: (
                "info",
                "relationships were quarantined before their nodes were split, and stay between the originals, which "
                "have one tenant in common by now",
                _STAYED,
            ),
            GIVEN: ("info", "keys were given by a person: the items were released from quarantine", ""),
            APPLICATION: (
                "info",
                "keys were set by the application: no source knows the items, or the playbook keeps them",
                "",
            ),
        }
        for kind, (severity, title, remedy) in texts.items():
            if kind in kinds:
                count, sample = kinds[kind]
                yield self.finding(
                    severity,  # type: ignore[arg-type]
                    name,
                    f"{count} {title}",
                    remedy,
                    count=count,
                    sample=tuple(sample),
                    store=store,
                )


_WRONG = "Correct the key or the source; `existing: keep` in the playbook accepts keys that differ."
_STAYED = "Look at them, and give each to the tenant that it belongs to with `tenure release`."
_RELEASABLE = "Look at them and run `tenure release`."
