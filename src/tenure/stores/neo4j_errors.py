"""Tells apart what the Neo4j driver raises: what passes by itself, and what a person must put right."""

from __future__ import annotations

from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConstraintError,
    DriverError,
    ForbiddenOnReadOnlyDatabase,
    Neo4jError,
    NotALeader,
    ServiceUnavailable,
    SessionExpired,
)
from neo4j.exceptions import ConnectionAcquisitionTimeoutError as PoolTimeout

from tenure.errors import GraphConstraintError, GraphMemoryError, StoreError, StoreUnreachableError
from tenure.masking import mask_secrets
from tenure.stores.patience import BRIEF_SECONDS, Verdict

# Server and driver say these of a statement that they ended for reasons of their own; a stop of the server is one.
_ENDED = ("Transaction.Terminated", "Transaction.LockClientStopped")
_TIMED_OUT = "TransactionTimedOut"
_READ_ONLY = ("WriteOnReadOnlyAccessDatabase", "ForbiddenOnReadOnlyDatabase", "General.ReadOnly")


def judge(error: Exception, address: str, database: str | None, patience: float) -> Verdict:
    """Return what an error means; *patience* is for how many seconds a server that is away is waited for.

    A commit whose outcome is unknown (IncompleteCommit) passes: only statements that may run twice are sent. Memory
    that ran out does not: the same batch would not fit again, and whoever sent it sends half. Errors: *error* itself
    when it is none of the driver's.
    """
    if not isinstance(error, Neo4jError | DriverError):
        raise error
    text = mask_secrets(str(getattr(error, "message", None) or error)).strip()
    code = getattr(error, "code", None) or ""
    if "OutOfMemory" in code:
        return Verdict(GraphMemoryError(store="neo4j", problem=text))
    if isinstance(error, ConstraintError) or code.endswith(("ConstraintCreationFailed", "ConstraintValidationFailed")):
        return Verdict(GraphConstraintError(store="neo4j", problem=text))
    if isinstance(error, AuthError) and not error.is_retryable():
        problem = f"{address} refused the credentials: {text}."
        return Verdict(_error(problem, "Check `user` and `password` of the playbook's Neo4j connection."))
    if isinstance(error, ClientError) and code.endswith("DatabaseNotFound"):
        problem = f"{address} has no database `{database}`."
        return Verdict(_error(problem, "Check `database` of the playbook's Neo4j connection."))
    if "no space left" in text.lower():
        remedy = "Free room where the server keeps its data and transaction logs, restart it, then go on."
        return Verdict(_error(text, remedy))
    if isinstance(error, ForbiddenOnReadOnlyDatabase | NotALeader) or code.endswith(_READ_ONLY):
        remedy = "Is it a follower, or in server.databases.read_only? With neo4j:// the leader is looked for."
        return Verdict(_error(f"{address} takes no writes now: {text}", remedy), patience)
    if _TIMED_OUT in code:
        remedy = "Raise db.transaction.timeout, or lower `limits.batch_ms`."
        return Verdict(_error(text, remedy), min(patience, BRIEF_SECONDS))
    away = isinstance(error, ServiceUnavailable | SessionExpired | PoolTimeout)
    if away or (isinstance(error, DriverError) and error.is_retryable()):
        return Verdict(StoreUnreachableError(store="neo4j", address=address, problem=text), patience)
    passes = error.is_retryable() or code.endswith(_ENDED)
    return Verdict(_error(text, f"({code})" if code else ""), patience if passes else 0.0)


def _error(problem: str, remedy: str) -> StoreError:
    return StoreError(store="neo4j", problem=problem, remedy=remedy)
