"""Neo4j: filling the key of nodes and relationships, and splitting hubs, beside what people would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from bench.neo4j_data import load_graph, load_table
from bench.neo4j_split import split_sections
from bench.neo4j_ways import (
    INSIDE,
    INSIDE_OUT,
    NODES,
    ONE,
    ONE_OUT,
    RELATIONSHIPS,
    SAMPLE,
    UNWIND,
    UNWIND_OUT,
    Baseline,
    Found,
    Tenure,
    inside,
    one_by_one,
    unwinding,
)
from bench.port import Figures, Goal, Line, Options, Say, Section
from tenure.demo.servers import EmbeddedNeo4j, servers

OURS, BY_PROPERTY = "tenure, key from Postgres", "tenure, key from a property"
SINGLE = f"a statement each ({SAMPLE:,} of them)"
BATCHES, LIMIT = "UNWIND of 10,000, one session", "inside the server"
HEAP, PAGE_CACHE = "2g", "1g"
WANTED = 0.6


class Way(Protocol):
    """One way to do several parts of the work in one go."""

    @property
    def name(self) -> str:
        """How the tables call it."""

    @property
    def ours(self) -> bool:
        """Whether it is tenure's own."""

    def run(self) -> Found:
        """Do it once, from a fresh state."""


def sections(options: Options, say: Say) -> Iterator[Section]:
    """Yield the bench's tables. Parts: `backfill` (nodes and relationships), `split` (hubs)."""
    with servers(neo4j=False, qdrant=False, directory=options.scratch, progress=say) as running:
        postgres = running.postgres
        assert postgres is not None
        with EmbeddedNeo4j(options.scratch / "neo4j", heap=HEAP, page_cache=PAGE_CACHE, progress=say) as graph:
            if options.wants("backfill"):
                say(f"loading {options.rows:,} nodes")
                dsn = load_table(postgres, options.rows)
                load_graph(graph, dsn, options.rows)
                ways = (
                    Tenure(OURS, postgres, graph, options.scratch),
                    Tenure(BY_PROPERTY, postgres, graph, options.scratch, source="{property: project}"),
                    Baseline(SINGLE, graph, dsn, one_by_one(ONE), one_by_one(ONE_OUT), whole=False),
                    Baseline(BATCHES, graph, dsn, unwinding(UNWIND), unwinding(UNWIND_OUT)),
                    Baseline(LIMIT, graph, dsn, inside(INSIDE), inside(INSIDE_OUT)),
                )
                yield from _filled(options, graph, _rounds(ways, options.repeats, say))
            if options.wants("split"):
                graph.wipe()
                yield from split_sections(postgres, graph, options, say)


def _rounds(ways: Sequence[Way], repeats: int, say: Say) -> dict[str, tuple[Line, ...]]:
    """Run every way once per round, as `port.rounds`; return the lines of each part of the work."""
    # The first pass over fresh records, by a cold compiler, is nobody's: it is thrown away.
    for way in ways:
        say(f"once for the server to warm up: {way.name}")
        way.run()
    found: dict[str, dict[str, list[Figures]]] = {part: {w.name: [] for w in ways} for part in (NODES, RELATIONSHIPS)}
    for number in range(1, repeats + 1):
        for way in ways if number % 2 else reversed(ways):
            figures = way.run()
            said = ", ".join(f"{one.rate:,.0f} {part}/s" for part, one in figures.items())
            say(f"round {number} of {repeats}: {way.name}: {said}")
            for part, one in figures.items():
                found[part][way.name].append(one)
    return {
        part: tuple(Line(way.name, way.ours, tuple(lines[way.name])) for way in ways) for part, lines in found.items()
    }


def _filled(options: Options, graph: EmbeddedNeo4j, lines: dict[str, tuple[Line, ...]]) -> Iterator[Section]:
    titled = {
        NODES: f"the key of {options.rows:,} nodes",
        RELATIONSHIPS: f"the key of {options.rows:,} relationships by their ends",
    }
    for part, title in titled.items():
        section = Section(
            store="neo4j",
            title=f"Neo4j {graph.version}: {title}",
            unit=part,
            lines=lines[part],
            baselines=(LIMIT, BATCHES),
            columns={"peak_mb": "peak MB"},
            notes=(
                "Inside the server: CALL {} IN TRANSACTIONS OF 10,000 ROWS from a property of the node, the limit; it "
                "cannot ask Postgres.",
                f"A statement each is measured on {SAMPLE:,}. tenure's seconds go from its count to its last check; "
                f"4 sessions. Heap {HEAP}, page cache {PAGE_CACHE}.",
            ),
        )
        goal = partial(Goal, wanted=WANTED)
        goals = [
            goal(f"of the rate inside the server, {part}, {name}", section.ratio(name, LIMIT)) for name in _held(part)
        ]
        yield Section(**{**vars(section), "goals": tuple(goals)})


def _held(part: str) -> tuple[str, ...]:
    # Relationships go by their ends: what the nodes' key came from makes no difference.
    return (OURS, BY_PROPERTY) if part == NODES else (OURS,)
