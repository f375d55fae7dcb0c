"""The JSON Schema of the playbook, for editors: ``# yaml-language-server: $schema=...`` gives completion and hints."""

from __future__ import annotations

from typing import Any

from tenure.playbook.models import Playbook

_RULES = ("TableRule", "NodeRule", "RelationshipRule", "CollectionRule")
_CLASSES = ("tenant", "shared", "exempt")


def playbook_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that a playbook's YAML satisfies."""
    schema = Playbook.model_json_schema(by_alias=True, mode="validation")
    for name in _RULES:
        # That an object has exactly one of the three is a validator's matter in the models, which pydantic cannot see.
        schema["$defs"][name]["oneOf"] = [{"required": [key]} for key in _CLASSES]
    _without_noise(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "tenure playbook"}


def _without_noise(node: Any) -> None:
    """Drop the titles that pydantic makes out of names, the nulls that only mean "not written", and line breaks."""
    if isinstance(node, list):
        for item in node:
            _without_noise(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    if isinstance(node.get("description"), str):
        node["description"] = " ".join(node["description"].split())
    choices = node.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices and node.get("default", "") is None:
        del node["default"]
        choices.remove({"type": "null"})
        if len(choices) == 1:
            del node["anyOf"]
            for key, value in choices[0].items():
                node.setdefault(key, value)
    for value in node.values():
        _without_noise(value)
