"""How long the work on a table takes, what it logs and how much disk it needs: from the catalog, by a simple model.

The constants were measured (docs/planning-a-large-migration.md says on what and how, `python -m bench postgres` holds
the model to a run). They are those of an idle server with two cores whose working set is in memory; another machine is
faster or slower by one factor, which a rehearsal gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tenure.attribution.spec import RowRule
from tenure.catalog.postgres import PostgresCatalog, Table
from tenure.operations.add_key import AddKey
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.base import Operation
from tenure.operations.composite_fk import CompositeForeignKey
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.key_index import KeyIndex
from tenure.operations.not_null import NotNull
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.operations.rescope_unique import RescopeUnique
from tenure.operations.row_ranges import PASSES, passes_for
from tenure.operations.row_statements import plain
from tenure.values import Frozen, TableName

PAGE = 8192
WORKERS = 2

# Seconds a row and worker: what the light statement takes; the index entries of the share of rows that moves to another
# page; deciding what does not stand plainly in one source; a journal entry.
ROW, MOVED_ENTRY, DECIDED, JOURNALLED = 12e-6, 7e-6, 8e-6, 12e-6
# A second worker on the same server brings this much of another one.
FURTHER_WORKER = 0.7
# Of rows on full pages this share moves to another page in spite of the passes; of room that is found again, half.
MOVED, GROWTH, GROWTH_UNTIDIED = 0.16, 0.09, 0.17
# Bytes of log a row: lock, update and pruning; then a moved row, each of its index entries, a journal entry.
ROW_LOG, MOVED_LOG, ENTRY_LOG, JOURNAL_LOG = 150, 215, 66, 340
# What is left of a page image where tenure may have it compressed.
COMPRESSED = 0.45
# Seconds a row of sorting and of the second look of a concurrent build; bytes a row of an index of two columns, and of
# one on the key alone, whose equal entries are folded.
INDEX_ROW, INDEX_BYTES, KEY_INDEX_BYTES = 1.0e-6, 40, 8
# Of an exclusion constraint, which looks each row up in its index: by GiST (ranges in random order: 60 to 240
# microseconds on a busy machine, the key in it or not), and by btree.
GIST_ROW, GIST_BYTES, EXCLUDED_ROW = 100e-6, 45, 6e-6
SCAN_BYTES = 1e9
CHECKED_ROW, REFERENCE_ROW = 0.05e-6, 1.4e-6
INSTANT = 0.05


class Estimate(Frozen):
    """What an operation may take: seconds, bytes of log, bytes of disk that stay taken; `way` says how it is done."""

    way: str
    seconds: float
    log_bytes: int = 0
    disk_bytes: int = 0


def estimates(operations: Iterable[Operation], catalog: PostgresCatalog, workers: int = WORKERS) -> dict[str, Estimate]:
    """Return the estimate of each operation on Postgres that goes through a table's rows, or spares that, by its id."""
    found: dict[str, Estimate] = {}
    for operation in operations:
        name = _table_of(operation)
        table = catalog.table(name.display) if name is not None else None
        if table is not None and (estimate := _estimate(operation, catalog, table, workers)) is not None:
            found[operation.id] = estimate
    return found


