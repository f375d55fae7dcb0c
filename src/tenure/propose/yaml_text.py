"""Writes values as YAML text that any parser reads back the same: hostile names, numbers that are names, `${`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenure.propose.proposal import Entry

WIDTH = 118
_PLAIN = re.compile(r"[^\W\d][\w./-]*(?: [\w./()-]+)*")
# What some parser takes for something other than text.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def scalar(text: str) -> str:
    """Return a text as a YAML scalar, quoted unless it is plainly a word."""
    simple = _PLAIN.fullmatch(text) and text.casefold() not in _WORDS and len(text) <= 110
    return text if simple and text.isprintable() else quoted(text)


def quoted(text: str) -> str:
    """Return a text in double quotes, with everything that is not printable escaped."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    # Spaces of other scripts and byte order marks print, but no parser agrees on them.
    if character.isprintable() and character != "\ufeff":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def flow(value: Any) -> str:
    """Return a value in one line. A `${` in a text is not a reference: it is doubled, as playbooks demand."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(str(name))}: {flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, str):
        return scalar(value.replace("${", "$${"))
    if isinstance(value, Sequence):
        return "[" + ", ".join(flow(inner) for inner in value) + "]"
    return str(value)


def comment(text: str, indent: int) -> Iterator[str]:
    """Yield *text* as comment lines; control characters in it cannot end the comment."""
    safe = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    margin = " " * indent + "# "
    yield from textwrap.wrap(
        safe,
        WIDTH,
        initial_indent=margin,
        subsequent_indent=margin + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    ) or [margin.rstrip()]


def entry_lines(entry: Entry, indent: int) -> Iterator[str]:
    """Yield an entry as lines of a block mapping: comments, name, rule."""
    margin = " " * indent
    head = f"{entry.confidence}: " if entry.confidence is not None else ""
    for number, text in enumerate(entry.comments):
        yield from comment((head if number == 0 else "") + text, indent)
    if not entry.comments and entry.confidence not in (None, "high"):
        yield f"{margin}# {entry.confidence}"
    one_line = f"{margin}{scalar(entry.name)}: {flow(entry.rule)}"
    if (len(one_line) <= WIDTH and len(entry.rule) == 1) or entry.question:
        yield one_line
        return
    yield f"{margin}{scalar(entry.name)}:"
    for name, value in entry.rule.items():
        yield from _part(name, value, indent + 2)


def _part(name: str, value: Any, indent: int) -> Iterator[str]:
    margin = " " * indent
    line = f"{margin}{scalar(name)}: {flow(value)}"
    if len(line) <= WIDTH and not (name == "tenant" and isinstance(value, Mapping) and "first" in value):
        yield line
    elif isinstance(value, Mapping):
        yield f"{margin}{scalar(name)}:"
        for inner, below in value.items():
            yield from _part(str(inner), below, indent + 2)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield f"{margin}{scalar(name)}:"
        for inner in value:
            yield f"{margin}  - {flow(inner)}"
    else:
        yield line
