"""What people would do to give nodes and relationships a tenant key, beside tenure's own way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import neo4j

from bench.neo4j_data import forget, pages, run_tenure, session
from bench.port import Figures
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres

NODES, RELATIONSHIPS = "nodes", "relationships"
BATCH = 10_000
SAMPLE = 2000

Found = Mapping[str, Figures]
Work = Callable[[neo4j.Session, str], int]

ONE = "MATCH (n:Fragment {id: $id}) SET n.project_id = $tenant"
ONE_OUT = "MATCH (:Fragment {id: $id})-[r:HAS_CODE]->() SET r.project_id = $tenant"
UNWIND = "UNWIND $rows AS row MATCH (n:Fragment {id: row[0]}) WHERE n.project_id IS NULL SET n.project_id = row[1]"
UNWIND_OUT = """UNWIND $rows AS row MATCH (:Fragment {id: row[0]})-[r:HAS_CODE]->() WHERE r.project_id IS NULL
SET r.project_id = row[1]"""
# The server knows nothing of Postgres: it is given the tenant as a property of the node.
INSIDE = f"""MATCH (n:Fragment) WHERE n.project_id IS NULL
CALL (n) {{ SET n.project_id = n.project }} IN TRANSACTIONS OF {BATCH} ROWS"""
INSIDE_OUT = f"""MATCH (n:Fragment)-[r:HAS_CODE]->() WHERE r.project_id IS NULL
CALL (n, r) {{ SET r.project_id = n.project }} IN TRANSACTIONS OF {BATCH} ROWS"""


def one_by_one(statement: str) -> Work:
    """Return the work of a statement per item, on a sample."""

    def work(graph: neo4j.Session, dsn: str) -> int:
        found = list(islice((row for page in pages(dsn, SAMPLE) for row in page), SAMPLE))
        for id, tenant in found:
            graph.run(statement, id=id, tenant=tenant).consume()
        return len(found)

    return work


def unwinding(statement: str) -> Work:
    """Return the work of batches out of Postgres, one session."""

    def work(graph: neo4j.Session, dsn: str) -> int:
        done = 0
        for page in pages(dsn, BATCH):
            done += len(page)
            graph.execute_write(lambda transaction, rows=page: transaction.run(statement, rows=rows).consume())  # type: ignore[misc]
        return done

    return work


def inside(statement: str) -> Work:
    """Return the work of one statement that the server cuts into transactions."""

    def work(graph: neo4j.Session, dsn: str) -> int:
        return graph.run(statement).consume().counters.properties_set

    return work


@dataclass(frozen=True)
class Baseline:
    """A way that is a few lines with a driver: the nodes first, then the relationships that start at them."""

    name: str
    graph: EmbeddedNeo4j
    dsn: str
    nodes: Work
    relationships: Work
    whole: bool = True
    ours: bool = False

    def run(self) -> Found:
        """Do both and see, where it is not a sample, that nothing was left."""
        forget(self.graph)
        found = {}
        with session(self.graph) as graph:
            for part, work in ((NODES, self.nodes), (RELATIONSHIPS, self.relationships)):
                began = time.monotonic()
                done = work(graph, self.dsn)
                found[part] = Figures(done, time.monotonic() - began)
        if self.whole:
            nothing_left(self.graph, self.name)
        return found


@dataclass(frozen=True)
class Tenure:
    """Tenure's own way; seconds are the ledger's, from an operation's count to its last check."""

    name: str
    server: EmbeddedPostgres
    graph: EmbeddedNeo4j
    scratch: Path
    source: str = "{postgres: fragments.id}"
    workers: int = 4
    ours: bool = True

    def run(self) -> Found:
        """Do it on the graph without keys."""
        forget(self.graph)
        labels = {"Code": "HAS_CODE"}
        done = run_tenure(
            self.server,
            self.graph,
            self.scratch,
            "backfill",
            labels=labels,
            source=self.source,
            workers=self.workers,
        )
        nothing_left(self.graph, self.name)
        found = {}
        for part, id in ((NODES, "node_backfill.Fragment"), (RELATIONSHIPS, "relationship_backfill.HAS_CODE")):
            row = done["operations"][f"neo4j.{id}"]
            found[part] = Figures(row["changed"], row["seconds"], {"peak_mb": done["peak_mb"]})
        return found


def nothing_left(graph: EmbeddedNeo4j, name: str) -> None:
    """Errors: AssertionError when a fragment or a relationship has not the tenant of its fragment."""
    with session(graph) as asked:
        for pattern in ("(n:Fragment)", "(n:Fragment)-[x:HAS_CODE]->()"):
            key = "x" if "[x" in pattern else "n"
            query = f"MATCH {pattern} WHERE coalesce({key}.project_id, '') <> n.project RETURN count(*) AS n"
            left = asked.run(query).single(strict=True)["n"]
            if left:
                raise AssertionError(f"{name} left {left} of {pattern}")
