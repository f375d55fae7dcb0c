"""Reads one Neo4j database into a `Neo4jCatalog`: counts from the count store, properties from bounded samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import neo4j

from tenure.catalog.neo4j import (
    Constraint,
    GraphIndex,
    Label,
    Neo4jCatalog,
    Property,
    RelationshipEnds,
    RelationshipType,
    cypher_prefix,
    version_numbers,
)
from tenure.stores.cypher import quote

SAMPLE = 1000
"""About how many nodes are looked at for each label, and relationships for each type, to learn their properties."""

MANY_LABELS = 40
"""From so many labels on, asking the count store about each of them costs more than it saves."""

# Multiplying by one prime modulo another spreads the sample evenly over the ids, and the same every time.
_MODULUS, _FACTOR = 1_000_003, 7919

# Cypher 25 calls two kinds of constraints by longer names; the catalog speaks Cypher 5.
_KINDS = {
    "NODE_PROPERTY_UNIQUENESS": "UNIQUENESS",
    "RELATIONSHIP_PROPERTY_UNIQUENESS": "RELATIONSHIP_UNIQUENESS",
}

Rows = list[dict[str, Any]]
Query = Callable[..., Rows]


def introspect_neo4j(driver: neo4j.Driver, database: str | None) -> Neo4jCatalog:
    """Return what is in *database* (the user's home database when None); nothing is written.

    Labels and types that no item has any more are left out. Which labels a relationship type connects comes from the
    count store where that decides it (one label at each end); otherwise the relationships of that type are read once,
    as all nodes are once for those without a label.

    Raises neo4j.exceptions.Neo4jError or neo4j.exceptions.DriverError where the server fails.
    """
    with driver.session(
        database=database,
        default_access_mode=neo4j.READ_ACCESS,
        notifications_min_severity=neo4j.NotificationMinimumSeverity.OFF,
    ) as session:

        def ask(text: str, **parameters: Any) -> Rows:
            return session.execute_read(lambda transaction: transaction.run(text, parameters).data())

        components = {row["name"]: row for row in ask("CALL dbms.components()")}
        kernel = components["Neo4j Kernel"]
        version: str = kernel["versions"][0]
        prefix = cypher_prefix(version)

        def query(text: str, **parameters: Any) -> Rows:
            return ask(prefix + text, **parameters)

        numbers = version_numbers(version)
        labels = _labels(query, numbers)
        return Neo4jCatalog(
            version=version,
            edition=kernel["edition"],
            cypher_versions=tuple(components["Cypher"]["versions"]) if "Cypher" in components else ("5",),
            default_language=_default_language(query, numbers, database),
            labels=labels,
            relationship_types=_relationship_types(query, numbers, [label.name for label in labels]),
            constraints=_constraints(query),
            indexes=_indexes(query),
            unlabelled_nodes=query("MATCH (n) WHERE size(labels(n)) = 0 RETURN count(*) AS n")[0]["n"],
        )


def _default_language(query: Query, version: tuple[int, ...], database: str | None) -> str:
    if version < (2025, 6):
        return "CYPHER 5"
    which = f"DATABASE {quote(database)}" if database else "HOME DATABASE"
    return str(query(f"SHOW {which} YIELD defaultLanguage")[0]["defaultLanguage"])


def _labels(query: Query, version: tuple[int, ...]) -> tuple[Label, ...]:
    labels = []
    for row in query("CALL db.labels() YIELD label RETURN label ORDER BY label"):
        name = row["label"]
        pattern = f"(x:{quote(name)})"
        count = query(f"MATCH {pattern} RETURN count(x) AS n")[0]["n"]
        if count:
            labels.append(Label(name=name, count=count, properties=_properties(query, version, pattern, count)))
    return tuple(labels)


def _relationship_types(query: Query, version: tuple[int, ...], labels: list[str]) -> tuple[RelationshipType, ...]:
    types = []
    names = query("CALL db.relationshipTypes() YIELD relationshipType AS name RETURN name ORDER BY name")
    for name in (row["name"] for row in names):
        pattern = f"()-[x:{quote(name)}]->()"
        count = query(f"MATCH {pattern} RETURN count(x) AS n")[0]["n"]
        if count:
            types.append(
                RelationshipType(
                    name=name,
                    count=count,
                    ends=_ends(query, name, count, labels),
                    properties=_properties(query, version, pattern, count),
                )
            )
    return tuple(types)


def _ends(query: Query, name: str, count: int, labels: list[str]) -> tuple[RelationshipEnds, ...]:
    if 0 < len(labels) < MANY_LABELS:
        start = _only_label(query, "MATCH (:{label})-[x:{type}]->()", name, count, labels)
        end = _only_label(query, "MATCH ()-[x:{type}]->(:{label})", name, count, labels) if start else None
        if start and end:
            return (RelationshipEnds(start=start, end=end, count=count),)
    found: dict[tuple[str, str], int] = defaultdict(int)
    for row in query(f"MATCH (a)-[x:{quote(name)}]->(b) RETURN labels(a) AS starts, labels(b) AS ends, count(*) AS n"):
        for start in row["starts"] or [""]:
            for end in row["ends"] or [""]:
                found[start, end] += row["n"]
    return tuple(RelationshipEnds(start=start, end=end, count=n) for (start, end), n in sorted(found.items()))


def _only_label(query: Query, template: str, name: str, count: int, labels: list[str]) -> str | None:
    """The label that the nodes at one end of all *count* relationships have, if it is the only one they have."""
    branches = [
        template.format(label=quote(label), type=quote(name)) + f" RETURN {place} AS label, count(x) AS n"
        for place, label in enumerate(labels)
    ]
    counted = [row for row in query(" UNION ALL ".join(branches)) if row["n"]]
    return labels[counted[0]["label"]] if len(counted) == 1 and counted[0]["n"] == count else None


def _properties(query: Query, version: tuple[int, ...], pattern: str, count: int) -> tuple[Property, ...]:
    sampled = f"MATCH {pattern}"
    if count > SAMPLE:
        sampled += f" WHERE id(x) % {_MODULUS} * {_FACTOR} % {_MODULUS} < $threshold WITH x LIMIT {2 * SAMPLE}"
    parameters = {"threshold": max(1, _MODULUS * SAMPLE // count)}
    of = query(f"{sampled} RETURN count(x) AS n", **parameters)[0]["n"]
    if version >= (5, 13):
        # The server tells the type of a value, so that long lists (embeddings) stay where they are.
        rows = query(
            f"{sampled} UNWIND keys(x) AS key WITH key, valueType(x[key]) AS type RETURN key, type, count(*) AS n",
            **parameters,
        )
    else:
        rows = [
            {"key": key, "type": cypher_type(value), "n": 1}
            for row in query(f"{sampled} RETURN properties(x) AS found", **parameters)
            for key, value in row["found"].items()
        ]
    types: dict[str, set[str]] = defaultdict(set)
    seen: dict[str, int] = defaultdict(int)
    for row in rows:
        types[row["key"]].add(row["type"].replace(" NOT NULL", ""))
        seen[row["key"]] += row["n"]
    return tuple(Property(name=key, types=tuple(sorted(types[key])), seen=seen[key], of=of) for key in sorted(types))


def cypher_type(value: Any) -> str:
    """Return what `valueType` of newer servers says of *value*, as the driver gave it, for servers before 5.13."""
    words = {bool: "BOOLEAN", int: "INTEGER", float: "FLOAT", str: "STRING"}
    if isinstance(value, list):
        return f"LIST<{' | '.join(sorted({cypher_type(item) for item in value})) or 'NOTHING'}>"
    return words.get(type(value), type(value).__name__.upper())


def _constraints(query: Query) -> tuple[Constraint, ...]:
    return tuple(
        Constraint(
            name=row["name"],
            kind=_KINDS.get(row["type"], row["type"]),
            entity=row["entityType"],
            labels_or_types=tuple(row["labelsOrTypes"] or ()),
            properties=tuple(row["properties"] or ()),
            owned_index=row.get("ownedIndex"),
            property_type=row.get("propertyType"),
            create_statement=row["createStatement"] or "",
        )
        for row in sorted(query("SHOW CONSTRAINTS YIELD *"), key=lambda row: str(row["name"]))
    )


def _indexes(query: Query) -> tuple[GraphIndex, ...]:
    return tuple(
        GraphIndex(
            name=row["name"],
            kind=row["type"],
            state=row["state"],
            population=row["populationPercent"],
            entity=row["entityType"],
            labels_or_types=tuple(row["labelsOrTypes"] or ()),
            properties=tuple(row["properties"] or ()),
            owning_constraint=row.get("owningConstraint"),
            create_statement=row["createStatement"] or "",
        )
        for row in sorted(query("SHOW INDEXES YIELD *"), key=lambda row: str(row["name"]))
    )
