"""One playbook with its stores: what the commands and the library's users call. Parsing and printing live elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.attribution.build import RowRules, row_rules, tenant_key
from tenure.attribution.items import Lookups
from tenure.catalog import Catalog
from tenure.catalog.merge import merged
from tenure.errors import PlanError, PreflightError
from tenure.ledger import Ledger
from tenure.planner import Plan, plan
from tenure.planner.points import with_replaced
from tenure.playbook import Playbook, load_playbook
from tenure.runner.context import Context, Limits, Reporter, SilentReporter, StopSignal
from tenure.stores.postgres import PostgresStore
from tenure.values import Hazard, Outcome, Phase, TenantKey

if TYPE_CHECKING:
    from tenure.catalog.postgres import PostgresCatalog
    from tenure.checks import Report
    from tenure.runner.dispatch import Dispatch
    from tenure.runner.fence import Fence
    from tenure.runner.result import RunResult
    from tenure.runner.rollback import RollbackPlan
    from tenure.stores.neo4j import Neo4jStore
    from tenure.stores.qdrant import QdrantStore

GATES = (Phase.CUTOVER, Phase.CONTRACT)
LAST_BEFORE_GATE = Phase.CONSTRAIN


@dataclass(frozen=True)
class Applied:
    """What `apply` did: the run's outcomes, and the verification that followed it."""

    plan: Plan
    result: RunResult
    report: Report


