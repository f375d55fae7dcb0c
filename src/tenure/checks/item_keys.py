"""What the keys of nodes, relationships and points hold, and how they compare with their sources; one pass an object.

The key is taken out of every item before it is decided again, so that it cannot vouch for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import sql

from tenure.attribution.ask import ask
from tenure.attribution.graph import NodeSpec, RelationshipSpec
from tenure.attribution.graph_bins import node_item, relationship_item
from tenure.attribution.graph_decide import CHUNK, Attributor
from tenure.attribution.graph_memory import Memory
from tenure.attribution.graph_pages import scan_nodes, scan_relationships
from tenure.attribution.graph_read import Node, Relationship
from tenure.attribution.graph_values import Decided
from tenure.attribution.items import as_text
from tenure.attribution.points import READ, PointSpec, Resolve, RowsExist, canonical, decide_points
from tenure.attribution.resolve import Answer, Says
from tenure.attribution.spec import ColumnSource, ItemRule
from tenure.checks.base import SAMPLE, View
from tenure.checks.done import operation_done
from tenure.checks.item_bins import graph_objects
from tenure.checks.links import Link, links
from tenure.checks.row_bins import QUARANTINE, SHARED, UNASSIGNED
from tenure.checks.row_differences import APPLICATION, GIVEN, RELEASABLE, WRONG
from tenure.checks.row_keys import Keys
from tenure.checks.view import resolving
from tenure.ledger.ledger import dumps
from tenure.stores.qdrant import Point

CROSSED = "crossed"
"""A relationship whose key is not that of both its ends; the other kinds are those of rows."""

STAYED = "stayed"
"""A relationship that was quarantined before its ends were split: it stays between the originals, and these may have
one tenant by now."""


@dataclass
class ItemKeys:
    """The keys of one object's items, and those that differ from what is derived: count and samples by kind.

    `listed_as` is the store and the object under which the ledger lists quarantined items. `several` are nodes that
    several tenants feed, and relationships that several own.
    """

    keys: Keys = field(default_factory=Keys)
    kinds: dict[str, tuple[int, list[object]]] = field(default_factory=dict)
    listed_as: tuple[str, str] = ("", "")
    several: int = 0
    several_sample: list[object] = field(default_factory=list)

    def differs(self, kind: str, sample: object) -> None:
        """Count an item that differs."""
        count, listed = self.kinds.get(kind, (0, []))
        if len(listed) < SAMPLE:
            listed.append(sample)
        self.kinds[kind] = (count + 1, listed)


def graph_keys(view: View) -> dict[str, ItemKeys]:
    """Return the keys of every keyed label and type; read once for a view."""

    def make() -> dict[str, ItemKeys]:
        with Memory() as memory:
            return {name: _graph(view, spec, memory) for name, spec in graph_objects(view)}

    return view.once("graph_keys", make)


def point_keys(view: View) -> dict[str, ItemKeys]:
    """Return the keys of every keyed collection; read once for a view."""
    specs = view.points.specs if view.qdrant is not None else ()
    return view.once("point_keys", lambda: {spec.collection: _points(view, spec) for spec in specs})


def _graph(view: View, spec: NodeSpec | RelationshipSpec, memory: Memory) -> ItemKeys:
    store, graph = view.neo4j, view.graph.spec
    assert store is not None
    assert graph is not None
    found = ItemKeys(listed_as=("neo4j", spec.label if isinstance(spec, NodeSpec) else spec.type))
    attributor = Attributor(store, graph, view.lookups, "keys", memory)
    if isinstance(spec, NodeSpec):
        link = _link(view, "neo4j", spec.label)
        for nodes in scan_nodes(store, attributor.shapes, spec, CHUNK, everything=True):
            decided = attributor.nodes(spec, [replace(node, present=None) for node in nodes])
            values = [_value(node.fields, link, node.fields.get(spec.identity or "")) for node in nodes]
            _compare(view, found, spec.rule, nodes, decided, link, values, [node_item(spec, n) for n in nodes])
        return found
    ends = {*spec.start_labels, *spec.end_labels}
    split = any(
        n.splits and n.label in ends and operation_done(view, f"neo4j.split_node.{n.label}") for n in graph.nodes
    )
    for rows in scan_relationships(store, attributor.shapes, spec, CHUNK, everything=True):
        decided = attributor.relationships(spec, [replace(row, present=None) for row in rows])
        names = [relationship_item(graph, row) for row in rows]
        kind = CROSSED if spec.by_ends else WRONG
        nothing = [None] * len(rows)
        stayed = STAYED if split and spec.by_ends else RELEASABLE
        _compare(view, found, spec.rule, rows, decided, None, nothing, names, kind=kind, sentinel_kind=stayed)
        if not spec.by_ends:
            _ends(view, attributor, found, rows, names)
    return found


def _ends(
    view: View, attributor: Attributor, found: ItemKeys, rows: Sequence[Relationship], names: Sequence[object]
) -> None:
    """Compare keys that come from elsewhere with the tenants of both ends."""
    belongs = attributor.belongs(node for row in rows for node in (row.start, row.end))
    for row, name in zip(rows, names, strict=True):
        if row.present is None:
            continue
        present = as_text(row.present)
        for node in (row.start, row.end):
            owner = belongs[node.element]
            crossing = owner.answer.says is Says.TENANT and present not in (owner.tenants | {view.key.quarantine})
            if crossing or (owner.answer.says is Says.QUARANTINED and present != view.key.quarantine):
                found.differs(CROSSED, {"item": name, "key": present, "sources": sorted(owner.tenants)})
                break


def _points(view: View, spec: PointSpec) -> ItemKeys:
    with resolving(view, spec.collection) as resolve:
        return _resolved_points(view, spec, resolve)


def _resolved_points(view: View, spec: PointSpec, resolve: Resolve | None) -> ItemKeys:
    assert view.qdrant is not None
    switch = view.switches.get(spec.collection)
    found = ItemKeys(listed_as=("qdrant", switch.collection if switch is not None else spec.collection))
    link = _link(view, "qdrant", spec.collection)
    rows_exist = RowsExist(view.postgres.connection)
    name = view.key.name
    # A rule that reads the key itself would have nothing to read without it.
    reads_key = any(isinstance(source, ColumnSource) and source.name == name for source in spec.rule.sources)
    for points in view.qdrant.pages(spec.collection, fields=spec.fields, limit=READ):
        bare = list(points) if reads_key else [Point(p.id, _without(p.payload, name)) for p in points]
        decided = [
            Decided(replace(one.decision, write=one.write))
            for one in decide_points(spec, bare, view.lookups, rows_exist, resolve=resolve)
        ]
        known = [one.identity for one in resolve(points)] if resolve is not None else [p.id for p in points]
        items = [Node(str(p.id), 0, canonical(view.key, p.payload.get(name)), dict(p.payload)) for p in points]
        wrong_type = [p.payload.get(name) for p in points]
        values = [_value(p.payload, link, identity) for p, identity in zip(points, known, strict=True)]
        if reads_key:
            decided = [
                one if one.decision.write is not None else Decided(replace(one.decision, write=_as_key(item.present)))
                for one, item in zip(decided, items, strict=True)
            ]
        _compare(view, found, spec.rule, items, decided, link, values, [p.id for p in points], raw=wrong_type,
                 listed=known)  # fmt: skip
    return found


def _compare(
    view: View,
    found: ItemKeys,
    rule: ItemRule,
    items: Sequence[Node | Relationship],
    decided: Sequence[Decided],
    link: Link | None,
    values: Sequence[Any],
    names: Sequence[object],
    *,
    kind: str = WRONG,
    raw: Sequence[Any] | None = None,
    listed: Sequence[Any] | None = None,
    sentinel_kind: str = RELEASABLE,
) -> None:
    """Count a page's keys, and what differs from the decisions made without them; *listed* are the names under which
    the ledger lists the items in quarantine, where these are others, *sentinel_kind* what a quarantined item is whose
    sources know a tenant by now."""
    keys = found.keys
    view.lookups.values(item.present for item in items if isinstance(item.present, str | int | float))
    open_differences: list[tuple[int, str, dict[str, object]]] = []
    releasable: list[tuple[object, dict[str, object]]] = []
    for index, (item, one) in enumerate(zip(items, decided, strict=True)):
        keys.total += 1
        if one.tenants:
            found.several += 1
            if len(found.several_sample) < SAMPLE:
                found.several_sample.append({"item": names[index], "tenants": list(one.tenants)})
        answer = _answer(view, item.present, raw[index] if raw is not None else item.present)
        derived = one.decision.write
        sample = {"item": names[index], "key": item.present, "sources": derived or one.decision.bin,
                  "reason": one.decision.reason}  # fmt: skip
        if answer.says is Says.NOTHING:
            keys.untagged += 1
            keeps = rule.policy.unassigned == "keep_null" and item.present is None
            keys.kept += keeps
            keys.ends[SHARED if keeps else UNASSIGNED] += 1
            if keeps and derived is not None:
                found.differs(kind, sample)
            elif not keeps:
                _keep(keys, "untagged", names[index])
            continue
        if answer.says is Says.UNKNOWN:
            keys.unknown += 1
            keys.ends[UNASSIGNED] += 1
            _keep(keys, "unknown", {"item": names[index], "key": item.present})
            continue
        sentinel = answer.says in (Says.QUARANTINED, Says.SHARED)
        present = answer.value or ""
        keys.ends[{Says.QUARANTINED: QUARANTINE, Says.SHARED: SHARED}.get(answer.says, present)] += 1
        if present == derived or present in one.tenants:
            continue
        if sentinel:
            if derived is not None and derived not in (view.key.quarantine, view.key.shared):
                releasable.append(((listed or names)[index], sample))
        else:
            open_differences.append((index, present, sample))
    put_aside = _put_aside(view, [name for name, _ in releasable])
    for name, sample in releasable:
        if dumps(name) not in put_aside:
            found.differs(sentinel_kind, sample)
    if not open_differences:
        return
    given = _given(view, found.listed_as, [(listed or names)[index] for index, _, _ in open_differences])
    said = view.lookups.rows(link.rows, [values[index] for index, _, _ in open_differences]) if link is not None else {}
    for index, present, sample in open_differences:
        if kind == WRONG and given.get(dumps((listed or names)[index])) == present:
            found.differs(GIVEN, sample)
            continue
        if decided[index].decision.bin == "unassigned" or rule.policy.existing == "keep":
            found.differs(APPLICATION, sample)
            continue
        value = values[index]
        row = said.get(as_text(value)) if value is not None else None
        # An item that differs from its own row is agreement's finding; every difference is reported once.
        disagrees = row is not None and row.says in (Says.TENANT, Says.QUARANTINED) and row.value != present
        if not disagrees:
            found.differs(kind, sample)


def _given(view: View, listed_as: tuple[str, str], names: Sequence[object]) -> dict[str, str]:
    """Return to whom a person released items that were quarantined."""
    if view.ledger is None:
        return {}
    query = sql.SQL(
        "SELECT item, released_to FROM tenure.quarantine WHERE store = $1::text AND object = $2::text "
        "AND item = ANY($3::jsonb[]) AND released_to IS NOT NULL"
    )
    with view.connect() as connection:
        found = ask(connection, query, *listed_as, [dumps(name) for name in names])
        return {dumps(item): tenant for item, tenant in found}


def _put_aside(view: View, names: Sequence[object]) -> set[str]:
    """Return which items are quarantined because of a key that they had before: without it nothing is to be seen."""
    if not names:
        return set()
    query = sql.SQL(
        "SELECT item FROM tenure.quarantine WHERE item = ANY($1::jsonb[]) AND released_to IS NULL "
        "AND reason LIKE 'the existing key%'"
    )
    with view.connect() as connection:
        return {dumps(item) for (item,) in ask(connection, query, [dumps(name) for name in names])}


def _answer(view: View, present: Any, raw: Any) -> Answer:
    """Return what a key is: nothing, a sentinel, a tenant in its own words, or a value that is none."""
    if isinstance(present, list | dict) and present != []:
        return Answer(Says.UNKNOWN, repr(present))
    answer = view.lookups.present(present)
    # An alias is no key: a read that names the tenant would not find the item. Nor is, in Qdrant, a number.
    foreign = answer.says is Says.TENANT and (answer.value != as_text(present) or type(raw) is not type(present))
    return Answer(Says.UNKNOWN, as_text(present)) if foreign else answer


def _keep(keys: Keys, name: str, sample: object) -> None:
    listed = keys.samples.get(name, ())
    if len(listed) < SAMPLE:
        keys.samples[name] = (*listed, sample)


def _link(view: View, store: str, object_: str) -> Link | None:
    return next((link for link in links(view) if (link.store, link.object) == (store, object_)), None)


def _value(fields: Mapping[str, Any], link: Link | None, identity: Any) -> Any:
    """Return the value by which an item names its row."""
    if link is None:
        return None
    value = identity if link.rows.match is None else _at(fields, link.rows.match)
    return None if isinstance(value, list | dict) else value


def _at(fields: Mapping[str, Any], place: str) -> Any:
    if place in fields:
        return fields[place]
    value: Any = fields
    for part in place.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _without(payload: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {field_: value for field_, value in payload.items() if field_ != name}


def _as_key(present: Any) -> str | None:
    return present if isinstance(present, str) else None
