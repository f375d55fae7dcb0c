"""What attribution of a graph speaks in: to whom a node belongs, the tenants around it, and what was decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tenure.attribution.resolve import Answer, Decision, Says

NOWHERE = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Belongs:
    """To whom a node belongs as its neighbours see it; `tenants` is more than one where it is to be split."""

    answer: Answer
    tenants: frozenset[str] = NOWHERE


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with, where the item is to be split or divided, all its tenants (sorted; else empty)."""

    decision: Decision
    tenants: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """The tenants around a node: `counts` by relationships with exactly one tenant, `more` from the others."""

    counts: Counter[str] = field(default_factory=Counter)
    more: set[str] = field(default_factory=set)
    quarantined: int = 0
    shared: int = 0

    def add(self, belongs: Belongs, times: int = 1) -> None:
        """Count *times* relationships towards *belongs*; a neighbour that has no tenant says nothing."""
        if belongs.answer.says is Says.TENANT:
            if len(belongs.tenants) == 1:
                self.counts[next(iter(belongs.tenants))] += times
            else:
                self.more |= belongs.tenants
        elif belongs.answer.says is Says.QUARANTINED:
            self.quarantined += times
        elif belongs.answer.says is Says.SHARED:
            self.shared += times

    def tenants(self) -> frozenset[str]:
        """Return every tenant around the node."""
        return frozenset(self.counts) | self.more

    def most(self, numeric: bool) -> str:
        """Return the tenant with most relationships; ties go to the smaller tenant id."""
        return min(self.tenants(), key=lambda tenant: (-self.counts[tenant], int(tenant) if numeric else tenant))


def common_tenants(start: Belongs, end: Belongs) -> frozenset[str]:
    """Return the tenants that both ends have; a shared end gives way to the other."""
    if start.answer.says is Says.SHARED:
        return end.tenants
    if end.answer.says is Says.SHARED:
        return start.tenants
    return start.tenants & end.tenants


def limited(tally: Tally, tenants: frozenset[str]) -> Tally:
    """Return a tally of *tenants* only."""
    return Tally(Counter({t: tally.counts[t] for t in tenants if tally.counts[t]}), set(tally.more & tenants))


def named(belongs: Belongs) -> str:
    """Return to whom a node belongs as a reason says it."""
    return " and ".join(sorted(belongs.tenants)) or belongs.answer.says.value


def entries_of(value: Any) -> list[Any]:
    """Return the entries of a reference property; one that is no list is a list of one."""
    if value is None:
        return []
    return [entry for entry in value if entry is not None] if isinstance(value, list) else [value]
