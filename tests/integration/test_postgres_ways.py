"""How the key of a large table is filled: passes that keep rows on their pages, the light statement and what it leaves,
rows that refuse their key, and cursors of an earlier version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_kit import PROJECTS, Application, application
from psycopg import sql

from tenure.errors import InterruptedRunError, OperationFailedError, StoreError
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.base import Claim, Step
from tenure.operations.row_ranges import PASSES, Place, batch_end, page_ranges, passes_for, tidies
from tenure.operations.row_statements import in_stripe
from tenure.runner.context import Context, StopSignal
from tenure.values import NEEDS_CONSENT, Phase

ROWS = 30_000
# Two parents of a hundred have no tenant: they are quarantined, and their rows with them.
# The passes are measured, not a vacuum of the server that pins their pages meanwhile and moves a third of the rows.
TABLES = f"""
CREATE TABLE files (id int PRIMARY KEY, p text);
INSERT INTO files SELECT g, CASE WHEN g % 50 = 0 THEN NULL ELSE (ARRAY['a', 'b', 'c'])[g % 3 + 1] END
FROM generate_series(1, 100) g;
CREATE TABLE t (id int PRIMARY KEY, file int, code text, body text) WITH (autovacuum_enabled = off);
CREATE INDEX t_file ON t (file);
CREATE INDEX t_code ON t (code);
INSERT INTO t SELECT g, 1 + g % 100, 'code ' || g, repeat('x', 100) FROM generate_series(1, {ROWS}) g;
"""
RULES: dict[str, Any] = {
    "files": {"tenant": {"column": "p"}, "unassigned": "quarantine"},
    "t": {"tenant": {"parent": "files", "match": {"file": "id"}}},
}
WRONG = """SELECT count(*) FROM t JOIN files f ON f.id = t.file
WHERE t.project_id IS DISTINCT FROM coalesce(f.p, '__quarantine__')"""
HOT = "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 't'"


def backfill(app: Application) -> tuple[int, int]:
    """Run the backfill; return the rows updated on their own page, and all rows updated."""
    app.run(Phase.EXPAND)
    app.execute("VACUUM t")
    app.run(Phase.BACKFILL)
    # A session that ends reports what it counted; one that idles may wait with that.
    app.session.postgres.close()
    ((hot, all_),) = app.pairs(HOT).items()
    return hot, all_


def test_most_rows_stay_on_their_pages_and_the_light_statement_leaves_no_row(postgres_dsn: str, tmp_path: Path) -> None:
    with application(postgres_dsn, tmp_path, PROJECTS + TABLES, RULES) as app:
        before = app.value("SELECT pg_total_relation_size('t')")
        hot, updated = backfill(app)
        assert app.value(WRONG) == 0
        assert updated == ROWS, "no row was written twice"
        assert hot > 0.7 * ROWS
        assert app.value("SELECT pg_total_relation_size('t')") < 1.3 * before
        assert app.value("SELECT count(*) FROM tenure.quarantine WHERE object = 't'") == ROWS // 50
        changed = app.pairs("SELECT object, changed FROM tenure.operation WHERE kind = 'backfill_rows'")
        assert changed == {"files": 100, "t": ROWS}


def test_pages_that_were_left_half_empty_are_filled_in_one_pass(postgres_dsn: str, tmp_path: Path) -> None:
    schema = TABLES.replace("(autovacuum_enabled", "(fillfactor = 45, autovacuum_enabled")
    with application(postgres_dsn, tmp_path, PROJECTS + schema, RULES) as app:
        hot, updated = backfill(app)
        assert (hot, updated) == (ROWS, ROWS)
        assert app.value("SELECT max((bounds ->> 'passes')::int) FROM tenure.range") == 1
        assert app.value(WRONG) == 0


def test_a_cursor_of_an_earlier_version_is_gone_on_from(postgres_dsn: str, tmp_path: Path) -> None:
    """Only the number of the pass was kept then, of sixteen; what is left to do is what the rows say."""
    with application(postgres_dsn, tmp_path, PROJECTS + TABLES, RULES) as app:
        with pytest.raises(InterruptedRunError):
            app.run(Phase.BACKFILL, signal=stopped_after(app, 3))
        app.execute(
            "UPDATE tenure.range SET token = NULL, bounds = bounds || '{\"passes\": 16}'::jsonb, "
            "cursor = jsonb_build_object('pass', 5) WHERE cursor IS NOT NULL AND state <> 'done'"
        )
        app.run(Phase.BACKFILL)
        assert app.value(WRONG) == 0


def stopped_after(app: Application, batches: int) -> StopSignal:
    """A signal that asks to stop once so many batches of `t` have committed."""

    class Counting(StopSignal):
        def check(self, operation: str) -> None:
            done = (
                "SELECT count(*) FROM tenure.range WHERE operation = 'postgres.backfill_rows.t' AND cursor IS NOT NULL"
            )
            if (
                app.value(done)
                and app.value("SELECT sum(changed) FROM tenure.range WHERE cursor IS NOT NULL") > batches
            ):
                self.set("asked by the test")
            super().check(operation)

    return Counting()


# Rows that refuse their key.

REFUSING = """
ALTER TABLE t ADD CONSTRAINT no_more CHECK (id % 7001 <> 0 OR body = 'good') NOT VALID;
CREATE FUNCTION sealed(id int) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN IF id = 12345 THEN RAISE EXCEPTION 'this row is sealed'; END IF; RETURN true; END$$;
ALTER TABLE t ADD CONSTRAINT unsealed CHECK (sealed(id)) NOT VALID;
"""
BAD = "SELECT item ->> 'id', reason FROM tenure.quarantine WHERE object = 't' AND reason LIKE 'cannot be written%'"
CHECKED = 'cannot be written: new row for relation "t" violates check constraint "no_more"'
EXPECTED = {str(7001 * n): CHECKED for n in (1, 2, 3, 4)} | {"12345": "cannot be written: this row is sealed"}


def test_rows_that_refuse_are_listed_and_block_no_other_row(postgres_dsn: str, tmp_path: Path) -> None:
    with application(postgres_dsn, tmp_path, PROJECTS + TABLES + REFUSING, RULES) as app:
        with pytest.raises(OperationFailedError) as failed:
            app.run(Phase.CONSTRAIN, allowed=tuple(NEEDS_CONSENT))
        assert "5 row(s) refuse their key" in str(failed.value)
        assert app.pairs(BAD) == EXPECTED
        assert app.value("SELECT count(*) FROM t WHERE project_id IS NULL") == 5
        assert app.value(WRONG) == 5
        assert app.value("SELECT state FROM tenure.operation WHERE id = 'postgres.backfill_rows.t'") == "failed"
        written = app.value("SELECT count(*) FROM t WHERE project_id IS NOT NULL")
        assert app.value("SELECT changed FROM tenure.operation WHERE id = 'postgres.backfill_rows.t'") == written
        assert app.value("SELECT count(*) FROM tenure.operation WHERE phase = 'constrain' AND attempts > 0") == 0
        # Put right, the next run writes them and takes them off the list.
        app.execute("ALTER TABLE t DROP CONSTRAINT unsealed; UPDATE t SET body = 'good' WHERE id % 7001 = 0")
        app.run(Phase.CONSTRAIN, allowed=tuple(NEEDS_CONSENT))
        assert app.pairs(BAD) == {}
        assert app.value(WRONG) == 0


def test_a_run_that_is_stopped_among_rows_that_refuse_ends_like_one_that_was_not(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(postgres_dsn, tmp_path, PROJECTS + TABLES + REFUSING, RULES) as app:
        batches = [0]
        original = BackfillRows.run_batch

        def counted(self: BackfillRows, ctx: Context, claim: Claim) -> Step:
            step = original(self, ctx, claim)
            batches[0] += 1
            if batches[0] % 9 == 0:
                ctx.signal.set("asked by the test")
            return step

        monkeypatch.setattr(BackfillRows, "run_batch", counted)
        stops = 0
        while True:
            with pytest.raises((InterruptedRunError, OperationFailedError)) as ended:
                app.run(Phase.BACKFILL, signal=StopSignal(), allowed=tuple(NEEDS_CONSENT))
            if isinstance(ended.value, OperationFailedError):
                assert "5 row(s)" in str(ended.value)
                break
            stops += 1
            assert stops < 100
        assert stops >= 2
        assert app.pairs(BAD) == EXPECTED
        assert app.value(WRONG) == 5
        assert (
            app.value("SELECT sum(changed) FROM tenure.range WHERE operation = 'postgres.backfill_rows.t'") == ROWS - 5
        )


def test_a_table_that_takes_no_key_at_all_ends_the_run_at_once(postgres_dsn: str, tmp_path: Path) -> None:
    with application(postgres_dsn, tmp_path, PROJECTS + TABLES, RULES) as app:
        app.run(Phase.EXPAND)
        app.execute("ALTER TABLE t ADD CHECK (project_id IS NULL)")
        with pytest.raises(StoreError, match="more than 200 rows of t in one batch refuse their key"):
            app.run(Phase.BACKFILL)
        assert app.value("SELECT count(*) FROM t WHERE project_id IS NOT NULL") == 0


def test_a_value_that_does_not_fit_the_key_column_is_one_of_them(postgres_dsn: str, tmp_path: Path) -> None:
    """A key column that was there before may be narrower than a tenant's name."""
    schema = """
    INSERT INTO projects VALUES ('a-long-name');
    CREATE TABLE t (id int PRIMARY KEY, p text, project_id varchar(3));
    INSERT INTO t SELECT g, CASE WHEN g = 777 THEN 'a-long-name' ELSE 'b' END FROM generate_series(1, 1000) g;
    """
    with application(postgres_dsn, tmp_path, PROJECTS + schema, {"t": {"tenant": {"column": "p"}}}) as app:
        with pytest.raises(OperationFailedError, match="value too long"):
            app.run(Phase.BACKFILL)
        assert app.pairs("SELECT id, p FROM t WHERE project_id IS NULL") == {777: "a-long-name"}
        assert app.pairs(BAD) == {"777": "cannot be written: value too long for type character varying(3)"}


