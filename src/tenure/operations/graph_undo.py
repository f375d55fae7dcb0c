"""Takes the tenant keys of a backfill away again, and puts back what was there before."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_read import chunks
from tenure.operations.graph_keys import FIRST_BATCH, pattern
from tenure.stores.cypher import quote
from tenure.values import Outcome, TenantKey

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.runner.context import Context

UNDONE = "undone"
Entry = tuple[Any, Any, Any]


def undo_keys(ctx: Context, operation: Operation, key: TenantKey, spec: NodeSpec | RelationshipSpec) -> Outcome:
    """Take the keys away that tenure wrote and put back what was there.

    Where no item had the key before tenure came every key goes; elsewhere only what the journal names, and only where
    the key is still the one that tenure wrote. `left` counts items that cannot be found again by an identity.
    """
    changed = left = 0
    if not spec.key_exists:
        changed += _remove_all(ctx, operation.id, key, spec)
    for entries in chunks(_entries(ctx, operation.id), FIRST_BATCH):
        ctx.signal.check(operation.id)
        # With every key gone only those that had a value are of interest.
        wanted = [entry for entry in entries if spec.key_exists or entry[1] is not None]
        found = [entry for entry in wanted if _findable(spec, entry[0])]
        left += len(wanted) - len(found)
        for layer in _layers(found):
            changed += _put_back(ctx, key, spec, layer)
    ctx.ledger.journal(operation.id, "neo4j", operation.object, [({"marker": UNDONE}, None, None)])
    return Outcome(planned=changed + left, changed=changed, left=left)


def _entries(ctx: Context, operation: str) -> Iterator[Entry]:
    """Yield the before-images since the last undo, the newest first."""
    for item, before, after in ctx.ledger.journal_entries(operation):
        if isinstance(item, dict) and item.get("marker") == UNDONE:
            return
        yield item, before, after


def _remove_all(ctx: Context, operation: str, key: TenantKey, spec: NodeSpec | RelationshipSpec) -> int:
    name, changed = f"x.{quote(key.name)}", 0
    found = ctx.neo4j.stream(f"MATCH {pattern(spec)} WHERE {name} IS NOT NULL RETURN elementId(x) AS e")
    query = (
        f"UNWIND $elements AS e MATCH {pattern(spec)} WHERE elementId(x) = e AND {name} IS NOT NULL "
        f"REMOVE {name} RETURN count(x) AS n"
    )
    for rows in chunks(found, FIRST_BATCH):
        ctx.signal.check(operation)
        changed += int(ctx.neo4j.write(query, elements=[row["e"] for row in rows]).records[0]["n"])
    return changed


def _layers(entries: Sequence[Entry]) -> list[list[dict[str, Any]]]:
    """Return the entries as rows in layers that are written one after the other.

    Equal entries (parallel relationships, or a batch that was journalled twice) are one row with `times`; different
    ones of the same item are in different layers, the newest first, since one statement reads before it writes.
    """
    times: Counter[str] = Counter()
    layers: list[list[dict[str, Any]]] = []
    depth: dict[str, int] = defaultdict(int)
    rows: dict[str, dict[str, Any]] = {}
    for item, before, after in entries:
        name, whole = json.dumps(item, sort_keys=True), json.dumps([item, before, after], sort_keys=True)
        times[whole] += 1
        if whole not in rows:
            rows[whole] = {"item": item, "before": before, "after": after, "name": whole}
            if depth[name] == len(layers):
                layers.append([])
            layers[depth[name]].append(rows[whole])
            depth[name] += 1
    for whole, row in rows.items():
        row["times"] = times[whole]
        del row["name"]
    return layers


def _put_back(ctx: Context, key: TenantKey, spec: NodeSpec | RelationshipSpec, layer: Sequence[dict[str, Any]]) -> int:
    name, changed = f"x.{quote(key.name)}", 0
    standing = f"{name} = row.after" if spec.key_exists else f"{name} IS NULL"
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in layer:
        groups[_match(spec, row["item"])].append(row)
    for match, rows in groups.items():
        query = (
            f"UNWIND $rows AS row CALL {{ WITH row {match} AND {standing} "
            "WITH row, collect(x) AS standing RETURN standing[..row.times] AS found } "
            f"UNWIND found AS x SET {name} = row.before RETURN count(x) AS n"
        )
        changed += int(ctx.neo4j.write(query, rows=rows).records[0]["n"])
    return changed


def _match(spec: NodeSpec | RelationshipSpec, item: Any) -> str:
    """Return the MATCH that finds a journalled item again; it ends in a condition."""
    if isinstance(spec, NodeSpec):
        return f"MATCH (x:{quote(spec.label)}) WHERE x.{quote(spec.identity or '')} = row.item"
    start, end = item["start"], item["end"]
    return (
        f"MATCH (a:{quote(start['label'])}) WHERE a.{quote(start['property'])} = row.item.start.value "
        f"MATCH (a)-[x:{quote(spec.type)}]->(b:{quote(end['label'])}) "
        f"WHERE b.{quote(end['property'])} = row.item.end.value"
    )


def _findable(spec: NodeSpec | RelationshipSpec, item: Any) -> bool:
    if isinstance(spec, NodeSpec):
        return item is not None and spec.identity is not None
    return isinstance(item, dict) and item.get("start") is not None and item.get("end") is not None
