"""Renders the Qdrant part of a plan: one Python file of the parts in `tenure.render.script`, with the plan in it."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from tenure.attribution.points import PointSpec
from tenure.attribution.spec import ColumnSource, ConstantSource, ItemSource, RowSource
from tenure.planner.plan import Plan
from tenure.render.exports import TENANTS_FILE, rows_file
from tenure.render.text import SCRIPT_FILE, header, one_line
from tenure.stores.qdrant import path

_PARTS = ("decide.py", "run.py")
# The place of the plan, with the line above that says so.
_MARKED = re.compile(r"^[^\n]*\n# <plan>\n.*?^# </plan>\n", re.DOTALL | re.MULTILINE)


def qdrant_file(plan: Plan, specs: Iterable[PointSpec]) -> str:
    """Return the text of the script."""
    found = tuple(specs)
    sources = [files("tenure.render.script").joinpath(part).read_text(encoding="utf-8") for part in _PARTS]
    bodies = [_body(source) for source in sources]
    names = ", ".join(one_line(spec.collection) for spec in found)
    about = header(
        plan,
        "#",
        f"{SCRIPT_FILE}: {one_line(plan.key.name)} on every point of {names}.",
        "",
        "Needs Python 3.11 and qdrant-client, and the CSV files that the SQL file wrote (in the current folder).",
        f"QDRANT_URL=... QDRANT_API_KEY=... python {SCRIPT_FILE} --dry-run",
        "Decides as the playbook says, writes only where the key is missing or another than it should be, window by",
        "window; may be interrupted, run again and run beside the application. --copy-to NEW leaves the points as they",
        "are and copies them, with their vectors and the key, into a new collection of the same configuration.",
    )
    assigned = f"PLAN: dict[str, Any] = {_python(_plan(plan, found))}\n"
    body = _MARKED.sub(lambda _: assigned, bodies[0])
    return (
        f"#!/usr/bin/env python3\n{about}\nfrom __future__ import annotations\n\n{_imports(sources)}\n"
        f"{body.rstrip()}\n\n\n{bodies[1].strip()}\n"
    )


def _plan(plan: Plan, specs: Iterable[PointSpec]) -> dict[str, Any]:
    """Return what the script must know of the plan."""
    key = plan.key
    return {
        "plan": plan.hash,
        "key": key.name,
        "path": path(key.name),
        "type": key.type,
        "index": "uuid" if key.type == "uuid" else "keyword",
        "untagged": list(key.untagged),
        "quarantine": key.quarantine,
        "shared": key.shared,
        "tenants": TENANTS_FILE,
        "collections": [
            {
                "name": spec.collection,
                "fields": list(spec.fields),
                "by_rows": bool(spec.rows),
                "sources": [_source(source) for source in spec.rule.sources],
                "policy": {
                    "unassigned": spec.rule.policy.unassigned,
                    "assign": spec.rule.policy.assign,
                    "conflict": spec.rule.policy.conflict,
                    "existing": spec.rule.policy.existing,
                },
            }
            for spec in specs
        ],
    }


def _source(source: ItemSource) -> dict[str, Any]:
    if isinstance(source, ConstantSource):
        return {"form": "constant", "value": source.value}
    if isinstance(source, ColumnSource):
        return {"form": "field", "match": source.name}
    assert isinstance(source, RowSource), source
    return {"form": "row", "file": rows_file(source), "match": source.match}


def _body(source: str) -> str:
    """Return what follows the imports of a part."""
    last = max(node.end_lineno or 0 for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom))
    return "\n".join(source.split("\n")[last:]).strip("\n") + "\n"


def _imports(sources: Iterable[str]) -> str:
    """Return the imports of all parts as one block: the standard library, then the rest."""
    whole: set[str] = set()
    names: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import):
                whole |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(("tenure", "__")):
                names[node.module] |= {alias.name for alias in node.names}
    groups: tuple[list[str], list[str]] = ([], [])
    for module in sorted(whole):
        groups[module.partition(".")[0] not in sys.stdlib_module_names].append(f"import {module}")
    for module, found in sorted(names.items()):
        listed = ", ".join(sorted(found))
        groups[module.partition(".")[0] not in sys.stdlib_module_names].append(f"from {module} import {listed}")
    return "\n".join([*groups[0], "", *groups[1], ""])


def _python(value: Any, indent: str = "") -> str:
    """Return JSON data as Python with an entry a line, as a formatter would write it."""
    if isinstance(value, str):
        # Only ASCII: whatever a name holds, the file reads as it looks.
        return json.dumps(value)
    if not isinstance(value, dict | list) or not value:
        return repr(value)
    inner = indent + "    "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {_python(one, inner)},\n" for key, one in value.items()]
        return "{\n" + "".join(lines) + indent + "}"
    return "[\n" + "".join(f"{inner}{_python(one, inner)},\n" for one in value) + indent + "]"
