"""Makes findings where they are many: what is the same of most of them is said once."""

from __future__ import annotations

from tenure.values import Finding, Severity, Store


def say(
    id_: str,
    severity: Severity,
    object_: str,
    title: str,
    remedy: str = "",
    *,
    store: Store = "postgres",
    count: int = 1,
    sample: tuple[object, ...] = (),
) -> Finding:
    """Return a finding about one object, of Postgres unless *store* is another; *count* items, some in *sample*."""
    return Finding(
        id=id_, severity=severity, store=store, object=object_, title=title, count=count, sample=sample, remedy=remedy
    )
