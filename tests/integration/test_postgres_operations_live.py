"""Backfill and fill trigger beside a working application: writers, kills, policies, and room on the pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_kit import PROJECTS, application, owner_of

from tenure.errors import InterruptedRunError
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.base import Claim, Step
from tenure.runner.context import Context, StopSignal
from tenure.values import Phase

RULES: dict[str, Any] = {"t": {"tenant": {"column": "p"}}}


def test_updates_stay_on_their_pages(postgres_dsn: str, tmp_path: Path) -> None:
    """Striped passes reuse the room of the pass before: most updates are heap-only, and the table hardly grows."""
    schema = """
    CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, p text, name text, body text, n int);
    INSERT INTO t (p, name, body, n) SELECT (ARRAY['a', 'b', 'c'])[g % 3 + 1], 'name ' || g, repeat('x', 80), g
      FROM generate_series(1, 100000) g;
    CREATE INDEX ON t (name); CREATE INDEX ON t (n);
    VACUUM (ANALYZE) t;
    """
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        for statement in (PROJECTS + schema).split(";\n"):
            if statement.strip():
                connection.execute(statement.encode())
        connection.execute("ALTER TABLE t SET (autovacuum_enabled = off)")
    # One worker: two hold each other's horizon back, and what the last pass left dead cannot be pruned at once (80 %).
    with application(postgres_dsn, tmp_path, "", RULES, limits={"workers": {"postgres": 1}}) as app:
        size = app.value("SELECT pg_relation_size('t')")
        app.run(Phase.BACKFILL)
        app.session.postgres.close()
        with app.connect() as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")
            row = connection.execute(
                "SELECT n_tup_upd, n_tup_hot_upd, pg_relation_size('t') FROM pg_stat_user_tables WHERE relname = 't'"
            ).fetchone()
        assert row is not None
        updated, hot, after = row
        assert updated == 100_000
        assert hot / updated > 0.7, f"{hot / updated:.0%} heap-only"
        assert after / size < 1.2, f"grew by {after / size - 1:.0%}"


def test_a_row_changed_since_it_was_decided_on_is_left_to_the_sweep(postgres_dsn: str, tmp_path: Path) -> None:
    """The batch waits for a writer's row lock, and must not write what the row's old content came to."""
    schema = "CREATE TABLE t (id int PRIMARY KEY, p text, project_id text); INSERT INTO t VALUES (1, 'a', 'c');"
    rules = {"t": {"tenant": {"column": "p"}, "existing": "rederive"}}
    with application(postgres_dsn, tmp_path, PROJECTS + schema, rules) as app:
        app.run(Phase.EXPAND)
        done = threading.Event()

        def backfill() -> None:
            app.run(Phase.BACKFILL)
            done.set()

        with app.connect() as writer:
            writer.autocommit = False
            writer.execute("UPDATE t SET p = 'b' WHERE id = 1")
            thread = threading.Thread(target=backfill)
            thread.start()
            with app.connect() as watcher:
                while not watcher.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tenure' AND wait_event_type = 'Lock' "
                    "AND datname = current_database()"
                ).fetchone():
                    assert not done.wait(0.02), "the batch did not meet the writer's lock"
            writer.commit()
        thread.join(60)
        assert done.is_set()
        assert app.pairs("SELECT id, project_id FROM t") == {1: "b"}


LIVE = """
CREATE TABLE files (id int PRIMARY KEY, name text UNIQUE, p text);
CREATE TABLE t (id int PRIMARY KEY, file text REFERENCES files (name), body text);
INSERT INTO files SELECT g, 'f' || g, (ARRAY['a', 'b', 'c'])[g % 3 + 1] FROM generate_series(1, 2000) g;
INSERT INTO t SELECT g, 'f' || (g % 2000 + 1), 'x' FROM generate_series(1, 20000) g;
"""
LIVE_RULES: dict[str, Any] = {
    "files": {"tenant": {"column": "p"}},
    "t": {"tenant": {"parent": "files", "match": {"file": "name"}}},
}
WRONG = "SELECT count(*) FROM t LEFT JOIN files f ON f.name = t.file WHERE t.project_id IS DISTINCT FROM f.p"


def test_a_writer_during_the_whole_run(postgres_dsn: str, tmp_path: Path) -> None:
    """Rows inserted, updated and deleted meanwhile have their parent's tenant, and none of the writes is lost."""
    with application(postgres_dsn, tmp_path, PROJECTS + LIVE, LIVE_RULES) as app:
        stop, written, failed = threading.Event(), [0], []

        def write() -> None:
            try:
                with app.connect() as connection:
                    number = 100_000
                    while not stop.is_set():
                        number += 1
                        connection.execute(
                            "INSERT INTO files VALUES (%s, %s, %s)", (number, f"f{number}", "abc"[number % 3])
                        )
                        connection.execute(
                            "INSERT INTO t VALUES (%s, %s, 'new'), (%s, %s, 'new')",
                            (number, f"f{number}", -number, f"f{number % 2000 + 1}"),
                        )
                        connection.execute("UPDATE t SET body = 'changed' WHERE id = %s", (number % 20000 + 1,))
                        connection.execute("UPDATE t SET file = 'f7' WHERE id = %s", (number % 19997 + 1,))
                        connection.execute("DELETE FROM t WHERE id = %s", (-number + 5,))
                        written[0] += 1
            except psycopg.Error as error:
                failed.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            app.run(Phase.CONSTRAIN)
        finally:
            stop.set()
            thread.join()
        assert not failed
        assert written[0] > 10
        app.run(Phase.CONSTRAIN)
        assert app.value("SELECT count(*) FROM t WHERE id > 100000") == written[0]
        assert app.value("SELECT count(*) FROM t WHERE project_id IN ('__quarantine__') OR project_id IS NULL") == 0
        assert app.value(WRONG) == 0


