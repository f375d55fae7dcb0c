"""Reads pages of points from a server as they come over the wire: a value of the driver's for each takes it longer
than the server takes to read the point."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from tenure.stores.qdrant_json import Json, PointId


class Point(NamedTuple):
    """A point as scroll gave it, with the payload fields that were asked for."""

    id: PointId
    payload: Json


class Page(NamedTuple):
    """Points in the order of their ids, and the id that the next page starts at (None: this was the last)."""

    points: Sequence[Point]
    next: PointId | None


def page(
    client: QdrantClient,
    collection: str,
    *,
    filter: Json | None,
    offset: PointId | None,
    limit: int,
    fields: Sequence[str],
) -> Page:
    """Return a page of points without vectors, through the driver's connection and with its errors."""
    from qdrant_client.http.exceptions import ResponseHandlingException

    asked: dict[str, Any] = {
        "limit": limit,
        "offset": offset,
        "filter": filter,
        "with_payload": list(fields) if fields else False,
        "with_vector": False,
    }
    answer: Any = client.http.client.request(
        type_=Any,
        method="POST",
        url="/collections/{collection_name}/points/scroll",
        path_params={"collection_name": collection},
        headers={"Content-Type": "application/json"},
        content=json.dumps({name: value for name, value in asked.items() if value is not None}).encode(),
    )
    try:
        found = answer["result"]
        points = [Point(one["id"], one.get("payload") or {}) for one in found["points"]]
        return Page(points, found.get("next_page_offset"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ResponseHandlingException(ValueError("it is no page of points")) from error
