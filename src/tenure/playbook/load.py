"""Reads a playbook: YAML with positions, the environment filled in, every mistake found at once, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from tenure.errors import PlaybookError
from tenure.masking import remember_secret
from tenure.playbook.environment import EnvironmentProblem, environment_for, fill
from tenure.playbook.explain import Complaint, explain
from tenure.playbook.models import Playbook
from tenure.playbook.pairs import read_pairs
from tenure.playbook.positions import Position, locate
from tenure.playbook.yaml_errors import explain_yaml

DEFAULT_NAME = "tenure.yaml"


@dataclass(frozen=True, slots=True)
class LoadedPlaybook:
    """A playbook with the file it came from; *document* is ruamel's tree, with comments and unfilled references."""

    playbook: Playbook
    document: CommentedMap
    path: Path

    def position(self, *where: str | int) -> Position:
        """Return line and column (from 1) of what the keys *where* lead to, such as ``"postgres", "users"``."""
        return locate(self.document, where, key=True)


def load_playbook(path: Path | str = DEFAULT_NAME, environment: Mapping[str, str] | None = None) -> Playbook:
    """Return the playbook in the file *path*; see `open_playbook`."""
    return open_playbook(path, environment).playbook


def open_playbook(path: Path | str = DEFAULT_NAME, environment: Mapping[str, str] | None = None) -> LoadedPlaybook:
    """Read the playbook in the file *path* and keep its document.

    Args:
        path: the YAML file; paths in it are relative to its directory.
        environment: what ``${NAME}`` refers to; the process's environment and the ``.env`` beside the file by default.

    Raises:
        PlaybookError: for the first mistake of the file, in the order of its lines; `others` holds the rest.
    """
    path = Path(path)
    document = _parse(path)
    directory = path.absolute().parent
    plain, complaints = _Plain(environment if environment is not None else environment_for(directory)).of(document)
    _remember_secrets(plain.get("connections"))
    try:
        playbook = Playbook.model_validate(plain, context={"directory": directory})
    except ValidationError as error:
        # What could not be filled in is reported once, not again as the wrong value it then is.
        unfilled = [complaint.where for complaint in complaints]
        complaints += [c for c in explain(error, Playbook) if not any(c.where[: len(w)] == w for w in unfilled)]
    if complaints:
        raise _as_error(path, document, complaints)
    playbook._directory = directory
    if playbook.tenant.aliases is not None:
        for _ in read_pairs(playbook.tenant.aliases, playbook.tenant.type):
            pass
    return LoadedPlaybook(playbook, document, path)


def _as_error(path: Path, document: CommentedMap, complaints: list[Complaint]) -> PlaybookError:
    found = {(*locate(document, c.where, key=c.key), c.problem, c.remedy) for c in complaints}
    first, *others = (
        {"path": path, "line": line, "column": column, "problem": _printable(problem), "remedy": _printable(remedy)}
        for line, column, problem, remedy in sorted(found)
    )
    return PlaybookError(**first, others=tuple(PlaybookError(**other, others=()) for other in others))


def _printable(text: str) -> str:
    # YAML can write half of a surrogate pair, which no terminal takes.
    return text.encode("utf-8", "backslashreplace").decode()


def _parse(path: Path) -> CommentedMap:
    def wrong(problem: str, remedy: str, line: int = 1, column: int = 1) -> PlaybookError:
        return PlaybookError(path=path, line=line, column=column, problem=problem, remedy=remedy, others=())

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise wrong(
            "the file does not exist.", "Name another with --playbook, or let `tenure init` propose one."
        ) from None
    except OSError as error:
        raise wrong(f"the file cannot be read: {error.strerror}.", "Name a file that may be read.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        raise wrong(
            "the file is not UTF-8.",
            "Save it as UTF-8.",
            before.count(b"\n") + 1,
            len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1,
        ) from None
    try:
        document = YAML(typ="rt").load(text)
    except YAMLError as error:
        line, column, problem, remedy = explain_yaml(error, text)
        raise wrong(problem, remedy, line, column) from None
    except RecursionError:
        raise wrong("the values are nested too deeply.", "A playbook needs less than ten levels.") from None
    except ValueError as error:  # a date or number that looks like one and is none, such as 2024-13-01
        raise wrong(f"a value cannot be read: {error}.", "Put dates and long numbers in quotes.") from None
    if document is None:
        raise wrong("the file is empty.", "Start with `version: 1`, or let `tenure init` propose a playbook.")
    if not isinstance(document, CommentedMap):
        raise wrong("the file is not a mapping of keys to values.", "Start with `version: 1`.")
    return document


class _Plain:
    """Turns ruamel's tree into plain values with references filled in, and collects what cannot be."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._complaints: list[Complaint] = []
        self._done: dict[int, Any] = {}

    def of(self, document: CommentedMap) -> tuple[dict[Any, Any], list[Complaint]]:
        return self._value(document, ()), self._complaints

    def _complain(self, where: tuple[Any, ...], problem: str, remedy: str) -> None:
        self._complaints.append(Complaint(where, problem, remedy))

    def _value(self, node: Any, where: tuple[Any, ...]) -> Any:
        if isinstance(node, CommentedMap | CommentedSeq):
            # Anchors make one node stand in many places; done once, a file cannot blow itself up.
            if id(node) not in self._done:
                self._done[id(node)] = self._container(node, where)
            return self._done[id(node)]
        if isinstance(node, TaggedScalar):
            self._complain(where, f"the tag {node.tag} has no meaning here.", "Remove it; quotes make a value text.")
            return None
        if isinstance(node, str):
            try:
                return fill(str(node), self._environment)
            except EnvironmentProblem as error:
                self._complain(where, error.problem, error.remedy)
                return None
        return _scalar(node)

    def _container(self, node: CommentedMap | CommentedSeq, where: tuple[Any, ...]) -> Any:
        if isinstance(node, CommentedMap):
            return {_key(key): self._value(value, (*where, key)) for key, value in node.items()}
        return [self._value(value, (*where, index)) for index, value in enumerate(node)]


def _scalar(node: Any) -> Any:
    if isinstance(node, ScalarBoolean | bool):
        return bool(node)
    return next((kind(node) for kind in (int, float) if isinstance(node, kind)), node)


def _key(key: Any) -> Any:
    return str(key) if isinstance(key, str) else key


def _remember_secrets(connections: Any) -> None:
    """Have every secret of *connections* (not yet validated) masked from now on."""
    for connection in connections.values() if isinstance(connections, dict) else ():
        if not isinstance(connection, dict):
            continue
        for name in ("password", "api_key"):
            remember_secret(_text(connection.get(name)))
        for secret in _url_passwords(_text(connection.get("url")) or ""):
            remember_secret(secret)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) else None


def _url_passwords(url: str) -> list[str]:
    if "://" not in url:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict

        try:
            return [str(value) for name, value in conninfo_to_dict(url).items() if name in ("password", "sslpassword")]
        except Error:
            return []  # not a DSN: a directory of Qdrant's local mode, or a mistake that validation reports
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        return []
    return [password, unquote(password)]
