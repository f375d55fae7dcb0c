"""What all playbook models share: frozen values, field types, words, and problems that know their place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

Where = tuple[str | int, ...]

# The types of pydantic errors that carry their own words; see `explain`.
PROBLEM = "playbook"
CHOICE = "playbook_choice"

UNCLASSIFIED = ("the object is not classified.", "Write one of `tenant: ...`, `shared: REASON`, `exempt: REASON`.")


class Frozen(BaseModel):
    """An immutable value of the playbook; unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True
    )


class Problems:
    """Collects what a validator finds wrong, so that a user sees all of it at once."""

    def __init__(self) -> None:
        self._found: list[tuple[Where, str, str]] = []

    def add(self, where: Where, problem: str, remedy: str) -> None:
        """Add one problem at the keys *where* (relative to the value being validated)."""
        self._found.append((where, problem, remedy))

    def raise_any(self) -> None:
        """Raise what was found, if anything, as one pydantic error that `explain` takes apart again."""
        if self._found:
            text = "; ".join(problem for _, problem, _ in self._found)
            raise PydanticCustomError(PROBLEM, "{text}", {"text": text, "found": list(self._found)})


def problem(text: str, remedy: str, *where: str | int) -> PydanticCustomError:
    """Return the error for a single problem at *where*."""
    return PydanticCustomError(PROBLEM, "{text}", {"text": text, "found": [(where, text, remedy)]})


class Word(Frozen):
    """A choice that is written as one word in the playbook."""

    word: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        return {} if value == cls.word else value

    @model_serializer
    def _to_word(self) -> str:
        return self.word

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"const": cls.word}


def tag_by_key(value: Any, keys: tuple[str, ...]) -> str | None:
    """Name the member of a union that *value* means, by the word it is or the first of *keys* that it has.

    Tags are put in angle brackets so that they are told from keys in an error's location.
    """
    if isinstance(value, str):
        return f"<{value}>"
    if isinstance(value, Mapping):
        return next((f"<{key}>" for key in keys if key in value), None)
    return getattr(type(value), "tag", None)


def choose(tag: Callable[[Any], str | None], text: str, remedy: str) -> Discriminator:
    """Return a discriminator by *tag* whose error says *text* and *remedy*.

    They are kept on two lines of one message, because a discriminator has to be hashable and so carries no context.
    """
    return Discriminator(tag, custom_error_type=CHOICE, custom_error_message=f"{text}\n{remedy}")


def _tenant_text(value: Any) -> Any:
    # A bigint tenant is written without quotes; True is an int in Python and never meant.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _setting_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int | float) else value


_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|min|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(value: Any) -> Any:
    """Return the seconds that *value* (a number, or text with a unit) stands for. Errors: the problem, as `problem`."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise problem(f"{value!r} is not a length of time.", "Write a number with a unit, such as 500ms, 10s or 2min.")
    return float(match["number"]) * _UNITS[match["unit"]]


def _dotted(value: str) -> str:
    head, dot, tail = value.rpartition(".")
    if not (head and dot and tail):
        raise problem(f"{value!r} has no dot.", "Write it as `table.column` (for nodes `Label.property`).")
    return value


def split_dotted(value: str) -> tuple[str, str]:
    """Split ``table.column`` (or ``schema.table.column``, ``Label.property``) at its last dot."""
    head, _, tail = value.rpartition(".")
    return head, tail


def _from_playbook(value: Path, info: ValidationInfo) -> Path:
    # The loader passes the playbook's directory and whether files must exist; models built in code pass neither.
    directory: Path | None = (info.context or {}).get("directory")
    if directory is None:
        return value
    path = directory / os.path.expanduser(value)
    if not os.path.isfile(path):  # unlike Path.is_file, says no to a name that no file can have
        raise problem(
            f"the file {value} does not exist.", f"Create {path}, or correct the path (relative to the playbook)."
        )
    return path


Text = Annotated[str, StringConstraints(min_length=1)]
Dotted = Annotated[Text, AfterValidator(_dotted)]
TenantText = Annotated[Text, BeforeValidator(_tenant_text, json_schema_input_type=str | int)]
SettingText = Annotated[str, BeforeValidator(_setting_text, json_schema_input_type=str | int | float | bool)]
Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}]}
    ),
]
PlaybookPath = Annotated[
    Path, AfterValidator(_from_playbook), WithJsonSchema({"type": "string", "minLength": 1, "format": "path"})
]
