"""The order of resolution, in the process: what nodes, relationships and points go by, and the reference for the SQL.

A source answers with one `Answer`. The first source that has a value decides; the others are witnesses (DESIGN.md §4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tenure.attribution.spec import Bin, Policy
from tenure.values import TenantKey


class Says(Enum):
    """What a source says of an item."""

    NOTHING = "nothing"
    TENANT = "tenant"
    UNKNOWN = "unknown"
    SEVERAL = "several"
    QUARANTINED = "quarantined"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Answer:
    """One source's answer: a tenant, a value that is no tenant, several tenants, or a parent that has a sentinel."""

    says: Says
    value: str | None = None


NOTHING = Answer(Says.NOTHING)


@dataclass(frozen=True, slots=True)
class Decision:
    """The bin of an item, the key to write (None: nothing is written) and, where not plainly assigned, the reason.

    `by_application`: the key was there, valid, and no source knows the item. `undecided`: it is in conflict, and the
    policy gives it no key, neither a new one nor the one that is there.
    """

    bin: Bin
    write: str | None
    reason: str = ""
    by_application: bool = False
    undecided: bool = False


def decide(
    answers: Sequence[Answer], existing: Answer, present: str | None, policy: Policy, key: TenantKey
) -> Decision:
    """Decide one item.

    *answers* are the sources' in the playbook's order. *existing* is what its present key says after aliases and
    registry (NOTHING when it is untagged), *present* the key as it stands. Returns the decision; `write` is None when
    the key is right as it stands or the policy writes none.
    """
    if existing.says in (Says.QUARANTINED, Says.SHARED):
        return Decision("quarantine" if existing.says is Says.QUARANTINED else "shared", None)
    derived, value, reason = _derive(answers, policy)
    if existing.says is not Says.NOTHING:
        derived, value, reason, by_application = _weigh(derived, value, reason, existing, policy)
    else:
        by_application = False
    write = _key_for(derived, value, policy, key)
    undecided = derived == "conflict" and write is None
    return Decision(derived, write if write != present else None, reason, by_application, undecided)


def _derive(answers: Sequence[Answer], policy: Policy) -> tuple[Bin, str | None, str]:
    """Return bin, tenant and reason by the sources alone."""
    if any(answer.says is Says.QUARANTINED for answer in answers):
        return "quarantine", None, "its parent is quarantined"
    weak = (Says.NOTHING, Says.SHARED)
    place = next((i for i, answer in enumerate(answers) if answer.says not in weak), None)
    if place is None:
        if any(answer.says is Says.SHARED for answer in answers):
            return "shared", None, "its parent is shared"
        return "unassigned", None, "no source has a value"
    chosen = answers[place]
    if chosen.says is Says.UNKNOWN:
        return "unassigned", None, f"source {place + 1} says {chosen.value}, which is not a tenant"
    if chosen.says is Says.SEVERAL:
        return "conflict", None, f"source {place + 1} matches several tenants"
    for number, witness in enumerate(answers[place + 1 :], start=place + 2):
        if witness.says is Says.SEVERAL or (witness.says is Says.TENANT and witness.value != chosen.value):
            said = "several tenants" if witness.says is Says.SEVERAL else witness.value
            return "conflict", chosen.value, f"source {place + 1} says {chosen.value}, source {number} says {said}"
    return "assigned", chosen.value, ""


def _weigh(
    derived: Bin, value: str | None, reason: str, existing: Answer, policy: Policy
) -> tuple[Bin, str | None, str, bool]:
    """Return bin, tenant, reason and "by the application" once the key that is there has had its say."""
    if existing.says is Says.TENANT:
        if derived == "assigned" and value == existing.value:
            return derived, value, reason, False
        if derived == "unassigned":
            return "assigned", existing.value, "set by the application", True
        if policy.existing == "keep":
            return "assigned", existing.value, f"the existing key {existing.value} is kept", False
        if policy.existing == "rederive":
            return derived, value, reason, False
        said = value if derived == "assigned" else reason
        first = value if value is not None else existing.value
        return "conflict", first, f"the existing key is {existing.value}, the sources say {said}", False
    if derived == "assigned" and policy.existing == "rederive":
        return derived, value, reason, False
    if derived == "unassigned":
        return derived, None, f"the existing key {existing.value} is not a tenant", False
    if derived == "quarantine":
        # Nobody is named by either: there is nothing to choose between, and the parent goes before.
        return derived, None, f"{reason}, and the existing key {existing.value} is not a tenant", False
    return "conflict", value, f"the existing key {existing.value} is not a tenant", False


def _key_for(derived: Bin, value: str | None, policy: Policy, key: TenantKey) -> str | None:
    """Return the key that the policy writes for a bin, or None."""
    if derived == "assigned":
        return value
    if derived == "shared":
        return key.shared
    if derived == "quarantine":
        return key.quarantine
    if derived == "conflict":
        return {"fail": None, "quarantine": key.quarantine, "first": value}[policy.conflict]
    return {
        "fail": None,
        "keep_null": None,
        "quarantine": key.quarantine,
        "shared": key.shared,
        "assign": policy.assign,
    }[policy.unassigned]
