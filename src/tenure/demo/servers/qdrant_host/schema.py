"""Vector configuration and payload indexes, between REST and engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge
from pydantic import TypeAdapter, ValidationError
from qdrant_client.http import models

from tenure.demo.servers.qdrant_host.errors import bad_request, unsupported

_CREATE: TypeAdapter[models.CreateCollection] = TypeAdapter(models.CreateCollection)
_INDEX: TypeAdapter[models.PayloadSchemaParams] = TypeAdapter(models.PayloadSchemaParams)
_INDEX_PARAMS: dict[str, Callable[..., Any]] = {
    "keyword": edge.KeywordIndexParams,
    "integer": edge.IntegerIndexParams,
    "float": edge.FloatIndexParams,
    "bool": edge.BoolIndexParams,
    "datetime": edge.DatetimeIndexParams,
    "uuid": edge.UuidIndexParams,
    "geo": edge.GeoIndexParams,
    "text": edge.TextIndexParams,
}
_TOKENIZERS = {
    "prefix": edge.TokenizerType.Prefix,
    "whitespace": edge.TokenizerType.Whitespace,
    "word": edge.TokenizerType.Word,
    "multilingual": edge.TokenizerType.Multilingual,
}
# Where a thing lies (memory or disk) changes no answer, so the engine's defaults serve.
_PLACEMENT = {"on_disk", "memory"}


def parse_create(body: dict[str, Any]) -> models.CreateCollection:
    """Return the validated body of a collection's creation; raises ApiError."""
    try:
        request = _CREATE.validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_request(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    if request.sharding_method is not None and request.sharding_method.value == "custom":
        raise unsupported("custom sharding")
    check_strict_mode(body.get("strict_mode_config"))
    return request


def check_strict_mode(value: dict[str, Any] | None) -> None:
    """Refuse strict mode: accepting and not enforcing it would be a lie."""
    if value and value.get("enabled"):
        raise unsupported("strict mode")


def engine_config(request: models.CreateCollection) -> Any:
    """Return the engine's configuration of a shard for *request*.

    HNSW and quantization are accepted and kept in the collection's description only: without them the engine searches
    exactly.
    """
    vectors: Any = None
    if isinstance(request.vectors, models.VectorParams):
        vectors = _vector(request.vectors)
    elif request.vectors:
        vectors = {name: _vector(params) for name, params in request.vectors.items()}
    sparse = {
        name: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if params.modifier == "idf" else None)
        for name, params in (request.sparse_vectors or {}).items()
    }
    return edge.EdgeConfig(vectors=vectors, sparse_vectors=sparse or None)


def _vector(params: models.VectorParams) -> Any:
    multivector = None
    if params.multivector_config is not None:
        multivector = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    datatype = None
    if params.datatype is not None:
        datatype = getattr(edge.VectorStorageDatatype, params.datatype.value.capitalize(), None)
        if datatype is None:
            raise unsupported(f"the datatype {params.datatype.value}")
    return edge.EdgeVectorParams(
        params.size, getattr(edge.Distance, params.distance.value), multivector_config=multivector, datatype=datatype
    )


def parse_index(schema: Any) -> tuple[str, dict[str, Any] | None, Any]:
    """Return (data type, parameters as given or None, the engine's parameters) of a payload index.

    Args:
        schema: A type's name, or an object with ``type`` and parameters.

    Raises:
        ApiError: an unknown type or parameter.
    """
    given = None if isinstance(schema, str) else schema
    if given is not None:
        try:
            _INDEX.validate_python(given)
        except ValidationError as error:
            raise bad_request(f"field_schema: {error.errors()[0]['msg']}") from error
    kind = schema if isinstance(schema, str) else str(schema["type"])
    build = _INDEX_PARAMS.get(kind)
    if build is None:
        raise bad_request(f"unknown payload index type `{kind}`")
    arguments = {
        name: value
        for name, value in (given or {}).items()
        if name != "type" and name not in _PLACEMENT and value is not None
    }
    if "tokenizer" in arguments:
        arguments["tokenizer"] = _TOKENIZERS[arguments["tokenizer"]]
    complicated = {"stopwords", "stemmer", "scoring"} & set(arguments)
    if complicated:
        raise unsupported(f"the text index parameter {min(complicated)}")
    return kind, given, build(**arguments)
