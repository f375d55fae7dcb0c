"""What a backfill reaches beside its rows: who replicates them, and columns that are computed from them.

Each is a hazard of the backfill (`LOGICAL_REPLICATION`, `GENERATED_COLUMNS`), and explained by a finding of the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tenure.attribution.build import RowRules
from tenure.catalog.postgres import Column, PostgresCatalog, Slot, Table
from tenure.findings import say
from tenure.values import Finding, Hazard


def hazards(catalog: PostgresCatalog, table: Table, leaves: Iterable[Table]) -> Iterator[Hazard]:
    """Yield the hazards of writing every row of a table."""
    published = table.publications or any(leaf.publications for leaf in leaves)
    if published or any(slot.kind == "logical" for slot in catalog.slots):
        yield Hazard.LOGICAL_REPLICATION
    if stored(table):
        yield Hazard.GENERATED_COLUMNS


def stored(table: Table) -> list[Column]:
    """Return the generated columns that are written with each row; virtual ones are computed when they are read."""
    return [column for column in table.columns if column.generated == "stored"]


def explanations(catalog: PostgresCatalog, built: RowRules) -> Iterator[Finding]:
    """Yield what there is to say of the hazards: per published table, per logical slot, per table with such columns."""
    filled = {name: table for name in built.rules if (table := catalog.table(name)) is not None}
    for name, table in filled.items():
        if table.publications:
            yield say(
                "TEN116",
                "info",
                name,
                "it is published: subscribers need the key column before the first row with it arrives",
                "Add the column on the subscribers first; the backfill sends every row once.",
                count=len(table.publications),
                sample=table.publications,
            )
    if any(rule.constant() is None for rule in built.rules.values()):
        yield from (slot_finding(slot) for slot in catalog.slots if slot.kind == "logical")
    for name, table in filled.items():
        columns = stored(table)
        if columns and built.rules[name].constant() is None:
            yield say(
                "TEN126",
                "info",
                name,
                "stored generated columns are computed anew for every row that gets its key: "
                f"{', '.join(column.name for column in columns)}",
                "Their values stay; an expensive expression makes the backfill slower: watch its first minutes.",
                count=len(columns),
                sample=tuple({column.name: column.generation} for column in columns),
            )


def slot_finding(slot: Slot) -> Finding:
    """Return the notice of one replication slot. Its figures stand in the title, which is no part of a plan's hash."""
    state = f"{'active' if slot.active else 'inactive'}: {slot.retained_bytes} bytes of WAL are kept for it"
    inactive = "An inactive slot keeps all WAL that the backfill writes: drop it if it is dead."
    if slot.kind != "logical":
        return say(
            "TEN116",
            "info",
            slot.name,
            f"{slot.kind} replication slot, {state}",
            "" if slot.active else inactive,
            count=0,
        )
    reach = (
        "in published tables, and has the others decoded all the same"
        if slot.plugin == "pgoutput"
        else "in any table, published or not"
    )
    return say(
        "TEN116",
        "info",
        slot.name,
        f"logical replication slot ({slot.plugin}), {state}. Whoever reads it gets an UPDATE for each row that gets "
        f"its key {reach}",
        "Tell its reader before: new column, many updates, before-images where REPLICA IDENTITY is FULL. The run waits "
        f"while it keeps more than `limits.slot_wal`. {inactive}",
        count=0,
    )
