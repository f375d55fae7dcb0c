"""Tells apart what the Qdrant driver raises: what passes by itself, and what a person must put right."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tenure.errors import StoreError, StoreUnreachableError
from tenure.masking import mask_secrets

# What a server that is busy, restarting or behind a proxy answers. Everything else would be answered again.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Verdict:
    """An error in our words, whether it passes by itself, and how long the server asks to wait (seconds)."""

    error: StoreError
    passes: bool
    after: float | None = None


def judge(error: Exception, address: str, what: str, *, answered: bool) -> Verdict:
    """Return what a driver's error means. *answered* says that this store has answered before.

    A server that never answered is a wrong address, which is said at once; one that did is waited for. Errors: *error*
    itself when it is none of the driver's, which is a defect of tenure.
    """
    import httpx
    from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResourceExhaustedResponse):
        refused = _error(what, f"the server refuses for now: {error}", "Lower the load, or raise the write rate limit.")
        return Verdict(refused, passes=True, after=float(error.retry_after_s))
    if isinstance(error, QdrantException):
        # A 429 whose Retry-After is a date, which the driver does not read.
        return Verdict(_error(what, _text(error), "Lower the load, or raise the write rate limit."), passes=True)
    if isinstance(error, UnexpectedResponse):
        return _answer(error.status_code or 0, _message(error.content), address, what)
    if isinstance(error, ResponseHandlingException):
        source = error.source
        if isinstance(source, httpx.TransportError):
            unreachable = StoreUnreachableError(store="qdrant", address=address, problem=_text(source))
            return Verdict(
                unreachable, passes=answered or not isinstance(source, httpx.ConnectError | httpx.ConnectTimeout)
            )
        return Verdict(
            _error(what, f"the answer could not be read: {_text(source)}", "Is this a Qdrant server?"), passes=False
        )
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return Verdict(StoreUnreachableError(store="qdrant", address=address, problem=_text(error)), passes=False)
    if isinstance(error, ValueError | KeyError):
        # Local mode raises these, and so does the client for an address or a request that cannot be one.
        return Verdict(_error(what, _text(error), "Check the names in the playbook."), passes=False)
    raise error


def _answer(status: int, message: str, address: str, what: str) -> Verdict:
    if status in (401, 403):
        remedy = "Check the API key of the playbook's Qdrant connection; it needs read and write access (`rw`)."
        return Verdict(_error(what, f"{address} refused access ({status}): {message}", remedy), passes=False)
    if status == 404:
        remedy = "Check the name of the collection, or remove it from the playbook."
        return Verdict(_error(what, f"not found: {message}", remedy), passes=False)
    passes = status in PASSING or "please retry" in message.lower()
    return Verdict(_error(what, f"answered {status}: {message}", "See the server's log."), passes=passes)


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
