"""Uniqueness of every form: what constrain builds, what contract drops, and the way back from both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest
from postgres_kit import DROPS, PROJECTS, Application, application, example_session

from tenure.demo.example import generate, load_postgres
from tenure.errors import OperationFailedError, RefusedError
from tenure.runner.rollback import Rollback
from tenure.values import NEEDS_CONSENT, Phase

T: dict[str, Any] = {"t": {"tenant": {"column": "p"}}}
ROWS = "INSERT INTO t (p, name) VALUES ('a', 'x'), ('b', 'y');"


class Case(NamedTuple):
    """A schema, what another tenant may insert after contract, what the same tenant may not, and what else is said."""

    schema: str
    allowed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    tables: Mapping[str, Any] = MappingProxyType(T)
    findings: Mapping[str, int] = MappingProxyType({})
    dropped: int = 1
    blocks: bool = True


INSERT = "INSERT INTO t (p, project_id, name) VALUES "
BOTH = {"allowed": (INSERT + "('b', 'b', 'x')",), "refused": (INSERT + "('a', 'a', 'x')",)}
ID = "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
SURROGATE = {"TEN022": 1}

UNIQUES = {
    "constraint": Case(f"CREATE TABLE t ({ID}, p text, name text UNIQUE);" + ROWS, **BOTH, findings=SURROGATE),
    "bare index": Case(f"CREATE TABLE t ({ID}, p text, name text); CREATE UNIQUE INDEX u ON t (name);" + ROWS, **BOTH),
    "partial": Case(
        f"CREATE TABLE t ({ID}, p text, name text, gone bool DEFAULT false);"
        "CREATE UNIQUE INDEX u ON t (name) WHERE NOT gone;" + ROWS,
        allowed=(*BOTH["allowed"], "INSERT INTO t (p, project_id, name, gone) VALUES ('a', 'a', 'x', true)"),
        refused=BOTH["refused"],
    ),
    "expression": Case(
        f"CREATE TABLE t ({ID}, p text, name text);"
        "CREATE UNIQUE INDEX u ON t (lower(name), (name || '{}%s'));" + ROWS,
        **BOTH,
    ),
    "collation, order, operator class": Case(
        f"CREATE TABLE t ({ID}, p text, name text);"
        'CREATE UNIQUE INDEX u ON t (name COLLATE "C" text_pattern_ops DESC NULLS LAST) WITH (fillfactor = 70);' + ROWS,
        **BOTH,
    ),
    "nulls not distinct": Case(
        f"CREATE TABLE t ({ID}, p text, name text UNIQUE NULLS NOT DISTINCT); INSERT INTO t (p) VALUES ('a');",
        allowed=(INSERT + "('b', 'b', NULL)",),
        refused=(INSERT + "('a', 'a', NULL)",),
    ),
    "include": Case(
        f"CREATE TABLE t ({ID}, p text, name text, more int, UNIQUE (name) INCLUDE (more));" + ROWS, **BOTH
    ),
    "deferrable": Case(
        f"CREATE TABLE t ({ID}, p text, name text UNIQUE DEFERRABLE INITIALLY DEFERRED);" + ROWS, **BOTH
    ),
    "natural primary key": Case("CREATE TABLE t (name text PRIMARY KEY, p text);" + ROWS, **BOTH),
    "natural primary key with references": Case(
        "CREATE TABLE t (name text PRIMARY KEY, p text, up text REFERENCES t);" + ROWS
        + "CREATE TABLE c (id int PRIMARY KEY, name text REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);"
        "INSERT INTO c VALUES (1, 'x'), (2, 'y'); UPDATE t SET up = 'x' WHERE name = 'x';",
        **BOTH,
        tables={**T, "c": {"tenant": {"parent": "t", "match": {"name": "name"}}}},
        dropped=2,
    ),
    "primary key that is the replica identity of a publication": Case(
        "CREATE TABLE t (name text PRIMARY KEY, p text); CREATE PUBLICATION pub FOR TABLE t;" + ROWS, **BOTH
    ),
    "primary key that is the replica identity by name": Case(
        "CREATE TABLE t (name text PRIMARY KEY, p text);"
        "ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey;" + ROWS,
        **BOTH,
    ),
    "scoped by an expression": Case(
        f"CREATE TABLE t ({ID}, p text, name text, project_id text);"
        "CREATE UNIQUE INDEX u ON t (coalesce(project_id, ''), name);" + ROWS,
        **BOTH, findings={"TEN022": 1}, dropped=0,
    ),
    "index that is the replica identity": Case(
        f"CREATE TABLE t ({ID}, p text, name text NOT NULL UNIQUE);"
        "ALTER TABLE t REPLICA IDENTITY USING INDEX t_name_key;"
        + ROWS,
        **BOTH,
    ),
    "with the source column in it": Case(
        f"CREATE TABLE t ({ID}, p text, name text, UNIQUE (p, name));" + ROWS, **BOTH, blocks=False
    ),
    "partitioned": Case(
        "CREATE TABLE t (p text, name text, n int DEFAULT 1, UNIQUE (n, name)) PARTITION BY RANGE (n);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); CREATE UNIQUE INDEX own ON t1 (name);"
        "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20);" + ROWS,
        **BOTH,
        dropped=2,
    ),
    "primary key of a partitioned table": Case(
        "CREATE TABLE t (p text, name text, n int DEFAULT 1, PRIMARY KEY (n, name)) PARTITION BY RANGE (n);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (n);"
        "CREATE TABLE t3 PARTITION OF t2 FOR VALUES FROM (10) TO (15);" + ROWS,
        **BOTH,
    ),
    "primary key of a partitioned table with references": Case(
        "CREATE TABLE t (p text, name text, n int DEFAULT 1, PRIMARY KEY (n, name) INCLUDE (p)) PARTITION BY RANGE (n);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);" + ROWS
        + "CREATE TABLE c (id int PRIMARY KEY, n int, name text, FOREIGN KEY (n, name) REFERENCES t);"
        "INSERT INTO c VALUES (1, 1, 'x'), (2, 1, 'y');",
        **BOTH,
        tables={**T, "c": {"tenant": {"parent": "t", "match": {"n": "n", "name": "name"}}}},
        dropped=2,
    ),
    "primary key of a partition that replication knows by name": Case(
        "CREATE TABLE t (p text, name text, n int DEFAULT 1, PRIMARY KEY (n, name)) PARTITION BY RANGE (n);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "ALTER TABLE t1 REPLICA IDENTITY USING INDEX t1_pkey;" + ROWS,
        refused=(INSERT + "('b', 'b', 'x')",),
        findings={"TEN027": 1},
        dropped=0,
    ),
    "null keys, one value": Case(
        f"CREATE TABLE t ({ID}, p text, name text NOT NULL UNIQUE, code text UNIQUE);"
        "INSERT INTO t (p, name) VALUES ('a', 'x'), (NULL, 'x2');",
        allowed=(INSERT + "('b', 'b', 'x')", INSERT + "('b', 'b', 'x2')"),
        refused=(INSERT + "('a', 'a', 'x')", INSERT + "(NULL, NULL, 'x2')"),
        tables={"t": {"tenant": {"column": "p"}, "unassigned": {"keep_null": "built in"}}},
        dropped=2,
    ),
    "kept with a reason": Case(
        f"CREATE TABLE t ({ID}, p text, name text UNIQUE);" + ROWS,
        refused=(INSERT + "('b', 'b', 'x')",),
        tables={"t": {"tenant": {"column": "p"}, "unique": {"t_name_key": {"keep": "tokens are global"}}}},
        findings={"TEN022": 2},
        dropped=0,
    ),
    "needed by a table without the key": Case(
        f"CREATE TABLE t ({ID}, p text, name text UNIQUE); CREATE TABLE s (name text REFERENCES t (name));" + ROWS,
        refused=(INSERT + "('b', 'b', 'x')",),
        tables={**T, "s": {"shared": "settings"}},
        findings={"TEN027": 1},
        dropped=0,
    ),
    "upserts in functions, uniques of materialized views": Case(
        f"CREATE TABLE t ({ID}, p text, name text UNIQUE); CREATE MATERIALIZED VIEW mv AS SELECT DISTINCT name FROM t;"
        "CREATE UNIQUE INDEX ON mv (name);"
        "CREATE FUNCTION put(n text) RETURNS void LANGUAGE sql AS"
        " $$ INSERT INTO t (p, name) VALUES ('a', n) ON  CONFLICT ( NAME ) DO NOTHING $$;"
        "CREATE FUNCTION put2(n text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t (p, name) VALUES ('a', n)"
        " ON CONFLICT ON CONSTRAINT t_name_key DO NOTHING; END $$;"
        "CREATE FUNCTION fine(n text) RETURNS void LANGUAGE sql AS"
        " $$ INSERT INTO t (p, name) VALUES ('a', n) ON CONFLICT DO NOTHING $$;" + ROWS,
        **BOTH,
        findings={"TEN025": 2, "TEN024": 1},
    ),
}  # fmt: skip


def refuses(app: Application, statement: str) -> bool:
    """Whether *statement* breaks a uniqueness."""
    try:
        app.execute(statement)
    except psycopg.errors.UniqueViolation:
        return True
    return False


@pytest.mark.parametrize("name", UNIQUES)
def test_uniqueness_per_tenant_and_back(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    case = UNIQUES[name]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        for id_, count in case.findings.items():
            assert len(app.finding(id_)) == count, app.finding(id_)
        for phase in (Phase.EXPAND, Phase.BACKFILL, Phase.CONSTRAIN):
            app.run(phase)
            if case.blocks and case.dropped:
                assert refuses(app, case.allowed[0]), f"the old uniqueness stays until contract, and is gone at {phase}"
        assert app.contracted() == case.dropped
        for statement in case.refused:
            assert refuses(app, statement), statement
        assert app.run(Phase.CONTRACT, allowed=tuple(NEEDS_CONSENT)).outcomes.keys() <= {
            operation.id for operation in app.plan().operations if operation.ranged
        }
        app.undo()
        assert app.contents() == app.rows_before
        app.untouched()


@pytest.mark.parametrize("name", [name for name, case in UNIQUES.items() if case.dropped and case.blocks])
def test_no_way_back_once_two_tenants_share_a_key(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The keys that stand in the way are listed before anything is undone, and undo of the drop refuses too."""
    case = UNIQUES[name]
    with application(postgres_dsn, tmp_path, PROJECTS + case.schema, case.tables) as app:
        app.contracted()
        for statement in case.allowed:
            app.execute(statement)
        ctx = app.session.context()
        drops = [o for o in app.plan().operations if o.kind in DROPS]
        lost = [finding for operation in drops for finding in operation.losses(ctx)]
        assert lost
        assert all(finding.severity == "error" and finding.sample for finding in lost)
        blocked = next(operation for operation in reversed(drops) if list(operation.losses(ctx)))
        before = app.catalog()
        with pytest.raises((OperationFailedError, psycopg.errors.UniqueViolation)):
            blocked.undo(ctx)
        if not any(index.on_partitioned for table in before.tables for index in table.indexes):
            uniques = [sorted(i.name for i in t.indexes if i.valid) for t in app.catalog().tables]
            assert uniques == [sorted(i.name for i in t.indexes) for t in before.tables]


