"""How long an operation may take: rough, from what was measured on two cores (docs and bench say where)."""

from __future__ import annotations

from tenure.operations.base import Operation

# Items per second. Cautious ends of the measured ranges; Qdrant's is the rate of the re-indexing that follows a write,
# which takes far longer than the write.
RATES = {"postgres": 34_000, "neo4j": 38_000, "qdrant": 1_400}


def estimate(operation: Operation) -> float | None:
    """Return seconds for an operation that goes through items, None for one that takes no time worth naming, or
    whose time is not known."""
    known: float | None = getattr(operation, "estimated_seconds", None)
    if known is not None:
        return known
    if not operation.ranged or operation.planned is None or operation.store not in RATES:
        return None
    return operation.planned / RATES[operation.store]


def duration(seconds: float | None) -> str:
    """Return a length of time in words of one or two units; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "< 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
