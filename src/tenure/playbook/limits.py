"""How hard a run may press: the playbook's `limits`, the words that they are written in, and what an operator changes.

`tenure limit NAME=VALUE` goes through the same models, so that one word means one thing in both places. What each limit
does, and why its default is what it is: docs/throttling.md.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from tenure.playbook.base import Frozen, Seconds, Text, problem, seconds

OFF = "off"


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise problem("this is true or false, and should be a whole number.", "Write a number.")
    return value


# Numbers may come as text, out of `${NAME}`.
Count = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(_no_bool),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+$|\$\{"}]}),
]

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kMGT]?)B?")
_SIZES = {"": 1, "k": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_PERCENT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*%")


def _is_off(value: Any) -> bool:
    # YAML 1.1 reads `off` as false; this is what people mean by either, and by an empty value.
    return value is None or value is False or (isinstance(value, str) and value.strip().lower() == OFF)


def _off_or_seconds(value: Any) -> Any:
    return None if _is_off(value) else seconds(value)


def _off_or_bytes(value: Any) -> Any:
    if _is_off(value):
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise problem(
            f"{value!r} is not an amount of data.", "Write a number with a unit, such as 512MB or 10GB, or off."
        )
    return int(float(match["number"]) * _SIZES[match["unit"]])


def _percent(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
        return float(value)
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not 0 < float(match["number"]) <= 100:
        raise problem(f"{value!r} is not a share.", "Write it as 1% to 100%.")
    return float(match["number"]) / 100


def _off_or_percent(value: Any) -> Any:
    return None if _is_off(value) else _percent(value)


def _off_or_count(value: Any) -> Any:
    return None if _is_off(value) else _no_bool(value)


def _names(value: Any) -> Any:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _written(pattern: str, *others: dict[str, Any]) -> WithJsonSchema:
    """Return the schema of what is written as text of *pattern*, as `off`, or as one of *others*."""
    return WithJsonSchema({"anyOf": [*others, {"type": "string", "pattern": pattern}, {"const": False}]})


_NUMBER = {"type": "number", "minimum": 0}
_SHARE = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_TIME_TEXT = r"^(off|\d+(\.\d+)?\s*(ms|s|min|m|h)?)$"
_SIZE_TEXT = r"^(off|\d+(\.\d+)?\s*[kMGT]?B?)$"
_PERCENT_TEXT = r"^(off|\d+(\.\d+)?\s*%)$"
_COUNT_TEXT = r"^(off|\d+)$"

OffOrSeconds = Annotated[float | None, BeforeValidator(_off_or_seconds), _written(_TIME_TEXT, _NUMBER)]
OffOrBytes = Annotated[int | None, BeforeValidator(_off_or_bytes), _written(_SIZE_TEXT, _NUMBER)]
OffOrPercent = Annotated[float | None, BeforeValidator(_off_or_percent), _written(_PERCENT_TEXT, _SHARE)]
OffOrCount = Annotated[
    int | None,
    Field(ge=1),
    BeforeValidator(_off_or_count),
    _written(_COUNT_TEXT, {"type": "integer", "minimum": 1}),
]
Percent = Annotated[
    float,
    BeforeValidator(_percent),
    WithJsonSchema({"anyOf": [_SHARE, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}]}),
]
Names = Annotated[tuple[Text, ...], BeforeValidator(_names, json_schema_input_type=list[Text] | str)]


class Workers(Frozen):
    """How many workers write to each store at once."""

    postgres: Count = 2
    neo4j: Count = 4
    qdrant: Count = 1


class Thresholds(Frozen):
    """What makes a run wait between two batches. `off` switches a signal off."""

    share: Percent = 1.0
    """How much of its time a worker writes while nobody else is at work in the store; it rests for the remainder."""
    beside: Percent = 0.25
    """How much of the time the workers together write while others are at work in the same Postgres server."""
    replication_lag: OffOrSeconds = 10.0
    """Wait while a replica that streams is further behind: 500ms, 10s, 2min, or seconds."""
    replication_bytes: OffOrBytes = 2**30
    """Wait while a replica that streams has more than this still to replay."""
    ignore_replicas: Names = ()
    """Names (application_name) of replicas that may lag, such as those that are delayed on purpose."""
    slot_wal: OffOrBytes = 10 * 2**30
    """Wait while a replication slot keeps more WAL than this from being removed."""
    checkpoints: OffOrSeconds = 10.0
    """The least time between two checkpoints that the volume of WAL forces."""
    autovacuum: OffOrPercent = 0.5
    """Wait while more than this share of the table's rows is dead, or while it is vacuumed against wraparound."""
    snapshot: OffOrSeconds = 60.0
    """Wait while a transaction older than this keeps dead rows from being pruned."""
    lock_wait: OffOrSeconds = 0.25
    """Wait, and make batches smaller, when somebody has waited for this long for a lock of ours."""
    neo4j_memory: OffOrPercent = 0.7
    """Wait while the transactions of the graph use more than this share of the memory that they may use."""
    qdrant_queue: OffOrCount = 1000
    """Wait while more updates than this wait to be applied to the collection."""
    qdrant_backlog: OffOrCount = 200_000
    """Wait while more points than this are still to be indexed by a busy optimizer."""
    patience: Seconds = 300.0
    """How long to wait for what waiting may never cure: a snapshot held, a vacuum that does not come."""


class Limits(Thresholds):
    """How hard the run may press: milliseconds a batch, workers per store, and what makes it wait."""

    batch_ms: Count = 300
    """How long one batch should take, in milliseconds."""
    workers: Workers = Workers()
    """How many write at once to each store."""

    def changed(self, name: str, value: str) -> Limits:
        """Return the limits with *name* (`batch_ms`, `workers.neo4j`, ...) set to *value* as it is written.

        Errors: LookupError for a name that is none, ValueError that says what is wrong and what to write.
        """
        if name not in limit_names():
            raise LookupError(name)
        outer, _, inner = name.partition(".")
        written: Any = {**self.workers.model_dump(), inner: value} if inner else value
        rest = {field: getattr(self, field) for field in Limits.model_fields if field != outer}
        try:
            return Limits.model_validate({**rest, outer: written})
        except ValidationError as error:
            from tenure.playbook.explain import explain

            complaint = explain(error, Limits)[0]
            raise ValueError(f"{complaint.problem} {complaint.remedy}".strip()) from None


def limit_names() -> dict[str, str]:
    """Return every limit that can be changed in a run, with what it means."""
    names: dict[str, str] = {}
    for name, field in Limits.model_fields.items():
        if name == "workers":
            names |= {f"workers.{store}": f"how many write at once to {store}" for store in Workers.model_fields}
        else:
            names[name] = (field.description or "").rstrip(".")
    return names
