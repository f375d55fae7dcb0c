"""Materialized views that show the key, in a database where somebody had begun to key: refreshed, or said why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_kit import PROJECTS, Application, application

from tenure.stores.postgres import PostgresStore
from tenure.values import NEEDS_CONSENT, Phase

SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, p text NOT NULL, project_id text);
INSERT INTO notes SELECT n, (ARRAY['a', 'b', 'c'])[1 + n % 3] FROM generate_series(1, 300) n;
UPDATE notes SET project_id = p WHERE id % 2 = 0;
CREATE VIEW keyed AS SELECT id, project_id FROM notes;
CREATE MATERIALIZED VIEW "per Project" AS SELECT project_id, count(*) AS n FROM keyed GROUP BY project_id;
CREATE UNIQUE INDEX ON "per Project" (project_id);
CREATE MATERIALIZED VIEW above AS SELECT project_id, n * 2 AS twice FROM "per Project";
CREATE UNIQUE INDEX ON above (project_id);
CREATE MATERIALIZED VIEW unindexed AS SELECT project_id, count(*) AS n FROM notes GROUP BY project_id;
CREATE MATERIALIZED VIEW partly AS SELECT project_id, id FROM notes;
CREATE UNIQUE INDEX ON partly (id) WHERE id > 0;
CREATE MATERIALIZED VIEW never AS SELECT id, project_id FROM notes WITH NO DATA;
CREATE UNIQUE INDEX ON never (id);
CREATE MATERIALIZED VIEW mixed AS SELECT count(*) AS n FROM notes;
"""
RULES: dict[str, Any] = {"notes": {"tenant": {"column": "p"}}}
WHOLE = {"a": 100, "b": 100, "c": 100}


@pytest.fixture
def app(postgres_dsn: str, tmp_path: Path) -> Iterator[Application]:
    """A table keyed by half, and views of every sort over it."""
    with application(postgres_dsn, tmp_path, PROJECTS + SCHEMA, RULES) as found:
        yield found


def test_views_that_show_the_key_are_refreshed_those_below_first(app: Application) -> None:
    planned = [operation.object for operation in app.plan().operations if operation.kind == "refresh_view"]
    assert sorted(planned) == ["above", "never", "per Project"]
    assert planned.index("per Project") < planned.index("above")
    app.run(Phase.CONSTRAIN, allowed=tuple(NEEDS_CONSENT))
    assert app.pairs('SELECT project_id, n FROM "per Project"') == WHOLE
    assert app.pairs("SELECT project_id, twice / 2 FROM above") == WHOLE
    assert app.pairs("SELECT project_id, n FROM unindexed") != WHOLE, "nobody is made to wait for it"
    assert app.value("SELECT relispopulated FROM pg_class WHERE relname = 'never'") is False
    note = "SELECT note FROM tenure.operation WHERE id = 'postgres.refresh_view.never'"
    assert "never filled" in str(app.value(note))
    app.undo()
    assert app.rows_before == app.contents()


def test_inspect_says_which_cannot_be_refreshed_beside_their_readers(app: Application) -> None:
    found = {one.object: one.title for one in app.session.inspect().findings if one.id == "TEN117"}
    assert set(found) == {"unindexed", "partly", "mixed"}
    assert "unique index" in found["unindexed"]
    assert "over all tenants" in found["mixed"]


def test_a_role_that_may_not_refresh_goes_on_and_says_so(app: Application) -> None:
    role = f"reader of {app.value('SELECT current_database()')}"
    app.execute(f'CREATE ROLE "{role}"')
    operations = {operation.id: operation for operation in app.plan().operations}
    ctx = app.session.context()
    try:
        with PostgresStore(app.dsn, role=role) as store:
            ctx.postgres = store
            outcome = operations["postgres.refresh_view.per Project"].apply(ctx)
    finally:
        app.execute(f'DROP ROLE "{role}"')
    assert outcome.changed == 0
    assert 'REFRESH MATERIALIZED VIEW CONCURRENTLY "public"."per Project"' in outcome.note
