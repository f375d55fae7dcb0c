"""Puts the plans of the three stores together in the safe order of phases."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.attribution.build import row_rules
from tenure.catalog import Catalog
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.base import Operation
from tenure.planner import constraints, graph, points, row_security, rows, surroundings
from tenure.planner.classify import classification
from tenure.planner.estimate import estimates
from tenure.planner.plan import Plan
from tenure.playbook.models import Playbook
from tenure.values import Finding


def plan(playbook: Playbook, catalog: Catalog) -> Plan:
    """Return what has to be done, in order, or, in its `errors`, why nothing can be done yet.

    Needs no connection and changes nothing. A playbook that leaves an object out gives no operations at all: a plan
    that would run in part is not a plan.
    """
    findings: list[Finding] = list(classification(playbook, catalog))
    built = row_rules(playbook, catalog.postgres)
    findings.extend(built.findings)
    nodes = graph.rules(playbook, catalog, built)
    findings.extend(nodes.findings)
    vectors = points.rules(playbook, catalog, built)
    findings.extend(vectors.findings)

    def operations() -> Iterator[Operation]:
        postgres = catalog.postgres
        yield from rows.expand(playbook, postgres, built)
        yield from graph.expand(nodes)
        yield from points.expand(vectors)
        yield from rows.backfill(postgres, built)
        yield from graph.backfill(nodes)
        yield from points.backfill(vectors)
        yield from rows.not_null(postgres, built)
        yield from constraints.constrain(playbook, postgres, built, findings)
        yield from graph.constrain(nodes)
        yield from points.constrain(vectors)
        yield from graph.cutover(nodes)
        yield from points.cutover(vectors)
        yield from row_security.cutover(playbook, postgres, built, findings)
        yield from constraints.contract(playbook, postgres, built, findings)
        yield from graph.contract(nodes)
        yield from points.contract(vectors)

    findings.extend(surroundings.explanations(catalog.postgres, built))
    failed = any(finding.severity == "error" for finding in findings)
    ordered = [] if failed else sorted(operations(), key=lambda operation: operation.phase.order)
    likely = estimates(ordered, catalog.postgres, playbook.limits.workers.postgres)
    ordered = [
        operation.model_copy(update={"estimated_seconds": likely[operation.id].seconds})
        if isinstance(operation, BackfillRows) and operation.id in likely
        else operation
        for operation in ordered
    ]
    # Samples may hold what cannot be hashed, so it is not the findings themselves that are told apart.
    findings = [*{(found.id, found.store, found.object, found.title): found for found in findings}.values()]
    if any(finding.severity == "error" for finding in findings):
        ordered = []
    return Plan(
        key=built.key,
        playbook_digest=playbook.digest(),
        catalog_digest=catalog.digest(),
        operations=tuple(ordered),
        findings=tuple(findings),
        untouched=tuple(_untouched(playbook)),
        estimates=tuple(likely.items()) if ordered else (),
    )


def _untouched(playbook: Playbook) -> Iterator[tuple[str, str, str]]:
    """Yield the objects that stay as they are: store, object, reason."""
    for where, rule in playbook.rules():
        if rule.kind in ("shared", "exempt"):
            yield str(where[0]), str(where[-1]), f"{rule.kind}: {rule.reason}"
