"""What is proposed: one entry per object with its evidence, and what all of them share. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Confidence = Literal["high", "medium", "low"]
Store = Literal["postgres", "neo4j.nodes", "neo4j.relationships", "qdrant"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule as the playbook has it (`rule`), with the comments that stand above it.

    `confidence` is None for an open question.
    """

    store: Store
    name: str
    rule: Mapping[str, Any]
    comments: tuple[str, ...] = ()
    confidence: Confidence | None = None

    @property
    def question(self) -> bool:
        """Whether only a person can answer."""
        return self.rule.get("tenant") == "?"


@dataclass(frozen=True, slots=True)
class Alias:
    """Another spelling of a tenant, and how it was recognised."""

    value: str
    tenant: str
    why: str


@dataclass(frozen=True)
class Proposal:
    """Everything that goes into a new playbook, or, where one exists, what may be new in it."""

    key: str
    type: str
    registry: tuple[str, str]
    registry_comments: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    untagged: tuple[str, ...] = ()
    tenant_comments: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    stores: tuple[str, ...] = ("postgres",)
    notes: tuple[str, ...] = field(default=())

    @property
    def questions(self) -> tuple[Entry, ...]:
        """The entries that only a person can answer."""
        return tuple(entry for entry in self.entries if entry.question)

    def entry(self, store: str, name: str) -> Entry | None:
        """The entry of one object, or None."""
        return next((entry for entry in self.entries if (entry.store, entry.name) == (store, name)), None)
