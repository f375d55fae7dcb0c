"""`tenure status`: where a run stands, whether it can be taken back, and how soon it answers."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from postgres_kit import PROJECTS, Application, application

from tenure.cli.status import show_status
from tenure.errors import OperationFailedError, RefusedError
from tenure.ledger.sharing import Sharing
from tenure.report.status import status_document
from tenure.runner.rollback import Rollback
from tenure.stores.postgres import PostgresStore
from tenure.values import Phase

COMMAND = Path(sys.executable).with_name("tenure")
SCHEMA = """
CREATE TABLE files (name text PRIMARY KEY, p text NOT NULL, title text CONSTRAINT files_title_key UNIQUE);
INSERT INTO files SELECT 'f' || n, (ARRAY['a', 'b', 'c'])[1 + n % 3], 't' || n FROM generate_series(1, 300) n;
CREATE TABLE pages (id int PRIMARY KEY, file text NOT NULL CONSTRAINT pages_file_fkey REFERENCES files);
INSERT INTO pages SELECT n, 'f' || (1 + n % 300) FROM generate_series(1, 900) n;
CREATE INDEX ON pages (file);
"""
RULES: dict[str, Any] = {
    "files": {"tenant": {"column": "p"}, "unique": {"files_pkey": "rescope", "files_title_key": "rescope"}},
    "pages": {"tenant": {"parent": "files", "match": {"file": "name"}}, "unique": {"pages_pkey": {"keep": "numbers"}}},
}
# Times the processor time of loading the libraries, which is as slow as the machine is: half a second on a quiet one.
FACTOR = 3.0


@pytest.fixture
def app(postgres_dsn: str, tmp_path: Path) -> Iterator[Application]:
    """Two tables that refer to each other, and nothing run yet."""
    with application(postgres_dsn, tmp_path, PROJECTS + SCHEMA, RULES) as found:
        yield found


def status(app: Application) -> dict[str, Any]:
    """The document, which is JSON."""
    found = status_document(app.session.postgres, app.session.playbook)
    return dict(json.loads(json.dumps(found)))


def shown(app: Application, capsys: pytest.CaptureFixture[str]) -> str:
    """What a person sees."""
    capsys.readouterr()
    show_status(status_document(app.session.postgres, app.session.playbook, whole=False))
    return capsys.readouterr().out


def test_workers_are_told_with_what_they_have_in_hand(app: Application, capsys: pytest.CaptureFixture[str]) -> None:
    app.run(Phase.EXPAND)
    assert status(app)["workers"] == []
    sharing, token = Sharing(app.session.postgres), str(uuid.uuid4())
    sharing.beat(token, "far:7", "", "1", 4, 30.0)
    app.execute(
        "INSERT INTO tenure.range (operation, number, bounds, state, token) "
        f"SELECT id, 1, '{{}}', 'running', '{token}' FROM tenure.operation WHERE kind = 'backfill_rows' LIMIT 1"
    )
    (worker,) = status(app)["workers"]
    assert (worker["holder"], worker["live"], worker["threads"], worker["ranges"]) == ("far:7", True, 4, 1)
    assert "worker far:7, 1 range(s) in hand" in shown(app, capsys)
    app.execute("UPDATE tenure.worker SET expires = clock_timestamp() - interval '1 s'")
    assert "its ranges go to others" in shown(app, capsys)


def test_the_way_back_is_told_at_every_moment(app: Application, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing begun, begun, contracted, and not lossless any more once two tenants use one key."""
    assert status(app)["run"] is None
    assert "No run yet" in shown(app, capsys)

    app.run(Phase.EXPAND)
    found = status(app)
    assert (found["rollback"]["lossless"], found["rollback"]["until"]["phase"]) == (True, "contract")
    assert "Rollback: lossless, until contract begins" in shown(app, capsys)
    assert {operation["state"] for operation in found["operations"]} == {"done", "planned"}
    assert all(operation["statements"] for operation in found["operations"] if operation["state"] == "planned")

    app.contracted()
    found = status(app)
    assert (found["rollback"]["lossless"], found["rollback"]["until"]) == (True, None)
    assert found["controls"] == {}, "what an operation keeps for itself is nothing that an operator has set"
    assert "Rollback: lossless." in shown(app, capsys)

    app.execute("INSERT INTO files (name, p, title, project_id) VALUES ('f1', 'a', 'other', 'a')")
    found = status(app)
    assert found["rollback"]["lossless"] is False
    (blocking,) = found["rollback"]["blocking"]
    assert "files" in blocking
    assert "(f1)" in blocking
    assert "is refused" in shown(app, capsys)
    forecast = app.session.rollback_plan()
    assert not forecast.lossless, "both say the same"


def test_what_was_dropped_can_be_made_again_by_its_script(app: Application) -> None:
    """The statements that status and `rollback --plan` show, run by hand, give the constraints as they were."""
    kept = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('p', 'u', 'f')"
    before = app.pairs(kept)
    app.contracted()
    assert "files_title_key" not in app.pairs(kept)
    dropped = status(app)["dropped"]
    forecast = app.session.rollback_plan()
    assert {one["operation"]: tuple(one["statements"]) for one in dropped} == {
        one.operation: one.statements for one in forecast.dropped
    }
    kinds = {one["operation"].split(".")[1] for one in dropped}
    assert kinds == {"drop_unique", "swap_primary_key", "drop_foreign_key", "drop_fill_trigger"}
    # In the order of the way back: a foreign key needs the key that it refers to.
    order = {operation: number for number, operation in enumerate(forecast.operations)}
    for one in sorted(dropped, key=lambda one: order[one["operation"]]):
        for statement in one["statements"]:
            app.execute(statement)
    after = app.pairs(kept)
    assert {name: after.get(name) for name in before} == before
    app.execute("INSERT INTO files (name, p) VALUES ('born', 'b')")
    assert app.value("SELECT project_id FROM files WHERE name = 'born'") == "b", "the fill trigger works again"


