"""The operations, one file per kind, and the way back from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from tenure.operations.base import Claim, Operation, RangeSpec, Step

__all__ = ["Claim", "Operation", "RangeSpec", "Step", "kinds", "load"]


@cache
def kinds() -> dict[str, type[Operation]]:
    """Return every operation class by its kind: each module of this package brings its own."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    found: dict[str, type[Operation]] = {}
    waiting = list(Operation.__subclasses__())
    while waiting:
        cls = waiting.pop()
        waiting.extend(cls.__subclasses__())
        if "kind" in cls.__dict__:
            found[cls.kind] = cls
    return found


def load(body: Mapping[str, Any]) -> Operation:
    """Return the operation that `Operation.dump` wrote. Errors: KeyError for a kind that this version does not know."""
    fields = {
        name: value
        for name, value in body.items()
        if name not in ("kind", "phase", "store", "id", "digest", "described")
    }
    return kinds()[body["kind"]].model_validate(fields)
