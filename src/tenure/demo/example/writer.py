"""The application as it was: writes to all three stores without the key, while tenure works on them.

``python -m tenure.demo.example.writer --journal FILE`` writes until SIGTERM; the stores' addresses come from options or
from TENURE_POSTGRES, TENURE_NEO4J and TENURE_QDRANT.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tenure.demo.example import words
from tenure.demo.example.journal import Journal, Record
from tenure.demo.example.shape import DIMENSIONS, ODD_FILES, SLUGS, fragment_id, spelled
from tenure.demo.example.vectors import COLLECTION, connect

ATTEMPTS = 8
_LOADED = """SELECT f.id, f.archivo, split_part(i.blob_url, '/', 4)
FROM entrevista_fragmentos AS f JOIN interview_files AS i ON i.filename = f.archivo
WHERE f.archivo <> ALL(%s) ORDER BY md5(f.id || %s) LIMIT 400"""
_UPSERT = """INSERT INTO entrevista_fragmentos
(id, archivo, par_idx, fragmento, embedding, char_len, speaker, area_tematica, actor_principal, genero, periodo)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET fragmento = EXCLUDED.fragmento, char_len = EXCLUDED.char_len"""
_MERGE_FRAGMENT = """CYPHER 5 MERGE (e:Entrevista {nombre: $archivo}) MERGE (f:Fragmento {id: $id})
SET f.archivo = $archivo, f.par_idx = $par_idx, f.char_len = $char_len MERGE (e)-[:TIENE_FRAGMENTO]->(f)"""
_MERGE_CODE = (
    """CYPHER 5 MATCH (f:Fragmento {id: $id}) MERGE (c:Codigo {nombre: $codigo}) MERGE (f)-[:TIENE_CODIGO]->(c)"""
)
_MERGE_AXIAL = """CYPHER 5 MERGE (a:Categoria {nombre: $categoria}) MERGE (c:Codigo {nombre: $codigo})
MERGE (a)-[r:REL {tipo: 'causa'}]->(c)
SET r.evidencia = CASE WHEN $id IN coalesce(r.evidencia, []) THEN r.evidencia
                       ELSE coalesce(r.evidencia, []) + $id END"""


@dataclass(frozen=True)
class _Known:
    """A fragment that the writer may touch."""

    id: str
    archivo: str
    project: str


class OldWriter:
    """Writes as the old code did. It deletes only what it made itself, so that the loaded data stays countable."""

    def __init__(
        self,
        postgres_dsn: str,
        neo4j_url: str,
        qdrant_url: str,
        seed: int = 1,
        *,
        journal: Path,
        neo4j_auth: tuple[str, str] | None = None,
    ) -> None:
        """Connect to the loaded stores and open the journal, to which it appends."""
        import psycopg
        from neo4j import GraphDatabase

        self._rng = random.Random(f"writer|{seed}")
        self._seed, self._count = seed, 0
        self._postgres = psycopg.connect(postgres_dsn, autocommit=True)
        self._neo4j = GraphDatabase.driver(neo4j_url, auth=neo4j_auth)
        self._qdrant = connect(qdrant_url)
        self._journal = Journal(journal)
        self._own: list[_Known] = []
        self._codes: list[tuple[str, str]] = []
        self._files: list[tuple[str, str]] = []
        self._loaded = self._in_all_stores()

    def step(self) -> str:
        """Do one random write in all stores that it concerns and return its name; it is in the journal when done."""
        self._count += 1
        choices: list[tuple[int, Callable[[], tuple[Record, Callable[[], None]]]]] = [
            (1, self._add_file),
            (6, self._add_fragment),
            (6, self._edit_fragment),
            (4, self._add_code),
            (1, self._add_report),
            (1, self._add_axial),
        ]
        if self._own:
            choices.append((2, self._delete_fragment))
        if self._codes:
            choices.append((1, self._delete_code))
        make = self._rng.choices([make for _, make in choices], [weight for weight, _ in choices])[0]
        record, write = make()
        self._journal.begin(record)
        self._attempt(write)
        self._journal.done()
        return str(record["op"])

    def close(self) -> None:
        """Close the journal and the connections."""
        self._journal.__exit__(None, None, None)
        self._postgres.close()
        self._neo4j.close()
        self._qdrant.close()

    def __enter__(self) -> OldWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, write: Callable[[], None]) -> None:
        from psycopg import errors

        for attempt in range(ATTEMPTS):
            try:
                return write()
            except (errors.DeadlockDetected, errors.LockNotAvailable, errors.SerializationFailure):
                # Every write can be repeated, and the application did so too.
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(0.05 * 2**attempt)
        return None

    def _in_all_stores(self) -> list[_Known]:
        parameters = [[name for name, *_ in ODD_FILES], str(self._seed)]
        known = [_Known(*row) for row in self._postgres.execute(_LOADED, parameters)]
        ids = [fragment.id for fragment in known]
        nodes = self._neo4j.execute_query(
            "CYPHER 5 UNWIND $ids AS id MATCH (f:Fragmento {id: id}) RETURN f.id AS id", ids=ids
        ).records
        points = self._qdrant.retrieve(COLLECTION, ids, with_payload=False)
        everywhere = {record["id"] for record in nodes} & {str(point.id) for point in points}
        return [fragment for fragment in known if fragment.id in everywhere]

    def _any(self) -> _Known:
        return self._rng.choice(self._own if self._own and self._rng.random() < 0.4 else self._loaded)

    def _text(self) -> str:
        return f"{words.paragraph(self._rng, self._rng.choice(words.LUGARES), 'agua')} ({self._seed}.{self._count})"

    def _graph(self, query: str, **parameters: Any) -> None:
        self._neo4j.execute_query(query, **parameters)

    def _add_file(self) -> tuple[Record, Callable[[], None]]:
        project = self._rng.choice(SLUGS)
        archivo = f"Entrevista_nueva_{self._seed}_{self._count:05d}.docx"
        proyecto = self._rng.choice((spelled(project, self._count), None, "default"))

        def write() -> None:
            self._postgres.execute(
                "INSERT INTO interview_files (proyecto, filename, blob_url, status) VALUES (%s, %s, %s, 'indexed')",
                [proyecto, archivo, f"blob://entrevistas/{project}/{archivo}"],
            )
            self._files.append((archivo, project))

        return {"op": "add_file", "archivo": archivo, "project": project}, write

    def _add_fragment(self) -> tuple[Record, Callable[[], None]]:
        if self._files and self._rng.random() < 0.5:
            archivo, project = self._rng.choice(self._files)
        else:
            beside = self._rng.choice(self._loaded)
            archivo, project = beside.archivo, beside.project
        par_idx = 500_000 + self._seed * 50_000 + self._count
        identity, text = fragment_id(archivo, par_idx), self._text()
        vector = [round(self._rng.uniform(-1, 1), 6) for _ in range(DIMENSIONS)]
        facts = {"speaker": "entrevistada", "area_tematica": "agua", "actor_principal": "vecina"}
        facts |= {"genero": "femenino", "periodo": "2022"}

        def write() -> None:
            from qdrant_client import models

            self._postgres.execute(_UPSERT, [identity, archivo, par_idx, text, vector, len(text), *facts.values()])
            self._graph(_MERGE_FRAGMENT, id=identity, archivo=archivo, par_idx=par_idx, char_len=len(text))
            # The old code writes every canonical field, so the key is there with value null.
            payload: dict[str, Any] = {"project_id": None, "archivo": archivo, "par_idx": par_idx, "fragmento": text}
            payload |= {**facts, "codigos_ancla": [], "metadata": {"origen": "docx"}}
            self._qdrant.upsert(
                COLLECTION, [models.PointStruct(id=identity, vector=vector, payload=payload)], wait=True
            )
            self._own.append(_Known(identity, archivo, project))

        return {"op": "add_fragment", "id": identity, "archivo": archivo, "fragmento": text, "project": project}, write

    def _edit_fragment(self) -> tuple[Record, Callable[[], None]]:
        fragment, text = self._any(), self._text()

        def write() -> None:
            self._postgres.execute(
                "UPDATE entrevista_fragmentos SET fragmento = %s, char_len = %s WHERE id = %s",
                [text, len(text), fragment.id],
            )
            self._graph("CYPHER 5 MATCH (f:Fragmento {id: $id}) SET f.char_len = $n", id=fragment.id, n=len(text))
            self._qdrant.set_payload(COLLECTION, {"fragmento": text}, points=[fragment.id], wait=True)

        return {"op": "edit_fragment", "id": fragment.id, "fragmento": text}, write

    def _delete_fragment(self) -> tuple[Record, Callable[[], None]]:
        fragment = self._own.pop(self._rng.randrange(len(self._own)))
        self._codes = [key for key in self._codes if key[0] != fragment.id]

        def write() -> None:
            self._postgres.execute("DELETE FROM entrevista_fragmentos WHERE id = %s", [fragment.id])
            self._graph("CYPHER 5 MATCH (f:Fragmento {id: $id}) DETACH DELETE f", id=fragment.id)
            self._qdrant.delete(COLLECTION, [fragment.id], wait=True)

        return {"op": "delete_fragment", "id": fragment.id}, write

    def _add_code(self) -> tuple[Record, Callable[[], None]]:
        fragment = self._any()
        shared = self._rng.random() < 0.4
        codigo = words.shared_code(self._rng.randrange(10)) if shared else f"código nuevo {self._seed}.{self._count}"
        proyecto = self._rng.choice((fragment.project, None, "default"))

        def write() -> None:
            self._postgres.execute(
                "INSERT INTO analisis_codigos_abiertos (fragmento_id, codigo, proyecto, archivo, cita, fuente) "
                "VALUES (%s, %s, %s, %s, %s, 'manual') ON CONFLICT (fragmento_id, codigo) DO NOTHING",
                [fragment.id, codigo, proyecto, fragment.archivo, f"«{codigo}»"],
            )
            self._graph(_MERGE_CODE, id=fragment.id, codigo=codigo)
            self._qdrant.set_payload(COLLECTION, {"codigos_ancla": [codigo]}, points=[fragment.id], wait=True)
            if not shared:  # a shared name may have been on a loaded fragment before
                self._codes.append((fragment.id, codigo))

        return {"op": "add_code", "id": fragment.id, "codigo": codigo}, write

    def _delete_code(self) -> tuple[Record, Callable[[], None]]:
        identity, codigo = self._codes.pop(self._rng.randrange(len(self._codes)))

        def write() -> None:
            self._postgres.execute(
                "DELETE FROM analisis_codigos_abiertos WHERE fragmento_id = %s AND codigo = %s", [identity, codigo]
            )
            self._graph(
                "CYPHER 5 MATCH (:Fragmento {id: $id})-[r:TIENE_CODIGO]->(c:Codigo {nombre: $codigo}) DELETE r "
                "WITH DISTINCT c WHERE NOT (c)--() DELETE c",
                id=identity,
                codigo=codigo,
            )

        return {"op": "delete_code", "id": identity, "codigo": codigo}, write

    def _add_report(self) -> tuple[Record, Callable[[], None]]:
        project, text = self._rng.choice(SLUGS), f"Informe nuevo {self._seed}.{self._count}"
        proyecto, send_default = spelled(project, self._count), self._rng.random() < 0.5

        def write() -> None:
            # Half of the old code relies on the column's default, the other half writes the default itself.
            if send_default:
                statement = (
                    "INSERT INTO doctoral_reports (proyecto, project_id, etapa, contenido) VALUES (%s, 'default', "
                )
            else:
                statement = "INSERT INTO doctoral_reports (proyecto, etapa, contenido) VALUES (%s, "
            self._postgres.execute(f"{statement}'marco', %s)".encode(), [proyecto, text])

        return {"op": "add_report", "contenido": text, "project": project}, write

    def _add_axial(self) -> tuple[Record, Callable[[], None]]:
        fragment = self._rng.choice(self._loaded)
        categoria = f"Categoría nueva {self._seed}.{self._count}"
        codigo = f"código axial {self._seed}.{self._count}"

        def write() -> None:
            self._postgres.execute(
                "INSERT INTO analisis_codigos_abiertos (fragmento_id, codigo, proyecto, archivo) "
                "VALUES (%s, %s, %s, %s) ON CONFLICT (fragmento_id, codigo) DO NOTHING",
                [fragment.id, codigo, fragment.project, fragment.archivo],
            )
            self._postgres.execute(
                "INSERT INTO analisis_axial (categoria, codigo, relacion, proyecto, evidencia) "
                "VALUES (%s, %s, 'causa', %s, %s) ON CONFLICT (categoria, codigo, relacion) DO NOTHING",
                [categoria, codigo, fragment.project, [fragment.id]],
            )
            self._graph(_MERGE_CODE, id=fragment.id, codigo=codigo)
            self._graph(_MERGE_AXIAL, categoria=categoria, codigo=codigo, id=fragment.id)

        return {"op": "add_axial", "id": fragment.id, "categoria": categoria, "codigo": codigo}, write


def main(arguments: list[str] | None = None) -> int:
    """Write at the given rate until SIGTERM or SIGINT; return 0 when every write begun is confirmed."""
    parser = argparse.ArgumentParser(prog="python -m tenure.demo.example.writer", description=__doc__)
    for store in ("postgres", "neo4j", "qdrant"):
        name = f"TENURE_{store.upper()}"
        parser.add_argument(f"--{store}", default=os.environ.get(name), required=name not in os.environ, metavar="URL")
    parser.add_argument("--journal", type=Path, required=True, help="file of JSON lines to append to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=20, help="writes a second, at most")
    parser.add_argument("--count", type=int, default=0, help="stop after so many writes (0: never)")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    done = 0
    with OldWriter(options.postgres, options.neo4j, options.qdrant, options.seed, journal=options.journal) as writer:
        began = time.monotonic()
        while not stop.wait(max(0.0, began + done / options.rate - time.monotonic())):
            writer.step()
            done += 1
            if done == options.count:
                break
    sys.stderr.write(f"{done} writes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
