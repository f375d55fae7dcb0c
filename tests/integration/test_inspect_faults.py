"""Every check has a planted fault that turns exactly it red (or, where it only tells, that makes it speak).

Most faults stand beside the stores they are planted in (`test_checks_inspect`, `test_checks_verify`,
`test_checks_stores`, `test_probes`, `test_rekeyed_collection`); this module has the rest, and holds the list complete.
"""

from __future__ import annotations

import inspect as python
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
import test_checks_inspect
import test_checks_stores
import test_checks_verify
import test_probes
import test_rekeyed_collection
from checks_support import Application, Report, errors, of, red
from test_checks_stores import GRAPH, Stores

import tenure.checks
from tenure.catalog.qdrant import QdrantCatalog
from tenure.demo.servers import EmbeddedPostgres
from tenure.errors import StandbyError
from tenure.session import Session
from tenure.stores.neo4j import Neo4jStore
from tenure.stores.qdrant import QdrantStore
from tenure.values import Hazard

PLANTED: tuple[tuple[ModuleType, str, str], ...] = (
    (test_checks_inspect, "FAULTS", ""),
    (test_checks_stores, "BEFORE", ""),
    (test_checks_stores, "AFTER", ""),
    (test_checks_verify, "FAULTS", ""),
    # Faults that need a set-up of their own are tests of their own.
    (test_checks_inspect, "test_a_role_without_rights_is_told_which_are_missing", "TEN101"),
    (test_checks_inspect, "test_a_role_that_policies_blind_is_refused_unless_settings_lift_them", "TEN102"),
    (test_checks_inspect, "test_surroundings_are_noticed", "TEN116 TEN117"),
    (test_checks_stores, "test_a_clean_application_is_green_from_inspect_to_verify", "TEN204"),
    (test_checks_stores, "test_drift_of_before_is_reported_as_such_and_does_not_make_verify_red", "TEN401"),
    (test_checks_verify, "test_before_anything_is_applied_there_is_one_finding", "TEN500"),
    (test_probes, "test_the_applications_role_is_tried_under_row_level_security", "TEN508"),
    (test_rekeyed_collection, "test_an_alias_that_somebody_moves_does_not_bring_old_data_back", "TEN509"),
)


def planted() -> set[str]:
    """The ids for which a fault is planted anywhere."""
    found = set(re.findall(r"TEN[1-6]\d\d", Path(__file__).read_text().partition("# The faults of this module.")[2]))
    for module, name, ids in PLANTED:
        listed = getattr(module, name)
        if ids:
            source = python.getsource(listed)
            for id_ in ids.split():
                assert id_ in source, f"{module.__name__}.{name} says nothing of {id_}"
            found |= set(ids.split())
        else:
            for id_, _ in listed.values():
                found |= {id_} if isinstance(id_, str) else set(id_)
    return found


def test_every_check_has_a_planted_fault() -> None:
    """A check that comes without a fault, or a fault whose check is gone, fails here."""
    folder = Path(tenure.checks.__file__).parent
    texts = [path.read_text() for path in folder.glob("*.py")]
    ids = {id_ for text in texts for id_ in re.findall(r'\bid(?:: str)? ?= ?"(TEN\d{3})"', text)}
    assert ids == planted()


# The faults of this module.


@pytest.fixture
def app(tmp_path: Path, postgres_dsn: str) -> Application:
    return Application(tmp_path, postgres_dsn)


@pytest.fixture
def stores(tmp_path: Path, postgres_dsn: str, neo4j_url: str, qdrant_url: str) -> Iterator[Stores]:
    yield from test_checks_stores.stores.__wrapped__(tmp_path, postgres_dsn, neo4j_url, qdrant_url)


def told(report: Report) -> list[tuple[str, str, str]]:
    """All findings, short, for a failing assertion."""
    return [(finding.id, finding.object, finding.title) for finding in report.findings]


