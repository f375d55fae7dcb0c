"""Reading requests of the REST interface on a shard, and its answers as JSON."""

from __future__ import annotations

import uuid
from typing import Any

import qdrant_edge as edge

from tenure.demo.servers.qdrant_host.errors import bad_request, not_found, unsupported
from tenure.demo.servers.qdrant_host.filters import parse_filter
from tenure.demo.servers.qdrant_host.updates import vector_in

DEFAULT_LIMIT = 10
_SEARCH_PARAMS = ("hnsw_ef", "exact", "indexed_only")


def scroll(shard: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Answer a scroll: points in id order (or by order_by) and where the next page starts."""
    limit = _limit(body)
    order = body.get("order_by")
    if order is not None and body.get("offset") is not None:
        raise bad_request("Cannot use an `offset` when using `order_by`. The alternative for paging is `start_from`")
    records, following = shard.scroll(
        edge.ScrollRequest(
            offset=body.get("offset"),
            limit=limit,
            filter=parse_filter(body.get("filter")),
            with_payload=_payload_selector(body.get("with_payload"), default=True),
            with_vector=_vector_selector(body),
            order_by=_order_by(order),
        )
    )
    return {"points": [_record(record) for record in records], "next_page_offset": _id(following)}


def retrieve(shard: Any, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Answer a retrieval by ids; missing ones are left out."""
    payload = _payload_selector(body.get("with_payload"), default=True)
    return [_record(record) for record in shard.retrieve(body["ids"], payload, _vector_selector(body))]


def retrieve_one(shard: Any, key: str) -> dict[str, Any]:
    """Answer the retrieval of one point; raises ApiError 404."""
    found = retrieve(shard, {"ids": [int(key) if key.isdigit() else key], "with_vector": True})
    if not found:
        raise not_found(f"Point with id {key} does not exists!")
    return found[0]


def count(shard: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Answer a count; exact unless the request says otherwise."""
    exact = body.get("exact", True) is not False
    return {"count": shard.count(edge.CountRequest(exact=exact, filter=parse_filter(body.get("filter"))))}


def facet(shard: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Answer a facet; the engine wants a payload index on the key, as the server does."""
    request = edge.FacetRequest(
        body["key"],
        limit=_limit(body),
        exact=bool(body.get("exact")),
        filter=parse_filter(body.get("filter")),
    )
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in shard.facet(request).hits]}


def query(shard: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Answer a universal query: nearest (vector or point id), order_by, sample, fusion of prefetches, or none."""
    _refuse_lookup(body)
    prefetches = _listed(body.get("prefetch"))
    condition = body.get("filter")
    scoring, excluded = _scoring(shard, body)
    if excluded is not None:  # the server leaves the point out whose id is the query
        condition = {"must": [condition] if condition else [], "must_not": [{"has_id": [excluded]}]}
    found = shard.query(
        edge.QueryRequest(
            limit=_limit(body),
            offset=body.get("offset") or 0,
            query=scoring,
            prefetches=[_prefetch(shard, one) for one in prefetches] or None,
            filter=parse_filter(condition),
            score_threshold=body.get("score_threshold"),
            params=_search_params(body.get("params")),
            with_payload=_payload_selector(body.get("with_payload"), default=False),
            with_vector=_vector_selector(body),
        )
    )
    return {"points": [{**_record(point), "version": point.version, "score": point.score} for point in found]}


def _prefetch(shard: Any, body: dict[str, Any]) -> Any:
    _refuse_lookup(body)
    scoring, _ = _scoring(shard, body)
    return edge.Prefetch(
        limit=_limit(body),
        query=scoring,
        prefetches=[_prefetch(shard, one) for one in _listed(body.get("prefetch"))] or None,
        params=_search_params(body.get("params")),
        filter=parse_filter(body.get("filter")),
        score_threshold=body.get("score_threshold"),
    )


def _scoring(shard: Any, body: dict[str, Any]) -> tuple[Any, Any]:
    """Return the engine's query and the id of the point it came from, if it came from one."""
    value, using = body.get("query"), body.get("using")
    if isinstance(value, dict) and "nearest" in value:
        if value.get("mmr"):
            raise unsupported("an mmr query")
        value = value["nearest"]
    if value is None:
        return None, None
    if isinstance(value, dict):
        if "order_by" in value:
            return _order_by(value["order_by"]), None
        if value.get("sample") == "random":
            return edge.Sample.Random, None
        if value.get("fusion") == "rrf":
            return edge.Fusion.Rrf(2), None
        if value.get("fusion") == "dbsf":
            return edge.Fusion.Dbsf(), None
        if set(value) != {"indices", "values"}:
            raise unsupported(f"the query {'/'.join(value)}")
    if isinstance(value, int | str):
        found = shard.retrieve([value], False, True)
        if not found:
            raise not_found(f"No point with id {value} found")
        vector = found[0].vector
        if isinstance(vector, dict):
            vector = vector.get(using or "")
        if vector is None:
            raise bad_request(f"Point {value} has no vector {using or ''}")
        return edge.Query.Nearest(vector, using=using), value
    return edge.Query.Nearest(vector_in(value), using=using), None


def _refuse_lookup(body: dict[str, Any]) -> None:
    if body.get("shard_key") is not None:
        raise unsupported("a shard key")
    if body.get("lookup_from") is not None:
        raise unsupported("lookup_from")


def _search_params(value: dict[str, Any] | None) -> Any:
    if value is None:
        return None
    return edge.SearchParams(**{name: value[name] for name in _SEARCH_PARAMS if value.get(name) is not None})


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _limit(body: dict[str, Any]) -> int:
    limit = body.get("limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not isinstance(limit, int) or limit < 1:
        raise bad_request(f"limit: value {limit!r} invalid, must be 1 or larger")
    return limit


def _order_by(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return edge.OrderBy(value)
    direction = edge.Direction.Desc if value.get("direction") == "desc" else edge.Direction.Asc
    return edge.OrderBy(value["key"], direction, value.get("start_from"))


def _payload_selector(value: Any, *, default: bool) -> Any:
    if value is None:
        return default
    if isinstance(value, dict):
        if value.get("include") is not None:
            return edge.PayloadSelector.Include(value["include"])
        return edge.PayloadSelector.Exclude(value.get("exclude") or [])
    return value


def _vector_selector(body: dict[str, Any]) -> Any:
    value = body.get("with_vector")
    return False if value is None else value


def _record(record: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"id": _id(record.id), "payload": record.payload, "vector": _vector_out(record.vector)}
    if record.order_value is not None:
        result["order_value"] = record.order_value
    return result


def _id(value: Any) -> int | str | None:
    return str(value) if isinstance(value, uuid.UUID) else value


def _vector_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _vector_out(part) for name, part in value.items()}
    if isinstance(value, edge.SparseVector):
        return {"indices": value.indices, "values": value.values}
    return value
