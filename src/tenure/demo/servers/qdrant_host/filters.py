"""Filters of the REST interface as filters of the engine."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import qdrant_edge as edge
from pydantic import TypeAdapter, ValidationError
from qdrant_client.http import models

from tenure.demo.servers.qdrant_host.errors import ApiError, unsupported

_FILTER: TypeAdapter[models.Filter] = TypeAdapter(models.Filter)

_MATCHES: dict[type[Any], Callable[[Any], Any]] = {
    models.MatchValue: lambda match: edge.MatchValue(match.value),
    models.MatchAny: lambda match: edge.MatchAny(match.any),
    models.MatchExcept: lambda match: edge.MatchExcept(match.except_),
    models.MatchText: lambda match: edge.MatchText(match.text),
    models.MatchTextAny: lambda match: edge.MatchTextAny(match.text_any),
    models.MatchPhrase: lambda match: edge.MatchPhrase(match.phrase),
    models.MatchPrefix: lambda match: edge.MatchPrefix(match.prefix),
    models.MatchSubstring: lambda match: edge.MatchSubstring(match.substring),
}


def parse_filter(value: object) -> Any:
    """Return the engine's filter for the JSON *value*, None for None.

    Raises:
        ApiError: 400 when it is no filter, 501 for a condition that the engine lacks.
    """
    if value is None:
        return None
    try:
        return _filter(_FILTER.validate_python(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ApiError(400, f"Format error in JSON body: filter: {where}: {first['msg']}") from error


def _filter(model: models.Filter) -> Any:
    min_should = None
    if model.min_should is not None:
        conditions = [_condition(condition) for condition in model.min_should.conditions]
        min_should = edge.MinShould(conditions, model.min_should.min_count)
    return edge.Filter(
        must=_conditions(model.must),
        should=_conditions(model.should),
        must_not=_conditions(model.must_not),
        min_should=min_should,
    )


def _conditions(value: Any) -> list[Any] | None:
    if value is None:
        return None
    return [_condition(condition) for condition in (value if isinstance(value, list) else [value])]


def _condition(condition: Any) -> Any:
    match condition:
        case models.FieldCondition():
            return _field(condition)
        case models.HasIdCondition():
            return edge.HasIdCondition(set(condition.has_id))
        case models.IsEmptyCondition():
            return edge.IsEmptyCondition(condition.is_empty.key)
        case models.IsNullCondition():
            return edge.IsNullCondition(condition.is_null.key)
        case models.NestedCondition():
            return edge.NestedCondition(condition.nested.key, _filter(condition.nested.filter))
        case models.HasVectorCondition():
            return edge.HasVectorCondition(condition.has_vector)
        case models.SliceCondition():
            return edge.SliceCondition(condition.slice.total, condition.slice.index)  # type: ignore[attr-defined]
        case models.Filter():
            return _filter(condition)
    raise unsupported(f"the condition {type(condition).__name__}")


def _field(condition: models.FieldCondition) -> Any:
    if condition.geo_bounding_box or condition.geo_radius or condition.geo_polygon:
        raise unsupported("a geo condition")
    count = condition.values_count
    return edge.FieldCondition(
        condition.key,
        match=None if condition.match is None else _MATCHES[type(condition.match)](condition.match),
        range=_range(condition.range),
        values_count=None
        if count is None
        else edge.ValuesCount(lt=count.lt, gt=count.gt, lte=count.lte, gte=count.gte),
        is_empty=condition.is_empty,
        is_null=condition.is_null,
    )


def _range(value: models.Range | models.DatetimeRange | None) -> Any:
    if value is None:
        return None
    if isinstance(value, models.Range):
        return edge.RangeFloat(gte=value.gte, gt=value.gt, lte=value.lte, lt=value.lt)
    return edge.RangeDateTime(
        gte=_moment(value.gte), gt=_moment(value.gt), lte=_moment(value.lte), lt=_moment(value.lt)
    )


def _moment(value: datetime.date | None) -> str | None:
    return None if value is None else value.isoformat()
