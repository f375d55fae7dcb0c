"""Opens what checks look at: in mode "sources" with the decisions of all tables, in mode "keys" with the keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal

from tenure.attribution.build import row_rules
from tenure.attribution.items import Lookups
from tenure.attribution.points import Resolve
from tenure.attribution.rows import Scope
from tenure.attribution.sources_scope import Columns, sources_scope
from tenure.checks.base import View
from tenure.operations.point_map import Renamed
from tenure.operations.switched import switch_of

if TYPE_CHECKING:
    from tenure.ledger import Ledger
    from tenure.session import Session


def bare_view(session: Session, mode: Literal["sources", "keys"] = "keys") -> View:
    """Return a view that reads tenants from the keys; nothing is decided. Reading the catalog is all it costs."""
    from tenure.planner import graph, points

    live = session.catalog()
    ledger = session.ledger if session.ledger.installed() else None
    catalog = session.planning_catalog(live)
    rows = row_rules(session.playbook, catalog.postgres)
    scope = Scope(whole=True)
    vectors = points.rules(session.playbook, catalog, rows)
    switches = {
        switch.target: switch
        for spec in vectors.specs
        if ledger is not None and (switch := switch_of(ledger, spec.collection)) is not None
    }
    copied = {switch.collection: switch.target for switch in switches.values()}
    vectors.specs = tuple(
        spec.model_copy(update={"collection": copied.get(spec.collection, spec.collection)}) for spec in vectors.specs
    )
    return View(
        playbook=session.playbook,
        key=session.key,
        catalog=catalog,
        live=live,
        plan=session.plan(catalog),
        rows=rows,
        graph=graph.rules(session.playbook, catalog, rows),
        points=vectors,
        postgres=session.postgres,
        neo4j=session.neo4j,
        qdrant=session.qdrant,
        ledger=ledger,
        mode=mode,
        lookups=Lookups(session.postgres.connection, session.key, scope),
        scope=scope,
        connect=session.postgres.connection,
        switches=switches,
    )


@contextmanager
def resolving(view: View, collection: str) -> Iterator[Resolve | None]:
    """Lend what finds the rows of a re-keyed copy's points; None for a collection that has its own ids."""
    switch = view.switches.get(collection)
    if switch is None:
        yield None
        return
    with Renamed(view.postgres, switch, view.lookups) as resolve:
        yield resolve


@contextmanager
def deciding(view: View) -> Iterator[View]:
    """Lend *view* with every row decided by its sources. Errors: PreflightError, DecisionFailedError."""
    with ExitStack() as stack:
        opened = stack.enter_context(
            sources_scope(
                view.postgres,
                view.playbook,
                view.rows,
                graph=view.graph.spec,
                points=view.points.specs,
                extra=_referenced(view),
                done=backfilled(view.ledger),
            )
        )
        view.mode, view.lookups, view.scope = "sources", opened.lookups, opened.scope
        view.connect, view.decided = opened.connect, opened.decided
        yield view


def backfilled(ledger: Ledger | None) -> frozenset[str]:
    """Return the tables whose keys are all written."""
    if ledger is None:
        return frozenset()
    return frozenset(
        row.object
        for row in ledger.operations()
        if row.state == "done" and (row.kind == "backfill_rows" or (row.kind == "add_key" and row.body.get("constant")))
    )


def _referenced(view: View) -> Columns:
    """Return the columns of foreign keys between keyed tables, and of references that the playbook names."""
    wanted: Columns = {}
    for name in view.rows.rules:
        table = view.catalog.postgres.table(name)
        for key in table.foreign_keys if table is not None else ():
            if key.ref_table in view.rows.rules:
                wanted.setdefault(name, set()).update(key.columns)
                wanted.setdefault(key.ref_table, set()).update(key.ref_columns)
        rule = (view.playbook.postgres or {})[name]
        for column, dotted in rule.references.items():
            other, _, theirs = dotted.rpartition(".")
            target = view.catalog.postgres.table(other)
            known = table is not None and table.column(column) is not None
            if known and target is not None and target.column(theirs) is not None and other in view.rows.rules:
                wanted.setdefault(name, set()).add(column)
                wanted.setdefault(other, set()).add(theirs)
    return wanted
