"""The README of a rendered folder: the order, what each file does, how to undo it, where tenure takes over."""

from __future__ import annotations

from collections.abc import Collection

from tenure.operations.fill_trigger import FillTrigger
from tenure.planner.plan import Plan
from tenure.render.exports import Export
from tenure.render.text import CYPHER_FILE, README_FILE, SCRIPT_FILE, SQL_FILE, one_line


def readme_file(plan: Plan, files: Collection[str], exported: list[Export]) -> str:
    """Return the text of the file; *files* are the names of the others."""
    key = one_line(plan.key.name)
    lines = [
        "# The migration as files to read and run",
        "",
        f"<!-- {README_FILE}, rendered by `tenure render`; change the playbook, not this file. -->",
        "",
        f"They write `{key}` on everything that the playbook keys, and make uniqueness hold per `{key}`. They do",
        "what `tenure apply` does up to its first gate, with the same statements and the same decisions; what they",
        "lack is its ledger of progress, its throttle and its way back item by item.",
        "",
        f"- playbook `{plan.playbook_digest}`",
        f"- plan `{plan.hash}`",
        "",
        "Back the stores up first. The application may go on meanwhile; old writers are caught by triggers in Postgres",
        "until they send the key themselves, and by running the other files again.",
        "",
        "## The order",
        "",
        f"1. **`{SQL_FILE}`**, in this folder:",
        f'   `psql -q -v ON_ERROR_STOP=1 -f {SQL_FILE} "$POSTGRES"`.',
        "   It shows to which bin every row comes and which rows would collide, and stops there, with nothing changed,",
        "   while a row has no owner that the playbook accepts. Then columns and triggers, the backfill in batches",
        "   that commit, NOT NULL, indexes, uniqueness per tenant and composite foreign keys. At its end it writes the",
        "   CSV files that the others read into the current folder.",
    ]
    number = 2
    if CYPHER_FILE in files:
        lines += [
            f"{number}. **`{CYPHER_FILE}`**: copy these into the server's import directory",
            "   (`server.directories.import`):",
            *(f"   - `{export.file}`: {one_line(export.about)}" for export in exported),
            "",
            f"   Then `cypher-shell --fail-fast -f {CYPHER_FILE}`. Or over Bolt, every",
            "   statement in an auto-commit transaction: leave out the lines that start with `//`, and cut after every",
            "   line that ends with a semicolon. Its last statements count what has no key: each must give 0.",
        ]
        number += 1
    if SCRIPT_FILE in files:
        lines += [
            f"{number}. **`{SCRIPT_FILE}`**: `QDRANT_URL=... python {SCRIPT_FILE} --dry-run` shows what",
            "   would be written, without `--dry-run` it writes. Or `--copy-to NEW` copies the points into a new",
            "   collection.",
        ]
        number += 1
    trigger = next((one_line(o.name) for o in plan.operations if isinstance(o, FillTrigger)), "")
    lines += [
        f"{number}. **`tenure verify`**: proves, across the stores, that nothing was missed or mixed. From here tenure",
        "   can take over: `tenure apply` finds what is done, sweeps up what was born since and goes on to the gates,",
        "   where shared nodes are split, readers are switched and the old uniqueness is dropped.",
        "",
        "Every file may be run again at any time: what is done is found done.",
        "",
        "## How to undo it",
        "",
        f"- Postgres: drop the trigger `{trigger}` of each table, then its column `{key}`, which takes its indexes and",
        "  constraints along, then the functions and sequences of schema `tenure`. Where a table had the column",
        "  before, do not drop it: `tenure.journal` has every value that was replaced.",
        f"- Neo4j: drop the constraints and indexes whose names start with `tenure_`, then remove property `{key}`.",
        f"- Qdrant: delete the payload field `{key}` and its index; or drop the copy.",
        "",
        "The old uniqueness, foreign keys and constraints stay until somebody drops them, so nothing else is lost.",
        "",
    ]
    return "\n".join(lines)
