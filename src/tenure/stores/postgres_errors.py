"""Tells apart what psycopg raises: what passes by itself, and what a person must put right."""

from __future__ import annotations

import psycopg
from psycopg import errors

from tenure.errors import StandbyError, StoreError, StoreUnreachableError
from tenure.masking import mask_secrets
from tenure.stores.patience import BRIEF_SECONDS, Verdict

# Lost to another transaction: nothing of it was done, and the next attempt may win.
RETRYABLE = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
# The server ended the session, does not take it now, or nobody knows how the statement ended.
_AWAY = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.TooManyConnections,
    errors.StatementCompletionUnknown,
)
_CONNECTION_CLASS = "08"
# A limit in time ended it, and which setting that is.
TIMEOUTS: dict[type[psycopg.Error], str] = {
    errors.QueryCanceled: "statement_timeout",
    errors.LockNotAvailable: "lock_timeout",
    errors.IdleInTransactionSessionTimeout: "idle_in_transaction_session_timeout",
    errors.IdleSessionTimeout: "idle_session_timeout",
    errors.TransactionTimeout: "transaction_timeout",
}
_REMEDIES: dict[type[psycopg.Error], str] = {
    errors.DiskFull: "Free room where the message says: the data directory, a tablespace, temporary files, or WAL that "
    "a replication slot or a failing archive_command holds (pg_replication_slots, pg_stat_archiver).",
    errors.ReadOnlySqlTransaction: "The database takes no writes: look whether it is a standby (pg_is_in_recovery()), "
    "and at default_transaction_read_only of server, database and role; providers set it when a disk runs full.",
    errors.TooManyConnections: "Raise max_connections, or end sessions that idle (pg_stat_activity).",
    errors.OutOfMemory: "Give the server more memory, or lower work_mem, max_connections or `limits.workers.postgres`.",
    errors.InsufficientPrivilege: "Grant it to the role that the playbook connects as, or name another in "
    "`connections.postgres.role`.",
    errors.DeadlockDetected: "Another transaction takes the same locks in another order: the server's log names it.",
    errors.SerializationFailure: "Other transactions write the same rows; lower `limits.workers.postgres`.",
}


def judge(error: Exception, address: str, patience: float, setting: str = "") -> Verdict:
    """Return what an error means; *patience* is for how many seconds a server that is away is waited for.

    *setting* says more about the setting of TIMEOUTS that ended the statement, where that is known. Errors: *error*
    itself when it is none of the driver's.
    """
    brief = min(patience, BRIEF_SECONDS)
    if isinstance(error, StandbyError):
        return Verdict(error, patience)
    if not isinstance(error, psycopg.Error):
        raise error
    text = " ".join(mask_secrets(str(error)).split()).rstrip(".") or type(error).__name__
    remedy = next((words for kind, words in _REMEDIES.items() if isinstance(error, kind)), "")
    said = StoreError(store="postgres", problem=f"{text}.", remedy=remedy)
    for kind, name in TIMEOUTS.items():
        if isinstance(error, kind):
            problem = f"{text} ({setting or name})."
            remedy = (
                f"Find what it waits for (pg_stat_activity, pg_blocking_pids), or set {name} for tenure's sessions: "
            )
            remedy += f"`connections.postgres.settings: {{{name}: ...}}` in the playbook."
            lost_to_another = isinstance(error, errors.LockNotAvailable)
            limited = StoreError(store="postgres", problem=problem, remedy=remedy)
            return Verdict(limited, patience if lost_to_another else brief)
    if isinstance(error, (*RETRYABLE, errors.ReadOnlySqlTransaction)):
        return Verdict(said, patience)
    if isinstance(error, errors.OutOfMemory):
        return Verdict(said, brief)
    if isinstance(error, _AWAY) or (error.sqlstate or "").startswith(_CONNECTION_CLASS) or is_lost(error):
        return Verdict(StoreUnreachableError(store="postgres", address=address, problem=text), patience)
    return Verdict(said)


def is_lost(error: BaseException) -> bool:
    """Return whether the connection itself broke, or could not be made: the server said nothing more of it."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None
