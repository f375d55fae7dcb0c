"""The small application that faults are done to, put back between rounds, and compared with undisturbed runs.

It is the collision of two tenants (collision.py: shared nodes that are split, relationships with lists that are
divided, composite keys, overwritten points that are re-keyed behind an alias), and beside it a table of notes, with
their nodes and points, that has what nobody owns: it is quarantined in all three stores.

Two comparisons. `Reference` is what an undisturbed run leaves after each command: content and schema of all three
stores, and what the ledger says. `Picture` is what must hold at any moment, also in the middle: every item there once,
whole, and under no other key than the one that it has at the end.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from collision import NEO4J, NEW, OLD, POSTGRES, QDRANT, TENANTS, Collision
from qdrant_client import models

from tenure.demo.fingerprint import Fingerprint, differences, fingerprint
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant

HUB = 160
NOTES = "notas"
KEY = "project_id"
TEMPLATE, DATABASE = "faults_loaded", "faults"
GATES = ("--yes", "--allow", "NEEDS_FENCE", "--allow", "NO_BACKUP")
DROPS = ("--allow", "IRREVERSIBLE", "--allow", "BREAKS_ON_CONFLICT")

COMMANDS: dict[str, tuple[str, ...]] = {
    "apply": ("apply", "--allow", "NO_BACKUP"),
    "cutover": ("apply", "--through", "cutover", *GATES),
    "contract": ("contract", *GATES, *DROPS),
    "back to verify": ("rollback", "--to", "verify", "--yes"),
    "back": ("rollback", "--yes"),
}
"""What a round is made of, by name."""

# Where copies are made and relationships divided: these are other items after cutover than before.
COPY = f"points of {NEW}"
DIVIDED = frozenset({"Archivo", "Codigo", "Categoria", "REL", COPY})
LEDGER = """SELECT 'operation ' || id || ' is ' || state FROM tenure.operation
 WHERE state <> 'done' AND phase = ANY(%(phases)s) AND coalesce(body->>'waiting', '') = ''
UNION ALL SELECT 'operation ' || id || ' is ' || state FROM tenure.operation
 WHERE state <> 'planned' AND phase <> ALL(%(phases)s)
