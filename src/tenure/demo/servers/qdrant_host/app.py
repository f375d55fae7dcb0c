"""The HTTP side: Qdrant's routes and envelope."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import metadata
from typing import Any

from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tenure.demo.servers.qdrant_host import reads
from tenure.demo.servers.qdrant_host.errors import ApiError, bad_request, unsupported
from tenure.demo.servers.qdrant_host.store import Store
from tenure.demo.servers.qdrant_host.updates import parse_update

# The server release whose interface and engine qdrant-edge-py 0.9 shares; clients compare it with their own.
SERVER_VERSION = "1.20.0"
Handler = Callable[[Request, dict[str, Any]], Any]
_COLLECTION = "/collections/{name}"
_UPDATES = [
    ("PUT", "/points", "upsert"),
    ("POST", "/points/delete", "delete"),
    ("POST", "/points/payload", "set_payload"),
    ("PUT", "/points/payload", "overwrite_payload"),
    ("POST", "/points/payload/delete", "delete_payload"),
    ("POST", "/points/payload/clear", "clear_payload"),
    ("PUT", "/points/vectors", "update_vectors"),
    ("POST", "/points/vectors/delete", "delete_vectors"),
]
_READS: list[tuple[str, Callable[[Any, dict[str, Any]], Any]]] = [
    ("/points", reads.retrieve),
    ("/points/scroll", reads.scroll),
    ("/points/count", reads.count),
    ("/points/query", reads.query),
    ("/facet", reads.facet),
]


def create_app(store: Store) -> Starlette:
    """Return the application that serves *store*; it closes the store when it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    routes = [
        Route("/", _title),
        *(Route(path, _alive) for path in ("/healthz", "/livez", "/readyz")),
        *_collection_routes(store),
        *_point_routes(store),
        _route("GET", "/collections/{name}/snapshots", _no_snapshots),
        _route("POST", "/collections/{name}/snapshots", _no_snapshots),
    ]
    handlers: Any = {HTTPException: _no_route}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


def _collection_routes(store: Store) -> list[Route]:
    def listed(request: Request, body: dict[str, Any]) -> Any:
        return {"collections": [{"name": name} for name in sorted(store.collections)]}

    def created(request: Request, body: dict[str, Any]) -> Any:
        store.create(request.path_params["name"], body)
        return True

    def changed(request: Request, body: dict[str, Any]) -> Any:
        store.change(request.path_params["name"], body)
        return True

    def exists(request: Request, body: dict[str, Any]) -> Any:
        name = request.path_params["name"]
        return {"exists": store.aliases.get(name, name) in store.collections}

    def aliases(request: Request, body: dict[str, Any]) -> Any:
        only = request.path_params.get("name")
        if only is not None:
            store.get(only)
        pairs = [(alias, target) for alias, target in sorted(store.aliases.items()) if only in (None, target)]
        return {"aliases": [{"alias_name": alias, "collection_name": target} for alias, target in pairs]}

    def aliases_changed(request: Request, body: dict[str, Any]) -> Any:
        store.change_aliases(body["actions"])
        return True

    def indexed(request: Request, body: dict[str, Any]) -> Any:
        name = request.path_params["name"]
        return _updated(request, store.create_index(name, body["field_name"], body.get("field_schema")))

    def unindexed(request: Request, body: dict[str, Any]) -> Any:
        return _updated(request, store.delete_index(request.path_params["name"], request.path_params["field"]))

    return [
        _route("GET", "/collections", listed),
        _route("GET", "/aliases", aliases),
        _route("POST", "/collections/aliases", aliases_changed),
        _route("GET", _COLLECTION, lambda request, body: store.get(request.path_params["name"]).info()),
        _route("PUT", _COLLECTION, created),
        _route("PATCH", _COLLECTION, changed),
        _route("DELETE", _COLLECTION, lambda request, body: store.delete(request.path_params["name"])),
        _route("GET", _COLLECTION + "/exists", exists),
        _route("GET", _COLLECTION + "/aliases", aliases),
        _route("PUT", _COLLECTION + "/index", indexed),
        _route("DELETE", _COLLECTION + "/index/{field}", unindexed),
    ]


def _point_routes(store: Store) -> list[Route]:
    def update(kind: str) -> Handler:
        def handler(request: Request, body: dict[str, Any]) -> Any:
            collection = store.get(request.path_params["name"])
            return _updated(request, collection.update(lambda: parse_update(kind, body)))

        return handler

    def batch(request: Request, body: dict[str, Any]) -> Any:
        collection = store.get(request.path_params["name"])
        results = []
        for operation in body["operations"]:
            ((kind, part),) = operation.items()
            results.append(_updated(request, collection.update(partial(parse_update, kind, part))))
        return results

    def read(action: Callable[[Any, dict[str, Any]], Any]) -> Handler:
        return lambda request, body: store.get(request.path_params["name"]).read(lambda shard: action(shard, body))

    def query_batch(request: Request, body: dict[str, Any]) -> Any:
        collection = store.get(request.path_params["name"])
        return collection.read(lambda shard: [reads.query(shard, search) for search in body["searches"]])

    def one(request: Request, body: dict[str, Any]) -> Any:
        key = request.path_params["id"]
        return store.get(request.path_params["name"]).read(lambda shard: reads.retrieve_one(shard, key))

    return [
        *(_route(method, _COLLECTION + path, update(kind)) for method, path, kind in _UPDATES),
        *(_route("POST", _COLLECTION + path, read(action)) for path, action in _READS),
        _route("POST", _COLLECTION + "/points/batch", batch),
        _route("POST", _COLLECTION + "/points/query/batch", query_batch),
        _route("GET", _COLLECTION + "/points/{id}", one),
    ]


def _route(method: str, path: str, handler: Handler) -> Route:
    """Return a route that runs *handler* on a thread and wraps its result or refusal in Qdrant's envelope."""

    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        return await run_in_threadpool(answer, request, raw)

    def answer(request: Request, raw: bytes) -> Response:
        started = time.perf_counter()
        try:
            result = handler(request, _body(raw))
        except ApiError as error:
            return _failure(error.status, error.message, started)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # Bodies are read as they come; what does not fit shows up as one of these.
            return _failure(400, f"Format error in JSON body: {type(error).__name__}: {error}", started)
        seconds = time.perf_counter() - started
        content = to_json({"result": result, "status": "ok", "time": seconds})
        return Response(content, media_type="application/json")

    return Route(path, endpoint, methods=[method])


def _body(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    body = from_json(raw)
    if not isinstance(body, dict):
        raise bad_request("the body is no JSON object")
    return body


def _updated(request: Request, number: int) -> dict[str, Any]:
    waited = request.query_params.get("wait", "false").lower() == "true"
    return {"operation_id": number, "status": "completed" if waited else "acknowledged"}


def _failure(status: int, message: str, started: float) -> Response:
    seconds = time.perf_counter() - started
    return JSONResponse({"status": {"error": message}, "time": seconds}, status_code=status)


async def _title(request: Request) -> Response:
    engine = metadata.version("qdrant-edge-py")
    title = f"qdrant - vector search engine (tenure's embedded host, qdrant-edge-py {engine})"
    return JSONResponse({"title": title, "version": SERVER_VERSION})


async def _alive(request: Request) -> Response:
    return PlainTextResponse("healthz check passed")


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status in (404, 405):
        refusal = unsupported(f"{request.method} {request.url.path}")
        return _failure(refusal.status, refusal.message, time.perf_counter())
    return _failure(status, str(error), time.perf_counter())


def _no_snapshots(request: Request, body: dict[str, Any]) -> Any:
    raise unsupported("a snapshot")
