"""The tenant x store matrix: how many items of each object every tenant has, and every bin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from psycopg import sql

from tenure.attribution.rows import table_sql
from tenure.checks.base import MatrixRow, View
from tenure.checks.row_bins import BINS

Counts = Mapping[str, Mapping[str, int]]
"""Items by object, then by tenant or bin."""


def matrix(view: View, postgres: Counts, neo4j: Counts, qdrant: Counts) -> tuple[MatrixRow, ...]:
    """Return a row for every registered tenant, sorted, then one for every bin; an object stands in every row."""
    query = sql.SQL("SELECT DISTINCT ({0})::text FROM {1} WHERE {0} IS NOT NULL").format(
        sql.Identifier(view.key.registry_column), table_sql(view.key.registry)
    )
    tenants = {tenant for (tenant,) in view.query(query)}
    for counts in (postgres, neo4j, qdrant):
        for found in counts.values():
            tenants.update(found)
    ordered = [*_sorted(tenants - set(BINS), view.key.type), *BINS]
    return tuple(
        MatrixRow(
            tenant=tenant,
            postgres={name: found.get(tenant, 0) for name, found in postgres.items()},
            neo4j={name: found.get(tenant, 0) for name, found in neo4j.items()},
            qdrant={name: found.get(tenant, 0) for name, found in qdrant.items()},
        )
        for tenant in ordered
    )


def _sorted(tenants: Iterable[str], type_: Literal["text", "uuid", "bigint"]) -> list[str]:
    if type_ == "bigint":
        return sorted(tenants, key=lambda tenant: (not tenant.lstrip("-").isdigit(), len(tenant), tenant))
    return sorted(tenants)
