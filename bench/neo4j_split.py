"""Hubs that three tenants share: each tenant's relationships moved to a copy of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import neo4j
import psycopg

from bench.neo4j_data import BASE, run_tenure, session
from bench.port import Figures, Goal, Options, Say, Section, rounds
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres

SHARING = 3
OURS, ONE_GO, LOOPS = "tenure", "a transaction a tenant", "LIMIT 5,000 loops"
WANTED = 15_000
LOADED = 10_000
LABELS = {"Code": "HAS_CODE"}

SCHEMA = """CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE fragments (id text PRIMARY KEY, project text NOT NULL)"""
ROWS = (
    "INSERT INTO projects SELECT 'p' || n FROM generate_series(0, %(sharing)s::int - 1) n",
    # A third and one: the first tenant has most of each hub, and keeps the original.
    """INSERT INTO fragments SELECT 'f' || n, 'p' || n %% %(sharing)s::int FROM generate_series(0, %(rows)s::int) n""",
)
FRAGMENTS = """UNWIND range($low, $high) AS n CREATE (f:Fragment {id: 'f' + n, number: n})"""
HUBS = "UNWIND range(0, $hubs - 1) AS h CREATE (:Code {name: 'hub ' + h, kind: 'hub'})"
CONNECT = """UNWIND range($low, $high) AS n MATCH (f:Fragment {id: 'f' + n}), (c:Code {name: 'hub ' + n / $size})
CREATE (f)-[:HAS_CODE {weight: n, note: 'n' + n}]->(c)"""
KEYS = (
    "MATCH (f:Fragment) CALL (f) { SET f.project_id = 'p' + f.number % 3 } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH (f:Fragment)-[r:HAS_CODE]->() CALL (f, r) { SET r.project_id = f.project_id } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH (c:Code) SET c.project_id = 'p0'",
    "CREATE CONSTRAINT tenure_composite FOR (n:Code) REQUIRE (n.project_id, n.name) IS UNIQUE",
    "DROP CONSTRAINT code_name",
)
COPY = """MATCH (n:Code {project_id: 'p0', name: $name}) CREATE (c) SET c = properties(n), c.project_id = $tenant
SET c:Code"""
MOVE = """MATCH (c:Code {project_id: $tenant, name: $name}), (n:Code {project_id: 'p0', name: $name})
MATCH (n)<-[r:HAS_CODE]-(f:Fragment {project_id: $tenant}) %s
CREATE (f)-[x:HAS_CODE]->(c) SET x = properties(r) DELETE r RETURN count(x) AS moved"""


@dataclass(frozen=True)
class World:
    """Hubs of one size, `rows` relationships in all, that three tenants share evenly."""

    server: EmbeddedPostgres
    graph: EmbeddedNeo4j
    rows: int
    size: int

    @property
    def hubs(self) -> int:
        """How many there are."""
        return self.rows // self.size

    @property
    def others(self) -> int:
        """How many relationships are not of the tenant that keeps the original."""
        return sum(1 for n in range(self.hubs * self.size) if n % SHARING)

    def load(self) -> None:
        """Make both stores anew."""
        self.server.drop_database(BASE)
        with psycopg.connect(self.server.create_database(BASE), autocommit=True) as connection:
            connection.execute(SCHEMA)
            for statement in ROWS:
                fields = {"sharing": SHARING, "rows": self.hubs * self.size - 1}
                connection.execute(statement.encode(), {k: v for k, v in fields.items() if f"%({k})s" in statement})
            connection.execute("VACUUM (ANALYZE)")
        self.graph.wipe()
        with session(self.graph) as graph:
            graph.run("CREATE CONSTRAINT fragment_id FOR (n:Fragment) REQUIRE n.id IS UNIQUE").consume()
            graph.run("CREATE CONSTRAINT code_name FOR (n:Code) REQUIRE n.name IS UNIQUE").consume()
            graph.run(HUBS, hubs=self.hubs).consume()
            for low in range(0, self.hubs * self.size, LOADED):
                high = min(low + LOADED, self.hubs * self.size) - 1
                graph.run(FRAGMENTS, low=low, high=high).consume()
                graph.run(CONNECT, low=low, high=high, size=self.size).consume()

    def closed(self, name: str) -> None:
        """Errors: AssertionError when a relationship was lost, doubled, or leads to another tenant's hub."""
        query = """MATCH (f:Fragment)-[r:HAS_CODE]->(c:Code) RETURN count(r) AS n, count(DISTINCT f) AS of,
        count(CASE WHEN f.project_id <> c.project_id OR r.project_id <> c.project_id OR r.weight <> f.number THEN 1 END)
        AS wrong"""
        with session(self.graph) as graph:
            found = graph.run(query).single(strict=True).data()
        all_ = self.hubs * self.size
        if found != {"n": all_, "of": all_, "wrong": 0}:
            raise AssertionError(f"{name} left {found} of {all_}")


