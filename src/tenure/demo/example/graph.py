"""Loads the example into Neo4j: one graph of all projects, shared codes and categories, global uniqueness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from tenure.demo.example import words
from tenure.demo.example.data import NODES_WITHOUT_ROW, Example, Progress
from tenure.demo.example.shape import ODD_FILES, fragment_id
from tenure.demo.example.tables import RELACIONES

BATCH = 2000
CONSTRAINTS = (
    ("ent_nombre", "Entrevista", "nombre"),
    ("frag_id", "Fragmento", "id"),
    ("codigo_nombre", "Codigo", "nombre"),
    ("categoria_nombre", "Categoria", "nombre"),
)
_ENTREVISTA = "UNWIND $rows AS row CREATE (:Entrevista {nombre: row.nombre, segmentos: row.segmentos})"
_FRAGMENTO = """UNWIND $rows AS row CREATE (f:Fragmento) SET f = row.props
WITH f, row WHERE row.archivo IS NOT NULL
MATCH (e:Entrevista {nombre: row.archivo}) CREATE (e)-[:TIENE_FRAGMENTO {par_idx: row.props.par_idx}]->(f)"""
_CODIGO = "UNWIND $rows AS row CREATE (c:Codigo) SET c = row"
_CATEGORIA = "UNWIND $rows AS row CREATE (:Categoria {nombre: row.nombre})"
_TIENE_CODIGO = """UNWIND $rows AS row MATCH (f:Fragmento {id: row.id}) MATCH (c:Codigo {nombre: row.codigo})
CREATE (f)-[:TIENE_CODIGO]->(c)"""
_REL_CATEGORIA = """UNWIND $rows AS row MATCH (a:Categoria {nombre: row.a}) MATCH (b:Codigo {nombre: row.b})
CREATE (a)-[:REL {tipo: row.tipo, evidencia: row.evidencia}]->(b)"""
_REL_CODIGO = """UNWIND $rows AS row MATCH (a:Codigo {nombre: row.a}) MATCH (b:Codigo {nombre: row.b})
CREATE (a)-[:REL {tipo: row.tipo, evidencia: row.evidencia}]->(b)"""
_MERGED = """UNWIND $rows AS row MATCH (a:Codigo {nombre: row.a}) MATCH (b:Codigo {nombre: row.b})
CREATE (a)-[:MERGED_INTO]->(b)"""

Item = dict[str, Any]


def load_neo4j(
    url: str, example: Example, *, auth: tuple[str, str] | None = None, progress: Progress | None = None
) -> None:
    """Create the legacy constraints and the graph in the empty database at *url*, in batches of 2,000.

    *progress* is called as (store, object, done, total) after each batch.
    """
    from neo4j import GraphDatabase

    nodes, relationships = example.manifest.nodes, example.manifest.relationships
    # (object shown, its total, its share done before, query, rows)
    steps: tuple[tuple[str, int, str, Iterator[Item]], ...] = (
        ("Entrevista", nodes["Entrevista"], _ENTREVISTA, _entrevistas(example)),
        ("Fragmento", nodes["Fragmento"], _FRAGMENTO, _fragmentos(example)),
        ("Codigo", nodes["Codigo"], _CODIGO, _codigos(example)),
        ("Categoria", nodes["Categoria"], _CATEGORIA, _categorias(example)),
        ("TIENE_CODIGO", relationships["TIENE_CODIGO"], _TIENE_CODIGO, _assignments(example)),
        ("REL", relationships["REL"], _REL_CATEGORIA, _axial(example)),
        ("REL", relationships["REL"], _REL_CODIGO, _associations(example)),
        ("MERGED_INTO", relationships["MERGED_INTO"], _MERGED, _merges(example)),
    )
    with GraphDatabase.driver(url, auth=auth) as driver:
        for name, label, key in CONSTRAINTS:
            driver.execute_query(
                f"CYPHER 5 CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.{key} IS UNIQUE"
            )
        driver.execute_query("CYPHER 5 CALL db.awaitIndexes(300)")
        done: dict[str, int] = {}
        for shown, total, query, items in steps:
            for batch in batches(items, BATCH):
                driver.execute_query("CYPHER 5 " + query, rows=batch)
                done[shown] = done.get(shown, 0) + len(batch)
                if progress:
                    progress("neo4j", shown, done[shown], total)


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of up to *size* items."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _entrevistas(x: Example) -> Iterator[Item]:
    for _, name, fragments in x.files():
        yield {"nombre": name, "segmentos": fragments}


def _fragmentos(x: Example) -> Iterator[Item]:
    for f in x.fragments():
        if f.in_graph:
            props = {"id": f.id, "archivo": f.archivo, "par_idx": f.par_idx, "char_len": len(f.fragmento)}
            yield {"archivo": f.archivo, "props": props | {"actor_principal": f.actor_principal, "genero": f.genero}}
    if x.drift:
        # Deleted in Postgres, left in the graph: all but the last still hang on their interview.
        alive = x.shapes[0].file_name(0)
        for n in range(NODES_WITHOUT_ROW):
            last = n == NODES_WITHOUT_ROW - 1
            archivo = "Entrevista_borrada.docx" if last else alive
            props = {"id": fragment_id(archivo, 900_000 + n), "archivo": archivo, "par_idx": 900_000 + n, "char_len": 0}
            yield {"archivo": None if last else archivo, "props": props}


def _codigos(x: Example) -> Iterator[Item]:
    # community_id and score_centralidad were computed over the graph of all projects.
    def code(name: str, number: int) -> Item:
        return {
            "nombre": name,
            "code_id": number + 1,
            "community_id": number * 7 % 23,
            "score_centralidad": round(number * 7919 % 1000 / 1000, 3),
        }

    for k in x.shared_codes:
        yield code(words.shared_code(k), k)
    number = x.shapes[0].shared_pool
    for archivo in sorted({x.odd_code(name) for name, *_ in ODD_FILES} - {words.shared_code(0)}):
        yield code(archivo, number)
        number += 1
    for shape in x.shapes:
        for n in range(shape.own_codes):
            yield code(shape.own_code(n), number)
            number += 1


def _categorias(x: Example) -> Iterator[Item]:
    shared = {shape.category(n) for shape in x.shapes for n in range(0, shape.own_codes, 3)}
    shared |= {category for category, _, _ in x.shared_triples()}
    for name in sorted(shared):
        yield {"nombre": name}
    for shape in x.shapes:
        for n in range(shape.own_categories):
            yield {"nombre": shape.own_category(n)}


def _assignments(x: Example) -> Iterator[Item]:
    for shape in x.shapes:
        for j in range(shape.assignments):
            yield {"id": shape.fragment_id(shape.fragment_of(j)), "codigo": shape.code(j)}
    for archivo, _, coded in ODD_FILES:
        for j in range(coded):
            yield {"id": fragment_id(archivo, j), "codigo": x.odd_code(archivo)}


def _axial(x: Example) -> Iterator[Item]:
    for shape in x.shapes:
        for n in range(shape.own_codes):
            evidence = [shape.fragment_id(shape.fragment_of(j)) for j in shape.own_uses(n)]
            tipo = RELACIONES[n % len(RELACIONES)]
            yield {"a": shape.category(n), "b": shape.own_code(n), "tipo": tipo, "evidencia": evidence}
    for category, codigo, evidence_by_project in x.shared_triples():
        # One relationship for all projects: its list mixes their fragments.
        mixed = [identity for _, identity in evidence_by_project]
        yield {"a": category, "b": codigo, "tipo": "causa", "evidencia": mixed}


def _associations(x: Example) -> Iterator[Item]:
    for shape in x.shapes:
        for n in range(0, shape.own_codes - 1, 5):
            evidence = [shape.fragment_id(shape.fragment_of(shape.own_uses(n)[0]))]
            yield {
                "a": shape.own_code(n),
                "b": shape.own_code(n + 1),
                "tipo": "asociado_con",
                # Older relationships carry no evidence; both ends belong to one project, which is enough.
                "evidencia": evidence if n % 10 else [],
            }
    if {1, 2} <= set(x.shared_codes):
        # Nothing can say whose this one is: shared at both ends, no evidence.
        yield {"a": words.shared_code(1), "b": words.shared_code(2), "tipo": "asociado_con", "evidencia": []}


def _merges(x: Example) -> Iterator[Item]:
    for shape in x.shapes:
        for n in range(7, shape.own_codes - 1, 25):
            yield {"a": shape.own_code(n), "b": shape.own_code(n - 1)}
