"""Decides to whom nodes and relationships belong, a page at a time.

Two modes that differ only in how a neighbour is known: by the *keys* that are already written, or, before anything is,
by the neighbour's own *sources*, asked recursively.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tenure.attribution.end_rows import end_rows
from tenure.attribution.graph import GraphSpec, NodeSpec, RelationshipSpec
from tenure.attribution.graph_around import CHUNK, Around, Mode
from tenure.attribution.graph_memory import Memory, Trail
from tenure.attribution.graph_own import with_own_value
from tenure.attribution.graph_read import OTHER, SHARED, Node, Relationship, Shapes, chunks, untagged_values
from tenure.attribution.graph_values import (
    NOWHERE,
    Belongs,
    Decided,
    Tally,
    common_tenants,
    entries_of,
    limited,
    named,
)
from tenure.attribution.items import Item, Lookups, answers_of, decide_items
from tenure.attribution.resolve import NOTHING, Answer, Says
from tenure.attribution.spec import EndRowsSource, EndsSource, ItemRule, NeighboursSource, Policy

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore


__all__ = ["CHUNK", "Attributor", "Mode"]


class Attributor:
    """Decides pages of one graph; holds no more than a page and what it asked about it."""

    def __init__(
        self,
        store: Neo4jStore,
        graph: GraphSpec,
        lookups: Lookups,
        mode: Mode = "keys",
        memory: Memory | None = None,
        *,
        bars: bool = True,
    ) -> None:
        """Read from *store*; Postgres is asked through *lookups*. A neighbour behind a quarantined relationship says
        nothing, unless *bars* is false.

        *memory* is for a pass that only reads: what a node belongs to is found out once. By keys, which change under a
        backfill, nothing is remembered without one; by sources an attributor has one of its own.
        """
        self._graph = graph
        self._lookups = lookups
        self._mode: Mode = mode
        self._numeric = graph.key.type == "bigint"
        self.shapes = Shapes(graph)
        self._untagged = untagged_values(graph.key)
        self._surroundings = Around(store, graph, self.shapes, mode, bars)
        self._memory = Memory() if memory is None and mode == "sources" else memory

    def is_untagged(self, present: Any) -> bool:
        """Return whether a key as it stands means "no tenant yet"."""
        return present is None or (isinstance(present, str | int) and present in self._untagged)

    def nodes(self, spec: NodeSpec, nodes: Sequence[Node], trail: Trail | None = None) -> list[Decided]:
        """Decide a page of nodes that go by *spec*; *trail* says on whose behalf, where it is not their own."""
        trail = trail or Trail()
        answers: list[dict[int, Answer]] = [{} for _ in nodes]
        several: list[frozenset[str]] = [NOWHERE for _ in nodes]
        for place, source in enumerate(spec.rule.sources):
            if isinstance(source, NeighboursSource):
                tallies = self._tallies(source, nodes, trail.around(spec.label))
                earlier = self._earlier(spec, nodes, answers, place, tallies)
                for index, node in enumerate(nodes):
                    answer, tenants = self._around(spec, tallies[node.element], node.present, earlier.get(index))
                    answers[index][place] = answer
                    several[index] = several[index] or tenants
        items = [self._item(spec, node, found) for node, found in zip(nodes, answers, strict=True)]
        decisions = decide_items(spec.rule, items, self._lookups)
        return [
            Decided(decision, tuple(sorted(tenants)) if decision.bin == "assigned" else ())
            for decision, tenants in zip(decisions, several, strict=True)
        ]

    def standing(self, spec: NodeSpec, nodes: Sequence[Node]) -> list[Decided]:
        """Decide a page of nodes as they stand, and remember to whom they belong for what is asked later."""
        trail = Trail()
        decided = self.nodes(spec, nodes, trail)
        if self._memory is not None and self._remembers(spec):
            self._memory.put(self._finals(spec, nodes, decided), trail.met)
        return decided

    def relationships(self, spec: RelationshipSpec, rows: Sequence[Relationship]) -> list[Decided]:
        """Decide a page of relationships of one type."""
        answers = self._end_rows(spec, rows)
        several: list[frozenset[str]] = [NOWHERE for _ in rows]
        reasons = [""] * len(rows)
        for place, source in enumerate(spec.rule.sources):
            if isinstance(source, EndsSource):
                for index, (answer, tenants, reason) in enumerate(self._ends(spec, rows)):
                    answers[index][place] = answer
                    several[index], reasons[index] = tenants, reason
        items = [Item(None, row.fields, row.present, found) for row, found in zip(rows, answers, strict=True)]
        decisions = decide_items(spec.rule, items, self._lookups)
        return [
            Decided(
                replace(d, reason=f"{d.reason}: {reason}" if reason and d.bin == "conflict" else d.reason),
                tuple(sorted(tenants)) if d.bin == "assigned" else (),
            )
            for d, tenants, reason in zip(decisions, several, reasons, strict=True)
        ]

    def belongs(self, nodes: Iterable[Node], trail: Trail | None = None) -> dict[str, Belongs]:
        """Return to whom each node belongs, by its element."""
        trail = trail or Trail()
        by_kind: dict[int, dict[str, Node]] = defaultdict(dict)
        for node in nodes:
            by_kind[node.kind][node.element] = node
        found: dict[str, Belongs] = {}
        for kind, members in by_kind.items():
            if kind in (SHARED, OTHER):
                answer = Answer(Says.SHARED, self._graph.key.shared) if kind == SHARED else NOTHING
                found.update(dict.fromkeys(members, Belongs(answer)))
                continue
            spec = self._graph.nodes[kind]
            if spec.by_neighbours:
                trail.met.add(spec.label)
            if spec.by_neighbours and spec.label in trail.asking:
                found.update(dict.fromkeys(members, Belongs(NOTHING)))
            elif self._remembers(spec):
                found.update(self._looked_around(spec, members, trail))
            else:
                found.update(self._by_keys(spec, list(members.values())))
        return found

    def _remembers(self, spec: NodeSpec) -> bool:
        """Return whether it takes more than a look at its key to say to whom a node belongs."""
        return self._mode == "sources" or spec.splits

    def _looked_around(self, spec: NodeSpec, members: dict[str, Node], trail: Trail) -> dict[str, Belongs]:
        """Return to whom nodes of one label belong: by their sources, or by neighbours where they are to be split."""
        memory = self._memory
        found = memory.get(list(members), trail) if memory is not None else {}
        for chunk in chunks((node for element, node in members.items() if element not in found), CHUNK):
            own = Trail(trail.asking)
            answers = self._finals(spec, chunk, self.nodes(spec, chunk, own))
            # Found out on somebody's behalf, it holds for everybody only if nobody was left out for it.
            if memory is not None and own.met.isdisjoint(own.asking):
                memory.put(answers, own.met)
            found.update(answers)
            trail.met |= own.met
        return found

    def _finals(self, spec: NodeSpec, nodes: Sequence[Node], decided: Sequence[Decided]) -> dict[str, Belongs]:
        return {
            node.element: self._final(spec.rule.policy, node.present, one)
            for node, one in zip(nodes, decided, strict=True)
        }

    def _by_keys(self, spec: NodeSpec, nodes: Sequence[Node]) -> dict[str, Belongs]:
        """Return what the keys say that are there."""
        self._lookups.values(node.present for node in nodes if isinstance(node.present, str | int))
        return {node.element: self._owned(spec.rule.policy, self._lookups.present(node.present)) for node in nodes}

    def _owned(self, policy: Policy, answer: Answer) -> Belongs:
        if answer.says is Says.TENANT and answer.value is not None:
            return Belongs(answer, frozenset((answer.value,)))
        if answer.says is Says.NOTHING and policy.unassigned == "keep_null":
            return Belongs(Answer(Says.SHARED, self._graph.key.shared))
        return Belongs(answer)

    def _final(self, policy: Policy, present: Any, decided: Decided) -> Belongs:
        """Return to whom an item belongs once its decision is written."""
        decision = decided.decision
        if decision.write is None and decision.bin in ("unassigned", "conflict") and policy.conflict != "first":
            return self._owned(policy, NOTHING)
        answer = self._lookups.present(decision.write if decision.write is not None else present)
        if decided.tenants and answer.says is Says.TENANT:
            return Belongs(answer, frozenset(decided.tenants))
        return self._owned(policy, answer)

    # Neighbours.

    def _around(self, spec: NodeSpec, tally: Tally, present: Any, earlier: str | None) -> tuple[Answer, frozenset[str]]:
        """Return what the neighbours say of one node, and its tenants where it is to be split."""
        tenants = tally.tenants()
        if not tenants:
            if tally.quarantined:
                return Answer(Says.QUARANTINED, self._graph.key.quarantine), NOWHERE
            return (Answer(Says.SHARED, self._graph.key.shared) if tally.shared else NOTHING), NOWHERE
        if len(tenants) == 1:
            return Answer(Says.TENANT, next(iter(tenants))), NOWHERE
        if spec.several == "shared":
            return Answer(Says.SHARED, self._graph.key.shared), NOWHERE
        if spec.several == "conflict":
            return Answer(Says.SEVERAL), NOWHERE
        if earlier is not None and earlier in tenants:
            # An earlier source has decided; the neighbours are a witness, and one of them agrees.
            return Answer(Says.TENANT, earlier), NOWHERE
        # A key that is one of the node's tenants stays, so that what was decided yesterday is right today.
        there = self._lookups.present(present)
        if there.says is Says.TENANT and there.value in tenants:
            return there, tenants
        return Answer(Says.TENANT, tally.most(self._numeric)), tenants

    def _earlier(
        self,
        spec: NodeSpec,
        nodes: Sequence[Node],
        answers: Sequence[dict[int, Answer]],
        place: int,
        tallies: dict[str, Tally],
    ) -> dict[int, str]:
        """Return the tenant that earlier sources gave to nodes with several tenants around them."""
        places = [i for i, node in enumerate(nodes) if len(tallies[node.element].tenants()) > 1]
        if place == 0 or not places or spec.several != "split":
            return {}
        rule = ItemRule(key=spec.rule.key, sources=spec.rule.sources[:place], policy=Policy(existing="rederive"))
        items = [self._item(spec, nodes[i], answers[i], present=None) for i in places]
        decisions = decide_items(rule, items, self._lookups)
        return {i: d.write for i, d in zip(places, decisions, strict=True) if d.bin == "assigned" and d.write}

    def _tallies(self, source: NeighboursSource, nodes: Sequence[Node], trail: Trail) -> dict[str, Tally]:
        """Count the tenants around each node of a page."""
        tallies = {node.element: Tally() for node in nodes}
        for type in source.types:
            relationship = self._graph.relationship(type)
            if relationship is not None and (relationship.has_own_source or relationship.references):
                self._tally_each(relationship, tallies, trail)
            else:
                self._tally_ends(type, tallies, trail)
        return tallies

    def _tally_ends(self, type: str, tallies: dict[str, Tally], trail: Trail) -> None:
        """Count the nodes at the other ends."""
        for page in self._surroundings.neighbours(type, list(tallies)):
            belongs = self.belongs((other.node for other in page), trail)
            for other in page:
                _count(tallies[other.of], belongs[other.node.element], other.barred, other.times)

    def _tally_each(self, spec: RelationshipSpec, tallies: dict[str, Tally], trail: Trail) -> None:
        """Count the relationships one by one: each may have a tenant of its own."""
        for page in self._surroundings.relationships(spec, list(tallies)):
            for (element, row), belongs in zip(page, self._own(spec, page, trail), strict=True):
                _count(tallies[element], belongs, self._surroundings.is_barred(row, element))

    def _own(self, spec: RelationshipSpec, pairs: Sequence[tuple[str, Relationship]], trail: Trail) -> list[Belongs]:
        """Return to whom relationships belong as seen from one end: by their own sources, else by the other end."""
        rows = [row for _, row in pairs]
        answers = self._end_rows(spec, rows)
        if not spec.by_ends:
            items = [Item(None, row.fields, row.present, found) for row, found in zip(rows, answers, strict=True)]
            decisions = decide_items(spec.rule, items, self._lookups)
            return [
                self._final(spec.rule.policy, row.present, Decided(one))
                for row, one in zip(rows, decisions, strict=True)
            ]
        items = [Item(None, row.fields, None, found) for row, found in zip(rows, answers, strict=True)]
        said = answers_of(spec.rule, items, self._lookups)
        others = [row.end if row.start.element == element else row.start for element, row in pairs]
        ends = self.belongs(others, trail)
        silent = [all(answer.says is Says.NOTHING for answer in found) for found in said]
        seen = [ends[other.element] for other in others]
        listed = [row for row, mute, end in zip(rows, silent, seen, strict=True) if mute and len(end.tenants) > 1]
        owners = self._owners(spec, listed, trail)
        found = []
        for row, mute, end, own in zip(rows, silent, seen, said, strict=True):
            entries = owners.get(row.element)
            common = end.tenants & entries.tenants() if entries is not None else NOWHERE
            if not mute:
                found.append(with_own_value(spec.rule, own, end))
            else:
                found.append(Belongs(end.answer, common) if common else end)
        return found

    def _end_rows(self, spec: RelationshipSpec, rows: Sequence[Relationship]) -> list[dict[int, Answer]]:
        """Return what rows that name both ends say of relationships, by the place of the source."""
        answers: list[dict[int, Answer]] = [{} for _ in rows]
        for place, source in enumerate(spec.rule.sources):
            if isinstance(source, EndRowsSource):
                found = end_rows(self._lookups, source, [self._identities(row) for row in rows])
                for index, answer in enumerate(found):
                    answers[index][place] = answer
        return answers

    # Ends.

    def _ends(self, spec: RelationshipSpec, rows: Sequence[Relationship]) -> list[tuple[Answer, frozenset[str], str]]:
        """Return what the ends say of each relationship, its tenants where it is to be divided, and why they clash."""
        quick = [self._quick(spec, row) for row in rows]
        slow = [row for row, answer in zip(rows, quick, strict=True) if answer is None]
        belongs = self.belongs(node for row in slow for node in (row.start, row.end))
        pairs = {row.element: (belongs[row.start.element], belongs[row.end.element]) for row in slow}
        divided = [row for row in slow if len(common_tenants(*pairs[row.element])) > 1]
        owners = self._owners(spec, divided, Trail())
        result = []
        for row, answer in zip(rows, quick, strict=True):
            if answer is not None:
                result.append((answer, NOWHERE, ""))
            else:
                result.append(self._between(*pairs[row.element], owners.get(row.element), row.present))
        return result

    def _quick(self, spec: RelationshipSpec, row: Relationship) -> Answer | None:
        """Return the answer where it needs no look at the neighbours of a node that is to be split.

        A node takes all tenants of its neighbours: a neighbour with a single tenant has that one in common with it.
        """
        if self._mode != "keys" or spec.references or spec.has_own_source:
            return None
        for end, other in ((row.start, row.end), (row.end, row.start)):
            if end.kind < 0 or other.kind < 0 or end.element == other.element:
                continue
            split, single = self._graph.nodes[end.kind], self._graph.nodes[other.kind]
            if not split.splits or single.splits or len(split.rule.sources) > 1:
                continue
            source = split.rule.sources[0]
            if not isinstance(source, NeighboursSource) or spec.type not in source.types:
                continue
            here, there = self._lookups.present(end.present), self._lookups.present(other.present)
            if here.says is Says.TENANT and there.says is Says.TENANT:
                return there
        return None

    def _between(
        self, start: Belongs, end: Belongs, owners: Tally | None, present: Any
    ) -> tuple[Answer, frozenset[str], str]:
        """Return what two ends make of a relationship between them."""
        says = {start.answer.says, end.answer.says}
        if Says.QUARANTINED in says:
            return Answer(Says.QUARANTINED, self._graph.key.quarantine), NOWHERE, ""
        if says == {Says.SHARED}:
            return Answer(Says.SHARED, self._graph.key.shared), NOWHERE, ""
        if not says <= {Says.SHARED, Says.TENANT}:
            return NOTHING, NOWHERE, ""
        common = common_tenants(start, end)
        if len(common) == 1:
            return Answer(Says.TENANT, next(iter(common))), NOWHERE, ""
        entries = owners.tenants() & common if owners is not None else NOWHERE
        if len(entries) == 1:
            return Answer(Says.TENANT, next(iter(entries))), NOWHERE, ""
        if entries and owners is not None:
            there = self._lookups.present(present)
            if there.says is Says.TENANT and there.value in entries:
                return there, entries, ""
            return Answer(Says.TENANT, limited(owners, entries).most(self._numeric)), entries, ""
        return Answer(Says.SEVERAL), NOWHERE, f"it starts at {named(start)} and ends at {named(end)}"

    def entry_owners(
        self, spec: RelationshipSpec, rows: Sequence[Relationship], trail: Trail | None = None
    ) -> dict[str, dict[Any, list[Belongs]]]:
        """Return to whom the nodes belong that reference lists name: by list property, then by entry."""
        found: dict[str, dict[Any, list[Belongs]]] = {}
        for reference in spec.references:
            wanted = list({entry for row in rows for entry in entries_of(row.fields.get(reference.property))})
            owners: dict[Any, list[Belongs]] = defaultdict(list)
            for pairs in self._surroundings.named(reference, wanted):
                belongs = self.belongs((node for _, node in pairs), trail)
                for entry, node in pairs:
                    owners[entry].append(belongs[node.element])
            found[reference.property] = owners
        return found

    def _owners(self, spec: RelationshipSpec, rows: Sequence[Relationship], trail: Trail) -> dict[str, Tally]:
        """Return the tenants of the nodes that the reference lists of relationships name, by the relationship."""
        tallies = {row.element: Tally() for row in rows}
        for property, owners in self.entry_owners(spec, rows, trail).items() if rows else ():
            for row in rows:
                for entry in entries_of(row.fields.get(property)):
                    for belongs in owners.get(entry, ()):
                        tallies[row.element].add(belongs)
        return tallies

    def _identities(self, row: Relationship) -> tuple[Any, Any]:
        return self._identity(row.start), self._identity(row.end)

    def _identity(self, node: Node) -> Any:
        identity = self._graph.nodes[node.kind].identity if node.kind >= 0 else None
        return node.fields.get(identity) if identity else None

    def _item(self, spec: NodeSpec, node: Node, answers: dict[int, Answer], **changed: Any) -> Item:
        identity = node.fields.get(spec.identity) if spec.identity else None
        return Item(identity, node.fields, changed.get("present", node.present), answers)


def _count(tally: Tally, belongs: Belongs, barred: bool, times: int = 1) -> None:
    """Count a neighbour; one that is reached by a quarantined relationship has no tenant to say."""
    if not barred or belongs.answer.says is Says.QUARANTINED:
        tally.add(belongs, times)
