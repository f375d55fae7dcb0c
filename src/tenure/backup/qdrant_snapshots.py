"""Snapshots of collections: made, fetched, taken off the server again, put back. The client has no verb for files."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from tenure.backup.files import writing
from tenure.backup.manifest import BackupFile
from tenure.backup.work import Work
from tenure.errors import BackupError, StoreError, StoreUnreachableError
from tenure.masking import mask_secrets

_CHUNK = 1 << 20
_MISSING = (400, 404, 405, 501)


class Snapshots:
    """The snapshot routes of one server."""

    def __init__(self, url: str, api_key: str | None) -> None:
        """Speak to the server at *url*; nothing is sent yet."""
        # Making and recovering take as long as the collection is large.
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"api-key": api_key} if api_key else {},
            timeout=httpx.Timeout(30.0, read=None, write=None),
        )
        self._address = mask_secrets(url)

    def __enter__(self) -> Snapshots:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def fit(self, collections: list[str]) -> bool:
        """Return whether snapshots hold whole collections here: one node, and a server that has them."""
        cluster = self._send("GET", "/cluster", missing=True)
        if cluster is not None and cluster.get("status") == "enabled" and len(cluster.get("peers") or ()) > 1:
            return False  # a snapshot is of one node
        return all(self._send("GET", self._path(name), missing=True) is not None for name in collections)

    def take(self, collection: str, work: Work, name: str) -> BackupFile:
        """Make a snapshot, fetch it into the backup as file *name*, and delete it on the server.

        Errors: StoreError, StoreUnreachableError, BackupError when what arrived is not what the server made.
        """
        made = self._send("POST", self._path(collection), params={"wait": "true"})
        path = f"{self._path(collection)}/{quote(made['name'], safe='')}"
        try:
            with (
                writing(work.directory, name, compressed=False) as written,
                self._translated(),
                self._client.stream("GET", path) as reply,
            ):
                self._checked(reply)
                for chunk in reply.iter_bytes(_CHUNK):
                    work.check()
                    written.stream.write(chunk)
        finally:
            # What is left behind takes the server's disk; its own name for it is of no more use.
            with contextlib.suppress(StoreError):
                self._send("DELETE", path, params={"wait": "true"})
        assert written.file is not None
        if made.get("checksum") and made["checksum"] != written.file.sha256:
            raise BackupError(
                problem=f"the snapshot of {collection} arrived damaged.", remedy="Run the same command again."
            )
        return written.file

    def put(self, collection: str, path: Path, checksum: str) -> None:
        """Make *collection* from a snapshot. Errors: StoreError, StoreUnreachableError."""
        parameters = {"priority": "snapshot", "wait": "true", "checksum": checksum}
        with path.open("rb") as file, self._translated():
            reply = self._client.post(
                f"{self._path(collection)}/upload", params=parameters, files={"snapshot": (path.name, file)}
            )
            self._checked(reply)
        # The server keeps what was sent to it among the collection's snapshots.
        with contextlib.suppress(StoreError):
            self._send("DELETE", f"{self._path(collection)}/{quote(path.name, safe='')}", params={"wait": "true"})

    def _path(self, collection: str) -> str:
        return f"/collections/{quote(collection, safe='')}/snapshots"

    def _send(self, method: str, path: str, *, missing: bool = False, **options: Any) -> Any:
        """Return the result of a request; None where *missing* is allowed and the server does not have the route."""
        for attempt in (1, 2, 3):
            with self._translated():
                reply = self._client.request(method, path, **options)
            if missing and reply.status_code in _MISSING:
                return None
            if reply.status_code in (429, 503) and attempt < 3:
                time.sleep(attempt)
                continue
            self._checked(reply)
            return reply.json()["result"]
        raise AssertionError("unreachable")

    def _checked(self, reply: httpx.Response) -> None:
        if reply.status_code >= 400:
            text = mask_secrets(reply.read().decode(errors="replace")[:300])
            raise StoreError(
                store="qdrant",
                problem=f"snapshot: the server answered {reply.status_code}: {text}",
                remedy="Use an export instead (--qdrant export).",
            )

    @contextlib.contextmanager
    def _translated(self) -> Any:
        try:
            yield
        except httpx.HTTPError as error:
            problem = mask_secrets(str(error)) or type(error).__name__
            raise StoreUnreachableError(store="qdrant", address=self._address, problem=problem) from error
