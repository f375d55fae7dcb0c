"""What is planned for Postgres: columns, triggers and backfills, parents before children."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tenure.attribution.build import RowRules, mapping_name
from tenure.attribution.spec import RowRule
from tenure.catalog.postgres import PostgresCatalog, Table
from tenure.operations.add_key import AddKey, DropKeyDefault
from tenure.operations.backfill_rows import BackfillRows, Way
from tenure.operations.base import Operation
from tenure.operations.fill_trigger import FillTrigger
from tenure.operations.load_decisions import LoadDecisions
from tenure.operations.not_null import NotNull
from tenure.playbook import sources
from tenure.playbook.models import Playbook
from tenure.values import Hazard, TableName


def expand(playbook: Playbook, catalog: PostgresCatalog, built: RowRules) -> Iterator[Operation]:
    """Yield what makes room for the key: decisions, columns, then the triggers that fill it from now on."""
    yield from _decisions(playbook)
    for rule in built.rules.values():
        if not rule.key_exists:
            yield AddKey(object=rule.table.display, table=rule.table, key=rule.key, constant=rule.constant(), planned=1)
    for rule in built.rules.values():
        yield FillTrigger(object=rule.table.display, rule=rule, planned=1)
    for rule in built.rules.values():
        table = _table(catalog, rule)
        column = table.column(rule.key.name)
        default = column.default if column is not None else None
        if default is not None or rule.constant() is not None:
            yield DropKeyDefault(object=rule.table.display, table=rule.table, key=rule.key, default=default, planned=1)


def backfill(catalog: PostgresCatalog, built: RowRules) -> Iterator[Operation]:
    """Yield one backfill per table that is not filled by its column's birth, parents first."""
    for rule in built.rules.values():
        if rule.constant() is not None:
            continue
        table = _table(catalog, rule)
        way = triggers_way(table, catalog)
        hazards = [Hazard.FIRES_TRIGGERS] if way == "fires" else []
        if table.publications:
            hazards.append(Hazard.LOGICAL_REPLICATION)
        leaves = tuple(_leaves(catalog, table))
        yield BackfillRows(
            object=rule.table.display,
            rule=rule,
            leaves=tuple(TableName(schema_name=leaf.schema_name, name=leaf.name) for leaf in leaves),
            key_types=tuple(_type(table, name) for name in rule.primary_key),
            rows_per_page=_rows_per_page(leaves),
            way=way,
            planned=table.estimated_rows,
            hazards=tuple(hazards),
        )


def not_null(catalog: PostgresCatalog, built: RowRules) -> Iterator[Operation]:
    """Yield NOT NULL for every key but those that may stay null on purpose, or are born with it."""
    for rule in built.rules.values():
        column = _table(catalog, rule).column(rule.key.name)
        proven = column is not None and not column.nullable
        if rule.policy.unassigned != "keep_null" and not proven and rule.constant() is None:
            yield NotNull(object=rule.table.display, table=rule.table, key=rule.key, planned=1)


def triggers_way(table: Table, catalog: PostgresCatalog) -> Way:
    """Return how the table's own UPDATE triggers are kept still while keys are written."""
    moved = [
        trigger
        for trigger in table.triggers
        if "UPDATE" in trigger.events and trigger.enabled in ("origin", "always") and not trigger.update_columns
    ]
    if not moved:
        return "plain"
    if catalog.role.can_set_replication_role and all(trigger.enabled == "origin" for trigger in moved):
        return "replica"
    return "fires"


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
