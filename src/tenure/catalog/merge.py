"""The catalog as it was before tenure came, with what has appeared since: what a plan is made from, also mid-way."""

from __future__ import annotations

from typing import Protocol, TypeVar

from tenure.catalog import Catalog


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def merged(baseline: Catalog, live: Catalog) -> Catalog:
    """Return *live* with every object that the *baseline* knew in the form it had then; what is gone stays gone.

    A run changes the catalog that it was planned from (columns appear, uniques double). Planning again from the changed
    one would take tenure's own work for the user's; planning from the baseline gives the same operations again.
    """
    postgres = live.postgres
    before = {table.display: table for table in baseline.postgres.tables}
    postgres = postgres.model_copy(
        update={"tables": tuple(before.get(table.display, table) for table in postgres.tables)}
    )
    neo4j = live.neo4j
    if neo4j is not None and baseline.neo4j is not None:
        neo4j = neo4j.model_copy(
            update={
                "labels": _older(baseline.neo4j.labels, neo4j.labels),
                "relationship_types": _older(baseline.neo4j.relationship_types, neo4j.relationship_types),
                "constraints": baseline.neo4j.constraints,
                "indexes": baseline.neo4j.indexes,
            }
        )
    qdrant = live.qdrant
    if qdrant is not None and baseline.qdrant is not None:
        qdrant = qdrant.model_copy(update={"collections": _older(baseline.qdrant.collections, qdrant.collections)})
    return Catalog(postgres=postgres, neo4j=neo4j, qdrant=qdrant)


def _older(baseline: tuple[N, ...], live: tuple[N, ...]) -> tuple[N, ...]:
    before = {found.name: found for found in baseline}
    return tuple(before.get(found.name, found) for found in live)
