"""The backfill of one table as a PL/pgSQL block that commits batch by batch, with the very statement of the runner."""

from __future__ import annotations

from psycopg import sql

from tenure.attribution.rows import table_sql, untagged
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.row_ranges import FEW_ROWS, PASSES, RANGE_PAGES
from tenure.operations.text import BACKFILL_SETTING
from tenure.render.text import do_block, dollar_quoted, one_line
from tenure.values import TableName

SWEEPS = 20
# The bounds are parameters of EXECUTE: first and last page as tids, number of passes, this pass.
_WHERE = sql.SQL("t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4")


def backfill_block(operation: BackfillRows, leaf: TableName) -> str:
    """Return the block for one heap: ranges of pages, each in passes by line pointer, then a sweep, then a count.

    A pass touches one row in `passes` of every page, so that the next one reuses the room that the last one freed; a
    range and a pass are one transaction, and a repeat finds what is done by its key.
    """
    quiet = _quiet(operation)
    quiet_pass = f"    {quiet}" if quiet else ""
    name = sql.Literal(one_line(leaf.display)).as_string(None)
    relation = table_sql(leaf).as_string(None)
    regclass = sql.Literal(relation).as_string(None)
    return do_block(f"""\
DECLARE
    tenure_pages bigint := pg_relation_size({regclass}::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY {relation} LIMIT {FEW_ROWS + 1}) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = {regclass}::regclass);
    tenure_passes int := {PASSES};
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := {dollar_quoted(operation.batch(leaf, _WHERE).as_string(None), "batch")};
BEGIN
    IF tenure_few <= {FEW_ROWS} THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
{quiet_pass}            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + {RANGE_PAGES})::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + {RANGE_PAGES};
        RAISE NOTICE '%: % of % pages, % rows written', {name}, least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. {SWEEPS} LOOP
{quiet}        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
{_left(operation, leaf)}END""")


def _quiet(operation: BackfillRows) -> str:
    """Return what keeps the table's own triggers still for one transaction."""
    if operation.way == "replica":
        return "        PERFORM set_config('session_replication_role', 'replica', true);\n"
    if operation.way == "guarded":
        return f"        PERFORM set_config('{BACKFILL_SETTING}', 'on', true);\n"
    return ""


def _left(operation: BackfillRows, leaf: TableName) -> str:
    """Return the count of rows without a key, which must be none but where null means that the row is global."""
    if operation.rule.policy.unassigned == "keep_null":
        return ""
    query = sql.SQL("SELECT count(*) FROM ONLY {} AS t WHERE {}").format(
        table_sql(leaf), untagged(operation.rule.key, sql.SQL("t.{}").format(sql.Identifier(operation.rule.key.name)))
    )
    name = sql.Literal(one_line(leaf.display)).as_string(None)
    return (
        f"    EXECUTE {dollar_quoted(query.as_string(None), 'left')} INTO tenure_changed;\n"
        "    IF tenure_changed > 0 THEN\n"
        f"        RAISE EXCEPTION '%: % rows are left without a key', {name}, tenure_changed\n"
        "            USING HINT = 'Look at their bin in the first part of this file, then run it again.';\n"
        "    END IF;\n"
    )
