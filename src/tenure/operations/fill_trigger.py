"""Keys the rows that the application writes while it does not know of tenants yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from tenure.attribution.rows import decision, key_cast, table_sql, untagged
from tenure.attribution.spec import RowRule
from tenure.operations.base import Operation
from tenure.operations.text import as_texts, short_name
from tenure.values import Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class FillTrigger(Operation):
    """A `BEFORE INSERT OR UPDATE` trigger that decides the tenant of a row that comes without one.

    It never makes the application fail: what it cannot decide gets the quarantine sentinel and shows up in verify. Its
    sequence counts the writes that came without the key (nextval never blocks), so that contract knows of old writers.
    `nulls` is for tables whose null keys are global on purpose: what no source knows stays null.
    """

    kind: ClassVar[str] = "fill_trigger"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "postgres"

    rule: RowRule
    lock: str = "SHARE ROW EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = ()

    @property
    def name(self) -> str:
        """Return the trigger's name. Triggers of a table fire by name: it must see what the others made of the row."""
        return short_name("zz_tenure_fill", self.rule.key.name)

    @property
    def function(self) -> sql.Identifier:
        """Return the trigger function's name."""
        return sql.Identifier("tenure", short_name("fill", self.rule.table.schema_name, self.rule.table.name))

    @property
    def sequence(self) -> str:
        """Return the name of the sequence, in schema tenure, that counts writes without the key."""
        return short_name("filled", self.rule.table.schema_name, self.rule.table.name)

    def describe(self) -> str:
        """Return one line."""
        return f"fill {self.rule.key.name} of rows that {self.rule.table.display} gets without it"

    def statements(self) -> tuple[str, ...]:
        """Return sequence, function and trigger."""
        return as_texts(self._statements())

    def _statements(self) -> list[sql.Composed]:
        rule, key = self.rule, self.rule.key
        column = sql.Identifier(key.name)
        # The row as the trigger sees it takes the place of the table in the very query that the backfill runs; its key
        # has no say, since the trigger fires only for rows without one.
        chosen = decision(rule, sql.SQL("(SELECT (NEW).*)"), weigh=False)
        fallback: sql.Composable = sql.Literal(key.quarantine)
        if rule.policy.unassigned == "keep_null":
            fallback = sql.SQL("CASE WHEN chosen.bin = 'unassigned' THEN NULL ELSE {} END").format(fallback)
        body = sql.SQL(
            "DECLARE chosen record;\n"
            "BEGIN\n"
            "  PERFORM nextval({sequence}::regclass);\n"
            "  SELECT q.* INTO chosen FROM (\n{query}\n) AS q;\n"
            "  NEW.{column} := {value};\n"
            "  RETURN NEW;\n"
            "EXCEPTION WHEN OTHERS THEN\n"
            "  NEW.{column} := {quarantine};\n"
            "  RETURN NEW;\n"
            "END"
        ).format(
            sequence=sql.Literal(f'tenure."{self.sequence}"'),
            query=chosen,
            column=column,
            value=key_cast(key, sql.SQL("coalesce(chosen.derived, {})").format(fallback)),
            quarantine=key_cast(key, sql.Literal(key.quarantine)),
        )
        path = sql.SQL(", ").join(
            [
                sql.Identifier(name)
                for name in dict.fromkeys(["pg_catalog", rule.table.schema_name, "public", "pg_temp"])
            ]
        )
        return [
            sql.SQL("CREATE SEQUENCE IF NOT EXISTS {}").format(sql.Identifier("tenure", self.sequence)),
            sql.SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                "SET search_path = {} AS {}"
            ).format(self.function, path, sql.Literal(body.as_string(None))),
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW WHEN ({}) "
                "EXECUTE FUNCTION {}()"
            ).format(
                sql.Identifier(self.name),
                table_sql(rule.table),
                untagged(key, sql.SQL("NEW.{}").format(column)),
                self.function,
            ),
        ]

    def apply(self, ctx: Context) -> Outcome:
        """Create what is missing; the function is replaced, so a changed rule takes effect."""
        ctx.postgres.ddl(self._statements(), notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)

    def writes(self, ctx: Context) -> int:
        """Return how many writes came without the key so far."""
        query = sql.SQL("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}").format(
            sql.Identifier("tenure", self.sequence)
        )
        with ctx.postgres.connection() as connection:
            row = connection.execute(query).fetchone()
            return int(row[0]) if row else 0

    def undo(self, ctx: Context) -> Outcome:
        """Drop trigger, function and sequence."""
        drops = [
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(self.name), table_sql(self.rule.table)),
            sql.SQL("DROP FUNCTION IF EXISTS {}()").format(self.function),
            sql.SQL("DROP SEQUENCE IF EXISTS {}").format(sql.Identifier("tenure", self.sequence)),
        ]
        ctx.postgres.ddl(drops, notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)
