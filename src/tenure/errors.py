"""Every error that tenure raises on purpose, in one tree.

TenureError                     exit code 1
├── UsageError                  2   the command line is wrong
├── PlaybookError               2   the playbook is wrong; carries file, line and column
├── PlanError                   2   playbook and catalog do not fit; carries every finding of the planner
├── RefusedError                3   a gate or a hazard stands in the way
├── LeaseHeldError              4   another runner holds the lease
├── StoreError                  5   a store could not be reached or broke
│   └── StoreUnreachableError   5
├── PreflightError              1   the stores are not in a state to start from
├── OperationFailedError        1   an operation did less than it planned
└── InterruptedRunError         130 stopped on request; resumable

The docstring of a class is its message: ``{name}`` in it is filled from the fields the class is raised with, so an
error is a few lines here and reads like a manual. A subclass for every cause, fields instead of prose in callers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tenure.masking import mask_secrets


class TenureError(Exception):
    """Something went wrong that tenure knows about: {detail}"""

    exit_code: ClassVar[int] = 1

    def __init__(self, **fields: Any) -> None:
        """Keep *fields* as attributes and fill the message, which is the class docstring, from them."""
        self.fields = fields
        for name, value in fields.items():
            setattr(self, name, value)
        template = " ".join((type(self).__doc__ or type(self).__name__).split())
        super().__init__(mask_secrets(template.format_map(fields)))


class UsageError(TenureError):
    """{detail}"""

    exit_code = 2


class PlaybookError(TenureError):
    """{path}:{line}:{column}: {problem} {remedy}"""

    exit_code = 2


class PlanError(TenureError):
    """The playbook and the stores do not fit: {count} problem(s). {first}"""

    exit_code = 2


class RefusedError(TenureError):
    """Refused: {reason} {remedy}"""

    exit_code = 3


class LeaseHeldError(TenureError):
    """Another runner ({holder}) holds the lease until {expires}. Wait for it, stop it, or look at it with
    `tenure status`."""

    exit_code = 4


class StoreError(TenureError):
    """{store}: {problem} {remedy}"""

    exit_code = 5


class StoreUnreachableError(StoreError):
    """{store} at {address} could not be reached: {problem}. Check that it runs and that the playbook's
    connection is right."""


class PreflightError(TenureError):
    """{store} {object}: {problem} {remedy}"""


class OperationFailedError(TenureError):
    """{operation} on {object}: planned {planned}, changed {changed}, left {left}. {problem}"""


class InterruptedRunError(TenureError):
    """Stopped on request after {operation}. `tenure apply` resumes where it stopped."""

    exit_code = 130
