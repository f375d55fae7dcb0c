"""Resolves the playbook's rules against the catalog: names become specs, mistakes become findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tenure.attribution.spec import (
    ColumnSource,
    ConstantSource,
    MappingSource,
    ParentSource,
    Policy,
    RowRule,
    SqlSource,
    TableSource,
)
from tenure.catalog.postgres import PostgresCatalog, Table
from tenure.playbook import models, policy, rules, sources
from tenure.values import Finding, TableName, TenantKey


def tenant_key(playbook: models.Playbook) -> TenantKey:
    """Return the key and its valid values as the playbook has them; the registry's schema is public unless written."""
    tenant = playbook.tenant
    sentinels = tenant.sentinels
    return TenantKey(
        name=tenant.key,
        type=tenant.type,
        untagged=tuple(str(value) for value in tenant.untagged),
        quarantine=sentinels.quarantine,
        shared=sentinels.shared,
        registry=table_name(tenant.registry.table),
        registry_column=tenant.registry.column,
    )


def table_name(display: str, catalog: PostgresCatalog | None = None) -> TableName:
    """Return the table that a playbook calls *display*; the catalog decides where a dot may be part of a name."""
    if catalog is not None and (found := catalog.table(display)) is not None:
        return TableName(schema_name=found.schema_name, name=found.name)
    schema, dot, name = display.partition(".")
    return TableName(schema_name=schema, name=name) if dot else TableName(name=display)


def resolved_policy(given: policy.Policy) -> Policy:
    """Return the playbook's policy as the value that specs carry."""
    unassigned = given.unassigned
    if isinstance(unassigned, policy.Assign):
        return Policy(unassigned="assign", assign=unassigned.tenant, conflict=given.conflict, existing=given.existing)
    names = {
        policy.Fail: "fail",
        policy.Quarantine: "quarantine",
        policy.Shared: "shared",
        policy.KeepNull: "keep_null",
    }
    return Policy.model_validate(
        {"unassigned": names[type(unassigned)], "conflict": given.conflict, "existing": given.existing}
    )


def mapping_name(path: object) -> str:
    """Return the name under which the ledger keeps a CSV mapping: the file's name."""
    return str(path).rsplit("/", 1)[-1]


