"""Points as JSON lines and back. Vectors are the bytes of their 32-bit floats: half the size of digits, and exact."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Any

from tenure.backup.fingerprint import item_hash

if TYPE_CHECKING:
    from qdrant_client import models


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
    return item_hash(point)


def payload_hash(point: dict[str, Any]) -> bytes:
    """Return the hash of a point's id and payload."""
    return item_hash([point["i"], point["p"]])


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
