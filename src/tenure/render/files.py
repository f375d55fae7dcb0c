"""The files of a plan, by name."""

from __future__ import annotations

from tenure.attribution.build import row_rules
from tenure.catalog import Catalog
from tenure.errors import PlanError
from tenure.planner import graph, points
from tenure.planner.plan import Plan
from tenure.playbook.models import Playbook
from tenure.render.exports import exports
from tenure.render.neo4j import neo4j_file
from tenure.render.postgres import postgres_file
from tenure.render.qdrant import qdrant_file
from tenure.render.readme import readme_file
from tenure.render.text import CYPHER_FILE, README_FILE, SCRIPT_FILE, SQL_FILE


def render(plan: Plan, playbook: Playbook, catalog: Catalog, *, neo4j_version: str | None = None) -> dict[str, str]:
    """Return the files that bring the stores where *plan* does, up to cutover, by name.

    Args:
        plan: What `tenure.planner.plan` made of *playbook* and *catalog*; nothing else is read, no store is asked.
        playbook: The playbook.
        catalog: The catalog that the plan was made from.
        neo4j_version: The server that the Cypher is for, such as ``4.4``; the catalog's when None.

    Raises:
        PlanError: the plan has errors, so there is nothing to render.
    """
    if plan.errors:
        first = plan.errors[0]
        raise PlanError(
            count=len(plan.errors), first=f"{first.store} {first.object}: {first.title}.", findings=plan.errors
        )
    built = row_rules(playbook, catalog.postgres)
    nodes = graph.rules(playbook, catalog, built)
    vectors = points.rules(playbook, catalog, built)
    exported = exports(plan.key, nodes.spec, vectors.specs) if nodes.spec or vectors.specs else []
    files = {SQL_FILE: postgres_file(plan, playbook, catalog, built, exported)}
    if nodes.spec is not None and catalog.neo4j is not None:
        files[CYPHER_FILE] = neo4j_file(plan, nodes.spec, catalog.neo4j, exported, neo4j_version)
    if vectors.specs:
        files[SCRIPT_FILE] = qdrant_file(plan, vectors.specs)
    files[README_FILE] = readme_file(plan, files, exported)
    return files
