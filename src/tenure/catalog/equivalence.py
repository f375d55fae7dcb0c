"""Whether two indexes or constraints mean the same, whatever they are called.

The same three outcomes as the catalog diff of neo4j-migrations: *identical* (name included), *equivalent* (another
name, the same effect) and *different*. What is only measured, such as sizes, never counts.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from tenure.catalog.neo4j import Constraint, GraphIndex
from tenure.catalog.postgres import Check, ForeignKey, Index
from tenure.catalog.qdrant import PayloadIndex

Comparable = Index | ForeignKey | Check | Constraint | GraphIndex | PayloadIndex


class Likeness(StrEnum):
    """How two values of the same sort compare."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"
    DIFFERENT = "different"


# Names, texts that repeat names, and what says where a value stands now rather than what it does.
_ASIDE: dict[type, frozenset[str]] = {
    # A unique constraint does what its index does; a primary key does more, and stays apart.
    Index: frozenset(
        {"name", "schema_name", "definition", "constraint", "constraint_definition", "parent", "replica_identity"}
    ),
    ForeignKey: frozenset({"name", "definition", "ref_index", "inherited"}),
    Check: frozenset({"name", "inherited"}),
    Constraint: frozenset({"name", "owned_index", "create_statement"}),
    GraphIndex: frozenset({"name", "owning_constraint", "create_statement", "state"}),
    PayloadIndex: frozenset(),
}


def compare(a: Comparable, b: Comparable) -> Likeness:
    """Say whether *a* and *b* are identical, equivalent or different; values of two sorts are different."""
    if type(a) is not type(b) or _meaning(a) != _meaning(b):
        return Likeness.DIFFERENT
    same_name = isinstance(a, PayloadIndex) or (not isinstance(b, PayloadIndex) and a.name == b.name)
    return Likeness.IDENTICAL if same_name else Likeness.EQUIVALENT


def equivalent(a: Comparable, b: Comparable) -> bool:
    """Whether *a* and *b* have the same effect, names aside."""
    return compare(a, b) is not Likeness.DIFFERENT


def _meaning(value: Comparable) -> dict[str, Any]:
    meaning = {key: item for key, item in value.structure().items() if key not in _ASIDE[type(value)]}
    if isinstance(value, Index):
        meaning["include"] = sorted(value.include)
    if isinstance(value, ForeignKey):
        # The pairs make the key, their order does not.
        pairs = sorted(zip(value.columns, value.ref_columns, strict=True))
        meaning["columns"], meaning["ref_columns"] = [a for a, _ in pairs], [b for _, b in pairs]
        meaning["set_columns"] = sorted(value.set_columns)
    if isinstance(value, Check):
        meaning["definition"] = re.sub(r"\s+", " ", value.definition).strip()
    return meaning
