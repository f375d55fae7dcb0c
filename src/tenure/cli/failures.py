"""What becomes of an error: a masked message on stderr, a document on stdout where JSON was asked for, an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Any

import click

from tenure.errors import StoreError, TenureError
from tenure.masking import mask_secrets

FAILED, USAGE, STORE, INTERRUPTED = 1, 2, 5, 130
DEBUG_VARIABLE = "TENURE_DEBUG"

# By the package an exception's class comes from, so that no driver has to be imported to name its store.
_DRIVERS = {
    "psycopg": "Postgres",
    "psycopg_pool": "Postgres",
    "neo4j": "Neo4j",
    "qdrant_client": "Qdrant",
    "httpx": "Qdrant",
    "httpcore": "Qdrant",
}
_INSUFFICIENT_PRIVILEGE = "42501"


@dataclass
class Invocation:
    """What the last frame needs to know of the command line: whether stdout takes one JSON document."""

    json: bool = False


def report_failure(error: BaseException, invocation: Invocation) -> int:
    """Print *error* the way its kind deserves and return the exit code."""
    if os.environ.get(DEBUG_VARIABLE) and not isinstance(error, click.exceptions.Exit):
        click.echo(mask_secrets("".join(traceback.format_exception(error))), err=True)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return _document(error.format_message(), "UsageError", error.exit_code, invocation)
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # lives until the interpreter ends
        return FAILED
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _say("Interrupted. Run the same command again: what was done is kept.", error, INTERRUPTED, invocation)
    if isinstance(error, TenureError):
        others = error.fields.get("others") or ()
        return _say("\n".join(_short(str(each)) for each in (error, *others)), error, error.exit_code, invocation)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    store = store_of(error)
    if store is not None:
        return _say(
            str(StoreError(store=store, problem=_one_line(error), remedy=_remedy(error))), error, STORE, invocation
        )
    text = f"Unexpected {type(error).__name__}: {_one_line(error)} (a fault of tenure: {DEBUG_VARIABLE}=1 shows where)"
    return _say(text, error, FAILED, invocation)


def store_of(error: BaseException) -> str | None:
    """Return the store whose driver raised *error*, or None."""
    for kind in type(error).__mro__:
        store = _DRIVERS.get(kind.__module__.partition(".")[0])
        if store is not None:
            return store
    return None


def masked(value: Any) -> Any:
    """Return JSON data with secrets taken out of every text in it."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, masked."""
    click.echo(json.dumps(masked(document), indent=2, ensure_ascii=False, default=str))


def _say(text: str, error: BaseException, code: int, invocation: Invocation) -> int:
    text = mask_secrets(text)
    click.echo("\n".join(f"tenure: {line}" for line in text.splitlines()), err=True)
    return _document(text, type(error).__name__, code, invocation, getattr(error, "findings", ()))


def _document(text: str, kind: str, code: int, invocation: Invocation, findings: Any = ()) -> int:
    """Print what went wrong as the one document of stdout, where one was asked for."""
    if invocation.json:
        listed = [finding.model_dump(mode="json") for finding in findings]
        print_json({"ok": False, "error": {"kind": kind, "message": text, "exit_code": code}, "findings": listed})
    return code


def _short(text: str) -> str:
    """Return a message of a few lines, as drivers make them, as one; a log's tail stays as it is."""
    return " ".join(text.split()) if text.count("\n") <= 3 else text


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _remedy(error: BaseException) -> str:
    if getattr(error, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE:
        return "Grant it to the role that the playbook connects as, or name another in `connections.postgres.role`."
    return f"`tenure status` shows what is done; {DEBUG_VARIABLE}=1 shows where it came from."
