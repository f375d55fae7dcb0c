"""Divides relationships whose lists name several tenants' nodes: one relationship per tenant, each with its entries."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import GraphSpec, RelationshipSpec
from tenure.attribution.graph_bins import relationship_item
from tenure.attribution.graph_decide import CHUNK, Attributor
from tenure.attribution.graph_pages import scan_relationships
from tenure.attribution.graph_read import Relationship, key_value
from tenure.attribution.graph_values import Belongs
from tenure.stores.cypher import quote

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.runner.context import Context


def divide(ctx: Context, operation: Operation, graph: GraphSpec, spec: RelationshipSpec) -> int:
    """Divide every relationship of a type that is to be; return how many were.

    The relationship itself stays with its key's tenant and keeps the entries that nobody else's tenant owns; a parallel
    one is made for each other tenant. An entry of several tenants goes to each.
    """
    attributor = Attributor(ctx.neo4j, graph, ctx.lookups, "keys")
    divided = 0
    for page in scan_relationships(ctx.neo4j, attributor.shapes, spec, CHUNK, everything=True):
        ctx.signal.check(operation.id)
        several = [
            (row, one.tenants)
            for row, one in zip(page, attributor.relationships(spec, page), strict=True)
            if one.tenants and row.present is not None
        ]
        if several:
            divided += _divide(ctx, operation, graph, spec, attributor, several)
    return divided


def _divide(
    ctx: Context,
    operation: Operation,
    graph: GraphSpec,
    spec: RelationshipSpec,
    attributor: Attributor,
    several: list[tuple[Relationship, tuple[str, ...]]],
) -> int:
    key = quote(graph.key.name)
    owners = attributor.entry_owners(spec, [row for row, _ in several])
    found = []
    properties = {
        row["e"]: row["properties"]
        for row in ctx.neo4j.read(
            f"UNWIND $elements AS e MATCH ()-[r:{quote(spec.type)}]->() WHERE elementId(r) = e "
            "RETURN e, properties(r) AS properties",
            elements=[row.element for row, _ in several],
        )
    }
    for row, tenants in several:
        whole = properties.get(row.element)
        if whole is None:
            continue
        home = str(row.present)
        lists: dict[str, dict[str, list[Any]]] = defaultdict(dict)
        for reference in spec.references:
            entries = row.fields.get(reference.property)
            if not isinstance(entries, list):
                continue
            for tenant in tenants:
                lists[tenant][reference.property] = [
                    entry
                    for entry in entries
                    if tenant in (of := _tenants(owners[reference.property].get(entry, ())))
                    or (tenant == home and not of & set(tenants))
                ]
        parts = [
            {**whole, **lists[tenant], graph.key.name: key_value(graph.key, tenant)}
            for tenant in tenants
            if tenant != home
        ]
        found.append({"e": row.element, "whole": whole, "home": {**whole, **lists[home]}, "parts": parts, "row": row})
    ctx.ledger.journal(
        operation.id,
        "neo4j",
        operation.object,
        (
            (
                {"divided": spec.type, **relationship_item(graph, one["row"])},
                _plain(one["whole"]),
                [_plain(one["home"]), *map(_plain, one["parts"])],
            )
            for one in found
        ),
    )
    rows = [{name: one[name] for name in ("e", "whole", "home", "parts")} for one in found]
    # Where nothing leaves the list (its entries are both tenants'), the parts themselves say that it is done.
    written = ctx.neo4j.write(
        f"UNWIND $rows AS row MATCH (a)-[r:{quote(spec.type)}]->(b) "
        "WHERE elementId(r) = row.e AND properties(r) = row.whole AND (row.whole <> row.home OR NOT EXISTS { "
        f"MATCH (a)-[o:{quote(spec.type)}]->(b) WHERE o.{key} = row.parts[0].{key} "
        "AND properties(o) = row.parts[0] }) "
        f"SET r = row.home WITH a, b, row UNWIND row.parts AS part CREATE (a)-[x:{quote(spec.type)}]->(b) SET x = part "
        "RETURN count(DISTINCT row.e) AS divided",
        rows=rows,
    )
    return int(written.records[0]["divided"])


def _tenants(owners: Sequence[Belongs]) -> set[str]:
    return {tenant for belongs in owners for tenant in belongs.tenants}


def _plain(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties as JSON has them; a date becomes a text, by which it is not found again but can be read."""
    return dict(json.loads(json.dumps(properties, default=str)))


