"""Renders what a graph backfill does as Cypher that a DBA can read and run."""

from __future__ import annotations

from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_read import untagged_values
from tenure.attribution.spec import ColumnSource, ConstantSource, EndRowsSource, EndsSource, ItemSource, RowSource
from tenure.stores.cypher import quote


def literal(value: object) -> str:
    """Return a text, a number or a list of them as a Cypher literal."""
    if isinstance(value, list):
        return "[" + ", ".join(literal(entry) for entry in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    # Cypher 5 replaces \\uXXXX before it parses: the backslash itself is written that way, twice for the string's own.
    text = str(value).replace("\\", "\\u005C\\u005C").replace("'", "\\u005C'")
    return f"'{text}'"


def untagged_text(graph: GraphSpec, variable: str) -> str:
    """Return the condition for "no tenant yet" with its values written out."""
    name = f"{variable}.{quote(graph.key.name)}"
    return f"({name} IS NULL OR {name} IN {literal(untagged_values(graph.key))})"


def backfill_text(graph: GraphSpec, spec: NodeSpec | RelationshipSpec, prefix: str) -> tuple[str, ...]:
    """Return the statement for one page, with a comment that says where `$rows` come from, and the final count."""
    key = quote(graph.key.name)
    sources = "; else ".join(_source(spec, source) for source in spec.rule.sources)
    condition = untagged_text(graph, "x")
    if isinstance(spec, NodeSpec):
        pattern, ends = f"(x:{quote(spec.label)})", ""
        found = f" {{{quote(spec.identity)}: row.id}}" if spec.identity else ""
        match = f"MATCH (x:{quote(spec.label)}{found})"
        fields = "{id, tenant}" if spec.identity else "{tenant}"
    else:
        pattern = f"()-[x:{quote(spec.type)}]->()"
        match, fields, ends = (
            f"MATCH (a)-[x:{quote(spec.type)}]->(b)",
            "{element, tenant}",
            " AND elementId(x) = row.element",
        )
    return (
        f"// $rows: a page of {fields}; the tenant is {sources}\n"
        f"{prefix}UNWIND $rows AS row {match} WHERE {condition}{ends} SET x.{key} = row.tenant;",
        f"// must come to 0\n{prefix}MATCH {pattern} WHERE {condition} RETURN count(x) AS untagged;",
    )


def _source(spec: NodeSpec | RelationshipSpec, source: ItemSource) -> str:
    if isinstance(source, ConstantSource):
        return f"always {source.value!r}"
    if isinstance(source, ColumnSource):
        return f"property {source.name}, after aliases, if it is in the registry"
    if isinstance(source, RowSource):
        by = source.match or (spec.identity if isinstance(spec, NodeSpec) else None)
        return f"the key of the row of {source.table.display} whose {source.column} is {by}"
    if isinstance(source, EndRowsSource):
        return f"the key of the row of {source.table.display} with {source.start_column} and {source.end_column}"
    if isinstance(source, EndsSource):
        return "the one that both ends have in common"
    return f"that of the neighbours by {', '.join(source.types)}"
