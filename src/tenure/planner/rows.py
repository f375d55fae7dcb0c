"""What is planned for Postgres: columns, triggers and backfills, parents before children."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tenure.attribution.build import RowRules, mapping_name
from tenure.attribution.spec import ColumnSource, MappingSource, ParentSource, RowRule, SqlSource
from tenure.catalog.postgres import ForeignKey, PostgresCatalog, Table, Trigger
from tenure.operations.add_key import AddKey, DropKeyDefault
from tenure.operations.backfill_rows import BackfillRows, Way
from tenure.operations.base import Operation
from tenure.operations.fill_trigger import FillTrigger
from tenure.operations.guard_triggers import GuardedTrigger, GuardTriggers, RestoreTriggers
from tenure.operations.load_decisions import LoadDecisions
from tenure.operations.not_null import NotNull
from tenure.planner import surroundings
from tenure.playbook import sources
from tenure.playbook.models import Playbook
from tenure.playbook.pairs import read_pairs
from tenure.values import Hazard, TableName


def expand(playbook: Playbook, catalog: PostgresCatalog, built: RowRules) -> Iterator[Operation]:
    """Yield what makes room for the key: decisions, columns, then the triggers that fill it from now on."""
    yield from _decisions(playbook)
    aliases = _aliases(playbook)
    for rule in _bases_first(catalog, built):
        if not rule.key_exists:
            constant = _constant(rule, aliases)
            yield AddKey(object=rule.table.display, table=rule.table, key=rule.key, constant=constant, planned=1)
    for fill in fillers(playbook, catalog, built):
        yield FillTrigger(**fill)
    for rule in built.rules.values():
        column = _table(catalog, rule).column(rule.key.name)
        default = column.default if column is not None else None
        if default is not None or _constant(rule, aliases) is not None:
            yield DropKeyDefault(object=rule.table.display, table=rule.table, key=rule.key, default=default, planned=1)


def fillers(playbook: Playbook, catalog: PostgresCatalog, built: RowRules) -> Iterator[dict[str, Any]]:
    """Yield what each table's fill trigger is made of: expand creates them, contract drops them."""
    settings = tuple(sorted((playbook.connections.postgres.settings or {}).items()))
    for rule in built.rules.values():
        blind = any(table.row_security_active for table in _looked_at(catalog, rule))
        yield {
            "object": rule.table.display,
            "rule": rule,
            "follows": _follows(_table(catalog, rule), rule),
            "waits_for": _waits_for(rule, built),
            "sentinels": not key_foreign_keys(_table(catalog, rule), rule.key.name),
            "settings": settings if blind else (),
            "planned": 1,
        }


def backfill(catalog: PostgresCatalog, built: RowRules) -> Iterator[Operation]:
    """Yield one backfill per table that is not filled by its column's birth, parents first."""
    for rule in built.rules.values():
        if _constant(rule) is not None:
            continue
        table = _table(catalog, rule)
        way = triggers_way(table, catalog, rule.key.name)
        leaves = tuple(_leaves(catalog, table))
        hazards = [*([Hazard.FIRES_TRIGGERS] if way == "fires" else []), *surroundings.hazards(catalog, table, leaves)]
        operation = BackfillRows(
            object=rule.table.display,
            rule=rule,
            leaves=tuple(TableName(schema_name=leaf.schema_name, name=leaf.name) for leaf in leaves),
            key_types=tuple(_type(table, name) for name in rule.primary_key),
            rows_per_page=_rows_per_page(leaves),
            fillfactor=max(leaf.fillfactor for leaf in leaves) if leaves else 100,
            way=way,
            planned=table.estimated_rows,
            hazards=tuple(hazards),
        )
        if way != "guarded":
            yield operation
            continue
        guards = tuple(
            GuardedTrigger(
                table=TableName(schema_name=owner.schema_name, name=owner.name),
                name=trigger.name,
                definition=trigger.definition,
                when=trigger.when,
                constraint=trigger.constraint,
                always=trigger.enabled == "always",
            )
            for owner, trigger in fired_triggers(table, catalog, rule.key.name)
        )
        digest = operation.dump()["digest"]
        yield GuardTriggers(object=rule.table.display, triggers=guards, backfill=digest, planned=len(guards))
        yield operation
        yield RestoreTriggers(object=rule.table.display, triggers=guards, backfill=digest, planned=len(guards))


def not_null(catalog: PostgresCatalog, built: RowRules) -> Iterator[Operation]:
    """Yield NOT NULL for every key but those that may stay null on purpose, are born with it, or inherit it."""
    for rule in built.rules.values():
        column = _table(catalog, rule).column(rule.key.name)
        proven = column is not None and not column.nullable
        inherited = any(name in built.rules for name in _table(catalog, rule).inherits)
        if rule.policy.unassigned != "keep_null" and not proven and not inherited and _constant(rule) is None:
            yield NotNull(object=rule.table.display, table=rule.table, key=rule.key, planned=1)


def triggers_way(table: Table, catalog: PostgresCatalog, key: str) -> Way:
    """Return how the table's own UPDATE triggers are kept still while keys are written."""
    fired = [trigger for _, trigger in fired_triggers(table, catalog, key)]
    if not fired:
        return "plain"
    if (
        catalog.role.can_set_replication_role
        and all(trigger.enabled == "origin" for trigger in fired)
        # As a replica a session checks no foreign keys either: one on the key itself must go on being checked.
        and not key_foreign_keys(table, key)
    ):
        return "replica"
    owned = all(owner.owned for owner, _ in fired_triggers(table, catalog, key))
    return "guarded" if owned and catalog.server_version >= 140000 else "fires"


