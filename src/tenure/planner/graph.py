"""What is planned for Neo4j: identity indexes, nodes before what leans on them, relationships, constraints, splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tenure.attribution.build import RowRules, problem, resolved_policy, table_name
from tenure.attribution.graph import GraphSpec, NodeSpec, Reference, RelationshipSpec
from tenure.attribution.spec import (
    ColumnSource,
    ConstantSource,
    EndRowsSource,
    EndsSource,
    ItemRule,
    ItemSource,
    NeighboursSource,
)
from tenure.catalog import Catalog
from tenure.catalog.neo4j import Constraint, Neo4jCatalog
from tenure.operations.base import Operation
from tenure.operations.drop_constraint import DropConstraint
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.node_constraint import NodeConstraint
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.operations.split_node import SplitNode
from tenure.planner.points import row_source
from tenure.playbook import sources
from tenure.playbook.base import split_dotted
from tenure.playbook.models import GraphRules, Playbook
from tenure.playbook.rules import NodeRule, RelationshipRule
from tenure.values import Finding


@dataclass
class GraphPlan:
    """The resolved rules of the graph, the catalog they were resolved against, and what is wrong."""

    spec: GraphSpec | None = None
    catalog: Neo4jCatalog | None = None
    findings: list[Finding] = field(default_factory=list)


def rules(playbook: Playbook, catalog: Catalog, built: RowRules) -> GraphPlan:
    """Resolve every keyed label and relationship type. Nothing is raised; what is wrong becomes a finding."""
    found = GraphPlan(catalog=catalog.neo4j)
    if catalog.neo4j is None or playbook.neo4j is None:
        return found
    graph = playbook.neo4j
    nodes = {}
    for label, rule in graph.nodes.items():
        if rule.kind == "keyed" and catalog.neo4j.label(label) is not None:
            nodes[label] = _node(label, rule, playbook, catalog, built, found.findings)
    relationships = []
    for name, edge in graph.relationships.items():
        if edge.kind == "keyed" and catalog.neo4j.relationship_type(name) is not None:
            relationships.append(_relationship(name, edge, playbook, catalog, built, found.findings))
    for label, spec in nodes.items():
        found.findings.extend(_unknown_types(label, spec, catalog.neo4j))
    order = _order(graph, nodes, catalog.neo4j, found.findings)
    found.spec = GraphSpec(
        key=built.key,
        nodes=tuple(nodes[label] for label in order),
        relationships=tuple(relationships),
        shared_labels=tuple(sorted(label for label, rule in graph.nodes.items() if rule.kind == "shared")),
    )
    return found


def _node(
    label: str,
    rule: NodeRule,
    playbook: Playbook,
    catalog: Catalog,
    built: RowRules,
    findings: list[Finding],
) -> NodeSpec:
    resolved = [_source(label, source, catalog, built, findings) for source in rule.sources]
    assert catalog.neo4j is not None
    found = catalog.neo4j.label(label)
    return NodeSpec(
        label=label,
        identity=rule.identity,
        rule=ItemRule(
            key=built.key,
            sources=tuple(source for source in resolved if source is not None),
            policy=resolved_policy(playbook.policy(rule)),
        ),
        several=rule.several,
        stale=rule.stale,
        key_exists=found is not None and found.property(built.key.name) is not None,
    )


def _relationship(
    name: str,
    rule: RelationshipRule,
    playbook: Playbook,
    catalog: Catalog,
    built: RowRules,
    findings: list[Finding],
) -> RelationshipSpec:
    resolved = [_source(name, source, catalog, built, findings) for source in rule.sources]
    assert catalog.neo4j is not None
    found = catalog.neo4j.relationship_type(name)
    ends = found.ends if found is not None else ()
    references = []
    for property_, dotted in rule.references.items():
        label, identity = split_dotted(dotted)
        references.append(Reference(property=property_, label=label, identity=identity))
    return RelationshipSpec(
        type=name,
        start_labels=tuple(sorted({end.start for end in ends})),
        end_labels=tuple(sorted({end.end for end in ends})),
        rule=ItemRule(
            key=built.key,
            sources=tuple(source for source in resolved if source is not None),
            policy=resolved_policy(playbook.policy(rule)),
        ),
        references=tuple(references),
        key_exists=found is not None and found.property(built.key.name) is not None,
    )


def _source(
    name: str, source: sources.Source, catalog: Catalog, built: RowRules, findings: list[Finding]
) -> ItemSource | None:
    if isinstance(source, sources.Constant):
        return ConstantSource(value=source.constant)
    if isinstance(source, sources.Property):
        return ColumnSource(name=source.property)
    if isinstance(source, sources.Neighbours):
        return NeighboursSource(types=source.neighbours)
    if isinstance(source, sources.Ends):
        return EndsSource()
    if isinstance(source, sources.EndsFromPostgres):
        resolved = [
            row_source(name, source.table, column, None, catalog, built, findings, "neo4j")
            for column in (source.match.start, source.match.end)
        ]
        if None in resolved:
            return None
        return EndRowsSource(
            table=table_name(source.table, catalog.postgres),
            start_column=source.match.start,
            end_column=source.match.end,
        )
    assert isinstance(source, sources.FromPostgres), source
    return row_source(name, source.table, source.column, source.match, catalog, built, findings, "neo4j")


def _unknown_types(label: str, spec: NodeSpec, catalog: Neo4jCatalog) -> Iterator[Finding]:
    for source in spec.rule.sources:
        if isinstance(source, NeighboursSource):
            for type_ in source.types:
                found = catalog.relationship_type(type_)
                if found is None or all(label not in (end.start, end.end) for end in found.ends):
                    yield problem(
                        "TEN004",
                        label,
                        f"no relationship of type {type_!r} touches a node with this label",
                        f"Types are: {', '.join(sorted(t.name for t in catalog.relationship_types))}.",
                        "neo4j",
                    )


def _order(graph: GraphRules, nodes: dict[str, NodeSpec], catalog: Neo4jCatalog, findings: list[Finding]) -> list[str]:
    """Return the labels so that those whose tenant comes from neighbours follow the labels of these neighbours.

    A relationship with a source of its own says itself to whom it belongs, so the label at its other end need not be
    waited for; it is, where that does not lead in a circle, if the relationship goes by its ends as well.
    """
    needed: dict[str, set[str]] = {label: set() for label in nodes}
    wanted: dict[str, set[str]] = {label: set() for label in nodes}
    for label, spec in nodes.items():
        for source in spec.rule.sources:
            if not isinstance(source, NeighboursSource):
                continue
            for type_ in source.types:
                rule = graph.relationships.get(type_)
                by_ends = [isinstance(one, sources.Ends) for one in rule.sources] if rule is not None else [True]
                if not any(by_ends):
                    continue
                found = catalog.relationship_type(type_)
                for end in found.ends if found is not None else ():
                    if label in (end.start, end.end):
                        other = end.end if end.start == label else end.start
                        if other in nodes and other != label:
                            (needed if all(by_ends) else wanted)[label].add(other)
    around: list[str] = []
    for waits in ({label: needed[label] | wanted[label] for label in nodes}, needed):
        try:
            return list(TopologicalSorter(waits).static_order())
        except CycleError as error:
            around = error.args[1]
    findings.append(
        problem(
            "TEN005",
            around[0],
            f"the `neighbours` sources form a cycle: {' -> '.join(reversed(around))}",
            "Give one of these labels a source that does not lead back to it, or the relationship one of its own.",
            "neo4j",
        )
    )
    return list(nodes)


def expand(plan: GraphPlan) -> Iterator[Operation]:
    """Yield an index for every identity that the backfill pages by and that has none."""
    if plan.spec is None or plan.catalog is None:
        return
    for spec in plan.spec.nodes:
        if spec.identity is not None and not plan.catalog.has_index_on(spec.label, spec.identity):
            yield IdentityIndex(object=spec.label, identity=spec.identity, prefix=plan.catalog.prefix)


def backfill(plan: GraphPlan) -> Iterator[Operation]:
    """Yield one backfill per label, neighbours first, then one per relationship type."""
    if plan.spec is None or plan.catalog is None:
        return
    for spec in plan.spec.nodes:
        label = plan.catalog.label(spec.label)
        size = label.count if label is not None else 0
        yield NodeBackfill(object=spec.label, graph=plan.spec, prefix=plan.catalog.prefix, planned=size)
    for edge in plan.spec.relationships:
        found = plan.catalog.relationship_type(edge.type)
        size = found.count if found is not None else 0
        yield RelationshipBackfill(object=edge.type, graph=plan.spec, prefix=plan.catalog.prefix, planned=size)


def constrain(plan: GraphPlan) -> Iterator[Operation]:
    """Yield the per-tenant form of every global uniqueness; the global one stays until contract, or until a split."""
    if plan.spec is None or plan.catalog is None:
        return
    for name, constraint in _uniquenesses(plan):
        yield NodeConstraint(
            object=f"{name}.{'.'.join(constraint.properties)}",
            label=name,
            properties=constraint.properties,
            key=plan.spec.key.name,
            entity=constraint.entity,
            prefix=plan.catalog.prefix,
        )


def cutover(plan: GraphPlan) -> Iterator[Operation]:
    """Yield the splits of labels whose nodes several tenants share."""
    if plan.spec is None or plan.catalog is None:
        return
    for spec in plan.spec.nodes:
        if spec.splits:
            names = tuple(constraint.name for label, constraint in _uniquenesses(plan) if label == spec.label)
            yield SplitNode(
                object=spec.label, graph=plan.spec, constraints=names, prefix=plan.catalog.prefix, waiting=""
            )


def contract(plan: GraphPlan) -> Iterator[Operation]:
    """Yield the drops of the global uniquenesses; those of labels that are split went at cutover."""
    if plan.spec is None or plan.catalog is None:
        return
    split = {("NODE", spec.label) for spec in plan.spec.nodes if spec.splits}
    for name, constraint in _uniquenesses(plan):
        if (constraint.entity, name) not in split:
            yield DropConstraint(
                object=f"{name}.{constraint.name}",
                name=constraint.name,
                label=name,
                properties=constraint.properties,
                key=plan.spec.key.name,
                entity=constraint.entity,
                create=constraint.create_statement,
                prefix=plan.catalog.prefix,
            )


def _uniquenesses(plan: GraphPlan) -> Iterator[tuple[str, Constraint]]:
    """Yield (label or type, constraint) for the uniquenesses of keyed objects that do not name the key yet."""
    assert plan.spec is not None
    assert plan.catalog is not None
    keyed = {("NODE", spec.label) for spec in plan.spec.nodes}
    keyed |= {("RELATIONSHIP", spec.type) for spec in plan.spec.relationships}
    for constraint in plan.catalog.constraints:
        unique = constraint.kind.endswith("UNIQUENESS") or constraint.kind.endswith("KEY")
        name = constraint.labels_or_types[0] if constraint.labels_or_types else ""
        if unique and (constraint.entity, name) in keyed and plan.spec.key.name not in constraint.properties:
            yield name, constraint
