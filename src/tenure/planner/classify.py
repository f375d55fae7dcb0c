"""Every object of every store is keyed, shared or exempt; what is not is an error: the playbook is a CI gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from tenure.attribution.build import problem, table_name
from tenure.catalog import Catalog
from tenure.planner.points import rekeyed_name
from tenure.playbook.models import GraphRules, Playbook
from tenure.playbook.rules import Rule
from tenure.values import Finding


def classification(playbook: Playbook, catalog: Catalog) -> Iterator[Finding]:
    """Yield an error for every object that only one side knows, and for every open question."""
    postgres = catalog.postgres
    registry = table_name(playbook.tenant.registry.table, postgres)
    if playbook.postgres is not None:
        tables = {
            table.display: f"{table.estimated_rows:,} rows"
            for table in postgres.tables
            if table.partition_of is None and (table.schema_name, table.name) != (registry.schema_name, registry.name)
        }
        yield from _compare("postgres", "table", playbook.postgres, tables)
    yield from _registry(playbook, catalog)
    if catalog.neo4j is not None and playbook.neo4j is not None:
        rules: GraphRules = playbook.neo4j
        labels = {label.name: f"{label.count:,} nodes" for label in catalog.neo4j.labels if label.count}
        types = {kind.name: f"{kind.count:,} relationships" for kind in catalog.neo4j.relationship_types if kind.count}
        yield from _compare("neo4j", "label", rules.nodes, labels, absent="warning")
        yield from _compare("neo4j", "relationship type", rules.relationships, types, absent="warning")
    if catalog.qdrant is not None and playbook.qdrant is not None:
        # The re-keyed copy of a collection is tenure's own.
        copies = {
            rekeyed_name(name, playbook.tenant.key) for name, rule in playbook.qdrant.items() if rule.ids != "keep"
        }
        collections = {
            found.name: f"{found.points:,} points" for found in catalog.qdrant.collections if found.name not in copies
        }
        yield from _compare("qdrant", "collection", playbook.qdrant, collections)


def _compare(
    store: str, what: str, rules: Mapping[str, Rule], found: Mapping[str, str], absent: str = "error"
) -> Iterator[Finding]:
    """Yield what differs. An absent label is a warning only: a graph forgets a label with its last node."""
    for name, size in sorted(found.items()):
        if name not in rules:
            yield problem(
                "TEN001",
                name,
                f"{what} {name} ({size}) is in the store and not in the playbook",
                "Say where its tenant comes from (`tenant:`), or why it has none (`shared: REASON`, `exempt: REASON`).",
                store,
            )
    for name, rule in rules.items():
        if name not in found:
            near = get_close_matches(name, found, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            finding = problem(
                "TEN002", name, f"{what} {name} is in the playbook and not in the store.{meant}",
                "Correct the name as the store shows it, or remove the entry.", store,
            )  # fmt: skip
            yield finding.model_copy(update={"severity": absent})
        elif rule.kind == "question":
            yield problem(
                "TEN003",
                name,
                f"{what} {name} ({found[name]}) is an open question",
                'Replace `tenant: "?"` by a source, `shared: REASON` or `exempt: REASON`.',
                store,
            )


def _registry(playbook: Playbook, catalog: Catalog) -> Iterator[Finding]:
    """Yield what is wrong with the registry: it must be there, and list each tenant once."""
    named = playbook.tenant.registry
    table = catalog.postgres.table(named.table)
    if table is None:
        yield problem(
            "TEN008", named.table, "the registry is not in the database",
            "Name the table that lists the tenants in `tenant.registry.table`, or create it.",
        )  # fmt: skip
        return
    if table.column(named.column) is None:
        yield problem(
            "TEN008", named.table, f"the registry has no column {named.column!r}",
            f"Columns are: {', '.join(column.name for column in table.columns)}.",
        )  # fmt: skip
    elif not table.unique_on([named.column]):
        yield problem(
            "TEN008", named.table, f"the registry's column {named.column} is not unique",
            "A tenant is listed once: add a unique constraint to the column.",
        )  # fmt: skip