def fired_triggers(table: Table, catalog: PostgresCatalog, key: str) -> list[tuple[Table, Trigger]]:
    """Return the triggers that an UPDATE of the key alone would fire, the partitions' own included."""
    return [
        (owner, trigger)
        for owner in (table, *_below(catalog, table))
        for trigger in owner.triggers
        if "UPDATE" in trigger.events
        and trigger.enabled in ("origin", "always")
        and not trigger.inherited
        and (not trigger.update_columns or key in trigger.update_columns)
    ]


def key_foreign_keys(table: Table, key: str) -> list[ForeignKey]:
    """Return the foreign keys that the key column has already: a sentinel could not be written under them."""
    return [found for found in table.foreign_keys if key in found.columns and found.enforced]


def _follows(table: Table, rule: RowRule) -> tuple[str, ...]:
    """Return the columns of the row that its tenant is read from: where old code changes one, the key must follow.

    Nothing where an existing key is kept whatever its sources say. Of an expression every column that it mentions.
    """
    if rule.policy.existing == "keep":
        return ()
    read: set[str] = set()
    for source in rule.sources:
        if isinstance(source, ColumnSource):
            read.add(source.name)
        elif isinstance(source, ParentSource):
            read.update(ours for ours, _ in source.match)
        elif isinstance(source, MappingSource):
            read.add(source.match)
        elif isinstance(source, SqlSource):
            read.update(column.name for column in table.columns if column.name in source.expression)
    # A trigger's condition may not ask for generated columns: they are computed after it.
    return tuple(
        column.name for column in table.columns if column.name in read - {rule.key.name} and not column.generated
    )


def _waits_for(rule: RowRule, built: RowRules) -> tuple[TableName, ...]:
    """Return the parents whose missing key means that their backfill is still to come."""
    parents = {source.table.display: source.table for source in rule.sources if isinstance(source, ParentSource)}
    return tuple(
        table
        for name, table in parents.items()
        if (parent := built.rules.get(name)) is not None and parent.policy.unassigned != "keep_null"
    )


def _looked_at(catalog: PostgresCatalog, rule: RowRule) -> Iterator[Table]:
    """Yield the tables that a decision on a row of the rule's table reads."""
    names = [rule.table, rule.key.registry]
    for source in rule.sources:
        if isinstance(source, ParentSource | MappingSource) and source.table is not None:
            names.append(source.table)
    if any(isinstance(source, SqlSource) for source in rule.sources):
        yield from catalog.tables  # a user's expression may read any
    for name in names:
        if (table := catalog.table(name.display)) is not None:
            yield table


def _bases_first(catalog: PostgresCatalog, built: RowRules) -> list[RowRule]:
    """Return the rules with inherited-from tables before their heirs, which get the column from them."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            table = catalog.table(name)
            depths[name] = 1 + max((depth(base) for base in table.inherits), default=0) if table is not None else 0
        return depths[name]

    return sorted(built.rules.values(), key=lambda rule: depth(rule.table.display))


def _aliases(playbook: Playbook) -> dict[str, str]:
    path = playbook.tenant.aliases
    return dict(read_pairs(Path(path))) if path is not None else {}


def _constant(rule: RowRule, aliases: Mapping[str, str] = MappingProxyType({})) -> str | None:
    """Return the tenant that the column can be born with, after aliases, or None."""
    constant = rule.constant()
    if constant is None or constant in rule.key.untagged:
        return None
    return aliases.get(constant, constant)


def _decisions(playbook: Playbook) -> Iterator[Operation]:
    if playbook.tenant.aliases is not None:
        yield _load(Path(playbook.tenant.aliases), "")
    seen: set[str] = set()
    for rule in (playbook.postgres or {}).values():
        for source in rule.sources:
            if isinstance(source, sources.Mapping) and not isinstance(source.mapping, sources.MappingTable):
                path = Path(source.mapping)
                if mapping_name(path) not in seen:
                    seen.add(mapping_name(path))
                    yield _load(path, mapping_name(path))


def _load(path: Path, mapping: str) -> LoadDecisions:
    return LoadDecisions(
        object=mapping or "aliases",
        path=str(path),
        content=hashlib.sha256(path.read_bytes()).hexdigest(),
        mapping=mapping,
        planned=1,
    )


def _below(catalog: PostgresCatalog, table: Table) -> Iterator[Table]:
    """Yield the partitions of a table, on all levels."""
    for name in table.partitions:
        if (found := catalog.table(name)) is not None:
            yield found
            yield from _below(catalog, found)


def _leaves(catalog: PostgresCatalog, table: Table) -> Iterator[Table]:
    """Yield the tables that hold the rows: the table itself, or the leaves of its partitions and children."""
    if table.kind == "table":
        yield table
    for name in table.partitions:
        found = catalog.table(name)
        if found is not None:
            yield from _leaves(catalog, found)


def _rows_per_page(leaves: tuple[Table, ...]) -> int:
    pages = sum(leaf.pages for leaf in leaves)
    rows = sum(leaf.estimated_rows for leaf in leaves)
    return max(1, rows // pages) if pages and rows else 0


def _table(catalog: PostgresCatalog, rule: RowRule) -> Table:
    found = catalog.table(rule.table.display)
    assert found is not None, rule.table.display
    return found


def _type(table: Table, name: str) -> str:
    column = table.column(name)
    assert column is not None, name
    return column.type
