"""Tells apart what the Qdrant driver raises: what passes by itself, and what a person must put right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenure.errors import StoreError, StoreUnreachableError
from tenure.masking import mask_secrets
from tenure.stores.patience import BRIEF_SECONDS, Verdict

if TYPE_CHECKING:
    from qdrant_client import models

# What a server that is busy, restarting or behind a proxy answers. Everything else would be answered again.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


# The server's own words when it has no room: it refuses writes until there is some, so asking again does not help.
_FULL = ("no space left", "not enough free disk", "out of disk", "available disk space", "disk is full")


class UnfinishedError(Exception):
    """An answer that is no success yet, in our words; *patience* (seconds) where less than all of it is due."""

    def __init__(self, problem: str, remedy: str, patience: float | None = None) -> None:
        super().__init__(problem)
        self.said = StoreError(store="qdrant", problem=problem, remedy=remedy)
        self.patience = patience


def heed_results(collection: str, statuses: Sequence[str], wanted: int, sent: int) -> None:
    """Errors: UnfinishedError when not all of *wanted* operations, which were *sent* so often, are `completed`."""
    unfinished = [status for status in statuses if status != "completed"]
    if unfinished or len(statuses) != wanted:
        status = unfinished[0] if unfinished else "too few results"
        raise UnfinishedError(
            f"collection {collection} answered {status!r} to {sent} identical updates.",
            "Look at its update queue and optimizer, let them drain, and run `tenure apply` again: it resumes.",
        )


def heed_state(collection: str, info: models.CollectionInfo) -> None:
    """Errors: UnfinishedError when a collection is red: its optimizer failed. Yellow, at work, is as it should be."""
    if str(getattr(info.status, "value", info.status)) == "red":
        raise UnfinishedError(
            f"collection {collection} is red, its optimizer failed: "
            f"{getattr(info.optimizer_status, 'error', info.optimizer_status)}.",
            "Look at the server's log, disk and memory; after a restart the next update starts the optimizer again.",
            BRIEF_SECONDS,
        )


def judge(error: Exception, address: str, what: str, patience: float, *, answered: bool) -> Verdict:
    """Return what a driver's error means. *answered* says that this store has answered before.

    A server that never answered is a wrong address, which is said at once; one that did is waited for, for *patience*
    seconds. Errors: *error* itself when it is none of the driver's, which is a defect of tenure, and tenure's own.
    """
    import httpx
    from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, UnfinishedError):
        return Verdict(error.said, patience if error.patience is None else min(patience, error.patience))
    if isinstance(error, ResourceExhaustedResponse):
        refused = _error(what, f"the server refuses for now: {error}", "Lower the load, or raise the write rate limit.")
        return Verdict(refused, patience, after=float(error.retry_after_s))
    if isinstance(error, QdrantException):
        # A 429 whose Retry-After is a date, which the driver does not read.
        return Verdict(_error(what, _text(error), "Lower the load, or raise the write rate limit."), patience)
    if isinstance(error, UnexpectedResponse):
        return _answer(error.status_code or 0, _message(error.content), address, what, patience)
    if isinstance(error, ResponseHandlingException):
        source = error.source
        if isinstance(source, httpx.TransportError):
            unreachable = StoreUnreachableError(store="qdrant", address=address, problem=_text(source))
            passes = answered or not isinstance(source, httpx.ConnectError | httpx.ConnectTimeout)
            return Verdict(unreachable, patience if passes else 0.0)
        return Verdict(_error(what, f"the answer could not be read: {_text(source)}", "Is this a Qdrant server?"))
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return Verdict(StoreUnreachableError(store="qdrant", address=address, problem=_text(error)))
    if isinstance(error, ValueError | KeyError):
        # Local mode raises these, and so does the client for an address or a request that cannot be one.
        return Verdict(_error(what, _text(error), "Check the names in the playbook."))
    raise error


def _answer(status: int, message: str, address: str, what: str, patience: float) -> Verdict:
    if status in (401, 403):
        remedy = "Check the API key of the playbook's Qdrant connection; it needs read and write access (`rw`)."
        return Verdict(_error(what, f"{address} refused access ({status}): {message}", remedy))
    if status == 404:
        remedy = "Check the name of the collection, or remove it from the playbook."
        return Verdict(_error(what, f"not found: {message}", remedy))
    if any(words in message.lower() for words in _FULL):
        remedy = (
            "Free room where the server keeps its storage (old snapshots are a part of it), or give it a larger disk."
        )
        return Verdict(_error(what, f"the server's disk is full: {message}", remedy))
    passes = status in PASSING or "please retry" in message.lower()
    return Verdict(_error(what, f"answered {status}: {message}", "See the server's log."), patience if passes else 0.0)


def _error(what: str, problem: str, remedy: str) -> StoreError:
    return StoreError(store="qdrant", problem=mask_secrets(f"{what}: {problem}".rstrip(".") + "."), remedy=remedy)


def _message(content: bytes) -> str:
    """Return the server's own words out of an answer, or its first characters."""
    try:
        return str(json.loads(content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace")


def _text(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__
