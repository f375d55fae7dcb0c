"""The example's data as streams: fragments, the rows of every table, and the manifest of what must be counted."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tenure.demo.example import words
from tenure.demo.example.shape import (
    COLLIDING,
    DIMENSIONS,
    ODD_FILES,
    Shape,
    aliases,
    fragment_id,
    shapes,
)

Row = tuple[Any, ...]
ROWS_WITHOUT_NODE, NODES_WITHOUT_ROW, STALE_POINTS, KEYED_STRAY_POINTS = 6, 4, 5, 2
KEY_STATES = ("missing", "null", "empty", "nested")  # how a legacy point spells "no project_id"
USERS = 12
_EPOCH = dt.datetime(2025, 3, 3, 9, 0, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One paragraph of an interview as all three stores know it; `tenant` is the truth that no store holds."""

    id: str
    tenant: str | None
    number: int
    archivo: str
    par_idx: int
    fragmento: str
    embedding: list[float]
    speaker: str
    area_tematica: str
    actor_principal: str
    genero: str
    periodo: str
    codes: tuple[str, ...]
    created_at: dt.datetime
    in_graph: bool
    in_vectors: bool
    key_state: str

    @property
    def payload(self) -> dict[str, Any]:
        """Return the point's payload in the legacy form, key variants included."""
        metadata: dict[str, Any] = {"origen": "docx", "parrafo": self.par_idx}
        payload: dict[str, Any] = {
            "archivo": self.archivo, "par_idx": self.par_idx, "fragmento": self.fragmento, "speaker": self.speaker,
            "area_tematica": self.area_tematica, "actor_principal": self.actor_principal, "genero": self.genero,
            "periodo": self.periodo, "codigos_ancla": list(self.codes), "metadata": metadata,
        }  # fmt: skip
        if self.key_state == "null":
            payload["project_id"] = None
        elif self.key_state == "empty":
            payload["project_id"] = ""
        elif self.key_state == "nested" and self.tenant is not None:
            metadata["project_id"] = aliases(self.tenant)[1]
        return payload


@dataclass(frozen=True)
class Manifest:
    """What a load holds, as counts that a test can ask the stores for.

    `fragments` are Postgres rows per tenant, with those that nobody can attribute under ``(quarantine)``. The last
    three say what the example's playbook puts into quarantine: rows per table, nodes and relationships per label and
    type (before shared nodes are split), and points, the stale ones included.
    """

    scale: float
    seed: int
    drift: bool
    tenants: tuple[str, ...]
    fragments: dict[str, int]
    postgres: dict[str, int]
    nodes: dict[str, int]
    relationships: dict[str, int]
    points: int
    shared_codes: int
    rows_without_node: int
    nodes_without_row: int
    rows_without_point: int
    stale_points: int
    keyed_stray_points: int
    quarantined: dict[str, int]
    quarantined_graph: dict[str, int]
    quarantined_points: int


