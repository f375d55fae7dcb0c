"""Exclusion constraints: what constrain builds under its lock, what contract drops, and the way back from both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest
from postgres_kit import DROPS, PROJECTS, Application, application

from tenure.errors import OperationFailedError, RefusedError
from tenure.runner.rollback import Rollback
from tenure.values import NEEDS_CONSENT, Finding, Hazard, Phase

T: dict[str, Any] = {"t": {"tenant": {"column": "p"}}}
LOCKS = (Hazard.LOCKS_TABLE,)
ID = "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
GIST = "CREATE EXTENSION btree_gist;"
ROWS = "INSERT INTO t (p, r) VALUES ('a', '[1,5)'), ('b', '[5,9)');"
INSERT = "INSERT INTO t (p, project_id, r) VALUES "
THEIRS, OURS = INSERT + "('b', 'b', '[1,3)')", INSERT + "('a', 'a', '[2,4)')"


class Case(NamedTuple):
    """A schema, the definition that constrain gives it, what another tenant may insert after contract, what the same
    tenant may not."""

    schema: str
    definition: str
    allowed: tuple[str, ...] = (THEIRS,)
    refused: tuple[str, ...] = (OURS,)
    tables: Mapping[str, Any] = MappingProxyType(T)
    blocks: bool = True


EXCLUSIONS = {
    "gist": Case(
        f"CREATE TABLE t ({ID}, p text, r int4range, CONSTRAINT apart EXCLUDE USING gist (r WITH &&));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&)",
    ),
    "several elements, the extension there": Case(
        GIST + f"CREATE TABLE t ({ID}, p text, room int DEFAULT 7, r int4range,"
        " CONSTRAINT apart EXCLUDE USING gist (room WITH =, r WITH &&));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, room WITH =, r WITH &&)",
    ),
    "predicate": Case(
        f"CREATE TABLE t ({ID}, p text, r int4range, gone bool DEFAULT false,"
        " CONSTRAINT apart EXCLUDE USING gist (r WITH &&) WHERE (NOT gone AND p <> ')'));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&) WHERE (((NOT gone) AND (p <> ')'::text)))",
        allowed=(THEIRS, "INSERT INTO t (p, project_id, r, gone) VALUES ('a', 'a', '[1,3)', true)"),
    ),
    "deferrable": Case(
        f"CREATE TABLE t ({ID}, p text, r int4range,"
        " CONSTRAINT apart EXCLUDE USING gist (r WITH &&) DEFERRABLE INITIALLY DEFERRED);" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&) DEFERRABLE INITIALLY DEFERRED",
    ),
    "include, storage parameters": Case(
        f"CREATE TABLE t ({ID}, p text, r int4range, more int,"
        " CONSTRAINT apart EXCLUDE USING gist (r WITH &&) INCLUDE (more) WITH (fillfactor = 70));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&) INCLUDE (more) WITH (fillfactor='70')",
    ),
    "operator class and collation": Case(
        f"CREATE TABLE t ({ID}, p text, r int4range, net inet DEFAULT '10.0.0.0/8',"
        " CONSTRAINT apart EXCLUDE USING gist (r WITH &&, net inet_ops WITH &&));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&, net inet_ops WITH &&)",
    ),
    "expression": Case(
        GIST + f"CREATE TABLE t ({ID}, p text, r int4range, lo int DEFAULT 1, hi int DEFAULT 2,"
        " CONSTRAINT apart EXCLUDE USING gist (int4range(lo, hi) WITH &&, (lo + 1) WITH =, r WITH &&));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, int4range(lo, hi) WITH &&, ((lo + 1)) WITH =, r WITH &&)",
    ),
    "btree": Case(
        f"CREATE TABLE t ({ID}, p text, r int4range, CONSTRAINT apart EXCLUDE USING btree (r WITH =));" + ROWS,
        "EXCLUDE USING btree (project_id WITH =, r WITH =)",
        allowed=(INSERT + "('b', 'b', '[1,5)')",),
        refused=(INSERT + "('a', 'a', '[1,5)')",),
    ),
    "names that have to be quoted": Case(
        GIST + f'CREATE TABLE t ({ID}, p text, r int4range, "from; --" int DEFAULT 1,'
        ' CONSTRAINT "apart %s {}" EXCLUDE USING gist ("from; --" WITH =, r WITH &&));' + ROWS,
        'EXCLUDE USING gist (project_id WITH =, "from; --" WITH =, r WITH &&)',
    ),
    "with the source column in it": Case(
        GIST + f"CREATE TABLE t ({ID}, p text, r int4range,"
        " CONSTRAINT apart EXCLUDE USING gist (p WITH =, r WITH &&));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&)",
        blocks=False,
    ),
    "with the source column compared otherwise": Case(
        GIST + f"CREATE TABLE t ({ID}, p text, r int4range, n int DEFAULT 1,"
        " CONSTRAINT apart EXCLUDE USING gist (n WITH =, p WITH <>, r WITH &&));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, n WITH =, p WITH <>, r WITH &&)",
        refused=(INSERT + "('c', 'a', '[2,4)')",),
    ),
    "null keys, one value": Case(
        f"CREATE TABLE t ({ID}, p text, r int4range, CONSTRAINT apart EXCLUDE USING gist (r WITH &&));"
        "INSERT INTO t (p, r) VALUES ('a', '[1,5)'), (NULL, '[5,9)');",
        "EXCLUDE USING gist (COALESCE(project_id, '__shared__'::text) WITH =, r WITH &&)",
        allowed=(THEIRS, INSERT + "('b', 'b', '[5,6)')"),
        refused=(OURS, INSERT + "(NULL, NULL, '[5,6)')"),
        tables={"t": {"tenant": {"column": "p"}, "unassigned": {"keep_null": "built in"}}},
    ),
    "partitioned": Case(
        GIST + "CREATE TABLE t (p text, r int4range, n int DEFAULT 1, CONSTRAINT apart EXCLUDE USING gist"
        " (n WITH =, r WITH &&)) PARTITION BY RANGE (n);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20);" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, n WITH =, r WITH &&)",
    ),
    "of one partition": Case(
        "CREATE TABLE t (p text, r int4range, n int DEFAULT 1) PARTITION BY RANGE (n);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "ALTER TABLE t1 ADD CONSTRAINT apart EXCLUDE USING gist (r WITH &&);" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&)",
    ),
    "operator and class of another schema": Case(
        "CREATE SCHEMA ext; CREATE EXTENSION btree_gist SCHEMA ext;"
        f"CREATE TABLE t ({ID}, p text, r int4range, at int DEFAULT 3,"
        " CONSTRAINT apart EXCLUDE USING gist (r WITH &&, at ext.gist_int4_ops WITH =));" + ROWS,
        "EXCLUDE USING gist (project_id WITH =, r WITH &&, at WITH =)",
    ),
}  # fmt: skip


def refuses(app: Application, statement: str) -> bool:
    """Whether *statement* is refused by an exclusion."""
    try:
        app.execute(statement)
    except psycopg.errors.ExclusionViolation:
        return True
    return False


def exclusions(app: Application) -> dict[str, str]:
    """The definition of every exclusion constraint there is, partitions' copies aside."""
    return app.pairs(
        "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'x' AND conparentid = 0"
    )