def backfill(
    rule: RowRule, catalog: PostgresCatalog, leaves: Sequence[Table], *, rows: int, workers: int = WORKERS
) -> Estimate:
    """Return the estimate of writing the key of *rows* rows that lie in *leaves*.

    The way is chosen per heap by `passes_for`, from the same statistics.
    """
    pages = sum(leaf.pages for leaf in leaves)
    dense = max(1, rows // pages) if pages else 1
    fillfactor = max((leaf.fillfactor for leaf in leaves), default=100)
    passes = passes_for(rows, dense, fillfactor)
    indexes = max((len(leaf.indexes) for leaf in leaves), default=0)
    index_bytes = sum(index.size_bytes for leaf in leaves for index in leaf.indexes)
    roomy = fillfactor < 100 and passes < min(PASSES, dense)
    moved = 0.0 if roomy else MOVED if passes > 1 else 1.0
    tidied = all(leaf.owned for leaf in leaves)
    growth = 0.0 if roomy else (GROWTH if tidied else GROWTH_UNTIDIED) if passes > 1 else 1.0

    row = ROW + moved * indexes * MOVED_ENTRY
    log = ROW_LOG + moved * (MOVED_LOG + indexes * ENTRY_LOG)
    if plain(rule, rule.table) is None:
        row += DECIDED
    if rule.key_exists:
        row += JOURNALLED
        log += JOURNAL_LOG
    images = float(pages * PAGE + (index_bytes if moved else 0))
    if catalog.role.superuser:
        images *= COMPRESSED
    return Estimate(
        way=_way(passes, roomy=roomy),
        seconds=rows * row / (1 + FURTHER_WORKER * (workers - 1)) + 0.2,
        log_bytes=int(rows * log + images),
        disk_bytes=int(growth * (pages * PAGE + index_bytes)),
    )


def _way(passes: int, *, roomy: bool) -> str:
    if roomy:
        return f"in place, {passes} pass{'' if passes == 1 else 'es'}: its pages have room"
    return f"striped, {passes} passes" if passes > 1 else "at once, a small table"


def _table_of(operation: Operation) -> TableName | None:
    """Return the table whose rows an operation goes through, or spares to."""
    if isinstance(operation, KeyIndex | RescopeUnique):
        return operation.index.table
    if isinstance(operation, RescopeExclusion):
        return operation.new.table
    if isinstance(operation, BackfillRows):
        return operation.rule.table
    return operation.table if isinstance(operation, AddKey | NotNull | CompositeForeignKey) else None


def _estimate(operation: Operation, catalog: PostgresCatalog, table: Table, workers: int) -> Estimate | None:
    heap = sum(leaf.pages for leaf in _leaves(catalog, table)) * PAGE
    rows = table.estimated_rows
    if isinstance(operation, AddKey):
        if operation.constant is None:
            return None
        return Estimate(way="constant: a default of the catalog, no row touched", seconds=INSTANT)
    if isinstance(operation, BackfillRows):
        return backfill(operation.rule, catalog, _leaves(catalog, table), rows=rows, workers=workers)
    if isinstance(operation, KeyIndex | RescopeUnique):
        return _index(operation.index, rows, heap)
    if isinstance(operation, RescopeExclusion):
        return _exclusion(operation, rows, heap)
    if isinstance(operation, NotNull):
        return Estimate(way="one scan", seconds=rows * CHECKED_ROW + heap / SCAN_BYTES + INSTANT)
    if isinstance(operation, CompositeForeignKey):
        return Estimate(way="one scan and join", seconds=rows * REFERENCE_ROW + heap / SCAN_BYTES + INSTANT)
    return None


def _index(index: IndexBuild, rows: int, heap: int) -> Estimate:
    """Return the estimate of a concurrent build: two scans of the heap and a sort."""
    size = rows * (INDEX_BYTES if index.unique or "," in index.body else KEY_INDEX_BYTES)
    seconds = rows * INDEX_ROW + 2 * heap / SCAN_BYTES + INSTANT
    return Estimate(way="concurrent build", seconds=seconds, log_bytes=size, disk_bytes=size)


def _exclusion(operation: RescopeExclusion, rows: int, heap: int) -> Estimate | None:
    """Return the estimate of an exclusion constraint: a build, then a look at every row, all under the lock."""
    if operation.adopted:
        return None
    row, size = (GIST_ROW, GIST_BYTES) if operation.extension else (EXCLUDED_ROW, INDEX_BYTES)
    seconds = rows * row + 2 * heap / SCAN_BYTES + INSTANT
    return Estimate(way="built under an exclusive lock", seconds=seconds, log_bytes=rows * size, disk_bytes=rows * size)


def _leaves(catalog: PostgresCatalog, table: Table) -> list[Table]:
    """Return the tables that hold the rows: the table itself, or its partitions on all levels."""
    found = [table] if table.kind == "table" else []
    for name in table.partitions:
        if (partition := catalog.table(name)) is not None:
            found += _leaves(catalog, partition)
    return found
