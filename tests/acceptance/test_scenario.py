"""The hard scenario: everything of two tenants has the same names, one code has most of all relationships.

TENURE_SCENARIO_RELATIONSHIPS sets how many (5,000 by default).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from collision import NEW, OLD, TENANTS, Collision, differing

from tenure.errors import RefusedError
from tenure.values import Hazard, Phase

HUB = int(os.environ.get("TENURE_SCENARIO_RELATIONSHIPS", "5000"))
# The 100,000 of issue 5 take about five minutes on two quiet cores, several times as long on busy ones.
pytestmark = pytest.mark.timeout(600 + HUB // 40)


@pytest.fixture
def collision(postgres_dsn: str, neo4j_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Collision]:
    """The application."""
    found = Collision(tmp_path, postgres_dsn, neo4j_url, qdrant_url, HUB)
    yield found
    found.close()


def test_each_tenant_sees_exactly_its_own_in_all_stores(collision: Collision) -> None:
    """From one tenant's stores to contract; checked with plain SQL, Cypher and scrolls after cutover and contract."""
    totals = collision.totals()
    # One node for both tenants becomes two, and so does what lies between such nodes.
    expected = {**totals, "Codigo": 6, "Categoria": 4, "Archivo": 6, "REL": 5, "points": len(collision.fragments)}
    assert totals["TIENE_CODIGO"] == HUB + len(collision.fragments)
    assert totals["points"] < expected["points"], "points were overwritten"
    with collision.session() as session:
        applied = session.apply(allowed={Hazard.NO_BACKUP})
        assert applied.report.ok, applied.report.findings
        for phase in (Phase.CUTOVER, Phase.CONTRACT):
            applied = session.apply(phase, allowed=set(Hazard))
            assert applied.report.ok, applied.report.findings
            for tenant in TENANTS:
                assert differing(collision.owned(tenant), collision.seen(tenant)) == {}, (phase, tenant)
            assert collision.totals() == expected
            # What nobody could tell stays between the original nodes, and is said.
            (stayed,) = (found for found in applied.report.findings if (found.id, found.object) == ("TEN502", "REL"))
            assert (stayed.severity, stayed.count) == ("info", 1)
            assert "stay between the originals" in stayed.title
            assert "tenure release" in stayed.remedy
            if phase is Phase.CUTOVER:
                assert session.rollback_plan().lossless
        matrix = {row.tenant: row for row in applied.report.matrix}
        for tenant in TENANTS:
            seen, row = collision.seen(tenant), matrix[tenant]
            assert dict(row.postgres) == {name: seen[name].total() for name in row.postgres}
            assert dict(row.neo4j) == {name: seen[name].total() for name in row.neo4j}
            assert dict(row.qdrant) == {NEW: seen["points"].total()}
        assert {found.name for found in collision.points.get_collections().collections} == {NEW}

        # From now on the same names may come into both tenants' stores, and what was dropped does not come back.
        with psycopg.connect(collision.dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO informes (id, proyecto, titulo, project_id) "
                               "VALUES (3, 'beta', 'informe de acme', 'beta')")  # fmt: skip
        collision.graph.execute_query("CREATE (:Informe {numero: 3, titulo: 'informe de acme', project_id: 'beta'})")
        forecast = session.rollback_plan()
        assert not forecast.lossless
        blocking = {finding.object: finding for finding in forecast.blocking}
        assert blocking[OLD].sample == (NEW,)
        assert blocking["Informe.informe_titulo"].sample == ({"item": "informe de acme", "tenants": ["acme", "beta"]},)
        assert any(
            "informe de acme" in str(finding.sample) for finding in forecast.blocking if "informes" in finding.object
        )
        with pytest.raises(RefusedError, match="would be lost"):
            session.rollback()
        report = session.verify()
        assert report.ok, report.findings
        assert session.guard().ok
        again = session.apply(Phase.CONTRACT, allowed=set(Hazard))
        assert not any(outcome.changed for outcome in again.result.outcomes.values())
