"""What somebody else's script left behind: said, kept where it is right, repaired only where the playbook allows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest
from postgres_kit import PROJECTS, application

from tenure.errors import OperationFailedError, RefusedError
from tenure.runner.rollback import Rollback
from tenure.values import NEEDS_CONSENT, Phase

ID = "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
T: dict[str, Any] = {"t": {"tenant": {"column": "p"}}}


class State(NamedTuple):
    """A schema as it was left; what inspect says first, by check; the keys after the backfill, where it may go on; what
    of the old structure is still there after contract; what must not have been built beside it."""

    schema: str
    says: Mapping[str, tuple[str, str]]
    keys: Mapping[int, str | None] | None = None
    tables: Mapping[str, Any] = MappingProxyType(T)
    kept: tuple[str, ...] = ()
    built: frozenset[str] = frozenset()


def keyed(rows: str, column: str = "project_id text", more: str = "") -> str:
    """A table t with a key column that somebody added, and its rows (p, name, key)."""
    return (
        f"CREATE TABLE t ({ID}, p text, name text, {column}{more});INSERT INTO t (p, name, project_id) VALUES {rows};"
    )


STATES = {
    "nullable and filled in part": State(
        keyed("('a', 'x', 'a'), ('b', 'y', NULL), ('b', 'z', NULL)"),
        {"TEN110": ("info", "project_id exists already, 1 of 3 rows have one")},
        {1: "a", 2: "b", 3: "b"},
    ),
    "a default that took every row": State(
        keyed("('a', 'x', 'a'), ('b', 'y', 'a'), (NULL, 'z', 'a')", "project_id text NOT NULL DEFAULT 'a'"),
        {
            "TEN110": ("warning", "project_id has the default 'a'::text, which rows of any tenant get"),
            "TEN112": ("error", "the existing key is a, the sources say b"),
        },
    ),
    "the same, derived again": State(
        keyed("('a', 'x', 'a'), ('b', 'y', 'a')", "project_id text NOT NULL DEFAULT 'a'"),
        {"TEN110": ("warning", "project_id has the default 'a'::text")},
        {1: "a", 2: "b"},
        {"t": {"tenant": {"column": "p"}, "existing": "rederive"}},
    ),
    "keys that are no tenant": State(
        keyed("('a', 'x', 'a'), ('b', 'y', 'zz'), (NULL, 'z', 'zz')"),
        {
            "TEN111": ("error", "the existing key zz is not a tenant (1)"),
            "TEN112": ("error", "the existing key zz is not a tenant (1)"),
        },
    ),
    "keys that are no tenant, written anew or put aside": State(
        keyed("('a', 'x', 'a'), ('b', 'y', 'zz'), (NULL, 'z', 'zz')"),
        {"TEN111": ("info", "they are quarantined")},
        {1: "a", 2: "b", 3: "__quarantine__"},
        {"t": {"tenant": {"column": "p"}, "existing": "rederive", "unassigned": "quarantine"}},
    ),
    "a per-tenant unique beside the old one": State(
        keyed("('a', 'x', 'a'), ('b', 'y', NULL)", more=", UNIQUE (name), CONSTRAINT theirs UNIQUE (project_id, name)"),
        {"TEN110": ("info", "1 of 2 rows have one")},
        {1: "a", 2: "b"},
        kept=("theirs",),
        built=frozenset({"t_name_key_project_id"}),
    ),
    "an index on the key": State(
        keyed("('a', 'x', 'a'), ('b', 'y', NULL)") + "CREATE INDEX theirs ON t (project_id, name);",
        {"TEN110": ("info", "1 of 2 rows have one")},
        {1: "a", 2: "b"},
        kept=("theirs",),
        built=frozenset({"t_project_id_idx"}),
    ),
    "an invalid index of somebody's": State(
        keyed("('a', 'x', 'a'), ('b', 'y', NULL)") + "CREATE INDEX theirs ON t (project_id);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'theirs'::regclass;",
        {"TEN118": ("warning", "the index is invalid")},
        {1: "a", 2: "b"},
        kept=("theirs",),
    ),
    "a composite foreign key beside the old one": State(
        keyed("('a', 'x', 'a'), ('b', 'y', 'b')", more=", CONSTRAINT theirs UNIQUE (project_id, id)")
        + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t, project_id text,"
        " CONSTRAINT within FOREIGN KEY (project_id, t_id) REFERENCES t (project_id, id));"
        "INSERT INTO c VALUES (1, 'a', 1, 'a'), (2, 'b', 2, NULL);",
        {"TEN110": ("info", "1 of 2 rows have one")},
        {1: "a", 2: "b"},
        {**T, "c": {"tenant": {"column": "p"}}},
        kept=("theirs", "within"),
        built=frozenset({"c_t_id_fkey_project_id", "t_project_id_id_key"}),
    ),
    "a composite foreign key that was never validated": State(
        keyed("('a', 'x', 'a'), ('b', 'y', 'b')", more=", CONSTRAINT theirs UNIQUE (project_id, id)")
        + "CREATE TABLE c (id int PRIMARY KEY, p text, t_id int REFERENCES t, project_id text);"
        "INSERT INTO c VALUES (1, 'a', 1, 'b'), (2, 'b', 2, NULL);"
        "ALTER TABLE c ADD CONSTRAINT within FOREIGN KEY (project_id, t_id) REFERENCES t (project_id, id) NOT VALID;",
        {"TEN110": ("info", "1 of 2 rows have one")},
        {1: "a", 2: "b"},
        {**T, "c": {"tenant": {"column": "p"}, "existing": "rederive"}},
        kept=("theirs", "within", "c_t_id_fkey_project_id"),
    ),
    "a NOT NULL check that was never validated": State(
        keyed("('a', 'x', 'a'), ('b', 'y', NULL)")
        + "ALTER TABLE t ADD CONSTRAINT theirs CHECK (project_id IS NOT NULL) NOT VALID;",
        {"TEN110": ("info", "1 of 2 rows have one")},
        {1: "a", 2: "b"},
        kept=("theirs",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_what_somebody_left_is_said_kept_or_repaired(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    state = STATES[name]
    with application(postgres_dsn, tmp_path, PROJECTS + state.schema, state.tables) as app:
        found = app.session.inspect().findings
        for id_, (severity, words) in state.says.items():
            said = [finding for finding in found if finding.id == id_]
            assert any(f.severity == severity and words in f.title for f in said), [(f.severity, f.title) for f in said]
        errors = {finding.id for finding in found if finding.severity == "error"}
        assert errors == {id_ for id_, (severity, _) in state.says.items() if severity == "error"}
        if state.keys is None:
            app.untouched()
            return
        app.run(Phase.BACKFILL)
        assert app.pairs("SELECT id, project_id FROM t") == state.keys
        app.run(Phase.CONSTRAIN)
        assert not [f for f in app.session.verify().findings if f.severity == "error"]
        app.contracted()
        names = set(
            app.pairs("SELECT conname, 1 FROM pg_constraint UNION SELECT relname, 1 FROM pg_class WHERE relkind = 'i'")
        )
        assert set(state.kept) <= names
        assert not names & state.built, "what was there already was built again"
        with pytest.raises(psycopg.errors.NotNullViolation):
            app.execute("INSERT INTO t (p, name) VALUES ('a', 'late')")
        Rollback(app.session.context(), app.plan()).run(Phase.INSPECT)
        app.untouched()


OTHERS = {
    "check": (
        "ALTER TABLE t ADD CONSTRAINT later CHECK (project_id <> 'zz' AND project_id IS NOT NULL)",
        ("null", "zz"),
    ),
    "check that was never validated": (
        "ALTER TABLE t ADD CONSTRAINT later CHECK (project_id IS NOT NULL) NOT VALID",
        ("null",),
    ),
    "foreign key": ("ALTER TABLE t ADD CONSTRAINT later FOREIGN KEY (project_id) REFERENCES projects", ("zz",)),
    "foreign key that was never validated": (
        "ALTER TABLE t ADD CONSTRAINT later FOREIGN KEY (project_id) REFERENCES projects NOT VALID",
        ("zz",),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_somebody_added_since_and_forbids_the_old_keys_is_named(
    name: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Before anything is undone, with its definition and the way out; once it is gone the rollback is whole."""
    statement, sample = OTHERS[name]
    schema = keyed("('a', 'x', 'a'), ('b', 'y', NULL), ('b', 'z', 'zz')")
    rules = {"t": {"tenant": {"column": "p"}, "existing": "rederive"}}
    with application(postgres_dsn, tmp_path, PROJECTS + schema, rules) as app:
        app.run(Phase.CONSTRAIN)
        app.execute(statement)
        there = app.catalog()
        rollback = Rollback(app.session.context(), app.plan())
        (blocking,) = rollback.plan(Phase.INSPECT).blocking
        assert (blocking.id, blocking.object, blocking.sample) == ("TEN030", "t.later", sample)
        with pytest.raises(RefusedError, match=r"later of t forbids the project_id that \d row") as refused:
            rollback.run(Phase.INSPECT)
        assert 'DROP CONSTRAINT "later"' in str(refused.value)
        assert app.catalog() == there, "nothing was undone"
        app.undo(lambda operation: operation.phase is Phase.CONSTRAIN)
        backfill = next(operation for operation in app.plan().operations if operation.kind == "backfill_rows")
        with pytest.raises(OperationFailedError, match="constraint later of t refuses a project_id"):
            backfill.undo(app.session.context())
        app.execute("ALTER TABLE t DROP CONSTRAINT later")
        rollback.run(Phase.INSPECT)
        app.untouched()


