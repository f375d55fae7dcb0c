"""The folder of versioned SQL files and its manifest, read once into frozen values; no connection in here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tenure.errors import MigrationFileError, MigrationFolderError

MANIFEST = "manifest"
_DIRECTIVE = re.compile(r"^--\s*tenure\s*:\s*(?P<word>.*?)\s*$", re.IGNORECASE)
_NO_TRANSACTION = "no-transaction"


class MigrationFile(BaseModel):
    """One file of the manifest: its text with plain line ends, and the checksum of that text."""

    model_config = ConfigDict(frozen=True)

    name: str
    position: int
    text: str
    checksum: str
    transactional: bool


class MigrationFolder(BaseModel):
    """What a folder holds: the files in manifest order, and the names on which folder and manifest disagree."""

    model_config = ConfigDict(frozen=True)

    path: Path
    files: tuple[MigrationFile, ...]
    unlisted: tuple[str, ...]
    """SQL files in the folder that the manifest does not name."""
    absent: tuple[tuple[int, str], ...]
    """Names (with their position) in the manifest that are not in the folder."""

    def position_of(self, name: str) -> int | None:
        """Return the position of *name* in the manifest, 1 being the first, or None."""
        return next((file.position for file in self.files if file.name == name), None)


def checksum(text: str) -> str:
    """Return the sha256 of *text*, the same for every kind of line end."""
    return hashlib.sha256(plain_line_ends(text).encode()).hexdigest()


def plain_line_ends(text: str) -> str:
    """Return *text* with newlines only and without a byte order mark: this is what is hashed and what is run.

    Running it too, and not only hashing it, keeps the promise of an equal checksum: a function body checked out with
    other line ends would otherwise be another function.
    """
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_folder(directory: str | Path) -> MigrationFolder:
    """Read the manifest of *directory* and the files it names.

    Raises:
        MigrationFolderError: the folder or its manifest cannot be read, or the manifest is not a list of names.
        MigrationFileError: a file is not UTF-8 text, or has a directive that is unknown.
    """
    path = Path(directory)
    if not path.is_dir():
        raise MigrationFolderError(path=path, problem="there is no such folder.", remedy="Check the path.")
    present = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() == ".sql" and entry.is_file())
    listed, excluded = _read_manifest(path, present)
    files, absent = [], []
    for position, name in enumerate(listed, start=1):
        if name in present:
            files.append(_read_file(path / name, position))
        else:
            absent.append((position, name))
    known = {*listed, *excluded}
    return MigrationFolder(
        path=path,
        files=tuple(files),
        unlisted=tuple(name for name in present if name not in known),
        absent=tuple(absent),
    )


def _read_manifest(path: Path, present: list[str]) -> tuple[list[str], set[str]]:
    manifest = path / MANIFEST
    if not manifest.is_file():
        found = f" (it holds {', '.join(present)})" if present else ""
        raise MigrationFolderError(
            path=path,
            problem=f"the folder has no file named {MANIFEST}{found}.",
            remedy="Write one: the names of the SQL files, one a line, in the order in which they must run.",
        )
    text = plain_line_ends(_decode(manifest))
    listed: list[str] = []
    excluded: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        # A comment starts at the line's head or after a blank, so that a name may hold a number sign.
        name = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not name:
            continue
        skip = name.startswith("!")
        name = name.removeprefix("!").strip()
        if not name or "/" in name or "\\" in name or not name.lower().endswith(".sql"):
            raise MigrationFileError(
                file=manifest,
                line=number,
                problem=f"{name!r} is not the name of an SQL file in this folder.",
                remedy="Give one file name a line, ending in .sql, without a path; comments start with #.",
            )
        if name in listed or name in excluded:
            raise MigrationFileError(
                file=manifest, line=number, problem=f"{name} is named twice.", remedy="Remove one of the lines."
            )
        if skip:
            excluded.add(name)
        else:
            listed.append(name)
    return listed, excluded


def _read_file(path: Path, position: int) -> MigrationFile:
    text = plain_line_ends(_decode(path))
    if "\0" in text:
        # The parser takes a NUL for the end of the text: what follows would never run, without a word.
        raise MigrationFileError(
            file=path,
            line=text.count("\n", 0, text.index("\0")) + 1,
            problem="the file holds a NUL character.",
            remedy="Save it as UTF-8 text.",
        )
    return MigrationFile(
        name=path.name,
        position=position,
        text=text,
        checksum=checksum(text),
        transactional=not _is_marked(path, text),
    )


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MigrationFolderError(
            path=path, problem=f"the file cannot be read: {error.strerror}.", remedy="Check its permissions."
        ) from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MigrationFileError(
            file=path,
            line=content.count(b"\n", 0, error.start) + 1,
            problem=f"the file is not UTF-8 (byte {content[error.start]:#04x}).",
            remedy="Convert it to UTF-8.",
        ) from error


def _is_marked(path: Path, text: str) -> bool:
    """Say whether the comment lines at the top of *text* ask for no transaction."""
    marked = False
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.lstrip().startswith("--"):
            break
        found = directive(line)
        if found is None:
            continue
        if found.lower() != _NO_TRANSACTION:
            raise MigrationFileError(
                file=path,
                line=number,
                problem=f"the directive {found!r} is not known.",
                remedy=f"The only one is `-- tenure: {_NO_TRANSACTION}`.",
            )
        marked = True
    return marked


def directive(comment: str) -> str | None:
    """Return what follows ``-- tenure:`` in a comment line, or None."""
    found = _DIRECTIVE.match(comment.strip())
    return found["word"] if found else None