def test_a_standby_is_no_place_to_migrate(tmp_path: Path, servers_directory: Path) -> None:
    """A server that is in recovery takes no writes: every command ends at the first connection."""
    server = EmbeddedPostgres(servers_directory / "standby", durable=False)
    with server:
        app = Application(tmp_path, server.create_database("app"))
        assert app.inspect().ok
        server.stop()
        (server.directory / "data" / "standby.signal").touch()
        server.start()
        with pytest.raises(StandbyError, match="primary"):
            app.inspect()


def test_triggers_that_cannot_be_kept_still_are_said(app: Application) -> None:
    """TEN115: a partition that another role owns has a trigger of its own; the migration role may not silence it."""
    app.sql(
        "CREATE TABLE events (id integer NOT NULL, project text) PARTITION BY RANGE (id)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100)",
        "INSERT INTO events VALUES (1, 'a'), (2, 'b')",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "DROP ROLE IF EXISTS tenure_owner",
        "CREATE ROLE tenure_owner",
        "GRANT ALL ON SCHEMA public TO tenure_owner",
        "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO tenure_owner', current_database()); END $$",
        *(f"ALTER TABLE {name} OWNER TO tenure_owner" for name in ("projects", "files", "parts", "notes", "events")),
        "GRANT ALL ON events_1 TO tenure_owner",
    )
    app.tables["events"] = {"tenant": {"column": "project"}}
    app.connections["postgres"]["role"] = "tenure_owner"
    try:
        assert app.inspect().strict(), told(app.inspect())
        app.sql("CREATE TRIGGER touched BEFORE UPDATE ON events_1 FOR EACH ROW EXECUTE FUNCTION touch()")
        report = app.inspect()
        assert red(report) == {"TEN115"}, told(report)
        found = of(report, "TEN115")
        assert (found.object, found.sample) == ("events", ("touched",))
        assert f"--allow {Hazard.FIRES_TRIGGERS}" in found.remedy
    finally:
        app.sql("DROP OWNED BY tenure_owner CASCADE", "DROP ROLE tenure_owner")


def test_stored_generated_columns_are_told(app: Application) -> None:
    """TEN126: they are computed anew for every row that gets its key; virtual ones cost nothing."""
    app.sql(
        "ALTER TABLE notes ADD COLUMN doubled integer GENERATED ALWAYS AS (id * 2) STORED",
        "ALTER TABLE files ADD COLUMN shown text GENERATED ALWAYS AS (upper(name)) VIRTUAL",
    )
    report = app.inspect()
    assert report.strict(), told(report)
    found = of(report, "TEN126")
    assert (found.severity, found.object, found.sample) == ("info", "notes", ({"doubled": "(id * 2)"},))
    before = app.sql("SELECT id, doubled FROM notes ORDER BY id")
    assert app.apply().strict()
    assert app.sql("SELECT id, doubled FROM notes ORDER BY id") == before


def test_replication_slots_are_told(app: Application) -> None:
    """TEN116: whoever reads from a slot gets every write of the backfill, and a dead one keeps all of its WAL."""
    app.sql("SELECT pg_create_physical_replication_slot('tenure_dead_slot', true)")
    try:
        report = app.inspect()
        assert report.strict(), told(report)
        found = of(report, "TEN116", "tenure_dead_slot")
        assert "physical replication slot, inactive" in found.title
        assert "keeps all WAL" in found.remedy
    finally:
        app.sql("SELECT pg_drop_replication_slot('tenure_dead_slot')")


def test_the_guard_finds_what_is_new_and_what_may_be_null(app: Application) -> None:
    """TEN601 and TEN602: a table that nobody classified, and a key that may be missing again."""
    assert app.apply().strict()

    def guarded() -> Report:
        with app.session() as session:
            return session.guard()

    assert guarded().ok, told(guarded())
    app.sql("CREATE TABLE late (id integer PRIMARY KEY)")
    # The planner's own finding says it: what guards and what plans are one rule.
    assert errors(guarded()) == {"TEN001"}, told(guarded())
    app.sql("DROP TABLE late", "ALTER TABLE notes ALTER COLUMN project_id DROP NOT NULL")
    report = guarded()
    assert errors(report) == {"TEN506", "TEN602"}, told(report)
    assert of(report, "TEN602").object == "notes"


