"""Who works off the ranges of an operation: threads of this process, unless a run gives them away (tenure.fanout)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from tenure.operations.base import Operation
from tenure.runner.context import Context
from tenure.runner.workers import work_off

if TYPE_CHECKING:
    from tenure.runner.failures import Failures

Hold = Callable[[Operation], object]


class Dispatch(AbstractContextManager["Dispatch", None], Protocol):
    """Entered under the run's lease, left before it is given back."""

    def work_off(self, ctx: Context, operation: Operation, hold: Hold, failures: Failures) -> None:
        """See every open range of *operation* to its end; *hold* is called before each batch of this process, until
        it returns false."""


class Threads(AbstractContextManager["Threads", None]):
    """Works in threads of this process."""

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def work_off(self, ctx: Context, operation: Operation, hold: Hold, failures: Failures) -> None:
        """See every open range of *operation* to its end."""
        work_off(ctx, operation, hold, failures)
