"""The worked example: an interview-analysis application before project scoping, in three stores, at any size.

`generate` describes the data, `load_postgres`, `load_neo4j` and `load_qdrant` put it into empty stores, `load_all` does
the three. `directory` is where the playbook and the schema files are, also in an installed wheel.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tenure.demo.example.data import Example, Fragment, Manifest, Progress, generate
from tenure.demo.example.graph import load_neo4j
from tenure.demo.example.postgres import load_postgres
from tenure.demo.example.vectors import load_qdrant

__all__ = [
    "Example",
    "Fragment",
    "Manifest",
    "Progress",
    "directory",
    "generate",
    "load_all",
    "load_neo4j",
    "load_postgres",
    "load_qdrant",
]


def directory() -> Path:
    """Return the directory that holds ``tenure.yaml``, ``tenants.csv``, ``legacy.sql`` and ``base.sql``."""
    return Path(str(files("tenure.demo.example")))


def load_all(
    postgres_dsn: str,
    neo4j_url: str,
    qdrant_url: str,
    scale: float = 1,
    seed: int = 7,
    drift: bool = True,
    progress: Progress | None = None,
    *,
    neo4j_auth: tuple[str, str] | None = None,
) -> Manifest:
    """Load the example into three empty stores, one after the other, and return what must be found there.

    *progress* is called as (store, object, done, total).
    """
    example = generate(scale, seed, drift=drift)
    load_postgres(postgres_dsn, example, progress=progress)
    load_neo4j(neo4j_url, example, auth=neo4j_auth, progress=progress)
    load_qdrant(qdrant_url, example, progress=progress)
    return example.manifest
