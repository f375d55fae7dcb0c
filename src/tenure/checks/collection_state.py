"""TEN301, TEN302 and TEN306: a collection takes writes, what its keys look like, what strict mode allows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tenure.attribution.points import KeyState
from tenure.checks.base import Named, View
from tenure.checks.item_bins import point_counts
from tenure.values import Finding, Store

PATIENCE = 30.0
"""Seconds for an optimizer that is at work to come to an end."""


class CollectionIsGreen(Named):
    """Every keyed collection is green: no optimizer works on it, or has given up."""

    id = "TEN301"
    store: Store = "qdrant"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for a collection that does not become green."""
        if view.qdrant is None:
            return
        for spec in view.points.specs:
            status = view.qdrant.status(spec.collection)
            until = time.monotonic() + PATIENCE
            while status in ("yellow", "grey") and time.monotonic() < until:
                time.sleep(0.5)
                status = view.qdrant.status(spec.collection)
            if status != "green":
                yield self.finding(
                    "error",
                    spec.collection,
                    f"the collection is {status}, not green",
                    {
                        "yellow": "Wait until its optimizers are done; every write makes them start again.",
                        "grey": "It waits for an update to start optimising: send one, or restart the server.",
                    }.get(status, "Look at the server's log: an optimizer failed."),
                )


class KeyStates(Named):
    """What the key of every point looks like is known; what is no key is told apart."""

    id = "TEN302"
    store: Store = "qdrant"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a warning for keys of a wrong type or in a wrong place, a notice with the counts of all states."""
        if view.qdrant is None:
            return
        for name, found in point_counts(view).items():
            states = found.points.states
            for state, title, remedy in _ODD:
                if states[state]:
                    yield self.finding("warning", name, title, remedy, count=states[state])
            if states:
                listed = ", ".join(f"{state.value.replace('_', ' ')} {count}" for state, count in states.most_common())
                yield self.finding(
                    "info", name, f"keys of {found.points.total} points: {listed}", count=found.points.total
                )


_ODD = (
    (
        KeyState.WRONG_TYPE,
        "keys that are no text: no tenant index finds them",
        "Tenure writes them as text where they are a tenant; others are conflicts.",
    ),
    (
        KeyState.UNKNOWN,
        "keys that are no registered tenant",
        "Register the tenant, alias it, or list it under `tenant.untagged`.",
    ),
)


class StrictMode(Named):
    """Limits that the server sets on requests are known."""

    id = "TEN306"
    store: Store = "qdrant"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice per collection in strict mode."""
        if view.live.qdrant is None:
            return
        for spec in view.points.specs:
            collection = view.live.qdrant.collection(spec.collection)
            if collection is not None and _strict(collection.strict_mode):
                yield self.finding(
                    "info",
                    spec.collection,
                    f"strict mode is configured: {collection.strict_mode}",
                    "Tenure keeps its requests within these limits; they make the backfill slower.",
                )


def _strict(mode: str | None) -> bool:
    return mode is not None and bool(json.loads(mode).get("enabled"))