def test_somebody_elses_index_is_adopted(postgres_dsn: str, tmp_path: Path) -> None:
    """An equivalent unique is used and left there by undo; an invalid one of tenure's name is built again."""
    schema = f"""
    CREATE TABLE t ({ID}, p text, name text UNIQUE, code text, project_id text);
    INSERT INTO t (p, name, code) VALUES ('a', 'x', '1'), ('b', 'y', '1');
    CREATE UNIQUE INDEX theirs ON t (name, project_id);
    """
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        operation = next(o for o in app.plan().operations if o.kind == "rescope_unique")
        assert operation.statements() == ()
        app.contracted()
        table = app.catalog().table("t")
        assert table is not None
        assert {index.name for index in table.indexes if index.unique} == {"t_pkey", "theirs"}
        app.undo()
        app.untouched()


def test_a_broken_build_is_built_again(postgres_dsn: str, tmp_path: Path) -> None:
    schema = f"CREATE TABLE t ({ID}, p text, name text UNIQUE, project_id text);" + ROWS
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        app.run(Phase.BACKFILL)
        app.execute("INSERT INTO t (p, name) VALUES ('a', 'z')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            app.execute("CREATE UNIQUE INDEX CONCURRENTLY t_name_key_project_id ON t (project_id)")
        app.run(Phase.CONSTRAIN)
        table = app.catalog().table("t")
        assert table is not None
        index = table.index("t_name_key_project_id")
        assert index is not None
        assert index.valid
        assert index.columns == ("project_id", "name")


def test_taken_names_are_left_alone(postgres_dsn: str, tmp_path: Path) -> None:
    schema = f"CREATE TABLE t ({ID}, p text, name text UNIQUE); CREATE TABLE t_name_key_project_id (n int);" + ROWS
    with application(postgres_dsn, tmp_path, PROJECTS + schema, {**T, "t_name_key_project_id": {"exempt": "x"}}) as app:
        app.run(Phase.CONSTRAIN)
        app.undo()
        app.untouched()


def test_an_old_writer_holds_contract_back(postgres_dsn: str, tmp_path: Path) -> None:
    schema = f"CREATE TABLE t ({ID}, p text, name text);" + ROWS
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        app.run(Phase.CONSTRAIN)
        ctx = app.session.context()
        watch, drop = (o for o in app.plan().operations if o.kind in ("watch_writers", "drop_fill_trigger"))
        assert watch.apply(ctx).note
        app.execute("INSERT INTO t (p, name) VALUES ('a', 'late')")
        with pytest.raises(RefusedError, match=r"still come without the key .* t \(1\)"):
            drop.apply(ctx)
        drop.apply(ctx)
        with pytest.raises(psycopg.errors.NotNullViolation):
            app.execute("INSERT INTO t (p, name) VALUES ('a', 'later')")


def test_what_depends_on_an_old_key_is_never_dropped_along(postgres_dsn: str, tmp_path: Path) -> None:
    """A view that leans on the primary key, and a reference that came after the plan, hold contract back by name."""
    schema = "CREATE TABLE t (name text PRIMARY KEY, p text);" + ROWS
    schema += "CREATE VIEW leaning AS SELECT name, p FROM t GROUP BY name;"
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        assert len(app.finding("TEN028")) == 1
        with pytest.raises(RefusedError, match="view leaning depends on constraint t_pkey"):
            app.contracted()
        app.execute("DROP VIEW leaning; CREATE TABLE late (name text REFERENCES t)")
        with pytest.raises(RefusedError, match="late_name_fkey on table late"):
            app.contracted()
        app.execute("DROP TABLE late")
        assert app.contracted() == 1


def test_the_example_to_contract_and_back(postgres_dsn: str, tmp_path: Path) -> None:
    """All of the worked example's tables, with their triggers, views and natural keys."""
    load_postgres(postgres_dsn, generate(0.2, 1))
    with example_session(postgres_dsn, tmp_path) as session:
        app = Application(postgres_dsn, session)
        assert app.contracted() > 10
        for table in app.catalog().tables:
            if table.column("project_id") is not None and table.primary_key:
                assert "project_id" in table.primary_key or len(table.primary_key) == 1
        app.undo()
        app.untouched()


def test_a_rollback_from_contract_by_the_runner(postgres_dsn: str, tmp_path: Path) -> None:
    """Refused with the keys that would be lost while there are such, else all the way back."""
    schema = f"CREATE TABLE t ({ID}, p text, name text UNIQUE);" + ROWS
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        app.contracted()
        app.execute(BOTH["allowed"][0])
        rollback = Rollback(app.session.context(), app.plan())
        forecast = rollback.plan(Phase.INSPECT)
        assert not forecast.lossless
        assert [(finding.object, finding.sample) for finding in forecast.blocking] == [("t.t_name_key", ("(x)",))]
        with pytest.raises(RefusedError):
            rollback.run(Phase.INSPECT)
        app.execute("DELETE FROM t WHERE project_id = 'b' AND name = 'x'")
        rollback.run(Phase.INSPECT)
        app.untouched()
