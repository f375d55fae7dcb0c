"""Renders the Neo4j part of a plan as one file for cypher-shell, or for any Bolt session, statement by statement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.spec import ItemRule, NeighboursSource, RowSource
from tenure.catalog.neo4j import Neo4jCatalog
from tenure.operations.base import Operation
from tenure.operations.identity_index import IdentityIndex
from tenure.operations.node_constraint import NodeConstraint
from tenure.operations.text import short_name
from tenure.planner.plan import Plan
from tenure.render import cypher_nodes, cypher_relationships
from tenure.render.cypher_terms import (
    SEVERAL,
    VALUE_LABEL,
    Dialect,
    decoded,
    name,
    on_one_line,
    text,
    untagged,
)
from tenure.render.exports import TENANTS_FILE, Export
from tenure.render.text import CYPHER_FILE, header, one_line

T = TypeVar("T", bound=Operation)


def neo4j_file(
    plan: Plan, graph: GraphSpec, catalog: Neo4jCatalog, exported: list[Export], version: str | None = None
) -> str:
    """Return the text of the file, for servers of *version* or later within the same major one."""
    return "\n".join(_File(plan, graph, catalog, Dialect(version or catalog.version)).lines(exported)) + "\n"


class _File:
    """The parts of the file, in order."""

    def __init__(self, plan: Plan, graph: GraphSpec, catalog: Neo4jCatalog, dialect: Dialect) -> None:
        """Render for *dialect*."""
        self.plan = plan
        self.graph = graph
        self.catalog = catalog
        self.dialect = dialect

    def lines(self, exported: list[Export]) -> Iterator[str]:
        """Yield comments and statements."""
        key = self.graph.key.name
        major = ".".join(self.dialect.version.split(".")[:2])
        yield header(
            self.plan,
            "//",
            f"{CYPHER_FILE}: {one_line(key)} on every node and relationship, and uniqueness per {one_line(key)}.",
            "",
            f"For Neo4j {major} Community or Enterprise, in Cypher 5. First copy these files, which the SQL file",
            "wrote, into the server's import directory:",
            *(f"  {export.file}: {one_line(export.about)}" for export in exported),
            "",
            f"cypher-shell --fail-fast -f {CYPHER_FILE}",
            "Or over Bolt, each statement in an auto-commit transaction: leave out the lines that start with //, and",
            "cut after every line that ends with a semicolon. May be run again at any time.",
            "",
            "Where the syntax of servers differs (`tenure render --neo4j-version` writes it):",
            "  before 5.23  CALL { WITH n ... } instead of CALL (n) { ... }",
            "  before 5.21  no CYPHER 5 in front of a statement",
            "  4.4          CREATE INDEX instead of CREATE RANGE INDEX",
        )
        yield _title("1. Look at this first: each must give no row, or the constraint per tenant cannot be made")
        yield from self._duplicates()
        yield _title("2. What an interrupted run may have left, and indexes that this file looks things up by")
        yield from self._clean()
        yield from self._indexes()
        yield _title("3. Which value means which tenant: the registry and the aliases, as nodes that the end removes")
        yield from self._tenants()
        yield from self._nodes()
        yield from self._relationships()
        yield _title("6. Uniqueness per tenant, beside the old one, which stays")
        yield from self._constraints()
        yield from self._old_constraints()
        yield _title("7. Nodes that belong to several tenants: cutover splits them (`tenure apply --through cutover`)")
        yield from self._several()
        yield _title("8. Away with what was temporary")
        yield from self._clean()
        yield from self._drop_indexes()
        yield _title("9. What has no key now: each must give 0")
        yield from self._counts()

    def _statement(self, body: str) -> str:
        return f"{self.dialect.prefix}{body};"

    def _duplicates(self) -> Iterator[str]:
        for operation in self._of(NodeConstraint):
            item = self._pattern(operation)
            values = [f"x.{name(p)}" for p in operation.properties if p != operation.key]
            listed = ", ".join(f"{value} AS v{number}" for number, value in enumerate(values))
            columns = ", ".join(f"v{number}" for number in range(len(values)))
            there = " AND ".join(f"{value} IS NOT NULL" for value in values)
            present = f"x.{name(operation.key)}"
            yield self._statement(
                f"MATCH {item} WHERE {there}\nWITH {present} AS tenant, {listed}, count(x) AS times WHERE times > 1\n"
                f"RETURN {text(operation.object)} AS object, tenant, {columns}, times\nLIMIT 100"
            )

    def _indexes(self) -> Iterator[str]:
        for operation in self._of(IdentityIndex):
            for statement in operation.model_copy(update={"prefix": self.dialect.prefix}).statements():
                yield self.dialect.schema(on_one_line(statement))
        yield self._statement(
            self.dialect.schema(f"CREATE RANGE INDEX {VALUE_LABEL} IF NOT EXISTS FOR (v:{VALUE_LABEL}) ON (v.value)")
        )
        for index, pattern, property_ in self._temporary():
            statement = f"CREATE RANGE INDEX {name(index)} IF NOT EXISTS FOR {pattern} ON (x.{name(property_)})"
            yield self._statement(self.dialect.schema(statement))
        yield self._statement("CALL db.awaitIndexes(3600)")

    def _drop_indexes(self) -> Iterator[str]:
        for index, _, _ in self._temporary():
            yield self._statement(f"DROP INDEX {name(index)} IF EXISTS")
        yield self._statement(f"DROP INDEX {VALUE_LABEL} IF EXISTS")

    def _temporary(self) -> Iterator[tuple[str, str, str]]:
        """Yield (name, pattern, property) of the indexes that only this file needs: what rows are matched by."""
        for node in self.graph.nodes:
            for match in _matched(node.rule):
                if match != node.identity and not self.catalog.has_index_on(node.label, match):
                    yield short_name("tenure_tmp", node.label, match), f"(x:{name(node.label)})", match
        for edge in self.graph.relationships:
            for match in _matched(edge.rule):
                yield short_name("tenure_tmp", edge.type, match), f"()-[x:{name(edge.type)}]-()", match

    def _tenants(self) -> Iterator[str]:
        body = [f"CREATE (:{VALUE_LABEL} {{value: {decoded('row.value')}, tenant: {decoded('row.tenant')}}})"]
        yield self._statement(
            f"LOAD CSV WITH HEADERS FROM 'file:///{TENANTS_FILE}' AS row\n{self.dialect.subquery('row', body)}"
        )

    def _nodes(self) -> Iterator[str]:
        prepared: set[str] = set()
        yield _title("4. The nodes, label by label; what decides others comes first")
        for spec in self.graph.nodes:
            yield f"// {one_line(spec.label)}"
            for place, source in enumerate(spec.rule.sources):
                if isinstance(source, RowSource):
                    identity = source.match or spec.identity
                    if identity is not None:
                        pattern = f"(n:{name(spec.label)})"
                        statement = cypher_nodes.from_rows(self.dialect, pattern, "n", place, source, identity)
                        yield self._statement(statement)
                elif isinstance(source, NeighboursSource):
                    for type_ in source.types:
                        yield from self._prepared(self.graph.relationship(type_), spec, prepared)
                    yield self._statement(cypher_nodes.around(self.dialect, self.graph, spec, place, source))
            yield self._statement(cypher_nodes.decide(self.dialect, self.graph, spec))

    def _prepared(self, edge: RelationshipSpec | None, spec: NodeSpec, prepared: set[str]) -> Iterator[str]:
        """Yield what relationships must know of themselves before nodes ask them."""
        if edge is None:
            return
        if edge.type not in prepared:
            prepared.add(edge.type)
            for statement in cypher_relationships.own_answers(self.dialect, self.graph, edge):
                yield self._statement(statement)
        for statement in cypher_relationships.owners(self.dialect, self.graph, edge, asking=spec.label):
            yield self._statement(statement)

    def _relationships(self) -> Iterator[str]:
        yield _title("5. The relationships, type by type")
        for spec in self.graph.relationships:
            yield f"// {one_line(spec.type)}"
            for statement in cypher_relationships.own_answers(self.dialect, self.graph, spec):
                yield self._statement(statement)
            for statement in cypher_relationships.owners(self.dialect, self.graph, spec):
                yield self._statement(statement)
            yield self._statement(cypher_relationships.decide(self.dialect, self.graph, spec))

    def _constraints(self) -> Iterator[str]:
        for operation in self._of(NodeConstraint):
            for statement in operation.model_copy(update={"prefix": self.dialect.prefix}).statements():
                yield self.dialect.schema(on_one_line(statement))

    def _old_constraints(self) -> Iterator[str]:
        """Yield the guidance on the constraints that hold over all tenants: comments only."""
        split = {spec.label for spec in self.graph.nodes if spec.splits}
        asked = {(operation.entity, operation.label, operation.properties) for operation in self._of(NodeConstraint)}
        old = [
            constraint
            for constraint in self.catalog.constraints
            if (constraint.entity, next(iter(constraint.labels_or_types), ""), constraint.properties) in asked
        ]
        if not old:
            return
        yield ""
        yield "// The old uniqueness holds over all tenants: a second tenant cannot use a name of the first yet. Drop"
        yield "// it only when all of this is true: the counts at the end of this file are 0; SHOW CONSTRAINTS has the"
        yield "// constraints above; every writer sends the key; nobody merges by the old name alone. It cannot come"
        yield "// back once two tenants have used one name."
        for constraint in old:
            label = next(iter(constraint.labels_or_types), "")
            why = (
                "  // its nodes are split first: leave it to `tenure apply --through cutover`" if label in split else ""
            )
            yield f"// {self.dialect.prefix}DROP CONSTRAINT {name(constraint.name)} IF EXISTS;{why}"

    def _several(self) -> Iterator[str]:
        for spec in self.graph.nodes:
            if spec.splits:
                shown = f"n.{name(spec.identity)}" if spec.identity is not None else "id(n)"
                yield self._statement(
                    f"MATCH (n:{name(spec.label)}) WHERE size(n.{SEVERAL}) > 1\n"
                    f"RETURN {text(spec.label)} AS label, {shown} AS node, n.{SEVERAL} AS tenants\n"
                    "ORDER BY node LIMIT 100"
                )

    def _clean(self) -> Iterator[str]:
        """Yield the statements that take away temporary properties and nodes."""
        yield self._statement(f"MATCH (v:{VALUE_LABEL})\n{self.dialect.subquery('v', ['DELETE v'])}")
        for node in self.graph.nodes:
            yield from self._removal(f"(n:{name(node.label)})", "n", cypher_nodes.temporary(node))
        for edge in self.graph.relationships:
            pattern = f"()-[x:{name(edge.type)}]->()"
            yield from self._removal(pattern, "x", cypher_relationships.temporary(edge))

    def _removal(self, pattern: str, item: str, names: list[str]) -> Iterator[str]:
        if not names:
            return
        there = " OR ".join(f"{one} IS NOT NULL" for one in names)
        body = [f"REMOVE {', '.join(names)}"]
        yield self._statement(f"MATCH {pattern} WHERE {there}\n{self.dialect.subquery(item, body)}")

    def _counts(self) -> Iterator[str]:
        for node in self.graph.nodes:
            yield self._statement(
                f"MATCH (n:{name(node.label)}) WHERE {untagged(self.graph.key, 'n')}\n"
                f"RETURN {text(node.label)} AS object, count(n) AS `without a key`"
            )
        for edge in self.graph.relationships:
            yield self._statement(
                f"MATCH ()-[x:{name(edge.type)}]->() WHERE {untagged(self.graph.key, 'x')}\n"
                f"RETURN {text(edge.type)} AS object, count(x) AS `without a key`"
            )

    def _of(self, kind: type[T]) -> list[T]:
        return [operation for operation in self.plan.operations if isinstance(operation, kind)]

    def _pattern(self, operation: NodeConstraint) -> str:
        label = name(operation.label)
        return f"(x:{label})" if operation.entity == "NODE" else f"()-[x:{label}]->()"


def _matched(rule: ItemRule) -> Iterator[str]:
    """Yield the properties that rows are looked up by."""
    for source in rule.sources:
        if isinstance(source, RowSource) and source.match is not None:
            yield source.match


def _title(line: str) -> str:
    return f"\n// {line}.\n"
