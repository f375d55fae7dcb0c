"""TEN115 to TEN118 and TEN126: what else hangs on the keyed tables: triggers, replication, views, broken indexes,
generated columns."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.checks.base import Named, View
from tenure.operations.key_index import KeyIndex, SurrogateUnique
from tenure.operations.rescope_unique import RescopeUnique
from tenure.planner import surroundings
from tenure.planner.derived import refreshable, stale
from tenure.planner.rows import fired_triggers, triggers_way
from tenure.values import Finding

OURS = (KeyIndex, SurrogateUnique, RescopeUnique)
"""Operations that build an index of a table; they deal with a broken one themselves."""


class TriggersFire(Named):
    """No trigger of a keyed table fires for a row that only gets its key."""

    id = "TEN115"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a warning for every table whose triggers cannot be kept still."""
        for name, rule in view.rows.rules.items():
            table = view.catalog.postgres.table(name)
            if table is None or rule.constant() is not None:
                continue
            if triggers_way(table, view.live.postgres, rule.key.name) == "fires":
                fired = fired_triggers(table, view.catalog.postgres, view.key.name)
                names = tuple(trigger.name for _, trigger in fired)
                yield self.finding(
                    "warning",
                    name,
                    f"its UPDATE triggers fire for every row that gets its key: {', '.join(names)}",
                    "Let the role set session_replication_role (superuser, or GRANT SET ON PARAMETER "
                    "session_replication_role), or allow it: `--allow FIRES_TRIGGERS`.",
                    count=len(names),
                    sample=names,
                )


class Replication(Named):
    """Subscribers and slots that the backfill's writes reach are known."""

    id = "TEN116"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice per published table and per slot; those that the plan explains are its own findings."""
        said = {found.object for found in view.plan.findings if found.id == self.id}
        known = surroundings.explanations(view.live.postgres, view.rows)
        slots = map(surroundings.slot_finding, view.live.postgres.slots)
        for found in (*known, *slots):
            if found.id == self.id and found.object not in said:
                said.add(found.object)
                yield found


class MaterializedViews(Named):
    """Materialized views over keyed tables are known: what they aggregate mixes tenants unless they group by them."""

    id = "TEN117"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice per materialized view that reads a keyed table and has no tenant key, and per view that has
        it and cannot be refreshed beside its readers."""
        for found in view.live.postgres.views:
            keyed = [name for name in found.depends_on if name in view.rows.rules]
            if found.materialized and keyed and view.key.name not in found.definition:
                yield self.finding(
                    "info",
                    found.display,
                    f"it aggregates {', '.join(keyed)} over all tenants and does not have {view.key.name}",
                    f"Add {view.key.name} to its columns and grouping, and refresh it after the backfill.",
                    count=len(keyed),
                    sample=tuple(keyed),
                )
        for found in stale(view.live.postgres, view.rows):
            if not refreshable(found):
                yield self.finding(
                    "info",
                    found.display,
                    f"it shows {view.key.name}, and has no unique index on plain columns with which tenure could "
                    "refresh it beside its readers",
                    "Refresh it yourself after the backfill, when its readers can wait: "
                    f"REFRESH MATERIALIZED VIEW {found.display}.",
                    count=1,
                )


class InvalidIndexes(Named):
    """No keyed table has an index that an interrupted build left behind."""

    id = "TEN118"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a warning per index that costs writes and serves nobody."""
        ours = {operation.index.name for operation in view.plan.operations if isinstance(operation, OURS)}
        for name in view.rows.rules:
            table = view.live.postgres.table(name)
            for index in table.indexes if table is not None else ():
                if not index.valid and not index.on_partitioned and index.name not in ours:
                    across = index.unique and index.ready and view.key.name not in index.columns
                    yield self.finding(
                        "warning",
                        f"{name}.{index.name}",
                        "the index is invalid: it costs every write, serves no query and proves no uniqueness"
                        + (
                            ", but refuses new rows that share its key, another tenant's too: verify is red while it "
                            "is there"
                            if across
                            else ""
                        ),
                        f'DROP INDEX CONCURRENTLY "{index.name}"; and build it again if it is wanted'
                        f"{f', with {view.key.name} in it' if across else ''}.",
                    )


class GeneratedColumns(Named):
    """Stored generated columns are known: each row that gets its key has them computed anew."""

    id = "TEN126"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a notice per table that is backfilled and has some; virtual ones are computed when they are read."""
        for found in surroundings.explanations(view.catalog.postgres, view.rows):
            if found.id == self.id:
                yield found
