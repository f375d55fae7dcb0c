"""Works off the ranges of one operation in threads: as many as the store's limit allows at the moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tenure.errors import InterruptedRunError
from tenure.operations.base import Claim, Operation
from tenure.runner.context import Context
from tenure.runner.failures import Failures

IDLE_POLL_SECONDS = 1.0
MOST_WORKERS = 8


def allowed(ctx: Context, operation: Operation) -> int:
    """Return how many ranges of *operation* may be worked on at once, over all workers."""
    return max(1, int(ctx.limits.workers.get(operation.store, 1)))


def work_off(
    ctx: Context, operation: Operation, hold: Callable[[Operation], object], failures: Failures | None = None
) -> None:
    """Run every open range of *operation* to its end; *hold* is called before each batch, and again while it
    returns true: the batch has still to wait.

    Errors: the first one of any thread, after the others have finished the batch in hand; what passes by itself is
    dealt with by *failures*.
    """
    abort, drained = threading.Event(), threading.Event()
    claiming = threading.Lock()
    in_hand: set[int] = set()
    failures = failures or Failures(ctx)

    def work(number: int) -> None:
        try:
            while not abort.is_set() and not drained.is_set():
                if number >= allowed(ctx, operation):
                    drained.wait(IDLE_POLL_SECONDS)
                    continue
                with claiming:
                    claim = failures.claim(operation, in_hand)
                    if claim is None:
                        drained.set()
                        return
                    in_hand.add(claim.number)
                work_on(ctx, operation, claim, hold, abort, failures)
                in_hand.discard(claim.number)
        except BaseException:
            abort.set()
            drained.set()
            raise

    # Threads beyond the limit wait for a higher one: `tenure limit` holds for ranges that are claimed from then on.
    threads = max(allowed(ctx, operation), MOST_WORKERS)
    name = f"tenure-{operation.store}"
    with failures.until(abort.is_set), ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name) as pool:
        futures = [pool.submit(work, number) for number in range(threads)]
    broken = [error for future in futures if (error := future.exception()) is not None]
    # An interruption is the echo of what stopped the others.
    broken.sort(key=lambda error: isinstance(error, InterruptedRunError))
    if broken:
        raise broken[0]


def work_on(
    ctx: Context,
    operation: Operation,
    claim: Claim,
    hold: Callable[[Operation], object],
    abort: threading.Event,
    failures: Failures | None = None,
) -> None:
    """Run the batches of one range to its end; what passes by itself is dealt with by *failures*."""
    failures = failures or Failures(ctx)
    while True:
        while hold(operation) and not abort.is_set():
            pass
        ctx.signal.check(operation.id)
        if abort.is_set():
            raise InterruptedRunError(operation=operation.id)
        step = failures.batch(operation, claim)
        ctx.reporter.advance(operation.id, step.changed)
        if step.cursor is None:
            return
        claim = claim.model_copy(update={"cursor": step.cursor})