def test_a_graph_that_is_too_old_is_refused(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """TEN201: no such server can be had any more; what one would answer is put in its place."""
    asked = Neo4jStore.introspect
    report = stores.app.inspect()
    assert "Community" in of(report, "TEN201").title
    monkeypatch.setattr(Neo4jStore, "introspect", lambda store: asked(store).model_copy(update={"version": "4.4.40"}))
    report = stores.app.inspect()
    assert red(report) == {"TEN201"}, told(report)


def test_entries_that_name_no_node_are_listed(stores: Stores) -> None:
    """TEN206: a list on a relationship names a node that is not there."""
    relationships = {**GRAPH["relationships"], "TAGGED": {"tenant": "ends", "references": {"evidence": "Part.id"}}}
    stores.app.stores = {**stores.app.stores, "neo4j": {**GRAPH, "relationships": relationships}}
    stores.cypher("MATCH (p:Part)-[r:TAGGED]->(t:Tag) WHERE t.name <> 'both' SET r.evidence = [p.id]")
    report = stores.app.inspect()
    assert report.strict(), told(report)
    stores.cypher("MATCH (p:Part {id: 2})-[r:TAGGED]->() SET r.evidence = r.evidence + [900]")
    report = stores.app.inspect()
    assert red(report) == {"TEN206"}, told(report)
    assert of(report, "TEN206").sample == (900,)


def test_a_collection_that_gave_up_optimising_is_refused(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """TEN301: no test can break an optimizer; what a server with a broken one answers is put in its place."""
    monkeypatch.setattr(QdrantStore, "status", lambda _, name: "red")
    report = stores.app.inspect()
    assert red(report) == {"TEN301"}, told(report)
    assert "optimizer failed" in of(report, "TEN301").remedy


def test_strict_mode_is_told(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """TEN306: limits of a server on requests; the embedded engine has none, so what a server answers is put in."""
    assert "TEN306" not in {finding.id for finding in stores.app.inspect().findings}
    asked = Session._introspect_qdrant

    def limited(session: Session) -> QdrantCatalog:
        found = asked(session)
        mode = '{"enabled": true, "max_query_limit": 500}'
        return found.model_copy(
            update={"collections": tuple(c.model_copy(update={"strict_mode": mode}) for c in found.collections)}
        )

    monkeypatch.setattr(Session, "_introspect_qdrant", limited)
    report = stores.app.inspect()
    assert report.strict(), told(report)
    assert "500" in of(report, "TEN306").title


def test_a_source_that_fails_on_the_data_stops_inspect_there(app: Application) -> None:
    """TEN100 says that nothing else was looked at."""
    app.tables["notes"]["tenant"] = {"sql": "(1 / (t.id - 3))::text"}
    report = app.inspect()
    assert {finding.id for finding in report.findings} >= {"TEN100", "TEN109"}
    assert report.matrix == ()


def test_rows_that_first_cannot_decide_are_an_error_of_inspect(app: Application) -> None:
    """TEN112: where the first source itself names several tenants there is no first answer; apply must not begin."""
    app.sql(
        "CREATE TABLE shelves (code text, owner text)", "INSERT INTO shelves VALUES ('1', 'a'), ('1', 'b'), ('2', 'b')"
    )
    app.tables["shelves"] = {"exempt": "a lookup"}
    app.tables["notes"]["tenant"] = {
        "first": [{"mapping": {"table": "shelves", "value": "code", "tenant": "owner"}, "match": "id"},
                  {"column": "project"}],
    }  # fmt: skip
    app.tables["notes"]["conflict"] = "first"
    app.sql("UPDATE notes SET project = 'a' WHERE id = 2")
    report = app.inspect()
    assert red(report) == {"TEN112"}, told(report)
    undecided = next(f for f in report.findings if f.id == "TEN112" and f.severity == "error")
    decided = next(f for f in report.findings if f.id == "TEN112" and f.severity == "info")
    assert (undecided.count, decided.count) == (1, 1)
    with psycopg.connect(app.dsn) as connection:
        assert connection.execute("SELECT to_regnamespace('tenure')").fetchone() == (None,)
