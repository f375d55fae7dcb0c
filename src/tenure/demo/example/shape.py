"""How big the example is and how its parts are numbered: closed forms, so that any scale streams in flat memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tenure.demo.example import words

# Fragments, files and code assignments of each project at scale 1; with the odd files below they make the sizes of
# the real application: 1,872 fragments in 51 files with 745 assignments.
_PROJECTS = (
    ("jd-007", "Jardines del Desierto", 791, 20, 315),
    ("agua-rural", "Agua rural y organización", 597, 16, 238),
    ("salud-barrial", "Salud en el barrio", 229, 6, 91),
    ("pesca-artesanal", "Pesca artesanal", 74, 2, 29),
    ("escuela-sur", "Escuelas del sur", 53, 1, 21),
    ("memoria-puerto", "Memoria del puerto", 53, 1, 21),
    ("cuidados-2025", "Trayectorias de cuidado", 38, 1, 15),
    ("migra-norte", "Migración en el norte", 28, 1, 11),
)
SLUGS = tuple(slug for slug, *_ in _PROJECTS)
DIMENSIONS = 24
# A file of one name in two projects (fragments collide), one whose project nobody wrote down, one never registered.
COLLIDING, ORPHANED, UNREGISTERED = "Entrevista_piloto.docx", "Grupo_focal_sin_proyecto.docx", "Notas_de_campo.txt"
ODD_FILES = ((COLLIDING, 4, 2), (ORPHANED, 3, 1), (UNREGISTERED, 2, 1))


def fragment_id(archivo: str, par_idx: int) -> str:
    """Return the id of a fragment in all three stores: no project in it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{archivo}|{par_idx}"))


def aliases(slug: str) -> tuple[str, str, str]:
    """Return the other spellings of a project: its UUID, with a blank, in capitals."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"proyecto|{slug}")), slug.upper().replace("-", " "), slug.upper()


def spelled(slug: str, number: int) -> str:
    """Return one of the spellings of *slug*; seven in ten are right."""
    return {7: aliases(slug)[0], 8: aliases(slug)[1], 9: aliases(slug)[2]}.get(number % 10, slug)


@dataclass(frozen=True)
class Shape:
    """One project's sizes. Assignments come in pairs on one fragment; every fourth one uses a shared code."""

    index: int
    slug: str
    name: str
    fragments: int
    files: int
    assignments: int
    first_file: int  # number of its first file among all files
    first_code: int  # number of its first own code among all own codes
    first_category: int
    shared_pool: int

    @property
    def own_draws(self) -> int:
        """Assignments to a code that no other project uses."""
        return self.assignments - self.shared_draws

    @property
    def shared_draws(self) -> int:
        """Assignments to a code that other projects use too."""
        return self.assignments // 4

    @cached_property
    def own_codes(self) -> int:
        """Number of codes that only this project uses."""
        return min(self.own_draws, code_block(self.assignments))

    @cached_property
    def own_categories(self) -> int:
        """Number of categories that only this project uses."""
        axial = self.own_codes
        return min(category_block(self.assignments), axial - -(-axial // 3))

    @property
    def pairs(self) -> int:
        """Number of fragments that carry codes."""
        return -(-self.assignments // 2)

    def file_name(self, file: int) -> str:
        """Return the name of the project's *file*-th file, unique among all projects."""
        number = self.first_file + file
        role, place = words.ROLES[number % len(words.ROLES)], words.LUGARES[number % len(words.LUGARES)]
        return f"Entrevista_{role}_{place}_{number + 1:03d}.docx"

    def place_of(self, fragment: int) -> tuple[int, int]:
        """Return (file, paragraph) of the project's *fragment*-th fragment."""
        # The greatest file whose first fragment, file * fragments // files, is not past this one.
        file = ((fragment + 1) * self.files - 1) // self.fragments
        return file, fragment - self.first_of(file)

    def first_of(self, file: int) -> int:
        """Return the number of the first fragment of *file*."""
        return file * self.fragments // self.files

    def fragment_id(self, fragment: int) -> str:
        """Return the id of the *fragment*-th fragment."""
        file, paragraph = self.place_of(fragment)
        return fragment_id(self.file_name(file), paragraph)

    def fragment_of(self, assignment: int) -> int:
        """Return the fragment that the *assignment*-th assignment is on."""
        return (assignment // 2) * self.fragments // self.pairs

    def assignments_on(self, fragment: int) -> range:
        """Return the numbers of the assignments on *fragment*."""
        first = -(-fragment * self.pairs // self.fragments)
        last = -(-(fragment + 1) * self.pairs // self.fragments)
        return range(min(2 * first, self.assignments), min(2 * last, self.assignments))

    def code(self, assignment: int) -> str:
        """Return the code of the *assignment*-th assignment."""
        if assignment % 4 == 3:
            return words.shared_code(self.shared_number(assignment // 4))
        return self.own_code((assignment - assignment // 4) % self.own_codes)

    def own_code(self, number: int) -> str:
        """Return the name of the *number*-th code that only this project uses."""
        return words.own_code(self.first_code + number)

    def shared_number(self, draw: int) -> int:
        """Return which shared code the *draw*-th shared assignment uses."""
        return (3 * self.index + draw) % self.shared_pool

    def shared_use(self, number: int) -> int | None:
        """Return the first assignment that uses the shared code *number*, if the project uses it."""
        draw = (number - 3 * self.index) % self.shared_pool
        return 4 * draw + 3 if draw < self.shared_draws else None

    def own_uses(self, number: int) -> list[int]:
        """Return the first one or two assignments that use the own code *number*."""
        draws = [draw for draw in (number, number + self.own_codes) if draw < self.own_draws]
        return [draw + draw // 3 for draw in draws]

    def category(self, number: int) -> str:
        """Return the category of the *number*-th axial row (one for every own code)."""
        if number % 3 == 0:
            return words.SHARED_CATEGORIES[(number // 3 + self.index) % len(words.SHARED_CATEGORIES)]
        return self.own_category((number - number // 3 - 1) % self.own_categories)

    def own_category(self, number: int) -> str:
        """Return the name of the *number*-th category that only this project uses."""
        return words.own_category(self.first_category + number)

    def uncoded(self, limit: int) -> Iterator[int]:
        """Yield up to *limit* fragments without codes, the last ones first."""
        for fragment in range(self.fragments - 1, -1, -1):
            if limit == 0:
                return
            if not self.assignments_on(fragment):
                limit -= 1
                yield fragment


def code_block(assignments: int) -> int:
    """Return how many names are set aside for the own codes of a project with *assignments* assignments."""
    return max(2, assignments * 2 // 3)


def category_block(assignments: int) -> int:
    """Return how many names are set aside for the own categories of a project."""
    return max(1, assignments // 8)


def shapes(scale: float) -> tuple[Shape, ...]:
    """Return every project's shape at *scale* (1 is the size of the real application)."""
    if scale <= 0:
        raise ValueError(f"scale must be above 0, not {scale}")
    made: list[Shape] = []
    file = code = category = 0
    pool = max(4, round(40 * scale))
    for index, (slug, name, *sizes) in enumerate(_PROJECTS):
        fragments, files, assignments = (max(1, round(size * scale)) for size in sizes)
        files = min(files, fragments)
        made.append(Shape(index, slug, name, fragments, files, assignments, file, code, category, pool))
        file, code, category = file + files, code + code_block(assignments), category + category_block(assignments)
    return tuple(made)
