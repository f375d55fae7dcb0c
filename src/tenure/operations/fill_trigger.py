"""Keys the rows that the application writes while it does not know of tenants yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from psycopg import sql

from tenure.attribution.rows import decision, key_cast, raw, table_sql, untagged
from tenure.attribution.spec import ParentSource, RowRule
from tenure.operations.base import Operation
from tenure.operations.text import UNDO_SETTING, as_texts, not_null_check, short_name
from tenure.values import Hazard, Outcome, Phase, Store, TableName

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.runner.context import Context


class Filler(Operation):
    """A `BEFORE INSERT OR UPDATE` trigger that decides the tenant of a row that comes without one.

    It never makes the application fail: what it cannot decide gets the quarantine sentinel and shows up in verify. Its
    sequence counts the writes that came without the key (nextval never blocks), so that contract knows of old writers.

    A second trigger is for old code that moves a row: where an UPDATE changes one of the columns `follows`, which the
    tenant is read from, and not the key, the key follows; where they name no tenant any more it stays. It stays too
    while a composite foreign key, which does not cascade, ties the row to one of another tenant then: old code is never
    refused, nothing crosses tenants, and verify tells of the row whose sources say something else than its key.

    Left alone, as they came, are rows whose parent waits for its own backfill (`waits_for` names such parents; the
    sweep decides them afterwards, and no such parent is left once the key is mandatory), rows that no source knows
    where null is global on purpose, and, without `sentinels`, all it cannot decide, since a foreign key on the key
    column would refuse a sentinel.

    `settings` are what the migration role's session sets to see past row-level security: the function runs as its owner
    and sets them for as long as it looks.
    """

    store: ClassVar[Store] = "postgres"

    rule: RowRule
    follows: tuple[str, ...] = ()
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
    def following(self) -> str:
        """Return the name of the trigger that makes the key follow its sources."""
        return short_name("zz_tenure_follow", self.rule.key.name)

    @property
    def function(self) -> sql.Identifier:
        """Return the trigger function's name."""
        return sql.Identifier("tenure", short_name("fill", self.rule.table.schema_name, self.rule.table.name))

    @property
    def sequence(self) -> str:
        """Return the name of the sequence, in schema tenure, that counts writes without the key."""
        return short_name("filled", self.rule.table.schema_name, self.rule.table.name)

    def creation(self) -> list[sql.Composed]:
        """Return what makes sequence, function and triggers."""
        rule = self.rule
        path = sql.SQL(", ").join(
            [
                sql.Identifier(name)
                for name in dict.fromkeys(["pg_catalog", rule.table.schema_name, "public", "pg_temp"])
            ]
        )
        made = [
            sql.SQL("CREATE SEQUENCE IF NOT EXISTS {}").format(sql.Identifier("tenure", self.sequence)),
            sql.SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                "SET search_path = {} AS {}"
            ).format(self.function, path, sql.Literal(self._body().as_string(None))),
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW WHEN ({}) "
                "EXECUTE FUNCTION {}()"
            ).format(
                sql.Identifier(self.name), table_sql(rule.table), untagged(rule.key, self._new(rule.key.name)),
                self.function,
            ),
        ]  # fmt: skip
        if self.follows:
            key = rule.key.name
            moved = sql.SQL(" OR ").join(
                sql.SQL("{}::text IS DISTINCT FROM {}::text").format(self._old(name), self._new(name))
                for name in self.follows
            )
            made.append(
                sql.SQL(
                    "CREATE OR REPLACE TRIGGER {} BEFORE UPDATE ON {} FOR EACH ROW WHEN ({} = {} AND ({})) "
                    "EXECUTE FUNCTION {}('follow')"
                ).format(
                    sql.Identifier(self.following), table_sql(rule.table), self._old(key), self._new(key), moved,
                    self.function,
                )
            )  # fmt: skip
        return made

    def removal(self) -> list[sql.Composed]:
        """Return what drops triggers, function and sequence."""
        table = table_sql(self.rule.table)
        return [
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(self.name), table),
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(self.following), table),
            sql.SQL("DROP FUNCTION IF EXISTS {}()").format(self.function),
            sql.SQL("DROP SEQUENCE IF EXISTS {}").format(sql.Identifier("tenure", self.sequence)),
        ]

    def writes(self, ctx: Context) -> int:
        """Return how many writes came without the key so far; 0 once the trigger is gone."""
        with ctx.postgres.connection() as connection:
            return reading(connection, self.sequence)

    def _body(self) -> sql.Composed:
        """Return the function's body.

        The row as the trigger sees it takes the place of the table in the very query that the backfill runs; its key
        has no say there, since it has none or is to follow.
        """
        rule, key = self.rule, self.rule.key
        new = self._new(key.name)
        quarantine: sql.Composable = sql.Literal(key.quarantine) if self.sentinels else sql.SQL("NULL")
        fallback = quarantine
        if rule.policy.unassigned == "keep_null":
            fallback = sql.SQL("CASE WHEN chosen.bin = 'unassigned' THEN NULL ELSE {} END").format(quarantine)
        lines = [
            sql.SQL("DECLARE\n  chosen record;\n  waits boolean := false;\n  patient boolean := false;"),
            sql.SQL("  follow boolean := TG_NARGS > 0;\n  refers text;\n  holds boolean;"),
            *(sql.SQL("  before_{} text;").format(raw(str(number))) for number, _ in enumerate(self.settings)),
            sql.SQL("BEGIN"),
            sql.SQL("  IF current_setting({}, true) = 'on' THEN RETURN NEW; END IF;").format(sql.Literal(UNDO_SETTING)),
            sql.SQL("  IF NOT follow THEN PERFORM nextval({}::regclass); END IF;").format(
                sql.Literal(sql.Identifier("tenure", self.sequence).as_string(None))
            ),
            *self._settings(),
            *self._patience(),
            sql.SQL("  {} INTO chosen;").format(decision(rule, sql.SQL("(SELECT (NEW).*)"), weigh=False)),
            # Sources that name nobody any more leave a key as it is: as if the application had set it.
            sql.SQL(
                "  IF patient AND follow THEN {new} := NULL;\n  ELSIF follow THEN\n"
                "    IF chosen.bin <> 'unassigned' THEN {new} := coalesce({it}, {new}); END IF;\n{stay}"
            ).format(new=new, it=key_cast(key, sql.SQL("chosen.derived")), stay=self._stay()),
            sql.SQL("  ELSIF NOT waits THEN {} := {};\n  END IF;").format(
                new, key_cast(key, sql.SQL("coalesce(chosen.derived, {})").format(fallback))
            ),
            *self._settings(back=True),
            sql.SQL("  RETURN NEW;\nEXCEPTION WHEN OTHERS THEN"),
            sql.SQL("  IF NOT follow THEN {} := {}; END IF;").format(new, key_cast(key, quarantine)),
            sql.SQL("  RETURN NEW;\nEND"),
        ]
        return sql.SQL("\n").join(lines)

    def _settings(self, *, back: bool = False) -> Iterator[sql.Composed]:
        """Yield what lends the function its owner's settings, and gives them back; an error gives them back too."""
        for number, (name, value) in enumerate(self.settings):
            before = raw(f"before_{number}")
            if back:
                yield sql.SQL("  PERFORM set_config({}, coalesce({}, ''), true);").format(sql.Literal(name), before)
            else:
                yield sql.SQL("  {} := current_setting({}, true);\n  PERFORM set_config({}, {}, true);").format(
                    before, sql.Literal(name), sql.Literal(name), sql.Literal(value)
                )

    def _patience(self) -> Iterator[sql.Composed]:
        """Yield the part that leaves a row to the backfill while its parent has no key yet.

        Only while the key may be null: from the check of `NotNull` on it may not, and every parent has its key.
        """
        tests = [
            sql.SQL("EXISTS (SELECT 1 FROM {} AS p WHERE {} AND {})").format(
                table_sql(source.table),
                sql.SQL(" AND ").join(
                    sql.SQL("p.{} = {}").format(sql.Identifier(theirs), self._new(ours))
                    for ours, theirs in source.match
                ),
                untagged(self.rule.key, sql.SQL("p.{}").format(sql.Identifier(self.rule.key.name))),
            )
            for source in self.rule.sources
            if isinstance(source, ParentSource) and source.table in self.waits_for
        ]
        if tests:
            yield sql.SQL(
                "  IF {tests} THEN\n"
                "    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = {name} "
                "AND attnotnull)\n"
                "      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = {check});\n"
                "    waits := patient OR {new} IS NOT NULL;\n"
                "  END IF;"
            ).format(
                tests=sql.SQL(" OR ").join(tests),
                new=self._new(self.rule.key.name),
                name=sql.Literal(self.rule.key.name),
                check=sql.Literal(not_null_check(self.rule.table)),
            )

    def _stay(self) -> sql.Composed:
        """Return the part that takes a move back where a foreign key would refuse it, from either end.

        The foreign keys are looked up when it happens, which is rarely: the composite ones come after the trigger. A
        row that refers to itself moves with itself.
        """
        return sql.SQL(
            "    IF {new} IS DISTINCT FROM {old} THEN\n"
            "      FOR refers IN SELECT CASE WHEN side.child THEN format("
            "'SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)', "
            "string_agg(format('($1).%I IS NULL', a.attname), ' OR '), k.confrelid::regclass, "
            "string_agg(format('p.%I = ($1).%I', f.attname, a.attname), ' AND '), k.confrelid = k.conrelid, "
            "string_agg(CASE WHEN k.confrelid = k.conrelid THEN format('($1).%I = ($1).%I', f.attname, a.attname) "
            "ELSE 'false' END, ' AND ')) ELSE format("
            "'SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))', k.conrelid::regclass, "
            "string_agg(format('c.%I = ($2).%I', a.attname, f.attname), ' AND '), k.confrelid = k.conrelid, "
            "string_agg(CASE WHEN k.confrelid = k.conrelid THEN format('c.%I = c.%I', a.attname, f.attname) "
            "ELSE 'false' END, ' AND ')) END "
            "FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k "
            "CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) "
            "JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours "
            "JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs "
            "WHERE k.contype = 'f' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID "
            "ELSE k.confrelid = TG_RELID AND k.confupdtype IN ('a', 'r') END "
            "GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = {name})\n"
            "      LOOP\n"
            "        EXECUTE refers INTO holds USING NEW, OLD;\n"
            "        IF NOT holds THEN {new} := {old}; END IF;\n"
            "      END LOOP;\n"
            "    END IF;"
        ).format(
            new=self._new(self.rule.key.name),
            old=self._old(self.rule.key.name),
            name=sql.Literal(self.rule.key.name),
        )

    def _new(self, column: str) -> sql.Composed:
        return sql.SQL("NEW.{}").format(sql.Identifier(column))

    def _old(self, column: str) -> sql.Composed:
        return sql.SQL("OLD.{}").format(sql.Identifier(column))


class FillTrigger(Filler):
    """Creates the triggers of a `Filler`."""

    kind: ClassVar[str] = "fill_trigger"
    phase: ClassVar[Phase] = Phase.EXPAND

    def describe(self) -> str:
        """Return one line."""
        return f"fill {self.rule.key.name} of rows that {self.rule.table.display} gets without it"

    def statements(self) -> tuple[str, ...]:
        """Return sequence, function and triggers."""
        return as_texts(self.creation())

    def apply(self, ctx: Context) -> Outcome:
        """Create what is missing; the function is replaced, so a changed rule takes effect."""
        ctx.postgres.ddl(self.creation(), notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)

    def undo(self, ctx: Context) -> Outcome:
        """Drop triggers, function and sequence."""
        ctx.postgres.ddl(self.removal(), notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)


def reading(connection: Connection[Any], sequence: str) -> int:
    """Return how often a counter was advanced; 0 for one that is gone with its trigger."""
    row = connection.execute(
        "SELECT coalesce((SELECT last_value FROM pg_sequences WHERE schemaname = 'tenure' AND sequencename = %s), 0)",
        (sequence,),
    ).fetchone()
    return int(row[0]) if row is not None else 0
