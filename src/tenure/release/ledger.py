"""Writes into the ledger's list of quarantined items who they were released to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from tenure.runner.context import Context
    from tenure.values import Store

_RELEASED = """
INSERT INTO tenure.quarantine (store, object, item, reason, released_to, released_at)
VALUES (%s, %s, %s, %s, %s, clock_timestamp())
ON CONFLICT (store, object, item) DO UPDATE SET released_to = excluded.released_to, released_at = excluded.released_at
"""

_NOT_RELEASED = """
UPDATE tenure.quarantine SET released_to = NULL, released_at = NULL WHERE store = %s AND object = %s AND item = %s
"""

# What resolution says of an item that is quarantined only because what it hangs on is.
_FOLLOWING = """
SELECT item FROM tenure.quarantine
 WHERE store = %s AND object = %s AND item = ANY (%s::jsonb[]) AND reason = 'its parent is quarantined'
"""


def listed(ctx: Context, store: Store, name: str, items: Iterable[tuple[Any, str, str]]) -> None:
    """Note items as released: (item, reason where it was not listed, tenant) each."""
    with ctx.postgres.connection() as connection, connection.cursor() as cursor:
        cursor.executemany(_RELEASED, [(store, name, Jsonb(item), reason, tenant) for item, reason, tenant in items])


def following(ctx: Context, store: Store, name: str, items: Sequence[Any]) -> set[str]:
    """Return which of some items are listed as quarantined only because of what they hang on, as canonical JSON."""
    if not items:
        return set()
    with ctx.postgres.connection() as connection:
        rows = connection.execute(_FOLLOWING, (store, name, [json.dumps(item) for item in items])).fetchall()
    return {json.dumps(item, sort_keys=True, default=str) for (item,) in rows}


def unlisted(ctx: Context, store: Store, name: str, item: Any) -> None:
    """Note that an item could not be released after all."""
    with ctx.postgres.connection() as connection:
        connection.execute(_NOT_RELEASED, (store, name, Jsonb(item)))
