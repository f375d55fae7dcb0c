"""What a tenant deletes after the migration never comes back: in each store, whatever tenure is asked to do then.

The tool is started again, resumed after a kill, rolled back and run anew, while the collection that was replaced, with
all its points, is still there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from collision import ALIAS, HUB, NEW, OLD, Collision
from command_kit import run_tenure

from tenure.stores import qdrant_copy
from tenure.values import Hazard, Phase

KILLER = Path(__file__).with_name("killer.py")
EVERY = set(Hazard)
GATE = ("--through", "cutover", "--yes", "--allow", "NEEDS_FENCE", "--allow", "NO_BACKUP")
# Fragments of both tenants at one place of one file: they had one point, and one is the home of it.
PLACE, OTHER_PLACE = 4, 8


class Deleting(Collision):
    """The application, in which tenants delete."""

    def fragment(self, tenant: str, place: int) -> dict[str, Any]:
        """Return a tenant's fragment."""
        return next(one for one in self.fragments if (one["tenant"], one["par_idx"]) == (tenant, place))

    def point_of(self, collection: str, tenant: str, place: int) -> Any | None:
        """Return the point with a tenant's words, by what it says and not by its id."""
        words = self.fragment(tenant, place)["texto"]
        return next((p for p in self.scroll(collection) if (p.payload or {}).get("texto") == words), None)

    def home_of(self, name: str) -> str:
        """Return the tenant that kept the original of a split code, the one with most relationships."""
        query = "MATCH (c:Codigo {nombre: $name}) RETURN c.project_id AS key, COUNT { (c)--() } AS n ORDER BY n DESC"
        return str(self.graph.execute_query(query, name=name).records[0]["key"])

    def delete(self, collection: str) -> None:
        """Delete as tenants do once everything is theirs: rows, nodes, a copy, an original, a part of a list, points
        (beta's of one place, acme's of another)."""
        for tenant, place in (("beta", PLACE), ("acme", OTHER_PLACE)):
            pk = self.fragment(tenant, place)["pk"]
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                connection.execute("DELETE FROM citas WHERE fragmento = %s", [pk])
                connection.execute("DELETE FROM fragmentos WHERE pk = %s", [pk])
            self.graph.execute_query("MATCH (f:Fragmento {pk: $pk}) DETACH DELETE f", pk=pk)
            point = self.point_of(collection, tenant, place)
            assert point is not None, (tenant, place)
            self.points.delete(collection, [point.id], wait=True)
        run = self.graph.execute_query
        # beta's part of a divided relationship, and one tenant's own copy, or original, of a split node.
        run("MATCH (:Codigo {nombre: 'codigo 0'})-[r:REL {project_id: 'beta'}]->(:Categoria {nombre: 'categoria 0'}) "
            "DELETE r")  # fmt: skip
        self.home = self.home_of("codigo 1")
        run("MATCH (c:Codigo {nombre: 'codigo 1', project_id: $home}) DETACH DELETE c", home=self.home)
        run("MATCH (c:Codigo {nombre: $hub, project_id: 'beta'}) DETACH DELETE c", hub=HUB)

    def back(self, collection: str, *, split: bool) -> list[str]:
        """Return what of it is there again; *split* says that every tenant has its own nodes now."""
        found = []
        for tenant, place in (("beta", PLACE), ("acme", OTHER_PLACE)):
            pk = self.fragment(tenant, place)["pk"]
            with psycopg.connect(self.dsn) as connection:
                if connection.execute("SELECT 1 FROM fragmentos WHERE pk = %s", [pk]).fetchone():
                    found.append(f"row {pk}")
            if self.graph.execute_query("MATCH (f:Fragmento {pk: $pk}) RETURN f", pk=pk).records:
                found.append(f"node {pk}")
            if self.point_of(collection, tenant, place) is not None:
                found.append(f"point of {tenant} at {place} in {collection}")
        pks = {one["pk"]: one["tenant"] for one in self.fragments}
        lists = self.graph.execute_query(
            "MATCH (:Codigo {nombre: 'codigo 0'})-[r:REL]->(:Categoria {nombre: 'categoria 0'}) "
            "RETURN r.evidencia AS evidence"
        ).records
        assert lists, "acme's part stays"
        found += [f"evidence {pk}" for record in lists for pk in record["evidence"] if pks[pk] == "beta"]
        # The hub's copy of beta: none of beta's fragments is on a node of that name.
        hubs = self.graph.execute_query("MATCH (c:Codigo {nombre: $hub}) RETURN c.project_id AS key", hub=HUB).records
        if split and "beta" in {record["key"] for record in hubs}:
            found.append("beta's copy of the hub")
        ends = self.graph.execute_query(
            "MATCH (f:Fragmento)-[:TIENE_CODIGO]->(c:Codigo) WHERE c.nombre IN [$hub, 'codigo 1'] "
            "RETURN c.nombre AS name, f.pk AS pk",
            hub=HUB,
        ).records
        gone = {HUB: "beta", "codigo 1": self.home}
        found += [f"a relationship of {pks[r['pk']]} to {r['name']}" for r in ends if pks[r["pk"]] == gone[r["name"]]]
        return found

    def kept(self, collection: str) -> None:
        """What was not deleted is there, the other tenants' neighbours of it above all."""
        assert self.point_of(collection, "acme", PLACE) is not None
        assert self.point_of(collection, "beta", OTHER_PLACE) is not None
        names = self.graph.execute_query("MATCH (c:Codigo) RETURN collect(DISTINCT c.nombre) AS n").records[0]["n"]
        assert set(names) == {HUB, "codigo 0", "codigo 1"}


