"""The statements that give the nodes of one label their key."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.spec import EndsSource, NeighboursSource, RowSource
from tenure.render.cypher_decide import (
    Answers,
    answers,
    belongs,
    derive,
    key_for,
    left_answers,
    present,
    untouched,
    weigh,
)
from tenure.render.cypher_terms import (
    MORE,
    OWNED,
    SAYS,
    SEVERAL,
    VALUE,
    Dialect,
    as_text,
    decoded,
    distinct,
    flattened,
    most,
    name,
    text,
    untagged,
    written,
)
from tenure.render.exports import rows_file
from tenure.values import TenantKey


def open_nodes(graph: GraphSpec, spec: NodeSpec) -> str:
    """Return the condition for the nodes that are decided, with its WHERE; nothing where all of them are.

    Nodes that may be split are all looked at: relationships need to know to whom they belong.
    """
    return "" if spec.key_exists or spec.splits else f" WHERE {untagged(graph.key, 'n')}"


def temporary(spec: NodeSpec, *, for_others: bool = True) -> list[str]:
    """Return the temporary properties of the nodes; *for_others* with those that neighbours and relationships read."""
    found = [*left_answers("n", spec.rule.sources), *([f"n.{MORE}"] if spec.by_neighbours else [])]
    return [*found, f"n.{SAYS}", f"n.{SEVERAL}"] if spec.splits and for_others else found


def from_rows(dialect: Dialect, pattern: str, item: str, place: int, source: RowSource, identity: str) -> str:
    """Return the statement that puts what the rows say into temporary properties of nodes or relationships.

    *pattern* is the MATCH; *identity* the property that a row's value is compared with, as text and as number.
    """
    said = f"{item}.{name(identity)}"
    numbers = f"[x IN [toIntegerOrNull(said), toFloatOrNull(said)] WHERE {as_text('x')} = said]"
    body = [
        f"WITH row, {decoded('row.value')} AS said, {decoded('row.tenant')} AS tenant",
        f"WITH row, tenant, [said] + {numbers} AS values",
        f"MATCH {pattern} WHERE {said} IN values",
        f"SET {item}.{SAYS}_{place} = row.says, {item}.{VALUE}_{place} = tenant",
    ]
    return _load(dialect, rows_file(source), body)


def from_end_rows(dialect: Dialect, match: str, place: int, file: str, start: str, end: str) -> str:
    """Return the statement that puts what the rows of both ends say into temporary properties of relationships `x`.

    *match* finds `a`, `x` and `b` and ends in a condition; *start* and *end* are the properties that name the ends.
    """
    numbers = "[x IN [toIntegerOrNull({0}), toFloatOrNull({0})] WHERE {1} = {0}]"
    body = [
        f"WITH row, {decoded('row.start')} AS start, {decoded('row.end')} AS end, {decoded('row.tenant')} AS tenant",
        f"WITH row, tenant, [start] + {numbers.format('start', as_text('x'))} AS starts, "
        f"[end] + {numbers.format('end', as_text('x'))} AS ends",
        f"{match} AND a.{name(start)} IN starts AND b.{name(end)} IN ends",
        f"SET x.{SAYS}_{place} = row.says, x.{VALUE}_{place} = tenant",
    ]
    return _load(dialect, file, body)


def _load(dialect: Dialect, file: str, body: list[str]) -> str:
    return f"LOAD CSV WITH HEADERS FROM 'file:///{file}' AS row\n{dialect.subquery('row', body)}"


def around(dialect: Dialect, graph: GraphSpec, spec: NodeSpec, place: int, source: NeighboursSource) -> str:
    """Return the statement that asks the neighbours: their tenants, the majority of them, and the list of several."""
    key = graph.key
    body: list[str] = []
    found = []
    own = [type_ for type_ in source.types if _tells_itself(graph.relationship(type_))]
    others = [type_ for type_ in source.types if type_ not in own]
    if others:
        types = "|".join(name(type_) for type_ in others)
        lines = [
            f"MATCH (n)-[:{types}]-(m) WHERE m <> n",
            *belongs(graph, "m", asking=spec.label),
            "WITH m_who AS who, m_of AS of, count(*) AS times",
            "RETURN collect([who, of, times]) AS found_0",
        ]
        body.append(dialect.subquery("n", lines, batched=False))
        found.append("found_0")
    for number, type_ in enumerate(own, start=1):
        relationship = graph.relationship(type_)
        assert relationship is not None
        lines = [*_each(graph, spec, relationship), f"RETURN collect([who, of, times]) AS found_{number}"]
        body.append(dialect.subquery("n", lines, batched=False))
        found.append(f"found_{number}")
    single = "[f IN found WHERE f[0] = 'tenant' AND size(f[1]) = 1]"
    several = "[f IN found WHERE f[0] = 'tenant' AND size(f[1]) > 1 | f[1]]"
    body += [
        f"WITH n, {' + '.join(found)} AS found",
        f"WITH n, found, {single} AS single, {several} AS several",
        f"WITH n, found, single, {distinct('[f IN single | f[1][0]] + ' + flattened('several'))} AS tenants",
        "WITH n, found, tenants, [t IN tenants | [t, reduce(sum = 0, f IN single | sum + CASE WHEN f[1][0] = t "
        "THEN f[2] ELSE 0 END)]] AS scored",
    ]
    says = {"split": "'tenant'", "shared": "'shared'", "conflict": "'several'"}[spec.several]
    value, more = "null", "[]"
    if spec.several == "split":
        earlier = answers(key, "n", spec.rule.sources[:place]) if place else Answers((), (), ())
        if place:
            body += derive("n", earlier)
        body += present(key, "n")
        cases = "WHEN n_b = 'assigned' AND n_t IN tenants THEN n_t " if place else ""
        value = f"CASE {cases}WHEN n_e = 'tenant' AND n_ev IN tenants THEN n_ev ELSE {most('scored', key)} END"
        more = "CASE WHEN n_b = 'assigned' AND n_t IN tenants THEN [] ELSE tenants END" if place else "tenants"
    body += [
        "SET " + ",\n    ".join([
            f"n.{SAYS}_{place} = CASE WHEN size(tenants) > 1 THEN {says} WHEN size(tenants) = 1 THEN 'tenant' "
            "WHEN any(f IN found WHERE f[0] = 'quarantined') THEN 'quarantined' "
            "WHEN any(f IN found WHERE f[0] = 'shared') THEN 'shared' ELSE 'nothing' END",
            f"n.{VALUE}_{place} = CASE WHEN size(tenants) > 1 THEN {value} ELSE tenants[0] END",
            f"n.{MORE} = CASE WHEN size(coalesce(n.{MORE}, [])) > 0 THEN n.{MORE} WHEN size(tenants) > 1 THEN {more} "
            "ELSE [] END",
        ])
    ]  # fmt: skip
    return f"MATCH (n:{name(spec.label)}){open_nodes(graph, spec)}\n{dialect.subquery('n', body)}"


def decide(dialect: Dialect, graph: GraphSpec, spec: NodeSpec) -> str:
    """Return the statement that decides the nodes of a label and writes their key."""
    key, policy = graph.key, spec.rule.policy
    there = f"n.{name(key.name)}"
    body = [
        *derive("n", answers(key, "n", spec.rule.sources)),
        *((*present(key, "n"), *weigh("n", policy)) if spec.key_exists or spec.splits else untouched("n")),
        f"WITH *, {key_for(key, 'n', policy)} AS n_key",
    ]
    may = "n_key IS NOT NULL AND n_key <> coalesce(n_px, '')"
    if spec.splits and not spec.key_exists:
        may += f" AND {untagged(key, 'n')}"
    body.append(f"FOREACH (_ IN CASE WHEN {may} THEN [1] ELSE [] END | SET {there} = {written(key, 'n_key')})")
    if spec.splits:
        first = " AND n_d <> 'conflict'" if policy.conflict == "first" else ""
        nobody = "'shared'" if policy.unassigned == "keep_null" else "'nothing'"
        says = (
            f"CASE WHEN n_key IS NULL AND n_d IN ['unassigned', 'conflict']{first} THEN {nobody} "
            f"WHEN coalesce(n_key, n_ev) = {text(key.quarantine)} THEN 'quarantined' "
            f"WHEN coalesce(n_key, n_ev) = {text(key.shared)} THEN 'shared' "
            f"WHEN coalesce(n_key, n_ev) IS NULL THEN {nobody} ELSE 'tenant' END"
        )
        of = (
            f"CASE WHEN n_d = 'assigned' AND size(coalesce(n.{MORE}, [])) > 1 THEN n.{MORE} "
            "ELSE [t IN [coalesce(n_key, n_ev)] WHERE t IS NOT NULL] END"
        )
        body.append(f"SET n.{SAYS} = {says},\n    n.{SEVERAL} = {of}")
    removed = temporary(spec, for_others=False)
    if removed:
        body.append(f"REMOVE {', '.join(removed)}")
    return f"MATCH (n:{name(spec.label)}){open_nodes(graph, spec)}\n{dialect.subquery('n', body)}"


def _tells_itself(relationship: RelationshipSpec | None) -> bool:
    return relationship is not None and (relationship.has_own_source or bool(relationship.references))


def _each(graph: GraphSpec, spec: NodeSpec, relationship: RelationshipSpec) -> Iterator[str]:
    """Yield the lines that tell to whom each relationship belongs as seen from `n`: `who`, `of` and `times`.

    By its own sources, else by the other end; where that is to be split, by the owners of what the lists name.
    """
    key, policy = graph.key, relationship.rule.policy
    yield f"MATCH (n)-[r:{name(relationship.type)}]-(m) WHERE m <> n"
    if not relationship.by_ends:
        yield from derive("r", answers(key, "r", relationship.rule.sources))
        yield from present(key, "r")
        yield from weigh("r", policy)
        yield f"WITH *, {key_for(key, 'r', policy)} AS r_key"
        nobody = "'shared'" if policy.unassigned == "keep_null" else "'nothing'"
        yield (
            f"WITH *, CASE WHEN r_key IS NULL AND r_d IN ['unassigned', 'conflict'] THEN {nobody} "
            f"WHEN coalesce(r_key, r_ev) IS NULL THEN {nobody} "
            f"WHEN coalesce(r_key, r_ev) = {text(key.quarantine)} THEN 'quarantined' "
            f"WHEN coalesce(r_key, r_ev) = {text(key.shared)} THEN 'shared' ELSE 'tenant' END AS who, "
            "[t IN [coalesce(r_key, r_ev)] WHERE t IS NOT NULL] AS of"
        )
        yield "WITH who, of, count(*) AS times"
        return
    yield from belongs(graph, "m", asking=spec.label)
    if relationship.has_own_source:
        yield from _own(key, relationship)
    else:
        yield "WITH *, null AS r_who, [] AS r_of"
    listed = f"coalesce(r.{OWNED}, []) + coalesce(r.{MORE}, [])"
    yield f"WITH *, CASE WHEN size(m_of) > 1 THEN [t IN m_of WHERE t IN {listed}] ELSE [] END AS both"
    yield (
        "WITH coalesce(r_who, m_who) AS who, CASE WHEN r_who IS NOT NULL THEN r_of WHEN size(both) > 0 THEN both "
        "ELSE m_of END AS of, count(*) AS times"
    )


def _own(key: TenantKey, relationship: RelationshipSpec) -> Iterator[str]:
    """Yield the lines that make `r_who` and `r_of` as `attribution.graph_own` does: null without a value of its own."""
    sources, policy = relationship.rule.sources, relationship.rule.policy
    ends = [place for place, source in enumerate(sources) if isinstance(source, EndsSource)]
    own = answers(key, "r", sources, dict.fromkeys(ends, ("'nothing'", "null")))
    yield from derive("r", own)
    yield "WITH *, CASE r_b WHEN 'assigned' THEN r_t END AS r_own"
    yield (
        "WITH *, CASE WHEN m_who = 'tenant' AND NOT coalesce(r_own IN m_of, false) AND size(m_of) <> 1 "
        "THEN 'several' ELSE m_who END AS end_says, CASE WHEN r_own IN m_of THEN r_own ELSE m_of[0] END AS end_value"
    )
    whole = Answers(
        (),
        tuple("end_says" if place in ends else said for place, said in enumerate(own.says)),
        tuple("end_value" if place in ends else value for place, value in enumerate(own.values)),
    )
    yield from derive("q", whole)
    first = "WHEN q_b = 'conflict' AND q_t IS NOT NULL THEN 'tenant' " if policy.conflict == "first" else ""
    yield (
        "WITH *, CASE WHEN all(s IN r_says WHERE s = 'nothing') OR (q_b = 'assigned' AND r_own IS NULL) THEN null "
        "WHEN q_b = 'quarantine' THEN 'quarantined' WHEN q_b = 'shared' THEN 'shared' "
        f"WHEN q_b = 'assigned' THEN 'tenant' {first}ELSE 'nothing' END AS r_who, "
        "[t IN [q_t] WHERE t IS NOT NULL] AS r_of"
    )
