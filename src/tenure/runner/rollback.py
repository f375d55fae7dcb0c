"""Takes a run back: the inverses of what was begun, newest first, as far as the operator says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import groupby

from tenure.errors import InterruptedRunError, LeaseLostError, RefusedError
from tenure.ledger.ledger import OperationRow
from tenure.operations.base import Operation
from tenure.planner.plan import Plan
from tenure.runner.context import Context
from tenure.runner.fence import fenced, take_down
from tenure.runner.lease import held
from tenure.runner.runner import holder_name
from tenure.runner.states import RunState, check_move
from tenure.values import Finding, Frozen, Outcome, Phase


class RollbackPlan(Frozen):
    """What a rollback would undo, newest first; `blocking` is what would be lost, by key.

    `lossless` is true when nothing blocks; warnings among `notes` say what the application wrote and would lose.
    """

    lossless: bool
    blocking: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    operations: tuple[str, ...] = ()


class Rollback:
    """Undoes one plan with one context, as far as the ledger says that it was begun."""

    def __init__(self, ctx: Context, plan: Plan) -> None:
        """Undo *plan* with *ctx*; nothing happens before `run`."""
        self._ctx = ctx
        self._plan = plan

    def plan(self, to: Phase) -> RollbackPlan:
        """Return what a rollback would undo and what forbids it; writes nothing."""
        begun = [operation for operation, _ in self._begun(to)]
        found = [finding for operation in begun for finding in operation.losses(self._ctx)]
        blocking = tuple(finding for finding in found if finding.severity == "error")
        return RollbackPlan(
            lossless=not blocking,
            blocking=blocking,
            notes=tuple(finding for finding in found if finding.severity != "error"),
            operations=tuple(operation.id for operation in begun),
        )

    def run(self, to: Phase) -> dict[str, Outcome]:
        """Undo every operation of a later phase than *to* (`inspect` means all of them) and return the outcomes.

        Each undo may be repeated; one that is done is recorded, so a rollback that was killed goes on where it stood.
        Errors: RefusedError with the blocking keys when something would be lost; LeaseHeldError; InterruptedRunError.
        """
        ctx, ledger = self._ctx, self._ctx.ledger
        outcomes: dict[str, Outcome] = {}
        with held(ledger, holder_name(), ctx.signal) as token:
            ctx.token = token
            forecast = self.plan(to)
            if not forecast.lossless:
                first = forecast.blocking[0]
                raise RefusedError(
                    reason=f"{len(forecast.blocking)} thing(s) would be lost: {first.object}: {first.title} "
                    f"{list(first.sample)}.",
                    remedy=f"{first.remedy} `tenure rollback --plan` lists them all.",
                    findings=forecast.blocking,
                )
            latest = ledger.latest_run()
            ctx.run = latest.id if latest is not None else None
            if latest is not None:
                check_move(latest.state, RunState.RUNNING)
                ledger.set_run_state(latest.id, RunState.RUNNING, f"rolling back to {to}")
            try:
                begun = [operation for operation, _ in self._begun(to)]
                for fences, group in groupby(begun, key=lambda operation: operation.phase is Phase.CUTOVER):
                    # Merging copies and moving aliases back needs quiet writers as much as the way forward did.
                    with fenced(ctx, ctx.fence, timed=False) if fences else nullcontext():
                        for operation in group:
                            ctx.signal.check(operation.id)
                            outcomes[operation.id] = self._undo(operation)
                take_down(ctx, ctx.fence)
            except (InterruptedRunError, LeaseLostError) as error:
                self._record(RunState.INTERRUPTED, ctx.signal.reason or str(error))
                raise
            except BaseException as error:
                self._record(RunState.FAILED, str(error))
                raise
            if to is Phase.INSPECT:
                # The next plan is made from what the stores are then, not from what they were before this run.
                ledger.forget_baselines()
            self._record(RunState.CANCELLED if to is Phase.INSPECT else RunState.DONE, f"rolled back to {to}")
        return outcomes

    def _undo(self, operation: Operation) -> Outcome:
        ctx = self._ctx
        ctx.reporter.start(operation.id, f"undo: {operation.describe()}", None)
        ctx.ledger.event(ctx.run, "undo", operation.id)
        outcome = operation.undo(ctx)
        ctx.ledger.forget_operation(operation.id)
        left = f"{outcome.left:,} item(s) could not be taken back" if outcome.left else ""
        said = "; ".join(text for text in (left, outcome.note) if text)
        ctx.ledger.event(ctx.run, "undone", operation.id, said)
        ctx.reporter.finish(operation.id, f"undone; {said}" if said else "undone")
        return outcome

    def _begun(self, to: Phase) -> Iterator[tuple[Operation, OperationRow]]:
        """Yield what was begun in later phases than *to*, newest first."""
        rows = {row.id: row for row in self._ctx.ledger.operations()}
        for operation in reversed(self._plan.operations):
            row = rows.get(operation.id)
            if row is not None and row.attempts > 0 and operation.phase.order > to.order and not operation.waiting:
                yield operation, row

    def _record(self, state: RunState, reason: str) -> None:
        if self._ctx.run is not None:
            latest = self._ctx.ledger.latest_run()
            if latest is not None and state is RunState.CANCELLED:
                # A run that was taken back is over; RUNNING -> CANCELLING -> CANCELLED is the way there.
                check_move(latest.state, RunState.CANCELLING)
            elif latest is not None:
                check_move(latest.state, state)
            self._ctx.ledger.set_run_state(self._ctx.run, state, reason)