def found(app: Application, id_: str) -> list[Finding]:
    """The plan's findings of one sort."""
    return [finding for finding in app.session.plan().findings if finding.id == id_]


@pytest.mark.parametrize("name", EXCLUSIONS)
def test_exclusion_per_tenant_and_back(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    """After each phase: which constraints there are, word for word, and what two tenants may do; then after undo."""
    case = EXCLUSIONS[name]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        before = exclusions(app)
        (old,) = before
        installed = app.value("SELECT count(*) FROM pg_extension")
        for phase in (Phase.EXPAND, Phase.BACKFILL):
            app.run(phase)
            assert exclusions(app) == before
        with pytest.raises(RefusedError, match="LOCKS_TABLE"):
            app.run(Phase.CONSTRAIN)
        assert exclusions(app) == before, "nothing is locked before the word is given"
        app.run(Phase.CONSTRAIN, LOCKS)
        assert exclusions(app) == before | {f"{old}_project_id": case.definition}
        app.run(Phase.CONSTRAIN)  # what is done needs nobody's word again
        if case.blocks:
            assert refuses(app, case.allowed[0]), "the old constraint stays until contract"
        assert app.contracted() == 1
        assert exclusions(app) == {f"{old}_project_id": case.definition}
        for statement in case.refused:
            assert refuses(app, statement), statement
        again = app.run(Phase.CONTRACT, allowed=tuple(NEEDS_CONSENT)).outcomes
        assert again.keys() <= {operation.id for operation in app.plan().operations if operation.ranged}
        app.undo()
        assert exclusions(app) == before
        assert app.value("SELECT count(*) FROM pg_extension") == installed
        app.untouched()


@pytest.mark.parametrize("name", [name for name, case in EXCLUSIONS.items() if case.blocks])
def test_no_way_back_once_two_tenants_meet(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The rows that meet are listed before anything is undone; undo of the drop refuses too, and nothing is lost."""
    case = EXCLUSIONS[name]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        app.contracted()
        for statement in case.allowed:
            app.execute(statement)
        there = exclusions(app)
        rollback = Rollback(app.session.context(), app.plan())
        forecast = rollback.plan(Phase.INSPECT)
        assert not forecast.lossless
        (lost,) = forecast.blocking
        assert lost.count == len(lost.sample) > 0
        with pytest.raises(RefusedError, match="meet by now"):
            rollback.run(Phase.INSPECT)
        (drop,) = (operation for operation in app.plan().operations if operation.kind in DROPS)
        with pytest.raises(OperationFailedError, match="stand against apart"):
            drop.undo(app.session.context())
        assert exclusions(app) == there


def test_a_rollback_by_the_runner(postgres_dsn: str, tmp_path: Path) -> None:
    """All the way back from contract, and forward and back again: somebody else's extension is left alone then."""
    case = EXCLUSIONS["gist"]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        app.contracted()
        forecast = Rollback(app.session.context(), app.plan()).plan(Phase.INSPECT)
        (said,) = [note for note in forecast.notes if note.id == "TEN034"]
        assert (forecast.lossless, said.severity) == (True, "info")
        assert "built again under ACCESS EXCLUSIVE (LOCKS_TABLE)" in said.title
        Rollback(app.session.context(), app.plan()).run(Phase.INSPECT)
        app.untouched()
        assert Rollback(app.session.context(), app.plan()).plan(Phase.INSPECT).notes == ()
        app.execute("CREATE EXTENSION btree_gist")
        app.contracted()
        Rollback(app.session.context(), app.plan()).run(Phase.INSPECT)
        app.untouched()
        assert app.value("SELECT count(*) FROM pg_extension WHERE extname = 'btree_gist'") == 1


def test_an_extension_that_others_use_by_now_stays(postgres_dsn: str, tmp_path: Path) -> None:
    case = EXCLUSIONS["gist"]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        app.run(Phase.CONSTRAIN, LOCKS)
        app.execute("CREATE TABLE later (n int, EXCLUDE USING gist (n WITH =))")
        (built,) = (operation for operation in app.plan().operations if operation.kind == "rescope_exclusion")
        assert "btree_gist stays" in built.undo(app.session.context()).note
        assert set(exclusions(app)) == {"apart", "later_n_excl"}


def test_rows_that_meet_are_listed_before_any_write(postgres_dsn: str, tmp_path: Path) -> None:
    """Two spellings of a tenant could overlap, the tenant cannot: inspect names the pairs, apply writes nothing."""
    schema = (
        "CREATE EXTENSION btree_gist;"
        f"CREATE TABLE t ({ID}, p text, r int4range, CONSTRAINT apart EXCLUDE USING gist (p WITH =, r WITH &&));"
        "INSERT INTO t (p, r) VALUES ('a', '[1,5)'), ('A', '[2,3)'), ('A', '[7,9)'), ('b', '[1,5)'), ('c', '[1,5)');"
    )
    tenant = {"key": "project_id", "registry": {"table": "projects", "column": "id"}, "aliases": "aliases.csv"}
    files = {"aliases.csv": "value,tenant\nA,a\n"}
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T, files=files, tenant=tenant) as app:
        (listed,) = (finding for finding in app.session.inspect().findings if finding.id == "TEN113")
        assert listed.severity == "error"
        assert (listed.object, listed.count) == ("t.apart", 1)
        assert listed.sample == ({"tenant": "a", "items": [{"id": 1}, {"id": 2}]},)
        app.untouched()
        app.run(Phase.BACKFILL)
        with pytest.raises(OperationFailedError, match=r"1 pair\(s\) of rows stand against apart_project_id"):
            app.run(Phase.CONSTRAIN, LOCKS)
        app.execute("UPDATE t SET r = '[5,6)' WHERE id = 2")
        assert not [finding for finding in app.session.inspect().findings if finding.id == "TEN113"]
        app.run(Phase.CONSTRAIN, LOCKS)
        app.undo()


STAYS = {
    "hash": ("EXCLUDE USING hash (n WITH =)", "holds one column only"),
    "spgist": ("EXCLUDE USING spgist (r WITH &&)", "holds one column only"),
    "between tenants on purpose": ("EXCLUDE USING gist (n WITH =, project_id WITH <>)", "on purpose"),
    "without overlaps": ("UNIQUE (n, r WITHOUT OVERLAPS)", "WITHOUT OVERLAPS"),
}


@pytest.mark.parametrize("name", STAYS)
def test_what_cannot_be_had_per_tenant_is_said(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    definition, reason = STAYS[name]
    schema = (
        f"CREATE EXTENSION btree_gist; CREATE TABLE t ({ID}, p text, n int NOT NULL DEFAULT 1, r int4range NOT NULL,"
        f" project_id text, CONSTRAINT apart {definition}); INSERT INTO t (p, r) VALUES ('a', '[1,5)');"
    )
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        (finding,) = found(app, "TEN021")
        assert reason in finding.title
        assert "keep: REASON" in finding.remedy
        assert app.contracted() == 0
        app.undo()
        app.untouched()


def test_kept_with_a_reason_and_adopted(postgres_dsn: str, tmp_path: Path) -> None:
    """A constraint that the playbook keeps needs no word of anybody; one that somebody built before is used."""
    schema = (
        f"CREATE EXTENSION btree_gist; CREATE TABLE t ({ID}, p text, r int4range, project_id text,"
        " CONSTRAINT apart EXCLUDE USING gist (r WITH &&),"
        " CONSTRAINT theirs EXCLUDE USING gist (r WITH &&, project_id WITH =));" + ROWS
    )
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        built = next(operation for operation in app.plan().operations if operation.kind == "rescope_exclusion")
        assert built.statements() == ()
        assert not set(built.hazards) & NEEDS_CONSENT
        app.run(Phase.CONSTRAIN)
        assert app.contracted() == 1
        assert set(exclusions(app)) == {"theirs"}
        app.undo()
        app.untouched()
    keep = {"t": {"tenant": {"column": "p"}, "unique": {"apart": {"keep": "one building"}}}}
    with application(postgres_dsn, tmp_path, "", keep) as app:
        assert [finding.title for finding in found(app, "TEN022")][-1].endswith("apart is kept: one building")
        app.run(Phase.CONSTRAIN)
        assert app.contracted() == 0


def test_without_the_extension_the_plan_is_refused(postgres_dsn: str, tmp_path: Path) -> None:
    """A role that may not create btree_gist learns so from the plan, with both ways out; the rest is not begun."""
    case = EXCLUSIONS["gist"]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        app.execute(
            "DROP ROLE IF EXISTS humble; CREATE ROLE humble LOGIN PASSWORD 'x';"
            "GRANT ALL ON SCHEMA public TO humble; GRANT SELECT ON ALL TABLES IN SCHEMA public TO humble;"
        )
        dsn = psycopg.conninfo.make_conninfo(postgres_dsn, user="humble", password="x")
        with application(postgres_dsn, tmp_path, "", case.tables, url=dsn) as humble:
            plan = humble.session.plan()
            (error,) = [finding for finding in plan.errors if finding.object == "t.apart"]
            assert error.id == "TEN029"
            assert "CREATE EXTENSION btree_gist" in error.remedy
            assert "unique: {apart: {keep: REASON}}" in error.remedy
            assert plan.operations == ()
        app.execute("DROP OWNED BY humble; DROP ROLE humble")