@dataclass(frozen=True)
class Baseline:
    """A few statements for each hub and tenant."""

    name: str
    world: World
    work: Callable[[neo4j.Session, str, str], int]
    ours: bool = False

    def run(self) -> Figures:
        """Do it on fresh hubs with their keys."""
        self.world.load()
        with session(self.world.graph) as graph:
            for statement in KEYS:
                graph.run(statement).consume()
            began, moved = time.monotonic(), 0
            for hub in range(self.world.hubs):
                for tenant in range(1, SHARING):
                    graph.run(COPY, name=f"hub {hub}", tenant=f"p{tenant}").consume()
                    moved += self.work(graph, f"hub {hub}", f"p{tenant}")
            seconds = time.monotonic() - began
        self.world.closed(self.name)
        return Figures(moved, seconds)


@dataclass(frozen=True)
class Tenure:
    """The real operation, after a real backfill; its seconds are the ledger's."""

    name: str
    world: World
    scratch: Path
    ours: bool = True

    def run(self) -> Figures:
        """Do it on fresh hubs."""
        self.world.load()
        done = run_tenure(self.world.server, self.world.graph, self.scratch, "cutover", labels=LABELS)
        self.world.closed(self.name)
        row = done["operations"]["neo4j.split_node.Code"]
        if row["changed"] != self.world.hubs:
            raise AssertionError(f"{row['changed']} of {self.world.hubs} hubs were split")
        return Figures(self.world.others, row["seconds"], {"peak_mb": done["peak_mb"]})


def in_one_go(graph: neo4j.Session, name: str, tenant: str) -> int:
    """All of a tenant's relationships of a hub in one transaction."""
    return int(graph.run(MOVE % "", name=name, tenant=tenant).single(strict=True)["moved"])


def in_loops(graph: neo4j.Session, name: str, tenant: str) -> int:
    """5,000 of them, until there are none."""
    total = 0
    while moved := int(
        graph.run(MOVE % "WITH c, n, r, f LIMIT 5000", name=name, tenant=tenant).single(strict=True)["moved"]
    ):
        total += moved
    return total


def split_sections(server: EmbeddedPostgres, graph: EmbeddedNeo4j, options: Options, say: Say) -> Iterator[Section]:
    """Yield a table for small hubs and one for a large one, the same number of relationships in both."""
    rows = max(SHARING * 20, options.rows // 2)
    for size in (max(SHARING, rows // 10), rows):
        world = World(server, graph, rows, size)
        cases = (
            Tenure(OURS, world, options.scratch),
            Baseline(ONE_GO, world, in_one_go),
            Baseline(LOOPS, world, in_loops),
        )
        if size != rows:
            say("once for the server to warm up")
            for case in cases:
                case.run()
        lines = rounds(cases, options.repeats, lambda text, size=size: say(f"hubs of {size:,}: {text}"))  # type: ignore[misc]
        section = Section(
            store="neo4j",
            title=f"Neo4j {graph.version}: {world.hubs} hub(s) of {size:,} relationships, split for {SHARING} tenants",
            unit="relationships",
            lines=lines,
            baselines=(ONE_GO, LOOPS),
            columns={"peak_mb": "peak MB"},
            goals=(Goal(f"relationships/s, hubs of {size:,}", next(iter(lines)).rate(), WANTED),),
            notes=(
                f"What is counted is what moves: {world.others:,} of {world.hubs * size:,}. tenure's seconds are the "
                "whole operation: finding what is shared, the journal, the move, looking again.",
            ),
        )
        yield section
