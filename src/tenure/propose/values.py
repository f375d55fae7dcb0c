"""Which tenant a value means: the registry as it is, other spellings, and words that mean nobody. Pure."""

from __future__ import annotations

import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tenure.propose.evidence import Cell, TableRows
from tenure.propose.names import UNTAGGED_WORDS
from tenure.propose.proposal import Alias

_NOISE = re.compile(r"[\W_]+")
# So many rows, all beside one tenant and no other, make a spelling of it; one is enough for the last of a family.
WITNESSES = 2
FAMILY = 3
# A word that stands beside so many tenants is nobody's.
MANY = 3

NOTHING, UNKNOWN, SEVERAL = "", "?", "*"
"""Answers of a source that are no tenant: no value, a value that is none, more than one tenant."""


def plain(value: str) -> str:
    """Return a value without case, spaces and punctuation."""
    return _NOISE.sub("", value).casefold()


@dataclass
class Tenants:
    """Tells tenants from other values; learns spellings and words for "no tenant" while sources are compared."""

    registered: frozenset[str]
    aliases: dict[str, str] = field(default_factory=dict)
    untagged: set[str] = field(default_factory=set)
    learned: dict[str, Alias] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    _by_plain: dict[str, str] = field(default_factory=dict)
    _by_other: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the registered tenants by their plain form, where that is unambiguous."""
        seen = Counter(plain(tenant) for tenant in self.registered)
        self._by_plain = {plain(t): t for t in self.registered if seen[plain(t)] == 1 and plain(t)}

    @classmethod
    def of(cls, registry: TableRows, column: str, aliases: Mapping[str, str], untagged: Iterable[str]) -> Tenants:
        """Read the tenants from the registry's rows; its other columns of distinct values are other spellings."""
        names = registry.values(column)
        made = cls(frozenset(n for n in names if n), dict(aliases), set(untagged))
        for other in registry.columns:
            values = registry.values(other)
            given = [value for value in values if value]
            if other == column or len(given) < len(values) or len(set(given)) < len(given) or _numbers(given):
                continue
            for name, value in zip(names, values, strict=True):
                if name and value and value not in made.registered:
                    made._by_other.setdefault(plain(value), (name, other))
        return made

    def answer(self, value: Cell) -> str:
        """Return the tenant that *value* means, `NOTHING` or `UNKNOWN`."""
        if value is None or value in self.untagged:
            return NOTHING
        if value in self.registered:
            return value
        return self.aliases.get(value, UNKNOWN)

    def learn_spellings(self, values: Iterable[str]) -> None:
        """Take note of values that are tenants but for case and punctuation, or stand elsewhere in the registry."""
        for value in values:
            known = value in self.registered or value in self.aliases
            # "default" stays nobody's, even where a tenant happens to be called Default.
            if known or not plain(value) or value.casefold() in UNTAGGED_WORDS:
                continue
            if (tenant := self._by_plain.get(plain(value))) is not None:
                self._learn(value, tenant, "the same but for case, spaces or punctuation")
            elif (other := self._by_other.get(plain(value))) is not None:
                self._learn(value, other[0], f"stands in the registry's column {other[1]}")

    def learn_from_witnesses(
        self, beside: Mapping[str, Counter[str]], often: Mapping[str, int], defaults: frozenset[str]
    ) -> bool:
        """Learn from values that are no tenants, by the tenants that other sources give their rows.

        *beside* counts tenants by value, *often* in how many tables a value was seen; *defaults* are column defaults.
        Returns whether anything was learnt.
        """
        before = len(self.learned) + len(self.untagged)
        single: dict[str, tuple[str, int]] = {}
        for value, tenants in beside.items():
            nobody = plain(value) in UNTAGGED_WORDS or value.casefold() in UNTAGGED_WORDS
            if len(tenants) >= MANY and (nobody or value in defaults or often.get(value, 0) >= 2):
                self._nobody(value, f"stands in rows that belong to {len(tenants)} tenants by other sources")
            elif len(tenants) == 1 and not nobody:
                ((tenant, rows),) = tenants.items()
                single[value] = tenant, rows
        families: defaultdict[str, set[str]] = defaultdict(set)
        for value, (tenant, rows) in single.items():
            if rows >= WITNESSES:
                families[shape(value)].add(tenant)
        for value, (tenant, rows) in single.items():
            others = families[shape(value)]
            if rows >= WITNESSES or (len(others - {tenant}) >= FAMILY and tenant not in others):
                self._learn(value, tenant, f"in {rows} row(s) that other sources give to it, in none of another's")
        return len(self.learned) + len(self.untagged) > before

    def learn_words(self, seen: Mapping[str, int]) -> None:
        """Take the usual words for "no tenant" for what they are when they were seen in tenant columns."""
        for value, rows in seen.items():
            if value.casefold() in UNTAGGED_WORDS and value not in self.registered and value not in self.aliases:
                self._nobody(value, f"seen in {rows} sampled row(s)")

    def _learn(self, value: str, tenant: str, why: str) -> None:
        self.aliases[value] = tenant
        self.learned[value] = Alias(value, tenant, why)

    def _nobody(self, value: str, why: str) -> None:
        if value not in self.untagged:
            self.untagged.add(value)
            self.reasons[value] = why


def shape(value: str) -> str:
    """Return what a value looks like, for telling families of spellings apart."""
    try:
        uuid.UUID(value)
    except ValueError:
        return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", value))[:40]
    return "uuid"


def _numbers(values: list[str]) -> bool:
    return all(value.lstrip("-").isdigit() for value in values)
