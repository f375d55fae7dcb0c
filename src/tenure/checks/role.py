"""TEN101 and TEN102: the role may do what the plan needs, and sees every row."""

from __future__ import annotations

from collections.abc import Iterator

from tenure.checks.base import Named, View
from tenure.values import Finding


class RoleRights(Named):
    """The role owns the keyed tables, may create schema `tenure` and temporary tables."""

    id = "TEN101"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for every right that is missing."""
        postgres = view.catalog.postgres
        role = view.live.postgres.role
        for name in view.rows.rules:
            table = postgres.table(name)
            if table is not None and not table.owned:
                yield self.finding(
                    "error",
                    name,
                    f"role {role.name} may not alter it: it belongs to {table.owner}",
                    f"Connect as {table.owner}, GRANT {table.owner} TO {role.name}, or set "
                    f"`connections: postgres: role: {table.owner}`.",
                )
        if view.ledger is None and not role.can_create_schema:
            yield self.finding(
                "error",
                postgres.database,
                f"role {role.name} may not create the schema `tenure`, where the ledger lives",
                f"GRANT CREATE ON DATABASE {postgres.database} TO {role.name}.",
            )
        if not role.can_create_temp:
            yield self.finding(
                "error",
                postgres.database,
                f"role {role.name} may not create temporary tables, in which rows are decided beforehand",
                f"GRANT TEMPORARY ON DATABASE {postgres.database} TO {role.name}.",
            )


class RoleSeesEverything(Named):
    """No row-level security policy hides rows of a keyed table, or of the registry, from the role."""

    id = "TEN102"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for every table whose policies bind the role; a warning where its settings may lift them."""
        connection = view.playbook.connections.postgres
        for name in [*view.rows.rules, view.key.registry.display]:
            table = view.live.postgres.table(name)
            if table is None or not table.row_security_active:
                continue
            if connection.settings:
                settings = ", ".join(f"{key}={value}" for key, value in connection.settings.items())
                yield self.finding(
                    "warning",
                    name,
                    f"row-level security binds the role; the playbook's settings ({settings}) must show it every row",
                    "Apply proves it: the NOT NULL check is validated by the database itself, which no policy binds.",
                    count=len(table.policies),
                    sample=tuple(policy.name for policy in table.policies),
                )
                continue
            yield self.finding(
                "error",
                name,
                "row-level security hides rows from the role: it would report success on rows that it cannot see",
                "Use a role with BYPASSRLS, or give `connections: postgres: settings:` the settings under which the "
                "policies show every row.",
                count=len(table.policies),
                sample=tuple(policy.name for policy in table.policies),
            )
