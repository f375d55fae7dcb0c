"""Whether a rollback would lose nothing now, and until what: as much as Postgres knows within a moment.

`tenure rollback --plan` asks all three stores, which takes as long as there is data. Here each operation that was begun
is judged by its kind: most have an inverse whatever was written since, a few depend on what the application did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psycopg import errors

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.report.status import OperationState

# What only the other stores can tell: what has to be looked for there, by kind.
ASKED = {
    "drop_collection": "whether it was dropped",
    "split_node": "copies of split nodes that were edited since, or names that several tenants use by now",
    "rekey_points": "points that would meet others under their old ids",
    "drop_constraint": "names that several tenants use by now",
}
# What Postgres itself can tell: keys that several tenants have used since.
UNIQUES = frozenset({"drop_unique", "swap_primary_key", "drop_exclusion"})
# Looking for such a key may take a scan: it gets this long for each, and is left to `rollback --plan` after that.
LOOK_MS = 150
BUDGET_MS = 450

_DROPPED = """SELECT DISTINCT ON (j.operation, j.item) j.operation, j.store, j.object, j.before->'script', j.at
  FROM tenure.journal j JOIN tenure.operation o ON o.id = j.operation
 WHERE o.phase = 'contract' AND o.attempts > 0 AND j.before ? 'script' ORDER BY j.operation, j.item, j.id DESC"""


def standing(connection: Connection[Any], operations: Sequence[OperationState]) -> dict[str, Any]:
    """Return whether a rollback is lossless (None: only the other stores, or a longer look, can tell), why, and the
    operation that is the next to change that."""
    begun = [row for row in operations if row.attempts and not row.waiting]
    blocking = [f"{row.description}: done, and nothing brings it back" for row in begun if _gone(row)]
    unknown = [f"{row.store} {row.object}: {ASKED[row.kind]}" for row in begun if row.kind in ASKED and not _gone(row)]
    left = BUDGET_MS
    for row in begun:
        if row.kind in UNIQUES:
            shared = _shared(connection, row, min(left, LOOK_MS)) if left > 0 else None
            left -= LOOK_MS if shared is None else 0
            if shared is None:
                unknown.append(f"{row.store} {row.object}: keys that several tenants use by now")
            elif shared:
                blocking.append(f"{row.object}: {shared}")
    following = next((row for row in operations if row.state != "done" and not row.waiting and _matters(row)), None)
    lossless = False if blocking else None if unknown else True
    return {
        "begun": len(begun),
        "lossless": lossless,
        "blocking": blocking,
        "unknown": unknown,
        "until": None
        if following is None
        else {"phase": following.phase, "operation": following.id, "description": following.description},
    }


def said(rollback: dict[str, Any]) -> list[str]:
    """Return what a person is told of it, a line each."""
    if not rollback["begun"]:
        return ["Rollback: nothing was begun, so there is nothing to take back."]
    until = rollback["until"]
    then = f", until {until['phase']} begins ({until['description']})" if until is not None else ""
    if rollback["lossless"]:
        return [f"Rollback: lossless{then}."]
    if rollback["blocking"]:
        return ["Rollback: would lose something, and is refused:", *(f"  {line}" for line in rollback["blocking"])]
    return [
        "Rollback: open as far as Postgres knows; `tenure rollback --plan` looks for the rest:",
        *(f"  {line}" for line in rollback["unknown"]),
    ]


def recreations(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Return what contract dropped, with the statements that make each again, as the journal keeps them."""
    return [
        {"operation": operation, "store": store, "object": name, "statements": script, "at": at.isoformat()}
        for operation, store, name, script, at in connection.execute(_DROPPED).fetchall()
    ]


def _gone(row: OperationState) -> bool:
    return row.kind == "drop_collection" and row.state == "done"


def _matters(row: OperationState) -> bool:
    return row.kind in ASKED or row.kind in UNIQUES


def _shared(connection: Connection[Any], row: OperationState, milliseconds: int) -> str | None:
    """Return which keys forbid the old uniqueness, empty for none, or None when that takes too long to find out."""
    from tenure.operations.exclusion import Exclusion
    from tenure.operations.old_unique import OldUnique

    excludes = row.kind == "drop_exclusion"
    old = Exclusion.model_validate(row.body["old"]) if excludes else OldUnique.model_validate(row.body["old"])
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL statement_timeout = {milliseconds}".encode())
            count, sample = old.conflicts(connection) if isinstance(old, Exclusion) else old.duplicates(connection)
    except errors.QueryCanceled:
        return None
    if not count:
        return ""
    what = "pair(s) of rows meet" if excludes else "key(s) belong to several rows"
    return f"{count} {what} by now, such as {', '.join(sample[:3])}"
