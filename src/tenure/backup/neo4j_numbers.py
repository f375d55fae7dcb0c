"""Which number each node has in a dump, on disk: the ids of a graph need not fit into memory."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

_COMMIT = 5000


class Number(NamedTuple):
    """A node's number in the dump, and the hash of what it holds."""

    number: int
    hash: bytes


class Numbers:
    """The node's id in the graph to its number in the dump and its hash, by the file that it is in."""

    def __init__(self, path: Path) -> None:
        """Use the database at *path*, one that an earlier attempt left included; a broken one is begun anew."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        try:
            self._open()
            if self._connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
        except sqlite3.DatabaseError:
            self._connection.close()
            path.unlink()
            self._open()

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path)
        # What a crash of the machine may break is found by `quick_check`, and costs an attempt.
        self._connection.executescript(
            """PRAGMA synchronous = OFF;
            CREATE TABLE IF NOT EXISTS node (id PRIMARY KEY, number INTEGER, file TEXT, hash BLOB) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS done (file TEXT PRIMARY KEY)"""
        )

    def __enter__(self) -> Numbers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def keep_only(self, files: Sequence[str]) -> None:
        """Forget the nodes of files that are not among *files*, and of those that were not finished."""
        with self._connection:
            marks = ",".join("?" * len(files))
            self._connection.execute(f"DELETE FROM done WHERE file NOT IN ({marks})", files)
            self._connection.execute("DELETE FROM node WHERE file NOT IN (SELECT file FROM done)")

    def has(self, file: str) -> bool:
        """Return whether the nodes of a file are all here."""
        return self._connection.execute("SELECT 1 FROM done WHERE file = ?", (file,)).fetchone() is not None

    @contextlib.contextmanager
    def file(self, file: str) -> Iterator[Callable[[Any, bytes], int | None]]:
        """Lend what gives a node of *file* the next number, or None when another file has it; the file counts as done
        when the block ends well."""
        with self._connection:
            self._connection.execute("DELETE FROM done WHERE file = ?", (file,))
            self._connection.execute("DELETE FROM node WHERE file = ?", (file,))
        row = self._connection.execute("SELECT coalesce(max(number), 0) FROM node").fetchone()
        following = int(row[0])
        waiting: list[tuple[Any, int, str, bytes]] = []

        def flush() -> None:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO node VALUES (?, ?, ?, ?)", waiting)
            waiting.clear()

        def number(identity: Any, digest: bytes) -> int | None:
            nonlocal following
            if self.find(identity) is not None:
                return None
            following += 1
            waiting.append((identity, following, file, digest))
            if len(waiting) >= _COMMIT:
                flush()
            return following

        yield number
        flush()
        with self._connection:
            self._connection.execute("INSERT INTO done VALUES (?)", (file,))

    def find(self, identity: Any) -> Number | None:
        """Return number and hash of a node, or None when it is in no file."""
        row = self._connection.execute("SELECT number, hash FROM node WHERE id = ?", (identity,)).fetchone()
        return None if row is None else Number(*row)
