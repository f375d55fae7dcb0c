"""TEN506: uniqueness. No global uniqueness is left but those on the allow-list; the new ones are what was intended."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.catalog.postgres import Index, Table
from tenure.checks.base import Named, View
from tenure.checks.done import is_done, operation_done
from tenure.operations.composite_fk import CompositeForeignKey
from tenure.operations.key_index import SurrogateUnique
from tenure.operations.not_null import NotNull
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.operations.rescope_unique import RescopeUnique
from tenure.planner.constraints import is_surrogate
from tenure.planner.exclusions import immovable
from tenure.playbook.rules import Keep
from tenure.values import Finding, Phase


class Uniqueness(Named):
    """Every uniqueness, foreign key and NOT NULL that the plan made is there and valid; no other global one is."""

    id = "TEN506"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield errors for what is missing, invalid or global; a notice for what waits for contract."""
        yield from self._made(view)
        contracted = is_done(view, Phase.CONTRACT)
        replaced = {op.replaces for op in view.plan.operations if isinstance(op, RescopeUnique | RescopeExclusion)}
        for name in view.rows.rules:
            live, before = view.live.postgres.table(name), view.catalog.postgres.table(name)
            waiting = []
            for index in live.indexes if live is not None else ():
                if live is None or not self._is_global(view, live, index):
                    continue
                known = before is not None and before.index(index.name) is not None
                if known and not contracted and {index.name, index.constraint} & replaced:
                    waiting.append(index.name)
                    continue
                # An exclusion that cannot be re-scoped was the planner's warning already.
                if known and index.exclusion and immovable(index, view.key.name):
                    continue
                yield self.finding(
                    "error",
                    f"{name}.{index.name}",
                    "a uniqueness holds across tenants"
                    + ("" if known else " that was not there when the plan was made")
                    + ("" if index.valid else ": its index is invalid, and refuses new rows all the same"),
                    f"Drop it, or keep it with a reason: `unique: {{{index.name}: {{keep: REASON}}}}`."
                    if index.valid
                    else f'DROP INDEX CONCURRENTLY "{index.name}"; and build it again if it is wanted, with '
                    f"{view.key.name} in it.",
                    sample=(index.constraint_definition or index.definition,),
                )
            if waiting:
                yield self.finding(
                    "info",
                    name,
                    f"global uniqueness waits for contract: {', '.join(waiting)}",
                    "`tenure contract` drops it.",
                    count=len(waiting),
                    sample=tuple(waiting),
                )

    def _is_global(self, view: View, table: Table, index: Index) -> bool:
        rule = (view.playbook.postgres or {})[table.display]
        if not (index.unique or index.exclusion) or index.parent is not None or view.key.name in index.columns:
            return False
        # A build that did not come as far as to look at new rows refuses none.
        if not (index.valid or index.ready):
            return False
        # Where a null key means "global", the key stands in an expression.
        if any(view.key.name in expression for expression in index.expressions):
            return False
        named = [name for name in (index.name, index.constraint) if name is not None and name in rule.unique]
        if named and isinstance(rule.unique[named[0]], Keep):
            return False
        return not (index.primary and is_surrogate(table, rule) and not named)

    def _made(self, view: View) -> Iterator[Finding]:
        """Yield an error for everything that the ledger calls done and that is not there as it was made."""
        for operation in view.plan.operations:
            if not operation_done(view, operation.id):
                continue
            problem = ""
            if isinstance(operation, RescopeUnique | SurrogateUnique):
                table = view.live.postgres.table(operation.index.table.display)
                index = table.index(operation.index.name) if table is not None else None
                problem = _index_problem(view, index)
            elif isinstance(operation, RescopeExclusion):
                table = view.live.postgres.table(operation.new.table.display)
                index = table.index(operation.new.name) if table is not None else None
                problem = _exclusion_problem(view, index)
            elif isinstance(operation, CompositeForeignKey):
                table = view.live.postgres.table(operation.table.display)
                keys = [key for key in (table.foreign_keys if table is not None else ()) if key.name == operation.name]
                if not keys:
                    problem = "the composite foreign key is gone"
                elif not (keys[0].validated and keys[0].enforced) or set(keys[0].columns) != set(operation.columns):
                    problem = "the composite foreign key is not validated, or has other columns"
            elif isinstance(operation, NotNull):
                table = view.live.postgres.table(operation.table.display)
                column = table.column(view.key.name) if table is not None else None
                if column is None or column.nullable:
                    problem = f"{view.key.name} may be null again"
            if problem:
                yield self.finding(
                    "error", operation.object, problem, "Find out who took it away; `tenure apply` makes it again."
                )


def _exclusion_problem(view: View, index: Index | None) -> str:
    if index is None:
        return "the per-tenant exclusion constraint is gone"
    in_key = view.key.name in index.columns or any(view.key.name in text for text in index.expressions)
    if not index.exclusion or not index.valid or not in_key:
        return f"what has its name is no exclusion constraint per {view.key.name}"
    return ""


def _index_problem(view: View, index: Index | None) -> str:
    if index is None:
        return "the per-tenant uniqueness is gone"
    if not index.valid or not index.ready:
        return "the per-tenant uniqueness is invalid: its index proves nothing"
    in_key = view.key.name in index.columns or any(view.key.name in text for text in index.expressions)
    if not index.unique or not in_key:
        return f"the index of its name is not unique per {view.key.name}"
    return ""