def test_a_run_killed_between_batches_ends_like_one_that_was_not(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(postgres_dsn, tmp_path, PROJECTS + LIVE, LIVE_RULES) as app:
        batches = [0]
        original = BackfillRows.run_batch

        def counted(self: BackfillRows, ctx: Context, claim: Claim) -> Step:
            step = original(self, ctx, claim)
            batches[0] += 1
            if batches[0] % 3 == 0:
                ctx.signal.set("killed by the test")
            return step

        monkeypatch.setattr(BackfillRows, "run_batch", counted)
        kills = 0
        while True:
            try:
                app.run(Phase.BACKFILL, signal=StopSignal())
                break
            except InterruptedRunError:
                kills += 1
                assert kills < 100
        assert kills >= 3
        assert app.value(WRONG) == 0
        changed = app.pairs("SELECT id, changed FROM tenure.operation WHERE kind = 'backfill_rows'")
        assert changed == {"postgres.backfill_rows.files": 2000, "postgres.backfill_rows.t": 20000}


def test_a_child_waits_for_its_parents_backfill(postgres_dsn: str, tmp_path: Path) -> None:
    """Between expand and backfill a parent has no key yet: its new children are not mistaken for nobody's."""
    with application(postgres_dsn, tmp_path, PROJECTS + LIVE, LIVE_RULES) as app:
        app.run(Phase.EXPAND)
        app.execute("INSERT INTO t VALUES (-1, 'f1', 'new'), (-2, NULL, 'new'); UPDATE t SET body = 'y' WHERE id = 5")
        assert app.pairs("SELECT id, project_id FROM t WHERE id < 0") == {-1: None, -2: "__quarantine__"}
        app.run(Phase.CONSTRAIN)
        assert app.value(WRONG + " AND t.id <> -2") == 0
        app.execute("INSERT INTO t VALUES (-3, 'f1', 'new')")
        assert app.value("SELECT t.project_id = p FROM t JOIN files f ON f.name = t.file WHERE t.id = -3")


def test_a_trigger_that_fails_never_fails_the_application(postgres_dsn: str, tmp_path: Path) -> None:
    schema = "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1);"
    rules = {"t": {"tenant": {"sql": "CASE WHEN 10 / t.n > 1 THEN 'a' ELSE 'b' END"}}}
    with application(postgres_dsn, tmp_path, PROJECTS + schema, rules) as app:
        app.run(Phase.CONSTRAIN)
        app.execute("INSERT INTO t VALUES (2, 0), (3, 10), (4, 2)")
        assert app.pairs("SELECT id, project_id FROM t") == {1: "a", 2: "__quarantine__", 3: "b", 4: "a"}
        fill = next(o for o in app.plan().operations if o.kind == "fill_trigger")
        assert fill.writes(app.session.context()) == 3  # type: ignore[attr-defined]


def test_a_trigger_sees_what_policies_hide_from_the_application(postgres_dsn: str, tmp_path: Path) -> None:
    """The application's role sees no parent and may use nothing of tenure's; a table of its own shadows nothing."""
    policies = """
    DROP ROLE IF EXISTS app_writer; CREATE ROLE app_writer LOGIN PASSWORD 'x';
    GRANT USAGE, CREATE ON SCHEMA public TO app_writer; GRANT ALL ON t TO app_writer;
    ALTER TABLE files ENABLE ROW LEVEL SECURITY;
    CREATE POLICY nothing ON files USING (false);
    """
    with application(postgres_dsn, tmp_path, PROJECTS + LIVE + policies, LIVE_RULES) as app:
        app.run(Phase.CONSTRAIN)
        dsn = psycopg.conninfo.make_conninfo(postgres_dsn, user="app_writer", password="x")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE TEMP TABLE files (name text, project_id text)")
            connection.execute("INSERT INTO files VALUES ('f1', 'c')")
            connection.execute("CREATE TEMP TABLE projects (id text)")
            connection.execute("SET search_path = pg_temp, public")
            connection.execute("INSERT INTO public.t VALUES (-1, 'f1', 'new')")
        assert app.value(WRONG) == 0


def test_forced_policies_are_lifted_for_the_trigger_as_for_the_role(postgres_dsn: str, tmp_path: Path) -> None:
    """Where the role's settings let it see every row, the function, which runs as that role, sets them too."""
    owner_dsn = owner_of(postgres_dsn)
    policies = """
    ALTER TABLE files ENABLE ROW LEVEL SECURITY; ALTER TABLE files FORCE ROW LEVEL SECURITY;
    CREATE POLICY bypass ON files USING (current_setting('app.bypass', true) = 'on');
    """
    schema = PROJECTS + "SET app.bypass = 'on';" + LIVE + policies
    connections = {"postgres": {"url": owner_dsn, "settings": {"app.bypass": "on"}}}
    with application(owner_dsn, tmp_path, schema, LIVE_RULES, connections=connections) as app:
        app.run(Phase.CONSTRAIN)
        with app.connect() as connection:
            connection.execute("SET app.bypass = 'on'")
            connection.execute("INSERT INTO files VALUES (-1, 'new', 'b')")
            connection.execute("SET app.bypass = ''")
            connection.execute("INSERT INTO t VALUES (-1, 'new', '')")
            row = connection.execute("SELECT current_setting('app.bypass')").fetchone()
            assert row == ("",), "the application does not keep what the function lent itself"
        assert app.value("SELECT project_id FROM t WHERE id = -1") == "b"


def test_a_generated_source_is_known_to_the_trigger(postgres_dsn: str, tmp_path: Path) -> None:
    schema = """CREATE TABLE t (id int PRIMARY KEY, ref text, said text, tenant text,
                p text GENERATED ALWAYS AS (split_part(ref, '/', 1)) STORED,
                q text GENERATED ALWAYS AS (lower(ref)));"""
    with application(postgres_dsn, tmp_path, PROJECTS + schema, RULES) as app:
        app.run(Phase.EXPAND)
        app.execute("INSERT INTO t (id, ref) VALUES (1, 'a/1'); UPDATE t SET ref = 'b/1' WHERE id = 1")
        app.execute("INSERT INTO t (id, ref) VALUES (2, 'c/1')")
        assert app.pairs("SELECT id, project_id FROM t") == {1: "b", 2: "c"}


def test_no_sentinel_is_written_under_a_foreign_key(postgres_dsn: str, tmp_path: Path) -> None:
    """Where the key column refers to the registry already, what cannot be decided stays null."""
    schema = "CREATE TABLE t (id int PRIMARY KEY, p text, project_id text REFERENCES projects);"
    with application(postgres_dsn, tmp_path, PROJECTS + schema, RULES) as app:
        app.run(Phase.EXPAND)
        app.execute("INSERT INTO t VALUES (1, 'nobody'), (2, 'a')")
        assert app.pairs("SELECT id, project_id FROM t") == {1: None, 2: "a"}
    rules = {"t": {"tenant": {"column": "p"}, "unassigned": "quarantine"}}
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA tenure CASCADE")
        connection.execute("DROP TABLE t, projects")
    with application(postgres_dsn, tmp_path, PROJECTS + schema, rules) as app:
        assert [error.id for error in app.session.plan().errors] == ["TEN009"]


def test_old_code_that_names_the_tenant_later_releases_the_row(postgres_dsn: str, tmp_path: Path) -> None:
    """The key follows its source: out of quarantine, to another tenant, and nowhere when the source is emptied."""
    schema = """
    CREATE TABLE t (id int PRIMARY KEY, p text, n int DEFAULT 0); INSERT INTO t VALUES (1, NULL), (2, 'a'), (3, 'a');
    """
    rules = {"t": {"tenant": {"column": "p"}, "unassigned": "quarantine"}}
    with application(postgres_dsn, tmp_path, PROJECTS + schema, rules) as app:
        app.run(Phase.CONSTRAIN)
        counted = app.value('SELECT last_value FROM tenure."filled_public_t"')
        app.execute("UPDATE t SET p = 'b' WHERE id = 1; UPDATE t SET p = NULL WHERE id = 2")
        app.execute("UPDATE t SET p = 'b', project_id = 'c' WHERE id = 3")
        assert app.pairs("SELECT id, project_id FROM t") == {1: "b", 2: "a", 3: "c"}
        assert app.value('SELECT last_value FROM tenure."filled_public_t"') == counted, "these did not lack the key"


def test_keys_that_were_there_come_back_in_batches(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row as it was, also where it was written twice and where undo was stopped; the application's own stays."""
    schema = """
    CREATE TABLE t (id bigint, at timestamptz, p text, project_id text, PRIMARY KEY (id, at));
    INSERT INTO t SELECT g, '2025-01-01 12:00:00.123456+03', (ARRAY['a', 'b'])[g % 2 + 1],
      (ARRAY[NULL, 'c', 'b'])[g % 3 + 1] FROM generate_series(1, 1000) g;
    """
    rules = {"t": {"tenant": {"column": "p"}, "existing": "rederive"}}
    monkeypatch.setattr("tenure.operations.backfill_rows.UNDO_ENTRIES", 100)
    with application(postgres_dsn, tmp_path, PROJECTS + schema, rules) as app:
        app.run(Phase.BACKFILL)
        assert app.value("SELECT count(*) FROM t WHERE project_id IS DISTINCT FROM p") == 0
        app.execute("ALTER TABLE t DISABLE TRIGGER USER; UPDATE t SET p = 'c' WHERE id < 20")
        app.execute("ALTER TABLE t ENABLE TRIGGER USER")
        assert app.run(Phase.BACKFILL).swept == 19
        app.execute("UPDATE t SET project_id = 'a', p = 'a' WHERE id = 3")
        backfill = next(o for o in app.plan().operations if isinstance(o, BackfillRows))
        signal = StopSignal()
        ctx = app.session.context(signal=signal)
        monkeypatch.setattr(ctx.signal, "check", stop_at(3, signal.check))
        with pytest.raises(InterruptedRunError):
            backfill.undo(ctx)
        app.undo()
        app.execute("UPDATE t SET p = (ARRAY['a', 'b'])[id % 2 + 1] WHERE id < 20")
        assert app.pairs("SELECT id, project_id FROM t WHERE id = 3") == {3: "a"}, "set by the application since"
        app.execute("UPDATE t SET project_id = NULL WHERE id = 3")
        app.untouched()
        assert app.value("SELECT count(*) FROM tenure.journal") == 0


def stop_at(calls: int, check: Callable[[str], None]) -> Callable[[str], None]:
    """A check of the stop signal that stops at the call of this number."""
    counted = iter(range(1, 1_000_000))

    def checked(operation: str) -> None:
        if next(counted) == calls:
            raise InterruptedRunError(operation=operation)
        check(operation)

    return checked
