"""The states of a run and the moves between them: one table, the reason of each arrow beside it."""

from __future__ import annotations

from enum import StrEnum

from tenure.errors import RefusedError


class RunState(StrEnum):
    """Where a run is: *pausing* and *cancelling* are a person's requests, *paused* and *cancelled* a worker's facts."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"


S = RunState
MOVES: dict[RunState, frozenset[RunState]] = {
    # A runner took the lease; or the operator gave the plan up before anything ran.
    S.PLANNED: frozenset({S.RUNNING, S.CANCELLED}),
    # Asked to pause or cancel; stopped by a signal or a lost lease; an operation failed; reached where it was sent;
    # a runner that died left the state behind, and the next one starts over it.
    S.RUNNING: frozenset({S.RUNNING, S.PAUSING, S.CANCELLING, S.INTERRUPTED, S.FAILED, S.DONE}),
    # The batches in hand are done; or it ended, failed or was stopped before that; or it was asked to go on at once.
    S.PAUSING: frozenset({S.PAUSED, S.RUNNING, S.CANCELLING, S.INTERRUPTED, S.FAILED, S.DONE}),
    # Told to go on; given up; the runner that waits was stopped.
    S.PAUSED: frozenset({S.RUNNING, S.CANCELLING, S.CANCELLED, S.INTERRUPTED}),
    # The batches in hand are done; or it failed or was stopped before it came to that.
    S.CANCELLING: frozenset({S.CANCELLED, S.FAILED, S.INTERRUPTED}),
    # Rolled back or applied again: both start a runner.
    S.CANCELLED: frozenset({S.RUNNING}),
    S.INTERRUPTED: frozenset({S.RUNNING, S.CANCELLED}),
    S.FAILED: frozenset({S.RUNNING, S.CANCELLED}),
    # Applied again: sweeps what was born since, or goes on to a later phase.
    S.DONE: frozenset({S.RUNNING}),
}


def check_move(before: str, after: RunState) -> None:
    """Errors: RefusedError when there is no arrow from *before* to *after*."""
    if after not in MOVES[RunState(before)]:
        raise RefusedError(
            reason=f"a run that is {before} cannot become {after}.", remedy="`tenure status` shows what it is doing."
        )