UNION ALL SELECT 'range ' || operation || ' ' || number || ' is ' || state FROM tenure.range WHERE state <> 'done'
UNION ALL SELECT 'the lease is held by ' || holder FROM tenure.lease WHERE token IS NOT NULL
UNION ALL SELECT 'the fence stands' FROM tenure.control WHERE name = 'fence' AND value = 'on'
UNION ALL SELECT 'the run is ' || state FROM (SELECT state FROM tenure.run ORDER BY id DESC LIMIT 1) AS r
 WHERE state <> %(state)s"""
PHASES = ("expand", "backfill", "constrain")
DONE: dict[str, tuple[str, ...]] = {
    "apply": PHASES,
    "cutover": (*PHASES, "cutover"),
    "contract": (*PHASES, "cutover", "contract"),
    "back to verify": PHASES,
    "back": (),
}
"""The phases whose operations are done after a command."""


@dataclass
class Picture:
    """Every item by its content without the key, as a text: how often it is there, and under which keys."""

    items: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    keys: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, kind: str, content: Any, key: Any) -> None:
        """Take in one item."""
        text = json.dumps(content, sort_keys=True, default=str)
        self.items[kind][text] += 1
        if key not in (None, ""):
            self.keys[kind, text][str(key)] += 1

    def unlike(self, whole: Picture, keyed: Picture, divided: bool) -> list[str]:
        """Return what is lost, doubled or mis-assigned in this picture.

        *whole* is what was loaded, *keyed* what has its key at the end; *divided* says whether copies may be under way.
        """
        lines = []
        for kind in sorted((whole.items.keys() | self.items.keys()) - (DIVIDED if divided else {COPY})):
            lost, doubled = whole.items[kind] - self.items[kind], self.items[kind] - whole.items[kind]
            lines += [f"{kind} lost: {text}" for text in list(lost)[:3]]
            lines += [f"{kind} doubled: {text}" for text in list(doubled)[:3]]
        for (kind, text), keys in self.keys.items():
            wrong = keys.keys() - keyed.keys[kind, text].keys()
            if wrong and not (divided and kind in DIVIDED):
                lines.append(f"{kind} is of {sorted(wrong)}, not {sorted(keyed.keys[kind, text])}: {text}")
        return lines


@dataclass(frozen=True)
class Reference:
    """What is there after a command that nobody disturbed."""

    stores: Fingerprint
    quarantine: frozenset[str]
    journal: frozenset[str]
    picture: Picture


class Application(Collision):
    """The application in three stores that tenure reaches at *reached*, and the test at the servers themselves."""

    def __init__(
        self,
        directory: Path,
        postgres: EmbeddedPostgres,
        neo4j: EmbeddedNeo4j,
        qdrant: EmbeddedQdrant,
        reached: Mapping[str, str],
    ) -> None:
        """Load it for the first time, and keep its database as a template."""
        self._servers = (postgres, neo4j, qdrant)
        super().__init__(directory, postgres.create_database(TEMPLATE), neo4j.url, qdrant.url, HUB)
        self._load_notes()
        self.extra = {
            "connections": {name: {"url": url} for name, url in reached.items()},
            "postgres": {
                **POSTGRES,
                NOTES: {
                    "tenant": {"parent": "archivos", "match": {"archivo": "nombre"}},
                    "unassigned": "quarantine",
                    "conflict": "quarantine",
                    "unique": {"notas_pkey": "rescope"},
                },
            },
            "neo4j": {
                "nodes": {
                    **NEO4J["nodes"],
                    "Nota": {"identity": "id", "tenant": {"postgres": "notas.id"}, "unassigned": "quarantine"},
                },
                "relationships": NEO4J["relationships"],
            },
            "qdrant": {**QDRANT, NOTES: {"tenant": {"postgres": "notas.id"}, "unassigned": "quarantine"}},
        }
        self.path = self.playbook()
        self.dsn = postgres.dsn_of(DATABASE)
        # What starts Postgres again when a fault has taken it down: whoever asks here may be all who would look.
        self.revive: Callable[[], None] = lambda: None

    def _notes(self) -> list[dict[str, Any]]:
        """One in four has a file that only one tenant has, of the rest some are in doubt and some are nobody's."""
        names = [f"solo {TENANTS[0]}.docx", f"solo {TENANTS[1]}.docx", "entrevista 1.docx", "perdido.docx"]
        return [{"id": number, "archivo": names[number % 4], "texto": f"nota {number}"} for number in range(1, 25)]

    def _load_notes(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE notas (id integer PRIMARY KEY, archivo text NOT NULL, texto text NOT NULL)"
            )
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO notas VALUES (%(id)s, %(archivo)s, %(texto)s)", self._notes())

    def _load_graph(self) -> None:
        super()._load_graph()
        self.graph.execute_query("CREATE CONSTRAINT nota_uq FOR (n:Nota) REQUIRE n.id IS UNIQUE")
        # The last two nodes have no row.
        nodes = [{"id": note["id"], "texto": note["texto"]} for note in self._notes()]
        nodes += [{"id": 90, "texto": "nota sin fila"}, {"id": 91, "texto": "otra nota sin fila"}]
        self.graph.execute_query("UNWIND $rows AS row CREATE (n:Nota) SET n = row", rows=nodes)

    def _load_points(self) -> None:
        super()._load_points()
        self.points.create_collection(
            NOTES, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE)
        )
        points = [
            models.PointStruct(id=number, vector=[1.0, number / 100, 0.0, 0.0], payload={"texto": f"nota {number}"})
            for number in [*(note["id"] for note in self._notes()), 90, 91]
        ]
        self.points.upsert(NOTES, points, wait=True)

    def put_back(self) -> None:
        """Make the three stores what they were after loading."""
        postgres, neo4j, qdrant = self._servers
        postgres.drop_database(DATABASE)
        postgres.create_database(DATABASE, TEMPLATE)
        neo4j.wipe()
        qdrant.wipe()
        self._load_graph()
        self._load_points()

    def arguments(self, command: str) -> list[str]:
        """Return the command line of one of COMMANDS."""
        return [*COMMANDS[command], "-f", str(self.path)]

    # Looking.

    def fingerprint(self) -> Fingerprint:
        """Return content and schema of the three stores."""
        return fingerprint(self.dsn, self.neo4j_url, self.qdrant_url)

    def rows(self, query: str, **fields: Any) -> list[Any]:
        """Return what a query on the database gives."""
        with connected(self.dsn, self.revive) as connection:
            return connection.execute(query.encode(), fields or None).fetchall()

    def reference(self) -> Reference:
        """Return what is there now, to compare with later."""
        quarantine = journal = frozenset[str]()
        if self.rows("SELECT 1 WHERE to_regclass('tenure.quarantine') IS NOT NULL"):
            listed = "SELECT store, object, item::text, reason FROM tenure.quarantine WHERE released_at IS NULL"
            quarantine = frozenset(" | ".join(row) for row in self.rows(listed))
            # The same before-image may have been kept twice, by a batch that was sent twice: rollback takes the first.
            # What was undone keeps its lines and a marker, and is none of what is compared.
            kept = """SELECT DISTINCT ON (j.operation, j.store, j.object, item)
                      j.operation, j.store, j.object, item::text, before::text
                      FROM tenure.journal AS j JOIN tenure.operation AS o ON o.id = j.operation
                      WHERE o.state = 'done' AND NOT item ? 'marker'
                      ORDER BY j.operation, j.store, j.object, item, j.id"""
            journal = frozenset(" | ".join(map(str, row)) for row in self.rows(kept))
        return Reference(self.fingerprint(), quarantine, journal, self.picture())

    def picture(self) -> Picture:
        """Return every item of the three stores."""
        found = Picture()
        with connected(self.dsn, self.revive) as connection:
            for table in (*POSTGRES, NOTES):
                query = f"SELECT to_jsonb(t) - '{KEY}', to_jsonb(t) ->> '{KEY}' FROM {table} AS t"
                for content, key in connection.execute(query.encode()):
                    found.add(table, content, key)
        end = "coalesce({0}.pk, {0}.nombre, {0}.numero)"
        nodes = f"CYPHER 5 MATCH (n) RETURN labels(n)[0] AS kind, properties(n) AS content, n['{KEY}'] AS key"
        relationships = (
            "CYPHER 5 MATCH (a)-[r]->(b) RETURN type(r) AS kind, properties(r) AS content, "
            f"r['{KEY}'] AS key, {end.format('a')} AS a, {end.format('b')} AS b"
        )
        for record in self.graph.execute_query(nodes).records:
            found.add(record["kind"], _keyless(record["content"]), record["key"])
        for record in self.graph.execute_query(relationships).records:
            found.add(record["kind"], [record["a"], record["b"], _keyless(record["content"])], record["key"])
        there = {one.name for one in self.points.get_collections().collections}
        for name in sorted(there & {OLD, NEW, NOTES}):
            for point in self.scroll(name):
                found.add(
                    f"points of {name}",
                    [point.id, _keyless(point.payload), point.vector],
                    (point.payload or {}).get(KEY),
                )
        return found

    def unlike(self, expected: Reference, command: str) -> list[str]:
        """Return what is other than *expected* after *command*."""
        found = self.reference()
        lines = differences(expected.stores, found.stores)
        for name, before, after in (
            ("quarantine", expected.quarantine, found.quarantine),
            ("journal", expected.journal, found.journal),
        ):
            if command != "back":
                lines += _listed(name, before, after)
        state = "cancelled" if command == "back" else "done"
        lines += [line for (line,) in self.rows(LEDGER, phases=list(DONE[command]), state=state)]
        return lines

    def torn(self, loaded: Picture, keyed: Picture, divided: bool) -> list[str]:
        """Return what must not be, whatever is under way; *divided* says whether nodes may be being split."""
        return self.picture().unlike(loaded, keyed, divided)


def connected(dsn: str, meanwhile: Callable[[], None] = lambda: None) -> psycopg.Connection[Any]:
    """Connect, past the proxy, when Postgres has recovered; call *meanwhile* after each attempt that failed.

    Errors: the last one, after a minute or two.
    """
    pause = threading.Event()
    for _ in range(600):
        with suppress(psycopg.OperationalError):
            return psycopg.connect(dsn, autocommit=True, connect_timeout=10)
        meanwhile()
        pause.wait(0.1)
    return psycopg.connect(dsn, autocommit=True)


def _keyless(content: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (content or {}).items() if name != KEY}


def _listed(name: str, before: Iterable[str], after: Iterable[str]) -> list[str]:
    expected, found = set(before), set(after)
    missing, extra = sorted(expected - found), sorted(found - expected)
    return [f"{name}: missing {line}" for line in missing[:3]] + [f"{name}: extra {line}" for line in extra[:3]]
