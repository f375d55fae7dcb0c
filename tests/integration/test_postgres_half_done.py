"""What somebody else's script left behind: said, kept where it is right, repaired only where the playbook allows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest
from postgres_kit import PROJECTS, application

from tenure.values import NEEDS_CONSENT, Phase

ID = "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
T: dict[str, Any] = {"t": {"tenant": {"column": "p"}}}


class State(NamedTuple):
    """A schema as it was left; what inspect says first, by check; the keys after the backfill, where it may go on; what
    of the old structure is still there after contract; what must not have been built beside it; whether what was there
    can come back: a constraint that was never validated lets rows stay as they are that it does not let in again."""

    schema: str
    says: Mapping[str, tuple[str, str]]
    keys: Mapping[int, str | None] | None = None
    tables: Mapping[str, Any] = MappingProxyType(T)
    kept: tuple[str, ...] = ()
    built: frozenset[str] = frozenset()
    back: bool = True


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
        back=False,
    ),
    "a NOT NULL check that was never validated": State(
        keyed("('a', 'x', 'a'), ('b', 'y', NULL)")
        + "ALTER TABLE t ADD CONSTRAINT theirs CHECK (project_id IS NOT NULL) NOT VALID;",
        {"TEN110": ("info", "1 of 2 rows have one")},
        {1: "a", 2: "b"},
        kept=("theirs",),
        back=False,
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
        if state.back:
            app.undo()
            app.untouched()
        else:
            with pytest.raises(psycopg.IntegrityError):
                app.undo()


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