@dataclass
class RowRules:
    """The rules of all keyed tables, parents before children, with what is wrong in `findings`."""

    key: TenantKey
    rules: dict[str, RowRule] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def row_rules(playbook: models.Playbook, catalog: PostgresCatalog) -> RowRules:
    """Resolve every keyed table of the playbook. Pure; nothing is raised, everything wrong becomes a finding."""
    key = tenant_key(playbook)
    built = RowRules(key=key)
    tables = {name: rule for name, rule in (playbook.postgres or {}).items() if rule.kind == "keyed"}
    graph = {
        name: {
            source.parent for source in rule.sources if isinstance(source, sources.Parent) and source.parent in tables
        }
        for name, rule in tables.items()
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        around = " -> ".join(reversed(error.args[1]))
        built.findings.append(
            problem(
                "TEN005",
                error.args[1][0],
                f"the sources form a cycle: {around}",
                "Give one of these tables a source that does not lead back to it.",
            )
        )
        return built
    for name in order:
        table = catalog.table(name)
        if table is None:
            continue  # reported with the classification
        if table.kind == "foreign":
            built.findings.append(
                problem(
                    "TEN011", name, "a foreign table cannot be keyed", "Mark it `exempt:` and key it where it lives."
                )
            )
            continue
        before = len(built.findings)
        specs = tuple(_sources(name, table, tables[name], playbook, catalog, built.findings))
        _check_key_column(key, table, built.findings)
        _check_partitions(key, table, catalog, built.findings)
        decided = resolved_policy(playbook.policy(tables[name]))
        _check_key_reference(key, table, decided, built.findings)
        if len(built.findings) == before:
            built.rules[name] = RowRule(
                key=key,
                table=TableName(schema_name=table.schema_name, name=table.name),
                primary_key=table.primary_key,
                sources=specs,
                policy=decided,
                key_exists=table.column(key.name) is not None,
            )
    return built


def _sources(
    name: str,
    table: Table,
    rule: rules.TableRule,
    playbook: models.Playbook,
    catalog: PostgresCatalog,
    findings: list[Finding],
) -> Iterator[TableSource]:
    """Yield the resolved sources of one table."""

    def wants(column: str, of: Table = table) -> bool:
        if of.column(column) is None:
            known = ", ".join(c.name for c in of.columns)
            findings.append(problem("TEN004", of.display, f"there is no column {column!r}", f"Columns are: {known}."))
            return False
        return True

    for source in rule.sources:
        if isinstance(source, sources.Constant):
            yield ConstantSource(value=source.constant)
        elif isinstance(source, sources.Column):
            if wants(source.column):
                yield _column(table, source.column)
        elif isinstance(source, sources.Sql):
            yield SqlSource(expression=source.sql)
        elif isinstance(source, sources.Mapping):
            if wants(source.match):
                yield _mapping(source, catalog)
        elif isinstance(source, sources.Parent):
            parent = catalog.table(source.parent)
            parent_rule = (playbook.postgres or {}).get(source.parent)
            if parent is None:
                findings.append(
                    problem("TEN002", name, f"its parent {source.parent!r} is not in the database", _similar(catalog))
                )
            elif parent_rule is None or parent_rule.kind != "keyed":
                findings.append(
                    problem(
                        "TEN006",
                        name,
                        f"its parent {source.parent} has no tenant of its own",
                        "Key the parent, or name the source by `column`, `mapping` or `sql`.",
                    )
                )
            elif all(wants(ours) and wants(theirs, parent) for ours, theirs in source.match.items()):
                theirs = tuple(source.match.values())
                yield ParentSource(
                    table=TableName(schema_name=parent.schema_name, name=parent.name),
                    match=tuple(source.match.items()),
                    unique=parent.unique_on(theirs),
                    indexed=parent.has_index_on(theirs),
                )


def _column(table: Table, name: str) -> TableSource:
    """Return the source that reads a column; a generated one is computed after the fill trigger, so by its formula."""
    found = table.column(name)
    if found is not None and found.generated and found.generation is not None:
        return SqlSource(expression=f"(SELECT {found.generation} FROM (SELECT t.*) AS generated)")
    return ColumnSource(name=name)


def _mapping(source: sources.Mapping, catalog: PostgresCatalog) -> MappingSource:
    if isinstance(source.mapping, sources.MappingTable):
        return MappingSource(
            match=source.match,
            table=table_name(source.mapping.table, catalog),
            value_column=source.mapping.value,
            tenant_column=source.mapping.tenant,
        )
    return MappingSource(match=source.match, name=mapping_name(source.mapping))


def _check_key_column(key: TenantKey, table: Table, findings: list[Finding]) -> None:
    """Refuse a key column of another type, or one that the database computes."""
    column = table.column(key.name)
    if column is None:
        return
    fits = {"text": column.text_like, "uuid": column.uuid_like, "bigint": column.integer_like}[key.type]
    if not fits:
        findings.append(
            problem(
                "TEN007",
                table.display,
                f"column {key.name} exists with type {column.type}, the playbook's key is {key.type}",
                "Rename that column, choose another `tenant.key`, or set `tenant.type` to what the column is.",
            )
        )
    if column.generated or column.identity:
        findings.append(
            problem(
                "TEN007",
                table.display,
                f"column {key.name} exists and is computed by the database",
                "Drop the generation first, or choose another `tenant.key`.",
            )
        )


def _check_partitions(key: TenantKey, table: Table, catalog: PostgresCatalog, findings: list[Finding]) -> None:
    """Refuse a table that is divided by the key itself: a trigger may not move a row to another partition."""
    waiting = [table]
    while waiting:
        found = waiting.pop()
        waiting.extend(child for name in found.partitions if (child := catalog.table(name)) is not None)
        if key.name in found.partition_columns:
            findings.append(
                problem(
                    "TEN010",
                    table.display,
                    f"{found.display} is partitioned by {key.name}: its rows cannot be keyed where they are",
                    "It is divided by tenant already: mark it `exempt:` with that as the reason, and key what is "
                    "missing by hand.",
                )
            )


def _check_key_reference(key: TenantKey, table: Table, decided: Policy, findings: list[Finding]) -> None:
    """Refuse policies that write a sentinel where a foreign key on the key column lets in registered tenants only."""
    writes = {
        "unassigned": decided.unassigned in ("quarantine", "shared"),
        "conflict": decided.conflict == "quarantine",
    }
    barred = [found for found in table.foreign_keys if key.name in found.columns and found.enforced]
    if barred and any(writes.values()):
        named = " and ".join(f"`{name}: {getattr(decided, name)}`" for name, it_does in writes.items() if it_does)
        findings.append(
            problem(
                "TEN009",
                table.display,
                f"foreign key {barred[0].name} on {key.name} forbids the reserved tenant that {named} writes",
                f"Drop {barred[0].name} (every key is checked against the registry anyway), or choose `fail`, "
                "`{assign: TENANT}` or `first`.",
            )
        )


def problem(id_: str, object_: str, title: str, remedy: str, store: str = "postgres") -> Finding:
    """Return an error finding of the planner."""
    return Finding.model_validate(
        {
            "id": id_,
            "severity": "error",
            "store": store,
            "object": object_,
            "title": title,
            "count": 1,
            "remedy": remedy,
        }
    )


def _similar(catalog: PostgresCatalog) -> str:
    names = ", ".join(sorted(table.display for table in catalog.tables)[:20])
    return f"Tables are: {names}."
