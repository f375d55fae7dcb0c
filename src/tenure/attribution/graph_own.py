"""To whom a relationship with a value of its own belongs as one of its ends sees it, before that end is decided."""

from __future__ import annotations

from collections.abc import Sequence

from tenure.attribution.graph_values import Belongs
from tenure.attribution.resolve import NOTHING, Answer, Says, decide
from tenure.attribution.spec import EndsSource, ItemRule


def with_own_value(rule: ItemRule, said: Sequence[Answer], other: Belongs) -> Belongs:
    """Return to whom a relationship belongs in the eyes of one end, where it may also go by its ends.

    *said* is what its sources say, nothing for the ends; *other* is to whom the node at the other end belongs. The
    answer is what the relationship will come to once the end that asks has taken its tenant: one that is to be
    quarantined gives no tenant, or what was decided today would be wrong tomorrow, when its key says that it has none.
    """
    own = decide(said, NOTHING, None, rule.policy, rule.key)
    value = own.write if own.bin == "assigned" else None
    answers = [
        _end(other, value) if isinstance(source, EndsSource) else answer
        for source, answer in zip(rule.sources, said, strict=True)
    ]
    whole = decide(answers, NOTHING, None, rule.policy, rule.key)
    if whole.bin == "quarantine":
        return Belongs(Answer(Says.QUARANTINED, rule.key.quarantine))
    if whole.bin == "shared":
        return Belongs(Answer(Says.SHARED, rule.key.shared))
    if whole.bin == "assigned" and value is None:
        return other
    # Its policy for what no source knows has its say only at the end.
    decided = whole.bin == "assigned" or (whole.bin == "conflict" and rule.policy.conflict == "first")
    if not decided or whole.write is None:
        return Belongs(NOTHING)
    return Belongs(Answer(Says.TENANT, whole.write), frozenset((whole.write,)))


def _end(other: Belongs, value: str | None) -> Answer:
    """Return what the ends will say, since the one that asks takes the relationship's *value*."""
    if other.answer.says is not Says.TENANT:
        return other.answer
    if value is not None and value in other.tenants:
        return Answer(Says.TENANT, value)
    return Answer(Says.TENANT, next(iter(other.tenants))) if len(other.tenants) == 1 else Answer(Says.SEVERAL)
