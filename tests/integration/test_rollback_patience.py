"""A way back is as patient with Postgres as the way forward, and says where it stands when patience ends."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cutting_proxy import Cut, Proxy, proxy
from failures_kit import SCHEMA, TABLES, Notes, until_the_lease_ran_out
from postgres_kit import Application, application
from psycopg.conninfo import make_conninfo

from tenure.demo.servers import EmbeddedPostgres
from tenure.errors import StoreFailedError
from tenure.operations import row_ranges
from tenure.runner import lease
from tenure.values import NEEDS_CONSENT, Phase

CODES = "CREATE TABLE codes (p text, code text UNIQUE); INSERT INTO codes VALUES ('a', '1'), ('b', '2'), ('b', '3');"
RESCOPED = {"tenant": {"column": "p"}, "unique": {"codes_code_key": "rescope"}}


@contextmanager
def reached_by_proxy(
    server: EmbeddedPostgres, dsn: str, folder: Path, through: Phase
) -> Iterator[tuple[Application, Proxy]]:
    """An application that has been taken forward, and the proxy that tenure reaches it by."""
    with proxy(server.port) as cutting:
        url, rules = make_conninfo(dsn, port=cutting.port), {**TABLES, "codes": RESCOPED}
        with application(dsn, folder, SCHEMA + CODES, rules, url=url) as app:
            app.run(through, allowed=tuple(NEEDS_CONSENT))
            yield app, cutting


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of a few pages, so that a small table has many batches; a lease that is soon over."""
    monkeypatch.setattr(row_ranges, "RANGE_PAGES", 60)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 5.0)


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_cut_connections_are_made_again(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path, cut: Cut
) -> None:
    """One message in fifteen of forecast and undo alike is lost, or its answer is."""
    with reached_by_proxy(postgres_server, postgres_dsn, tmp_path, Phase.CONTRACT) as (app, cutting):
        # Drawn: at even distances the same message of what is repeated would be lost each time.
        rng = random.Random(f"patience|{cut}")
        cutting.decide = lambda sent: cut if rng.random() < 1 / 15 else Cut.NOT
        while cutting.cuts < 8:
            found = app.session.rollback_plan()
            assert found.lossless
            assert any("codes_code_key" in text for dropped in found.dropped for text in dropped.statements)
        forecast, notes = cutting.cuts, Notes()
        outcomes = app.session.rollback(reporter=notes)
        cutting.decide = lambda sent: Cut.NOT
        assert cutting.cuts - forecast > 10
        assert notes.said("goes on after")
        assert all(outcome.left == 0 for outcome in outcomes.values())
        app.untouched()
        assert app.value("SELECT state FROM tenure.run ORDER BY id DESC LIMIT 1") == "cancelled"


def test_a_server_that_stays_away_ends_it_with_where_it_stands(
    postgres_server: EmbeddedPostgres, postgres_dsn: str, tmp_path: Path
) -> None:
    """The same command goes on there once the server is back."""
    with reached_by_proxy(postgres_server, postgres_dsn, tmp_path, Phase.CONSTRAIN) as (app, cutting):
        away = False

        def decide(sent: bytes) -> Cut:
            nonlocal away
            away = away or b"DROP TRIGGER" in sent
            return Cut.BEFORE if away else Cut.NOT

        cutting.decide = decide
        app.session.postgres.patience = 1.5
        with pytest.raises(StoreFailedError, match=r"fill_trigger\.\w+, undo: .*run the same command again"):
            app.session.rollback()
        cutting.decide = lambda sent: Cut.NOT
        undone = app.pairs("SELECT id, phase FROM tenure.operation WHERE attempts = 0 AND phase = 'constrain'")
        assert undone, "what came before is taken back"
        until_the_lease_ran_out(app)
        again = app.session.rollback()
        assert not again.keys() & undone.keys()
        app.untouched()
