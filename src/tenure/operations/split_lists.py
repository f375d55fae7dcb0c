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
    """Make one relationship again of each that was divided; return (done, left because it is not as tenure left it)."""
    done = left = 0
    for item, before, after in entries:
        start, end, type = item["start"], item["end"], quote(item["divided"])
        if start is None or end is None:
            left += 1
            continue
        home, *parts = after
        between = (
            f"MATCH (a:{quote(start['label'])}) WHERE a.{quote(start['property'])} = $start "
            f"MATCH (b:{quote(end['label'])}) WHERE b.{quote(end['property'])} = $end "
        )
        written = ctx.neo4j.write(
            f"{between}MATCH (a)-[r:{type}]->(b) WHERE properties(r) = $home WITH a, b, r LIMIT 1 "
            "SET r = $before WITH a, b UNWIND $parts AS part "
            f"CALL {{ WITH a, b, part MATCH (a)-[x:{type}]->(b) WHERE properties(x) = part WITH x LIMIT 1 DELETE x }} "
            "RETURN count(*) AS n",
            start=start["value"],
            end=end["value"],
            home=home,
            before=before,
            parts=parts,
        )
        # An undo that was killed has made some of them whole already.
        whole = written.records[0]["n"] or ctx.neo4j.read(
            f"{between}MATCH (a)-[r:{type}]->(b) WHERE properties(r) = $before RETURN 1 AS n LIMIT 1",
            start=start["value"],
            end=end["value"],
            before=before,
        )
        done, left = done + bool(whole), left + (not whole)
    return done, left
