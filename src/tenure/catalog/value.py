"""What every catalog value has in common: frozen, strict about its fields, and hashable by structure."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value that was found in a store. Holds no connection and compares by content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: ClassVar[frozenset[str]] = frozenset()
    """Fields that move while the application merely runs (sizes, counts, states of slots): no part of the structure."""

    def structure(self) -> dict[str, Any]:
        """The content without what is only *measured*, as plain JSON values; sub-values likewise."""
        return {
            name: _plain(getattr(self, name)) for name in type(self).model_fields if name not in type(self).measured
        }

    def digest(self) -> str:
        """A SHA-256 in hexadecimal of `structure()`: equal as long as nobody changes the schema.

        Rows that come and go, sizes and replication slots do not change it, so that a plan made in the morning is still
        the plan of the evening.
        """
        text = json.dumps(self.structure(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return value.structure()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def display_name(schema_name: str, name: str) -> str:
    """How a Postgres object is written in playbooks and reports: `name` in schema public, else `schema.name`."""
    return name if schema_name == "public" else f"{schema_name}.{name}"
