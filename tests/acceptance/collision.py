"""Two tenants with the same names for everything, in stores that were built for one: the application of two tests.

`Collision` loads it, knows what each tenant owns (`owned`), and looks at the stores past tenure's code (`seen`): plain
SQL, Cypher and scrolls. Both give the same picture when every tenant sees exactly its own.
"""

from __future__ import annotations

import json
import math
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from neo4j import Driver, GraphDatabase
from qdrant_client import QdrantClient, models

from tenure.playbook import load_playbook
from tenure.session import Session

TENANTS = ("acme", "beta")
OLD, ALIAS, NEW = "fragmentos_v1", "fragmentos", "fragmentos_v1__project_id"
HUB = "confianza"
# Both tenants have the first two files, under the same names.
FILES = ("entrevista 1.docx", "entrevista 2.docx")
QUOTES = 10
SCHEMA = """
CREATE TABLE proyectos (id text PRIMARY KEY);
CREATE TABLE archivos (
    id integer PRIMARY KEY, proyecto text NOT NULL, nombre text NOT NULL, external_id text NOT NULL,
    CONSTRAINT archivos_uq UNIQUE (proyecto, nombre));
CREATE TABLE fragmentos (
    pk integer PRIMARY KEY, archivo_id integer NOT NULL REFERENCES archivos (id), id uuid NOT NULL,
    archivo text NOT NULL, par_idx integer NOT NULL, texto text NOT NULL, embedding float8[] NOT NULL,
    CONSTRAINT fragmentos_uq UNIQUE (archivo_id, par_idx));
CREATE INDEX ON fragmentos (id);
CREATE TABLE citas (
    id integer PRIMARY KEY, fragmento integer NOT NULL REFERENCES fragmentos (pk), codigo text NOT NULL,
    external_id text NOT NULL, CONSTRAINT citas_uq UNIQUE (fragmento, external_id));
CREATE TABLE categorias (
    id integer PRIMARY KEY, proyecto text NOT NULL, nombre text NOT NULL, external_id text NOT NULL,
    CONSTRAINT categorias_uq UNIQUE (proyecto, nombre));
CREATE TABLE informes (
    id integer PRIMARY KEY, proyecto text NOT NULL, titulo text NOT NULL,
    CONSTRAINT informes_titulo_key UNIQUE (titulo));
"""
NUMBERED = {"keep": "numbers are given out once for all"}
POSTGRES: dict[str, Any] = {
    "archivos": {"tenant": {"column": "proyecto"}, "unique": {"archivos_pkey": NUMBERED}},
    "fragmentos": {
        "tenant": {"parent": "archivos", "match": {"archivo_id": "id"}},
        "unique": {"fragmentos_pkey": NUMBERED, "fragmentos_uq": "rescope"},
    },
    "citas": {
        "tenant": {"parent": "fragmentos", "match": {"fragmento": "pk"}},
        "unique": {"citas_pkey": NUMBERED, "citas_uq": "rescope"},
    },
    "categorias": {"tenant": {"column": "proyecto"}, "unique": {"categorias_pkey": NUMBERED}},
    "informes": {
        "tenant": {"column": "proyecto"},
        "unique": {"informes_pkey": NUMBERED, "informes_titulo_key": "rescope"},
    },
}
NEO4J: dict[str, Any] = {
    "nodes": {
        "Fragmento": {"identity": "pk", "tenant": {"postgres": "fragmentos.pk"}},
        "Archivo": {"identity": "nombre", "tenant": {"neighbours": ["CONTIENE"]}, "several": "split"},
        "Codigo": {
            "identity": "nombre",
            "tenant": {"neighbours": ["TIENE_CODIGO"]},
            "several": "split",
            "stale": ["community_id"],
        },
        "Categoria": {"identity": "nombre", "tenant": {"neighbours": ["REL"]}, "several": "split"},
        "Informe": {"identity": "numero", "tenant": {"postgres": "informes.id"}},
    },
    "relationships": {
        "CONTIENE": {"tenant": "ends"},
        "TIENE_CODIGO": {"tenant": "ends"},
        "REL": {"tenant": "ends", "conflict": "quarantine", "references": {"evidencia": "Fragmento.pk"}},
    },
}
QDRANT: dict[str, Any] = {
    OLD: {
        "tenant": {"postgres": "fragmentos.id"},
        "conflict": "quarantine",
        "ids": {"rekey": "{tenant}|{archivo}|{par_idx}", "namespace": "url"},
        "vectors": {"lost": "fragmentos.embedding"},
        "alias": ALIAS,
    }
}
CONSTRAINTS = {"Fragmento": "pk", "Archivo": "nombre", "Codigo": "nombre", "Categoria": "nombre", "Informe": "numero"}
Picture = dict[str, Any]
"""What one tenant has: by store and object, its items, each as a text, with how many of them there are."""


