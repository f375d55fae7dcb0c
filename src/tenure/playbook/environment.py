"""Fills ``${NAME}`` and ``${NAME:-default}`` into text from the environment and the ``.env`` beside the playbook."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from tenure.errors import PlaybookError
from tenure.masking import remember_secret

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^}]*)\}|\$\{")
_BODY = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-(?P<default>.*))?", re.DOTALL)
_SECRET_NAME = re.compile(r"(?i)password|passwd|secret|token|api_?key|credential")


class EnvironmentProblem(ValueError):
    """A reference that cannot be filled: problem and remedy in plain words."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


def environment_for(directory: Path) -> Mapping[str, str]:
    """Return the process's environment over what ``.env`` in *directory* adds; `PlaybookError` if it is not UTF-8."""
    path = directory / ".env"
    try:
        added = dotenv_values(path, encoding="utf-8") if path.is_file() else {}
    except UnicodeDecodeError:
        raise PlaybookError(
            path=path, line=1, column=1, problem="the file is not UTF-8.", remedy="Save it as UTF-8.", others=()
        ) from None
    return {**{name: value for name, value in added.items() if value is not None}, **os.environ}


def fill(text: str, environment: Mapping[str, str]) -> str:
    """Return *text* with its references filled from *environment*; ``$${`` stands for a literal ``${``.

    As in a shell, the default after ``:-`` also stands in for an empty value. Values are not filled again. Raises
    `EnvironmentProblem` for an undefined name or a reference that is not closed.
    """

    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        body = _BODY.fullmatch(match["body"]) if match["body"] is not None else None
        if body is None:
            raise EnvironmentProblem(
                "what follows ${ is not the name of a variable.",
                "Write ${NAME} or ${NAME:-default}; a literal ${ is written $${.",
            )
        name = body["name"]
        value = environment.get(name)
        if not value and body["fallback"]:
            return str(body["default"])
        if value is None:
            raise EnvironmentProblem(
                f"the environment has no {name}.",
                f"Set {name}, add it to the .env beside the playbook, or write ${{{name}:-default}}.",
            )
        if _SECRET_NAME.search(name):
            remember_secret(value)
        return value

    return _REFERENCE.sub(value_of, text)
