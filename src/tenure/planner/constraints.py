"""What becomes of uniqueness and foreign keys: per tenant beside the global form, which contract drops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tenure.attribution.build import RowRules
from tenure.catalog.postgres import PostgresCatalog
from tenure.findings import say
from tenure.operations.base import Operation
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.drop_exclusion import DropExclusion
from tenure.operations.drop_fill_trigger import DropFillTrigger, WatchWriters
from tenure.operations.drop_foreign_key import DropForeignKey
from tenure.operations.drop_unique import DropUnique
from tenure.operations.key_index import KeyIndex, SurrogateUnique
from tenure.operations.old_unique import OldUnique
from tenure.operations.partitioned_key import PartitionedKey, PartitionKey
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.operations.rescope_unique import RescopeUnique
from tenure.operations.swap_primary_key import SwapPrimaryKey
from tenure.planner import rows
from tenure.planner.derived import refreshes
from tenure.planner.exclusions import immovable, locks, missing_extension, rescope_exclusion, stays_global
from tenure.planner.references import Reference, composite, references
from tenure.planner.uniques import (
    Verdict,
    below,
    classify,
    deferral,
    free_name,
    index_body,
    is_surrogate,
    leaves,
    names_taken,
    quoted,
    rescope,
    surrogate,
)
from tenure.planner.usages import usages
from tenure.playbook.models import Playbook
from tenure.values import Finding, TableName

__all__ = ["constrain", "contract", "is_surrogate"]


@dataclass
class Design:
    """All uniques and foreign keys of the keyed tables with what becomes of them."""

    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    rescoped: list[tuple[Verdict, RescopeUnique]] = field(default_factory=list)
    exclusions: list[tuple[Verdict, RescopeExclusion, DropExclusion]] = field(default_factory=list)
    surrogates: list[SurrogateUnique] = field(default_factory=list)
    indexes: list[KeyIndex] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)


def constrain(
    playbook: Playbook, catalog: PostgresCatalog, built: RowRules, findings: list[Finding]
) -> Iterator[Operation]:
    """Yield uniques first, then foreign keys, which point at them, then what shows the key; what there is to say goes
    to *findings*."""
    design = _design(playbook, catalog, built)
    findings.extend(_classes(catalog, design, built.key.name))
    findings.extend(_views(catalog, built))
    for verdict, _ in design.rescoped:
        findings.extend(usages(catalog, verdict.table, verdict.index, built.key.name))
    for verdict, excluded, _ in design.exclusions:
        if not excluded.adopted:
            findings.append(locks(verdict, excluded))
        findings.extend(usages(catalog, verdict.table, verdict.index, built.key.name))
    yield from (operation for _, operation in design.rescoped)
    yield from (operation for _, operation, _ in design.exclusions)
    yield from design.surrogates
    yield from design.indexes
    for reference in design.references:
        if reference.keep:
            title = f"foreign key {reference.key.name} stays as it is: {reference.keep}"
            remedy = f"Nothing keeps it from crossing tenants but verify; it refers to {reference.parent.display}."
            findings.append(say("TEN026", "info", reference.object, title, "" if reference.composite else remedy))
        if reference.composite:
            yield composite(catalog, built, reference)
    yield from refreshes(catalog, built)


def contract(
    playbook: Playbook, catalog: PostgresCatalog, built: RowRules, findings: list[Finding]
) -> Iterator[Operation]:
    """Yield what takes the old form away, one object at a time: foreign keys, uniques, then the fill triggers."""
    design = _design(playbook, catalog, built)
    fillers = list(rows.fillers(playbook, catalog, built))
    if fillers:
        sequences = tuple((fill["object"], DropFillTrigger(**fill).sequence) for fill in fillers)
        yield WatchWriters(object="fill triggers", sequences=sequences)
    held = _held(catalog, built, design)
    for reference in design.references:
        if not reference.keep:
            new = composite(catalog, built, reference)
            yield DropForeignKey(
                object=reference.object,
                table=new.table,
                name=reference.key.name,
                definition=reference.key.definition,
                replaced_by=new.name,
                validate_later=new.validate_later,
                proven=reference.key.validated,
                planned=1,
            )
    for verdict, operation in design.rescoped:
        reason = held.get((verdict.table.display, verdict.index.name)) or _immovable(catalog, verdict, operation)
        if reason:
            title = f"{verdict.index.name} stays global: {reason}"
            remedy = f"Remove the reason, or say so: `unique: {{{verdict.index.name}: {{keep: REASON}}}}`."
            findings.append(say("TEN027", "warning", verdict.object, title, remedy))
        else:
            yield _drop(catalog, verdict, operation, design)
    yield from (operation for _, _, operation in design.exclusions)
    for fill in fillers:
        yield DropFillTrigger(**fill)


def _design(playbook: Playbook, catalog: PostgresCatalog, built: RowRules) -> Design:
    """Work out what becomes of each unique and foreign key. Names are given out in the same order every time."""
    design, taken = Design(), names_taken(catalog)
    targets: dict[str, set[frozenset[str]]] = {name: set() for name in built.rules}
    led: set[str] = set()
    key = built.key.name
    for name, rule in built.rules.items():
        table = catalog.table(name)
        assert table is not None, name
        design.verdicts[name] = list(classify(catalog, table, (playbook.postgres or {})[name], rule))
        for verdict in design.verdicts[name]:
            if verdict.group == "exclusion" and not immovable(verdict.index, key):
                design.exclusions.append((verdict, *rescope_exclusion(catalog, verdict, rule, taken)))
            if verdict.group != "rescope":
                continue
            operation = rescope(catalog, verdict, rule, taken)
            design.rescoped.append((verdict, operation))
            index = verdict.index
            if verdict.table is table and index.predicate is None and rule.policy.unassigned != "keep_null":
                led.add(name)
                if None not in index.columns and not index.deferrable:
                    targets[name].add(frozenset(operation.columns) - {key})
    design.references = list(references(catalog, built))
    wanted = [(r.parent, r.key.ref_columns) for r in design.references if r.composite]
    for parent, columns in {(parent.display, columns): (parent, columns) for parent, columns in wanted}.values():
        if frozenset(columns) not in targets[parent.display]:
            made = surrogate(catalog, parent, built.rules[parent.display], columns, taken)
            led.add(parent.display)
            if made is not None:
                design.surrogates.append(made)
    for name, rule in built.rules.items():
        table = catalog.table(name)
        assert table is not None, name
        if name not in led and not any(index.valid and index.columns[:1] == (key,) for index in table.indexes):
            build = IndexBuild(
                table=rule.table,
                name=free_name(taken, table.schema_name, table.name, key, "idx"),
                unique=False,
                body=f"({quoted(key)})",
                leaves=leaves(catalog, table),
            )
            design.indexes.append(KeyIndex(object=f"{name}.{build.name}", index=build, planned=1))
    return design


def _held(catalog: PostgresCatalog, built: RowRules, design: Design) -> dict[tuple[str, str], str]:
    """Return the old uniques that foreign keys still need, with who needs them."""
    held: dict[tuple[str, str], str] = {}
    for reference in design.references:
        if reference.keep and reference.key.ref_index is not None:
            held[(reference.parent.display, reference.key.ref_index)] = f"foreign key {reference.object} needs it"
    for name in built.rules:
        for table, key in catalog.referencing(name):
            if _top(catalog, table.display) not in built.rules and key.ref_index is not None and not key.inherited:
                held[(name, key.ref_index)] = f"foreign key {key.name} of {table.display}, which has no key, needs it"
    return held


def _top(catalog: PostgresCatalog, name: str) -> str:
    table = catalog.table(name)
    return name if table is None or table.partition_of is None else _top(catalog, table.partition_of)


def _immovable(catalog: PostgresCatalog, verdict: Verdict, operation: RescopeUnique) -> str:
    """Return why an old unique cannot be dropped in good order, or nothing."""
    index, table = verdict.index, verdict.table
    if index.primary and operation.index.leaves:
        keys = [part for child in below(catalog, table) for part in child.indexes if part.primary]
        if any(part.replica_identity for part in keys):
            return "a partition has its part of it as its replica identity by name; set that to DEFAULT first"
    replicated = (index.primary and bool(table.publications)) or index.replica_identity
    if replicated and (operation.null_keys or index.predicate is not None or index.deferrable):
        return "logical replication knows rows by it, and the per-tenant form cannot stand in"
    return ""


def _drop(catalog: PostgresCatalog, verdict: Verdict, operation: RescopeUnique, design: Design) -> Operation:
    """Return what drops an old unique, or swaps a primary key for its per-tenant form."""
    index, table = verdict.index, verdict.table
    expressions = iter(index.expressions)
    old = OldUnique(
        index=IndexBuild(
            table=TableName(schema_name=table.schema_name, name=table.name),
            name=index.name,
            unique=True,
            body=index_body(index, index.parts, index.nulls_not_distinct),
            leaves=leaves(catalog, table),
        ),
        constraint=index.constraint,
        primary=index.primary,
        definition=index.constraint_definition or index.definition,
        values=tuple(quoted(column) if column is not None else f"({next(expressions)})" for column in index.columns),
        predicate=index.predicate,
        nulls_not_distinct=index.nulls_not_distinct,
        deferral=deferral(index),
    )
    # A null key is allowed in no primary key: there the per-tenant index alone takes the old key's place.
    if index.primary and not operation.null_keys:
        return SwapPrimaryKey(
            object=verdict.object,
            old=old,
            new=operation.index.name,
            new_body=operation.index.body,
            replica_identity=index.replica_identity,
            parts=_parts(catalog, verdict, operation, design) if operation.index.leaves else None,
            planned=1,
        )
    return DropUnique(
        object=verdict.object,
        old=old,
        replaced_by=operation.index.name,
        replica_identity=index.replica_identity,
        planned=1,
    )


def _parts(catalog: PostgresCatalog, verdict: Verdict, operation: RescopeUnique, design: Design) -> PartitionedKey:
    """Return how the primary key of a partitioned table is swapped."""
    table, index = verdict.table, verdict.index
    include = f" INCLUDE ({', '.join(quoted(column) for column in index.include)})" if index.include else ""
    columns = [column for column in index.columns if column is not None]
    wanted = set(operation.columns) - {operation.columns[0]}
    return PartitionedKey(
        partitions=tuple(
            PartitionKey(table=TableName(schema_name=child.schema_name, name=child.name), old=part.name)
            for child in below(catalog, table)
            if child.kind == "table"
            for part in child.indexes
            if part.primary
        ),
        columns=f"({', '.join(quoted(column) for column in operation.columns)}){include}",
        old_columns=f"({', '.join(quoted(column) for column in columns)}){include}",
        referenced=any(
            reference.composite and reference.parent is table and set(reference.key.ref_columns) == wanted
            for reference in design.references
        ),
    )


def _classes(catalog: PostgresCatalog, design: Design, key: str) -> Iterator[Finding]:
    """Yield the class of every unique that is not re-scoped: those that are show as operations."""
    found = [verdict for verdicts in design.verdicts.values() for verdict in verdicts]
    names = tuple(verdict.object for verdict in found if verdict.group == "surrogate")
    if names:
        title = f"{len(names)} primary key(s) are kept (surrogate): generated ids do not repeat per tenant"
        yield say("TEN022", "info", "primary keys", title, count=len(names), sample=names)
    for verdict in found:
        if verdict.group == "keep":
            what = "exclusion constraint" if verdict.index.exclusion else "unique"
            yield say("TEN022", "info", verdict.object, f"{what} {verdict.index.name} is kept: {verdict.reason}")
        elif verdict.group == "exclusion" and (reason := immovable(verdict.index, key)):
            yield stays_global(replace(verdict, reason=reason), key)
        elif verdict.group == "exclusion" and (missing := missing_extension(catalog, verdict, key)) is not None:
            yield missing


def _views(catalog: PostgresCatalog, built: RowRules) -> Iterator[Finding]:
    """Yield the uniques of materialized views over keyed tables that hold across tenants."""
    for view in catalog.views:
        if view.materialized and any(name in built.rules for name in view.depends_on):
            for index in view.indexes:
                if index.unique and built.key.name not in index.columns:
                    yield say(
                        "TEN024",
                        "warning",
                        f"{view.display}.{index.name}",
                        f"unique {index.name} of a materialized view has no {built.key.name}: "
                        "a refresh fails once two tenants share a key",
                        f"Give the view the column {built.key.name}, and the index too, before contract.",
                    )
