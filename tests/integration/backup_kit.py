"""What the backup tests share: a playbook of the servers under test, small stores, and a process that kills itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from neo4j import GraphDatabase
from qdrant_client import QdrantClient, models

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.runner.context import SilentReporter
from tenure.session import Session

PLAYBOOK = """version: 1
tenant: {{key: project_id, type: text, registry: {{table: proyectos, column: id}}}}
connections:
  postgres: {{url: "{postgres}"}}
  neo4j: {{url: "{neo4j}"}}
  qdrant: {{url: "{qdrant}"}}
postgres: {{casos: {{tenant: {{column: proyecto}}}}}}
neo4j: {{nodes: {{Caso: {{identity: id, tenant: {{postgres: casos.id}}}}}}, relationships: {{SIGUE: {{tenant: ends}}}}}}
qdrant: {{casos: {{tenant: {{postgres: casos.id}}}}}}
"""
ROWS, NODES, RELATIONSHIPS, POINTS = 300, 1400, 1399, 1100


@dataclass(frozen=True)
class World:
    """The three servers, one database in the first, and a playbook that names them."""

    directory: Path
    postgres: EmbeddedPostgres
    database: str
    neo4j: EmbeddedNeo4j
    qdrant: EmbeddedQdrant

    @property
    def playbook(self) -> Path:
        """The playbook's path; it is written anew, for the addresses of now."""
        path = self.directory / "tenure.yaml"
        url = self.postgres.dsn_of(self.database)
        path.write_text(PLAYBOOK.format(postgres=url, neo4j=self.neo4j.url, qdrant=self.qdrant.url))
        return path

    def session(self) -> Session:
        """A session of the playbook."""
        return Session.open(self.playbook)

    def fill(self) -> None:
        """Something in every store."""
        with psycopg.connect(self.postgres.dsn_of(self.database)) as connection:
            connection.execute(
                "CREATE TABLE proyectos (id text PRIMARY KEY); INSERT INTO proyectos VALUES ('a'), ('b')"
            )
            connection.execute("CREATE TABLE casos (id bigint PRIMARY KEY, proyecto text REFERENCES proyectos)")
            connection.execute(
                "INSERT INTO casos SELECT i, CASE i %% 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, %s) AS i",
                (ROWS,),
            )
        with GraphDatabase.driver(self.neo4j.url) as driver, driver.session(database="neo4j") as session:
            session.run("CREATE CONSTRAINT caso FOR (c:Caso) REQUIRE c.id IS UNIQUE").consume()
            session.run(
                "UNWIND range(1, $n) AS i CREATE (:Caso {id: i, cuando: date('2024-01-01')})", n=NODES
            ).consume()
            session.run("MATCH (a:Caso), (b:Caso {id: a.id + 1}) CREATE (a)-[:SIGUE {n: a.id}]->(b)").consume()
        client = QdrantClient(url=self.qdrant.url, check_compatibility=False)
        size = models.VectorParams(size=4, distance=models.Distance.COSINE)
        client.create_collection("casos", vectors_config=size)
        client.upsert(
            "casos",
            [
                models.PointStruct(id=i, vector=[float(i), 1.0, -2.0, 0.5], payload={"n": i, "texto": f"caso {i}"})
                for i in range(1, POINTS + 1)
            ],
            wait=True,
        )
        client.close()

    def destroy(self) -> None:
        """Leave nothing in any store."""
        self.postgres.drop_database(self.database)
        self.postgres.create_database(self.database)
        self.neo4j.wipe()
        self.qdrant.wipe()


class KillAt(SilentReporter):
    """Kills the process (SIGKILL) at the *after*-th report of progress on an operation that begins with *operation*."""

    def __init__(self, operation: str, after: int) -> None:
        self._operation, self._left = operation, after

    def advance(self, operation: str, items: int) -> None:
        """Count down."""
        if operation.startswith(self._operation):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_PROCESS = """import sys
from pathlib import Path
from backup_kit import KillAt
from tenure.backup.take import take
from tenure.session import Session
playbook, directory, operation, after = sys.argv[1:]
with Session.open(Path(playbook)) as session:
    take(session, Path(directory), jobs=1, reporter=KillAt(operation, int(after)))
"""


def killed_backup(world: World, directory: Path, operation: str, after: int) -> int:
    """Take a backup in a process of its own that is killed in the middle; returns how it ended."""
    command = [sys.executable, "-c", _PROCESS, str(world.playbook), str(directory), operation, str(after)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(command, env=environment, check=False, timeout=120).returncode
