"""The example in three stores, which must be as before after every way back, whoever wrote to them meanwhile."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from neo4j import Driver, GraphDatabase
from psycopg import sql
from qdrant_client import models
from trap import WRITER
from way_back_cases import ALIAS, APP, SLUG, Case

from tenure.demo.example import directory, generate, load_neo4j, load_postgres, load_qdrant
from tenure.demo.example.vectors import COLLECTION, connect
from tenure.demo.example.writer import OldWriter
from tenure.demo.fingerprint import Fingerprint, fingerprint
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant

MIGRATOR = "way_back_migrator"
SCALE, SEED = 0.1, 7
# So few a second that the writer is at work for all of a course; what is left when it ends is written at once.
WRITES, PAUSE = 50, 0.5
# What two runs of the writer do not have in common: the time, and the column whose default is away while tenure runs.
PASSING = ("created_at", "updated_at", "project_id")


class Ground:
    """The example in three stores, loaded once: after each case they are as before, which is what is under test.

    A case that ends badly, or that has a writer, is followed by `reload`.
    """

    def __init__(self, postgres: EmbeddedPostgres, neo4j: EmbeddedNeo4j, qdrant: EmbeddedQdrant) -> None:
        """Load everything."""
        self._postgres, self._neo4j, self._qdrant = postgres, neo4j, qdrant
        self._example = generate(SCALE, SEED)
        self._templates = {owner: f"way_back_{'owner' if owner else 'super'}" for owner in (False, True)}
        self.dsns: dict[bool, str] = {}
        self._expected: dict[Any, Fingerprint] = {}
        self._roles()
        for owner, name in self._templates.items():
            dsn = postgres.create_database(name)
            load_postgres(dsn, self._example)
            if owner:
                _give(dsn)
        self.neo4j_url = neo4j.url
        self.graph: Driver = GraphDatabase.driver(neo4j.url)
        self.points = connect(qdrant.url)
        self.reload()

    def close(self) -> None:
        """Drop everything."""
        self.graph.close()
        self.points.close()
        for dsn in self.dsns.values():
            self._postgres.drop_database(dsn.rpartition("/")[2])
        for name in self._templates.values():
            self._postgres.drop_database(name)
        self._neo4j.wipe()
        self._qdrant.wipe()

    def reload(self) -> None:
        """Put the loaded state back."""
        for owner, template in self._templates.items():
            if owner in self.dsns:
                self._postgres.drop_database(self.dsns[owner].rpartition("/")[2])
            name = f"way_back_{uuid.uuid4().hex[:8]}"
            with psycopg.connect(self._postgres.dsn, autocommit=True) as connection:
                copied = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(template), sql.Identifier(MIGRATOR)
                )
                connection.execute(copied)
            self.dsns[owner] = self._postgres.dsn_of(name)
        self._neo4j.wipe()
        load_neo4j(self._neo4j.url, self._example)
        self._qdrant.wipe()
        load_qdrant(self._qdrant.url, self._example)
        alias = models.CreateAlias(collection_name=COLLECTION, alias_name=ALIAS)
        self.points.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        self._payloads = self._all_payloads()

    def playbook(self, case: Case, folder: Path) -> Path:
        """Return the file of the case's playbook, with where the stores are now."""
        playbook = json.loads(json.dumps(case.playbook))
        playbook["tenant"]["aliases"] = str(directory() / "tenants.csv")
        playbook["connections"] = {
            "postgres": {"url": self.dsns[case.owner], **({"role": MIGRATOR} if case.owner else {})},
            "neo4j": {"url": self._neo4j.url},
            "qdrant": {"url": self._qdrant.url},
        }
        path = folder / f"case_{case.number}.yaml"
        path.write_text(json.dumps(playbook), encoding="utf-8")
        return path

    def take_back(self, case: Case) -> None:
        """Forget the keys that `lend` set, and put back the nulls that went; reload what a writer wrote to."""
        if case.writes:
            self.reload()
        key = case.playbook["tenant"]["key"]
        if "neo4j" in case.keyed:
            self.graph.execute_query(f"MATCH (n:Fragmento) REMOVE n.{key}")
            self.graph.execute_query(f"MATCH ()-[r:TIENE_FRAGMENTO]->() REMOVE r.{key}")
        now = self._all_payloads()
        self._overwrite(
            {identity: payload for identity, payload in self._payloads.items() if now.get(identity) != payload}
        )

    def expected(self, case: Case) -> Fingerprint:
        """Return what the stores hold now, read once for all cases that begin alike, and are read alike."""
        begins = (case.owner, case.keyed, case.writes, case.playbook["tenant"]["key"])
        if begins not in self._expected:
            if case.writes:
                # The same writes without tenure.
                with OldWriter(*self._addresses(case), journal=Path("/dev/null")) as writer:
                    for _ in range(WRITES):
                        writer.step()
            self._expected[begins] = self.fingerprint(case)
            if case.writes:
                self.reload()
        return self._expected[begins]

    @contextmanager
    def writing(self, case: Case) -> Iterator[None]:
        """Let the old application write while the block runs, and finish what it has to write after it."""
        if not case.writes:
            yield
            return
        ended = threading.Event()
        problems: list[BaseException] = []

        def work() -> None:
            try:
                with OldWriter(*self._addresses(case), journal=Path("/dev/null")) as writer:
                    for _ in range(WRITES):
                        ended.wait(PAUSE)
                        writer.step()
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                problems.append(error)

        thread = threading.Thread(target=work, name=WRITER)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if problems:
            raise AssertionError(f"the application failed: {problems[0]}") from problems[0]

    def fingerprint(self, case: Case) -> Fingerprint:
        """Return what the stores hold now.

        A point's key that was null is missing after the way back: the store writes a null only by overwriting the whole
        payload, and with it what the application may write at the same moment. A missing one stands for both here, but
        only while the stores are read: a null is one of the states that a run must find.
        """
        key = case.playbook["tenant"]["key"]
        nulls = {one: payload for one, payload in self._all_payloads().items() if payload.get(key, "") is None}
        null = models.Filter(must=[models.IsNullCondition(is_null=models.PayloadField(key=key))])
        self.points.delete_payload(COLLECTION, [key], points=null, wait=True)
        try:
            return fingerprint(*self._addresses(case), leave_out=PASSING if case.writes else ())
        finally:
            self._overwrite(nulls)

    def _addresses(self, case: Case) -> tuple[str, str, str]:
        return self.dsns[case.owner], self._neo4j.url, self._qdrant.url

    def lend(self, case: Case) -> None:
        """Set the keys that the application had before."""
        key = case.playbook["tenant"]["key"]
        if "neo4j" in case.keyed:
            # Some right, some that say nothing, and one that no source agrees with.
            rows = [
                {"id": fragment.id, "key": ("default", "", fragment.tenant)[number % 3]}
                for number, fragment in enumerate(self._example.fragments())
                if number % 5 == 0 and fragment.tenant is not None
            ]
            self.graph.execute_query(
                f"UNWIND $rows AS row MATCH (n:Fragmento {{id: row.id}})<-[r:TIENE_FRAGMENTO]-() "
                f"SET n.{key} = row.key, r.{key} = row.key",
                rows=rows,
            )
        if "qdrant" in case.keyed:
            for number, point in enumerate(self._chosen_points()):
                value: Any = ("default", SLUG, None, [], "")[number % 5]
                self.points.set_payload(COLLECTION, {key: value}, points=[point.id], wait=True)

    def _chosen_points(self) -> list[Any]:
        found, _ = self.points.scroll(COLLECTION, limit=20)
        return found

    def _all_payloads(self) -> dict[Any, dict[str, Any]]:
        found, following = self.points.scroll(COLLECTION, limit=10_000, with_payload=True)
        assert following is None
        return {point.id: point.payload or {} for point in found}

    def _overwrite(self, payloads: dict[Any, dict[str, Any]]) -> None:
        for identity, payload in payloads.items():
            self.points.overwrite_payload(COLLECTION, payload, points=[identity], wait=True)

    def _roles(self) -> None:
        with psycopg.connect(self._postgres.dsn, autocommit=True) as connection:
            for role in (APP, MIGRATOR):
                if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                    connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))


def _give(dsn: str) -> None:
    """Make MIGRATOR the owner of everything in schema public, and of nothing else."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(MIGRATOR)))
        owned = connection.execute(
            "SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.relname "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' "
            "AND c.relkind IN ('r', 'm', 'v')"
        ).fetchall()
        for kind, name in owned:
            statement = f"ALTER {kind} {{}} OWNER TO {{}}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(MIGRATOR)))
