"""The order of resolution (`tenure.attribution.resolve`) as Cypher: answers, the present key, the decision.

Each function gives lines that follow each other in one statement; every variable that they make starts with the one of
the item, so that a relationship and its ends are decided side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenure.attribution.graph import GraphSpec, NodeSpec
from tenure.attribution.graph_read import untagged_values
from tenure.attribution.spec import (
    ColumnSource,
    ConstantSource,
    EndRowsSource,
    ItemSource,
    NeighboursSource,
    Policy,
    RowSource,
)
from tenure.render.cypher_terms import SAYS, SEVERAL, VALUE, VALUE_LABEL, as_text, name, text
from tenure.values import TenantKey


@dataclass(frozen=True)
class Answers:
    """What the sources of a rule say: lines to run first, then an expression for `says` and for `value` of each."""

    lines: tuple[str, ...]
    says: tuple[str, ...]
    values: tuple[str, ...]


def answers(
    key: TenantKey, item: str, sources: Sequence[ItemSource], given: Mapping[int, tuple[str, str]] | None = None
) -> Answers:
    """Return what *sources* say of *item*; *given* are expressions for those that the statement works out itself.

    Constants and properties are looked up; all others have left their answer in the item's temporary properties.
    """
    lines: list[str] = []
    says: list[str] = []
    values: list[str] = []
    for place, source in enumerate(sources):
        if given is not None and place in given:
            said, value = given[place]
        elif isinstance(source, ConstantSource | ColumnSource):
            raw, looked, known = (f"{item}_{letter}{place}" for letter in ("r", "x", "k"))
            value = text(source.value) if isinstance(source, ConstantSource) else f"{item}.{name(source.name)}"
            lines += _looked_up(value, raw, looked, known)
            said = (
                f"CASE WHEN {raw} IS NULL OR {looked} IN {text(['', *key.untagged])} THEN 'nothing' "
                f"WHEN {known} IS NOT NULL THEN 'tenant' ELSE 'unknown' END"
            )
            value = f"coalesce({known}.tenant, {looked})"
        else:
            said = f"coalesce({item}.{SAYS}_{place}, 'nothing')"
            value = f"{item}.{VALUE}_{place}"
        says.append(said)
        values.append(value)
    return Answers(tuple(lines), tuple(says), tuple(values))


def left_answers(item: str, sources: Sequence[ItemSource]) -> list[str]:
    """Return the temporary properties in which sources leave their answers."""
    return [
        f"{item}.{kind}_{place}"
        for place, source in enumerate(sources)
        if isinstance(source, RowSource | EndRowsSource | NeighboursSource)
        for kind in (SAYS, VALUE)
    ]


def present(key: TenantKey, item: str) -> tuple[str, ...]:
    """Return the lines that make `<item>_e` and `<item>_ev`: what the key says that is there, and its tenant."""
    raw, looked, known = f"{item}_p", f"{item}_px", f"{item}_k"
    return (
        *_looked_up(f"{item}.{name(key.name)}", raw, looked, known),
        f"WITH *, CASE WHEN {raw} IS NULL OR {raw} = [] OR {raw} IN {text(untagged_values(key))} THEN 'nothing' "
        f"WHEN {looked} = {text(key.quarantine)} THEN 'quarantined' WHEN {looked} = {text(key.shared)} THEN 'shared' "
        f"WHEN {known} IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS {item}_e, "
        f"coalesce({known}.tenant, {looked}) AS {item}_ev",
    )


def _looked_up(value: str, raw: str, looked: str, known: str) -> tuple[str, ...]:
    """Return the lines that make *raw* (a value), *looked* (it as text) and *known* (what says its tenant, or null)."""
    return (
        f"WITH *, {value} AS {raw}",
        f"WITH *, {as_text(raw)} AS {looked}",
        f"OPTIONAL MATCH ({known}:{VALUE_LABEL}) WHERE {known}.value = {looked}",
    )


def derive(item: str, found: Answers) -> tuple[str, ...]:
    """Return the lines that make `<item>_b` and `<item>_t`: bin and tenant by the sources alone."""
    says, values, place = f"{item}_says", f"{item}_values", f"{item}_place"
    return (
        *found.lines,
        f"WITH *, [{', '.join(found.says)}] AS {says}, [{', '.join(found.values)}] AS {values}",
        f"WITH *, [i IN range(0, {len(found.says) - 1}) WHERE NOT {says}[i] IN ['nothing', 'shared']][0] AS {place}",
        "WITH *, CASE",
        f"    WHEN 'quarantined' IN {says} THEN 'quarantine'",
        f"    WHEN {place} IS NULL AND 'shared' IN {says} THEN 'shared'",
        f"    WHEN {place} IS NULL OR {says}[{place}] = 'unknown' THEN 'unassigned'",
        f"    WHEN {says}[{place}] = 'several' THEN 'conflict'",
        f"    WHEN any(i IN range({place} + 1, {len(found.says) - 1}) WHERE {says}[i] = 'several' "
        f"OR ({says}[i] = 'tenant' AND {values}[i] <> {values}[{place}])) THEN 'conflict'",
        f"    ELSE 'assigned' END AS {item}_b,",
        f"  CASE WHEN {place} IS NULL OR 'quarantined' IN {says} OR {says}[{place}] IN ['unknown', 'several'] "
        f"THEN null ELSE {values}[{place}] END AS {item}_t",
    )


def weigh(item: str, policy: Policy) -> tuple[str, ...]:
    """Return the line that gives the key that is there its say: `<item>_d` and `<item>_w` are bin and tenant then."""
    e, ev, b, t = f"{item}_e", f"{item}_ev", f"{item}_b", f"{item}_t"
    same = f"{e} = 'nothing' OR ({e} = 'tenant' AND {b} = 'assigned' AND {t} = {ev})"
    cases = [
        (same, b, t),
        (f"{e} = 'quarantined'", "'quarantine'", "null"),
        (f"{e} = 'shared'", "'shared'", "null"),
        (f"{e} = 'tenant' AND {b} = 'unassigned'", "'assigned'", ev),
        (f"{e} = 'unknown' AND {b} IN ['unassigned', 'quarantine']", b, "null"),
    ]
    if policy.existing == "rederive":
        cases += [(f"{e} = 'unknown' AND {b} <> 'assigned'", "'conflict'", t)]
        otherwise = (b, t)
    else:
        kept = ("'assigned'", ev) if policy.existing == "keep" else ("'conflict'", f"coalesce({t}, {ev})")
        cases += [(f"{e} = 'tenant'", *kept)]
        otherwise = ("'conflict'", t)
    bins = " ".join(f"WHEN {condition} THEN {bin_}" for condition, bin_, _ in cases)
    tenants = " ".join(f"WHEN {condition} THEN {tenant}" for condition, _, tenant in cases)
    return (
        f"WITH *, CASE {bins} ELSE {otherwise[0]} END AS {item}_d,",
        f"  CASE {tenants} ELSE {otherwise[1]} END AS {item}_w",
    )


def untouched(item: str) -> tuple[str, ...]:
    """Return the line that stands for `present` and `weigh` where only items without a key are looked at."""
    nothing = f"'nothing' AS {item}_e, null AS {item}_ev, null AS {item}_px"
    return (f"WITH *, {nothing}, {item}_b AS {item}_d, {item}_t AS {item}_w",)


def key_for(key: TenantKey, item: str, policy: Policy) -> str:
    """Return the expression for the key that the policy writes for the bin; null for none, or where a sentinel is."""
    null, quarantine, shared = "null", text(key.quarantine), text(key.shared)
    conflict = {"fail": null, "quarantine": quarantine, "first": f"{item}_w"}[policy.conflict]
    unassigned = {
        "fail": null,
        "keep_null": null,
        "quarantine": quarantine,
        "shared": shared,
        "assign": text(policy.assign) if policy.assign is not None else null,
    }[policy.unassigned]
    return (
        f"CASE WHEN {item}_e IN ['quarantined', 'shared'] THEN null ELSE CASE {item}_d WHEN 'assigned' THEN {item}_w "
        f"WHEN 'shared' THEN {shared} WHEN 'quarantine' THEN {quarantine} WHEN 'conflict' THEN {conflict} "
        f"ELSE {unassigned} END END"
    )


def belongs(graph: GraphSpec, item: str, *, asking: str | None = None) -> tuple[str, ...]:
    """Return the lines that make `<item>_who` and `<item>_of`: to whom a node belongs as its neighbours see it.

    A node that is to be split belongs to several; all others go by their key. A node does not count as a neighbour for
    what is decided by nodes of its own label (*asking*).
    """
    whose: list[str] = []
    tenants: list[str] = []
    for spec in graph.nodes:
        condition = f"{item}:{name(spec.label)}"
        if spec.by_neighbours and spec.label == asking:
            whose.append(f"WHEN {condition} THEN 'nothing'")
            tenants.append(f"WHEN {condition} THEN []")
        elif spec.splits:
            whose.append(f"WHEN {condition} THEN coalesce({item}.{SAYS}, 'nothing')")
            tenants.append(f"WHEN {condition} THEN coalesce({item}.{SEVERAL}, [])")
        else:
            said = f"{item}_e"
            if spec.rule.policy.unassigned == "keep_null":
                said = f"CASE {said} WHEN 'nothing' THEN 'shared' ELSE {said} END"
            whose.append(f"WHEN {condition} THEN {said}")
            tenants.append(f"WHEN {condition} THEN CASE {item}_e WHEN 'tenant' THEN [{item}_ev] ELSE [] END")
    whose += [f"WHEN {item}:{name(label)} THEN 'shared'" for label in graph.shared_labels]
    return (
        *present(graph.key, item),
        f"WITH *, CASE {' '.join(whose)} ELSE 'nothing' END AS {item}_who,",
        f"  CASE {' '.join(tenants)} ELSE [] END AS {item}_of",
    )


def kind_is(graph: GraphSpec, item: str, spec: NodeSpec) -> str:
    """Return the condition that a node goes by *spec*: by the first of its labels that the playbook has."""
    earlier = [other.label for other in graph.nodes[: graph.nodes.index(spec)]]
    return " AND ".join([f"{item}:{name(spec.label)}", *(f"NOT {item}:{name(label)}" for label in earlier)])
