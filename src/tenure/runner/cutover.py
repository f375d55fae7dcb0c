"""Cutover: what needs the writers stopped, done whole inside the fence or taken back whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tenure.errors import CutoverAbandonedError, CutoverHalfDoneError, InterruptedRunError, LeaseLostError
from tenure.operations.base import Operation
from tenure.runner.context import Context, StopSignal
from tenure.runner.failures import Failures
from tenure.runner.fence import fenced, stands, take_down
from tenure.runner.result import RunResult
from tenure.values import Phase

RunEach = Callable[[Iterable[Operation], Phase, RunResult], None]
"""Runs operations that are not done and sweeps those that are, up to and including a phase."""


class Cutover:
    """Runs the operations of the phase inside the fence."""

    def __init__(self, ctx: Context, failures: Failures, run_each: RunEach, tell: Callable[[str], None]) -> None:
        """Run operations by *run_each*; why the run is where it is goes to *tell*, which knows if the lease is lost."""
        self._ctx = ctx
        self._failures = failures
        self._run_each = run_each
        self._tell = tell

    def run(self, before: list[Operation], inside: list[Operation], result: RunResult) -> None:
        """Run the operations that need the writers stopped, or take back what was begun of them.

        Inside the fence everything is swept once more first; writes that come through all the same are noticed by a
        second sweep at the end, and said.
        """
        ctx = self._ctx
        # What an earlier cutover has finished stays; after a kill inside the fence all of it belongs together.
        done = set() if stands(ctx) else {op.id for op in inside if not op.waiting and self._done(op)}
        with fenced(ctx, ctx.fence) as window:
            try:
                swept = RunResult()
                self._run_each(before, Phase.CONSTRAIN, swept)
                for operation in inside:
                    ctx.signal.check(operation.id)
                    self._run_each([operation], Phase.CUTOVER, result)
                late = RunResult()
                self._run_each(before, Phase.CONSTRAIN, late)
                if late.swept:
                    said = f"{late.swept} item(s) were written without a key inside the fence: a writer still runs"
                    ctx.ledger.event(ctx.run, "fence leaked", "", said)
                    ctx.reporter.note("fence", said)
            except LeaseLostError:
                raise  # Another runner goes on from where this one stood, and takes the fence down.
            except Exception as error:
                problem = window.problem if window.expired else f"{error}"
                self._abandon([op for op in inside if op.id not in done], problem)
                if isinstance(error, InterruptedRunError) and not window.expired:
                    raise
                raise CutoverAbandonedError(problem=problem) from error

    def leave_fence(self, inside: list[Operation]) -> None:
        """Take a fence down that an earlier run left standing, and take back what that run had begun inside."""
        try:
            self._abandon(inside, "an earlier run was killed inside the fence.")
        finally:
            take_down(self._ctx, self._ctx.fence)

    def _abandon(self, inside: list[Operation], problem: str) -> None:
        """Take back what was begun of cutover, newest first; a request to stop does not stop this.

        Errors: LeaseLostError, before anything is undone, when another runner is at work; CutoverHalfDoneError with
        what could not be taken back.
        """
        ctx = self._ctx
        self._tell("cutover is given up")
        ctx.signal = StopSignal()
        left = []
        for operation in reversed(inside):
            if operation.waiting or ctx.ledger.operation(operation.id).attempts == 0:
                continue
            try:
                outcome = self._failures.persist(operation, "undo", partial(operation.undo, ctx))
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 - the others are to be taken back all the same
                ctx.ledger.event(ctx.run, "failed", operation.id, f"undo: {error}")
                left.append(f"{operation.describe()} ({error})")
                continue
            if outcome.left:
                left.append(f"{operation.describe()} ({outcome})")
                continue
            ctx.ledger.forget_operation(operation.id)
            ctx.ledger.event(ctx.run, "undone", operation.id, "cutover was given up")
        if left:
            raise CutoverHalfDoneError(problem=problem, left="; ".join(left))

    def _done(self, operation: Operation) -> bool:
        return self._ctx.ledger.operation(operation.id).state == "done"
