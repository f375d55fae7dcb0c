"""Rules for collections: matched to tables by point ids or payload fields, or read from the payload. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tenure.catalog.qdrant import Collection, QdrantCatalog
from tenure.propose.attribution import Attributor
from tenure.propose.evidence import Evidence, Found, Point
from tenure.propose.proposal import Confidence, Entry
from tenure.propose.values import NOTHING, SEVERAL, UNKNOWN

NO_TENANT = (NOTHING, UNKNOWN, SEVERAL)
ENOUGH, GOOD = 0.5, 0.9

# A source, what it says of the sampled points in all, whether it goes by the point's id, and what it says of each.
_Way = tuple[dict[str, Any], Counter[str], bool, list[str]]


def collection_entries(catalog: QdrantCatalog, evidence: Evidence, attributor: Attributor) -> Iterator[Entry]:
    """Yield an entry for every collection."""
    for collection in catalog.collections:
        yield _entry(collection, evidence, attributor)


def _entry(collection: Collection, evidence: Evidence, attributor: Attributor) -> Entry:
    points = evidence.points[collection.name].points
    ways = [*_row_ways(collection, evidence, attributor), *_payload_ways(collection, evidence, attributor)]
    if not ways:
        fields = ", ".join(field.name for field in collection.fields[:12])
        hints = (f"neither its ids nor its payload fields lead to a tenant ({fields})",)
        return Entry("qdrant", collection.name, {"tenant": "?"}, hints, None)
    ways.sort(key=lambda way: (not way[2], -_hits(way[1])))
    chosen, comments = [ways[0]], []
    for way in ways[1:]:
        open_ = [n for n in range(len(points)) if all(_says(other, n) == NOTHING for other in chosen)]
        filled = sum(1 for n in open_ if _says(way, n) not in NO_TENANT)
        pairs = ((_says(chosen[0], n), _says(way, n)) for n in range(len(points)))
        both = [(a, b) for a, b in pairs if a not in NO_TENANT and b not in NO_TENANT]
        differ = sum(a != b for a, b in both)
        if filled and differ <= 0.2 * len(both) and not (way[2] and chosen[0][2]):
            chosen.append(way)
            comments.append(f"{_shown(way[0])} fills {filled} gap(s) and agrees on {len(both) - differ} of {len(both)}")
    source, said, *_ = chosen[0]
    hits = _hits(said)
    comments.insert(0, f"{_shown(source)}: {hits} of {len(points)} sampled points get one tenant")
    if said[SEVERAL]:
        comments.append(f"{said[SEVERAL]} sampled points match rows of several tenants")
    confidence: Confidence = (
        "high" if hits >= GOOD * len(points) else "medium" if hits >= ENOUGH * len(points) else "low"
    )
    sources = [way[0] for way in chosen]
    tenant = sources[0] if len(sources) == 1 else {"first": sources}
    body: dict[str, Any] = {"tenant": tenant}
    if collection.aliases:
        comments.append(f"readers may use its alias {', '.join(collection.aliases)}")
    return Entry("qdrant", collection.name, body, tuple(comments), confidence)


def _hits(said: Counter[str]) -> int:
    return sum(n for tenant, n in said.items() if tenant not in NO_TENANT)


def _says(way: _Way, number: int) -> str:
    return way[3][number]


def _row_ways(collection: Collection, evidence: Evidence, attributor: Attributor) -> Iterator[_Way]:
    points = evidence.points[collection.name].points
    for field in ("", *(f.name for f in collection.fields)):
        for found in evidence.found.get(("qdrant", collection.name, field), ()):
            if not attributor.decided(found.table) or found.table == attributor.registry:
                continue
            if _counting(points, field) and found.matched < found.distinct:
                continue
            said = [_of_row(attributor, found, point, field) for point in points]
            counted = Counter(said)
            if points and _hits(counted) >= ENOUGH * len(points):
                source = {"payload": field} if field else {}
                yield {**source, "postgres": f"{found.table}.{found.column}"}, counted, not field, said


def _of_row(attributor: Attributor, found: Found, point: Point, field: str) -> str:
    value = point.payload.get(field) if field else point.id
    return attributor.of_value(found.table, found.column, value) if value is not None else NOTHING


def _payload_ways(collection: Collection, evidence: Evidence, attributor: Attributor) -> Iterator[_Way]:
    """Yield the payload fields whose values are tenants, the key itself first."""
    points = evidence.points[collection.name].points
    tenants = attributor.tenants
    for name in dict.fromkeys((evidence.key, *(field.name for field in collection.fields))):
        values = [point.payload.get(name) for point in points]
        given = [value for value in values if value]
        said = [tenants.answer(value) if value else NOTHING for value in values]
        counted = Counter(said)
        hits = _hits(counted)
        named = name.rpartition(".")[2] == evidence.key
        numeric = bool(given) and all(value.lstrip("-").isdigit() for value in given)
        distinct = sum(1 for tenant in counted if tenant not in NO_TENANT)
        if hits and hits >= ENOUGH * len(given) and (named or (distinct >= 2 and not numeric)):
            yield {"payload": name}, counted, False, said


def _counting(points: tuple[Point, ...], field: str) -> bool:
    values = [point.payload.get(field) if field else point.id for point in points]
    return all(value is None or value.isdigit() for value in values)


def _shown(source: dict[str, Any]) -> str:
    if "postgres" in source:
        by = f"payload `{source['payload']}`" if "payload" in source else "the point id"
        return f"{by} stands in {source['postgres']}"
    return f"payload `{source['payload']}`"
