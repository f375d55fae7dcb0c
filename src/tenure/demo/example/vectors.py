"""Loads the example into Qdrant: one collection, unnamed cosine vectors, payloads without a usable project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tenure.demo.example.data import KEYED_STRAY_POINTS, STALE_POINTS, Example, Progress
from tenure.demo.example.graph import batches
from tenure.demo.example.shape import DIMENSIONS, aliases, fragment_id

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

BATCH = 500
COLLECTION = "fragments"
KEYWORDS = ("archivo", "speaker", "area_tematica", "actor_principal", "genero", "periodo", "codigos_ancla")


def connect(url: str, api_key: str | None = None) -> QdrantClient:
    """Return a client of the server at *url*, or of the local-mode directory that a *url* without a scheme names."""
    from qdrant_client import QdrantClient

    if "://" not in url:
        return QdrantClient(path=url)
    return QdrantClient(url=url, api_key=api_key, check_compatibility=False, timeout=60)


def load_qdrant(url: str, example: Example, *, api_key: str | None = None, progress: Progress | None = None) -> None:
    """Create the collection `fragments` at *url* and fill it in batches of 500.

    *progress* is called as (store, object, done, total) after each batch.
    """
    from qdrant_client import models

    client = connect(url, api_key)
    try:
        vectors = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
        client.create_collection(COLLECTION, vectors_config=vectors)
        if "://" in url:  # local mode has no payload indexes and warns about each
            for name in KEYWORDS:
                client.create_payload_index(COLLECTION, name, models.PayloadSchemaType.KEYWORD, wait=True)
            client.create_payload_index(COLLECTION, "fragmento", models.PayloadSchemaType.TEXT, wait=True)
        done = 0
        for batch in batches(_points(example), BATCH):
            points = [models.PointStruct(id=i, vector=vector, payload=payload) for i, vector, payload in batch]
            client.upsert(COLLECTION, points, wait=True)
            done += len(points)
            if progress:
                progress("qdrant", COLLECTION, done, example.manifest.points)
    finally:
        client.close()


def _points(x: Example) -> Iterator[tuple[str, list[float], dict[str, Any]]]:
    for f in x.fragments():
        if f.in_vectors:
            yield f.id, f.embedding, f.payload
    if not x.drift:
        return
    for n in range(STALE_POINTS + KEYED_STRAY_POINTS):
        # Points of files that were deleted or renamed in Postgres; the last ones name their project in the payload.
        keyed = n >= STALE_POINTS
        archivo = "Entrevista_renombrada.docx" if keyed else "Entrevista_borrada.docx"
        rng = x.rng("stray", n)
        vector = [round(rng.uniform(-1, 1), 6) for _ in range(DIMENSIONS)]
        metadata = {"origen": "docx"} | ({"project_id": aliases(x.shapes[0].slug)[1]} if keyed else {})
        payload = {"archivo": archivo, "par_idx": n, "fragmento": "", "project_id": None, "metadata": metadata}
        yield fragment_id(archivo, n), vector, payload
