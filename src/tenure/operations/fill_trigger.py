"""Keys the rows that the application writes while it does not know of tenants yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from tenure.attribution.rows import decision, key_cast, table_sql, untagged
from tenure.attribution.spec import ParentSource, RowRule
from tenure.operations.base import Operation
from tenure.operations.text import UNDO_SETTING, as_texts, not_null_check, short_name
from tenure.values import Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from tenure.runner.context import Context


class FillTrigger(Operation):
    """A `BEFORE INSERT OR UPDATE` trigger that decides the tenant of a row that comes without one.

    It never makes the application fail: what it cannot decide gets the quarantine sentinel and shows up in verify. Its
    sequence counts the writes that came without the key (nextval never blocks), so that contract knows of old writers.

    Three things it leaves alone, as they came: rows whose parent waits for its own backfill (`waits_for` names such
    parents; the sweep decides them afterwards, and no such parent is left once the key is mandatory), rows that no
    source knows where null is global on purpose, and, without `sentinels`, all it cannot decide, since a foreign key on
    the key column would refuse a sentinel.

    `settings` are what the migration role's session sets to see past row-level security: the function runs as its owner
    and needs them too.
    """

    kind: ClassVar[str] = "fill_trigger"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "postgres"

    rule: RowRule
    waits_for: tuple[TableName, ...] = ()
    sentinels: bool = True
    settings: tuple[tuple[str, str], ...] = ()
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
        rule = self.rule
        path = sql.SQL(", ").join(
            [
                sql.Identifier(name)
                for name in dict.fromkeys(["pg_catalog", rule.table.schema_name, "public", "pg_temp"])
            ]
        )
        settings = sql.SQL("").join(
            sql.SQL("SET {} = {} ").format(sql.Identifier(*name.split(".")), sql.Literal(value))
            for name, value in self.settings
        )
        return [
            sql.SQL("CREATE SEQUENCE IF NOT EXISTS {}").format(sql.Identifier("tenure", self.sequence)),
            sql.SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                "SET search_path = {} {}AS {}"
            ).format(self.function, path, settings, sql.Literal(self._body().as_string(None))),
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW WHEN ({}) "
                "EXECUTE FUNCTION {}()"
            ).format(
                sql.Identifier(self.name),
                table_sql(rule.table),
                untagged(rule.key, self._new()),
                self.function,
            ),
        ]

    def _body(self) -> sql.Composed:
        """Return the function's body."""
        rule, key = self.rule, self.rule.key
        # The row as the trigger sees it takes the place of the table in the very query that the backfill runs; its key
        # has no say, since the trigger fires only for rows without one.
        chosen = decision(rule, sql.SQL("(SELECT (NEW).*)"), weigh=False)
        quarantine: sql.Composable = sql.Literal(key.quarantine) if self.sentinels else sql.SQL("NULL")
        fallback = quarantine
        if rule.policy.unassigned == "keep_null":
            fallback = sql.SQL("CASE WHEN chosen.bin = 'unassigned' THEN NULL ELSE {} END").format(quarantine)
        failed = sql.SQL("  NEW.{} := {};\n").format(self._column, key_cast(key, quarantine))
        return sql.SQL(
            "DECLARE chosen record;\n"
            "BEGIN\n"
            "  IF current_setting({undo}, true) = 'on' THEN\n    RETURN NEW;\n  END IF;\n"
            "  PERFORM nextval({sequence}::regclass);\n"
            "{patience}"
            "  {query} INTO chosen;\n"
            "  NEW.{column} := {value};\n"
            "  RETURN NEW;\n"
            "EXCEPTION WHEN OTHERS THEN\n"
            "{failed}"
            "  RETURN NEW;\n"
            "END"
        ).format(
            undo=sql.Literal(UNDO_SETTING),
            sequence=sql.Literal(f'tenure."{self.sequence.replace(chr(34), chr(34) * 2)}"'),
            patience=self._patience(),
            query=chosen,
            column=self._column,
            value=key_cast(key, sql.SQL("coalesce(chosen.derived, {})").format(fallback)),
            failed=failed,
        )

    def _patience(self) -> sql.Composed:
        """Return the part that leaves a row to the backfill while its parent has no key yet.

        Only while the key may be null: from the check of `NotNull` on it may not, and every parent has its key.
        """
        tests = [
            sql.SQL("EXISTS (SELECT 1 FROM {} AS p WHERE {} AND {})").format(
                table_sql(source.table),
                sql.SQL(" AND ").join(
                    sql.SQL("p.{} = NEW.{}").format(sql.Identifier(theirs), sql.Identifier(ours))
                    for ours, theirs in source.match
                ),
                untagged(self.rule.key, sql.SQL("p.{}").format(self._column)),
            )
            for source in self.rule.sources
            if isinstance(source, ParentSource) and source.table in self.waits_for
        ]
        if not tests:
            return sql.Composed([])
        return sql.SQL(
            "  IF ({tests}) AND ({new} IS NOT NULL OR NOT (\n"
            "      EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = {name} AND attnotnull)\n"
            "      OR EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = {check}))) THEN\n    RETURN NEW;\n  END IF;\n"
        ).format(
            tests=sql.SQL(" OR ").join(tests),
            new=self._new(),
            name=sql.Literal(self.rule.key.name),
            check=sql.Literal(not_null_check(self.rule.table)),
        )

    @property
    def _column(self) -> sql.Identifier:
        return sql.Identifier(self.rule.key.name)

    def _new(self) -> sql.Composed:
        return sql.SQL("NEW.{}").format(self._column)

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
