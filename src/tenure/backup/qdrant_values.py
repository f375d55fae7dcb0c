"""Points as JSON lines and back. Vectors are the bytes of their 32-bit floats: half the size of digits, and exact."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from tenure.backup.fingerprint import compact, item_hash

if TYPE_CHECKING:
    from qdrant_client import models


# Of numbers between -1 and 1 with 24 bits each, after a division.
_LAST_BITS = 4e-7


def encode(record: Any) -> dict[str, Any]:
    """Return a record of the client as JSON data: id, payload, vectors, and the shard key where there is one."""
    point: dict[str, Any] = {"i": record.id, "p": record.payload or {}}
    if record.vector is not None:
        point["v"] = _vector(record.vector)
    if getattr(record, "shard_key", None) is not None:
        point["k"] = record.shard_key
    return point


def decode(point: dict[str, Any]) -> models.PointStruct:
    """Return the client's point."""
    from qdrant_client import models

    # A point without any vector is one of a collection of named vectors, of which it has none.
    return models.PointStruct(id=point["i"], payload=point["p"], vector=_read(point["v"]) if "v" in point else {})


def full_hash(point: dict[str, Any]) -> bytes:
    """Return the hash of all that a point is."""
    return item_hash(compact(point))


def payload_hash(point: dict[str, Any]) -> bytes:
    """Return the hash of a point's id and payload."""
    return item_hash(compact([point["i"], point["p"]]))


def near(one: dict[str, Any], other: dict[str, Any], cosine: Collection[str]) -> bool:
    """Return whether two points are equal but for the last bits of the vectors named in *cosine* (the unnamed is "").

    Cosine vectors are brought to length 1 when they are written; not every engine leaves one alone that has it already.
    """
    if {**one, "v": 0} != {**other, "v": 0}:
        return False
    first, second = _parts(one), _parts(other)
    return first.keys() == second.keys() and all(
        part == second[name] or (name in cosine and _close(part, second[name])) for name, part in first.items()
    )


def _parts(point: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = point.get("v", {"named": {}})
    named: dict[str, Any] = value.get("named", {"": value})
    return named


def _close(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if {**one, "f32": 0} != {**other, "f32": 0}:
        return False
    pairs = zip(_numbers("f", one["f32"]), _numbers("f", other["f32"]), strict=False)
    return len(one["f32"]) == len(other["f32"]) and all(abs(a - b) <= _LAST_BITS for a, b in pairs)


def _vector(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"named": {name: _vector(part) for name, part in value.items()}}
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return {"multi": len(value), "f32": _bytes("f", [number for row in value for number in row])}
        return {"f32": _bytes("f", value)}
    pairs = sorted(zip(value.indices, value.values, strict=True))
    return {"indices": _bytes("I", [i for i, _ in pairs]), "f32": _bytes("f", [number for _, number in pairs])}


def _read(value: dict[str, Any]) -> Any:
    if "named" in value:
        return {name: _read(part) for name, part in value["named"].items()}
    numbers = _numbers("f", value["f32"])
    if "indices" in value:
        from qdrant_client import models

        return models.SparseVector(indices=_numbers("I", value["indices"]), values=numbers)
    if "multi" in value:
        width = len(numbers) // value["multi"]
        return [numbers[start : start + width] for start in range(0, len(numbers), width)]
    return numbers


def _bytes(kind: str, numbers: list[Any]) -> str:
    return base64.b64encode(_little(array(kind, numbers)).tobytes()).decode()


def _numbers(kind: str, text: str) -> list[Any]:
    numbers = array(kind)
    numbers.frombytes(base64.b64decode(text))
    return _little(numbers).tolist()


def _little(numbers: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
