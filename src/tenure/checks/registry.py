"""TEN106 to TEN108: the registry names real tenants, and what the playbook names as tenants is in it."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from tenure.attribution.rows import table_sql
from tenure.attribution.spec import ConstantSource, ItemRule, RowRule
from tenure.checks.base import SAMPLE, Named, View
from tenure.playbook.pairs import read_pairs
from tenure.playbook.sentinels import tenant_problem
from tenure.values import Finding


class RegistryIsClean(Named):
    """The registry has tenants, each once, none of them reserved and all of the key's type."""

    id = "TEN106"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error for what cannot be a tenant."""
        registry, column = table_sql(view.key.registry), sql.Identifier(view.key.registry_column)
        where = f"{view.key.registry.display}.{view.key.registry_column}"
        query = sql.SQL("SELECT count(*), count({0}), count(DISTINCT {0}) FROM {1}").format(column, registry)
        rows, tenants, distinct = view.query(query)[0]
        if tenants == 0:
            yield self.finding("error", where, "the registry is empty", "Register the tenants, then inspect again.")
        if rows > tenants:
            yield self.finding(
                "warning", where, "the registry has rows without a tenant", "Remove them.", count=rows - tenants
            )
        if tenants > distinct:
            yield self.finding(
                "error",
                where,
                "the registry has tenants that are there twice",
                "Remove the doubles, and put a unique constraint on the column.",
                count=tenants - distinct,
            )
        reserved = [view.key.quarantine, view.key.shared]
        found = known(view, reserved)
        if found:
            yield self.finding(
                "error",
                where,
                "the registry has a tenant that is reserved by tenure",
                "Rename it: quarantined and shared items carry these values.",
                count=len(found),
                sample=tuple(found),
            )
        if view.key.type != "text":
            yield from self._types(view, registry, column, where)

    def _types(self, view: View, registry: sql.Composable, column: sql.Composable, where: str) -> Iterator[Finding]:
        """Ask the database which values are no key; it has no cast that answers instead of failing before 16."""
        wrong: list[str] = []
        count = 0
        query = sql.SQL("SELECT ({0})::text FROM {1} WHERE {0} IS NOT NULL").format(column, registry)
        for (text,) in view.query(query):
            if text not in (view.key.quarantine, view.key.shared) and tenant_problem(text, view.key.type) is not None:
                count += 1
                wrong += [text] if len(wrong) < SAMPLE else []
        if count:
            yield self.finding(
                "error",
                where,
                f"the registry has tenants that are no {view.key.type}",
                "Set `tenant.type` to what the registry's column holds.",
                count=count,
                sample=tuple(wrong),
            )


class UntaggedIsNoTenant(Named):
    """No value that the playbook calls untagged is a registered tenant, nor an alias of one."""

    id = "TEN107"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield an error with the values that are."""
        found = known(view, view.key.untagged)
        if found:
            yield self.finding(
                "error",
                "tenant.untagged",
                "a registered tenant is listed as untagged: its data would be taken for nobody's",
                "Remove it from `tenant.untagged`.",
                count=len(found),
                sample=tuple(found),
                store="postgres",
            )


class NamedTenantsExist(Named):
    """Every tenant that the playbook or one of its files names is registered."""

    id = "TEN108"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield errors for constants and `assign`, a warning for aliases that lead nowhere."""
        for object_, tenant, where in _named(view):
            # A constant is a value like any other: aliases apply to it.
            if tenant not in known(view, [tenant]) and not _is_alias(view, tenant):
                yield self.finding(
                    "error",
                    object_,
                    f"{where} names {tenant!r}, which is not in the registry",
                    f"Register it: {insert(view, tenant)} Or correct the playbook.",
                    sample=(tenant,),
                )
        path = view.playbook.tenant.aliases
        if path is None:
            return
        targets = {tenant for _, tenant in read_pairs(path)}
        missing = sorted(targets - set(known(view, sorted(targets))))
        if missing:
            yield self.finding(
                "warning",
                path.name,
                "aliases lead to tenants that are not in the registry; what they stand for stays unassigned",
                f"Register them, for example: {insert(view, missing[0])}",
                count=len(missing),
                sample=tuple(missing),
            )


def known(view: View, values: list[str] | tuple[str, ...]) -> list[str]:
    """Return which of some texts are registered tenants."""
    if not values:
        return []
    query = sql.SQL("SELECT DISTINCT ({0})::text FROM {1} WHERE ({0})::text = ANY({2}::text[]) ORDER BY 1").format(
        sql.Identifier(view.key.registry_column), table_sql(view.key.registry), sql.Literal(list(values))
    )
    return [text for (text,) in view.query(query)]


def insert(view: View, tenant: str) -> str:
    """Return the INSERT that would register a tenant, with a place for what else the registry wants."""
    registry = view.live.postgres.table(view.key.registry.display)
    others = [
        column.name
        for column in (registry.columns if registry is not None else ())
        if column.name != view.key.registry_column
        and not (column.nullable or column.default is not None or column.identity or column.generated)
    ]
    columns = sql.SQL(", ").join(map(sql.Identifier, [view.key.registry_column, *others]))
    values = sql.SQL(", ").join([sql.Literal(tenant), *(sql.SQL("...") for _ in others)])
    return (
        sql.SQL("INSERT INTO {} ({}) VALUES ({});")
        .format(table_sql(view.key.registry), columns, values)
        .as_string(None)
    )


def _is_alias(view: View, value: str) -> bool:
    query = sql.SQL("SELECT tenant FROM {} WHERE value = {}").format(view.scope.aliases, sql.Literal(value))
    return bool(known(view, [tenant for (tenant,) in view.query(query)]))


def _named(view: View) -> Iterator[tuple[str, str, str]]:
    """Yield the tenants that rules name: object, tenant, where it stands."""
    rules: list[tuple[str, RowRule | ItemRule]] = list(view.rows.rules.items())
    if view.graph.spec is not None:
        rules += [(spec.label, spec.rule) for spec in view.graph.spec.nodes]
        rules += [(spec.type, spec.rule) for spec in view.graph.spec.relationships]
    rules += [(spec.collection, spec.rule) for spec in view.points.specs]
    for name, rule in rules:
        for source in rule.sources:
            if isinstance(source, ConstantSource):
                yield name, source.value, "a source"
        if rule.policy.assign is not None:
            yield name, rule.policy.assign, "`unassigned: assign`"
