"""What is known of a file while it runs, and how an error of the server becomes one with file, line and remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from tenure.errors import MigrationConnectionLostError, MigrationInterruptedError, MigrationStatementError
from tenure.migrations.folder import MigrationFile
from tenure.migrations.indexes import InvalidIndex
from tenure.migrations.statements import Statement

if TYPE_CHECKING:
    from psycopg import Connection

_RETRYABLE = {"55P03", "40P01", "40001"}  # lock_not_available, deadlock_detected, serialization_failure
_TRANSACTION_TERMINATION = "2D000"


@dataclass
class Failure:
    """Where a file's run is (`at`, None once all ran), how much is `done` for good, and what was left behind."""

    file: MigrationFile
    statements: tuple[Statement, ...]
    done: int
    at: Statement | None = None
    leftovers: tuple[InvalidIndex, ...] = ()

    def kept(self) -> str:
        """Say what of the file is in the database now, and how to go on."""
        if self.file.transactional:
            return "Nothing of this file was kept; apply again runs it from its start."
        if self.done == 0:
            return "None of its statements is noted as done; apply again runs it from its start."
        return (
            f"Its first {self.done} statement(s) stay done and must not be edited; apply again resumes with statement "
            f"{self.done + 1}."
        )

    def line(self, error: Exception) -> int:
        """Return the file's line that *error* is about: the server's position in the statement, or its first line."""
        if self.at is None:
            return self.file.text.count("\n") + 1
        return self.at.line_at(getattr(getattr(error, "diag", None), "statement_position", None))

    def explain(self, connection: Connection, error: Exception) -> NoReturn:
        """Raise the migration error for *error*, which ended the run."""
        if connection.closed:
            raise MigrationConnectionLostError(
                file=self.file.name,
                problem=server_message(error),
                remedy="Check that the server runs, and apply again: "
                + (
                    "the file was rolled back, or is recorded as applied."
                    if self.file.transactional
                    else f"it resumes after statement {self.done}."
                ),
            ) from error
        problem = server_message(error) + "."
        if getattr(error, "sqlstate", None) == _TRANSACTION_TERMINATION and self.file.transactional:
            problem += " The code commits by itself: put the line `-- tenure: no-transaction` at the top of the file."
        for index in self.leftovers:
            problem += f" It left the invalid index {index.name} on {index.table} behind: run `{index.remedy}`."
        at = self.at
        raise MigrationStatementError(
            file=self.file.name,
            line=self.line(error),
            number=at.number if at else len(self.statements),
            count=len(self.statements),
            statement_line=at.line if at else self.line(error),
            problem=problem if at else f"at its commit: {problem}",
            sqlstate=getattr(error, "sqlstate", None),
            kept=self.kept(),
        ) from error

    def explain_interrupt(self, error: KeyboardInterrupt) -> NoReturn:
        """Raise the error for Ctrl-C."""
        raise MigrationInterruptedError(file=self.file.name, kept=self.kept()) from error


def is_retryable(error: Exception) -> bool:
    """Say whether *error* is a lost wait for a lock: the same again may work a moment later."""
    return getattr(error, "sqlstate", None) in _RETRYABLE


def server_message(error: Exception) -> str:
    """Return what the server said, with its detail, hint and context, or else the text of *error*."""
    diag = getattr(error, "diag", None)
    if diag is None or not diag.message_primary:
        return " ".join(str(error).split()).rstrip(".")
    parts = [f"{diag.message_primary} (SQLSTATE {diag.sqlstate})"]
    for label, text in (("Detail", diag.message_detail), ("Hint", diag.message_hint), ("Context", diag.context)):
        if text:
            parts.append(f"{label}: {' '.join(text.split()).rstrip('.')}")
    return ". ".join(parts)
