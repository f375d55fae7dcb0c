"""Every error that tenure raises on purpose, in one tree.

TenureError                     exit code 1
├── UsageError                  2   the command line is wrong
├── PlaybookError               2   the playbook is wrong; carries file, line and column
├── PlanError                   2   playbook and catalog do not fit; carries every finding of the planner
├── RefusedError                3   a gate or a hazard stands in the way
├── LeaseHeldError              4   another runner holds the lease
├── StoreError                  5   a store could not be reached or broke
│   ├── StoreUnreachableError   5
│   ├── ServerStartError        5   an embedded server did not start
│   └── ServerDownloadError     5   an embedded server's files could not be had
├── MigrationError              1   the versioned SQL migrations; a subclass for each cause, some with 2, 3, 4, 5, 130
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


class ServerStartError(StoreError):
    """The embedded {server} did not start. {problem} {log}"""


class ServerDownloadError(StoreError):
    """The embedded {server} could not be had: {problem}. Its files come from {source}; check the connection (or a proxy
    or mirror) and run the same command again: what was downloaded already is kept."""


class LeaseLostError(TenureError):
    """Another runner took the lease over while this one was away (stopped, asleep, or cut off); it steps back and
    wrote nothing more. `tenure status` shows the other one."""

    exit_code = 4


class MigrationError(TenureError):
    """The versioned SQL migrations could not be run: {problem} {remedy}"""


class MigrationFolderError(MigrationError):
    """{path}: {problem} {remedy}"""

    exit_code = 2


class MigrationFileError(MigrationError):
    """{file}:{line}: {problem} {remedy}"""

    exit_code = 2


class MigrationParserMissingError(MigrationError, UsageError):
    """Migrations are split into statements by the parser of Postgres, which is not installed. Install the extra:
    `pip install 'tenure[migrations]'`."""


class MigrationRefusedError(MigrationError, RefusedError):
    """Refused, nothing was run: {problems}"""


class MigrationLockedError(MigrationError, LeaseHeldError):
    """Another runner is at work on the migrations of database {database}: {holder}. Wait for it or stop it."""


class MigrationStatementError(MigrationError):
    """{file}:{line}: statement {number} of {count} (line {statement_line}) failed: {problem} {kept}"""


class MigrationLockTimeoutError(MigrationError):
    """{file}:{line}: no lock within {lock_timeout_ms} ms in {attempts} attempts: {problem} {holders} {kept}"""


class MigrationInvalidIndexError(MigrationError):
    """{file}:{line}: index {index} on {table} is invalid: an earlier attempt to build it did not finish, so it costs
    writes and serves no query. {problem} Remedy: `{remedy}`, then apply again. {kept}"""


class MigrationHistoryError(MigrationError, StoreError):
    """Postgres: {problem} {remedy}"""


class MigrationConnectionLostError(MigrationError, StoreError):
    """Postgres: the connection was lost while {file} ran: {problem}. {remedy}"""


class MigrationInterruptedError(MigrationError, InterruptedRunError):
    """Stopped on request in {file}. {kept}"""


class AmbiguousNameError(PreflightError):
    """{store} {object}: schemas {schemas} each have a table that is written like this, so a playbook could not say
    which one it means. Rename one of them."""


class GraphMemoryError(StoreError):
    """{store}: the transaction did not fit into the server's memory: {problem} Lower the batch, or raise
    dbms.memory.transaction.total.max."""


class GraphConstraintError(StoreError):
    """{store}: a constraint stands against it: {problem}"""


class SchemaMovedError(StoreError):
    """{store}: {problem} {remedy}"""


class FenceError(TenureError):
    """The playbook's hook `{command}` {problem}. Cutover was given up and everything is as before; check the hook, and
    that the application's writers run."""


class CutoverAbandonedError(TenureError):
    """Cutover was given up: {problem} What it had begun was taken back and the writers were started again; run
    `tenure apply --through cutover` when the cause is gone."""


class BackupError(TenureError):
    """The backup is not complete: {problem} {remedy}"""


class BackupDamagedError(TenureError):
    """{count} file(s) of the backup are not as they were written. {first}"""


class BackupToolError(TenureError):
    """{tool} {version} was not found: looked for it {places}. {remedy}"""


class RestoreMismatchError(TenureError):
    """What was restored is not what was backed up: {count} object(s) differ. {first}"""


class BackupSpaceError(RefusedError):
    """Refused: the backup needs about {needed} and {path} has {free} free. Name a directory on another disk with
    --to."""

    exit_code = 3


class RestoreTargetError(RefusedError):
    """Refused: {store} at {address} is not empty: {found}. {remedy}"""

    exit_code = 3


class BackupInterruptedError(InterruptedRunError):
    """Stopped on request. {remedy}"""


class UnfenceError(TenureError):
    """The playbook's hook `unfence` {problem}. The application's writers may still be stopped: start them by hand; the
    next `tenure apply` or `tenure rollback` runs the hook again. {state}"""


class CutoverHalfDoneError(TenureError):
    """Cutover was given up: {problem} Not everything that it had begun could be taken back: {left}. The writers were
    started again. Run `tenure apply --through cutover` to finish it, or `tenure rollback --to verify` to take it back,
    when the cause is gone."""


class StandbyError(StoreError):
    """{store} at {address} is a standby (pg_is_in_recovery() is true): what it says may be old, and it takes no writes.
    Promote it, or name the primary in the playbook; with several hosts in the URL the primary is looked for."""


class AnswerBrokenError(StoreError):
    """{store}: an answer broke off in the middle: {problem}"""


class StoreFailedError(StoreError):
    """{operation}, {place}: {cause} What was done is kept. Put the cause right and run the same command again: it goes
    on there."""


class FanoutMissingError(UsageError):
    """Ranges are shared between machines by way of Procrastinate, which is not installed. Install the extra:
    `pip install 'tenure[fanout]'`. Without it, `tenure apply` does the same ranges in threads of its own."""


class WorkerRefusedError(RefusedError):
    """This worker takes nothing of the run: {problem} {remedy}"""


class WorkerFailedError(TenureError):
    """{operation}: range {number} failed {times} times in the hands of workers, last of {holder}: {problem} What the
    others did is kept; `tenure apply` goes on there when the cause is gone."""
