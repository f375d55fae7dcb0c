"""What becomes of exclusion constraints: the key beside their elements, or the reason why one stays global."""

from __future__ import annotations

from tenure.attribution.spec import RowRule
from tenure.catalog.postgres import Index, PostgresCatalog, Table
from tenure.findings import say
from tenure.operations.drop_exclusion import DropExclusion
from tenure.operations.exclusion import Element, Exclusion
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.planner.uniques import (
    Verdict,
    deferral,
    free_name,
    key_or_shared,
    options,
    partition_columns,
    quoted,
    replaced_columns,
)
from tenure.values import Finding, TableName

METHODS = ("gist", "btree")
"""The access methods whose indexes hold several columns and know equality; hash and SP-GiST hold one only."""


def rescope_exclusion(
    catalog: PostgresCatalog, verdict: Verdict, rule: RowRule, taken: set[str]
) -> tuple[RescopeExclusion, DropExclusion]:
    """Return what builds the per-tenant form beside an exclusion constraint, or adopts one that somebody built before,
    and what drops the old one at contract."""
    table, index = verdict.table, verdict.index
    name = TableName(schema_name=table.schema_name, name=table.name)
    elements = _elements(index)
    replaced = replaced_columns(rule, partition_columns(catalog, table))
    # The key takes the place of the column that it came from, where the constraint asks for the same value in that.
    rest = [
        element
        for column, element in zip(index.columns, elements, strict=True)
        if column not in replaced or element.operator != "="
    ]
    key = quoted(rule.key.name)
    part = key_or_shared(rule) if rule.policy.unassigned == "keep_null" else key
    wanted = (Element(part=part, value=part, operator="="), *rest)
    there = _equivalent(table, index, wanted)
    new = Exclusion(
        table=name,
        name=(there.constraint or there.name)
        if there is not None
        else free_name(taken, table.schema_name, index.name, rule.key.name),
        definition=_definition(index, wanted),
        elements=wanted,
        predicate=index.predicate,
    )
    old = Exclusion(
        table=name,
        name=index.constraint or index.name,
        definition=index.constraint_definition or _definition(index, elements),
        elements=elements,
        predicate=index.predicate,
    )
    built = RescopeExclusion(
        object=verdict.object,
        new=new,
        replaces=old.name,
        extension=index.method == "gist",
        adopted=there is not None,
        planned=1,
    )
    if there is not None:
        built = built.model_copy(update={"hazards": (), "lock": ""})
    return built, DropExclusion(object=verdict.object, old=old, replaced_by=new, planned=1)


def immovable(index: Index, key: str) -> str:
    """Return why an exclusion constraint cannot be had per tenant by tenure, or nothing."""
    if index.unique:
        return "WITHOUT OVERLAPS is a key that foreign keys with PERIOD may hang on"
    if not index.operators:
        return "the catalog that was kept does not say how it compares"
    if key in index.columns and index.operators[index.columns.index(key)] != "=":
        operator = index.operators[index.columns.index(key)]
        return f"it compares {key} by {operator}, so it holds between tenants on purpose"
    if index.method not in METHODS:
        return f"an index of method {index.method} holds one column only, so the key cannot stand beside it"
    return ""


def missing_extension(catalog: PostgresCatalog, verdict: Verdict, key: str) -> Finding | None:
    """Return the error that says that the extension for the key in a GiST index cannot be had, if that is so."""
    if verdict.index.method != "gist" or catalog.btree_gist:
        return None
    name = verdict.index.constraint or verdict.index.name
    return say(
        "TEN029",
        "error",
        verdict.object,
        f"exclusion constraint {name} cannot have {key} in it: a GiST index takes that with extension btree_gist "
        f"only, which is not there and which {catalog.role.name} may not create",
        "Let an administrator install it (package postgresql-contrib) and run CREATE EXTENSION btree_gist; "
        f"or keep the constraint on purpose: `unique: {{{name}: {{keep: REASON}}}}`.",
    )


def locks(verdict: Verdict, operation: RescopeExclusion) -> Finding:
    """Return the notice that explains why the per-tenant form takes a lock that needs consent."""
    name = operation.replaces
    return say(
        "TEN020",
        "info",
        verdict.object,
        f"exclusion constraint {name} is built per tenant under ACCESS EXCLUSIVE: Postgres builds none "
        f"concurrently, so nobody reads or writes {verdict.table.display} until its index is there",
        "Choose a quiet hour and give your word: `--allow LOCKS_TABLE`; the plan estimates how long. Or keep it "
        f"global on purpose: `unique: {{{name}: {{keep: REASON}}}}`.",
    )


def stays_global(verdict: Verdict, key: str) -> Finding:
    """Return the warning for an exclusion constraint that holds across tenants, with what a person can do."""
    index = verdict.index
    name = index.constraint or index.name
    return say(
        "TEN021",
        "warning",
        verdict.object,
        f"exclusion constraint {name} stays global: {verdict.reason}. A tenant's row is refused where it meets "
        f"another tenant's, and so tells of it: {index.constraint_definition}",
        f"In a window, replace it by one with {quoted(key)} WITH = among its elements, on an index of method "
        f"gist or btree; or keep it on purpose: `unique: {{{name}: {{keep: REASON}}}}`.",
    )


def _elements(index: Index) -> tuple[Element, ...]:
    expressions = iter(index.expressions)
    return tuple(
        Element(
            part=part,
            value=quoted(column) if column is not None else f"({next(expressions)})",
            operator=operator,
        )
        for column, part, operator in zip(index.columns, index.parts, index.operators, strict=True)
    )


def _definition(index: Index, elements: tuple[Element, ...]) -> str:
    """Return what stands behind ADD CONSTRAINT for one like *index* on *elements*."""
    text = f"EXCLUDE USING {index.method} ({', '.join(f'{e.part} WITH {e.operator}' for e in elements)})"
    if index.include:
        text += f" INCLUDE ({', '.join(quoted(column) for column in index.include)})"
    text += options(index)
    if index.predicate is not None:
        text += f" WHERE ({index.predicate})"
    return f"{text} {deferral(index)}".rstrip()


def _equivalent(table: Table, index: Index, wanted: tuple[Element, ...]) -> Index | None:
    """Return an exclusion constraint that says what the re-scoped one would, whatever its name and order."""

    def meaning(elements: tuple[Element, ...]) -> list[tuple[str, str]]:
        return sorted((element.value, element.operator) for element in elements)

    for other in table.indexes:
        if other is index or not other.exclusion or not other.valid or len(other.operators) != len(other.columns):
            continue
        alike = other.predicate == index.predicate and (not other.deferrable or index.deferrable)
        if alike and meaning(_elements(other)) == meaning(wanted):
            return other
    return None