@dataclass(frozen=True)
class Example:
    """The example's data of one scale and seed; every method streams and gives the same each time."""

    scale: float
    seed: int
    drift: bool

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The projects' sizes."""
        return shapes(self.scale)

    @cached_property
    def unindexed(self) -> frozenset[str]:
        """Projects whose fragments never reached Qdrant."""
        return frozenset({self.shapes[-1].slug}) if self.drift else frozenset()

    @cached_property
    def rows_without_node(self) -> frozenset[str]:
        """Ids of fragments that never reached Neo4j."""
        shape = self.shapes[1]
        return frozenset(shape.fragment_id(i) for i in shape.uncoded(ROWS_WITHOUT_NODE)) if self.drift else frozenset()

    def rng(self, *parts: object) -> random.Random:
        """Return the random source that belongs to *parts*, the same in every pass."""
        return random.Random("|".join(map(str, (self.seed, *parts))))

    def uuid(self, *parts: object) -> uuid.UUID:
        """Return the random UUID that belongs to *parts*."""
        return uuid.UUID(int=self.rng(*parts).getrandbits(128), version=4)

    def when(self, minutes: int) -> dt.datetime:
        """Return a moment of the past, *minutes* after the application began."""
        return _EPOCH + dt.timedelta(minutes=minutes)

    def fragments(self) -> Iterator[Fragment]:
        """Yield every fragment that Postgres holds, project by project, file by file."""
        number = 0
        for shape in self.shapes:
            for i in range(shape.fragments):
                file, paragraph = shape.place_of(i)
                codes = tuple(shape.code(j) for j in shape.assignments_on(i))
                yield self._fragment(number, shape.slug, shape.file_name(file), paragraph, codes)
                number += 1
        for archivo, count, coded in ODD_FILES:
            for paragraph in range(count):
                codes = (self.odd_code(archivo),) if paragraph < coded else ()
                yield self._fragment(number, None, archivo, paragraph, codes)
                number += 1

    @staticmethod
    def odd_code(archivo: str) -> str:
        """Return the code used in one of the files that belong to no single project."""
        return words.shared_code(0) if archivo == COLLIDING else f"código de {archivo.partition('.')[0].lower()}"

    def _fragment(
        self, number: int, tenant: str | None, archivo: str, par_idx: int, codes: tuple[str, ...]
    ) -> Fragment:
        rng = self.rng("fragmento", archivo, par_idx)
        area, place = rng.choice(words.AREAS), rng.choice(words.LUGARES)
        identity = fragment_id(archivo, par_idx)
        return Fragment(
            id=identity,
            tenant=tenant,
            number=number,
            archivo=archivo,
            par_idx=par_idx,
            fragmento=words.paragraph(rng, place, area),
            embedding=[round(rng.uniform(-1, 1), 6) for _ in range(DIMENSIONS)],
            speaker="entrevistada" if par_idx % 4 else "entrevistadora",
            area_tematica=area,
            actor_principal=rng.choice(words.ROLES).lower(),
            genero=rng.choice(words.GENEROS),
            periodo=rng.choice(words.PERIODOS),
            codes=codes,
            created_at=self.when(number),
            in_graph=identity not in self.rows_without_node,
            in_vectors=tenant not in self.unindexed,
            key_state=KEY_STATES[number % len(KEY_STATES)],
        )

    @cached_property
    def shared_codes(self) -> tuple[int, ...]:
        """Numbers of the shared codes that some project uses (0 is used by the colliding file in any case)."""
        pool = self.shapes[0].shared_pool
        return tuple(k for k in range(pool) if k == 0 or any(s.shared_use(k) is not None for s in self.shapes))

    def shared_triples(self) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
        """Yield (category, code, [(project, fragment id)…]) of the axial triples that several projects arrived at."""
        for k in self.shared_codes[::3]:
            uses = [(s, s.shared_use(k)) for s in self.shapes]
            evidence = [(s.slug, s.fragment_id(s.fragment_of(j))) for s, j in uses if j is not None]
            if evidence:
                yield words.SHARED_CATEGORIES[k % len(words.SHARED_CATEGORIES)], words.shared_code(k), evidence

    def files(self) -> Iterator[tuple[Shape | None, str, int]]:
        """Yield (project, file name, number of fragments) of every file that has fragments."""
        for shape in self.shapes:
            for file in range(shape.files):
                last = shape.first_of(file + 1) if file + 1 < shape.files else shape.fragments
                yield shape, shape.file_name(file), last - shape.first_of(file)
        for archivo, count, _ in ODD_FILES:
            yield None, archivo, count

    @cached_property
    def manifest(self) -> Manifest:
        """What the three stores hold after a load."""
        from tenure.demo.example.counts import manifest

        return manifest(self)


def generate(scale: float, seed: int, *, drift: bool = True) -> Example:
    """Return the example's data at *scale* (1: 1,872 fragments in 51 files, 745 assignments; 50: about 94,000).

    Nothing is made before it is asked for, and nothing is kept. *drift* adds what disagreed between the real
    application's stores, in small numbers that `Example.manifest` lists. The real graph held nodes for a third of its
    fragments only; here every fragment has a node and a point but for the drift listed.
    """
    return Example(scale, seed, drift)


Progress = Callable[[str, str, int, int], None]
"""Called as (store, object, done, total) while a store is loaded."""
