"""Filters and operations as the REST interface of Qdrant writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
PointId = int | str


def set_tenant(key: str, tenant: Any, ids: Sequence[PointId], condition: Json) -> dict[str, Any]:
    """Return the operation that writes *key* on those of the points *ids* that meet *condition* when it is applied.

    By filter and not by a list of ids: a list fails on the first id that was deleted meanwhile, after it has written a
    part, and would overwrite what the application wrote.
    """
    return {"set_payload": {"payload": {key: tenant}, "filter": among(ids, condition)}}


def delete_key(key: str, ids: Sequence[PointId], condition: Json) -> dict[str, Any]:
    """Return the operation that takes *key* away from those of the points *ids* that meet *condition*."""
    return {"delete_payload": {"keys": [path(key)], "filter": among(ids, condition)}}


def among(ids: Sequence[PointId], condition: Json) -> dict[str, Any]:
    """Return the filter for those of the points *ids* that meet *condition*."""
    return {"must": [{"has_id": list(ids)}, dict(condition)]}


def path(field: str) -> str:
    """Return a payload field as a path: dots go into nested objects, parts with other characters are quoted."""
    parts = field.split(".")
    return ".".join(part if part.replace("-", "_").isidentifier() and part.isascii() else f'"{part}"' for part in parts)