# What needs no server.


def test_every_row_of_a_range_belongs_to_one_pass_and_one_batch() -> None:
    bounds = {"from": 1000, "to": 2000, "passes": 3}
    place: Place | None = Place.of(bounds, None, plainly=True)
    visited: list[tuple[int, int, int]] = []
    while place is not None:
        end = min(place.page + 300, 2000)
        visited.append((place.number, place.page, end))
        place = place.after(end, bounds)
        if place is not None:
            assert Place.of(bounds, place.cursor(), plainly=True) == place
    assert [(number, end - first) for number, first, end in visited] == [
        (number, size) for number in range(3) for size in (300, 300, 300, 100)
    ]


def test_ranges_cover_a_heap_and_are_smaller_where_it_is_small() -> None:
    for pages in (0, 1, 700, 7_000, 100_000):
        found = list(page_ranges(pages))
        assert [page for first, end in found for page in range(first, end)] == list(range(pages))
    assert next(page_ranges(7_000)) == (0, 437)
    assert next(page_ranges(100_000)) == (0, 2000)
    bounds = {"from": 0, "to": 437, "passes": 12}
    assert batch_end(Place(0, 0), bounds, 500) == 110, "other batches lie between two passes over the same pages"
    assert batch_end(Place(0, 330), bounds, 500) == 437
    assert batch_end(Place(0, 0), bounds, 50) == 50


