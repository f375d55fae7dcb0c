"""Makes the per-tenant form of a natural primary key the primary key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from psycopg import Connection, errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.operations.base import Operation
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.drop_unique import depended_on
from tenure.operations.old_unique import OldUnique
from tenure.operations.partitioned_key import PartitionedKey
from tenure.operations.text import as_texts, short_name
from tenure.values import Finding, Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


Hanging = tuple[str, str, str]


class SwapPrimaryKey(Operation):
    """Drops the old primary key and makes `new`, the unique index built in constrain, the primary key, at once.

    Composite foreign keys that hang on the index stay on it. Foreign keys to the old key have to be gone before.
    `parts` is how it is done where the table is partitioned.
    """

    kind: ClassVar[str] = "swap_primary_key"
    phase: ClassVar[Phase] = Phase.CONTRACT
    store: ClassVar[Store] = "postgres"

    old: OldUnique
    new: str
    new_body: str
    replica_identity: bool = False
    parts: PartitionedKey | None = None
    lock: str = "ACCESS EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE, Hazard.IRREVERSIBLE, Hazard.BREAKS_ON_CONFLICT)

    def describe(self) -> str:
        """Return one line."""
        return f"primary key of {self.old.index.table.display}: {self.new} in place of {self.old.constraint}"

    def statements(self) -> tuple[str, ...]:
        """Return the builds that a partitioned table needs, then the swap, one transaction."""
        return as_texts([*(text for build in self._built() for text in build.statements()), *self._swap()])

    def _built(self) -> list[IndexBuild]:
        """Return the indexes to build before the swap."""
        return self.parts.builds(self.new, self.new_body) if self.parts is not None else []

    def _built_back(self) -> list[IndexBuild]:
        """Return the indexes to build before the way back."""
        if self.parts is None:
            return [self.old.index, self._bare()]
        return [*self.parts.old_builds(self.old), *([] if self.parts.referenced else [self._bare()])]

    def _swap(self) -> list[sql.Composed]:
        if self.parts is not None:
            return self.parts.swap(self.old, self.new)
        table, name = table_sql(self.old.index.table), sql.Identifier(self.new)
        promote = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(table, name, name)
        return [self.old.drop(), promote, *self._identity(self.new)]

    def _identity(self, index: str) -> list[sql.Composed]:
        """Return what tells logical replication, where it was told of the old key by name, of the one in its place."""
        if not self.replica_identity:
            return []
        statement = sql.SQL("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}")
        return [statement.format(table_sql(self.old.index.table), sql.Identifier(index))]

    def apply(self, ctx: Context) -> Outcome:
        """Swap them in one transaction, unless they are. Errors: RefusedError when something depends on the old key."""
        if not self.old.exists(ctx):
            return Outcome(planned=1, changed=0, note="swapped already")
        with ctx.postgres.connection() as connection:
            hanging = self._hanging(connection)
        built = [text for build in self._built_back() for text in build.statements()]
        before = {
            "definition": self.old.definition,
            "constraint": self.old.constraint,
            "script": as_texts([*built, *self._swap_back(hanging), *_validations(hanging)]),
        }
        ctx.ledger.journal(self.id, "postgres", self.object, [({"primary_key": self.old.index.name}, before, self.new)])
        for build in self._built():
            build.build(ctx, self.id, self.object)
        try:
            ctx.postgres.ddl(self._swap(), notify=lambda text: ctx.reporter.note(self.id, text))
        except errors.DependentObjectsStillExist as error:
            raise depended_on(self.describe(), error) from error
        return Outcome(planned=1, changed=1)

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return the keys that several rows share by now: they forbid the way back."""
        return [] if self.old.exists(ctx) else self.old.losses(ctx, self.object)

    def undo(self, ctx: Context) -> Outcome:
        """Build the old key and a bare form of the new one beside, then swap; foreign keys on it move to the bare form.

        Errors: OperationFailedError when rows share a key by now.
        """
        if self.old.exists(ctx):
            return Outcome(note="still there")
        for build in self._built_back():
            build.build(ctx, self.id, self.object)
        with ctx.postgres.connection() as connection:
            hanging = self._hanging(connection)
        notify = lambda text: ctx.reporter.note(self.id, text)  # noqa: E731
        ctx.postgres.ddl(self._swap_back(hanging), notify=notify)
        for statement in _validations(hanging):
            ctx.postgres.ddl([statement], notify=notify)
        return Outcome(planned=1, changed=1)

    def _bare(self) -> IndexBuild:
        """Return the unique index that was made the primary key, under a name that is free."""
        return self.old.index.model_copy(update={"name": short_name(self.new, "tenure_bare"), "body": self.new_body})

    def _swap_back(self, hanging: Sequence[Hanging]) -> list[sql.Composed]:
        """Return what puts the old key back, once both indexes are built; one transaction. Foreign keys that hang on
        the new one are made again on its bare form, to be validated afterwards."""
        table = self.old.index.table
        if self.parts is not None:
            return self.parts.swap_back(self.old, self.new, self._bare().name)
        drops = [
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(raw(owner), sql.Identifier(name))
            for owner, name, _ in hanging
        ]
        adds = [
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID").format(
                raw(owner), sql.Identifier(name), raw(definition)
            )
            for owner, name, definition in hanging
        ]
        return [
            *drops,
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table_sql(table), sql.Identifier(self.new)),
            sql.SQL("ALTER INDEX {} RENAME TO {}").format(
                sql.Identifier(table.schema_name, self._bare().name), sql.Identifier(self.new)
            ),
            self.old.attach(),
            *self._identity(self.old.index.name),
            *adds,
        ]

    def _hanging(self, connection: Connection[Any]) -> list[Hanging]:
        """Return the foreign keys that hang on the new key, and have to move on the way back: table (quoted), name,
        definition. Those to a partitioned table hang on its unique, which is no part of the key."""
        if self.parts is not None:
            return []
        rows = connection.execute(
            "SELECT format('%%I.%%I', n.nspname, c.relname), k.conname, "
            "regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') "
            "FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE k.contype = 'f' AND k.conindid = to_regclass(%s) AND k.conparentid = 0",
            (sql.Identifier(self.old.index.table.schema_name, self.new).as_string(None),),
        ).fetchall()
        return [(str(owner), str(name), str(definition)) for owner, name, definition in rows]


def _validations(hanging: Sequence[Hanging]) -> list[sql.Composed]:
    return [
        sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(raw(owner), sql.Identifier(name))
        for owner, name, _ in hanging
    ]
