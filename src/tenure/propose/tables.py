"""Chooses, for every table, the shortest trustworthy way to its tenant. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tenure.catalog.postgres import PostgresCatalog, Table
from tenure.propose.attribution import Attributor, Source, Tally
from tenure.propose.evidence import Evidence
from tenure.propose.links import INCLUSION, MIN, keyable
from tenure.propose.names import likeness, points_at, tokens
from tenure.propose.sources import KEY, REVERSE, link_sources, own_sources, passing
from tenure.propose.values import NOTHING, SEVERAL, UNKNOWN, Tenants

# Sources that contradict each other on more of their common rows mean different things.
DISAGREE = 0.2
AMBIGUOUS = 0.2
ENOUGH = 0.5
MIN_REVERSE = 3
LEARNING_ROUNDS = 3
_BUCKETS = (0.98, 0.8, 0.5, 0.0)
_OWN = ("column", "mapping")


@dataclass(frozen=True)
class Choice:
    """The sources chosen for a table, with what they come to; `rivals` contradict each other: a person must choose."""

    table: str
    sources: tuple[Source, ...]
    tally: Tally
    others: tuple[tuple[Source, int, int], ...] = ()
    rivals: tuple[Source, ...] = ()
    unknown: tuple[tuple[str, int], ...] = ()
    links: int = 0


@dataclass
class Tables:
    """Decides all tables, and what spellings of tenants there are, together: each helps the other."""

    catalog: PostgresCatalog
    evidence: Evidence
    tenants: Tenants
    attributor: Attributor = field(init=False)
    candidates: dict[str, list[Source]] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    own: dict[str, list[Source]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start from the registry."""
        registry = self.evidence.registry
        self.attributor = Attributor(self.evidence.tables, self.tenants, registry.table, registry.column)
        left_out = {registry.table, *self.evidence.unkeyed}
        self.tables = [t for t in keyable(self.catalog) if t.display not in left_out]

    def decide(self) -> None:
        """Decide every table that has a way to a tenant."""
        for _ in range(LEARNING_ROUNDS):
            self.own = self._own()
            self.attributor.sources.clear()
            self.attributor.forget()
            self._rounds()
            if not self._learn():
                break
        for table in self.tables:
            if self.attributor.decided(table.display):
                self.choices[table.display] = self._choice(table)

    def _own(self) -> dict[str, list[Source]]:
        """Return every table's own sources; values in columns that hold tenants teach spellings on the way."""
        found: dict[str, list[Source]] = {}
        for _ in range(2):
            names = frozenset(s.column for sources in found.values() for s in sources if s.kind in _OWN)
            found = {t.display: [*own_sources(t, self.evidence, self.tenants, names - {"id"})] for t in self.tables}
            seen: Counter[str] = Counter()
            for name, sources in found.items():
                for source in sources:
                    if source.kind == "column":
                        seen.update(v for v in self.evidence.tables[name].values(source.column) if v is not None)
            self.tenants.learn_words(seen)
            for table in self.tables:
                for column in table.columns:
                    if column.text_like and self._called(column.name):
                        seen.update(v for v in self.evidence.tables[table.display].values(column.name) if v is not None)
            self.tenants.learn_spellings(seen)
        return found

    def _rounds(self) -> None:
        for table in self.tables:
            usable = [source for source in self.own[table.display] if not passing(source)]
            if usable:
                self.attributor.decide(table.display, self._best(table, usable))
        while self._spread(reverse=False) or self._spread(reverse=True):
            pass
        for _ in range(2):  # a better parent may have been decided after a worse one was taken
            for table in self.tables:
                if self.attributor.decided(table.display):
                    sources = self._usable(table)
                    self.candidates[table.display] = sources
                    self.attributor.decide(table.display, self._best(table, sources))

    def _spread(self, *, reverse: bool) -> bool:
        """Decide what can be reached from decided tables in one step; returns whether anything was."""
        reached = {}
        for table in self.tables:
            if not self.attributor.decided(table.display):
                found = [s for s in self._linked(table, reverse=reverse) if not passing(s)]
                if found:
                    reached[table.display] = self._best(table, found)
        for name, sources in reached.items():
            self.attributor.decide(name, sources)
        return bool(reached)

    def _usable(self, table: Table) -> list[Source]:
        own = [source for source in self.own[table.display] if not passing(source)]
        forward = [source for source in self._linked(table, reverse=False) if not passing(source)]
        return own + forward or [*self._linked(table, reverse=True)]

    def _linked(self, table: Table, *, reverse: bool) -> Iterator[Source]:
        links = self.evidence.links
        for source in link_sources(self.catalog, table, links, self.attributor, reverse=reverse):
            if self._acceptable(table, source):
                yield source

    def _acceptable(self, table: Table, source: Source) -> bool:
        rows = self.evidence.tables[table.display]
        if not rows.sampled:
            return source.declared and source.rank < REVERSE
        tally = self.attributor.tally(table.display, (source,))
        if tally.tenant == 0 or tally.several > AMBIGUOUS * tally.rows:
            return False
        if source.rank == REVERSE:
            return tally.several == 0 and tally.rows >= MIN_REVERSE and tally.share >= INCLUSION and tally.tenants > 1
        return source.declared or self.included(table, source)

    def included(self, table: Table, source: Source) -> bool:
        """Return whether nearly all values of an undeclared link stand in the other table, and are telling enough."""
        link = source.link
        assert link is not None
        rows = self.evidence.tables[table.display]
        values = {self.attributor.own_values(table.display, row, link) for row in rows.rows[: rows.sampled]}
        given = [value for value in values if None not in value]
        hits = sum(1 for value in given if self.attributor.lookup(link.parent, link.ref_columns, value))
        parent, own = self.catalog.table(link.parent), table.column(link.columns[0])
        assert parent is not None
        assert own is not None
        # Numbers that come this way were paired by name, or by a column that tells which table they mean.
        named = len(link.columns) > 1 or own.integer_like
        named = named or points_at(link.columns[0], parent.name, link.ref_columns[0])
        return hits >= INCLUSION * len(given) and (named or len(given) >= MIN)

    def _best(self, table: Table, sources: Sequence[Source]) -> tuple[Source, ...]:
        """Return the sources in order: one where it suffices, more where others fill its gaps and do not contradict."""
        name = table.display
        tallies = {source: self.attributor.tally(name, (source,)) for source in sources}

        def order(source: Source) -> tuple[float, ...]:
            tally = tallies[source]
            bucket = next((n for n, least in enumerate(_BUCKETS) if tally.share >= least), len(_BUCKETS))
            if source.kind in _OWN:
                return (0, source.rank, bucket, not self._plainly(source), -tally.share)
            # Of ways that are equally good, the one to the table of a like name (order_slip to order).
            like = len(set(tokens(table.name)) & set(tokens(source.parent or "")))
            return (1, bucket, source.rank, tally.several, self._depth(source), -like)

        ordered = sorted(sources, key=order)
        first = ordered[0]
        if first.kind in _OWN and first.rank != KEY and tallies[first].share < ENOUGH:
            first = next((s for s in ordered if tallies[s].share >= _BUCKETS[0]), first)
        chosen = [first]
        for source in ordered:
            if source is not first and self._fills(name, tuple(chosen), source):
                chosen.append(source)
        return tuple(chosen)

    def _plainly(self, source: Source) -> bool:
        """Return whether a column is called just like the registry or the key: `project_id`, not `from_project_id`."""
        return self._called(source.column)

    def _called(self, column: str) -> bool:
        registry = self.evidence.registry
        return column == self.evidence.key or likeness(column, registry.table.rpartition(".")[2], registry.column) == 3

    def _fills(self, table: str, chosen: tuple[Source, ...], source: Source) -> bool:
        filled = 0
        for number in range(self.evidence.tables[table].sampled):
            if self.attributor.first(table, number, chosen) == NOTHING:
                filled += self.attributor.answer(table, number, source) not in (NOTHING, UNKNOWN, SEVERAL)
        agree, differ = self.attributor.compare(table, chosen[0], source)
        return filled > 0 and differ <= DISAGREE * (agree + differ)

    def _depth(self, source: Source) -> int:
        steps, parent = 0, source.parent
        while parent is not None and parent != self.attributor.registry and steps < 50:
            of_parent = self.attributor.sources.get(parent, ())
            steps, parent = steps + 1, of_parent[0].parent if of_parent else None
        return steps

    def _choice(self, table: Table) -> Choice:
        name = table.display
        chosen = self.attributor.sources[name]
        others, rivals = [], []
        for source in self.candidates.get(name, []):
            if source is chosen[0]:
                continue
            agree, differ = self.attributor.compare(name, chosen[0], source)
            if agree or differ:
                others.append((source, agree, differ))
            equal = source.kind in _OWN and chosen[0].kind in _OWN and source.rank == chosen[0].rank
            equal = equal and self._plainly(source) == self._plainly(chosen[0])
            equal = equal or (source.declared and chosen[0].declared and source.rank == chosen[0].rank)
            if equal and differ > DISAGREE * (agree + differ):
                rivals.append(source)
        return Choice(
            name,
            chosen,
            self.attributor.tally(name, chosen),
            tuple(others),
            (chosen[0], *rivals) if rivals else (),
            tuple(self._unknown_values(name, chosen).most_common(3)),
            self._depth(chosen[0]),
        )

    def _unknown_values(self, table: str, chosen: Sequence[Source]) -> Counter[str]:
        values: Counter[str] = Counter()
        for number in range(self.evidence.tables[table].sampled):
            for source in chosen:
                said = self.attributor.answer(table, number, source)
                if said == UNKNOWN:
                    values[self.attributor.raw(table, number, source)[0] or ""] += 1
                if said != NOTHING:
                    break
        return values

    def _learn(self) -> bool:
        """Learn from values that are no tenants, by what other sources of the same rows say."""
        beside: defaultdict[str, Counter[str]] = defaultdict(Counter)
        tables: defaultdict[str, set[str]] = defaultdict(set)
        defaults = set()
        for table in self.tables:
            name = table.display
            sources = [s for s in self.own[name] if s.kind == "column"]
            for source in sources:
                column = table.column(source.column)
                if column is not None and column.default and column.default.startswith("'"):
                    defaults.add(column.default[1:].partition("'")[0])
                witnesses = [s for s in self.candidates.get(name, []) if s is not source]
                for number in range(self.evidence.tables[name].sampled):
                    value, _ = self.attributor.raw(name, number, source)
                    if value is None or self.attributor.answer(name, number, source) != UNKNOWN:
                        continue
                    tables[value].add(name)
                    said = {self.attributor.answer(name, number, w) for w in witnesses}
                    beside[value].update(said - {NOTHING, UNKNOWN, SEVERAL})
        often = {value: len(names) for value, names in tables.items()}
        return self.tenants.learn_from_witnesses(beside, often, frozenset(defaults))
