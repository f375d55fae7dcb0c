"""Probes of collections: searches with a tenant's filter, for what is nearest to another tenant's points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tenure.attribution.points import PointSpec, equals_filter
from tenure.checks.base import SAMPLE, View
from tenure.checks.item_keys import point_keys
from tenure.checks.probes import Probed, Seen
from tenure.stores.qdrant import PointId, path

SEARCHES = 3
"""How many searches as a tenant, per collection."""
FOUND = 50
"""How many points a search asks for."""


def probe_points(view: View, tenants: Sequence[str]) -> tuple[Probed, list[Seen]]:
    """Return what searches as one tenant found of another."""
    probed = Probed("qdrant", "searches for what is nearest to others' points found the tenant's own only")
    seen: list[Seen] = []
    if view.qdrant is None:
        return probed, seen
    for spec in view.points.specs:
        vector = _vector(view, spec)
        if vector is None or point_keys(view)[spec.collection].keys.bad:
            continue  # nothing to search by; or completeness reports the keys that a filter would misread
        for tenant in tenants:
            probed.objects.add(spec.collection)
            wrong = [found for found in _searches(view, spec, tenant, tenants, vector, probed) if found[1] != tenant]
            if wrong:
                seen.append(
                    Seen(
                        "qdrant",
                        spec.collection,
                        f"a search with the filter of {tenant} found points of others",
                        "Look at the payload index of the tenant key: drop it and run `tenure apply`, which makes it "
                        "again.",
                        count=len(wrong),
                        sample=[{"item": identity, "key": key} for identity, key in wrong[:SAMPLE]],
                    )
                )
    return probed, seen


def _vector(view: View, spec: PointSpec) -> str | None:
    """Return the name of a dense vector to search by ("" for the unnamed one), or None where there is none."""
    assert view.qdrant is not None
    vectors: Any = view.qdrant.collection(spec.collection).config.params.vectors
    if vectors is None:
        return None
    return next(iter(vectors), None) if isinstance(vectors, dict) else ""


def _searches(
    view: View, spec: PointSpec, tenant: str, tenants: Sequence[str], vector: str, probed: Probed
) -> Iterator[tuple[PointId, Any]]:
    """Yield id and key of what each search as *tenant* found, nearest to others' points first."""
    from qdrant_client import models

    assert view.qdrant is not None
    own = models.Filter.model_validate(equals_filter(spec.key, tenant))
    others = [_some(view, spec, other) for other in (*(t for t in tenants if t != tenant), tenant)]
    for target in [identity for found in others for identity in found][:SEARCHES]:
        probed.reads += 1
        answer = view.qdrant.call(
            spec.collection,
            lambda client, target=target: client.query_points(  # type: ignore[misc]
                spec.collection,
                query=target,
                using=vector or None,
                query_filter=own,
                limit=FOUND,
                with_payload=[path(spec.key.name)],
            ),
        )
        for point in answer.points:
            yield point.id, (point.payload or {}).get(spec.key.name)


def _some(view: View, spec: PointSpec, tenant: str) -> list[PointId]:
    assert view.qdrant is not None
    page = view.qdrant.scroll(spec.collection, filter=equals_filter(spec.key, tenant), limit=1)
    return [point.id for point in page.points]
