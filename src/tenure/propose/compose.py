"""`propose(catalog, evidence)`: from what was found and seen to the rules of a playbook. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tenure.catalog import Catalog
from tenure.catalog.postgres import PostgresCatalog
from tenure.propose.describe import comments, confidence, counts
from tenure.propose.evidence import Evidence
from tenure.propose.graph import Graph
from tenure.propose.points import collection_entries
from tenure.propose.proposal import Entry, Proposal
from tenure.propose.tables import Tables
from tenure.propose.uniques import array_references, uniqueness
from tenure.propose.unowned import verdicts
from tenure.propose.values import Tenants
from tenure.propose.yaml_text import flow


def propose(catalog: Catalog, evidence: Evidence) -> Proposal:
    """Return the proposed rules of every object in *catalog*; none where the registry is an open question."""
    registry = evidence.registry
    stores = ["postgres"]
    stores += ["neo4j"] if catalog.neo4j is not None else []
    stores += ["qdrant"] if catalog.qdrant is not None else []
    base = Proposal(
        key=evidence.key,
        type=registry.type,
        registry=(registry.table or "?", registry.column or "?"),
        registry_comments=_registry_comments(evidence),
        stores=tuple(stores),
    )
    if not registry.table:
        return base
    tables = decided(catalog.postgres, evidence)
    tenants = tables.tenants
    proposal = replace(base, entries=tuple(_tables(tables)))
    entries = [*uniqueness(proposal, catalog.postgres, evidence)]
    if catalog.neo4j is not None:
        entries.extend(Graph(catalog.neo4j, evidence, tables.attributor).entries())
    if catalog.qdrant is not None:
        entries.extend(collection_entries(catalog.qdrant, evidence, tables.attributor))
    untagged = sorted(tenants.untagged - evidence.untagged)
    return replace(
        base,
        entries=tuple(entries),
        aliases=tuple(sorted(tenants.learned.values(), key=lambda alias: (alias.tenant, alias.value))),
        untagged=tuple(untagged),
        tenant_comments=tuple(f"untagged {value!r}: {tenants.reasons[value]}" for value in untagged),
    )


def decided(catalog: PostgresCatalog, evidence: Evidence) -> Tables:
    """Return the tables with their sources chosen, and the spellings of tenants that were learnt on the way."""
    registry = evidence.registry
    tenants = Tenants.of(evidence.tables[registry.table], registry.column, evidence.aliases, evidence.untagged)
    tables = Tables(catalog, evidence, tenants)
    tables.decide()
    return tables


def _registry_comments(evidence: Evidence) -> tuple[str, ...]:
    registry = evidence.registry
    if registry.table:
        return (registry.why,) if registry.why else ()
    lines = [f"question: which table lists the tenants? {registry.why}. Candidates:"]
    lines += [f"  {candidate}" for candidate in registry.candidates] or ["  none"]
    return (*lines, "Name it here and run `tenure init` again, or give `--registry TABLE.COLUMN`.")


def _tables(tables: Tables) -> Iterator[Entry]:
    """Yield the tables, keyed ones in an order in which parents come first, then those without a tenant."""
    rest = verdicts(tables)
    keyed = sorted(tables.choices.values(), key=lambda choice: (choice.links, choice.table))
    for choice in keyed:
        rows = tables.evidence.tables[choice.table]
        lines = (*comments(choice, rows), *counts(choice, tables.evidence.counted))
        if choice.rivals:
            candidates = tuple(f"candidate: {flow(source.rule)}" for source in choice.rivals)
            why = "question: these contradict each other; which one owns the row?"
            yield Entry("postgres", choice.table, {"tenant": "?"}, (why, *candidates, *lines), None)
            continue
        sources = [dict(source.rule) for source in choice.sources]
        rule: dict[str, Any] = {"tenant": sources[0] if len(sources) == 1 else {"first": sources}}
        table = tables.catalog.table(choice.table)
        assert table is not None
        for column, target, found in array_references(table, tables.evidence.found):
            rule.setdefault("references", {})[column] = target
            lines = (*lines, f"entries of `{column}` stand in {target}: {found.matched} of {found.distinct}")
        yield Entry("postgres", choice.table, rule, lines, confidence(choice))
    for name, verdict in sorted(rest.items(), key=lambda item: (item[1].kind, item[0])):
        if verdict.kind == "question":
            yield Entry(
                "postgres", name, {"tenant": "?"}, ("question: no way to a tenant was found", *verdict.comments)
            )
        else:
            yield Entry("postgres", name, {verdict.kind: verdict.reason}, verdict.comments, verdict.confidence)
