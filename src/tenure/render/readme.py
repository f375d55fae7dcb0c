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
        f"They write `{key}` on everything that the playbook keys, and make uniqueness hold per `{key}`. They do what",
        "`tenure apply` does up to its first gate, with the same statements and the same decisions; what they lack is its",
        "ledger of progress, its throttle and its way back item by item.",
        "",
        f"- playbook `{plan.playbook_digest}`",
        f"- plan `{plan.hash}`",
        "",
        "Back the stores up first. The application may go on meanwhile; old writers are caught by triggers in Postgres",
        "until they send the key themselves, and by running the other files again.",
        "",
        "## The order",
        "",
        f'1. **`{SQL_FILE}`**: `psql -q -v ON_ERROR_STOP=1 -f {SQL_FILE} "$POSTGRES"`, in this folder.',
        "   It shows to which bin every row comes and which rows would collide, and stops there, with nothing changed,",
        "   while a row has no owner that the playbook accepts. Then columns and triggers, the backfill in batches that",
        "   commit, NOT NULL, indexes, uniqueness per tenant and composite foreign keys. At its end it writes the CSV",
        "   files that the others read into the current folder.",
    ]
    number = 2
    if CYPHER_FILE in files:
        csv_files = ", ".join(f"`{export.file}`" for export in exported)
        lines += [
            f"{number}. **`{CYPHER_FILE}`**: copy {csv_files} into the import directory of the server",
            f"   (`server.directories.import`), then `cypher-shell --fail-fast -f {CYPHER_FILE}`. Or over Bolt, every",
            "   statement in an auto-commit transaction: leave out the lines that start with `//`, and cut after every",
            "   line that ends with a semicolon. Its last statements count what has no key: each must give 0.",
        ]
        number += 1
    if SCRIPT_FILE in files:
        lines += [
            f"{number}. **`{SCRIPT_FILE}`**: `QDRANT_URL=... python {SCRIPT_FILE} --dry-run` shows what would be written,",
            "   without `--dry-run` it writes. Or `--copy-to NEW` copies the points into a new collection.",
        ]
        number += 1
    lines += [
        f"{number}. **`tenure verify`**: proves, across the stores, that nothing was missed or mixed. From here tenure can",
        "   take over: `tenure apply` finds what is done, sweeps up what was born since and goes on to the gates, where",
        "   shared nodes are split, readers are switched and the old uniqueness is dropped.",
        "",
        "Every file may be run again at any time: what is done is found done.",
        "",
        "## How to undo it",
        "",
    ]
    triggers = [operation for operation in plan.operations if isinstance(operation, FillTrigger)]
    lines += [
        f"- Postgres: `ALTER TABLE ... DROP COLUMN {key}` takes the column with its indexes and constraints. First drop the",
        f"  {len(triggers)} triggers `{one_line(triggers[0].name) if triggers else ''}`, and the functions of schema `tenure`.",
        "  Where a table had the column before, do not drop it: `tenure.journal` has every value that was replaced.",
        f"- Neo4j: drop the constraints and indexes whose names start with `tenure_`, then remove the property `{key}`.",
        f"- Qdrant: delete the payload field `{key}` and its index; or drop the copy.",
        "",
        "The old uniqueness, foreign keys and constraints stay until somebody drops them, so nothing else is lost.",
        "",
    ]
    return "\n".join(lines)
