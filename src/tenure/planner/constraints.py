"""What becomes of uniqueness and foreign keys: per tenant beside the global form, or kept for a stated reason."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from tenure.attribution.build import RowRules
from tenure.attribution.spec import ColumnSource, RowRule
from tenure.catalog.postgres import ForeignKey, Index, PostgresCatalog, Table
from tenure.operations.base import Operation
from tenure.operations.composite_fk import CompositeForeignKey
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.key_index import KeyIndex, SurrogateUnique
from tenure.operations.rescope_unique import RescopeUnique
from tenure.operations.text import short_name
from tenure.playbook.models import Playbook
from tenure.playbook.rules import Keep, TableRule
from tenure.values import Finding, Hazard, TableName


def constrain(
    playbook: Playbook, catalog: PostgresCatalog, built: RowRules, findings: list[Finding]
) -> Iterator[Operation]:
    """Yield uniques first, then foreign keys, which point at them; what cannot be done goes to *findings*."""
    tables = {name: table for name in built.rules if (table := catalog.table(name)) is not None}
    rescoped: dict[str, set[frozenset[str]]] = {name: set() for name in tables}
    led: set[str] = set()
    for name, table in tables.items():
        rule, row_rule = (playbook.postgres or {})[name], built.rules[name]
        for index in table.indexes:
            found = _classify(table, index, rule, row_rule, findings)
            if found is None:
                continue
            columns = _rescoped_columns(index, row_rule, partition_columns(catalog, table))
            if index.predicate is None and None not in index.columns:
                rescoped[name].add(frozenset(column for column in columns if column != row_rule.key.name and column))
            if index.predicate is None and row_rule.policy.unassigned != "keep_null":
                led.add(name)
            yield _rescope(catalog, table, index, row_rule, columns)
    keys = [
        (tables[name], key)
        for name in tables
        for key in tables[name].foreign_keys
        if key.ref_table in tables and not key.inherited and built.key.name not in key.columns
    ]
    for target, columns in dict.fromkeys((key.ref_table, tuple(key.ref_columns)) for _, key in keys):
        if frozenset(columns) not in rescoped[target]:
            led.add(target)
            yield _surrogate(catalog, tables[target], built.rules[target], columns)
    for name, table in tables.items():
        if name not in led:
            body = f"({sql.Identifier(built.key.name).as_string(None)})"
            index_name = short_name(table.name, built.key.name, "idx")
            build = IndexBuild(
                table=built.rules[name].table, name=index_name, unique=False, body=body, leaves=leaves(catalog, table)
            )
            yield KeyIndex(object=f"{name}.{index_name}", index=build, planned=1)
    for table, key in keys:
        yield _foreign_key(catalog, table, key, built)


def is_surrogate(table: Table, rule: TableRule) -> bool:
    """Return whether the primary key says nothing of the row: generated integers and uuids do not repeat per tenant."""
    if rule.identity is not None:
        return rule.identity == "surrogate"
    if len(table.primary_key) != 1:
        return False
    column = table.column(table.primary_key[0])
    if column is None:
        return False
    return column.identity or column.sequence or column.uuid_like


def _classify(table: Table, index: Index, rule: TableRule, row_rule: RowRule, findings: list[Finding]) -> Index | None:
    """Return an index that has to be re-scoped, or None for one that is kept, is the tenant's already, or is none."""
    if not (index.unique or index.exclusion) or index.parent is not None:
        return None
    if row_rule.key.name in index.columns or not index.valid:
        return None
    named = [name for name in (index.name, index.constraint) if name is not None and name in rule.unique]
    if named and isinstance(rule.unique[named[0]], Keep):
        return None
    if index.primary and is_surrogate(table, rule) and not named:
        return None
    if index.exclusion:
        findings.append(
            Finding(
                id="TEN021",
                severity="warning",
                store="postgres",
                object=f"{table.display}.{index.name}",
                title=f"exclusion constraint {index.name} holds across tenants: {index.constraint_definition}",
                count=1,
                remedy=f"It cannot be built online. Add `{row_rule.key.name} WITH =` to it by hand in a window, "
                f"or keep it: `unique: {{{index.name}: {{keep: REASON}}}}`.",
            )
        )
        return None
    return index


def _replaced(rule: RowRule, partitioned_by: frozenset[str]) -> frozenset[str]:
    """Return the columns whose place the key takes: those it came from, but for what partitions need in each unique."""
    return frozenset(s.name for s in rule.sources if isinstance(s, ColumnSource)) - partitioned_by


def _rescoped_columns(index: Index, rule: RowRule, partitioned_by: frozenset[str]) -> tuple[str | None, ...]:
    """Return the columns of the new uniqueness: the key takes the place of the column it came from, else leads."""
    replaced = _replaced(rule, partitioned_by)
    rest = tuple(column for column in index.columns if column is None or column not in replaced)
    return (rule.key.name, *rest)


