"""Which table lists the tenants: by its name, by who refers to it, and by where its values turn up. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tenure.catalog.postgres import Column, PostgresCatalog, Table
from tenure.propose.evidence import RegistryChoice, TableRows
from tenure.propose.names import ACCOUNT_WORDS, has_word, points_at, tenant_weight, tokens

# A runner-up with this share of the first one's score leaves the choice to a person.
CLOSE = 0.75


@dataclass(frozen=True, slots=True)
class _Candidate:
    table: Table
    column: Column
    weight: int
    by_key: frozenset[str]
    by_value: frozenset[str]
    reach: int

    @property
    def score(self) -> float:
        users = min(12, len(self.by_key | self.by_value))
        return self.weight * 4 + users + min(6.0, self.reach / 3) if users else 0.0

    @property
    def display(self) -> str:
        return f"{self.table.display}.{self.column.name}"

    @property
    def why(self) -> str:
        parts = []
        if self.by_key:
            parts.append(f"{len(self.by_key)} table(s) refer to it by foreign key ({_some(self.by_key)})")
        if self.by_value - self.by_key:
            parts.append(f"its values turn up in columns of {_some(self.by_value - self.by_key)}")
        if self.weight:
            parts.append("its name reads like a list of tenants")
        return "; ".join(parts)


def find_registry(catalog: PostgresCatalog, tables: Mapping[str, TableRows], key: str = "") -> RegistryChoice:
    """Return the table and column that most likely list the tenants.

    *key* is the tenant key's name where somebody chose it: a table it points at wins. The choice is empty when two
    candidates are about as likely, or none is.
    """
    candidates = sorted(_candidates(catalog, tables), key=lambda found: (-found.score, found.display))
    named = [found for found in candidates if key and points_at(key, found.table.name, found.column.name)]
    candidates = [found for found in named or candidates if found.score > 0]
    listed = tuple(f"{found.display}: {found.why}" for found in candidates[:5])
    if not candidates:
        return RegistryChoice("", "", "no table looks like a list of tenants", listed)
    best = candidates[0]
    rivals = [found for found in candidates[1:] if found.table is not best.table]
    if best.weight == 0 and len(best.by_key | best.by_value) < 3:
        return RegistryChoice("", "", "no table clearly looks like a list of tenants", listed)
    if rivals and rivals[0].weight and rivals[0].score >= CLOSE * best.score:
        return RegistryChoice("", "", "two tables look like a list of tenants", listed)
    return chosen(best.table, best.column, best.why, listed)


def chosen(table: Table, column: Column, why: str, candidates: tuple[str, ...] = ()) -> RegistryChoice:
    """Return the choice of a column, with the key type that fits it."""
    type_ = "uuid" if column.uuid_like else "bigint" if column.integer_like else "text"
    return RegistryChoice(table.display, column.name, why, candidates, type_)


def _candidates(catalog: PostgresCatalog, tables: Mapping[str, TableRows]) -> Iterator[_Candidate]:
    values = {
        table.display: {
            column: {value for value in rows.values(column) if value is not None} for column in rows.columns
        }
        for table in catalog.tables
        if (rows := tables.get(table.display)) is not None
    }
    for table in catalog.tables:
        if table.partition_of is not None or table.display not in values:
            continue
        weight = tenant_weight(table.name)
        if not weight and has_word(table.name, ACCOUNT_WORDS):
            continue
        for column in table.columns:
            if not (column.text_like or column.uuid_like or column.integer_like) or not table.unique_on([column.name]):
                continue
            by_key = frozenset(
                child.display
                for child, key in catalog.referencing(table.display)
                if key.ref_columns == (column.name,) and child.display != table.display
            )
            by_value = frozenset(_by_value(catalog, table, column, values))
            yield _Candidate(table, column, weight, by_key, by_value, len(_reach(catalog, table.display)))


def _by_value(
    catalog: PostgresCatalog, table: Table, column: Column, values: Mapping[str, Mapping[str, set[str]]]
) -> Iterator[str]:
    """Yield the tables with a column whose values are mostly tenants; numbers count only where the name agrees."""
    own = values[table.display].get(column.name, set())
    if not own:
        return
    for other in catalog.tables:
        if other.display == table.display or other.partition_of is not None:
            continue
        keys = {name for key in other.foreign_keys for name in key.columns}
        for theirs in other.columns:
            seen = values.get(other.display, {}).get(theirs.name, set())
            if theirs.name in keys or not seen:
                continue
            named = points_at(theirs.name, table.name, column.name)
            telling = not column.integer_like and len(seen & own) >= 2 and max(map(len, own)) > 2
            same_kind = theirs.integer_like == column.integer_like
            if same_kind and (named or telling) and len(seen & own) >= max(1, len(seen) * 0.3):
                yield other.display
                break


def _reach(catalog: PostgresCatalog, start: str) -> set[str]:
    """Return the tables that lead to *start* along foreign keys, over any number of steps."""
    reached, frontier = {start}, [start]
    while frontier:
        for child, _ in catalog.referencing(frontier.pop()):
            if child.display not in reached and child.partition_of is None:
                reached.add(child.display)
                frontier.append(child.display)
    return reached - {start}


def tenant_named(column: str, registry: str, key: str) -> bool:
    """Return whether a column is named as if it held the tenant: like the registry, the key, or a word of tenancy."""
    if column == key or points_at(column, registry, "id"):
        return True
    words, of_key = tokens(column), tokens(key)
    return bool(words) and (words == of_key or (words[-1] == "id" and words[:-1] == of_key[:-1]))


def _some(names: frozenset[str]) -> str:
    shown = sorted(names)[:4]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
