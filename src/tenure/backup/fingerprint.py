"""Fingerprints of objects: the number of items and the sum of their hashes, so that no order matters and nothing is
held in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_MODULUS = 1 << 128


# Made once: `json.dumps` with options makes one for each call.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def item_hash(text: str) -> bytes:
    """Return 16 bytes for *text*, as `compact` gives it."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def compact(content: Any) -> str:
    """Return *content* as one line of JSON, the same for equal content whatever the order of its keys.

    Errors: ValueError for NaN and infinities, which encoders have to tag.
    """
    return _ENCODER.encode(content)


class Sums:
    """Adds up items by the object that they belong to."""

    def __init__(self) -> None:
        """Start with no object."""
        self._counts: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def open(self, name: str) -> None:
        """Let *name* come out even when it gets no item."""
        self._counts.setdefault(name, 0)
        self._totals.setdefault(name, 0)

    def add(self, name: str, digest: bytes) -> None:
        """Add an item's hash to object *name*."""
        self._counts[name] = self._counts.get(name, 0) + 1
        self._totals[name] = (self._totals.get(name, 0) + int.from_bytes(digest, "big")) % _MODULUS

    @property
    def items(self) -> int:
        """Return how many items there were."""
        return sum(self._counts.values())

    def result(self) -> dict[str, str]:
        """Return ``{object: "count:hash"}``."""
        return {name: f"{count}:{self._totals[name]:032x}" for name, count in sorted(self._counts.items())}


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for every object that is not the same in both, in words."""
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        before, after = expected.get(name), found.get(name)
        if before == after:
            continue
        if before is None or after is None:
            lines.append(f"{name}: {'is there and was not backed up' if before is None else 'is missing'}")
            continue
        counts = before.partition(":")[0], after.partition(":")[0]
        same = f"{counts[0]} items, with other content"
        lines.append(f"{name}: {same if counts[0] == counts[1] else f'{counts[1]} items instead of {counts[0]}'}")
    return lines
