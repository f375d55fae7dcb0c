"""Update operations of the REST interface as operations of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from tenure.demo.servers.qdrant_host.errors import bad_request, unsupported
from tenure.demo.servers.qdrant_host.filters import parse_filter

_Operation = edge.UpdateOperation
_MODES = {
    "upsert": edge.UpdateMode.Upsert,
    "insert_only": edge.UpdateMode.InsertOnly,
    "update_only": edge.UpdateMode.UpdateOnly,
}


def parse_update(kind: str, body: dict[str, Any]) -> Any:
    """Return the engine's operation for one of REST's update operations.

    Args:
        kind: As in a batch update: ``upsert``, ``delete``, ``set_payload``, ``overwrite_payload``, ``delete_payload``,
            ``clear_payload``, ``update_vectors``, ``delete_vectors``.
        body: Its JSON.

    Raises:
        ApiError: the JSON is wrong or names what the engine lacks.
    """
    parse = _PARSERS.get(kind)
    if parse is None:
        raise bad_request(f"unknown update operation `{kind}`")
    if body.get("shard_key") is not None:
        raise unsupported("a shard key")
    return parse(body)


def vector_in(value: Any) -> Any:
    """Return a vector of the REST interface as the engine takes it."""
    if isinstance(value, dict):
        if set(value) == {"indices", "values"}:
            return edge.SparseVector(value["indices"], [float(number) for number in value["values"]])
        if {"text", "image", "object"} & set(value) and "model" in value:
            raise unsupported("inference")
        return {name: vector_in(part) for name, part in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return [[float(number) for number in row] for row in value]
        return [float(number) for number in value]
    raise bad_request("a vector is a list of numbers, a sparse vector, or an object of named vectors")


def _upsert(body: dict[str, Any]) -> Any:
    batch = body.get("batch")
    if batch is not None:
        payloads = batch.get("payloads") or [None] * len(batch["ids"])
        if isinstance(batch["vectors"], dict):
            names = list(batch["vectors"])
            vectors = [dict(zip(names, row, strict=True)) for row in zip(*batch["vectors"].values(), strict=True)]
        else:
            vectors = batch["vectors"]
        rows = list(zip(batch["ids"], vectors, payloads, strict=True))
    else:
        rows = [(point["id"], point["vector"], point.get("payload")) for point in body["points"]]
    points = [edge.Point(key, vector_in(vector), payload) for key, vector, payload in rows]
    mode = body.get("update_mode")
    if mode is not None and mode not in _MODES:
        raise bad_request(f"unknown update mode `{mode}`")
    return _Operation.upsert_points(
        points, condition=parse_filter(body.get("update_filter")), update_mode=_MODES[mode] if mode else None
    )


def _selected(body: dict[str, Any], by_ids: Callable[[list[Any]], Any], by_filter: Callable[[Any], Any]) -> Any:
    """Point ids win over a filter, as on the server; neither is an error."""
    if body.get("points") is not None:
        return by_ids(body["points"])
    if body.get("filter") is not None:
        return by_filter(parse_filter(body["filter"]))
    raise bad_request("No points or filter specified")


def _delete(body: dict[str, Any]) -> Any:
    return _selected(body, _Operation.delete_points, _Operation.delete_points_by_filter)


def _set_payload(body: dict[str, Any]) -> Any:
    payload, key = body["payload"], body.get("key")
    return _selected(
        body,
        lambda ids: _Operation.set_payload(ids, payload, key=key),
        lambda condition: _Operation.set_payload_by_filter(condition, payload, key=key),
    )


def _overwrite_payload(body: dict[str, Any]) -> Any:
    payload, key = body["payload"], body.get("key")
    return _selected(
        body,
        lambda ids: _Operation.overwrite_payload(ids, payload, key=key),
        lambda condition: _Operation.overwrite_payload_by_filter(condition, payload, key=key),
    )


def _delete_payload(body: dict[str, Any]) -> Any:
    keys = body["keys"]
    return _selected(
        body,
        lambda ids: _Operation.delete_payload(ids, keys),
        lambda condition: _Operation.delete_payload_by_filter(condition, keys),
    )


def _clear_payload(body: dict[str, Any]) -> Any:
    return _selected(body, _Operation.clear_payload, _Operation.clear_payload_by_filter)


def _update_vectors(body: dict[str, Any]) -> Any:
    points = [edge.PointVectors(point["id"], vector_in(point["vector"])) for point in body["points"]]
    return _Operation.update_vectors(points, condition=parse_filter(body.get("update_filter")))


def _delete_vectors(body: dict[str, Any]) -> Any:
    names = body["vector"]
    return _selected(
        body,
        lambda ids: _Operation.delete_vectors(ids, names),
        lambda condition: _Operation.delete_vectors_by_filter(condition, names),
    )


_PARSERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "upsert": _upsert,
    "delete": _delete,
    "set_payload": _set_payload,
    "overwrite_payload": _overwrite_payload,
    "delete_payload": _delete_payload,
    "clear_payload": _clear_payload,
    "update_vectors": _update_vectors,
    "delete_vectors": _delete_vectors,
}