class Session:
    """Opens what the playbook names and closes it again; a context manager.

    Every verb may be called at any time; what was done before is read from the ledger.
    """

    def __init__(self, playbook: Playbook) -> None:
        """Use *playbook*; stores are opened when they are first asked for."""
        self.playbook = playbook
        self._stack = ExitStack()

    @classmethod
    def open(cls, path: Path | str = "tenure.yaml") -> Session:
        """Return a session of the playbook at *path*. Errors: PlaybookError with line and column."""
        return cls(load_playbook(Path(path)))

    def __enter__(self) -> Session:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every store."""
        self._stack.close()

    # The stores.

    @property
    def key(self) -> TenantKey:
        """Return the tenant key."""
        return tenant_key(self.playbook)

    @cached_property
    def postgres(self) -> PostgresStore:
        """Return the open Postgres store. Errors: StoreUnreachableError."""
        connection = self.playbook.connections.postgres
        store = PostgresStore(connection.url.get_secret_value(), role=connection.role, settings=connection.settings)
        return self._stack.enter_context(store)

    @cached_property
    def neo4j(self) -> Neo4jStore | None:
        """Return the open graph, or None when the playbook has none. Errors: StoreUnreachableError."""
        connection = self.playbook.connections.neo4j
        if connection is None or self.playbook.neo4j is None:
            return None
        from tenure.stores.neo4j import Neo4jStore

        store = Neo4jStore(connection.url, connection.user, connection.password.get_secret_value(), connection.database)
        return self._stack.enter_context(store)

    @cached_property
    def qdrant(self) -> QdrantStore | None:
        """Return the open vector store, or None when the playbook has none. Errors: StoreUnreachableError."""
        connection = self.playbook.connections.qdrant
        if connection is None or self.playbook.qdrant is None:
            return None
        from tenure.stores.qdrant import QdrantStore

        secret = connection.api_key.get_secret_value() if connection.api_key is not None else None
        return self._stack.enter_context(QdrantStore(connection.url, secret))

    @cached_property
    def ledger(self) -> Ledger:
        """Return the ledger, which may not be installed yet."""
        return Ledger(self.postgres)

    # What is there and what is to be done.

    def catalog(self) -> Catalog:
        """Return the stores as they are now."""
        from tenure.stores.postgres_introspect import introspect_postgres

        def postgres() -> PostgresCatalog:
            with self.postgres.connection() as connection:
                return introspect_postgres(connection)

        return Catalog(
            postgres=self.postgres.repeating(postgres),
            neo4j=self.neo4j.introspect() if self.neo4j is not None else None,
            qdrant=self._introspect_qdrant(),
        )

    def planning_catalog(self, live: Catalog | None = None) -> Catalog:
        """Return the catalog that plans are made from: as it was before the first run, plus what is new in *live*."""
        live = live or self.catalog()
        kept = self.ledger.baseline("catalog", "") if self.ledger.installed() else None
        if kept is None:
            return live
        before = Catalog.model_validate(kept)
        return with_replaced(merged(before, live), before, self.key.name)

    def plan(self, catalog: Catalog | None = None) -> Plan:
        """Return the plan: the one that the ledger has while the playbook is the same, else one made from *catalog*."""
        if self.ledger.installed():
            latest = self.ledger.latest_run()
            if latest is not None and latest.playbook_hash == self.playbook.digest():
                return Plan.restore(latest.plan)
        return plan(self.playbook, catalog or self.planning_catalog())

    def rules(self, catalog: Catalog) -> RowRules:
        """Return the resolved rules of the tables."""
        return row_rules(self.playbook, catalog.postgres)

    # The commands.

    def inspect(self) -> Report:
        """Return what stands in the way and what will be decided how; writes nothing to any store."""
        from tenure.checks import inspect

        return inspect(self)

    def verify(self) -> Report:
        """Return whether every item has its tenant, in all stores."""
        from tenure.checks import verify

        return verify(self)

    def guard(self) -> Report:
        """Return whether anything unclassified, untagged, nullable or globally unique has appeared."""
        from tenure.checks.guard import guard

        return guard(self)

    def apply(
        self,
        through: Phase = LAST_BEFORE_GATE,
        *,
        allowed: Iterable[Hazard] = (),
        reporter: Reporter | None = None,
        signal: StopSignal | None = None,
        fanout: bool = False,
    ) -> Applied:
        """Run or resume the plan up to and including phase *through*, then verify.

        With *fanout*, ranges are given away to `tenure worker` processes, on any machine.

        Errors: FanoutMissingError without the extra, PlanError when playbook and stores do not fit, PreflightError when
        inspect finds errors before anything was written, RefusedError without a checked backup of the last day (or
        `Hazard.NO_BACKUP` in *allowed*), and all that `Runner.run` raises.
        """
        from tenure.backup.gate import require_backup
        from tenure.runner.runner import Runner, consent, settled

        if fanout:
            from tenure.fanout.queue import require

            require()
        current = self.plan()
        if current.errors:
            raise PlanError(count=len(current.errors), first=_first(current.errors), findings=current.errors)
        found = None if self._begun() else self.inspect()
        if found is not None:
            errors = [finding for finding in found.findings if finding.severity == "error"]
            if errors:
                raise PreflightError(
                    store=errors[0].store,
                    object=errors[0].object,
                    problem=f"{errors[0].title}.",
                    remedy=errors[0].remedy + (f" And {len(errors) - 1} more: `tenure inspect`." if errors[1:] else ""),
                    findings=tuple(errors),
                )
        allowed = frozenset(allowed)
        consent(current, through, allowed, settled(self.ledger))
        require_backup(self, allowed, through)
        self.ledger.install()
        if found is not None:
            self.ledger.keep_baseline("catalog", "", self.catalog().model_dump(mode="json"))
            for name, body in found.drift.items():
                self.ledger.keep_baseline("drift", name, body)
        ctx = self.context(reporter, signal)
        result = Runner(ctx, current, self._dispatch(ctx) if fanout else None).run(through, allowed)
        return Applied(plan=current, result=result, report=self.verify())

    def rollback_plan(self, to: Phase = Phase.INSPECT, *, reporter: Reporter | None = None) -> RollbackPlan:
        """Return what a rollback to *to* would undo, and what forbids it; writes nothing."""
        from tenure.runner.rollback import Rollback

        return Rollback(self.context(reporter), self.plan()).plan(to)

    def rollback(
        self,
        to: Phase = Phase.INSPECT,
        *,
        reporter: Reporter | None = None,
        signal: StopSignal | None = None,
    ) -> dict[str, Outcome]:
        """Undo everything after phase *to*. Errors: RefusedError, with what blocks, when something would be lost."""
        from tenure.runner.rollback import Rollback

        return Rollback(self.context(reporter, signal), self.plan()).run(to)

    def context(self, reporter: Reporter | None = None, signal: StopSignal | None = None) -> Context:
        """Return what operations run with."""
        return Context(
            key=self.key,
            postgres=self.postgres,
            ledger=self.ledger,
            lookups=Lookups(self.postgres.connection, self.key),
            neo4j_store=self.neo4j,
            qdrant_store=self.qdrant,
            limits=Limits.of(self.playbook.limits),
            reporter=reporter or SilentReporter(),
            signal=signal or StopSignal(),
            fence=self.fence(),
        )

    def _dispatch(self, ctx: Context) -> Dispatch:
        """Return what gives ranges away to other machines."""
        from tenure.fanout.coordinator import Coordinator

        return Coordinator(self.playbook, ctx)

    def fence(self) -> Fence:
        """Return how the application's writers are stopped at cutover."""
        from tenure.runner.fence import Fence

        hooks = self.playbook.hooks
        if hooks is None:
            return Fence()
        return Fence(
            fence=hooks.fence,
            unfence=hooks.unfence,
            directory=self.playbook.directory,
            timeout=hooks.timeout,
            window=hooks.window,
        )

    def _begun(self) -> bool:
        """Return whether a run has started to write."""
        return self.ledger.installed() and any(row.attempts for row in self.ledger.operations())

    def _introspect_qdrant(self) -> Any:
        if self.qdrant is None:
            return None
        from tenure.stores.qdrant_introspect import introspect_qdrant

        return self.qdrant.call("introspection", introspect_qdrant)


def _first(findings: Iterable[Any]) -> str:
    finding = next(iter(findings))
    return f"{finding.store} {finding.object}: {finding.title}. {finding.remedy}"
