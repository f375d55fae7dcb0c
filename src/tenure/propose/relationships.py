"""Rules for relationship types, by what their ends came to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenure.catalog.neo4j import RelationshipType
from tenure.propose.evidence import Evidence, Found
from tenure.propose.proposal import Confidence, Entry
from tenure.propose.values import NOTHING, SEVERAL, UNKNOWN, Tenants

ENOUGH, GOOD = 0.5, 0.9
NO_TENANT = (NOTHING, UNKNOWN, SEVERAL)


@dataclass
class LabelRule:
    """What a label comes to so far."""

    identity: str = ""
    sources: list[dict[str, Any]] = field(default_factory=list)
    row: Found | None = None
    row_property: str = ""
    property: str = ""
    types: tuple[str, ...] = ()
    split: bool = False
    comments: list[str] = field(default_factory=list)
    confidence: Confidence = "medium"


def relationship_entry(
    kind: RelationshipType,
    evidence: Evidence,
    rules: Mapping[str, LabelRule],
    tenants: Tenants,
    shared: set[str],
) -> Entry:
    """Return the entry of one type: by its ends, after its own key where it has one; its lists of ids as references."""
    sample = evidence.relationships[kind.name]
    ends = [(end.start, end.end) for end in kind.ends]
    said = Counter(tenants.answer(p.get(evidence.key)) for p in sample.properties)
    hits = sum(n for tenant, n in said.items() if tenant not in NO_TENANT)
    body: dict[str, Any]
    comments = [f"between {', '.join(f'{a} and {b}' for a, b in ends)}"]
    if all(a not in rules and b not in rules for a, b in ends):
        if all(a in shared and b in shared for a, b in ends):
            return Entry(
                "neo4j.relationships", kind.name, {"shared": "both ends are shared"}, tuple(comments), "medium"
            )
        comments.append("neither end has a tenant yet")
        return Entry("neo4j.relationships", kind.name, {"tenant": "?"}, tuple(comments), None)
    if hits and hits >= ENOUGH * len(sample.properties):
        first = {"property": evidence.key}
        body = {"tenant": first if hits == len(sample.properties) else {"first": [first, "ends"]}}
    else:
        body = {"tenant": "ends"}
    references = {}
    for name in sample.lists:
        label = _label_of(kind.name, name, evidence, rules)
        if label is not None:
            references[name] = f"{label[0]}.{label[1]}"
            comments.append(f"`{name}` lists {label[0]}: {label[2]} of {label[3]} entries")
    if references:
        body["references"] = references
    return Entry("neo4j.relationships", kind.name, body, tuple(comments), "high")


def _label_of(
    kind: str, name: str, evidence: Evidence, rules: Mapping[str, LabelRule]
) -> tuple[str, str, int, int] | None:
    """Return the label and identity that the entries of a list property name, through their common table."""
    entries = evidence.relationships[kind].lists[name]
    for label, rule in rules.items():
        if not rule.identity or not entries:
            continue
        known = {n.properties.get(rule.identity) for n in evidence.nodes[label].nodes}
        hits = sum(1 for entry in entries if entry in known)
        if rule.row is not None and rule.row_property == rule.identity and hits < GOOD * len(entries):
            for found in evidence.found.get(("neo4j", kind, name), ()):
                if (found.table, found.column) == (rule.row.table, rule.row.column):
                    return label, rule.identity, found.matched, found.distinct
        if hits >= GOOD * len(entries):
            return label, rule.identity, hits, len(entries)
    return None
