"""What is done with items whose tenant no source knows, on which sources disagree, or that have a key already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag

from tenure.playbook.base import Frozen, TenantText, Text, Word, choose, tag_by_key


class Fail(Word):
    """Unassigned items are an error of inspect; apply refuses to start."""

    tag: ClassVar[str] = "<fail>"
    word: ClassVar[str] = "fail"


class Quarantine(Word):
    """Unassigned items get the quarantine sentinel and are listed."""

    tag: ClassVar[str] = "<quarantine>"
    word: ClassVar[str] = "quarantine"


class Shared(Word):
    """Unassigned items are global on purpose: they get the sentinel that every tenant may read."""

    tag: ClassVar[str] = "<shared>"
    word: ClassVar[str] = "shared"


class Assign(Frozen):
    """Unassigned items belong to one named tenant."""

    tag: ClassVar[str] = "<assign>"
    tenant: TenantText = Field(alias="assign")


class KeepNull(Frozen):
    """Unassigned items keep a null key, because the application reads null as global."""

    tag: ClassVar[str] = "<keep_null>"
    reason: Text = Field(alias="keep_null")


_CHOICES = "`fail`, `quarantine`, `shared`, `{assign: TENANT}`, `{keep_null: REASON}`"


def _tag(value: Any) -> str | None:
    return tag_by_key(value, ("assign", "keep_null"))


Unassigned = Annotated[
    Annotated[Fail, Tag(Fail.tag)]
    | Annotated[Quarantine, Tag(Quarantine.tag)]
    | Annotated[Shared, Tag(Shared.tag)]
    | Annotated[Assign, Tag(Assign.tag)]
    | Annotated[KeepNull, Tag(KeepNull.tag)],
    choose(_tag, "this is not a way to treat unassigned items.", f"Allowed are {_CHOICES}."),
]
Conflict = Literal["fail", "quarantine", "first"]
Existing = Literal["conflict", "keep", "rederive"]


class Defaults(Frozen):
    """What holds for objects that do not say otherwise."""

    unassigned: Unassigned = Fail()
    """What happens to items whose tenant no source knows."""
    conflict: Conflict = "fail"
    """What happens to items on which sources or matches disagree."""
    existing: Existing = "conflict"
    """What happens to a key that is there and differs from the sources."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one object with the playbook's defaults filled in."""

    unassigned: Fail | Quarantine | Shared | Assign | KeepNull
    conflict: Conflict
    existing: Existing
