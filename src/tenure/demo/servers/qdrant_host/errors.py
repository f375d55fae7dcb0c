"""Refusals in Qdrant's words."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal with its HTTP status; the texts follow the real server's, for clients match on them."""

    def __init__(self, status: int, message: str) -> None:
        """Keep *status* (HTTP) and *message*."""
        super().__init__(message)
        self.status = status
        self.message = message


def bad_request(message: str) -> ApiError:
    """Return a 400."""
    return ApiError(400, f"Wrong input: {message}")


def not_found(message: str) -> ApiError:
    """Return a 404."""
    return ApiError(404, f"Not found: {message}")


def unsupported(what: str) -> ApiError:
    """Return a 501 for *what* the embedded host cannot do."""
    return ApiError(501, f"Not implemented: {what} is not available on the embedded Qdrant host, only on a server")


def from_engine(error: Exception) -> ApiError:
    """Return the refusal for what the engine raised: it knows only one class of exception, with the server's texts."""
    message = str(error)
    if message.startswith("No point with id"):
        return not_found(message)
    return bad_request(message)