CLASHES = {
    "unique": ("ALTER TABLE t ADD CONSTRAINT later UNIQUE (project_id)", "ALTER TABLE t DROP CONSTRAINT later", "(zz)"),
    "unique that nulls meet in": (
        "ALTER TABLE t ADD CONSTRAINT later UNIQUE NULLS NOT DISTINCT (project_id, place)",
        "ALTER TABLE t DROP CONSTRAINT later",
        "(zz,)",
    ),
    "unique index of an expression, of some rows": (
        "CREATE UNIQUE INDEX later ON t (lower(name), project_id) WHERE id < 3",
        "DROP INDEX later",
        "(x,zz)",
    ),
    "exclusion constraint": (
        "ALTER TABLE t ADD CONSTRAINT later EXCLUDE USING btree (project_id WITH =)",
        "ALTER TABLE t DROP CONSTRAINT later",
        "(zz)",
    ),
    "foreign key to it": (
        "ALTER TABLE t ADD CONSTRAINT mine UNIQUE (id, project_id);"
        "CREATE TABLE child (t int, project_id text, CONSTRAINT later FOREIGN KEY (t, project_id)"
        " REFERENCES t (id, project_id)); INSERT INTO child VALUES (1, 'a'), (3, 'c')",
        "DROP TABLE child; ALTER TABLE t DROP CONSTRAINT mine",
        "(1,a)",
    ),
}