class Collision:
    """The application in three empty stores, with *hub* relationships on one code that both tenants use."""

    def __init__(self, directory: Path, dsn: str, neo4j_url: str, qdrant_url: str, hub: int) -> None:
        self.directory, self.dsn, self.neo4j_url, self.qdrant_url = directory, dsn, neo4j_url, qdrant_url
        self.graph: Driver = GraphDatabase.driver(neo4j_url)
        self.points = QdrantClient(url=qdrant_url, check_compatibility=False)
        self.fragments = self._fragments(hub // QUOTES)
        self.extra: dict[str, Any] = {}
        self._load_postgres()
        self._load_graph()
        self._load_points()

    def close(self) -> None:
        """Close the connections."""
        self.graph.close()
        self.points.close()

    # What there is.

    def _fragments(self, count: int) -> list[dict[str, Any]]:
        """Both tenants have three quarters of their fragments under the same ids, with other words."""
        found = []
        for number in range(count):
            tenant = number % 2
            place = number // 2
            shared = place % 4 != 3
            archivo = FILES[place % 2] if shared else f"solo {TENANTS[tenant]}.docx"
            angle = 0.1 + 0.6 * tenant + place * 0.0001
            found.append(
                {
                    "pk": number + 1,
                    "tenant": TENANTS[tenant],
                    "archivo": archivo,
                    "archivo_id": 1 + tenant * 3 + (FILES.index(archivo) if shared else 2),
                    "par_idx": place,
                    "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{archivo}|{place}")),
                    "texto": f"lo que {TENANTS[tenant]} dijo en {place}",
                    "embedding": [math.cos(angle), math.sin(angle), 0.0, 0.0],
                }
            )
        return found

    def _load_postgres(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(SCHEMA.encode())
            cursor.executemany("INSERT INTO proyectos VALUES (%s)", [(tenant,) for tenant in TENANTS])
            for number, tenant in enumerate(TENANTS):
                names = (*FILES, f"solo {tenant}.docx")
                cursor.executemany(
                    "INSERT INTO archivos VALUES (%s, %s, %s, %s)",
                    [(1 + number * 3 + place, tenant, name, f"EXT-{place}") for place, name in enumerate(names)],
                )
                cursor.executemany(
                    "INSERT INTO categorias VALUES (%s, %s, %s, %s)",
                    [(1 + number * 2 + place, tenant, f"categoria {place}", f"CAT-{place}") for place in range(2)],
                )
                cursor.execute("INSERT INTO informes VALUES (%s, %s, %s)", [number + 1, tenant, f"informe de {tenant}"])
            with cursor.copy("COPY fragmentos FROM STDIN") as copy:
                for one in self.fragments:
                    copy.write_row(
                        [one[name] for name in ("pk", "archivo_id", "id", "archivo", "par_idx", "texto", "embedding")]
                    )
            with cursor.copy("COPY citas FROM STDIN") as copy:
                for one in self.fragments:
                    copy.write_row((one["pk"], one["pk"], HUB, f"CITA-{one['par_idx']}"))

    def _load_graph(self) -> None:
        run = self.graph.execute_query
        for label, name in CONSTRAINTS.items():
            run(f"CREATE CONSTRAINT {label.lower()}_uq FOR (n:{label}) REQUIRE n.{name} IS UNIQUE")
        run("CREATE CONSTRAINT informe_titulo FOR (n:Informe) REQUIRE n.titulo IS UNIQUE")
        run("CREATE (:Codigo {nombre: $hub, community_id: 7})", hub=HUB)
        run("UNWIND [0, 1] AS n CREATE (:Codigo {nombre: 'codigo ' + n})")
        run("UNWIND [0, 1] AS n CREATE (:Categoria {nombre: 'categoria ' + n})")
        for number, tenant in enumerate(TENANTS):
            run(
                "CREATE (:Informe {numero: $numero, titulo: $titulo})",
                numero=number + 1,
                titulo=f"informe de {tenant}",
            )
        rows = [{name: one[name] for name in ("pk", "id", "archivo", "par_idx", "texto")} for one in self.fragments]
        for start in range(0, len(rows), 2000):
            part = rows[start : start + 2000]
            run("UNWIND $rows AS row CREATE (f:Fragmento) SET f = row", rows=part)
            run(
                "UNWIND $rows AS row MATCH (f:Fragmento {pk: row.pk}) MERGE (a:Archivo {nombre: row.archivo}) "
                "CREATE (a)-[:CONTIENE]->(f)",
                rows=part,
            )
            run(
                "UNWIND $rows AS row MATCH (f:Fragmento {pk: row.pk}), (h:Codigo {nombre: $hub}), "
                "(c:Codigo {nombre: 'codigo ' + (row.par_idx % 2)}) UNWIND range(1, $quotes) AS cita "
                "CREATE (f)-[:TIENE_CODIGO {cita: cita}]->(h) "
                "WITH DISTINCT f, c CREATE (f)-[:TIENE_CODIGO {cita: 0}]->(c)",
                rows=part,
                hub=HUB,
                quotes=QUOTES,
            )
        # One relationship for both tenants, and its list mixes what they own.
        for place in range(2):
            run(
                "MATCH (c:Codigo {nombre: $codigo}), (k:Categoria {nombre: $categoria}) "
                "CREATE (c)-[:REL {peso: $place, evidencia: $evidencia}]->(k)",
                codigo=f"codigo {place}",
                categoria=f"categoria {place}",
                place=place,
                evidencia=self._evidence(place),
            )

        # Nobody can tell whose this one is: it names no evidence, and both tenants use both its ends.
        run(
            "MATCH (c:Codigo {nombre: 'codigo 0'}), (k:Categoria {nombre: 'categoria 1'}) "
            "CREATE (c)-[:REL {peso: 9, evidencia: []}]->(k)"
        )

    def _evidence(self, place: int) -> list[int]:
        return [one["pk"] for one in self.fragments if one["par_idx"] % 2 == place][:8]

    def _load_points(self) -> None:
        self.points.create_collection(OLD, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
        # Who came last has the point; acme sent every other one once more.
        order = [one for one in self.fragments if one["tenant"] == "acme"]
        order += [one for one in self.fragments if one["tenant"] == "beta"]
        order += [one for one in self.fragments if one["tenant"] == "acme" and one["par_idx"] % 3 == 0]
        for start in range(0, len(order), 1000):
            structs = [
                models.PointStruct(
                    id=one["id"],
                    vector=one["embedding"],
                    payload={name: one[name] for name in ("archivo", "par_idx", "texto")},
                )
                for one in order[start : start + 1000]
            ]
            self.points.upsert(OLD, structs, wait=True)
        alias = models.CreateAlias(collection_name=OLD, alias_name=ALIAS)
        self.points.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])

    # Running tenure.

    def playbook(self) -> Path:
        """Write the playbook, with what a test put into `extra`, and return where it is."""
        path = self.directory / "tenure.yaml"
        body = {
            "version": 1,
            "tenant": {"registry": {"table": "proyectos", "column": "id"}},
            "connections": {
                "postgres": {"url": self.dsn},
                "neo4j": {"url": self.neo4j_url, "password": ""},
                "qdrant": {"url": self.qdrant_url},
            },
            "postgres": POSTGRES,
            "neo4j": NEO4J,
            "qdrant": QDRANT,
            **self.extra,
        }
        path.write_text(json.dumps(body))
        return path

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session."""
        with Session(load_playbook(self.playbook())) as session:
            yield session

    # Looking.

    def owned(self, tenant: str) -> Picture:
        """Return what a tenant owns, from what was loaded."""
        mine = [one for one in self.fragments if one["tenant"] == tenant]
        names = {place: [one for one in mine if one["par_idx"] % 2 == place] for place in (0, 1)}
        number = TENANTS.index(tenant)
        return {
            "archivos": Counter((*(f"{name} EXT-{n}" for n, name in enumerate(FILES)), f"solo {tenant}.docx EXT-2")),
            "fragmentos": Counter(f"{one['id']} {one['texto']}" for one in mine),
            "citas": Counter(f"{HUB} CITA-{one['par_idx']}" for one in mine),
            "categorias": Counter(f"categoria {n} CAT-{n}" for n in range(2)),
            "informes": Counter([f"informe de {tenant}"]),
            "Fragmento": Counter(f"{one['pk']} {one['texto']}" for one in mine),
            "Archivo": Counter({one["archivo"]: 1 for one in mine}),
            "Codigo": Counter([HUB, *(f"codigo {place}" for place in names if names[place])]),
            "Categoria": Counter(f"categoria {place}" for place in range(2)),
            "Informe": Counter([f"{number + 1} informe de {tenant}"]),
            "CONTIENE": Counter(f"{one['archivo']} > {one['pk']}" for one in mine),
            "TIENE_CODIGO": Counter(
                [f"{one['pk']} > {HUB} {cita}" for one in mine for cita in range(1, QUOTES + 1)]
                + [f"{one['pk']} > codigo {one['par_idx'] % 2} 0" for one in mine]
            ),
            "REL": Counter(
                f"codigo {place} > categoria {place} {place} {[pk for pk in self._evidence(place) if pk % 2 != number]}"
                for place in range(2)
            ),
            "points": Counter(
                f"{uuid.uuid5(uuid.NAMESPACE_URL, '|'.join((tenant, one['archivo'], str(one['par_idx']))))} "
                f"{one['texto']} {turn(one['embedding'])}"
                for one in mine
            ),
        }

    def seen(self, tenant: str) -> Picture:
        """Return what a tenant sees that asks for its own."""
        found: Picture = {}
        with psycopg.connect(self.dsn) as connection:
            for name, what in {
                "archivos": "nombre || ' ' || external_id",
                "fragmentos": "id || ' ' || texto",
                "citas": "codigo || ' ' || external_id",
                "categorias": "nombre || ' ' || external_id",
                "informes": "titulo",
            }.items():
                query = f"SELECT {what} FROM {name} WHERE project_id = %s"
                found[name] = Counter(text for (text,) in connection.execute(query.encode(), [tenant]))
        for label, what in {
            "Fragmento": "toString(n.pk) + ' ' + n.texto",
            "Archivo": "n.nombre",
            "Codigo": "n.nombre",
            "Categoria": "n.nombre",
            "Informe": "toString(n.numero) + ' ' + n.titulo",
        }.items():
            found[label] = self._cypher(f"MATCH (n:{label} {{project_id: $t}}) RETURN {what} AS text", tenant)
        # A path is a tenant's own when both ends and what is between them are.
        for type_, what in {
            "CONTIENE": "a.nombre + ' > ' + toString(b.pk)",
            "TIENE_CODIGO": "toString(a.pk) + ' > ' + b.nombre + ' ' + toString(r.cita)",
            "REL": "a.nombre + ' > ' + b.nombre + ' ' + toString(r.peso) + ' [' + "
            "reduce(s = '', e IN r.evidencia | s + CASE s WHEN '' THEN '' ELSE ', ' END + toString(e)) + ']'",
        }.items():
            found[type_] = self._cypher(
                f"MATCH (a {{project_id: $t}})-[r:{type_} {{project_id: $t}}]->(b {{project_id: $t}}) "
                f"RETURN {what} AS text",
                tenant,
            )
        mine = models.Filter(must=[models.FieldCondition(key="project_id", match=models.MatchValue(value=tenant))])
        found["points"] = Counter(
            f"{point.id} {point.payload['texto']} {turn(point.vector)}" for point in self.scroll(ALIAS, mine)
        )
        return found

    def _cypher(self, query: str, tenant: str) -> Counter[str]:
        return Counter(record["text"] for record in self.graph.execute_query(query, t=tenant).records)

    def totals(self) -> dict[str, int]:
        """Return how many of each there are at all, whosever they are."""
        found = {}
        with psycopg.connect(self.dsn) as connection:
            for name in POSTGRES:
                ((found[name],),) = connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchall()
        for label in NEO4J["nodes"]:
            found[label] = self.graph.execute_query(f"MATCH (n:{label}) RETURN count(n) AS n").records[0]["n"]
        for type_ in NEO4J["relationships"]:
            found[type_] = self.graph.execute_query(f"MATCH ()-[r:{type_}]->() RETURN count(r) AS n").records[0]["n"]
        found["points"] = self.points.count(ALIAS, exact=True).count
        return found

    def scroll(self, collection: str, chosen: models.Filter | None = None) -> Iterator[Any]:
        """Yield all points, whole."""
        offset = None
        while True:
            points, offset = self.points.scroll(
                collection, scroll_filter=chosen, limit=1000, offset=offset, with_payload=True, with_vectors=True
            )
            yield from points
            if offset is None:
                return

    def raw(self) -> dict[str, Any]:
        """Return graph and points as they are, keys left out: what a cutover that was given up does not touch."""
        nodes = self.graph.execute_query(
            "MATCH (n) RETURN labels(n) AS labels, properties(n) AS p, COUNT { (n)--() } AS degree"
        ).records
        return {
            "nodes": sorted(json.dumps([r["labels"], {k: v for k, v in r["p"].items() if k != "project_id"},
                                        r["degree"]], sort_keys=True) for r in nodes),
            "relationships": Counter(
                (r["type"], json.dumps({k: v for k, v in r["p"].items() if k != "project_id"}, sort_keys=True))
                for r in self.graph.execute_query("MATCH ()-[r]->() RETURN type(r) AS type, properties(r) AS p").records
            ),
            "constraints": {r["name"] for r in self.graph.execute_query("SHOW CONSTRAINTS YIELD name").records
                            if not r["name"].startswith("tenure")},
            "points": {str(point.id): point.payload["texto"] for point in self.scroll(ALIAS)},
            "alias": {one.alias_name: one.collection_name for one in self.points.get_aliases().aliases},
        }  # fmt: skip


def turn(vector: list[float]) -> int:
    """Return which fragment's vector this is: its angle in steps, which the store's rounding does not reach."""
    return round(math.atan2(vector[1], vector[0]) / 0.0001)


def differing(owned: Picture, seen: Picture) -> dict[str, Any]:
    """Return what one picture has and the other has not, shortened for a person."""
    found = {}
    for name in sorted(set(owned) | set(seen)):
        missing, foreign = owned[name] - seen[name], seen[name] - owned[name]
        if missing or foreign:
            found[name] = {"missing": list(missing.items())[:5], "foreign": list(foreign.items())[:5]}
    return found
