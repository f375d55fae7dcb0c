"""Files of a backup: private, written whole or not at all, hashed while they are written."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from tenure.backup.manifest import BackupFile
from tenure.errors import BackupSpaceError, RefusedError

PARTIAL = ".partial"
MANIFEST = "manifest.json"
WORK = ".work"
LEVEL = 4  # of gzip: a third of the time of its default for a few percent more
_CHUNK = 1 << 20


def prepare(directory: Path) -> None:
    """Make *directory*, private to its owner. Errors: RefusedError when it holds something that is no backup."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    others = [path.name for path in directory.iterdir() if path.name != WORK and not path.name.endswith(PARTIAL)]
    if others and MANIFEST not in others:
        raise RefusedError(
            reason=f"{directory} is not empty and holds no backup.",
            remedy="Name an empty or a new directory with --to.",
        )
    directory.chmod(stat.S_IRWXU)


def reserve(directory: Path, needed: int) -> None:
    """Errors: BackupSpaceError when fewer than *needed* bytes are free where *directory* is."""
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise BackupSpaceError(needed=size(needed), path=directory, free=size(free))


def size(count: int) -> str:
    """Return *count* bytes as people write them."""
    number = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


class _Hashed(io.RawIOBase):
    """A file for writing that hashes what goes through it."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self.digest = hashlib.sha256()
        self.length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.length += len(data)
        return self._file.write(data)

    def close(self) -> None:
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        super().close()


class Written:
    """What `writing` lends: write to `stream`; `file` is set once the file has its name."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Lend *stream*."""
        self.stream = stream
        self.file: BackupFile | None = None

    def line(self, text: str) -> None:
        """Write one line."""
        self.stream.write(text.encode() + b"\n")


@contextmanager
def writing(root: Path, name: str, *, compressed: bool = True) -> Iterator[Written]:
    """Lend a new file `root/name`, which gets this name (and replaces another of it) only when the block ends well."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(path.name + PARTIAL)
    hashed = _Hashed(partial)
    try:
        if compressed:
            # No name and no time inside: the same content gives the same file.
            with gzip.GzipFile("", "wb", LEVEL, cast("Any", hashed), mtime=0) as packed:
                buffered = io.BufferedWriter(cast("Any", packed), _CHUNK)
                lent = Written(cast("IO[bytes]", buffered))
                yield lent
                buffered.flush()
                buffered.detach()
        else:
            lent = Written(cast("IO[bytes]", hashed))
            yield lent
    except BaseException:
        hashed.close()
        partial.unlink(missing_ok=True)
        raise
    hashed.close()
    partial.replace(path)
    sync_directory(path.parent)
    lent.file = BackupFile(path=name, bytes=hashed.length, sha256=hashed.digest.hexdigest())


def write_text(root: Path, name: str, text: str) -> BackupFile:
    """Write a small plain file whole."""
    with writing(root, name, compressed=False) as written:
        written.stream.write(text.encode())
    assert written.file is not None
    return written.file


def sync_directory(path: Path) -> None:
    """Make the names in a directory last over a crash of the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def described(root: Path, path: Path) -> BackupFile:
    """Return the size and checksum of a file that another program wrote."""
    digest, length = _digest(path, lambda _: None)
    return BackupFile(path=path.relative_to(root).as_posix(), bytes=length, sha256=digest)


def fault(root: Path, file: BackupFile, progress: Callable[[int], None]) -> str | None:
    """Return what is wrong with a file of the backup in *root*, or None; *progress* is told of the bytes read."""
    path = root / file.path
    if not path.is_file():
        return f"{file.path} is missing"
    length = path.stat().st_size
    if length != file.bytes:
        kind = "truncated" if length < file.bytes else "altered"
        return f"{file.path} is {kind}: {length:,} bytes instead of {file.bytes:,}"
    if _digest(path, progress)[0] != file.sha256:
        return f"{file.path} is altered: its checksum is another"
    return None


def lines(root: Path, name: str) -> Iterator[Any]:
    """Yield the JSON lines of a compressed file."""
    with gzip.open(root / name, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


def _digest(path: Path, progress: Callable[[int], None]) -> tuple[str, int]:
    digest, length = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
            progress(len(chunk))
    return digest.hexdigest(), length