def partition_columns(catalog: PostgresCatalog, table: Table) -> frozenset[str]:
    """Return the columns that a partitioned table and its partitions are divided by, on all levels."""
    columns = set(table.partition_columns)
    for name in table.partitions:
        if (child := catalog.table(name)) is not None:
            columns |= partition_columns(catalog, child)
    return frozenset(columns)


def _rescope(
    catalog: PostgresCatalog, table: Table, index: Index, rule: RowRule, columns: tuple[str | None, ...]
) -> RescopeUnique:
    replaced = _replaced(rule, partition_columns(catalog, table))
    kept = [part for column, part in zip(index.columns, index.parts, strict=True) if column not in replaced]
    name = short_name(index.name, rule.key.name)
    nullable_key = rule.policy.unassigned == "keep_null"
    key_part = sql.Identifier(rule.key.name).as_string(None)
    nulls = index.nulls_not_distinct
    if nullable_key:
        # A null key means "global": two global rows must not share a name. Where every other column is NOT NULL the
        # index can say so itself; elsewhere null stands for the shared tenant, so that other nulls stay distinct.
        others_not_null = all(
            column is not None and (found := table.column(column)) is not None and not found.nullable
            for column in columns[1:]
        )
        if others_not_null and catalog.server_version >= 150000:
            nulls = True
        else:
            shared = sql.Literal(rule.key.shared).as_string(None)
            key_part = f"(coalesce({key_part}, {shared}::{rule.key.type}))"
    body = f"USING {index.method} ({', '.join([key_part, *kept])})"
    if index.include:
        body += f" INCLUDE ({', '.join(sql.Identifier(column).as_string(None) for column in index.include)})"
    if nulls:
        body += " NULLS NOT DISTINCT"
    if index.predicate is not None:
        body += f" WHERE {index.predicate}"
    deferral = ""
    if index.deferrable:
        deferral = "DEFERRABLE INITIALLY DEFERRED" if index.initially_deferred else "DEFERRABLE"
    parts = leaves(catalog, table)
    return RescopeUnique(
        object=f"{table.display}.{index.name}",
        index=IndexBuild(table=rule.table, name=name, unique=True, body=body, leaves=parts),
        replaces=index.constraint or index.name,
        definition=index.constraint_definition or index.definition,
        as_constraint=index.constraint is not None and not parts and not key_part.startswith("("),
        deferral=deferral,
        planned=1,
    )


def _surrogate(catalog: PostgresCatalog, table: Table, rule: RowRule, columns: tuple[str, ...]) -> SurrogateUnique:
    name = short_name(table.name, rule.key.name, *columns, "key")
    body = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, (rule.key.name, *columns)))).as_string(None)
    index = IndexBuild(table=rule.table, name=name, unique=True, body=body, leaves=leaves(catalog, table))
    return SurrogateUnique(object=f"{table.display}.{name}", index=index, planned=1)


def _foreign_key(catalog: PostgresCatalog, table: Table, key: ForeignKey, built: RowRules) -> CompositeForeignKey:
    parent = catalog.table(key.ref_table)
    assert parent is not None
    tenant = built.key.name
    actions = []
    for event, action in (("UPDATE", key.on_update), ("DELETE", key.on_delete)):
        if action == "NO ACTION":
            continue
        if event == "DELETE" and action in ("SET NULL", "SET DEFAULT"):
            # Without a column list it would take the tenant key away too; the list is known since Postgres 15.
            columns = ", ".join(sql.Identifier(c).as_string(None) for c in key.set_columns or key.columns)
            action = f"{action} ({columns})"
        actions.append(f"ON {event} {action}")
    if key.deferrable:
        actions.append("DEFERRABLE INITIALLY DEFERRED" if key.initially_deferred else "DEFERRABLE")
    online = table.kind != "partitioned" or catalog.server_version >= 180000
    hazards = (Hazard.TABLE_SCAN,) if online else (Hazard.TABLE_SCAN, Hazard.ACCESS_EXCLUSIVE)
    return CompositeForeignKey(
        object=f"{table.display}.{key.name}",
        table=TableName(schema_name=table.schema_name, name=table.name),
        name=short_name(key.name, tenant),
        replaces=key.name,
        columns=(tenant, *key.columns),
        references=TableName(schema_name=parent.schema_name, name=parent.name),
        ref_columns=(tenant, *key.ref_columns),
        actions=" ".join(actions),
        validate_later=online,
        hazards=hazards,
        planned=1,
    )


def leaves(catalog: PostgresCatalog, table: Table) -> tuple[TableName, ...]:
    """Return the leaves of a partitioned table, nothing for an ordinary one."""
    if table.kind != "partitioned":
        return ()
    found: list[TableName] = []
    for name in table.partitions:
        child = catalog.table(name)
        if child is not None:
            nested = leaves(catalog, child)
            found.extend(nested or [TableName(schema_name=child.schema_name, name=child.name)])
    return tuple(found)
