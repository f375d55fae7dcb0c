"""How the stores are reached. Nothing of it is part of what a playbook means, nor ever of a plan or report."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from tenure.playbook.base import Frozen, SettingText, Text, problem

_POSTGRES_SCHEMES = ("postgresql", "postgres")
_NEO4J_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_HOST_AND_PORT = re.compile(r"[\w.\-\[\]:]+:\d+/?")


class PostgresConnection(Frozen):
    """How Postgres is reached: a URL or DSN, the role to take, settings for every session."""

    url: SecretStr = Field(min_length=1)
    """A URL or a DSN; best "${TENURE_POSTGRES}"."""
    role: Text | None = None
    """Role to take after connecting."""
    settings: dict[Text, SettingText] = Field(default_factory=dict)
    """Settings of every session."""

    @field_validator("url")
    @classmethod
    def _url_or_dsn(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        scheme, separator, _ = text.partition("://")
        # `=` in the scheme: a DSN with a URL somewhere in it.
        if (separator and scheme not in _POSTGRES_SCHEMES and "=" not in scheme) or (not separator and "=" not in text):
            raise problem(
                "this is not the address of a Postgres database.",
                "Write postgresql://USER:PASSWORD@HOST:5432/DATABASE, or a DSN such as host=... dbname=...",
            )
        return value


class Neo4jConnection(Frozen):
    """How Neo4j is reached; an empty password means that the server asks for none."""

    url: Text
    """bolt:// or neo4j://, with +s or +ssc for TLS."""
    user: Text = "neo4j"
    password: SecretStr = SecretStr("")
    """Best "${TENURE_NEO4J_PASSWORD}"."""
    database: Text = "neo4j"

    @field_validator("url")
    @classmethod
    def _bolt(cls, value: str) -> str:
        scheme, separator, host = value.partition("://")
        if scheme not in _NEO4J_SCHEMES or not separator or not host:
            raise problem(
                "this is not the address of a Neo4j server.",
                "Write bolt://HOST:7687 or neo4j://HOST:7687 (with +s for TLS), not the address of its web page.",
            )
        return value


class QdrantConnection(Frozen):
    """How Qdrant is reached; a *url* without a scheme is a local-mode directory."""

    url: Text
    """http:// or https://; without a scheme a local-mode directory."""
    api_key: SecretStr | None = None
    """Best "${TENURE_QDRANT_API_KEY:-}"; empty means none."""

    @property
    def directory(self) -> Path | None:
        """The local-mode directory, or None for a server."""
        return None if "://" in self.url else Path(self.url)

    @field_validator("url")
    @classmethod
    def _server_or_directory(cls, value: str, info: ValidationInfo) -> str:
        scheme, separator, _ = value.partition("://")
        if separator and scheme not in ("http", "https"):
            raise problem("this is not the address of a Qdrant server.", "Write http:// or https:// and its REST port.")
        if separator:
            return value
        if _HOST_AND_PORT.fullmatch(value):
            raise problem("this is the address of a server without a scheme.", "Write http:// or https:// before it.")
        # The loader passes the playbook's directory, which paths are relative to.
        directory: Path = (info.context or {}).get("directory") or Path()
        return str(directory / os.path.expanduser(value))

    @field_validator("api_key")
    @classmethod
    def _empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        # `${TENURE_QDRANT_API_KEY:-}` gives an empty text where none is set.
        return value if value is not None and value.get_secret_value() else None


class Connections(Frozen):
    """The stores; Postgres is always needed, since the ledger lives there."""

    postgres: PostgresConnection
    neo4j: Neo4jConnection | None = None
    qdrant: QdrantConnection | None = None
