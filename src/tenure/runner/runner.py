"""Runs the operations of a plan in order: short ones at once, long ones range by range in threads."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import groupby

from tenure.errors import (
    InterruptedRunError,
    LeaseLostError,
    OperationFailedError,
    RefusedError,
    TenureError,
)
from tenure.ledger.ledger import Ledger, OperationRow
from tenure.operations.base import Operation
from tenure.planner.plan import Plan
from tenure.runner.context import Context
from tenure.runner.cutover import Cutover
from tenure.runner.dispatch import Dispatch, Threads
from tenure.runner.failures import Failures
from tenure.runner.fence import stands
from tenure.runner.lease import await_workers, held
from tenure.runner.result import RunResult
from tenure.runner.states import RunState, check_move
from tenure.runner.throttle import Throttle
from tenure.values import NEEDS_CONSENT, Hazard, Outcome, Phase

# Sweeps go on while they find something to write; this many in a row mean that a writer is at work.
MAX_SWEEPS = 20
PAUSE_POLL_SECONDS = 1.0


class Runner:
    """Runs one plan with one context. Everything it knows of the past it reads from the ledger."""

    def __init__(self, ctx: Context, plan: Plan, dispatch: Dispatch | None = None) -> None:
        """Run *plan* with *ctx*; nothing happens before `run`. *dispatch* works ranges off: threads, when None."""
        self._ctx = ctx
        self._dispatch = dispatch or Threads()
        self._plan = plan
        self._limits = ctx.limits
        self._failures = Failures(ctx)
        self._paused = threading.Event()
        self._state = RunState.PLANNED
        self._moving = threading.RLock()
        self._throttle = Throttle(ctx, self._say)

    def run(self, through: Phase, allowed: Iterable[Hazard] = ()) -> RunResult:
        """Run every operation up to and including phase *through*, resume what was begun, sweep what is done.

        Errors: RefusedError for a hazard that needs consent and is not in *allowed*, LeaseHeldError, LeaseLostError,
        OperationFailedError with the counts, InterruptedRunError after a request to stop; the ledger knows each.
        """
        ledger, ctx = self._ctx.ledger, self._ctx
        consent(self._plan, through, allowed, settled(ledger))
        with self._failures.attended(), held(ledger, holder_name(), ctx.signal, self._listen) as token, self._dispatch:
            ctx.token = token
            await_workers(ctx.postgres, token, ctx.signal)
            run = ctx.postgres.repeating(self._adopt)
            ctx.run = run
            ledger.set_run_target(run, str(through), (str(hazard) for hazard in allowed))
            self._move(RunState.RUNNING)
            self._listen(ledger.controls())
            try:
                result = self._run_operations(through)
            except (InterruptedRunError, LeaseLostError) as error:
                self._end(RunState.INTERRUPTED, ctx.signal.reason or str(error))
                raise
            except BaseException as error:
                self._end(RunState.FAILED, str(error))
                raise
            self._failures.flush()
            self._move(RunState.DONE, f"through {through}")
            return result

    def _end(self, state: RunState, reason: str) -> None:
        self._failures.record(f"the run is {state}", partial(self._move, state, reason), last=True)

    def _adopt(self) -> int:
        """Return the run of this plan: the latest one if it is of the same plan, else a new one."""
        latest = self._ctx.ledger.latest_run()
        if latest is not None and latest.plan_hash == self._plan.hash:
            self._state = RunState(latest.state)
            return latest.id
        return self._ctx.ledger.record_run(self._plan.hash, self._plan.playbook_digest, self._plan.dump())

    def _run_operations(self, through: Phase) -> RunResult:
        result = RunResult()
        before = [op for op in self._plan.operations if op.phase.order < Phase.CUTOVER.order]
        inside = [op for op in self._plan.operations if op.phase is Phase.CUTOVER]
        after = [op for op in self._plan.operations if op.phase.order > Phase.CUTOVER.order]
        open_ = any(not op.waiting and self._row(op).state != "done" for op in inside)
        cutover = Cutover(self._ctx, self._failures, self._run_each, self._tell)
        if stands(self._ctx) and (through.order < Phase.CUTOVER.order or not open_):
            cutover.leave_fence(inside if open_ else [])
        self._run_each(before, through, result)
        if through.order >= Phase.CUTOVER.order:
            if open_:
                cutover.run(before, inside, result)
            else:
                self._run_each(inside, through, result)
            self._run_each(after, through, result)
        return result

    def _run_each(self, operations: Iterable[Operation], through: Phase, result: RunResult) -> None:
        """Run what is not done, sweep what is; nothing of a later phase than *through*.

        What a backfill leaves may wait for another one: a row born since whose parent was not keyed yet, a relationship
        between nodes born since. All backfills are therefore settled together before the next phase begins.
        """
        chosen = [operation for operation in operations if operation.phase.order <= through.order]
        for phase, group in groupby(chosen, key=lambda operation: operation.phase):
            together = list(group)
            self._run_phase(together, result)
            if phase is Phase.BACKFILL:
                self._settle([op for op in together if op.ranged and not op.waiting], result)

    def _run_phase(self, operations: Iterable[Operation], result: RunResult) -> None:
        for operation in operations:
            self._ctx.signal.check(operation.id)
            row = self._row(operation)
            if operation.waiting:
                result.waiting.append(operation.id)
            elif row.state != "done":
                result.outcomes[operation.id] = self._execute(operation, row)
            elif operation.ranged:
                outcome = self._sweep_again(operation)
                result.swept += outcome.changed
                result.outcomes[operation.id] = outcome
            else:
                result.skipped.append(operation.id)

    def _row(self, operation: Operation) -> OperationRow:
        return self._ctx.ledger.operation(operation.id)

    def _execute(self, operation: Operation, row: OperationRow) -> Outcome:
        """Run an operation that is not done and hold its outcome against what it planned."""
        ctx = self._ctx
        ctx.ledger.start_operation(operation.id)
        ctx.ledger.event(ctx.run, "start", operation.id)
        try:
            if operation.ranged:
                outcome = self._execute_ranges(operation)
            else:
                ctx.reporter.start(operation.id, operation.describe(), None)
                outcome = self._failures.persist(operation, "all of it", partial(operation.apply, ctx))
            settles = operation.phase is Phase.BACKFILL and outcome.left > 0
            nothing = outcome.planned > 0 and outcome.changed == 0 and not outcome.note
            if not settles and (nothing or outcome.left > 0):
                raise _failure(operation, outcome)
        except InterruptedRunError:
            ctx.reporter.finish(operation.id, "interrupted")
            raise
        except OperationFailedError as error:
            failed = Outcome(planned=error.planned, changed=error.changed, left=error.left, note=error.problem)  # type: ignore[attr-defined]
            ctx.ledger.finish_operation(operation.id, "failed", failed)
            ctx.ledger.event(ctx.run, "failed", operation.id, str(error))
            ctx.reporter.finish(operation.id, "failed")
            raise
        except TenureError as error:
            if not isinstance(error, LeaseLostError):
                self._failures.failed(operation, error)
            ctx.reporter.finish(operation.id, "failed")
            raise
        # A backfill that left something is not done until everything has settled; a kill until then runs it again.
        state = "settling" if outcome.left > 0 else "done"
        ctx.ledger.finish_operation(operation.id, state, outcome, planned=outcome.planned)
        ctx.ledger.event(ctx.run, state, operation.id, str(outcome))
        ctx.reporter.finish(operation.id, str(outcome))
        return outcome

    def _execute_ranges(self, operation: Operation) -> Outcome:
        """Plan the ranges unless an earlier attempt did, work them off in threads, then sweep until nothing is left."""
        ctx, ledger = self._ctx, self._ctx.ledger
        self._failures.plan(operation)
        planned = ledger.operation(operation.id).planned or 0
        ctx.reporter.start(operation.id, operation.describe(), planned)
        ctx.reporter.advance(operation.id, ledger.totals(operation.id).changed)
        with self._throttle.watching(operation):
            self._dispatch.work_off(ctx, operation, self._hold_while_paused, self._failures)
        swept = self._sweep(operation)
        changed = ledger.totals(operation.id).changed + swept.changed
        note = swept.note
        if planned > 0 and changed == 0 and swept.left == 0:
            note = "the application itself wrote every key between the count and the backfill"
        return Outcome(planned=planned, changed=changed, left=swept.left, note=note)

    def _sweep(self, operation: Operation) -> Outcome:
        """Sweep until a pass leaves nothing, or changes nothing more."""
        total = Outcome()
        for _ in range(MAX_SWEEPS):
            self._ctx.signal.check(operation.id)
            swept = self._failures.persist(operation, "the sweep", partial(operation.sweep, self._ctx))
            total = total.plus(swept)
            if swept.left == 0 or swept.changed == 0:
                break
        return total

    def _sweep_again(self, operation: Operation) -> Outcome:
        """Catch what was born since a finished backfill."""
        row = self._row(operation)
        swept = self._sweep(operation)
        outcome = Outcome(planned=row.planned or 0, changed=swept.changed, left=swept.left, note=swept.note)
        if swept.changed or swept.left or row.state == "settling":
            total = outcome.model_copy(update={"changed": row.changed + swept.changed})
            self._ctx.ledger.finish_operation(operation.id, "settling" if swept.left else "done", total)
        if swept.changed or swept.left:
            self._ctx.ledger.event(self._ctx.run, "sweep", operation.id, str(outcome))
        return outcome

    def _settle(self, operations: list[Operation], result: RunResult) -> None:
        """Sweep all backfills in order until none leaves anything.

        A round that changes nothing and still leaves something has found items that nobody can decide. Rounds that keep
        finding new ones are a writer at work: that is no fault, and later sweeps (the next apply, cutover, contract)
        find them again. Errors: OperationFailedError for what cannot be decided.
        """
        open_ = [op for op in operations if self._row(op).state == "settling"]
        for _ in range(MAX_SWEEPS):
            if not open_:
                return
            swept = {operation.id: self._sweep_again(operation) for operation in operations}
            changed = sum(outcome.changed for outcome in swept.values())
            result.swept += changed
            open_ = [op for op in operations if swept[op.id].left]
            if open_ and not changed:
                total = swept[open_[0].id].model_copy(update={"changed": self._row(open_[0]).changed})
                self._ctx.ledger.finish_operation(open_[0].id, "failed", total)
                raise _failure(open_[0], total)
        for operation in open_:
            row = self._row(operation)
            note = f"writers bring new items as fast as they are swept ({row.left_over:,} at the last look)"
            self._ctx.ledger.finish_operation(
                operation.id, "done", Outcome(planned=row.planned or 0, changed=row.changed, note=note)
            )
            self._ctx.reporter.note(operation.id, note)

    # What an operator asks from another terminal.

    def _listen(self, controls: dict[str, str]) -> None:
        self._failures.flush()
        self._ctx.limits = self._limits.with_controls(controls)
        wanted = controls.get("pause", "off") == "on"
        with self._moving:
            if self._state not in (RunState.RUNNING, RunState.PAUSING, RunState.PAUSED):
                return
            if wanted and not self._paused.is_set():
                self._paused.set()
                self._move(RunState.PAUSING, "asked by the operator")
            elif not wanted and self._paused.is_set():
                self._paused.clear()
                self._move(RunState.RUNNING)

    def _hold_while_paused(self, operation: Operation) -> bool:
        """Return whether the next batch has still to wait, after a nap if so: for the operator, or for a store."""
        if not self._paused.is_set():
            return self._throttle.hold(operation)
        self._throttle.paused()
        with self._moving:
            first = self._state is RunState.PAUSING
            if first:
                self._move(RunState.PAUSED, "asked by the operator")
        if first:
            self._ctx.reporter.note(operation.id, "paused; `tenure resume` goes on")
        return not self._ctx.signal.wait(PAUSE_POLL_SECONDS)

    def _say(self, reason: str) -> None:
        """Keep why the run waits where `tenure status` finds it; a pause has a reason of its own."""
        with self._moving:
            if self._state is RunState.RUNNING:
                self._move(RunState.RUNNING, reason)

    def _tell(self, reason: str) -> None:
        """Keep *reason* beside the state, whatever that is. Errors: LeaseLostError."""
        if self._ctx.run is not None:
            self._ctx.ledger.set_run_state(self._ctx.run, str(self._state), reason)

    def _move(self, state: RunState, reason: str = "") -> None:
        if self._ctx.run is None:
            return
        with self._moving:
            check_move(self._state, state)
            self._state = state
            self._ctx.ledger.set_run_state(self._ctx.run, state, reason)


def consent(plan: Plan, through: Phase, allowed: Iterable[Hazard], done: Mapping[str, str] | None = None) -> None:
    """Errors: RefusedError naming every hazard up to *through* that needs consent and was not allowed by name.

    What is *done* (digests by id) needs nobody's word again, but for what a later run repeats on rows born since.
    """
    granted = set(allowed)
    missing: dict[Hazard, list[str]] = {}
    for operation in plan.operations:
        if operation.phase.order > through.order or operation.waiting:
            continue
        if operation.ranged or (done or {}).get(operation.id) != operation.dump()["digest"]:
            for hazard in set(operation.hazards) & NEEDS_CONSENT - granted:
                missing.setdefault(hazard, []).append(operation.describe())
    if missing:
        reasons = "; ".join(f"{hazard}: {_some(what)}" for hazard, what in sorted(missing.items()))
        flags = " ".join(f"--allow {hazard}" for hazard in sorted(missing))
        raise RefusedError(
            reason=f"the plan has hazards that need your word: {reasons}.",
            remedy=f"Read them in `tenure plan`, then add {flags}.",
        )


def settled(ledger: Ledger) -> dict[str, str]:
    """Return the operations that are done: their digests, by id."""
    if not ledger.installed():
        return {}
    return {row.id: row.digest for row in ledger.operations() if row.state == "done"}


def _some(what: list[str]) -> str:
    more = f", and {len(what) - 3} more" if len(what) > 3 else ""
    return ", ".join(what[:3]) + more


def holder_name() -> str:
    """Return who holds the lease, for people: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _failure(operation: Operation, outcome: Outcome) -> OperationFailedError:
    return OperationFailedError(
        operation=operation.describe(),
        object=operation.object,
        planned=outcome.planned,
        changed=outcome.changed,
        left=outcome.left,
        problem=outcome.note or "`tenure inspect` lists what is left and why.",
    )
