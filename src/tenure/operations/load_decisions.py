"""Puts the playbook's aliases and CSV mappings into the ledger, where statements and fill triggers look them up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from tenure.operations.base import Operation
from tenure.operations.text import as_texts
from tenure.playbook.pairs import read_pairs
from tenure.values import Outcome, Phase, Store

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context


class LoadDecisions(Operation):
    """Loads `value,tenant` pairs from the CSV `path`, sha256 `content`; `mapping` is its name, empty for aliases."""

    kind: ClassVar[str] = "load_decisions"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "postgres"
    volatile: ClassVar[frozenset[str]] = frozenset({"planned", "path"})

    path: str
    content: str
    mapping: str = ""

    def describe(self) -> str:
        """Return what is loaded from where."""
        what = f"mapping {self.mapping}" if self.mapping else "aliases"
        return f"load the {what} from {Path(self.path).name} into the ledger"

    def statements(self) -> tuple[str, ...]:
        """Return the inserts, one statement for all pairs."""
        return as_texts(self._statements())

    def _statements(self) -> list[sql.Composed]:
        pairs = sorted(read_pairs(Path(self.path)))
        if self.mapping:
            clear = sql.SQL("DELETE FROM tenure.mapping WHERE name = {}").format(sql.Literal(self.mapping))
            head = sql.SQL("INSERT INTO tenure.mapping (name, value, tenant) VALUES ")
            rows = [
                sql.SQL("({}, {}, {})").format(sql.Literal(self.mapping), sql.Literal(value), sql.Literal(tenant))
                for value, tenant in pairs
            ]
        else:
            clear = sql.SQL("DELETE FROM tenure.alias").format()
            head = sql.SQL("INSERT INTO tenure.alias (value, tenant) VALUES ")
            rows = [sql.SQL("({}, {})").format(sql.Literal(value), sql.Literal(tenant)) for value, tenant in pairs]
        return [clear, head + sql.SQL(",\n    ").join(rows)] if rows else [clear]

    def apply(self, ctx: Context) -> Outcome:
        """Replace what the ledger has by what the file says, in one transaction."""
        with ctx.postgres.connection() as connection:
            count = load_pairs(connection, self)
        return Outcome(planned=count, changed=count)

    def undo(self, ctx: Context) -> Outcome:
        """Forget the pairs."""
        clear = self._statements()[0]
        with ctx.postgres.connection() as connection:
            return Outcome(changed=connection.execute(clear).rowcount)


def load_pairs(connection: Connection[object], operation: LoadDecisions) -> int:
    """Replace the pairs by COPY, which streams a file of any size; returns how many there are."""
    pairs = read_pairs(Path(operation.path))
    if operation.mapping:
        connection.execute("DELETE FROM tenure.mapping WHERE name = %s", (operation.mapping,))
        target = sql.SQL("COPY tenure.mapping (name, value, tenant) FROM STDIN")
    else:
        connection.execute("DELETE FROM tenure.alias")
        target = sql.SQL("COPY tenure.alias (value, tenant) FROM STDIN")
    count = 0
    with connection.cursor().copy(target) as copy:
        for value, tenant in pairs:
            copy.write_row((operation.mapping, value, tenant) if operation.mapping else (value, tenant))
            count += 1
    return count
