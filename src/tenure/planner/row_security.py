"""Plans row-level security where the playbook asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.attribution.build import RowRules, problem
from tenure.catalog.postgres import PostgresCatalog
from tenure.operations.base import Operation
from tenure.operations.row_security import EnableRowSecurity, Protected
from tenure.planner.references import may_be_global
from tenure.planner.uniques import below
from tenure.playbook.models import Playbook
from tenure.values import Finding, TableName


def cutover(
    playbook: Playbook, catalog: PostgresCatalog, built: RowRules, findings: list[Finding]
) -> Iterator[Operation]:
    """Yield the policies of every keyed table; what they would not bind, or would blind, goes to *findings*."""
    wanted = playbook.row_security
    if wanted is None:
        return
    sees_all = catalog.role.superuser or catalog.role.bypasses_rls
    for name, rule in built.rules.items():
        table = catalog.table(name)
        assert table is not None, name
        bypass = bool(playbook.connections.postgres.settings) and bool(table.policies)
        if wanted.force and table.owner == catalog.role.name and not (sees_all or bypass):
            findings.append(
                problem(
                    "TEN032", name, f"`row_security.force` would blind {catalog.role.name}, the owner of {name}",
                    f"Give {catalog.role.name} BYPASSRLS, connect as another role, or write `force: false`.",
                )
            )  # fmt: skip
        if table.owner == wanted.role and not wanted.force:
            findings.append(
                problem(
                    "TEN033", name, f"{wanted.role} owns {name}: no policy binds an owner unless it is forced",
                    "Write `force: true`, or let the application connect as a role that owns nothing.",
                )
            )  # fmt: skip
        members = (table, *below(catalog, table))
        yield EnableRowSecurity(
            object=name,
            key=rule.key,
            tables=tuple(
                Protected(
                    table=TableName(schema_name=member.schema_name, name=member.name),
                    enabled=member.row_security,
                    forced=member.force_row_security,
                )
                for member in members
            ),
            role=wanted.role,
            setting=wanted.setting,
            force=wanted.force,
            shared=may_be_global(built, name),
            null_is_shared=rule.policy.unassigned == "keep_null",
            restrictive=any(member.policies for member in members),
            planned=1,
        )
