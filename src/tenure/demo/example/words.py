"""The Spanish words that the example's texts, codes and categories are made of."""

from __future__ import annotations

import random

LUGARES = (
    "Lota", "Tumbes", "Curanilahue", "Arauco", "Tirúa", "Coronel", "Lebu", "Cañete", "Contulmo", "Penco",
    "Tomé", "Dichato", "Cobquecura", "Chiguayante", "Hualqui", "Yumbel", "Nacimiento", "Mulchén", "Negrete", "Quilaco",
)  # fmt: skip
ROLES = ("Dirigenta", "Pescador", "Profesora", "Enfermera", "Agricultor", "Recolectora", "Estudiante", "Artesana")
GENEROS = ("femenino", "masculino", "no binario", "sin dato")
PERIODOS = ("2019", "2020-2021", "2022", "2023-2024")
AREAS = ("agua", "salud", "trabajo", "educación", "cuidados", "memoria", "vivienda", "participación")

_NOUNS = (
    "pérdida", "confianza", "memoria", "escasez", "cuidado", "organización", "migración", "conflicto", "acceso",
    "autonomía", "sobrecarga", "arraigo", "desplazamiento", "solidaridad", "desconfianza", "aprendizaje", "vigilancia",
    "negociación", "resistencia", "espera", "abandono", "orgullo", "miedo", "esperanza", "cansancio", "pertenencia",
)  # fmt: skip
_ADJECTIVES = (
    "comunitaria", "cotidiana", "estatal", "familiar", "territorial", "laboral", "intergeneracional", "silenciosa",
    "compartida", "institucional", "económica", "emocional", "vecinal", "estacional", "histórica", "selectiva",
    "forzada", "gradual", "heredada", "ambiental",
)  # fmt: skip
_COMPLEMENTS = (
    "", "tras la sequía", "en invierno", "frente al municipio", "durante la pandemia", "entre vecinas", "en la escuela",
    "en el consultorio", "por la industria", "después del terremoto", "con las familias nuevas", "en la caleta",
    "sin apoyo técnico", "a la distancia", "por el camión aljibe", "en el sindicato", "desde la infancia",
    "con enfoque de género", "en la feria", "por falta de locomoción",
)  # fmt: skip
_SHARED_CODES = (
    "acceso al agua", "ausencia del Estado", "cansancio", "cuidado de personas mayores", "desconfianza",
    "falta de información", "identidad local", "liderazgo femenino", "miedo al despido", "juntas de vecinos",
    "participación", "pobreza", "redes de apoyo", "resignación", "salud mental", "sentido de pertenencia",
    "trabajo informal", "transporte", "violencia", "vivienda precaria",
)  # fmt: skip
SHARED_CATEGORIES = (
    "Condiciones de vida", "Organización comunitaria", "Relación con el Estado", "Trabajo y sustento",
    "Cuidados", "Territorio", "Memoria colectiva", "Estrategias de adaptación", "Conflictos", "Expectativas",
    "Barreras de acceso", "Vínculos",
)  # fmt: skip
_SENTENCES = (
    "Acá en {lugar} la {noun} se nota todos los días, sobre todo {when}.",
    "Mi familia siempre habló de la {noun}, pero nadie del municipio vino a preguntar.",
    "Nosotras empezamos a reunirnos por la {noun} {adj}, y de ahí salió la junta.",
    "Yo creo que lo más difícil ha sido la {noun}, porque uno no sabe a quién recurrir.",
    "Antes, {when}, esto era distinto; ahora se habla de {area} y de poco más.",
    "Los jóvenes de {lugar} se van, y queda esa sensación de {noun} {adj}.",
    "Cuando llegó el proyecto, dijeron que iban a mejorar {area}; todavía estamos esperando.",
    "Uno se acostumbra, pero la {noun} {adj} no se pasa.",
)
_WHEN = (
    "en verano",
    "en el invierno de 2020",
    "después del incendio",
    "desde que cerró la fábrica",
    "los fines de semana",
)


def _numbered(text: str, round_: int) -> str:
    # Past the combinations that the word lists give, a number keeps names distinct at any scale.
    return text if round_ == 0 else f"{text} {round_ + 1}"


def own_code(index: int) -> str:
    """Return the *index*-th code name that one project alone uses; names never repeat."""
    index, noun = divmod(index, len(_NOUNS))
    index, adjective = divmod(index, len(_ADJECTIVES))
    round_, complement = divmod(index, len(_COMPLEMENTS))
    return _numbered(f"{_NOUNS[noun]} {_ADJECTIVES[adjective]} {_COMPLEMENTS[complement]}".strip(), round_)


def shared_code(index: int) -> str:
    """Return the *index*-th code name that several projects use."""
    index, base = divmod(index, len(_SHARED_CODES))
    if index == 0:
        return _SHARED_CODES[base]
    round_, place = divmod(index - 1, len(LUGARES))
    return _numbered(f"{_SHARED_CODES[base]} en {LUGARES[place]}", round_)


def own_category(index: int) -> str:
    """Return the *index*-th category name that one project alone uses."""
    index, noun = divmod(index, len(_NOUNS))
    round_, area = divmod(index, len(AREAS))
    return _numbered(f"{_NOUNS[noun].capitalize()} y {AREAS[area]}", round_)


def paragraph(rng: random.Random, place: str, area: str) -> str:
    """Return two to four sentences of an interview held in *place* about *area*."""
    return " ".join(
        rng.choice(_SENTENCES).format(
            lugar=place, area=area, noun=rng.choice(_NOUNS), adj=rng.choice(_ADJECTIVES), when=rng.choice(_WHEN)
        )
        for _ in range(rng.randint(2, 4))
    )
