"""Gathers the evidence for a proposal from the open stores, within a minute unless all is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from tenure.catalog import Catalog
from tenure.errors import UsageError
from tenure.propose.describe import shown
from tenure.propose.evidence import Evidence, RegistryChoice
from tenure.propose.gather_postgres import BUDGET_S, STATEMENT_MS, PostgresReader, is_array
from tenure.propose.links import (
    COMPARED,
    declared_links,
    found_links,
    keyable,
    named_links,
    polymorphic_links,
    wanted_values,
)
from tenure.propose.registry import chosen, find_registry

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore
    from tenure.stores.qdrant import QdrantStore

FULL_MS, FULL_BUDGET_S = 600_000, 86_400.0
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What the person wants: the tenant key's name (given or not), the registry, all rows counted, what is known.

    *unkeyed* are tables that the playbook at hand says have no tenant: none is looked for through them.
    """

    key: str = "project_id"
    key_given: bool = False
    registry: tuple[str, str] | None = None
    full: bool = False
    aliases: Mapping[str, str] | None = None
    untagged: frozenset[str] = frozenset()
    unkeyed: frozenset[str] = frozenset()


def gather(
    connection: Connection[Any],
    catalog: Catalog,
    wish: Wish,
    *,
    neo4j: Neo4jStore | None = None,
    qdrant: QdrantStore | None = None,
    notify: Notify = lambda _: None,
) -> tuple[Evidence, tuple[str, ...]]:
    """Return the evidence, and notes on what could not be looked at. Writes nothing to any store."""
    reader = PostgresReader(connection, catalog.postgres)
    statement_ms, budget = (FULL_MS, FULL_BUDGET_S) if wish.full else (STATEMENT_MS, BUDGET_S)
    with reader.reading(statement_ms=statement_ms, budget=budget):
        notify("sampling tables")
        reader.sample()
        registry = _registry(catalog, reader, wish)
        if not registry.table:
            return Evidence(wish.key, registry, dict(reader.tables)), tuple(reader.notes)
        reader.registry = registry.table, registry.column
        reader.whole(registry.table)
        links = [*declared_links(catalog.postgres), *named_links(catalog.postgres)]
        links += polymorphic_links(catalog.postgres, reader.tables)
        known = {(link.child, link.columns[0], link.parent) for link in links if len(link.columns) == 1}
        notify("comparing values")
        columns = reader.search(wanted_values(catalog.postgres, reader.tables))
        links += found_links(columns, known)
        reader.follow(links)
        nodes, relationships, points, wanted = {}, {}, {}, _arrays(catalog, reader)
        if neo4j is not None and catalog.neo4j is not None:
            from tenure.propose.gather_graph import sample_nodes, sample_relationships

            notify("sampling the graph")
            nodes = sample_nodes(neo4j, catalog.neo4j, full=wish.full)
            relationships = sample_relationships(neo4j, catalog.neo4j)
            for label, sample in nodes.items():
                for name in sorted({name for node in sample.nodes for name in node.properties}):
                    wanted["neo4j", label, name] = _distinct(node.properties.get(name) for node in sample.nodes)
            for kind, sampled in relationships.items():
                for name, entries in sampled.lists.items():
                    wanted["neo4j", kind, name] = entries[:COMPARED]
        if qdrant is not None and catalog.qdrant is not None:
            from tenure.propose.gather_points import sample_points

            notify("sampling collections")
            points = sample_points(qdrant, catalog.qdrant, full=wish.full)
            for collection, of in points.items():
                wanted["qdrant", collection, ""] = _distinct(point.id for point in of.points)
                for name in sorted({name for point in of.points for name in point.payload}):
                    wanted["qdrant", collection, name] = _distinct(point.payload.get(name) for point in of.points)
        notify("matching graph and collections to tables")
        found = reader.search(wanted)
        for (_, object_, name), places in found.items():
            for place in places:
                values = _all_values(nodes, points, object_, name)
                reader.fetch(place.table, (place.column,), [(value,) for value in values])
        reader.follow(links)
        evidence = Evidence(
            key=wish.key,
            registry=registry,
            tables=dict(reader.tables),
            links=tuple(links),
            nodes=nodes,
            relationships=relationships,
            points=points,
            found=found,
            aliases=dict(wish.aliases or {}),
            untagged=wish.untagged,
            unkeyed=wish.unkeyed,
        )
        if wish.full:
            evidence = _counted(catalog, evidence, reader, notify)
    return evidence, tuple(reader.notes)


def _counted(catalog: Catalog, evidence: Evidence, reader: PostgresReader, notify: Notify) -> Evidence:
    """Return the evidence with all rows counted by the sources that the samples suggest."""
    from tenure.propose.compose import decided

    counted = {}
    for name, choice in decided(catalog.postgres, evidence).choices.items():
        notify(f"counting {name}")
        for source in choice.sources:
            found = reader.count(name, source)
            if found is not None:
                counted[name, shown(source)] = found
    return replace(evidence, counted=counted)


def _registry(catalog: Catalog, reader: PostgresReader, wish: Wish) -> RegistryChoice:
    if wish.registry is None:
        return find_registry(catalog.postgres, reader.tables, wish.key if wish.key_given else "")
    name, column = wish.registry
    table = catalog.postgres.table(name)
    if table is None:
        names = ", ".join(sorted(t.display for t in keyable(catalog.postgres))[:20])
        raise UsageError(detail=f"there is no table {name!r}, which --registry names. Tables are: {names}.")
    found = table.column(column)
    if found is None:
        names = ", ".join(c.name for c in table.columns)
        raise UsageError(detail=f"table {name} has no column {column!r}, which --registry names. It has: {names}.")
    return chosen(table, found, "")


def _arrays(catalog: Catalog, reader: PostgresReader) -> dict[tuple[str, str, str], Sequence[str]]:
    """Return distinct entries of every array column."""
    wanted: dict[tuple[str, str, str], Sequence[str]] = {}
    for table in keyable(catalog.postgres):
        for column in table.columns:
            if is_array(column):
                texts = (value for value in reader.tables[table.display].values(column.name) if value)
                entries = [str(entry) for text in texts for entry in json.loads(text) if isinstance(entry, str | int)]
                if entries and not all(entry.isdigit() for entry in entries):
                    wanted["postgres", table.display, column.name] = _distinct(entries)
    return wanted


def _distinct(values: Any) -> tuple[str, ...]:
    return tuple([value for value in dict.fromkeys(values) if value][:COMPARED])


def _all_values(nodes: Mapping[str, Any], points: Mapping[str, Any], object_: str, name: str) -> set[str]:
    """Return every sampled value that may have a row, not only the compared ones."""
    values: set[str | None] = set()
    if object_ in nodes:
        for node in nodes[object_].nodes:
            values.add(node.properties.get(name))
            values.update(near[2].get(name) for near in node.neighbours)
    if object_ in points:
        values.update(point.payload.get(name) if name else point.id for point in points[object_].points)
    return {value for value in values if value}
