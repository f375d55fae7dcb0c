"""What becomes of each foreign key: composite beside the old one, or as it is, for a stated reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tenure.attribution.build import RowRules
from tenure.attribution.spec import ParentSource
from tenure.catalog.postgres import ForeignKey, PostgresCatalog, Table
from tenure.operations.composite_fk import CompositeForeignKey
from tenure.operations.text import short_name
from tenure.planner.uniques import below, quoted
from tenure.values import Hazard, TableName


@dataclass(frozen=True)
class Reference:
    """A foreign key between keyed tables. `keep` is why no composite one takes its place at contract (empty: it does);
    `composite` whether there is one beside it at all."""

    table: Table
    key: ForeignKey
    parent: Table
    keep: str = ""
    composite: bool = True

    @property
    def object(self) -> str:
        """Return how reports call it."""
        return f"{self.table.display}.{self.key.name}"


def references(catalog: PostgresCatalog, built: RowRules) -> Iterator[Reference]:
    """Yield every foreign key between keyed tables, those that only a partition has included."""
    for name in built.rules:
        table = catalog.table(name)
        if table is None:
            continue
        for owner in (table, *below(catalog, table)):
            for key in owner.foreign_keys:
                parent = catalog.table(key.ref_table)
                if parent is not None and parent.display in built.rules and not key.inherited:
                    yield _reference(catalog, built, name, owner, key, parent)


def _reference(
    catalog: PostgresCatalog, built: RowRules, name: str, owner: Table, key: ForeignKey, parent: Table
) -> Reference:
    if built.key.name in key.columns:
        return Reference(owner, key, parent, f"has {built.key.name} already", composite=False)
    if not key.enforced:
        return Reference(owner, key, parent, "is not enforced", composite=False)
    if may_be_global(built, parent.display):
        why = f"rows of {parent.display} may be global, which rows of every tenant refer to"
        return Reference(owner, key, parent, why, composite=False)
    if built.rules[name].policy.unassigned == "keep_null":
        return Reference(owner, key, parent, f"it still checks the rows of {name} whose key is null on purpose")
    if any(action in ("SET NULL", "SET DEFAULT") for action in _left_to_old(catalog, key)):
        return Reference(owner, key, parent, "its action would take the tenant key away with the reference")
    return Reference(owner, key, parent)


def _left_to_old(catalog: PostgresCatalog, key: ForeignKey) -> list[str]:
    """Return the actions that a composite key cannot do for some of its columns only: before Postgres 15 for none, and
    ON UPDATE never."""
    return [key.on_update, *([key.on_delete] if catalog.server_version < 150000 else [])]


def may_be_global(built: RowRules, name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Return whether a table may hold rows of no tenant: its policy says so, or that of a table they belong to."""
    rule = built.rules.get(name)
    if rule is None or name in seen:
        return False
    if rule.policy.unassigned in ("shared", "keep_null"):
        return True
    parents = [source.table.display for source in rule.sources if isinstance(source, ParentSource)]
    return any(may_be_global(built, parent, seen | {name}) for parent in parents)


def composite(catalog: PostgresCatalog, built: RowRules, reference: Reference) -> CompositeForeignKey:
    """Return the composite form of a foreign key.

    MATCH FULL says that all columns are null or none; with a key that is never null that would forbid null references,
    so a check says it of the old columns. Where the row has its tenant from the very row that it refers to, a change of
    that row's tenant cascades: else the application, which moves it, would be refused. Elsewhere a cascade would decide
    for rows that say themselves whose they are; there the fill trigger lets neither of the two move alone.
    """
    table, key, parent, tenant = reference.table, reference.key, reference.parent, built.key.name
    actions = []
    on_update = key.on_update
    generated = any((column := table.column(name)) is not None and column.generated for name in key.columns)
    if (
        on_update == "NO ACTION" and not generated and _derives(built, table, catalog, key)
    ):  # Postgres writes to no generated column
        on_update = "CASCADE"
    later = _left_to_old(catalog, key)
    for event, action in (("UPDATE", on_update), ("DELETE", key.on_delete)):
        if action == "NO ACTION" or (action in ("SET NULL", "SET DEFAULT") and (event == "UPDATE" or action in later)):
            continue
        if action in ("SET NULL", "SET DEFAULT"):
            # Without a column list it would take the tenant key away too.
            action = f"{action} ({', '.join(quoted(column) for column in key.set_columns or key.columns)})"
        actions.append(f"ON {event} {action}")
    if key.deferrable:
        actions.append("DEFERRABLE INITIALLY DEFERRED" if key.initially_deferred else "DEFERRABLE")
    there = _equivalent(table, key, tenant)
    online = table.kind != "partitioned" or catalog.server_version >= 180000
    return CompositeForeignKey(
        object=reference.object,
        table=TableName(schema_name=table.schema_name, name=table.name),
        name=there.name if there is not None else _free_name(table, key.name, tenant),
        replaces=key.name,
        columns=(tenant, *key.columns),
        references=TableName(schema_name=parent.schema_name, name=parent.name),
        ref_columns=(tenant, *key.ref_columns),
        actions=" ".join(actions),
        validate_later=online,
        proven=key.validated,
        adopted=there is not None,
        all_or_none=key.columns if key.match == "FULL" and len(key.columns) > 1 else (),
        hazards=(Hazard.TABLE_SCAN,) if online else (Hazard.TABLE_SCAN, Hazard.ACCESS_EXCLUSIVE),
        planned=1,
    )


def _derives(built: RowRules, table: Table, catalog: PostgresCatalog, key: ForeignKey) -> bool:
    """Return whether the table's rows have their tenant from the rows that the key points at."""
    top = table
    while top.partition_of is not None and (above := catalog.table(top.partition_of)) is not None:
        top = above
    pairs = set(zip(key.columns, key.ref_columns, strict=True))
    return any(
        isinstance(source, ParentSource) and source.table.display == key.ref_table and set(source.match) == pairs
        for source in built.rules[top.display].sources
    )


def _equivalent(table: Table, key: ForeignKey, tenant: str) -> ForeignKey | None:
    """Return the foreign key that somebody made composite before, and that does all that the old one does."""
    wanted = {(tenant, tenant), *zip(key.columns, key.ref_columns, strict=True)}
    return next(
        (
            other
            for other in table.foreign_keys
            if other.ref_table == key.ref_table
            and set(zip(other.columns, other.ref_columns, strict=True)) == wanted
            and other.validated
            and other.enforced
            and not other.inherited
            and other.match == "SIMPLE"
            and other.on_delete == key.on_delete
            and (other.set_columns or key.on_delete not in ("SET NULL", "SET DEFAULT"))
            and other.deferrable == key.deferrable
            and other.initially_deferred == key.initially_deferred
        ),
        None,
    )


def _free_name(table: Table, *parts: str) -> str:
    taken = {key.name for key in table.foreign_keys} | {check.name for check in table.checks}
    taken |= {index.constraint for index in table.indexes if index.constraint is not None}
    name = short_name(*parts)
    return name if name not in taken else short_name(*parts, "tenure")