@pytest.mark.parametrize("name", CLASHES)
def test_what_other_rows_would_clash_with_is_named(name: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Keys that were alike before and are not by now: what was added since and looks at two rows is named as well."""
    statement, away, value = CLASHES[name]
    schema = keyed("('a', 'x', 'zz'), ('b', 'X', 'zz'), ('c', 'z', 'c')") + "ALTER TABLE t ADD t text, ADD place text;"
    rules = {"t": {"tenant": {"column": "p"}, "existing": "rederive"}}
    with application(postgres_dsn, tmp_path, PROJECTS + schema, rules) as app:
        app.run(Phase.CONSTRAIN)
        rollback = Rollback(app.session.context(), app.plan())
        assert rollback.plan(Phase.INSPECT).blocking == ()
        app.execute(statement)
        there = app.catalog()
        (blocking,) = rollback.plan(Phase.INSPECT).blocking
        assert (blocking.id, blocking.object, blocking.sample) == ("TEN030", "t.later", (value,))
        assert "before tenure came, in 1 case(s)" in blocking.title
        with pytest.raises(RefusedError, match="later"):
            rollback.run(Phase.INSPECT)
        assert app.catalog() == there, "nothing was undone"
        app.execute(away)
        rollback.run(Phase.INSPECT)
        app.untouched()


def test_what_reads_a_column_that_is_to_go_is_named(postgres_dsn: str, tmp_path: Path) -> None:
    """A view and a foreign key that came after tenure hold the rollback back, before anything is undone."""
    schema = f"CREATE TABLE t ({ID}, p text, name text UNIQUE); INSERT INTO t (p, name) VALUES ('a', 'x'), ('b', 'y');"
    with application(postgres_dsn, tmp_path, PROJECTS + schema, T) as app:
        app.run(Phase.CONSTRAIN)
        app.execute(
            "CREATE VIEW per_project AS SELECT project_id, count(*) FROM t GROUP BY 1;"
            "CREATE TABLE late (project_id text, name text, FOREIGN KEY (project_id, name)"
            " REFERENCES t (project_id, name));"
        )
        there = app.catalog()
        rollback = Rollback(app.session.context(), app.plan())
        with pytest.raises(RefusedError, match="late_project_id_name_fkey on table late, view per_project"):
            rollback.run(Phase.INSPECT)
        assert app.catalog() == there
        (column,) = (operation for operation in app.plan().operations if operation.kind == "add_key")
        with pytest.raises(RefusedError, match="view per_project depends on column project_id of table t"):
            column.undo(app.session.context())
        app.execute("DROP VIEW per_project; DROP TABLE late")
        rollback.run(Phase.INSPECT)
        app.untouched()


def test_what_is_kept_is_used(postgres_dsn: str, tmp_path: Path) -> None:
    """After contract nothing crosses tenants, although tenure built neither the unique nor the foreign key."""
    state = STATES["a composite foreign key beside the old one"]
    with application(postgres_dsn, tmp_path, PROJECTS + state.schema, state.tables) as app:
        app.run(Phase.CONTRACT, allowed=tuple(NEEDS_CONSENT))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            app.execute("INSERT INTO c VALUES (9, 'b', 1, 'b')")
        catalog = app.catalog().table("c")
        assert catalog is not None
        assert [key.name for key in catalog.foreign_keys] == ["within"]
