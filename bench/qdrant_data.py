"""The collection that Qdrant is measured on: points with vectors and a small payload, ids that no tenant orders."""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from qdrant_client import QdrantClient, models

from tenure.demo.servers import EmbeddedPostgres, EmbeddedQdrant

TENANTS = 50
DIMENSIONS, FEW_DIMENSIONS = 128, 16
# Beyond so many points vectors are short and no graph of them is built, which would take longer than all that is
# measured: a write of a payload moves a point out of its segment and does not touch the graph.
MANY = 200_000
BASE, CASE, COPY = "bench_base", "bench_case", "bench_copy"
ALIAS = "bench_points"
KEY = "project_id"
PAGE = 1000
GREEN_SECONDS = 600.0

SCHEMA = """
CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE fragments (id uuid PRIMARY KEY, project text NOT NULL);
"""
TENANTS_SQL = "INSERT INTO projects SELECT 'jd-' || lpad(n::text, 3, '0') FROM generate_series(0, %s) n"


def identity(number: int) -> str:
    """Return the id of a point: a uuid, as most applications have them, which says nothing of its tenant."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"point {number}"))


def tenant(number: int) -> str:
    """Return the tenant of a point."""
    return f"jd-{number * 7919 % TENANTS:03}"


def payload(number: int) -> dict[str, Any]:
    """Return what a point carries before there is a key."""
    return {"project": tenant(number), "file": f"file {number // 40}", "paragraph": number % 40, "text": "word " * 20}


@dataclass
class Loaded:
    """The servers with the base collection, and a fresh copy of it for each case."""

    qdrant: EmbeddedQdrant
    postgres: EmbeddedPostgres
    rows: int
    client: QdrantClient
    snapshot: str | None = None

    @property
    def dimensions(self) -> int:
        """Return how long the vectors are."""
        return DIMENSIONS if self.rows <= MANY else FEW_DIMENSIONS

    def load(self) -> None:
        """Make the base: indexed by the server as far as it does that, with the tenant index in place."""
        self._fill(BASE)
        self._until_green(BASE)
        if self.qdrant.external:
            found = self.client.create_snapshot(BASE, wait=True)
            assert found is not None
            self.snapshot = f"{self.qdrant.url}/collections/{BASE}/snapshots/{found.name}"
        dsn = self.postgres.create_database(BASE)
        with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(SCHEMA)
            cursor.execute(TENANTS_SQL, (TENANTS - 1,))
            with cursor.copy("COPY fragments FROM STDIN") as copy:
                for number in range(self.rows):
                    copy.write_row((identity(number), tenant(number)))
            cursor.execute("VACUUM (ANALYZE)")

    def fresh(self) -> None:
        """Make the case's collection anew: restored where the server has snapshots, loaded again elsewhere."""
        self.drop(CASE, COPY, f"{CASE}__{KEY}")
        if self.snapshot is None:
            self._fill(CASE)
        else:
            self.client.recover_snapshot(CASE, location=self.snapshot, wait=True)
        self._until_green(CASE)
        # The optimizer indexes again what was written, whatever wrote it: beside it, on few cores, nothing is measured.
        # Nor is it flushed meanwhile, which comes every five seconds: it would fall into some short runs and not into
        # others. What restoring left for the disk goes there first (a point took 17 us without it, up to 26 with it).
        still = models.OptimizersConfigDiff(max_optimization_threads=0, flush_interval_sec=3600)
        self.client.update_collection(CASE, optimizers_config=still)
        os.sync()
        move = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=CASE, alias_name=ALIAS))
        self.client.update_collection_aliases([move])

    def close(self) -> None:
        """Leave a server that is somebody else's as it was."""
        self.drop(BASE, CASE, COPY, f"{CASE}__{KEY}")
        self.client.close()

    def drop(self, *names: str) -> None:
        """Drop collections; one that is not there is no error."""
        for name in names:
            self.client.delete_collection(name)

    def database(self) -> str:
        """Return the address of a new copy of the database."""
        self.postgres.drop_database(CASE)
        return self.postgres.create_database(CASE, BASE)

    def keyed(self, collection: str = CASE) -> int:
        """Return how many points have a key."""
        missing = models.IsEmptyCondition(is_empty=models.PayloadField(key=KEY))
        return self.client.count(collection, count_filter=models.Filter(must_not=[missing]), exact=True).count

    def pages(self) -> Iterator[Sequence[models.Record]]:
        """Yield all points of the case with their vectors, page by page."""
        offset: Any = None
        while True:
            records, offset = self.client.scroll(CASE, limit=PAGE, offset=offset, with_payload=True, with_vectors=True)
            yield records
            if offset is None:
                return

    def create(self, name: str) -> None:
        """Create an empty collection like the base, with the tenant index."""
        vectors = models.VectorParams(size=self.dimensions, distance=models.Distance.COSINE)
        graph = models.HnswConfigDiff(m=0) if self.rows > MANY else None
        self.client.create_collection(name, vectors_config=vectors, hnsw_config=graph)
        index = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
        self.client.create_payload_index(name, KEY, index, wait=True)
        if name == COPY:
            still = models.OptimizersConfigDiff(max_optimization_threads=0)
            self.client.update_collection(name, optimizers_config=still)

    def facts(self) -> dict[str, Any]:
        """Return what of the server the figures depend on."""
        info = self.client.get_collection(BASE)
        return {
            "qdrant": self.client.info().version,
            "engine": "server" if self.qdrant.external else self.qdrant.version,
            "dimensions": self.dimensions,
            "graph": self.rows <= MANY,
            "tenants": TENANTS,
            "segments": info.segments_count,
            "indexed_vectors": info.indexed_vectors_count,
        }

    def _fill(self, name: str) -> None:
        self.drop(name)
        self.create(name)
        numbers = random.Random(7)
        for start in range(0, self.rows, PAGE):
            some = range(start, min(self.rows, start + PAGE))
            batch = models.Batch(
                ids=[identity(number) for number in some],
                vectors=[[numbers.random() for _ in range(self.dimensions)] for _ in some],
                payloads=[payload(number) for number in some],
            )
            self.client.upsert(name, batch, wait=True)

    def _until_green(self, name: str) -> None:
        """Wait for the optimizer: what it has still to do would be done beside what is measured."""
        ends = time.monotonic() + GREEN_SECONDS
        while self.client.get_collection(name).status is not models.CollectionStatus.GREEN:
            if time.monotonic() > ends:
                raise TimeoutError(f"{name} is not green after {GREEN_SECONDS:.0f} s")
            time.sleep(0.2)


def playbook(loaded: Loaded, path: Path, source: str, *, rekey: bool = False) -> Path:
    """Write the playbook that tenure's own way runs by, and return its path; *source* is where the key comes from."""
    ids = f'    ids: {{rekey: "{{tenant}}|{{id}}", namespace: url}}\n    alias: {ALIAS}\n' if rekey else ""
    others = sorted({one.name for one in loaded.client.get_collections().collections} - {CASE})
    path.write_text(
        "version: 1\n"
        f"tenant: {{key: {KEY}, type: text, registry: {{table: projects, column: id}}}}\n"
        "connections:\n"
        f"  postgres: {{url: {json.dumps(loaded.database())}}}\n"
        f"  qdrant: {{url: {json.dumps(loaded.qdrant.url)}}}\n"
        "postgres:\n"
        "  fragments: {tenant: {column: project}}\n"
        "qdrant:\n"
        f"  {CASE}:\n"
        f"    tenant: {source}\n"
        f"    unassigned: quarantine\n{ids}" + "".join(f"  {name}: {{exempt: of the bench}}\n" for name in others)
    )
    return path
