"""Takes a run back: the inverses of what was begun, newest first, as far as the operator says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from functools import partial
from itertools import groupby

from tenure.errors import InterruptedRunError, LeaseLostError, RefusedError
from tenure.operations import load
from tenure.operations.base import Operation
from tenure.planner.plan import Plan
from tenure.runner.context import Context
from tenure.runner.failures import Failures
from tenure.runner.fence import fenced, take_down
from tenure.runner.lease import await_workers, held
from tenure.runner.runner import holder_name
from tenure.runner.states import RunState, check_move
from tenure.values import Finding, Frozen, Outcome, Phase, Store


class Recreation(Frozen):
    """How one thing that contract dropped is made again by hand: the journal keeps it from before the drop."""

    operation: str
    store: Store
    object: str
    statements: tuple[str, ...]


class RollbackPlan(Frozen):
    """What a rollback would undo, newest first; `blocking` is what would be lost, by key.

    `lossless` is true when nothing blocks; warnings among `notes` say what the application wrote and would lose.
    """

    lossless: bool
    blocking: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    operations: tuple[str, ...] = ()
    dropped: tuple[Recreation, ...] = ()


class Rollback:
    """Undoes with one context what the ledger says was begun, under this plan or one before it."""

    def __init__(self, ctx: Context, plan: Plan) -> None:
        """Undo with *ctx* what its ledger knows; nothing happens before `run`. *plan* is the present one."""
        self._ctx = ctx
        self._plan = plan
        self._failures = Failures(ctx)

    def plan(self, to: Phase) -> RollbackPlan:
        """Return what a rollback would undo and what forbids it; writes nothing.

        A store that goes away meanwhile is waited for. Errors: StoreFailedError with the operation that was looked at.
        """
        begun = self._begun(to)
        found = [finding for operation in begun for finding in self._losses(operation)]
        blocking = tuple(finding for finding in found if finding.severity == "error")
        return RollbackPlan(
            lossless=not blocking,
            blocking=blocking,
            notes=tuple(finding for finding in found if finding.severity != "error"),
            operations=tuple(operation.id for operation in begun),
            dropped=tuple(found for operation in begun for found in self._recreations(operation)),
        )

    def run(self, to: Phase) -> dict[str, Outcome]:
        """Undo every operation of a later phase than *to* (`inspect` means all of them) and return the outcomes.

        Each undo may be repeated; one that is done is recorded, so a rollback that was killed goes on where it stood.
        Errors: RefusedError with the blocking keys when something would be lost; LeaseHeldError; InterruptedRunError.
        """
        ctx, ledger = self._ctx, self._ctx.ledger
        outcomes: dict[str, Outcome] = {}
        if not ledger.installed():
            return outcomes
        with self._failures.attended(), held(ledger, holder_name(), ctx.signal) as token:
            ctx.token = token
            await_workers(ctx.postgres, token, ctx.signal)
            forecast = self.plan(to)
            if not forecast.lossless:
                first = forecast.blocking[0]
                raise RefusedError(
                    reason=f"{len(forecast.blocking)} thing(s) would be lost: {first.object}: {first.title}"
                    f"{': ' if first.sample else ''}{'; '.join(map(str, first.sample))}.",
                    remedy=f"{first.remedy} `tenure rollback --plan` lists them all.",
                    findings=forecast.blocking,
                )
            latest = ledger.latest_run()
            ctx.run = latest.id if latest is not None else None
            if latest is not None:
                check_move(latest.state, RunState.RUNNING)
                ledger.set_run_state(latest.id, RunState.RUNNING, f"rolling back to {to}")
            try:
                for fences, group in groupby(self._begun(to), key=lambda operation: operation.phase is Phase.CUTOVER):
                    # Merging copies and moving aliases back needs quiet writers as much as the way forward did.
                    with fenced(ctx, ctx.fence, timed=False) if fences else nullcontext():
                        for operation in group:
                            ctx.signal.check(operation.id)
                            outcomes[operation.id] = self._undo(operation)
                take_down(ctx, ctx.fence)
            except (InterruptedRunError, LeaseLostError) as error:
                self._end(RunState.INTERRUPTED, ctx.signal.reason or str(error))
                raise
            except BaseException as error:
                self._end(RunState.FAILED, str(error))
                raise
            self._failures.flush()
            if to is Phase.INSPECT:
                # The next plan is made from what the stores are then, not from what they were before this run.
                ledger.forget_baselines()
            self._record(RunState.CANCELLED if to is Phase.INSPECT else RunState.DONE, f"rolled back to {to}")
        return outcomes

    def _losses(self, operation: Operation) -> list[Finding]:
        look = lambda: list(operation.losses(self._ctx))  # noqa: E731
        return self._failures.persist(operation, "what its undo would lose", look)

    def _recreations(self, operation: Operation) -> list[Recreation]:
        look = lambda: list(_recreations(self._ctx, operation))  # noqa: E731
        return self._failures.persist(operation, "what it dropped", look)

    def _undo(self, operation: Operation) -> Outcome:
        ctx = self._ctx
        ctx.reporter.start(operation.id, f"undo: {operation.describe()}", None)
        ctx.ledger.event(ctx.run, "undo", operation.id)
        outcome = self._failures.persist(operation, "undo", partial(operation.undo, ctx))
        ctx.postgres.repeating(partial(ctx.ledger.forget_operation, operation.id))
        if operation.phase is Phase.BACKFILL:
            self._forget_quarantine(operation)
        left = f"{outcome.left:,} item(s) could not be taken back" if outcome.left else ""
        said = "; ".join(text for text in (left, outcome.note) if text)
        ctx.ledger.event(ctx.run, "undone", operation.id, said)
        ctx.reporter.finish(operation.id, f"undone; {said}" if said else "undone")
        return outcome

    def _forget_quarantine(self, operation: Operation) -> None:
        """Forget what was listed as quarantined: the sentinel went with the other keys."""
        forget = "DELETE FROM tenure.quarantine WHERE store = %s AND object = %s"
        self._ctx.postgres.transact(lambda used: used.execute(forget, (operation.store, operation.object)))

    def _begun(self, to: Phase) -> list[Operation]:
        """Return what was begun in later phases than *to*, newest first.

        As the ledger has it: a playbook that was changed since says nothing of what was done under the old one.
        """
        if not self._ctx.ledger.installed():
            return []
        rows = [row for row in self._ctx.ledger.operations() if row.attempts > 0 and Phase(row.phase).order > to.order]
        rows.sort(key=lambda row: (Phase(row.phase).order, row.position), reverse=True)
        planned = {operation.id: operation for operation in self._plan.operations}
        begun = (
            operation
            if (operation := planned.get(row.id)) is not None and operation.dump()["digest"] == row.digest
            else load(row.body)
            for row in rows
        )
        return [operation for operation in begun if not operation.waiting]

    def _end(self, state: RunState, reason: str) -> None:
        self._failures.record(f"the run is {state}", partial(self._record, state, reason), last=True)

    def _record(self, state: RunState, reason: str) -> None:
        if self._ctx.run is not None:
            latest = self._ctx.ledger.latest_run()
            if latest is not None and state is RunState.CANCELLED:
                # A run that was taken back is over; RUNNING -> CANCELLING -> CANCELLED is the way there.
                check_move(latest.state, RunState.CANCELLING)
            elif latest is not None:
                check_move(latest.state, state)
            self._ctx.ledger.set_run_state(self._ctx.run, state, reason)


def _recreations(ctx: Context, operation: Operation) -> Iterator[Recreation]:
    """Yield the newest script that the journal keeps of what an operation of contract dropped."""
    if operation.phase is not Phase.CONTRACT:
        return
    with closing(ctx.ledger.journal_entries(operation.id)) as entries:
        kept = (before for _, before, _ in entries if isinstance(before, dict))
        script = next((before["script"] for before in kept if "script" in before), None)
    if script is not None:
        yield Recreation(
            operation=operation.id, store=operation.store, object=operation.object, statements=tuple(script)
        )
