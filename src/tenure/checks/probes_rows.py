"""Probes of tables under row-level security: the application's role, in transactions that are rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, errors, sql

from tenure.attribution.rows import key_cast, raw, table_sql
from tenure.attribution.spec import RowRule
from tenure.checks.base import SAMPLE, View
from tenure.checks.done import operation_done
from tenure.checks.probes import Probed, Seen
from tenure.checks.row_keys import has_key
from tenure.playbook.models import RowSecurity

OTHERS = 20
"""How many rows of others a tenant is shown the names of, per table: none of them may come back."""


def probe_rows(view: View, tenants: Sequence[str]) -> tuple[Probed, list[Seen]]:
    """Return what the application's role sees of tables whose policies are in place."""
    probed = Probed("postgres", "nothing of another tenant was seen, and nothing at all with no tenant named")
    wanted = view.playbook.row_security
    seen: list[Seen] = []
    if wanted is None:
        return probed, seen
    for name, rule in view.rows.rules.items():
        if not (operation_done(view, f"postgres.row_security.{name}") and has_key(view, name)):
            continue
        try:
            with view.connect() as connection, connection.transaction(force_rollback=True):
                # One snapshot: a row that moves meanwhile would look like one that is seen, or hidden, wrongly.
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                found = _Table(view, rule, wanted, connection).probe(tenants)
        except errors.InsufficientPrivilege as error:
            found = [_unread(name, wanted, str(error).strip())]
        except errors.InvalidParameterValue as error:
            found = [_unread(name, wanted, str(error).strip())]
        except errors.QueryCanceled:
            found = [_unread(name, wanted, "the probe took too long")]
        seen += found
        probed.reads += 2 * len(tenants) + 2
        probed.objects.add(name)
    return probed, seen


def _unread(name: str, wanted: RowSecurity, problem: str) -> Seen:
    return Seen(
        "postgres",
        name,
        f"could not be probed as {wanted.role}: {problem}",
        f"GRANT {wanted.role} to the role that tenure connects as, and SELECT on the table to {wanted.role}.",
        severity="warning",
    )


def view_settings(view: View) -> tuple[str, ...]:
    """Return the settings that the playbook gives tenure's own session."""
    return tuple(view.playbook.connections.postgres.settings)


class _Table:
    """One table in one transaction."""

    def __init__(self, view: View, rule: RowRule, wanted: RowSecurity, connection: Connection[Any]) -> None:
        self._view, self._rule, self._wanted, self._connection = view, rule, wanted, connection
        self._name, self._key = rule.table.display, view.key
        self._column = sql.SQL("t.{}").format(sql.Identifier(view.key.name))

    def probe(self, tenants: Sequence[str]) -> list[Seen]:
        """Return what the role sees that it must not, and rows of its own that it does not see."""
        # As whoever tenure is: rows of each tenant by where they lie, to ask for by name as somebody else.
        own = {tenant: self._rows_of(self._is(tenant)) for tenant in tenants}
        aside = self._rows_of(self._is(self._key.quarantine))
        self._connection.execute("SET LOCAL statement_timeout = '30s'")
        for setting in view_settings(self._view):
            # What lets tenure's own session see past policies is not the application's.
            self._connection.execute(sql.SQL("RESET {}").format(raw(setting)))
        self._connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self._wanted.role)))
        seen: list[Seen] = []
        for tenant in tenants:
            self._be(tenant)
            others = [row for other in tenants if other != tenant for row in own[other]] + aside
            shown = self._shown(others)
            if shown:
                seen.append(
                    Seen(
                        "postgres",
                        self._name,
                        f"as {tenant}, {self._wanted.role} sees rows of other tenants",
                        "Look at the table's policies and at the role's attributes (BYPASSRLS, SUPERUSER, ownership); "
                        "`tenure apply --through cutover` makes again what is gone.",
                        count=len(shown),
                        sample=[{"key": key, "row": row} for key, row in shown[:SAMPLE]],
                    )
                )
            if len(self._shown(own[tenant])) < len(own[tenant]):
                seen.append(
                    Seen(
                        "postgres",
                        self._name,
                        f"as {tenant}, {self._wanted.role} does not see all rows of its own",
                        "Look whether another policy takes rows away.",
                        severity="warning",
                    )
                )
        for value, words in ((None, "with no tenant named"), ("", "with an empty tenant")):
            self._be(value)
            found = self._connection.execute(
                sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(table_sql(self._rule.table))
            ).fetchone()
            if found is not None and found[0]:
                seen.append(
                    Seen(
                        "postgres",
                        self._name,
                        f"{words}, {self._wanted.role} sees rows",
                        "A policy that does not ask for the tenant grants them: make it RESTRICTIVE or drop it.",
                    )
                )
        return seen

    def _be(self, tenant: str | None) -> None:
        """Name a tenant in the role's session; None forgets it."""
        if tenant is None:
            self._connection.execute(sql.SQL("RESET {}").format(raw(self._wanted.setting)))
            return
        self._connection.execute("SELECT set_config(%s, %s, true)", (self._wanted.setting, tenant))

    def _is(self, tenant: str) -> sql.Composed:
        return sql.SQL("{} = {}").format(self._column, key_cast(self._key, sql.Literal(tenant)))

    def _rows_of(self, condition: sql.Composable) -> list[tuple[int, str]]:
        query = sql.SQL("SELECT t.tableoid::bigint, t.ctid::text FROM {} AS t WHERE {} LIMIT {}").format(
            table_sql(self._rule.table), condition, OTHERS
        )
        return [(leaf, tid) for leaf, tid in self._connection.execute(query).fetchall()]

    def _shown(self, rows: Sequence[tuple[int, str]]) -> list[tuple[str, str]]:
        """Return which of some rows the role sees: their keys, and where they lie."""
        if not rows:
            return []
        tids = sql.Literal([tid for _, tid in rows])
        leafs = sql.Literal([leaf for leaf, _ in rows])
        query = sql.SQL(
            "SELECT ({})::text, t.ctid::text FROM {} AS t WHERE t.ctid = ANY({}::tid[]) "
            "AND (t.tableoid::bigint, t.ctid) IN (SELECT * FROM unnest({}::bigint[], {}::tid[]))"
        ).format(self._column, table_sql(self._rule.table), tids, leafs, tids)
        return [(key, row) for key, row in self._connection.execute(query).fetchall()]
