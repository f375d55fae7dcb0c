"""What is asked of a release, and what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenure.values import Finding, Store

STUCK = "TEN130"
MISSING = "TEN131"
SAMPLE = 10


@dataclass(frozen=True)
class Request:
    """One item that a person gives to a tenant: how its store names it, and to whom it goes.

    `item` is a row's primary key as an object (or the value alone where it is one column), a node's identity, a
    relationship's `{"start": ..., "end": ...}`, a point's id.
    """

    item: Any
    tenant: str


@dataclass
class Released:
    """What a release did, by (store, object): items that got a tenant, and those that stay quarantined.

    `stuck` are items that could not be released, with why; `missing` items that were asked for and are not there or not
    quarantined; `already` those that have the tenant that was asked for.
    """

    released: Counter[tuple[Store, str]] = field(default_factory=Counter)
    left: dict[tuple[Store, str], int] = field(default_factory=dict)
    stuck: dict[tuple[Store, str], dict[str, tuple[Any, str]]] = field(default_factory=dict)
    missing: dict[tuple[Store, str], list[tuple[Any, str]]] = field(default_factory=dict)
    already: int = 0

    def is_stuck(self, store: Store, name: str, identity: str, item: Any, why: str) -> None:
        """Note that an item could not be released; *identity* tells items apart."""
        self.stuck.setdefault((store, name), {})[identity] = (item, why)

    def moved(self, store: Store, name: str, identity: str) -> None:
        """Note that an item that was stuck before is not any more."""
        self.stuck.get((store, name), {}).pop(identity, None)

    def is_missing(self, store: Store, name: str, item: Any, why: str) -> None:
        """Note that an item that was asked for cannot be released as it is."""
        self.missing.setdefault((store, name), []).append((item, why))

    @property
    def total(self) -> int:
        """How many items got a tenant."""
        return sum(self.released.values())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What stands in the way, as errors: nothing that was asked for is left out in silence."""
        found = [
            _finding(STUCK, store, name, "items could not be released and stay quarantined",
                     "Release what they hang on together with them, or correct the data that stands against it.",
                     list(items.values()))
            for (store, name), items in self.stuck.items()
            if items
        ]  # fmt: skip
        found += [
            _finding(MISSING, store, name, "items that were asked for are not there, or are not quarantined",
                     "`tenure inspect --export DIR` lists those that are.", items)
            for (store, name), items in self.missing.items()
        ]  # fmt: skip
        return tuple(found)

    def document(self) -> Mapping[str, Any]:
        """Return what was done as JSON data."""
        objects = sorted({*self.released, *self.left})
        return {
            "ok": not self.findings,
            "released": [
                {"store": s, "object": o, "released": self.released[s, o], "left": self.left.get((s, o), 0)}
                for s, o in objects
            ],
            "already": self.already,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
        }


def _finding(id_: str, store: Store, name: str, title: str, remedy: str, items: list[tuple[Any, str]]) -> Finding:
    return Finding(
        id=id_,
        severity="error",
        store=store,
        object=name,
        title=title,
        count=len(items),
        sample=tuple({"item": item, "reason": reason} for item, reason in items[:SAMPLE]),
        remedy=remedy,
    )
