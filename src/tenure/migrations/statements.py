"""Splits a file into statements with the parser of Postgres itself, and refuses what a runner cannot run.

Positions are characters of the file's text, lines start at 1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from tenure.errors import MigrationFileError, MigrationParserMissingError
from tenure.migrations.folder import MigrationFile, directive

_DATA_CHANGES = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "SelectStmt"}
_NEVER_IN_TRANSACTION = {
    "VacuumStmt": "VACUUM",
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "AlterSystemStmt": "ALTER SYSTEM",
}
_SAVEPOINTS = {"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"}
_MARK_REMEDY = (
    "Put the line `-- tenure: no-transaction` at the top of the file, or move the statement to a file of its own"
)


class IndexTarget(BaseModel):
    """The index that a CREATE INDEX makes: its name (None when the server chooses one) and its table."""

    model_config = ConfigDict(frozen=True)

    name: str | None
    table: str
    table_schema: str | None


class Statement(BaseModel):
    """One statement of a file, as the server gets it."""

    model_config = ConfigDict(frozen=True)

    number: int
    text: str
    line: int
    concurrent: bool
    """Builds, drops or detaches CONCURRENTLY: it waits for other transactions, so no lock timeout may hit it."""
    setting: bool
    """Changes the session (SET): run again when a half-run file is resumed in a new session."""
    data_change: bool
    """Can share a transaction with the note that it was done, so that it happens exactly once."""
    index: IndexTarget | None

    def line_at(self, position: str | int | None) -> int:
        """Return the file's line for the server's error *position* (characters in the statement, from 1)."""
        return self.line + self.text.count("\n", 0, int(position) - 1) if position else self.line


def fingerprint(statements: Iterable[Statement]) -> str:
    """Return a checksum of *statements* in their order, to tell whether those already run were edited since."""
    digest = hashlib.sha256()
    for statement in statements:
        digest.update(statement.text.encode() + b"\0")
    return digest.hexdigest()


def split_statements(file: MigrationFile) -> tuple[Statement, ...]:
    """Return the statements of *file*.

    Raises:
        MigrationFileError: it does not parse, or holds what the runner refuses: psql meta commands and variables,
            COPY with inline data, BEGIN or COMMIT of its own, statements that need no transaction without the marker.
        MigrationParserMissingError: pglast is not installed.
    """
    parser = _parser()
    try:
        spans = parser.split(file.text, only_slices=True)
        trees = [raw.stmt for raw in parser.parse_sql(file.text)]
        tokens = parser.scan(file.text)
    except parser.ParseError as error:
        raise _explain(file, error) from error
    _refuse_late_directives(file, tokens)
    comments = {token.start: token.end for token in tokens if token.name in ("SQL_COMMENT", "C_COMMENT")}
    statements = []
    line, counted = 1, 0
    for number, (span, tree) in enumerate(zip(spans, trees, strict=True), start=1):
        start = _skip_comments(file.text, span.start, comments)
        line, counted = line + file.text.count("\n", counted, start), start
        statement = _describe(number, file.text[start : span.stop], line, tree)
        _refuse(file, statement, tree)
        statements.append(statement)
    return tuple(statements)


def _parser() -> Any:
    try:
        from pglast import parser
    except ImportError as error:
        raise MigrationParserMissingError() from error
    return parser


def _skip_comments(text: str, start: int, comments: Mapping[int, int]) -> int:
    """Move *start* to the first word: older parsers count leading blanks and comments in, and its line is reported."""
    while True:
        while start < len(text) and text[start].isspace():
            start += 1
        if start not in comments:
            return start
        start = comments[start] + 1


def _describe(number: int, text: str, line: int, tree: Any) -> Statement:
    kind = type(tree).__name__
    index = None
    if kind == "IndexStmt":
        index = IndexTarget(name=tree.idxname, table=tree.relation.relname, table_schema=tree.relation.schemaname)
    # pg_dump and others change settings with SELECT set_config(...).
    setting = kind == "VariableSetStmt" or (kind == "SelectStmt" and "set_config" in text.lower())
    return Statement(
        number=number,
        text=text,
        line=line,
        concurrent=_is_concurrent(kind, tree),
        setting=setting,
        data_change=kind in _DATA_CHANGES and not setting,
        index=index,
    )


def _is_concurrent(kind: str, tree: Any) -> bool:
    if kind in ("IndexStmt", "DropStmt"):
        return bool(tree.concurrent)
    if kind == "ReindexStmt":
        return any(option.defname == "concurrently" for option in tree.params or ())
    if kind == "AlterTableStmt":
        return any(getattr(command.def_, "concurrent", False) for command in tree.cmds)
    return False


def _refuse(file: MigrationFile, statement: Statement, tree: Any) -> None:
    kind = type(tree).__name__

    def refused(problem: str, remedy: str) -> MigrationFileError:
        return MigrationFileError(file=file.name, line=statement.line, problem=problem, remedy=remedy)

    if kind == "TransactionStmt" and not (file.transactional and tree.kind.name in _SAVEPOINTS):
        raise refused(
            f"the file controls transactions itself ({statement.text.split()[0].upper()}).",
            "Remove the statement: the runner gives each file a transaction that its history row is part of. A file "
            "that cannot run in one takes the line `-- tenure: no-transaction` at its top and has none at all.",
        )
    if kind == "CopyStmt" and tree.filename is None:
        raise refused(
            "COPY from or to the client has no client here.",
            "Use INSERT for a few rows, or load the data with another tool.",
        )
    if kind == "DiscardStmt" and tree.target.name == "DISCARD_ALL":
        raise refused("DISCARD ALL would give up the runner's lock.", "Remove it: settings are reset after each file.")
    if file.transactional and (statement.concurrent or kind in _NEVER_IN_TRANSACTION):
        name = _NEVER_IN_TRANSACTION.get(kind, "CONCURRENTLY")
        raise refused(f"{name} cannot run inside a transaction.", f"{_MARK_REMEDY}.")


def _refuse_late_directives(file: MigrationFile, tokens: Iterable[Any]) -> None:
    """A marker below the first statement, or in a block comment's shadow, would be ignored: say so instead."""
    if not file.transactional:
        return
    for token in tokens:
        if token.name == "SQL_COMMENT" and directive(file.text[token.start : token.end + 1]) is not None:
            raise MigrationFileError(
                file=file.name,
                line=file.text.count("\n", 0, token.start) + 1,
                problem="a `-- tenure:` directive counts only at the top of the file.",
                remedy="Move it above everything that is not a `--` comment.",
            )


def _explain(file: MigrationFile, error: Any) -> MigrationFileError:
    """Turn a syntax error into one with file and line, and name the psql features that people try first."""
    message, at = error.args[0], error.args[1] if len(error.args) > 1 else 0
    at = max(int(at or 0), 0)
    rest = file.text[at:]
    problem, remedy = f"{message}.", "Correct the statement."
    if rest.startswith("\\"):
        problem = f"{rest.split()[0]} is a command of psql, not SQL."
        remedy = "Remove it: the runner sends SQL to the server and nothing else."
    elif re.match(r":['\"]?\w", rest):
        problem = f"{rest.split()[0]} is a variable of psql, not SQL."
        remedy = "Write the value, or read a setting with current_setting()."
    elif re.search(r"\bcopy\b[^;]*\bfrom\s+stdin\b[^;]*;\s*\Z", file.text[:at], re.IGNORECASE):
        problem = "COPY FROM STDIN with its data in the file is a feature of psql, not SQL."
        remedy = "Use INSERT for a few rows, or load the data with another tool."
    return MigrationFileError(file=file.name, line=file.text.count("\n", 0, at) + 1, problem=problem, remedy=remedy)
