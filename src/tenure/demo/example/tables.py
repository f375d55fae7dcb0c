"""The rows of every legacy Postgres table, as streams, in an order that satisfies the foreign keys."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tenure.demo.example import words
from tenure.demo.example.data import USERS, Example, Row
from tenure.demo.example.shape import COLLIDING, ODD_FILES, ORPHANED, UNREGISTERED, Shape, fragment_id, spelled

RELACIONES = ("partede", "causa", "condicion", "consecuencia")
DOCTORAL_STAGES = ("marco", "metodología", "resultados")

# Table -> its columns in the order that `rows` gives them.
COLUMNS: dict[str, tuple[str, ...]] = {
    "proyectos": ("id", "name", "org_id", "created_at"),
    "app_users": ("id", "email", "nombre", "organization_id"),
    "ui_analytics": ("user_id", "event", "payload", "created_at"),
    "schema_migrations": ("version",),
    "project_members": ("proyecto_id", "user_id", "rol"),
    "interview_files": (
        "proyecto", "filename", "original_filename", "blob_url", "file_size", "status", "segments_count",
        "created_at", "updated_at",
    ),
    "entrevista_fragmentos": (
        "id", "archivo", "par_idx", "fragmento", "embedding", "char_len", "speaker", "area_tematica",
        "actor_principal", "genero", "periodo", "metadata", "created_at", "updated_at",
    ),
    "analisis_codigos_abiertos": ("fragmento_id", "codigo", "proyecto", "archivo", "cita", "fuente", "created_at"),
    "codigo_citas": ("fragmento_id", "codigo", "orden", "texto"),
    "analisis_axial": ("categoria", "codigo", "relacion", "proyecto", "archivo", "memo", "evidencia"),
    "codigos_candidatos": (
        "proyecto", "codigo", "cita", "fragmento_id", "archivo", "fuente_origen", "score_confianza", "updated_at",
    ),
    "analisis_nucleo_notas": ("proyecto", "categoria", "nota"),
    "discovery_navigation_log": ("proyecto", "user_id", "consulta", "created_at"),
    "analysis_memos": (
        "id", "fragmento_id", "titulo", "contenido", "archivado", "autor_id", "created_at", "updated_at",
    ),
    "memo_revisiones": ("memo_id", "version", "texto"),
    "interview_reports": ("archivo", "share_token", "resumen", "metricas"),
    "doctoral_reports": ("id", "proyecto", "project_id", "etapa", "contenido", "updated_at"),
    "report_jobs": ("id", "report_id", "tipo", "estado", "dedupe_key"),
    "api_idempotency": ("endpoint", "key", "proyecto", "response"),
}  # fmt: skip


def rows(example: Example, table: str) -> Iterator[Row]:
    """Yield the rows of *table* as tuples in the order of `COLUMNS`."""
    return _MAKERS[table](example)


def memos(shape: Shape) -> range:
    """Return the numbers of the fragments of a project that carry a memo."""
    return range(0, shape.fragments, 20)


def _proyectos(x: Example) -> Iterator[Row]:
    for n, shape in enumerate(x.shapes):
        yield shape.slug, shape.name, "org-norte" if n % 2 else "org-sur", x.when(n)


def _app_users(x: Example) -> Iterator[Row]:
    for n in range(1, USERS + 1):
        yield n, f"persona{n:02d}@example.org", f"Persona {n}", "org-norte" if n % 2 else "org-sur"


def _ui_analytics(x: Example) -> Iterator[Row]:
    for n in range(max(1, round(200 * x.scale))):
        yield n % USERS + 1, ("abrir", "buscar", "exportar")[n % 3], json.dumps({"ms": n % 900}), x.when(n)


def _schema_migrations(x: Example) -> Iterator[Row]:
    yield from (("001_inicial",), ("002_memos",), ("003_hotfix_project_id",))


def _project_members(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in range(3):
            yield shape.slug, (shape.index + 4 * n) % USERS + 1, ("coordinación", "codificador", "lectura")[n]


def _interview_files(x: Example) -> Iterator[Row]:
    def row(proyecto: str | None, slug: str | None, name: str, fragments: int, n: int) -> Row:
        blob = slug and f"blob://entrevistas/{slug}/{name}"
        return proyecto, name, name.replace("_", " "), blob, 20_000 + n, "indexed", fragments, x.when(n), x.when(n)

    for n, (shape, name, fragments) in enumerate(x.files()):
        if shape:
            # Every fifth file lost its project and every fifth says 'default'; their blob's address still knows.
            proyecto = {3: None, 4: "default"}.get(n % 5, spelled(shape.slug, n // 2))
            yield row(proyecto, shape.slug, name, fragments, n)
        elif name == COLLIDING:
            for owner in x.shapes[:2]:
                yield row(owner.slug, owner.slug, name, fragments, n)
        elif name == ORPHANED:
            yield row("default", None, name, fragments, n)


def _fragmentos(x: Example) -> Iterator[Row]:
    for f in x.fragments():
        metadata = json.dumps({"origen": "docx", "parrafo": f.par_idx})
        yield (
            f.id, f.archivo, f.par_idx, f.fragmento, f.embedding, len(f.fragmento), f.speaker, f.area_tematica,
            f.actor_principal, f.genero, f.periodo, metadata, f.created_at, f.created_at,
        )  # fmt: skip


def _assignments(x: Example) -> Iterator[tuple[str | None, int, str, str, str]]:
    for shape in x.shapes:
        for j in range(shape.assignments):
            fragment = shape.fragment_of(j)
            file, _ = shape.place_of(fragment)
            yield shape.slug, j, shape.fragment_id(fragment), shape.code(j), shape.file_name(file)
    for archivo, _, coded in ODD_FILES:
        for j in range(coded):
            yield None, j, fragment_id(archivo, j), x.odd_code(archivo), archivo


def _codigos(x: Example) -> Iterator[Row]:
    for slug, j, identity, code, archivo in _assignments(x):
        proyecto = None if slug is None or j % 7 == 5 else "default" if j % 11 == 3 else spelled(slug, j)
        cita = f"«{code}» en {archivo}"
        yield identity, code, proyecto, archivo, cita, ("manual", "llm")[j % 2], x.when(j)


def _citas(x: Example) -> Iterator[Row]:
    for _, j, identity, code, archivo in _assignments(x):
        if j % 3 == 0:
            yield identity, code, 1, f"cita de {archivo}"


def _axial(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in range(shape.own_codes):
            fragments = [shape.fragment_of(j) for j in shape.own_uses(n)]
            archivo = shape.file_name(shape.place_of(fragments[0])[0])
            evidence = [shape.fragment_id(i) for i in fragments]
            relation = RELACIONES[n % len(RELACIONES)]
            yield shape.category(n), shape.own_code(n), relation, spelled(shape.slug, n), archivo, None, evidence
    for category, code, evidence_by_project in x.shared_triples():
        # The first project to write the triple owns the only row; the graph's relationship holds everyone's evidence.
        owner = evidence_by_project[0][0]
        own = [identity for slug, identity in evidence_by_project if slug == owner]
        yield category, code, "causa", owner, None, "coincide con otros proyectos", own
    for n, proyecto in enumerate((None, "default")):
        yield "Sin clasificar", f"código suelto {n + 1}", "partede", proyecto, None, "sin evidencia", []


def candidates(shape: Shape) -> int:
    """Return how many candidate codes a project has."""
    return max(1, shape.assignments // 10)


def _candidatos(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in range(candidates(shape)):
            i = shape.fragment_of(n)
            archivo = shape.file_name(shape.place_of(i)[0])
            # Column, fragment or file name: one in four rows each way but two ways for the column.
            proyecto = (spelled(shape.slug, n), "default", spelled(shape.slug, n + 5), None)[n % 4]
            identity = shape.fragment_id(i) if n % 4 != 3 else None
            code = f"propuesta: {shape.own_code(n % shape.own_codes)} {n}"
            source = ("llm", "manual", "discovery", "semantic_suggestion", "legacy")[n % 5]
            yield proyecto, code, None, identity, archivo, source, round(0.5 + n % 50 / 100, 2), x.when(n)
    yield "default", "propuesta sin origen", None, None, None, "legacy", None, x.when(0)


def _notas(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in range(shape.own_categories):
            yield spelled(shape.slug, n), shape.own_category(n), f"Nota de {shape.name}"


def searches(shape: Shape) -> int:
    """Return how many searches of a project were logged."""
    return max(1, shape.assignments // 5)


def _discovery(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in range(searches(shape)):
            yield spelled(shape.slug, n), n % USERS + 1, f"¿qué dicen de {words.AREAS[n % 8]}?", x.when(n)
    yield from (("default", 1, "prueba", x.when(0)), (None, 2, "prueba", x.when(1)))


def _memos(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in memos(shape):
            title, author = f"Memo {shape.slug} {n}", n // 20 % USERS + 1
            identity, moment = x.uuid("memo", shape.slug, n), x.when(n)
            archived = n // 20 % 6 == 5
            yield identity, shape.fragment_id(n), title, "Idea para volver a mirar.", archived, author, moment, moment


def _revisiones(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in memos(shape):
            for version in (1, 2):
                yield x.uuid("memo", shape.slug, n), version, f"Versión {version}"


def _reports(x: Example) -> Iterator[Row]:
    for n, (_, name, fragments) in enumerate(x.files()):
        if n % 3 == 0 and name not in (COLLIDING, ORPHANED, UNREGISTERED):
            yield name, x.uuid("token", name), f"Resumen de {name}", json.dumps({"fragmentos": fragments})


def _doctoral(x: Example) -> Iterator[Row]:
    identity = 0
    for shape in x.shapes:
        for n, stage in enumerate(DOCTORAL_STAGES):
            identity += 1
            project_id = ("default", None, shape.slug)[n]
            yield identity, spelled(shape.slug, identity), project_id, stage, f"Informe de {shape.name}", x.when(n)
    yield identity + 1, "default", "default", "marco", "Borrador de nadie", x.when(0)


def _jobs(x: Example) -> Iterator[Row]:
    for report in range(1, len(x.shapes) * len(DOCTORAL_STAGES) + 2):
        for n, state in enumerate(("hecho", "pendiente")):
            yield str(x.uuid("job", report, n)), report, ("pdf", "docx")[n], state, f"informe-{report}"


def _idempotency(x: Example) -> Iterator[Row]:
    for shape in x.shapes:
        for n in range(searches(shape)):
            yield (
                "/api/codificar",
                str(x.uuid("llave", shape.slug, n)),
                spelled(shape.slug, n),
                json.dumps({"ok": True}),
            )


_MAKERS = dict(
    zip(
        COLUMNS,
        (
            _proyectos, _app_users, _ui_analytics, _schema_migrations, _project_members, _interview_files, _fragmentos,
            _codigos, _citas, _axial, _candidatos, _notas, _discovery, _memos, _revisiones, _reports, _doctoral, _jobs,
            _idempotency,
        ),
        strict=True,
    )
)  # fmt: skip
