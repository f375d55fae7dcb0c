"""Small helpers of the renderers: headers, dollar quotes, names of files."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure import planner

SQL_FILE = "postgres_backfill_and_indexes.sql"
CYPHER_FILE = "neo4j_constraints_and_backfill.cypher"
SCRIPT_FILE = "qdrant_reindex.py"
README_FILE = "README.md"


def header(plan: planner.Plan, comment: str, *lines: str) -> str:
    """Return the first lines of a file: what it is, and which playbook and plan it came from; no time, no path."""
    body = [
        *lines,
        "",
        "Rendered by `tenure render`; change the playbook, not this file.",
        f"playbook {plan.playbook_digest}",
        f"plan     {plan.hash}",
    ]
    return "\n".join(f"{comment} {line}".rstrip() for line in body) + "\n"


def one_line(text: str) -> str:
    """Return *text* fit for a comment: a name may hold line breaks, which would end it."""
    return re.sub(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)


def dollar_quoted(text: str, tag: str = "tenure") -> str:
    """Return *text* as a dollar-quoted literal of Postgres, under a tag that it does not contain."""
    number = 0
    while f"${tag}{number or ''}$" in text:
        number += 1
    mark = f"${tag}{number or ''}$"
    return f"{mark}{text}{mark}"


def do_block(body: str) -> str:
    """Return a DO statement of PL/pgSQL."""
    return "DO " + dollar_quoted(f"\n{body}\n", "do") + ";"


def file_name(*parts: str) -> str:
    """Return a CSV file's name made of *parts*; what a file system may not take is replaced, and a digest added."""
    plain = "_".join(re.sub(r"[^a-z0-9_]+", "_", part.casefold()) for part in parts)
    if plain == "_".join(parts) and len(plain) <= 100:
        return f"{plain}.csv"
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{plain[:80].strip('_')}_{digest}.csv"


def cypher_statements(text: str) -> list[str]:
    """Return the statements of a rendered Cypher file, by the rule that its header states."""
    found: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith("//") or (not line and not lines):
            continue
        lines.append(line)
        if line.endswith(";"):
            found.append("\n".join(lines).removesuffix(";"))
            lines = []
    return found
