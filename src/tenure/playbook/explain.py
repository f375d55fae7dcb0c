"""Turns pydantic's errors into problems and remedies in plain words, each with the keys it is about."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from tenure.playbook.base import CHOICE, PROBLEM, UNCLASSIFIED
from tenure.playbook.positions import is_tag
from tenure.playbook.sources import SOURCE_KEYS


@dataclass(frozen=True, slots=True)
class Complaint:
    """One problem of a playbook: where (keys), what, and how to mend it; *key* says that the key itself is meant."""

    where: tuple[Any, ...]
    problem: str
    remedy: str
    key: bool = False


def explain(error: ValidationError, model: type[BaseModel]) -> list[Complaint]:
    """Return every problem that *error*, raised by *model*, is about."""
    return [complaint for details in error.errors(include_url=False) for complaint in _explain_one(details, model)]


def _explain_one(details: ErrorDetails, model: type[BaseModel]) -> list[Complaint]:
    where, kind, given = details["loc"], details["type"], details["input"]
    context = details.get("ctx", {})
    if kind == PROBLEM:
        return [Complaint((*where, *inner), text, remedy) for inner, text, remedy in context["found"]]
    if kind == CHOICE:
        text, _, remedy = details["msg"].partition("\n")
        return [Complaint(where, text, f"{_meant_source(given)}{remedy}")]
    if where and where[-1] == "[key]":
        return [Complaint(where[:-1], "the name is not text.", "Put the name in quotes.", key=True)]
    if kind == "extra_forbidden":
        return [_unknown_key(where, model)]
    if kind == "missing":
        return [Complaint(where, f"the key `{where[-1]}` is missing.", _missing_remedy(where))]
    if kind == "literal_error":
        return [_not_a_choice(where, given, str(context["expected"]))]
    if kind == "model_type" and "exempt" in known_keys(model, where):
        return [Complaint(where, *UNCLASSIFIED)]
    return [Complaint(where, *_words(kind, given, context))]


def _meant_source(given: Any) -> str:
    keys = [key for key in given if isinstance(key, str)] if isinstance(given, dict) else []
    for key in keys:
        near = get_close_matches(key, (*SOURCE_KEYS, "first", "assign", "keep_null"), n=1)
        if near and near[0] != key:
            return f"Did you mean `{near[0]}`? "
    return ""


def _unknown_key(where: tuple[Any, ...], model: type[BaseModel]) -> Complaint:
    name = str(where[-1])
    known = known_keys(model, where[:-1])
    if name in SOURCE_KEYS and any(key in SOURCE_KEYS for key in known):
        beside = next(key for key in known if key in SOURCE_KEYS)
        text = f"`{name}` stands beside `{beside}`, and a source has one of them."
        return Complaint(
            where, text, f"Write several sources as `first: [{{{beside}: ...}}, {{{name}: ...}}]`.", key=True
        )
    near = get_close_matches(name, known, n=1)
    remedy = f"Did you mean `{near[0]}`? " if near else ""
    return Complaint(where, f"unknown key `{name}`.", f"{remedy}Known here: {', '.join(known)}.", key=True)


def known_keys(model: type[BaseModel], where: tuple[Any, ...]) -> list[str]:
    """Return the keys that the model at *where* (a pydantic location) has."""
    found: list[Any] = [model]
    for part in where:
        found = [inner for annotation in found for inner in _inside(annotation, part)]
    models = [member for annotation in found for member, _ in _members(annotation) if _is_model(member)]
    keys = [field.alias or name for member in models for name, field in member.model_fields.items()]
    return list(dict.fromkeys(keys))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _members(annotation: Any, tag: str | None = None) -> list[tuple[Any, str | None]]:
    """Take unions and `Annotated` apart: the plain types in *annotation*, each with the tag of its union."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        tag = next((item.tag for item in metadata if isinstance(item, Tag)), tag)
        return _members(inner, tag)
    if origin in (Union, UnionType):
        return [member for inner in get_args(annotation) for member in _members(inner, tag)]
    return [(annotation, tag)]