def test_there_are_as_many_passes_as_the_room_on_a_page_asks_for() -> None:
    assert passes_for(1_000_000, 45, 100) == PASSES
    assert passes_for(1_000_000, 45, 50) == 1
    assert passes_for(1_000_000, 45, 80) == 4
    assert passes_for(1_000_000, 5, 100) == 5
    assert passes_for(100, 45, 100) == 1


def test_the_scans_that_find_room_read_a_table_three_times_at_most() -> None:
    for ranges in (10, 100, 5000):
        assert sum(number for number in range(ranges) if tidies(number)) <= 3 * ranges
    assert [number for number in range(30) if tidies(number)] == [2, 3, 5, 8, 12, 18, 27]


def test_the_condition_of_a_pass_is_the_last_byte_of_the_line_pointer(postgres_dsn: str) -> None:
    """On pages with more than 255 rows too each row is in one pass."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE narrow (); INSERT INTO narrow SELECT FROM generate_series(1, 600)")
        counted = sql.SQL("SELECT count(*), max((t.ctid::text::point)[1]) FROM narrow AS t WHERE {}")
        found = [connection.execute(counted.format(in_stripe(12, number))).fetchone() for number in range(12)]
    assert sum(row[0] for row in found if row is not None) == 600
    assert max(row[1] for row in found if row is not None) > 256 - 31
