"""A table's own triggers see nothing of the backfill: silenced for the session, or guarded where the role may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from postgres_kit import PROJECTS, Application, application, owner_of

from tenure.errors import RefusedError
from tenure.operations.backfill_rows import BackfillRows
from tenure.planner.rows import triggers_way
from tenure.runner.runner import consent
from tenure.values import Hazard, Phase

TOUCH = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TABLE t (id int PRIMARY KEY, p text, updated_at timestamptz DEFAULT '2001-01-01');
INSERT INTO t SELECT g, (ARRAY['a', 'b'])[g % 2 + 1] FROM generate_series(1, 50) g;
"""
PLAIN = "CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();"
TRIGGERS = {
    "plain": PLAIN,
    "with a condition": "CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW "
    "WHEN (old.* IS DISTINCT FROM new.* AND new.p <> ' EXECUTE FUNCTION (''') EXECUTE FUNCTION touch();",
    "always enabled, hostile name": 'CREATE TRIGGER "a "" EXECUTE FUNCTION x()" BEFORE INSERT OR UPDATE ON t '
    'FOR EACH ROW EXECUTE FUNCTION touch(); ALTER TABLE t ENABLE ALWAYS TRIGGER "a "" EXECUTE FUNCTION x()";',
    "constraint trigger": "CREATE TABLE seen (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NULL; END $$; "
    "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    "EXECUTE FUNCTION note('arg');",
    "for each statement": "CREATE TABLE seen (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN INSERT INTO seen SELECT id FROM changed; RETURN NULL; END $$; "
    "CREATE TRIGGER late AFTER UPDATE ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT "
    "EXECUTE FUNCTION note();",
}
RULES: dict[str, Any] = {"t": {"tenant": {"column": "p"}}}
SEEN: dict[str, Any] = {"seen": {"exempt": "what a trigger notes"}}


def untouched_times(app: Application) -> None:
    """No trigger of the table's own saw the backfill."""
    assert app.value("SELECT count(*) FROM t WHERE updated_at <> '2001-01-01'") == 0
    assert app.value("SELECT count(*) FROM t WHERE project_id IS DISTINCT FROM p") == 0
    if app.value("SELECT to_regclass('seen') IS NOT NULL"):
        assert app.value("SELECT count(*) FROM seen") == 0


def way(app: Application) -> str:
    """How the plan keeps the triggers of t still."""
    return next(o.way for o in app.plan().operations if isinstance(o, BackfillRows) and o.object == "t")


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_triggers_keep_still_for_a_superuser(trigger: str, postgres_dsn: str, tmp_path: Path) -> None:
    rules = RULES | (SEEN if "seen" in TRIGGERS[trigger] else {})
    with application(postgres_dsn, tmp_path, PROJECTS + TOUCH + TRIGGERS[trigger], rules) as app:
        assert way(app) == ("guarded" if "always" in trigger else "replica")
        app.run(Phase.BACKFILL)
        untouched_times(app)
        app.undo()
        app.untouched()


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_triggers_keep_still_for_an_owner(trigger: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The owner's triggers get a guard while the backfill runs, fire for others meanwhile, and are put back."""
    rules = RULES | (SEEN if "seen" in TRIGGERS[trigger] else {})
    with application(owner_of(postgres_dsn), tmp_path, PROJECTS + TOUCH + TRIGGERS[trigger], rules) as app:
        assert way(app) == "guarded"
        app.run(Phase.EXPAND)
        guard = next(o for o in app.plan().operations if o.kind == "guard_triggers")
        guard.apply(app.session.context())
        app.execute("UPDATE t SET p = 'b' WHERE id = 2")
        touched = app.value("SELECT count(*) FROM t WHERE updated_at <> '2001-01-01'")
        seen = app.value("SELECT count(*) FROM seen") if "seen" in TRIGGERS[trigger] else 0
        assert touched + seen == 1, "what the application does fires the trigger as ever"
        app.execute("ALTER TABLE t DISABLE TRIGGER USER; UPDATE t SET p = 'a', updated_at = '2001-01-01' WHERE id = 2")
        app.execute("UPDATE t SET project_id = NULL; ALTER TABLE t ENABLE TRIGGER USER")
        if "always" in trigger:
            app.execute('ALTER TABLE t ENABLE ALWAYS TRIGGER "a "" EXECUTE FUNCTION x()"')
        if seen:
            app.execute("TRUNCATE seen")
        app.execute("UPDATE t SET p = p WHERE false")
        app.run(Phase.BACKFILL)
        assert app.value("SELECT count(*) FROM t WHERE project_id IS NULL") == 0
        found = app.catalog().table("t")
        before = app.before.table("t")
        assert found is not None
        assert before is not None
        assert [x for x in found.triggers if "tenure" not in x.name] == list(before.triggers)
        app.undo()
        app.untouched()


def test_triggers_of_partitions_are_guarded_from_the_top(postgres_dsn: str, tmp_path: Path) -> None:
    schema = TOUCH.replace("'2001-01-01');",
        "'2001-01-01') PARTITION BY HASH (id);"
        "CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);")  # fmt: skip
    own = "CREATE TRIGGER own BEFORE UPDATE ON t_1 FOR EACH ROW EXECUTE FUNCTION touch();"
    with application(owner_of(postgres_dsn), tmp_path, PROJECTS + schema + PLAIN + own, RULES) as app:
        assert way(app) == "guarded"
        app.run(Phase.BACKFILL)
        untouched_times(app)
        app.undo()
        app.untouched()


def test_triggers_of_somebody_else_need_consent(postgres_dsn: str, tmp_path: Path) -> None:
    """A role that may write and alter nothing more lets the triggers fire, if the operator says so."""
    with application(owner_of(postgres_dsn), tmp_path, PROJECTS + TOUCH + PLAIN, RULES) as app:
        catalog = app.catalog()
        tables = tuple(table.model_copy(update={"owned": False}) for table in catalog.tables)
        table = next(table for table in tables if table.name == "t")
        assert triggers_way(table, catalog.model_copy(update={"tables": tables}), "project_id") == "fires"
        backfill = next(o for o in app.plan().operations if isinstance(o, BackfillRows))
        fires = backfill.model_copy(update={"way": "fires", "hazards": (Hazard.FIRES_TRIGGERS,)})
        plan = app.plan().model_copy(update={"operations": (fires,)})
        with pytest.raises(RefusedError, match="FIRES_TRIGGERS"):
            consent(plan, Phase.BACKFILL, ())