def _inside(annotation: Any, part: Any) -> list[Any]:
    members = _members(annotation)
    if is_tag(part) and any(tag == part for _, tag in members):
        return [member for member, tag in members if tag == part]
    found = []
    for member, _ in members:
        if _is_model(member):
            found += [field.annotation for name, field in member.model_fields.items() if (field.alias or name) == part]
        elif get_origin(member) in (dict, tuple, list):
            arguments = [argument for argument in get_args(member) if argument is not Ellipsis]
            found.append(arguments[-1])
    return found


_MISSING: dict[tuple[Any, ...], str] = {
    ("version",): "Add `version: 1` as the first line.",
    ("tenant",): "Add `tenant: {registry: {table: TABLE, column: COLUMN}}`.",
    ("tenant", "registry"): "Add `registry: {table: TABLE, column: COLUMN}`, the table that lists the tenants.",
    ("connections",): 'Add `connections: {postgres: {url: "${TENURE_POSTGRES}"}}`.',
    ("connections", "postgres"): 'Add `postgres: {url: "${TENURE_POSTGRES}"}`; the ledger always lives in Postgres.',
    ("hooks", "unfence"): "Add `unfence: COMMAND`, which restarts the writers that `fence` stops.",
}


def _missing_remedy(where: tuple[Any, ...]) -> str:
    if where[-1] == "match":
        return "Add `match: ...`, which says how the two are joined."
    return _MISSING.get(where, f"Add `{where[-1]}: ...`.")


def _not_a_choice(where: tuple[Any, ...], given: Any, expected: str) -> Complaint:
    if where == ("version",):
        return Complaint(where, "this version of the playbook is not known.", "Write `version: 1`.")
    choices = [choice.strip("'\"") for choice in expected.replace(" or ", ", ").split(", ")]
    near = get_close_matches(given, choices, n=1) if isinstance(given, str) else []
    hint = f"Did you mean `{near[0]}`? " if near else ""
    name = next((part for part in reversed(where) if isinstance(part, str) and not is_tag(part)), "value")
    return Complaint(where, f"this is not a choice of `{name}`.", f"{hint}Write one of: {', '.join(choices)}.")


# What was given is described by its kind only: it may be a secret.
_KINDS: dict[type, str] = {
    str: "text", bool: "true or false", int: "a number", float: "a number", dict: "a mapping", list: "a list",
    type(None): "nothing",
}  # fmt: skip


def _words(kind: str, given: Any, context: dict[str, Any]) -> tuple[str, str]:
    was = _KINDS.get(type(given), f"a {type(given).__name__}")
    empty = given is None or given in ("", [], {})
    wanted = {
        "string_type": ("text", "Put the value in quotes."),
        "path_type": ("a path", "Write the path of a file, relative to the playbook."),
        "int_type": ("a whole number", "Write a number without quotes."),
        "int_parsing": ("a whole number", "Write a number without quotes."),
        "int_from_float": ("a whole number", "Write a number without a fraction."),
        "bool_type": ("true or false", "Write true or false."),
        "bool_parsing": ("true or false", "Write true or false."),
        "dict_type": ("a mapping of keys to values", "Write `NAME: ...` lines below it, or `{}`."),
        "model_type": ("a mapping of keys to values", "Write its keys below it, or remove it."),
        "tuple_type": ("a list", "Write `[ ... ]`."),
        "list_type": ("a list", "Write `[ ... ]`."),
    }.get(kind)
    if empty:
        return "the value is empty.", wanted[1] if wanted and given is None else "Write a value, or remove the key."
    if wanted is not None:
        return f"this is {was}, and should be {wanted[0]}.", wanted[1]
    if kind in ("greater_than_equal", "greater_than"):
        least = context.get("ge", context.get("gt"))
        return "the number is too small.", f"Write a number from {least} on."
    if kind == "string_too_long":
        return "the text is too long.", f"Use at most {context['max_length']} characters."
    if kind == "string_pattern_mismatch":
        return (
            "the text has not the form that is needed.",
            "For a setting: two names with a dot, such as app.project_id.",
        )
    return "the value does not fit here.", "Compare it with the reference in docs/playbook.md."
