"""What names say: words of tenancy, of accounts, of bookkeeping; whether a column's name points at a table."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")
_SUFFIXES = frozenset({"id", "ids", "uuid", "guid", "key", "code", "fk", "ref", "no", "nr", "number", "slug"})

# How strongly a table of this name suggests itself as the registry of tenants.
TENANT_WORDS: dict[str, int] = {
    **dict.fromkeys(("tenant", "workspace", "organization", "organisation", "project", "proyecto", "mandant"), 3),
    **dict.fromkeys(("org", "account", "company", "team", "shop", "store", "clinic", "practice", "hospital"), 2),
    **dict.fromkeys(("merchant", "agency", "school", "site", "business", "empresa", "organizacion", "group"), 2),
    **dict.fromkeys(("customer", "client", "cliente", "cuenta", "department", "property", "branch", "unit"), 1),
}
ACCOUNT_WORDS = frozenset(
    {"user", "usuario", "account", "login", "person", "persona", "profile", "identity", "principal", "member"}
)
LOOKUP_WORDS = frozenset(
    {"country", "currency", "language", "locale", "timezone", "unit", "category", "status", "type", "role",
     "permission", "region", "province", "state", "plan", "feature", "setting", "config", "configuration", "icd",
     "code", "catalog",
     "priority", "resolution", "gender", "holiday", "tax", "vaccine", "drug", "diagnosis"}
)  # fmt: skip
# A column that says where somebody is just now says nothing of who owns the row.
PASSING_WORDS = frozenset(
    {"current", "last", "default", "active", "selected", "favorite", "favourite", "home", "recent"}
)
UNTAGGED_WORDS = frozenset(
    {"", "-", "none", "null", "nil", "n/a", "na", "default", "unknown", "undefined", "unassigned", "no project",
     "global", "sin proyecto", "ninguno", "desconocido", "0", "tbd", "todo", "test"}
)  # fmt: skip
STALE_WORDS = re.compile(
    r"(?i)communit|comunidad|central|pagerank|page_rank|louvain|betweenness|closeness|degree|grado|modularity|cluster"
)
TOKEN_WORDS = frozenset(
    {"token", "secret", "hash", "nonce", "signature", "apikey", "digest", "salt", "otp", "invite", "guid"}
)
BOOKKEEPING: dict[str, str] = {
    "schema_migrations": "a migration tool",
    "ar_internal_metadata": "Rails",
    "alembic_version": "Alembic",
    "flyway_schema_history": "Flyway",
    "schema_version": "a migration tool",
    "django_migrations": "Django",
    "django_content_type": "Django",
    "django_site": "Django",
    "_prisma_migrations": "Prisma",
    "knex_migrations": "Knex",
    "knex_migrations_lock": "Knex",
    "databasechangelog": "Liquibase",
    "databasechangeloglock": "Liquibase",
    "goose_db_version": "goose",
    "gorp_migrations": "gorp",
    "migrations": "a migration tool",
    "typeorm_metadata": "TypeORM",
    "sequelizemeta": "Sequelize",
    "__efmigrationshistory": "Entity Framework",
    "__drizzle_migrations": "Drizzle",
    "doctrine_migration_versions": "Doctrine",
    "phinxlog": "Phinx",
    "kysely_migration": "Kysely",
    "kysely_migration_lock": "Kysely",
    "_sqlx_migrations": "sqlx",
    "__diesel_schema_migrations": "Diesel",
    "atlas_schema_revisions": "Atlas",
    "spatial_ref_sys": "PostGIS",
}


def tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case and singular: ``InterviewFiles`` is ``("interview", "file")``."""
    return tuple(singular(word.casefold()) for word in _WORD.findall(name))


def singular(word: str) -> str:
    """Return a word without its plural ending, roughly; both sides of a comparison go through it."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "uses", "xes", "ches", "shes", "zes", "ones")) and len(word) > 4:
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "sis", "xis")) and len(word) > 3:
        return word[:-1]
    return word


def likeness(column: str, table: str, ref_column: str) -> int:
    """Return how much the name *column* reads like a reference to *ref_column* of *table*: 3 exactly, 0 not at all."""
    words, target = tokens(column), tokens(table)
    stem = _stem(words, tokens(ref_column))
    if not stem or not target:
        return 0
    if stem == target:
        return 3
    if stem[-1] == target[-1] or stem[: len(target)] == target:
        return 2
    return int(len(stem) > 1 and set(stem) <= set(target))


def points_at(column: str, table: str, ref_column: str) -> bool:
    """Return whether the name *column* reads like a reference to *ref_column* of *table*."""
    return likeness(column, table, ref_column) > 0


def marked(column: str, ref_column: str) -> bool:
    """Return whether a name says that it is a reference (`user_id`, `id_user`), rather than just a word."""
    words = tokens(column)
    return _stem(words, tokens(ref_column)) != words


def _stem(words: tuple[str, ...], ref: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a column's name without those that only say that it is an id."""
    if len(words) > len(ref) > 0 and words[-len(ref) :] == ref:
        return words[: -len(ref)]
    if len(words) > 1 and words[-1] in _SUFFIXES:
        return words[:-1]
    return words[1:] if len(words) > 1 and words[0] == "id" else words


def has_word(name: str, words: Iterable[str]) -> bool:
    """Return whether one of the words of *name* is among *words*."""
    return not set(words).isdisjoint(tokens(name))


def tenant_weight(table: str) -> int:
    """Return how much a table's name suggests that it lists tenants; its last word counts."""
    words = tokens(table)
    return TENANT_WORDS.get(words[-1], 0) if words and len(words) <= 2 else 0


def bookkeeping(name: str) -> str | None:
    """Return the tool whose bookkeeping a table of this name is, or None."""
    return BOOKKEEPING.get(name.casefold())
