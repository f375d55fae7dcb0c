"""Releases quarantined items, in all stores, under the lease: what a person named first, then what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenure.attribution.resolve import Says
from tenure.checks.view import bare_view
from tenure.errors import RefusedError, UsageError
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.load_decisions import LoadDecisions
from tenure.operations.node_backfill import NodeBackfill
from tenure.operations.relationship_backfill import RelationshipBackfill
from tenure.operations.split_node import SplitNode
from tenure.release.graph import GraphRelease
from tenure.release.points import PointRelease
from tenure.release.rows import RowRelease
from tenure.release.values import Released, Request
from tenure.runner.context import Context, Reporter, StopSignal
from tenure.runner.lease import await_workers, held
from tenure.runner.runner import holder_name

if TYPE_CHECKING:
    from tenure.checks import View
    from tenure.session import Session


def release(
    session: Session,
    object_name: str = "",
    requests: Sequence[Request] = (),
    *,
    reporter: Reporter | None = None,
    signal: StopSignal | None = None,
) -> Released:
    """Give the items of *requests*, which are of *object_name*, to their tenants; then decide everything that is
    quarantined again by its own rule, in the plan's order, and write what has a tenant by now.

    May be repeated, and goes on after a kill where it stood. Errors: UsageError for a name that is not in the playbook,
    RefusedError before the backfill is done or for a tenant that is not registered, LeaseHeldError.
    """
    ledger = session.ledger
    if not ledger.installed() or not any(row.state == "done" for row in ledger.operations()):
        raise RefusedError(reason="nothing was applied yet.", remedy="`tenure apply` comes first.")
    view = bare_view(session, "keys")
    ctx = session.context(reporter, signal)
    with held(ledger, holder_name(), ctx.signal) as token:
        ctx.token = token
        await_workers(ctx.postgres, token, ctx.signal)
        latest = ledger.latest_run()
        ctx.run = latest.id if latest is not None else None
        ctx.reporter.start("release", "release quarantined items", None)
        done = _Release(ctx, view).run(object_name, _registered(ctx, requests))
        said = f"{done.total:,} items released, {sum(done.left.values()):,} stay quarantined"
        ledger.event(ctx.run, "release", object_name, said)
        ctx.reporter.finish("release", said)
    return done


def _registered(ctx: Context, requests: Sequence[Request]) -> list[Request]:
    """Return requests with tenants as the registry has them. Errors: RefusedError for one that it has not."""
    known = ctx.lookups.values({request.tenant for request in requests})
    for tenant, answer in known.items():
        if answer.says is not Says.TENANT:
            raise RefusedError(
                reason=f"{tenant!r} is no registered tenant.",
                remedy="Register it first; tenure never registers a tenant itself.",
            )
    return [Request(request.item, known[request.tenant].value or "") for request in requests]


class _Release:
    """One release: the parts for the stores, in the plan's order."""

    def __init__(self, ctx: Context, view: View) -> None:
        self._ctx, self._view, self._done = ctx, view, Released()
        operations = view.plan.operations
        done = {row.id for row in ctx.ledger.operations() if row.state in ("done", "settling")}
        self._decisions = [op for op in operations if isinstance(op, LoadDecisions)]
        self._splits = [op for op in operations if isinstance(op, SplitNode) and op.id in done]
        rows = [op for op in operations if isinstance(op, BackfillRows) and op.id in done]
        self._rows = RowRelease(ctx, rows, view.live.postgres, self._done)
        graph = [op for op in operations if isinstance(op, NodeBackfill | RelationshipBackfill) and op.id in done]
        split = frozenset(op.object for op in self._splits)
        self._graph = GraphRelease(ctx, graph, split, self._done) if ctx.neo4j_store is not None else None
        keyed = {op.object for op in operations if op.kind == "set_payload" and op.id in done}
        points = [PointRelease(ctx, view, spec, self._done) for spec in view.points.specs]
        self._points = [part for part in points if part.name in keyed] if ctx.qdrant_store is not None else []

    def run(self, object_name: str, requests: Sequence[Request]) -> Released:
        """Release what was named, then what follows."""
        for decisions in self._decisions:
            # A mapping may have been filled in since the run.
            decisions.apply(self._ctx)
        if requests:
            self._given(object_name, requests)
        self._rows.again()
        if self._graph is not None:
            self._graph.again()
            for split in self._splits:
                # A released item that hangs on another tenant's copy of a shared node gets its own tenant's.
                split.apply(self._ctx)
        for points in self._points:
            points.again()
        return self._done

    def _given(self, name: str, requests: Sequence[Request]) -> None:
        store, dot, rest = name.partition(".")
        places = {
            "postgres": list(self._rows.tables),
            "neo4j": list(self._graph.operations) if self._graph is not None else [],
            "qdrant": [part.name for part in self._points],
        }
        found = [place for place, names in places.items() if name in names]
        if not found and dot and rest in places.get(store, []):
            found, name = [store], rest
        if len(found) != 1:
            known = ", ".join(each for names in places.values() for each in names)
            problem = f"is in {' and '.join(found)}: write {found[0]}.{name}" if found else f"is none of: {known}"
            raise UsageError(detail=f"--object {name!r} {problem}.")
        if found == ["postgres"]:
            self._rows.given(name, requests)
        elif found == ["neo4j"]:
            assert self._graph is not None
            self._graph.given(self._graph.operations[name], requests)
        else:
            next(part for part in self._points if part.name == name).given(requests)
