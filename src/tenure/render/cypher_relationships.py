"""The statements that give the relationships of one type their key."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.spec import EndRowsSource, EndsSource, RowSource
from tenure.render.cypher_decide import (
    answers,
    belongs,
    derive,
    key_for,
    kind_is,
    left_answers,
    present,
    untouched,
    weigh,
)
from tenure.render.cypher_nodes import from_end_rows, from_rows
from tenure.render.cypher_terms import (
    MORE,
    OWNED,
    Dialect,
    flattened,
    most,
    name,
    untagged,
    written,
)
from tenure.render.exports import end_rows_file


def temporary(spec: RelationshipSpec) -> list[str]:
    """Return the temporary properties of the relationships."""
    return [*left_answers("x", spec.rule.sources), *([f"x.{OWNED}", f"x.{MORE}"] if spec.references else [])]


def own_answers(dialect: Dialect, graph: GraphSpec, spec: RelationshipSpec) -> Iterator[str]:
    """Yield the statements that put what rows say of the relationships themselves into temporary properties."""
    for place, source in enumerate(spec.rule.sources):
        if isinstance(source, RowSource) and source.match is not None:
            yield from_rows(dialect, f"()-[x:{name(spec.type)}]->()", "x", place, source, source.match)
        elif isinstance(source, EndRowsSource):
            for start, end in product(_may_be(graph, spec.start_labels), _may_be(graph, spec.end_labels)):
                match = (
                    f"MATCH (a:{name(start.label)})-[x:{name(spec.type)}]->(b:{name(end.label)}) "
                    f"WHERE {kind_is(graph, 'a', start)} AND {kind_is(graph, 'b', end)}"
                )
                file = end_rows_file(source)
                yield from_end_rows(dialect, match, place, file, start.identity or "", end.identity or "")


def _may_be(graph: GraphSpec, labels: tuple[str, ...]) -> list[NodeSpec]:
    """Return the specs of nodes that relationships of a type have at one end, as far as these have an identity."""
    return [spec for spec in graph.nodes if spec.identity is not None and (not labels or spec.label in labels)]


def owners(dialect: Dialect, graph: GraphSpec, spec: RelationshipSpec, *, asking: str | None = None) -> Iterator[str]:
    """Yield the statements that put the tenants of what the lists name into temporary properties.

    *asking* is the label whose nodes ask: what they would decide themselves has no say.
    """
    if not spec.references:
        return
    yield (
        f"MATCH ()-[x:{name(spec.type)}]->() WHERE x.{OWNED} IS NOT NULL OR x.{MORE} IS NOT NULL\n"
        + dialect.subquery("x", [f"REMOVE x.{OWNED}, x.{MORE}"])
    )
    for reference in spec.references:
        listed = f"x.{name(reference.property)}"
        body = [
            f"UNWIND [] + {listed} AS entry",
            f"MATCH (m:{name(reference.label)}) WHERE m.{name(reference.identity)} = entry",
            *belongs(graph, "m", asking=asking),
            "WITH x, collect(CASE WHEN m_who = 'tenant' AND size(m_of) = 1 THEN m_of[0] END) AS owned, "
            "collect(CASE WHEN m_who = 'tenant' AND size(m_of) > 1 THEN m_of END) AS several",
            f"SET x.{OWNED} = coalesce(x.{OWNED}, []) + owned, "
            f"x.{MORE} = coalesce(x.{MORE}, []) + {flattened('several')}",
        ]
        yield f"MATCH ()-[x:{name(spec.type)}]->() WHERE {listed} IS NOT NULL\n{dialect.subquery('x', body)}"


def decide(dialect: Dialect, graph: GraphSpec, spec: RelationshipSpec) -> str:
    """Return the statement that decides the relationships of a type and writes their key."""
    key, policy = graph.key, spec.rule.policy
    there = f"x.{name(key.name)}"
    places = [place for place, source in enumerate(spec.rule.sources) if isinstance(source, EndsSource)]
    body: list[str] = []
    if spec.key_exists:
        body += present(key, "x")
    if places:
        body += [*belongs(graph, "a"), *belongs(graph, "b"), *_ends(graph, spec)]
    given = dict.fromkeys(places, ("ends_says", "ends_value"))
    body += [
        *derive("x", answers(key, "x", spec.rule.sources, given)),
        *(weigh("x", policy) if spec.key_exists else untouched("x")),
        f"WITH *, {key_for(key, 'x', policy)} AS x_key",
        f"FOREACH (_ IN CASE WHEN x_key IS NOT NULL AND x_key <> coalesce(x_px, '') THEN [1] ELSE [] END "
        f"| SET {there} = {written(key, 'x_key')})",
    ]
    if removed := temporary(spec):
        body.append(f"REMOVE {', '.join(removed)}")
    filtered = "" if spec.key_exists else f" WHERE {untagged(key, 'x')}"
    return f"MATCH (a)-[x:{name(spec.type)}]->(b){filtered}\n{dialect.subquery('a, x, b', body)}"


def _ends(graph: GraphSpec, spec: RelationshipSpec) -> Iterator[str]:
    """Yield the lines that make `ends_says` and `ends_value`: the one tenant that both ends have in common.

    Where they have several in common, the owners of what the lists name decide; cutover divides the relationship.
    """
    yield (
        "WITH *, CASE WHEN a_who = 'shared' THEN b_of WHEN b_who = 'shared' THEN a_of "
        "ELSE [t IN a_of WHERE t IN b_of] END AS common"
    )
    listed = f"coalesce(x.{OWNED}, []) + coalesce(x.{MORE}, [])" if spec.references else "[]"
    yield f"WITH *, CASE WHEN size(common) > 1 THEN [t IN common WHERE t IN {listed}] ELSE common END AS entries"
    scored = f"[t IN entries | [t, size([o IN coalesce(x.{OWNED}, []) WHERE o = t])]]"
    yield (
        "WITH *, CASE WHEN 'quarantined' IN [a_who, b_who] THEN 'quarantined' "
        "WHEN a_who = 'shared' AND b_who = 'shared' THEN 'shared' "
        "WHEN NOT (a_who IN ['shared', 'tenant'] AND b_who IN ['shared', 'tenant']) THEN 'nothing' "
        "WHEN size(entries) > 0 THEN 'tenant' ELSE 'several' END AS ends_says,"
    )
    majority = most(scored, graph.key)
    if spec.key_exists:
        majority = f"CASE WHEN x_e = 'tenant' AND x_ev IN entries THEN x_ev ELSE {majority} END"
    yield f"  CASE WHEN size(entries) > 1 THEN {majority} ELSE entries[0] END AS ends_value"
