"""What becomes of each unique index and constraint: re-scoped, kept with a reason, or left alone as a surrogate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from tenure.attribution.spec import ColumnSource, RowRule
from tenure.catalog.postgres import Index, PostgresCatalog, Table, View
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.key_index import SurrogateUnique
from tenure.operations.rescope_unique import RescopeUnique
from tenure.operations.text import short_name
from tenure.playbook.rules import Keep, TableRule
from tenure.values import TableName

Class = Literal["rescope", "keep", "surrogate", "scoped", "invalid", "exclusion"]
"""`exclusion` is a `rescope` of an exclusion constraint, which is another operation."""


@dataclass(frozen=True)
class Verdict:
    """The class of one unique index of a table (or of one of its partitions), and why."""

    table: Table
    index: Index
    group: Class
    reason: str

    @property
    def object(self) -> str:
        """Return how reports call it."""
        return f"{self.table.display}.{self.index.name}"


def classify(catalog: PostgresCatalog, table: Table, rule: TableRule, row_rule: RowRule) -> Iterator[Verdict]:
    """Yield a verdict for every unique of a table and for those that only its partitions have."""
    for owner in (table, *below(catalog, table)):
        for index in owner.indexes:
            if (index.unique or index.exclusion) and index.parent is None:
                yield _verdict(owner, index, rule, row_rule)


def _verdict(table: Table, index: Index, rule: TableRule, row_rule: RowRule) -> Verdict:
    asked = next((rule.unique[name] for name in (index.name, index.constraint) if name in rule.unique), None)
    if not index.valid:
        return Verdict(table, index, "invalid", "left by a build that failed: it protects nothing and costs writes")
    if _is_scoped(index, row_rule.key.name):
        return Verdict(table, index, "scoped", f"holds per {row_rule.key.name} already")
    if isinstance(asked, Keep):
        return Verdict(table, index, "keep", asked.keep)
    if index.exclusion:
        return Verdict(table, index, "exclusion", "rows may meet per tenant")
    if index.primary and asked is None and is_surrogate(table, rule):
        return Verdict(table, index, "surrogate", "generated ids do not repeat per tenant")
    return Verdict(table, index, "rescope", "asked for in the playbook" if asked else "values may repeat per tenant")


def _is_scoped(index: Index, key: str) -> bool:
    """Return whether an index holds per tenant already: it has the key, and asks for the same one where it excludes."""
    if key in index.columns:
        return not index.operators or index.operators[index.columns.index(key)] == "="
    return any(key in text for text in index.expressions)


def is_surrogate(table: Table, rule: TableRule) -> bool:
    """Return whether the primary key says nothing of the row: generated integers and uuids do not repeat per tenant."""
    if rule.identity is not None:
        return rule.identity == "surrogate"
    if len(table.primary_key) != 1:
        return False
    column = table.column(table.primary_key[0])
    if column is None:
        return False
    versions = set(column.id_versions)
    if column.uuid_like or column.text_like:
        # A uuid column that is empty says nothing against being random; a text column has to show that it is.
        return not versions & {"3", "5", ""} and (column.uuid_like or bool(versions & {"1", "4", "6", "7"}))
    return column.identity or column.sequence


def rescope(catalog: PostgresCatalog, verdict: Verdict, rule: RowRule, taken: set[str]) -> RescopeUnique:
    """Return what builds the per-tenant form beside a unique, or adopts one that somebody built before."""
    table, index, key = verdict.table, verdict.index, rule.key.name
    replaced = replaced_columns(rule, partition_columns(catalog, table))
    rest = [(c, p) for c, p in zip(index.columns, index.parts, strict=True) if c not in replaced]
    key_part, nulls = _key_part(catalog, table, index, rule, [column for column, _ in rest])
    parts = (key_part, *(part for _, part in rest))
    there = _equivalent(table, index, key, parts, nulls)
    whole = leaves(catalog, table)
    # A primary key of the new form is made of a bare index at contract; until then a constraint would be in its way.
    as_constraint = index.constraint is not None and not index.primary and not whole and not key_part.startswith("(")
    build = IndexBuild(
        table=TableName(schema_name=table.schema_name, name=table.name),
        name=there.name if there is not None else free_name(taken, table.schema_name, index.name, key),
        unique=True,
        body=index_body(index, parts, nulls),
        leaves=whole,
    )
    return RescopeUnique(
        object=verdict.object,
        index=build,
        replaces=index.constraint or index.name,
        definition=index.constraint_definition or index.definition,
        as_constraint=as_constraint and there is None,
        deferral=deferral(index),
        adopted=there is not None,
        columns=(key, *(column for column, _ in rest if column is not None)),
        null_keys=rule.policy.unassigned == "keep_null",
        planned=1,
    )


def index_body(index: Index, parts: tuple[str, ...], nulls_not_distinct: bool) -> str:
    """Return all that follows the table's name in CREATE INDEX for an index like *index* on *parts*."""
    body = f"USING {index.method} ({', '.join(parts)})"
    if index.include:
        body += f" INCLUDE ({', '.join(quoted(column) for column in index.include)})"
    if nulls_not_distinct:
        body += " NULLS NOT DISTINCT"
    body += options(index)
    if index.predicate is not None:
        body += f" WHERE {index.predicate}"
    return body


