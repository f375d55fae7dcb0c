"""TEN509: replaced collections. Readers use the re-keyed copy, and nobody writes to what it replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tenure.checks.base import SAMPLE, Named, View
from tenure.checks.done import operation_done
from tenure.operations.drop_collection import DropCollection, written_since
from tenure.values import Finding, Store

if TYPE_CHECKING:
    from tenure.operations.rekey_points import RekeyPoints


class Replaced(Named):
    """The alias stands for the re-keyed copy, and what it replaced is as it was at the switch, or dropped."""

    id = "TEN509"
    store: Store = "qdrant"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for an alias that was moved away, a warning for writes that readers do not see."""
        if view.qdrant is None or view.live.qdrant is None:
            return
        for switch in view.switches.values():
            copy = next((found for found in view.live.qdrant.collections if found.name == switch.target), None)
            if copy is None or switch.alias not in copy.aliases:
                yield self.finding(
                    "error",
                    switch.target,
                    "the re-keyed copy is gone" if copy is None else f"alias {switch.alias} does not stand for it",
                    "Find out who took it away; the collection that it replaced is not what readers should see.",
                )
            yield from self._old(view, switch)

    def _old(self, view: View, switch: RekeyPoints) -> Iterator[Finding]:
        assert view.qdrant is not None
        assert view.live.qdrant is not None
        if switch.collection not in {found.name for found in view.live.qdrant.collections}:
            return
        if operation_done(view, f"qdrant.{DropCollection.kind}.{switch.collection}"):
            yield self.finding(
                "warning",
                switch.collection,
                f"the collection that was replaced by {switch.target} and dropped is there again",
                f"A writer made it: let it use the alias {switch.alias}; look at what is in it, then drop it.",
            )
            return
        count, sample = written_since(view.postgres, view.qdrant, switch, SAMPLE)
        if count:
            yield self.finding(
                "warning",
                switch.collection,
                f"{count} points were written to it or deleted from it since readers use {switch.target}: they do not "
                "see that",
                f"Find the writer that uses the collection's own name, let it use the alias {switch.alias}, and write "
                "these points again.",
                count=count,
                sample=sample,
            )
