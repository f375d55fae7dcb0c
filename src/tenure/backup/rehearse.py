"""Restores a backup into scratch servers that live for as long as it takes, and compares what came out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import connect, sql

from tenure.backup import neo4j_restore, postgres_restore, qdrant_restore
from tenure.backup.check import check
from tenure.backup.manifest import Entry, Manifest
from tenure.backup.qdrant_unpack import unpacked_sums
from tenure.backup.restore import refuse_differences
from tenure.backup.work import Work
from tenure.runner.context import Reporter, SilentReporter, StopSignal
from tenure.stores.neo4j import Neo4jStore
from tenure.stores.postgres import PostgresStore
from tenure.stores.qdrant import QdrantStore
from tenure.values import Frozen

if TYPE_CHECKING:
    from tenure.demo.servers import EmbeddedPostgres, Servers

_DATABASE = "rehearsal"


class Rehearsal(Frozen):
    """A rehearsal that went well: how many objects came out the same, and what scratch servers cannot show."""

    compared: int
    notes: tuple[str, ...]


def rehearse(
    directory: Path,
    *,
    reporter: Reporter | None = None,
    signal: StopSignal | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[Manifest, Rehearsal]:
    """Check the backup in *directory*, restore it into embedded servers and compare; needs the extra `demo`.

    Errors: those of `check`, RestoreMismatchError, ServerDownloadError and ServerStartError.
    """
    manifest = check(directory, reporter=reporter, signal=signal)
    work = Work(directory, reporter or SilentReporter(), signal or StopSignal(), "Run the check again.")
    notes: list[str] = []
    with _scratch(manifest, progress) as servers:
        found = dict(_restored(servers, manifest, work, notes))
        refuse_differences(found)
    return manifest, Rehearsal(compared=sum(len(before) for before, _ in found.values()), notes=tuple(notes))


def _restored(
    servers: Servers, manifest: Manifest, work: Work, notes: list[str]
) -> Iterator[tuple[str, tuple[Mapping[str, str], Mapping[str, str]]]]:
    """Yield each store with what is expected and what came out."""
    if servers.postgres is not None:
        url = _database(servers.postgres, str(manifest.sources["postgres"].detail.get("encoding", "UTF8")))
        with PostgresStore(url) as postgres:
            postgres_restore.create_roles(postgres, manifest)
            postgres_restore.refuse_unfit(postgres, manifest)
            postgres_restore.restore(postgres, url, manifest, work)
            yield "postgres", postgres_restore.found(postgres, manifest, work)
    if servers.neo4j is not None:
        lacking: list[str] = []
        with Neo4jStore(servers.neo4j.url) as graph:
            neo4j_restore.restore(graph, manifest, work, lacking=lacking)
            same = graph.version.split(".")[0] == manifest.sources["neo4j"].version.split(".")[0] and not lacking
            yield "neo4j", neo4j_restore.found(graph, manifest, work, schema=same)
        notes += [f"Neo4j: the scratch server has no {name}" for name in lacking]
    if servers.qdrant is not None:
        with QdrantStore(servers.qdrant.url) as vectors:
            left_out = qdrant_restore.restore(vectors, manifest, work, url=servers.qdrant.url, scratch=True)
            before, after = qdrant_restore.found(vectors, manifest, work, left_out=left_out)
        snapshots = [entry for entry in manifest.of("qdrant") if entry.detail.get("name") in left_out]
        expected, present = _snapshots(snapshots, work, notes)
        yield "qdrant", ({**before, **expected}, {**after, **present})


def _snapshots(entries: list[Entry], work: Work, notes: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is expected of snapshots, and what the engine reads out of them: only a server restores one."""
    expected: dict[str, str] = {}
    present: dict[str, str] = {}
    for entry in entries:
        found = unpacked_sums(entry, work)
        if entry.fingerprints:
            expected |= entry.fingerprints
            present |= found.result()
        else:
            notes.append(
                f"Qdrant: {entry.detail['name']} was written to meanwhile; its snapshot has {found.items:,} points"
            )
    return expected, present


@contextmanager
def _scratch(manifest: Manifest, progress: Callable[[str], None] | None) -> Iterator[Servers]:
    from tenure.demo.servers import servers
    from tenure.demo.servers.neo4j import VERSIONS, default_version
    from tenure.demo.servers.qdrant import VARIABLE

    there = manifest.sources
    version = None
    if "neo4j" in there:
        major = there["neo4j"].version.split(".")[0]
        version = next((version for version in VERSIONS if version.split(".")[0] == major), default_version())
        if int(major) >= 2025:
            version = VERSIONS[-1]
    # The variable names a server that is somebody's, the one that was backed up perhaps: nothing is restored there.
    external = os.environ.pop(VARIABLE, None)
    try:
        scratch = servers(
            postgres="postgres" in there,
            neo4j="neo4j" in there,
            qdrant="qdrant" in there,
            neo4j_version=version,
            progress=progress,
            durable=False,
        )
        running = scratch.__enter__()
    finally:
        if external is not None:
            os.environ[VARIABLE] = external
    try:
        yield running
    finally:
        scratch.__exit__(None, None, None)


def _database(server: EmbeddedPostgres, encoding: str) -> str:
    """Create a database of the encoding that the backup's had and return its address."""
    with connect(server.dsn, autocommit=True) as connection:
        statement = "CREATE DATABASE {} TEMPLATE template0 ENCODING {}"
        if encoding != "UTF8":
            statement += " LOCALE_PROVIDER libc LOCALE 'C'"
        connection.execute(sql.SQL(statement).format(sql.Identifier(_DATABASE), sql.Literal(encoding)))
    return server.dsn_of(_DATABASE)
