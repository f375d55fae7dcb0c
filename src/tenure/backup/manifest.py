"""The manifest of a backup: what is in it, and what it must look like when it is restored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from tenure.errors import BackupDamagedError, UsageError
from tenure.values import Frozen

FORMAT = 1
NAME = "manifest.json"


class BackupFile(Frozen):
    """A file of the backup: its path below the directory, size in bytes and checksum."""

    path: str
    bytes: int
    sha256: str


class Entry(Frozen):
    """One object that was backed up whole: a database, a label's nodes, a relationship type, a collection.

    `fingerprints` are by object (several label sets share a file of nodes) as ``count:hash``; `method` says how it was
    taken (`pg_dump`, `export`, `snapshot`); `skipped` counts relationships that lead to nodes born during the export;
    `detail` is what restoring needs to know.
    """

    store: Literal["postgres", "neo4j", "qdrant"]
    object: str
    method: str
    items: int
    fingerprints: dict[str, str]
    files: tuple[BackupFile, ...]
    started: str
    finished: str
    skipped: int = 0
    detail: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Return what names the entry."""
        return self.store, self.object


class Source(Frozen):
    """Where a store's part came from, without credentials; `identity` is the store's own name for itself, if any."""

    address: str
    version: str
    identity: str = ""
    detail: dict[str, Any] = Field(default_factory=dict)


class Manifest(Frozen):
    """The whole backup; `finished` is empty while it is being taken, `started` the time by the clock of Postgres."""

    format: int = FORMAT
    tenure: str
    started: str
    finished: str = ""
    playbook_digest: str = ""
    plan_hash: str = ""
    notes: tuple[str, ...] = ()
    sources: dict[str, Source] = Field(default_factory=dict)
    entries: tuple[Entry, ...] = ()

    def with_entry(self, entry: Entry) -> Manifest:
        """Return a manifest that has *entry*, in the place of one of the same key."""
        others = tuple(other for other in self.entries if other.key != entry.key)
        return self.model_copy(update={"entries": (*others, entry)})

    def entry(self, store: str, object_name: str) -> Entry | None:
        """Return an entry, or None."""
        return next((entry for entry in self.entries if entry.key == (store, object_name)), None)

    def of(self, store: str) -> tuple[Entry, ...]:
        """Return a store's entries."""
        return tuple(entry for entry in self.entries if entry.store == store)

    def fingerprints(self, store: str) -> dict[str, str]:
        """Return all fingerprints of a store."""
        return {name: value for entry in self.of(store) for name, value in entry.fingerprints.items()}

    @property
    def files(self) -> tuple[BackupFile, ...]:
        """Return all files."""
        return tuple(file for entry in self.entries for file in entry.files)

    @property
    def stores(self) -> tuple[str, ...]:
        """Return the stores that are in it."""
        return tuple(sorted(self.sources))

    @property
    def digest(self) -> str:
        """Return the sha256 of the content; it stands in the file, so that an edited manifest is noticed."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def save(self, directory: Path) -> None:
        """Write it whole."""
        from tenure.backup.files import write_text

        body = {"sha256": self.digest, **self.model_dump(mode="json")}
        write_text(directory, NAME, json.dumps(body, indent=2, ensure_ascii=False) + "\n")


class Growing:
    """The manifest of a backup that is being taken: what is done is in the file before the next object is begun."""

    def __init__(self, manifest: Manifest, directory: Path) -> None:
        """Go on with *manifest* in *directory*."""
        self.manifest = manifest
        self._directory = directory

    def entry(self, store: str, object_name: str) -> Entry | None:
        """Return what is done already, or None."""
        return self.manifest.entry(store, object_name)

    def add(self, entry: Entry) -> None:
        """Record an object that is done."""
        self.manifest = self.manifest.with_entry(entry)
        self.manifest.save(self._directory)

    def keep_only(self, store: str, objects: Collection[str]) -> None:
        """Forget what an earlier attempt took of objects that are not there any more."""
        gone = [entry for entry in self.manifest.of(store) if entry.object not in objects]
        left = tuple(entry for entry in self.manifest.entries if entry not in gone)
        self.manifest = self.manifest.model_copy(update={"entries": left})
        self.manifest.save(self._directory)
        for file in (file for entry in gone for file in entry.files):
            (self._directory / file.path).unlink(missing_ok=True)

    def finish(self, time: str) -> None:
        """Record that everything is done."""
        self.manifest = self.manifest.model_copy(update={"finished": time})
        self.manifest.save(self._directory)


def load_manifest(directory: Path) -> Manifest:
    """Return the manifest in *directory*.

    Errors: UsageError when there is none or it is of a format that this tenure does not know, BackupDamagedError when
    it was altered.
    """
    path = directory / NAME
    if not path.is_file():
        raise UsageError(detail=f"{directory} holds no backup: there is no {NAME} in it.")
    try:
        body = json.loads(path.read_bytes())
        given = body.pop("sha256", "")
        if body.get("format", 0) > FORMAT:
            raise UsageError(detail=f"{path} was written by a newer tenure ({body.get('tenure')}); use that one.")
        manifest = Manifest.model_validate(body)
    except (ValueError, AttributeError, ValidationError) as error:
        raise BackupDamagedError(count=1, first=f"{NAME} cannot be read: it is truncated or altered.") from error
    if manifest.digest != given:
        raise BackupDamagedError(count=1, first=f"{NAME} is altered: its checksum is another.")
    return manifest
