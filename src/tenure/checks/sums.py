"""Order-independent fingerprints of items by tenant and range of ids: how many, and the sum of their hashes."""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Iterable
from itertools import compress
from typing import Any

MASK = (1 << 64) - 1
OTHERS = "(others)"
"""Stands for all tenants above those that there is room for: no row has it, so that their ranges differ."""

RANGE = "(('x' || right({digest}, 4))::bit(16)::int % {ranges})"
HASH = "('x' || left({digest}, 15))::bit(60)::bigint"
"""What Postgres computes from the `{digest}`, an md5 as text; 60 bits fit a bigint, and their sum a numeric."""
HASH_16 = "('0x' || left({digest}, 15))::bigint"
"""The same from Postgres 16 on, in four fifths of the time."""

_PARTS = struct.Struct(">Q6xH")
_EMPTY = hashlib.md5(usedforsecurity=False)


def hash_sql(version: int) -> str:
    """Return the form of `HASH` for a server of *version* (as 180006)."""
    return HASH_16 if version >= 160_000 else HASH


def range_of(value: str, ranges: int) -> int:
    """Return the range that a value lies in; Postgres computes the same by `RANGE`."""
    place: int = _parts(value)[1]
    return place % ranges


def hash_of(value: str) -> int:
    """Return the number that a fingerprint adds up for a value; Postgres computes the same by `HASH`."""
    number: int = _parts(value)[0]
    return number >> 4


class Sums:
    """Counts and sums (modulo 2**64) by tenant and range; 16 bytes for each, however many items there are."""

    def __init__(self, ranges: int, most: int) -> None:
        """Start with nothing. Above *most* tenants the others are thrown together: the data is in no order then."""
        self._ranges = ranges
        self._most = most
        self._sums: dict[str, tuple[array[int], array[int]]] = {}

    def add(self, tenant: str, value: str) -> None:
        """Count one item."""
        counts, totals = self._sums.get(tenant) or self._room_for(tenant)
        number, place = _parts(value)
        place %= self._ranges
        counts[place] += 1
        totals[place] = (totals[place] + (number >> 4)) & MASK

    def equal(self, rows: Iterable[tuple[str, int, int]]) -> bool:
        """Return whether (tenant, count, sum) of *rows* add up to those of the items, over all ranges."""
        mine = {tenant: (sum(counts), sum(totals) & MASK) for tenant, (counts, totals) in self._sums.items()}
        theirs: dict[str, tuple[int, int]] = {}
        for tenant, count, total in rows:
            before = theirs.get(tenant, (0, 0))
            theirs[tenant] = (before[0] + count, (before[1] + total) & MASK)
        return mine == theirs

    def differing(self, rows: Iterable[tuple[str, int, int, int]]) -> frozenset[int]:
        """Return the ranges where (tenant, range, count, sum) of *rows* are not those of the items, or one is missing.

        What is the same on both sides is taken away: this may be asked once.
        """
        found = set[int]()
        for tenant, place, count, total in rows:
            sums = self._sums.get(tenant)
            if sums is None or (sums[0][place], sums[1][place]) != (count, total & MASK):
                found.add(place)
            if sums is not None:
                sums[0][place] = 0
        for counts, _ in self._sums.values():
            found.update(compress(range(self._ranges), counts))
        return frozenset(found)

    def _room_for(self, tenant: str) -> tuple[array[int], array[int]]:
        """Return where a new tenant is counted."""
        if len(self._sums) >= self._most:
            tenant = OTHERS
        if tenant not in self._sums:
            nothing = bytes(8 * self._ranges)
            self._sums[tenant] = (array("Q", nothing), array("Q", nothing))
        return self._sums[tenant]


def _parts(value: str) -> tuple[Any, ...]:
    """Return the first eight bytes and the last two of the digest as numbers."""
    digest = _EMPTY.copy()
    digest.update(value.encode())
    return _PARTS.unpack(digest.digest())
