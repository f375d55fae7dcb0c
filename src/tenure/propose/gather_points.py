"""Reads samples from Qdrant: points with their scalar payload fields, nested ones dotted. Read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tenure.catalog.qdrant import Collection, QdrantCatalog
from tenure.propose.evidence import Point, PointSample
from tenure.stores.qdrant_json import path

if TYPE_CHECKING:
    from tenure.stores.qdrant import QdrantStore

POINTS = 2_000
PAGE = 500
_SCALARS = frozenset({"str", "int", "null"})


def sample_points(store: QdrantStore, catalog: QdrantCatalog, *, full: bool = False) -> dict[str, PointSample]:
    """Return sampled points of every collection. Ids that are uuids spread the first ones over the whole."""
    return {found.name: _points(store, found, POINTS * (25 if full else 1)) for found in catalog.collections}


def _points(store: QdrantStore, collection: Collection, limit: int) -> PointSample:
    fields = [field.name for field in collection.fields if {kind for kind, _ in field.types} <= _SCALARS]
    asked = [path(name) for name in fields if not name.startswith(".")]
    points: list[Point] = []
    for page in store.pages(collection.name, fields=asked, limit=PAGE):
        points.extend(Point(str(point.id), dict(_flat(point.payload))) for point in page)
        if len(points) >= limit:
            break
    return PointSample(tuple(points[:limit]), collection.points)


def _flat(payload: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in payload.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, str | int) and not isinstance(value, bool) and len(str(value)) < 256:
            yield f"{before}{name}", str(value)
