"""Values that every part of tenure speaks in: names, the tenant key, findings, outcomes, phases."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of the immutable values: comparable, hashable, serialisable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Store = Literal["postgres", "neo4j", "qdrant", "cross"]
KeyType = Literal["text", "uuid", "bigint"]
Severity = Literal["error", "warning", "info"]


class Phase(StrEnum):
    """The phases in their safe order (DESIGN.md §3); comparison by `order`."""

    INSPECT = "inspect"
    BACKUP = "backup"
    EXPAND = "expand"
    BACKFILL = "backfill"
    CONSTRAIN = "constrain"
    VERIFY = "verify"
    CUTOVER = "cutover"
    CONTRACT = "contract"

    @property
    def order(self) -> int:
        """Return the place of the phase in the safe order, from 0."""
        return list(Phase).index(self)


class Hazard(StrEnum):
    """What an operator must know of an operation; those in `NEEDS_CONSENT` must be allowed by name."""

    ACCESS_EXCLUSIVE = "ACCESS_EXCLUSIVE"
    GENERATED_COLUMNS = "GENERATED_COLUMNS"
    INDEX_BUILD = "INDEX_BUILD"
    TABLE_SCAN = "TABLE_SCAN"
    LOGICAL_REPLICATION = "LOGICAL_REPLICATION"
    REINDEXES_VECTORS = "REINDEXES_VECTORS"
    NEEDS_FENCE = "NEEDS_FENCE"
    IRREVERSIBLE = "IRREVERSIBLE"
    TABLE_REWRITE = "TABLE_REWRITE"
    LOCKS_TABLE = "LOCKS_TABLE"
    FIRES_TRIGGERS = "FIRES_TRIGGERS"
    BREAKS_ON_CONFLICT = "BREAKS_ON_CONFLICT"
    NO_BACKUP = "NO_BACKUP"


NEEDS_CONSENT = frozenset(
    {
        Hazard.NEEDS_FENCE,
        Hazard.IRREVERSIBLE,
        Hazard.TABLE_REWRITE,
        Hazard.LOCKS_TABLE,
        Hazard.FIRES_TRIGGERS,
        Hazard.BREAKS_ON_CONFLICT,
        Hazard.NO_BACKUP,
    }
)


class TableName(Frozen):
    """A Postgres table; `display` is how playbooks and reports write it."""

    schema_name: str = "public"
    name: str

    @property
    def display(self) -> str:
        """Return ``name`` in schema public, else ``schema.name``."""
        return self.name if self.schema_name == "public" else f"{self.schema_name}.{self.name}"


class TenantKey(Frozen):
    """The tenant key and everything that says what a valid value of it is.

    `untagged` are the values that mean "no tenant yet" besides null; `quarantine` and `shared` the reserved tenants,
    as text, for this `type` (DESIGN.md §4, sentinels).
    """

    name: str
    type: KeyType
    untagged: tuple[str, ...] = ()
    quarantine: str
    shared: str
    registry: TableName
    registry_column: str


class Finding(Frozen):
    """One thing that a check found; the shape is published (DESIGN.md §5)."""

    id: str
    severity: Severity
    store: Store
    object: str
    title: str
    count: int = 0
    sample: tuple[Any, ...] = ()
    remedy: str = ""


class Outcome(Frozen):
    """What an operation did to its object: *planned* items, *changed* by tenure, *left* without what was intended."""

    planned: int = 0
    changed: int = 0
    left: int = 0
    note: str = ""

    def plus(self, other: Outcome) -> Outcome:
        """Return the sum of both, with the later note."""
        return Outcome(
            planned=self.planned + other.planned,
            changed=self.changed + other.changed,
            left=other.left,
            note=other.note or self.note,
        )

    def __str__(self) -> str:
        """Return the counts for people: ``planned 10, changed 9, left 1; why``."""
        text = f"planned {self.planned:,}, changed {self.changed:,}, left {self.left:,}"
        return f"{text}; {self.note}" if self.note else text