def surrogate(
    catalog: PostgresCatalog, table: Table, rule: RowRule, columns: tuple[str, ...], taken: set[str]
) -> SurrogateUnique | None:
    """Return the unique on key and columns that composite foreign keys point at, or None when there is one."""
    wanted = {rule.key.name, *columns}
    for index in table.indexes:
        plain = index.unique and index.valid and index.predicate is None and not index.deferrable
        if plain and set(index.columns) == wanted and len(index.columns) == len(wanted):
            return None
    name = free_name(taken, table.schema_name, table.name, rule.key.name, *columns, "key")
    body = f"({', '.join(quoted(column) for column in (rule.key.name, *columns))})"
    build = IndexBuild(table=rule.table, name=name, unique=True, body=body, leaves=leaves(catalog, table))
    return SurrogateUnique(object=f"{table.display}.{name}", index=build, planned=1)


def _key_part(
    catalog: PostgresCatalog, table: Table, index: Index, rule: RowRule, rest: list[str | None]
) -> tuple[str, bool]:
    """Return the key as the index has it, and whether its nulls are one value.

    A null key means "global": two global rows must not share a name. Where every other column is NOT NULL the index can
    say so itself; elsewhere null stands for the shared tenant, so that other nulls stay distinct.
    """
    key = quoted(rule.key.name)
    if rule.policy.unassigned != "keep_null" or index.nulls_not_distinct:
        return key, index.nulls_not_distinct
    mandatory = all(
        column is not None and (found := table.column(column)) is not None and not found.nullable for column in rest
    )
    if mandatory and catalog.server_version >= 150000:
        return key, True
    return key_or_shared(rule), False


def key_or_shared(rule: RowRule) -> str:
    """Return the expression that takes the shared tenant for a key that is null."""
    shared = sql.Literal(rule.key.shared).as_string(None)
    return f"(coalesce({quoted(rule.key.name)}, {shared}::{rule.key.type}))"


def _equivalent(table: Table, index: Index, key: str, parts: tuple[str, ...], nulls: bool) -> Index | None:
    """Return a valid unique that says what the re-scoped one would, whatever its name and the order of its parts."""
    wanted = sorted(map(_plain, parts))
    for other in table.indexes:
        says_the_same = (
            sorted(map(_plain, other.parts)) == wanted
            and other.predicate == index.predicate
            and other.nulls_not_distinct == nulls
            and set(other.include) >= set(index.include)
            and (not other.deferrable or index.deferrable)
        )
        # A constraint's index cannot become a primary key.
        usable = not index.primary or other.constraint is None
        if usable and other is not index and other.unique and other.valid and key in other.columns and says_the_same:
            return other
    return None


def replaced_columns(rule: RowRule, partitioned_by: frozenset[str]) -> frozenset[str]:
    """Return the columns whose place the key takes: those it came from, but for what partitions need in each unique."""
    return frozenset(s.name for s in rule.sources if isinstance(s, ColumnSource)) - partitioned_by - {rule.key.name}


def partition_columns(catalog: PostgresCatalog, table: Table) -> frozenset[str]:
    """Return the columns that a partitioned table and its partitions are divided by, on all levels."""
    columns = set(table.partition_columns)
    for child in below(catalog, table):
        columns.update(child.partition_columns)
    return frozenset(columns)


def below(catalog: PostgresCatalog, table: Table) -> Iterator[Table]:
    """Yield the partitions of a table, on all levels."""
    for name in table.partitions:
        if (child := catalog.table(name)) is not None:
            yield child
            yield from below(catalog, child)


def leaves(catalog: PostgresCatalog, table: Table) -> tuple[TableName, ...]:
    """Return the leaves of a partitioned table, nothing for an ordinary one."""
    return tuple(
        TableName(schema_name=child.schema_name, name=child.name)
        for child in below(catalog, table)
        if child.kind == "table"
    )


def names_taken(catalog: PostgresCatalog) -> set[str]:
    """Return every relation's name with its schema: indexes share them with tables and views. Invalid indexes do not
    count: one under a name that tenure wants is what an earlier attempt left, and is built again."""
    owners: tuple[Table | View, ...] = (*catalog.tables, *catalog.views)
    taken = {f"{owner.schema_name}.{owner.name}" for owner in owners}
    for owner in owners:
        taken.update(f"{index.schema_name}.{index.name}" for index in owner.indexes if index.valid)
        taken.update(f"{owner.schema_name}.{index.constraint}" for index in owner.indexes if index.constraint)
    return taken


def free_name(taken: set[str], schema: str, *parts: str) -> str:
    """Return a name made of *parts* that nothing in the schema has, and take it."""
    name, number = short_name(*parts), 2
    while f"{schema}.{name}" in taken:
        name, number = short_name(*parts, f"tenure{number if number > 2 else ''}"), number + 1
    taken.add(f"{schema}.{name}")
    return name


def deferral(index: Index) -> str:
    """Return how a constraint is deferrable, as SQL writes it; nothing for one that is not."""
    if not index.deferrable:
        return ""
    return "DEFERRABLE INITIALLY DEFERRED" if index.initially_deferred else "DEFERRABLE"


def quoted(name: str) -> str:
    """Return an identifier in quotes."""
    return sql.Identifier(name).as_string(None)


def options(index: Index) -> str:
    """Return an index's storage parameters as SQL writes them, with a blank before; nothing where it has none."""
    return f" WITH ({', '.join(_option(option) for option in index.options)})" if index.options else ""


def _plain(part: str) -> str:
    """Return a part of an index without quotes that it does not need: the catalog writes none there."""
    return part[1:-1] if re.fullmatch(r'"[a-z_][a-z0-9_$]*"', part) else part


def _option(option: str) -> str:
    name, _, value = option.partition("=")
    return f"{name} = {sql.Literal(value).as_string(None)}"
