"""Rules for labels and relationship types: by rows of the same identity, else by neighbours. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tenure.catalog.neo4j import Label, Neo4jCatalog
from tenure.propose.attribution import Attributor
from tenure.propose.evidence import Evidence, Found, Node
from tenure.propose.names import ACCOUNT_WORDS, STALE_WORDS, bookkeeping, has_word, tokens
from tenure.propose.proposal import Entry
from tenure.propose.relationships import ENOUGH, GOOD, NO_TENANT, LabelRule, relationship_entry
from tenure.propose.values import NOTHING, SEVERAL

ROUNDS = 6


class Graph:
    """Decides all labels, those with rows first, then those that hang on them, and the relationships by their ends."""

    def __init__(self, catalog: Neo4jCatalog, evidence: Evidence, attributor: Attributor) -> None:
        """Take the decided tables with the samples."""
        self.catalog, self.evidence, self.attributor = catalog, evidence, attributor
        self.rules: dict[str, LabelRule] = {}
        self._by_identity: dict[str, dict[str, Node]] = {}

    def entries(self) -> Iterator[Entry]:
        """Yield an entry for every label and relationship type that has items."""
        labels = [label for label in self.catalog.labels if label.count]
        self._decide(labels)
        for label in labels:
            self._fill_gaps(label)
        for label in labels:
            yield self._entry(label)
        shared = {label.name for label in labels if self._shared_by_row(label) is not None}
        for kind in self.catalog.relationship_types:
            if kind.count:
                yield relationship_entry(kind, self.evidence, self.rules, self.attributor.tenants, shared)

    def _decide(self, labels: list[Label]) -> None:
        """Decide labels by their own unique rows, then by neighbours, then by rows that only share a name.

        A node that many rows name (a code, a category) may be one node of several tenants, which only its neighbours
        show; so neighbours are asked before such rows are believed.
        """
        own = {label.name: self._by_itself(label) for label in labels}
        self.rules = {n: rule for n, rule in own.items() if rule.sources and (rule.row is None or rule.row.unique)}
        for _ in range(ROUNDS):
            found = {}
            for label in labels:
                if label.name not in self.rules:
                    near = self._by_neighbours(label)
                    if near.sources and (near.split or not own[label.name].sources):
                        found[label.name] = near
            found = found or {n: r for n, r in own.items() if n not in self.rules and r.sources}
            if not found:
                return
            self.rules.update(found)

    def _by_itself(self, label: Label) -> LabelRule:
        """A rule from the label's own properties: one that names the tenant, or one that identifies a row."""
        rule = LabelRule(identity=self._identity(label))
        sample = self.evidence.nodes[label.name]
        for prop in label.properties:
            said = Counter(self.attributor.tenants.answer(n.properties.get(prop.name)) for n in sample.nodes)
            hits = sum(n for tenant, n in said.items() if tenant not in NO_TENANT)
            named = prop.name == self.evidence.key
            many = sum(1 for tenant in said if tenant not in NO_TENANT) >= 2 and hits >= GOOD * len(sample.nodes)
            if sample.nodes and ((named and hits) or (many and not _numeric(self.evidence, prop.name))):
                rule.property = prop.name
                rule.sources.append({"property": prop.name})
                rule.comments.append(f"{hits} of {len(sample.nodes)} sampled nodes name a tenant in `{prop.name}`")
                break
        place = self._row_of(label, rule.identity)
        if place is not None:
            name, found, said = place
            source: dict[str, Any] = {"postgres": f"{found.table}.{found.column}"}
            rule.row, rule.row_property = found, name
            if not rule.identity:
                rule.identity = name
            if name != rule.identity:
                source["match"] = name
            rule.sources.append(source)
            tenants = sum(n for tenant, n in said.items() if tenant not in NO_TENANT)
            total = sum(said.values())
            rule.comments.append(_counted(f"`{name}` stands in {found.table}.{found.column}", found, said, total))
            rule.confidence = "high" if tenants >= GOOD * total else "medium" if tenants >= ENOUGH * total else "low"
        return rule

    def _row_of(self, label: Label, identity: str) -> tuple[str, Found, Counter[str]] | None:
        """Return the property and column by which most nodes of a label have a row with a tenant."""
        best: tuple[float, str, Found, Counter[str]] | None = None
        nodes = self.evidence.nodes[label.name].nodes
        for prop in label.properties:
            for found in self.evidence.found.get(("neo4j", label.name, prop.name), ()):
                if not self.attributor.decided(found.table) or found.table == self.attributor.registry:
                    continue
                alike = not set(tokens(label.name)).isdisjoint(tokens(found.table))
                unsure = _numeric(self.evidence, prop.name, label.name) and not alike
                if found.matched < ENOUGH * found.distinct or unsure:
                    continue
                said = Counter(
                    self.attributor.of_value(found.table, found.column, value)
                    for node in nodes
                    if (value := node.properties.get(prop.name)) is not None
                )
                tenants = sum(n for tenant, n in said.items() if tenant not in NO_TENANT)
                score = tenants / max(1, len(nodes)) + 0.3 * (prop.name == identity) + 0.2 * alike
                if tenants and tenants >= ENOUGH * len(nodes) and (best is None or score > best[0]):
                    best = score, prop.name, found, said
        return best[1:] if best is not None else None

    def _identity(self, label: Label) -> str:
        """Return the property that identifies a node: a constraint's, else one that every sampled node has once."""
        unique = [
            c.properties[0]
            for c in self.catalog.constraints_on(label.name)
            if c.kind in ("UNIQUENESS", "NODE_KEY") and len(c.properties) == 1
        ]
        if unique:
            return unique[0]
        nodes = self.evidence.nodes[label.name].nodes
        names = sorted((p.name for p in label.properties), key=lambda n: (n not in ("id", "uuid", "name"), n))
        for name in names:
            values = [node.properties.get(name) for node in nodes]
            if values and None not in values and len(set(values)) == len(values):
                return name
        return ""

    def _by_neighbours(self, label: Label) -> LabelRule:
        """A rule from the nodes at the other ends of relationships, as few types as suffice."""
        rule = LabelRule(identity=self._identity(label))
        nodes = self.evidence.nodes[label.name].nodes
        if not rule.identity or not nodes:
            return rule
        by_type: dict[str, list[set[str]]] = {}
        for node in nodes:
            for kind in {kind for kind, *_ in node.neighbours}:
                tenants = self._tenants_near(node, kind, label.name)
                if tenants:
                    by_type.setdefault(kind, []).append(tenants)
        ordered = sorted(by_type, key=lambda kind: (-len(by_type[kind]), kind))
        reached, taken = 0, list[str]()
        for kind in ordered:
            now = sum(1 for node in nodes if any(self._tenants_near(node, t, label.name) for t in [*taken, kind]))
            if now > reached:
                taken, reached = [*taken, kind], now
        if not taken:
            return rule
        several = sum(1 for n in nodes if len(set().union(*(self._tenants_near(n, t, label.name) for t in taken))) > 1)
        rule.types, rule.split = tuple(taken), several > 0
        rule.sources.append({"neighbours": taken})
        rule.confidence = (
            "high" if reached >= GOOD * len(nodes) else "medium" if reached >= ENOUGH * len(nodes) else "low"
        )
        near = f"{reached} of {len(nodes)} sampled nodes have neighbours with a tenant"
        rule.comments.append(f"no row of its own; {near}, {several} of several tenants")
        return rule

    def _fill_gaps(self, label: Label) -> None:
        """Let neighbours answer for nodes whose row is gone, when the relationship leads to nodes with rows."""
        rule = self.rules.get(label.name)
        if rule is None or rule.types or not rule.identity:
            return
        nodes = [n for n in self.evidence.nodes[label.name].nodes if self._of_row(label.name, n) == NOTHING]
        kinds: Counter[str] = Counter()
        for node in nodes:
            for kind, other, _ in node.neighbours:
                above = self.rules.get(other)
                first = (
                    above is not None and above.row is not None and not any("neighbours" in s for s in above.sources)
                )
                if first and other != label.name and self._tenants_near(node, kind, label.name):
                    kinds[kind] += 1
        if kinds:
            kind = kinds.most_common(1)[0][0]
            rule.sources.append({"neighbours": [kind]})
            rule.comments.append(f"{len(nodes)} sampled nodes have no row; {kind} leads to nodes that have")

    def _of_row(self, label: str, node: Node) -> str:
        """Return the tenant of a node by its own property or its row."""
        rule = self.rules.get(label)
        if rule is None:
            return NOTHING
        if rule.property and (said := self.attributor.tenants.answer(node.properties.get(rule.property))) != NOTHING:
            return said
        value = node.properties.get(rule.row_property)
        if rule.row is None or value is None:
            return NOTHING
        return self.attributor.of_value(rule.row.table, rule.row.column, value)

    def _tenants_near(self, node: Node, kind: str, label: str) -> set[str]:
        """Return the tenants of a node's neighbours by one relationship type."""
        found: set[str] = set()
        for near, other, properties in node.neighbours:
            if near == kind and other in self.rules and other != label:
                said = self._of_row(other, Node(properties))
                if said not in NO_TENANT:
                    found.add(said)
                elif self.rules[other].types:
                    found |= self._of_known(other, properties)
        return found

    def _of_known(self, label: str, properties: Mapping[str, str]) -> set[str]:
        """Return the tenants of a sampled node that is itself known by its neighbours."""
        rule = self.rules[label]
        if label not in self._by_identity:
            nodes = self.evidence.nodes[label].nodes
            self._by_identity[label] = {node.properties.get(rule.identity, ""): node for node in nodes}
        found = self._by_identity[label].get(properties.get(rule.identity, ""))
        if found is None:
            return set()
        return set().union(*(self._rows_near(found, kind) for kind in rule.types))

    def _rows_near(self, node: Node, kind: str) -> set[str]:
        said = {self._of_row(other, Node(p)) for near, other, p in node.neighbours if near == kind}
        return said - set(NO_TENANT)

    def _shared_by_row(self, label: Label) -> Found | None:
        """Return the table whose rows a label's nodes are, when that table has no tenant."""
        if label.name in self.rules:
            return None
        for prop in label.properties:
            for found in self.evidence.found.get(("neo4j", label.name, prop.name), ()):
                alike = not set(tokens(label.name)).isdisjoint(tokens(found.table))
                if alike and not self.attributor.decided(found.table) and found.matched >= GOOD * found.distinct:
                    return found
        return None

    def _entry(self, label: Label) -> Entry:
        rule = self.rules.get(label.name)
        if rule is None:
            return self._unowned(label)
        body: dict[str, Any] = {}
        if rule.identity:
            body["identity"] = rule.identity
        body["tenant"] = rule.sources[0] if len(rule.sources) == 1 else {"first": rule.sources}
        if rule.split:
            body["several"] = "split"
            stale = [p.name for p in label.properties if STALE_WORDS.search(p.name)]
            if stale:
                body["stale"] = stale
                rule.comments.append("check `stale`: by their names these were computed over all tenants")
        return Entry("neo4j.nodes", label.name, body, tuple(rule.comments), rule.confidence)

    def _unowned(self, label: Label) -> Entry:
        if (tool := bookkeeping(label.name.lstrip("_"))) or label.name.startswith(("__Neo4jMigration", "_Bloom")):
            reason = f"bookkeeping of {tool or 'a Neo4j tool'}"
            return Entry("neo4j.nodes", label.name, {"exempt": reason}, (), "high")
        found = self._shared_by_row(label)
        if found is not None:
            comment = f"its nodes are rows of {found.table}: {found.matched} of {found.distinct} values"
            reason = f"as {found.table}, whose rows have no tenant"
            return Entry("neo4j.nodes", label.name, {"shared": reason}, (comment,), "medium")
        if has_word(label.name, ACCOUNT_WORDS):
            reason = "accounts belong to people, who may work for several tenants"
            return Entry("neo4j.nodes", label.name, {"shared": reason}, (), "low")
        kinds = sorted({k for node in self.evidence.nodes[label.name].nodes for k, *_ in node.neighbours})
        hints = [f"no property is a tenant or stands in a keyed table ({', '.join(p.name for p in label.properties)})"]
        if kinds:
            hints.append(f"candidates: {{neighbours: [...]}} of {', '.join(kinds)}")
        return Entry("neo4j.nodes", label.name, {"tenant": "?"}, tuple(hints), None)


def _numeric(evidence: Evidence, prop: str, label: str | None = None) -> bool:
    """Return whether a property's sampled values are all whole numbers, which match anything."""
    labels = [label] if label is not None else list(evidence.nodes)
    values = [v for name in labels for n in evidence.nodes[name].nodes if (v := n.properties.get(prop)) is not None]
    return bool(values) and all(value.lstrip("-").isdigit() for value in values)


def _counted(what: str, found: Found, said: Counter[str], total: int) -> str:
    tenants = sum(n for tenant, n in said.items() if tenant not in NO_TENANT)
    text = f"{what}: {found.matched} of {found.distinct} values; {tenants} of {total} sampled nodes get one tenant"
    if said[SEVERAL]:
        text += f", {said[SEVERAL]} several"
    return text