def test_contract_goes_on_after_a_drop_that_could_not_get_its_lock(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long transaction on a table holds contract back for a moment only, and it finishes when that has ended."""
    app.run(Phase.CONSTRAIN)
    monkeypatch.setattr("tenure.stores.postgres.LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(PostgresStore, "ddl", partialmethod(PostgresStore.ddl, lock_timeout_ms=50))
    with app.connect() as reader:
        reader.autocommit = False
        reader.execute("SELECT count(*) FROM files")
        started = time.monotonic()
        with pytest.raises(Exception, match="no lock within 50 ms"):
            app.contracted()
        assert time.monotonic() - started < 30
        assert app.value("SELECT count(*) FROM files") == 300, "others read and write meanwhile"
        reader.rollback()
    found = status(app)
    assert found["run"]["state"] == "failed"
    assert app.contracted() > 0
    assert {operation["state"] for operation in status(app)["operations"]} == {"done"}
    Rollback(app.session.context(), app.plan()).run(Phase.INSPECT)
    app.untouched()


def test_what_an_older_playbook_did_is_shown_and_taken_back(app: Application, tmp_path: Path) -> None:
    """A table that the playbook no longer names keeps its column until a rollback, which knows of it by the ledger."""
    app.run(Phase.CONSTRAIN)
    rules = {**RULES, "pages": {"exempt": "on second thoughts"}}
    with application(app.dsn, tmp_path, "SELECT 1", rules) as changed:
        changed.run(Phase.EXPAND)
        assert any(row["object"] == "pages" for row in status(changed)["operations"])
        changed.session.rollback()
    app.untouched()


def test_a_failed_run_is_shown_and_taken_back(app: Application) -> None:
    """An operation that fails leaves the run failed; the way back is lossless and leads to where it began."""
    app.execute("CREATE VIEW leaning AS SELECT name, p, title FROM files GROUP BY name")  # on the primary key
    app.run(Phase.CONSTRAIN)
    with pytest.raises((RefusedError, OperationFailedError)):
        app.contracted()
    found = status(app)
    assert (found["ok"], found["run"]["state"]) == (False, "failed")
    assert found["rollback"]["lossless"] is True
    app.execute("DROP VIEW leaning")
    Rollback(app.session.context(), app.plan()).run(Phase.INSPECT)
    app.untouched()


def test_the_runners_last_sign_of_life_is_told_by_the_databases_clock(app: Application) -> None:
    """Whatever our clock says."""
    app.run(Phase.EXPAND)
    token = app.session.ledger.take_lease("somewhere:1", 30)
    app.execute("UPDATE tenure.lease SET heartbeat = clock_timestamp() - interval '12 seconds'")
    lease = status(app)["lease"]
    assert (lease["holder"], lease["live"]) == ("somewhere:1", True)
    assert 12 <= lease["heartbeat_age_seconds"] < 20
    app.session.ledger.drop_lease(token)
    assert status(app)["lease"] is None


def test_looking_at_the_way_back_touches_nothing(app: Application, tmp_path: Path) -> None:
    """Neither the tables nor the ledger, before a run, after contract, and when it is refused."""
    playbook = str(tmp_path / "tenure.yaml")

    def ended() -> int:
        before = everything(app)
        done = subprocess.run([COMMAND, "rollback", "--plan", "-f", playbook], capture_output=True, check=False)
        assert everything(app) == before
        return done.returncode

    assert ended() == 0
    nothing = subprocess.run(
        [COMMAND, "rollback", "--yes", "-f", playbook], capture_output=True, text=True, check=False
    )
    assert nothing.returncode == 0, nothing.stderr
    assert "nothing to undo" in nothing.stdout
    app.contracted()
    assert ended() == 0
    app.execute("INSERT INTO files (name, p, title, project_id) VALUES ('f1', 'a', 'other', 'a')")
    assert ended() == 3
    before = everything(app)
    refused = subprocess.run(
        [COMMAND, "rollback", "--yes", "-f", playbook], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 3
    assert "(f1)" in refused.stderr
    assert {name: rows for name, rows in everything(app).items() if "lease" not in name} == {
        name: rows for name, rows in before.items() if "lease" not in name
    }


def everything(app: Application) -> dict[str, list[str]]:
    """Every row of every table, the ledger's too."""
    with app.connect() as connection:
        names = connection.execute(
            "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', %s)",
            ("tenure",),
        ).fetchall()
        return {
            name: [row[0] for row in connection.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1".encode())]
            for (name,) in names
        }


def test_it_answers_at_once(app: Application, tmp_path: Path) -> None:
    """Hardly more than it takes to load the libraries that it needs, and no other driver is loaded for it."""
    app.contracted()
    playbook = str(tmp_path / "tenure.yaml")
    needed, _ = processor_seconds(sys.executable, "-c", "import click, psycopg_pool, pydantic, rich.table, ruamel.yaml")
    spent, out = processor_seconds(str(COMMAND), "status", "-f", playbook)
    print(f"{spent:.2f} s of processor time, {needed:.2f} s of it for libraries")
    assert "Rollback: lossless." in out
    assert spent < FACTOR * needed
    probe = (
        "import sys; from tenure.cli.main import run; "
        f"run(['status', '-f', {playbook!r}]); "
        "heavy = {'neo4j', 'qdrant_client', 'tenure.session', 'tenure.planner.planner', 'tenure.checks'}; "
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    processor_seconds(sys.executable, "-c", probe)


def processor_seconds(*command: str) -> tuple[float, str]:
    """How much processor time a command takes, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout
