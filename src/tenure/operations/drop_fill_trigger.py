"""Takes the fill triggers away once no writer needs them any more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from tenure.errors import RefusedError
from tenure.operations.base import Operation
from tenure.operations.fill_trigger import Filler, reading
from tenure.operations.text import as_texts
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context

READING = "filled:"


class WatchWriters(Operation):
    """Looks for `seconds` whether rows still come without the key, before anything is taken away.

    Each fill trigger's sequence counts them. One that moves means that an old writer is alive: what it writes would be
    refused as soon as its trigger is gone.
    """

    kind: ClassVar[str] = "watch_writers"
    phase: ClassVar[Phase] = Phase.CONTRACT
    store: ClassVar[Store] = "postgres"

    sequences: tuple[tuple[str, str], ...]
    seconds: float = 10.0

    def describe(self) -> str:
        """Return one line."""
        return f"watch for {self.seconds:g} s that no row of {len(self.sequences)} table(s) comes without the key"

    def statements(self) -> tuple[str, ...]:
        """Return the queries of the counters."""
        return as_texts(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier("tenure", name))
            for _, name in self.sequences
        )

    def apply(self, ctx: Context) -> Outcome:
        """Read all counters twice and keep the reading. Errors: RefusedError naming the tables that moved."""
        before = self._readings(ctx)
        ctx.signal.wait(self.seconds)
        ctx.signal.check(self.id)
        after = self._readings(ctx)
        for table, count in after.items():
            ctx.ledger.set_control(READING + table, json.dumps(count))
        moved = {table: after[table] - before[table] for table in after if after[table] != before[table]}
        if moved:
            raise still_written(moved, f"within {self.seconds:g} s")
        return Outcome(planned=len(after), changed=0, note="no row came without the key")

    def _readings(self, ctx: Context) -> dict[str, int]:
        with ctx.postgres.connection() as connection:
            return {table: reading(connection, name) for table, name in self.sequences}

    def undo(self, ctx: Context) -> Outcome:
        """Nothing: it only looked."""
        return Outcome()


class DropFillTrigger(Filler):
    """Drops a fill trigger with its function and counter; undo makes them again.

    Refused where the counter moved since it was last read. The refusal is a reading too: once the old writer is stopped
    the next attempt passes.
    """

    kind: ClassVar[str] = "drop_fill_trigger"
    phase: ClassVar[Phase] = Phase.CONTRACT

    lock: str = "ACCESS EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE,)

    def describe(self) -> str:
        """Return one line."""
        return f"drop the triggers that fill {self.rule.key.name} of {self.rule.table.display}: writers bring it now"

    def statements(self) -> tuple[str, ...]:
        """Return the drops."""
        return as_texts(self.removal())

    def apply(self, ctx: Context) -> Outcome:
        """Drop it unless rows still come without the key. Errors: RefusedError."""
        with ctx.postgres.connection() as connection:
            now = reading(connection, self.sequence)
        known = ctx.ledger.controls().get(READING + self.object)
        ctx.ledger.set_control(READING + self.object, json.dumps(now))
        if known is not None and now > json.loads(known):
            raise still_written({self.object: now - json.loads(known)}, "since contract looked last")
        before = {"script": as_texts(self.creation())}
        ctx.ledger.journal(self.id, "postgres", self.object, [({"fill_trigger": self.name}, before, None)])
        ctx.postgres.ddl(self.removal(), notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)

    def undo(self, ctx: Context) -> Outcome:
        """Make trigger, function and counter again."""
        ctx.postgres.ddl(self.creation(), notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)


def still_written(moved: dict[str, int], when: str) -> RefusedError:
    """Return the refusal that names the tables which old writers still write to."""
    listed = ", ".join(f"{table} ({count:,})" for table, count in sorted(moved.items()))
    return RefusedError(
        reason=f"rows still come without the key {when}: {listed}.",
        remedy="Find the old writer (pg_stat_activity shows its session), stop or upgrade it, then run again.",
    )
