"""Property values of a graph as JSON and back, exact to the last bit.

Booleans, integers, texts and finite floats are JSON's own; lists are lists; the rest is an object with one key, its
tag. Dates, and times with a date or a zone, are the server's own text: the driver has no years beyond 9999, and cannot
tell the zone UTC from the offset 0. They come back through the server's functions too (`TEMPORAL`).
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any

TEMPORAL = {
    "DATE": "date",
    "LOCAL DATETIME": "localdatetime",
    "ZONED DATETIME": "datetime",
    "ZONED TIME": "time",
}
"""The types that travel as the server's text, and the function that reads each."""

# Local mean times of long ago and odd offsets: the server writes their seconds, and does not read them.
_ODD_OFFSET = re.compile(
    r"(?:(?P<year>[+-]?\d+)-(?P<month>\d\d)-(?P<day>\d\d)T)?"
    r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<nanosecond>\d{1,9}))?)?"
    r"(?P<offset>[+-]\d\d:\d\d:\d\d)(?:\[(?P<zone>.+)\])?"
)
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(value: Any) -> Any:
    """Return a value that the driver gave as JSON data. Errors: TypeError for what no property can hold."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return [encode(item) for item in value]
    from neo4j import time
    from neo4j.spatial import Point

    if isinstance(value, bytes | bytearray):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, Point):
        return {"point": [value.srid, *(encode(float(number)) for number in value)]}
    if isinstance(value, time.Duration):
        return {"duration": [value.months, value.days, value.seconds, value.nanoseconds]}
    if isinstance(value, time.Time) and value.tzinfo is None:
        return {"localtime": value.ticks}
    if type(value).__name__ == "Vector":
        return {"vector": [value.dtype.value, base64.b64encode(value.raw()).decode()]}
    raise TypeError(f"a property cannot be of type {type(value).__name__}")


def decode(value: Any) -> Any:
    """Return the value for the driver that `encode` made JSON of."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    return _DECODERS[tag](content)


def temporal_argument(text: str | list[str]) -> Any:
    """Return what a function of `TEMPORAL` takes for the server's text: its parts where it cannot read the text."""
    if isinstance(text, list):
        return [temporal_argument(item) for item in text]
    odd = _ODD_OFFSET.fullmatch(text)
    if odd is None:
        return text
    parts = odd.groupdict()
    zone, offset = parts.pop("zone"), parts.pop("offset")
    if parts["nanosecond"] is not None:
        parts["nanosecond"] = parts["nanosecond"].ljust(9, "0")
    return {name: int(part) for name, part in parts.items() if part is not None} | {"timezone": zone or offset}


def _point(content: list[Any]) -> Any:
    from neo4j.spatial import CartesianPoint, WGS84Point

    srid, *numbers = content
    kind = WGS84Point if srid in (4326, 4979) else CartesianPoint
    return kind([decode(number) for number in numbers])


def _duration(content: list[int]) -> Any:
    from neo4j.time import Duration

    months, days, seconds, nanoseconds = content
    return Duration(months=months, days=days, seconds=seconds, nanoseconds=nanoseconds)


def _localtime(content: int) -> Any:
    from neo4j.time import Time

    return Time.from_ticks(content)


def _vector(content: list[str]) -> Any:
    from neo4j.vector import Vector

    kind, data = content
    raw: Any = base64.b64decode(data)
    return Vector(raw, kind)  # type: ignore[call-overload]


_DECODERS: dict[str, Any] = {
    "float": lambda content: _FLOATS[content],
    "bytes": base64.b64decode,
    "point": _point,
    "duration": _duration,
    "localtime": _localtime,
    "vector": _vector,
}


def properties_expression(variable: str, *, typed: bool) -> str:
    """Return Cypher that gives an item's properties as pairs; where *typed* (the server knows type predicates), those
    of a `TEMPORAL` type as triples with their type and their text, or texts for a list."""
    if not typed:
        return f"[key IN keys({variable}) | [key, {variable}[key]]]"
    value = f"{variable}[key]"
    cases = "".join(
        f" WHEN {value} IS :: {kind} NOT NULL THEN [key, '{kind}', toString({value})]"
        f" WHEN {value} IS :: LIST<{kind} NOT NULL> NOT NULL AND size({value}) > 0"
        f" THEN [key, '{kind}', [item IN {value} | toString(item)]]"
        for kind in TEMPORAL
    )
    return f"[key IN keys({variable}) | CASE{cases} ELSE [key, {value}] END]"


def split(pairs: list[list[Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return what `properties_expression` gave as JSON data: plain properties, and ``{key: [type, text or texts]}``."""
    plain: dict[str, Any] = {}
    temporal: dict[str, list[Any]] = {}
    for key, *value in pairs:
        if len(value) == 2:
            temporal[key] = value
        elif (known := _written(value[0])) is not None:
            temporal[key] = known
        else:
            plain[key] = encode(value[0])
    return plain, temporal


def _written(value: Any) -> list[Any] | None:
    """Return type and text of a temporal value that an older server gave as the driver's own, else None."""
    if value is None or isinstance(value, bool | int | float | str):
        return None
    if isinstance(value, list):
        items = [_written(item) for item in value]
        if items and all(item is not None for item in items):
            return [items[0][0], [item[1] for item in items if item is not None]]  # type: ignore[index]
        return None
    from neo4j import time

    if isinstance(value, time.DateTime):
        zone = getattr(value.tzinfo, "zone", None)
        text = value.iso_format() + (f"[{zone}]" if zone else "")
        return ["ZONED DATETIME" if value.tzinfo is not None else "LOCAL DATETIME", text]
    if isinstance(value, time.Date):
        return ["DATE", value.iso_format()]
    if isinstance(value, time.Time) and value.tzinfo is not None:
        return ["ZONED TIME", value.iso_format()]
    return None
