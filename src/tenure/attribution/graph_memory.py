"""Remembers to whom nodes belong while a graph is only read, so that each node is decided once and hubs are looked
around once; on disk, since a graph has more nodes than a process has room for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tenure.attribution.graph_values import NOWHERE, Belongs
from tenure.attribution.resolve import Answer, Says

CACHE_KIB = 4096
"""What SQLite keeps of it in memory; the rest is in a file without a name, gone with the process."""


@dataclass(slots=True)
class Trail:
    """Where a question comes from: the labels whose neighbours are being looked at (`asking`), and the labels that were
    met on the way (`met`). A node does not count as a neighbour for what would be decided by that very node, so an
    answer holds only where nothing was met that is being asked."""

    asking: frozenset[str] = NOWHERE
    met: set[str] = field(default_factory=set)

    def around(self, label: str) -> Trail:
        """Return the trail for the neighbours of nodes with *label*; what is met there is met here."""
        return Trail(self.asking | {label}, self.met)


class Memory:
    """To whom nodes belong, by element, with the labels that were met in finding out. For one thread and one pass."""

    def __init__(self) -> None:
        """Open an empty one."""
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._database.execute("CREATE TABLE known (element TEXT PRIMARY KEY, belongs TEXT, met TEXT) WITHOUT ROWID")

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def __enter__(self) -> Memory:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget everything."""
        self.close()

    def put(self, found: Mapping[str, Belongs], met: Iterable[str]) -> None:
        """Remember answers in which the labels *met* had a part."""
        labels = _written_labels(frozenset(met))
        rows = [(element, _written(belongs), labels) for element, belongs in found.items()]
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")

    def get(self, elements: Sequence[str], trail: Trail) -> dict[str, Belongs]:
        """Return what is known of *elements* and holds on *trail*, which learns what was met in finding out."""
        found: dict[str, Belongs] = {}
        rows = self._database.execute(
            "SELECT element, belongs, met FROM known WHERE element IN (SELECT value FROM json_each(?))",
            (json.dumps(elements),),
        )
        for element, belongs, labels in rows:
            met = _read_labels(labels)
            if met.isdisjoint(trail.asking):
                found[element] = _read(belongs)
                trail.met |= met
        return found


@lru_cache(256)
def _written(belongs: Belongs) -> str:
    return json.dumps([belongs.answer.says.value, belongs.answer.value, *sorted(belongs.tenants)])


@lru_cache(256)
def _read(text: str) -> Belongs:
    says, value, *tenants = json.loads(text)
    return Belongs(Answer(Says(says), value), frozenset(tenants))


@lru_cache(256)
def _written_labels(labels: frozenset[str]) -> str:
    return json.dumps(sorted(labels))


@lru_cache(256)
def _read_labels(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))
