"""What a plan refuses of collections before anything is done, from catalogs written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_planner_postgres import COLUMN, catalog, playbook, table

from tenure.catalog.qdrant import Collection, QdrantCatalog
from tenure.planner import Plan, plan
from tenure.values import Finding

REKEY = {"rekey": "{tenant}|{name}", "namespace": "url"}


def planned(folder: Path, **rule: Any) -> Plan:
    """The plan of one collection `pts`, with its alias, whose points belong to whom their payload says."""
    body = {
        "qdrant": {"pts": {"tenant": {"payload": "owner"}, "alias": "points", **rule}},
        "connections": {"postgres": {"url": "postgresql://nowhere/d"}, "qdrant": {"url": "http://nowhere"}},
    }
    store = QdrantCatalog(version="1.18.3", collections=(Collection(name="pts", aliases=("points",), points=5),))
    found = catalog(table("t")).model_copy(update={"qdrant": store})
    return plan(playbook(folder, {"t": COLUMN}, **body), found)


def refusals(made: Plan) -> list[Finding]:
    """The errors of a plan."""
    return [finding for finding in made.findings if finding.severity == "error"]


def test_points_without_a_tenant_cannot_have_an_id_made_of_it(tmp_path: Path) -> None:
    """`keep_null` on a collection that gets new ids is refused by the plan, with what to write instead."""
    made = planned(tmp_path, ids=REKEY, unassigned={"keep_null": "templates"})
    (refused,) = refusals(made)
    assert (refused.id, refused.store, refused.object) == ("TEN012", "qdrant", "pts")
    assert "`ids: rekey`" in refused.title
    assert "`unassigned: shared`" in refused.remedy
    assert made.operations == ()


@pytest.mark.parametrize(
    "rule",
    [
        {"ids": REKEY, "unassigned": "shared"},
        {"ids": REKEY, "unassigned": "quarantine"},
        {"ids": "keep", "unassigned": {"keep_null": "templates"}},
    ],
)
def test_what_it_says_to_write_instead_is_planned(tmp_path: Path, rule: dict[str, Any]) -> None:
    made = planned(tmp_path, **rule)
    assert refusals(made) == []
    assert [operation.kind for operation in made.operations if operation.store == "qdrant"]