@pytest.fixture
def application(postgres_dsn: str, neo4j_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Deleting]:
    """The application, not migrated yet."""
    found = Deleting(tmp_path, postgres_dsn, neo4j_url, qdrant_url, 400)
    found.extra["hooks"] = {"fence": "true", "unfence": "true"}
    yield found
    found.close()


def _cut_over(application: Deleting, *, anew: bool = False) -> None:
    """Cut over and verify. After a rollback a point that two tenants shared is in quarantine still, although only one
    of them is left: that is for `tenure release`, so *anew* it need not be green."""
    with application.session() as session:
        report = session.apply(Phase.CUTOVER, allowed=EVERY).report
    assert anew or report.ok, report.findings


def test_what_is_deleted_after_cutover_stays_away(application: Deleting) -> None:
    """Started again as a library and as a command, rolled back to before cutover, cut over anew, and taken back."""
    constraints = application.raw()["constraints"]
    _cut_over(application)
    application.delete(ALIAS)
    assert application.back(NEW, split=True) == []
    assert {found.name for found in application.points.get_collections().collections} == {OLD, NEW}

    _cut_over(application)
    assert application.back(NEW, split=True) == [], "run again"
    again = run_tenure("apply", "--allow", "NO_BACKUP", "-f", str(application.playbook()))
    assert again.code == 0, again.err + again.out
    assert application.back(NEW, split=True) == [], "the command"

    with application.session() as session:
        forecast = session.rollback_plan(Phase.VERIFY)
        assert forecast.lossless, forecast.blocking
        session.rollback(Phase.VERIFY)
    assert application.back(OLD, split=False) == [], "rolled back to before cutover"
    application.kept(OLD)
    assert application.raw()["constraints"] == constraints

    _cut_over(application, anew=True)
    assert application.back(NEW, split=True) == [], "cut over anew"
    with application.session() as session:
        session.rollback()
    assert application.back(OLD, split=False) == [], "taken back"
    application.kept(OLD)
    assert application.raw()["constraints"] == constraints


@pytest.mark.parametrize("then", ["command", "session", "rollback"])
def test_what_is_deleted_before_a_killed_cutover_is_resumed_stays_away(application: Deleting, then: str) -> None:
    """Killed right after the alias moved, before the ledger knew: readers and writers use the copy by then."""
    playbook = str(application.playbook())
    killed = subprocess.run(
        [sys.executable, str(KILLER), "apply", *GATE, "-f", playbook],
        env={**os.environ, "TEST_KILL_AT": "moved"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    application.delete(ALIAS)
    if then == "rollback":
        with application.session() as session:
            session.rollback()
        assert application.back(OLD, split=False) == []
        application.kept(OLD)
        return
    if then == "command":
        finished = run_tenure("apply", *GATE, "-f", playbook)
        assert finished.code == 0, finished.err + finished.out
    else:
        _cut_over(application)
    assert application.back(NEW, split=True) == []
    application.kept(NEW)


def test_a_point_deleted_between_reading_and_copying_is_caught_up_with(
    application: Deleting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner slept, or was late, with points in hand that were deleted meanwhile."""
    put = qdrant_copy.put
    doomed: list[Any] = []

    def late(store: Any, collection: str, points: Any) -> None:
        if not doomed:
            doomed.extend(point.id for point in list(application.scroll(OLD))[:5])
            application.points.delete(OLD, doomed, wait=True)
        put(store, collection, points)

    words: Callable[[str], set[str]] = lambda name: {p.payload["texto"] for p in application.scroll(name)}  # noqa: E731
    before = words(OLD)
    monkeypatch.setattr(qdrant_copy, "put", late)
    with application.session() as session:
        session.apply(Phase.CONSTRAIN, allowed=EVERY)
    assert doomed
    gone = before - words(OLD)
    assert len(gone) == len(doomed)
    # Those points were also the only trace of rows of the other tenant, which are to be had again from Postgres.
    assert not gone & words(NEW)
    application.home = ""
    with application.session() as session:
        session.apply(Phase.CUTOVER, allowed=EVERY)
    assert not gone & words(ALIAS)
