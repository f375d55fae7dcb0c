"""Row-level security: a session of the application's role sees its tenant's rows, and none when it names no tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from psycopg import errors, sql

from tenure.attribution.rows import raw, table_sql
from tenure.errors import OperationFailedError
from tenure.operations.base import Operation
from tenure.operations.text import as_texts, short_name
from tenure.values import Frozen, Hazard, Outcome, Phase, Store, TableName, TenantKey

if TYPE_CHECKING:
    from tenure.runner.context import Context

Command = Literal["ALL", "SELECT", "INSERT", "UPDATE", "DELETE"]


class Protected(Frozen):
    """A table (or partition, which may be reached directly) and how its row-level security was before."""

    table: TableName
    enabled: bool = False
    forced: bool = False


class EnableRowSecurity(Operation):
    """Creates the policies of a table for one role and switches row-level security on.

    The role's session names its tenant in `setting`; unset or empty means no rows. Rows of every tenant (`shared`:
    those with the shared sentinel; `null_is_shared`: those whose key is null on purpose) may be read and not written.
    Beside policies that exist the new ones are RESTRICTIVE: they take away and grant nothing. `force` binds the owner
    too.
    """

    kind: ClassVar[str] = "row_security"
    phase: ClassVar[Phase] = Phase.CUTOVER
    store: ClassVar[Store] = "postgres"

    key: TenantKey
    tables: tuple[Protected, ...]
    role: str
    setting: str
    force: bool = True
    shared: bool = False
    null_is_shared: bool = False
    restrictive: bool = False
    lock: str = "ACCESS EXCLUSIVE, milliseconds"
    hazards: tuple[Hazard, ...] = (Hazard.ACCESS_EXCLUSIVE,)

    def describe(self) -> str:
        """Return one line."""
        return f"row-level security on {self.object}: {self.role} sees the rows of {self.setting}"

    def statements(self) -> tuple[str, ...]:
        """Return the policies and the switches, one transaction."""
        return as_texts(self._statements())

    def _statements(self) -> list[sql.Composed]:
        made: list[sql.Composed] = []
        for protected in self.tables:
            table = table_sql(protected.table)
            for command, using, check in self._policies():
                name = sql.Identifier(self._name(command))
                made.append(sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(name, table))
                made.append(
                    sql.SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}{}{}").format(
                        name,
                        table,
                        raw("RESTRICTIVE" if self.restrictive else "PERMISSIVE"),
                        raw(command),
                        sql.Identifier(self.role),
                        sql.SQL(" USING ({})").format(using) if using is not None else sql.SQL(""),
                        sql.SQL(" WITH CHECK ({})").format(check) if check is not None else sql.SQL(""),
                    )
                )
            made.append(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(table))
            if self.force:
                made.append(sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(table))
        return made

    def _policies(self) -> list[tuple[Command, sql.Composable | None, sql.Composable | None]]:
        """Return command, condition to see and condition to write of each policy.

        The setting is asked for in a sub-query, which Postgres answers once a statement and not once a row.
        """
        column = sql.Identifier(self.key.name)
        own = sql.SQL("{} = (SELECT nullif(current_setting({}, true), ''))::{}").format(
            column, sql.Literal(self.setting), raw(self.key.type)
        )
        if not (self.shared or self.null_is_shared):
            return [("ALL", own, own)]
        readable = own
        if self.shared:
            shared = sql.SQL("{}::{}").format(sql.Literal(self.key.shared), raw(self.key.type))
            readable = sql.SQL("{} OR {} = {}").format(readable, column, shared)
        if self.null_is_shared:
            readable = sql.SQL("{} OR {} IS NULL").format(readable, column)
        named = sql.SQL("(SELECT nullif(current_setting({}, true), '')) IS NOT NULL").format(sql.Literal(self.setting))
        return [
            ("SELECT", sql.SQL("({}) AND {}").format(readable, named), None),
            ("INSERT", None, own),
            ("UPDATE", own, own),
            ("DELETE", own, None),
        ]

    def _name(self, command: Command) -> str:
        return short_name("tenure", self.key.name, command.lower())

    def apply(self, ctx: Context) -> Outcome:
        """Create the policies and switch them on at once. Errors: OperationFailedError when the role is not there."""
        try:
            ctx.postgres.ddl(self._statements(), notify=lambda text: ctx.reporter.note(self.id, text))
        except errors.UndefinedObject as error:
            raise OperationFailedError(
                operation=self.describe(), object=self.object, planned=1, changed=0, left=1,
                problem=f"{str(error).strip()}. Create the role, or correct `row_security.role`.",
            ) from error  # fmt: skip
        return Outcome(planned=1, changed=1)

    def undo(self, ctx: Context) -> Outcome:
        """Drop the policies and leave row-level security as it was."""
        made: list[sql.Composed] = []
        for protected in self.tables:
            table = table_sql(protected.table)
            for command, _, _ in self._policies():
                made.append(
                    sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(sql.Identifier(self._name(command)), table)
                )
            if self.force and not protected.forced:
                made.append(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(table))
            if not protected.enabled:
                made.append(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(table))
        ctx.postgres.ddl(made, notify=lambda text: ctx.reporter.note(self.id, text))
        return Outcome(planned=1, changed=1)