def undivide(ctx: Context, entries: Iterable[tuple[Any, Any, Any]]) -> tuple[int, int]:
    """Make one relationship again of each that was divided; return (done, left because it is not as tenure left it).

    What a tenant has deleted of it since does not come back: its entries are left out. Where all of it is gone there is
    nothing to be made.
    """
    done = left = 0
    for item, before, after in entries:
        start, end, type = item["start"], item["end"], quote(item["divided"])
        if start is None or end is None:
            left += 1
            continue
        found = ctx.neo4j.read(
            f"MATCH (a:{quote(start['label'])})-[r:{type}]->(b:{quote(end['label'])}) "
            f"WHERE a.{quote(start['property'])} = $start AND b.{quote(end['property'])} = $end "
            "RETURN elementId(r) AS e, properties(r) AS now",
            start=start["value"],
            end=end["value"],
        )
        there = _present(found, after)
        if not there:
            # Made whole by an undo that was killed, or deleted by all; else somebody has changed it.
            keys = {_plain(row["now"]).get(name) for row in found for name in _keys(after)}
            whole = any(_plain(row["now"]) == before for row in found)
            edited = not whole and any(part.get(name) in keys for part in after for name in _keys(after))
            done, left = done + (not edited), left + edited
            continue
        kept, *others = (row for row, _ in there)
        changed = _whole(before, after, [version for _, version in there])
        if there[0][1] != after[0]:
            # The part that had the key of the original is gone: another tenant's takes its place, and keeps its key,
            # which the backfill of the relationships is told of, since it is the one to take keys away.
            for name in _keys(after):
                changed.pop(name, None)
                note = ({"start": start, "end": end}, after[0][name], there[0][1][name])
                ctx.ledger.journal(f"neo4j.relationship_backfill.{item['divided']}", "neo4j", item["divided"], [note])
        ctx.neo4j.write(
            f"MATCH ()-[r:{type}]->() WHERE elementId(r) = $kept AND properties(r) = $now SET r += $changed "
            f"WITH r UNWIND $others AS other MATCH ()-[x:{type}]->() WHERE elementId(x) = other.e "
            "AND properties(x) = other.now DELETE x",
            kept=kept["e"],
            now=kept["now"],
            changed=changed,
            others=others,
        )
        done += 1
    return done, left


def _present(found: Sequence[dict[str, Any]], after: Sequence[Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return which relationships still are what tenure made, the original first, each with what it was made as."""
    rest = list(found)
    there = []
    for version in after:
        row = next((row for row in rest if _plain(row["now"]) == version), None)
        if row is not None:
            rest.remove(row)
            there.append((row, version))
    return there


def _keys(after: Sequence[dict[str, Any]]) -> set[str]:
    """Return the properties that tell the parts apart and are no lists: the tenant key."""
    names = {name for part in after for name, value in part.items() if not isinstance(value, list)}
    return {name for name in names if len({str(part.get(name)) for part in after}) == len(after)}


def _whole(before: dict[str, Any], after: Sequence[dict[str, Any]], there: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the properties that make the first of *there* the relationship that was divided, without the entries that
    only parts had which are gone."""
    changed = {name: value for name, value in before.items() if there[0].get(name) != value}
    if len(there) < len(after):
        for name, value in before.items():
            if isinstance(value, list) and any(part.get(name) != value for part in after):
                changed[name] = [entry for entry in value if any(entry in (part.get(name) or ()) for part in there)]
    return changed
