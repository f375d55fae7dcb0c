"""Qdrant: the real server that TENURE_QDRANT names, else a host process on the engine's wheel (see qdrant_host)."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tenure.demo.servers.process import GuardedProcess, free_port
from tenure.errors import ServerDownloadError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

VARIABLE = "TENURE_QDRANT"
START_TIMEOUT = 60.0


class EmbeddedQdrant:
    """Qdrant's REST interface on a free loopback port, or the address in TENURE_QDRANT, which is never stopped."""

    def __init__(self, directory: Path | None = None) -> None:
        """Describe the server; nothing is started.

        Args:
            directory: Holds the collections; kept after stop, usable again. A temporary one, removed at the end of this
                process, when None.
        """
        self.external = os.environ.get(VARIABLE) or None
        self._temporary = None
        if directory is None and not self.external:
            self._temporary = tempfile.TemporaryDirectory(prefix="tenure-qdrant-")
            directory = Path(self._temporary.name)
        self.directory = directory.absolute() if directory else None
        self._port = 0
        self._process: GuardedProcess | None = None
        if self.directory and not self.external:
            self._process = GuardedProcess("Qdrant", log=self.directory / "qdrant.log")

    @property
    def version(self) -> str:
        """What runs, in words: the engine's release, or that the server is somebody else's."""
        return "the server at TENURE_QDRANT" if self.external else f"engine {metadata.version('qdrant-edge-py')}"

    @property
    def url(self) -> str:
        """HTTP address; kept over restarts."""
        if self.external:
            return self.external
        if not self._port:
            self._port = free_port()
        return f"http://127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Whether the server lives, as far as this process knows."""
        return self._process is None or self._process.running

    @property
    def process_id(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start and return when the port answers.

        Raises:
            ServerDownloadError: the wheels are not installed.
            ServerStartError: with the log's tail.
        """
        if self._process is None or self.directory is None or self.running:
            return
        for wheel in ("qdrant-edge-py", "starlette", "uvicorn"):
            try:
                metadata.version(wheel)
            except metadata.PackageNotFoundError as error:
                problem = f"the wheel {wheel} is not installed (pip install 'tenure[demo]')"
                raise ServerDownloadError(server="Qdrant", problem=problem, source="the package index") from error
        self.directory.mkdir(parents=True, exist_ok=True)
        port = self.url.rpartition(":")[2]
        module = "tenure.demo.servers.qdrant_host"
        self._process.spawn(
            [sys.executable, "-m", module, "--port", port, "--directory", str(self.directory / "storage")],
            cwd=self.directory,
        )
        self._process.wait_until_ready(self._answers, START_TIMEOUT)

    def stop(self) -> None:
        """Stop in order."""
        if self._process is not None:
            self._process.stop()

    def restart(self) -> None:
        """Stop and start on the same port and collections."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill (SIGKILL); the next start recovers from the write-ahead log."""
        if self._process is not None:
            self._process.kill()

    def cancel(self) -> None:
        """Stop, also in the middle of a start that runs in another thread."""
        if self._process is not None:
            self._process.cancel()

    def collections(self) -> list[str]:
        """Return the names of the collections."""
        with self._client() as client:
            return sorted(collection.name for collection in client.get_collections().collections)

    def wipe(self) -> None:
        """Delete all aliases and collections."""
        from qdrant_client import models

        with self._client() as client:
            names = [alias.alias_name for alias in client.get_aliases().aliases]
            if names:
                client.update_collection_aliases(
                    [models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name)) for name in names]
                )
            for collection in client.get_collections().collections:
                client.delete_collection(collection.name)

    def __enter__(self) -> EmbeddedQdrant:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextlib.contextmanager
    def _client(self) -> Iterator[QdrantClient]:
        from qdrant_client import QdrantClient

        client = QdrantClient(url=self.url, timeout=60, check_compatibility=False)
        try:
            yield client
        finally:
            client.close()

    def _answers(self) -> bool:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{self.url}/healthz") as reply,
        ):
            status: int = reply.status
            return status == 200
        return False
