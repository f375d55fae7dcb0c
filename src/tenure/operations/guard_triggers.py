"""Keeps a table's own triggers still while keys are written, where the role may not switch them off for its session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from psycopg import sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import OperationFailedError
from tenure.operations.base import Operation
from tenure.operations.text import BACKFILL_SETTING, as_texts
from tenure.values import Frozen, Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context

GUARD = f"current_setting('{BACKFILL_SETTING}'::text, true) IS DISTINCT FROM 'on'::text"


class GuardedTrigger(Frozen):
    """One trigger: its `definition` as Postgres writes it (names qualified), its condition, and when it is enabled."""

    table: TableName
    name: str
    definition: str
    when: str | None = None
    constraint: bool = False
    always: bool = False

    def guarded(self) -> str:
        """Return the definition with the guard added to its condition."""
        return guarded(self.definition, self.when)

    def statements(self, definition: str) -> list[sql.Composable]:
        """Return what turns the trigger into *definition*; a constraint trigger cannot be replaced in place."""
        table, name = table_sql(self.table), sql.Identifier(self.name)
        made: list[sql.Composable]
        if self.constraint:
            made = [sql.SQL("DROP TRIGGER {} ON {}").format(name, table), raw(definition)]
        else:
            made = [raw(definition.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1))]
        if self.always:
            made.append(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(table, name))
        return made


def guarded(definition: str, when: str | None) -> str:
    """Return a trigger's *definition* with the guard in its condition, beside the one it has.

    Names and literals are blanked while the place is looked for: they may hold any of the words.
    """
    blanked = re.sub(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'", lambda found: "_" * len(found.group()), definition)
    end = blanked.rindex(" EXECUTE FUNCTION ")
    if when is None:
        return f"{definition[:end]} WHEN (({GUARD})){definition[end:]}"
    start = end - len(f"({when})")
    assert definition[start:end] == f"({when})", definition
    return f"{definition[:start]}(({when}) AND ({GUARD})){definition[end:]}"


class GuardTriggers(Operation):
    """Gives the triggers of a table a condition that is false in the backfill's own transactions, and only there.

    What the application does fires them as ever. The definitions are journalled before; `RestoreTriggers` puts them
    back when the backfill is done, and so does undo. `backfill` is the digest of the backfill they belong to: where
    that starts again, so do they.
    """

    kind: ClassVar[str] = "guard_triggers"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"

    triggers: tuple[GuardedTrigger, ...]
    backfill: str
    lock: str = "SHARE ROW EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = ()

    def describe(self) -> str:
        """Return one line."""
        return f"keep {', '.join(trigger.name for trigger in self.triggers)} on {self.object} still in the backfill"

    def statements(self) -> tuple[str, ...]:
        """Return the triggers with the guard."""
        return as_texts(s for trigger in self.triggers for s in trigger.statements(trigger.guarded()))

    def apply(self, ctx: Context) -> Outcome:
        """Guard what is not guarded, one transaction a trigger. Errors: OperationFailedError for one that changed."""
        changed = 0
        for trigger in self.triggers:
            with ctx.postgres.connection() as connection:
                live = live_definition(connection, trigger)
            if live is None or GUARD in live:
                continue
            if live != trigger.definition:
                raise OperationFailedError(
                    operation=self.describe(), object=self.object, planned=len(self.triggers), changed=changed,
                    left=len(self.triggers) - changed,
                    problem=f"Trigger {trigger.name} changed since the plan was made. Run `tenure plan` again.",
                )  # fmt: skip
            ctx.ledger.journal(self.id, "postgres", self.object, [({"trigger": trigger.name}, live, trigger.guarded())])
            ctx.postgres.ddl(
                [sql.Composed([statement]) for statement in trigger.statements(trigger.guarded())],
                notify=lambda text: ctx.reporter.note(self.id, text),
            )
            changed += 1
        return Outcome(planned=len(self.triggers), changed=changed, note="" if changed else "guarded already, or gone")

    def undo(self, ctx: Context) -> Outcome:
        """Put the triggers back."""
        return restore(ctx, self.id, self.triggers)


class RestoreTriggers(GuardTriggers):
    """Puts the triggers back as they were, once the keys are written; keeps them still once more on the way back."""

    kind: ClassVar[str] = "restore_triggers"

    def describe(self) -> str:
        """Return one line."""
        return f"put {', '.join(trigger.name for trigger in self.triggers)} on {self.object} back as before"

    def statements(self) -> tuple[str, ...]:
        """Return the triggers as they were."""
        return as_texts(s for trigger in self.triggers for s in trigger.statements(trigger.definition))

    def apply(self, ctx: Context) -> Outcome:
        """Put back what is guarded."""
        return restore(ctx, self.id, self.triggers)

    def undo(self, ctx: Context) -> Outcome:
        """Guard them again while the backfill puts back keys that were there before: its undo comes next, and that of
        `GuardTriggers`, which unguards them, after it. One that somebody changed meanwhile is left as it is."""
        with ctx.postgres.connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM tenure.journal WHERE operation = %s LIMIT 1", (f"postgres.backfill_rows.{self.object}",)
            ).fetchone()
        if row is None:
            return Outcome(note="no key is to be put back")
        for trigger in self.triggers:
            with ctx.postgres.connection() as connection:
                live = live_definition(connection, trigger)
            if live == trigger.definition:
                ctx.postgres.ddl(
                    [sql.Composed([statement]) for statement in trigger.statements(trigger.guarded())],
                    notify=lambda text: ctx.reporter.note(self.id, text),
                )
        return Outcome(planned=len(self.triggers), changed=len(self.triggers))


def restore(ctx: Context, operation: str, triggers: tuple[GuardedTrigger, ...]) -> Outcome:
    """Put every guarded trigger back; one that somebody dropped or changed meanwhile is left as it is."""
    changed = 0
    for trigger in triggers:
        with ctx.postgres.connection() as connection:
            live = live_definition(connection, trigger)
        if live is None or live == trigger.definition or GUARD not in live:
            continue
        ctx.postgres.ddl(
            [sql.Composed([statement]) for statement in trigger.statements(trigger.definition)],
            notify=lambda text: ctx.reporter.note(operation, text),
        )
        changed += 1
    return Outcome(planned=len(triggers), changed=changed, note="" if changed else "nothing was guarded any more")


def live_definition(connection: Connection[Any], trigger: GuardedTrigger) -> str | None:
    """Return the trigger as it is now, names qualified, or None when it is gone."""
    connection.execute("SELECT set_config('search_path', '', true)")
    row = connection.execute(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = %s",
        (table_sql(trigger.table).as_string(None), trigger.name),
    ).fetchone()
    return None if row is None else str(row[0])
