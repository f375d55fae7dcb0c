"""Turns the YAML parser's errors into a place, a problem and a remedy in plain words."""

from __future__ import annotations

import re

from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

_DUPLICATE = re.compile(r'found duplicate key "(?P<key>[^"]*)"')
_QUESTION = re.compile(r":\s*\?\s*(?:[},#]|$)")


def explain_yaml(error: YAMLError, text: str) -> tuple[int, int, str, str]:
    """Return line and column (from 1), problem and remedy of *error*, raised for *text*."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
        return line, column, "a control character stands here.", "Remove it; in a quoted text write \\x and its code."
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    # The parser's text may quote the file, and so a secret: only what is known to be harmless is taken from it.
    said = f"{getattr(error, 'context', '')} {getattr(error, 'problem', '')}"
    if isinstance(error, DuplicateKeyError):
        key = _DUPLICATE.search(said)
        return (
            line,
            column,
            f"the key `{key['key'] if key else '?'}` stands there twice.",
            "Join the two, or remove one.",
        )
    here = text.splitlines()[line - 1] if line <= len(text.splitlines()) else ""
    if "\t" in here[: max(column, 1)] or "'\\t'" in said:
        return line, column, "there is a tab where YAML wants spaces.", "Indent with spaces."
    if "expected a single document" in said:
        return line, column, "there is a second document.", "Keep one document: remove what follows `---`."
    if "undefined alias" in said:
        return (
            line,
            column,
            "`*NAME` refers to an anchor that is not there.",
            "Put quotes around text that begins with *.",
        )
    if (
        "quoted scalar" in said
        and "end of stream" in said
        and isinstance(error, MarkedYAMLError)
        and error.context_mark
    ):
        line, column = error.context_mark.line + 1, error.context_mark.column + 1
        return line, column, "a quoted text begins here and does not end.", "Close it with the same quote."
    if _QUESTION.search(here):
        return line, column, "the YAML cannot be read here.", 'Write an open question with quotes: `tenant: "?"`.'
    if "${" in here:
        return line, column, "the YAML cannot be read here.", 'Put quotes around references: "${NAME}".'
    return (
        line,
        column,
        "the YAML cannot be read here.",
        "Look for a missing quote, colon, bracket or a wrong indentation in this line or the one before; values with "
        "`: `, `{`, `[`, `#`, `*`, `&`, `?` or `@` need quotes.",
    )
