"""What is planned for Qdrant: the tenant index first, then the keys, then, where asked for, ids that cannot collide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tenure.attribution.build import RowRules, problem, resolved_policy
from tenure.attribution.points import PointSpec
from tenure.attribution.spec import ColumnSource, ConstantSource, ItemRule, ItemSource, RowSource
from tenure.catalog import Catalog
from tenure.operations.base import Operation
from tenure.operations.drop_collection import DropCollection
from tenure.operations.point_copies import Rekeying
from tenure.operations.rekey_points import LostVectors, RekeyPoints
from tenure.operations.set_payload import SetPayload
from tenure.operations.tenant_index import TenantIndex
from tenure.playbook import sources
from tenure.playbook.models import Playbook
from tenure.playbook.rules import CollectionRule, Rekey
from tenure.values import Finding, TableName

# What an operation has of its own; the rest says from which collection to which.
NOT_SHARED = frozenset({"planned", "hazards", "lock", "waiting"})


@dataclass
class PointPlan:
    """The resolved rules of all keyed collections, with their sizes and what is wrong."""

    specs: tuple[PointSpec, ...] = ()
    rules: dict[str, CollectionRule] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    tables: dict[str, TableName] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def rules(playbook: Playbook, catalog: Catalog, built: RowRules) -> PointPlan:
    """Resolve every keyed collection that is in the store. Nothing is raised; what is wrong becomes a finding."""
    found = PointPlan()
    if catalog.qdrant is None or playbook.qdrant is None:
        return found
    specs = []
    for name, rule in playbook.qdrant.items():
        collection = catalog.qdrant.collection(name)
        if rule.kind != "keyed" or collection is None:
            continue
        resolved = [_source(name, source, catalog, built, found.findings) for source in rule.sources]
        sources_ = tuple(source for source in resolved if source is not None)
        if len(sources_) < len(resolved):
            continue
        item_rule = ItemRule(key=built.key, sources=sources_, policy=resolved_policy(playbook.policy(rule)))
        if isinstance(rule.ids, Rekey) and item_rule.policy.unassigned == "keep_null":
            found.findings.append(
                problem(
                    "TEN012",
                    name,
                    "`unassigned: keep_null` with `ids: rekey`: an id is made of the tenant, so a point that keeps "
                    "none has no id in the copy, and can never be carried over",
                    "Write `unassigned: shared` for points that every tenant may read, or `quarantine`; or leave the "
                    "ids as they are: `ids: keep`.",
                    "qdrant",
                )
            )
        specs.append(PointSpec(collection=name, rule=item_rule))
        found.rules[name] = rule
        found.sizes[name] = collection.points
        if rule.vectors is not None:
            lost = row_source(
                name, rule.vectors.table, rule.vectors.column, None, catalog, built, found.findings, "qdrant"
            )
            if lost is not None:
                found.tables[name] = lost.table
    found.specs = tuple(specs)
    return found


def expand(plan: PointPlan) -> Iterator[Operation]:
    """Yield the tenant indexes: before the backfill, so that segments are rebuilt once."""
    for spec in plan.specs:
        yield TenantIndex(object=spec.collection, collection=spec.collection, key=spec.key, planned=1)


def backfill(plan: PointPlan) -> Iterator[Operation]:
    """Yield one backfill per collection."""
    for spec in plan.specs:
        size = plan.sizes[spec.collection]
        yield SetPayload(object=spec.collection, spec=spec, points=size, planned=size)


def constrain(plan: PointPlan) -> Iterator[Operation]:
    """Yield the copies of collections whose ids two tenants may share; one that no alias leads to is not copied."""
    for switch in cutover(plan):
        assert isinstance(switch, RekeyPoints)
        if switch.alias is not None:
            yield switch.copy_operation.model_copy(update={"planned": switch.points})


def cutover(plan: PointPlan) -> Iterator[Operation]:
    """Yield the switches to the re-keyed copies, or what has to be changed before there can be one."""
    for spec in plan.specs:
        rule = plan.rules[spec.collection]
        if not isinstance(rule.ids, Rekey):
            continue
        lost = None
        if rule.vectors is not None and spec.collection in plan.tables:
            lost = LostVectors(
                table=plan.tables[spec.collection],
                column=rule.vectors.column,
                payload=tuple(sorted(rule.vectors.payload.items())),
            )
        switch = RekeyPoints(
            object=spec.collection,
            collection=spec.collection,
            spec=spec,
            template=rule.ids.rekey,
            namespace=str(rule.ids.namespace_uuid),
            target=rekeyed_name(spec.collection, spec.key.name),
            alias=rule.alias,
            lost=lost,
            points=plan.sizes[spec.collection],
            planned=plan.sizes[spec.collection],
            waiting="",
        )
        yield switch if rule.alias is not None else switch.model_copy(update={"waiting": switch.describe()})


def contract(plan: PointPlan) -> Iterator[Operation]:
    """Yield the drops of collections that their re-keyed copies have replaced."""
    for switch in cutover(plan):
        if isinstance(switch, RekeyPoints) and switch.alias is not None:
            shared = {name: getattr(switch, name) for name in Rekeying.model_fields if name not in NOT_SHARED}
            yield DropCollection(**shared)


def with_replaced(catalog: Catalog, baseline: Catalog, key: str) -> Catalog:
    """Return *catalog* with those collections of *baseline* that contract dropped after they were re-keyed.

    Their rules are still the playbook's: the copy, which is tenure's own, goes by them.
    """
    if catalog.qdrant is None or baseline.qdrant is None:
        return catalog
    there = {found.name for found in catalog.qdrant.collections}
    gone = tuple(
        found
        for found in baseline.qdrant.collections
        if found.name not in there and rekeyed_name(found.name, key) in there
    )
    qdrant = catalog.qdrant.model_copy(update={"collections": (*catalog.qdrant.collections, *gone)})
    return catalog.model_copy(update={"qdrant": qdrant}) if gone else catalog


def rekeyed_name(collection: str, key: str) -> str:
    """Return the name of the copy that holds a collection's points under their new ids."""
    return f"{collection}__{key}"


def _source(
    name: str, source: sources.Source, catalog: Catalog, built: RowRules, findings: list[Finding]
) -> ItemSource | None:
    if isinstance(source, sources.Constant):
        return ConstantSource(value=source.constant)
    if isinstance(source, sources.Payload):
        return ColumnSource(name=source.payload)
    assert isinstance(source, sources.FromPostgres), source
    return row_source(name, source.table, source.column, source.payload, catalog, built, findings, "qdrant")


def row_source(
    name: str,
    table: str,
    column: str,
    match: str | None,
    catalog: Catalog,
    built: RowRules,
    findings: list[Finding],
    store: str,
) -> RowSource | None:
    """Return the resolved lookup of a Postgres row, or None with a finding of what is wrong about it."""
    found = catalog.postgres.table(table)
    if found is None:
        findings.append(
            problem("TEN002", name, f"its source table {table!r} is not in the database", "Correct the name.", store)
        )
        return None
    known = found.column(column)
    if known is None:
        columns = ", ".join(c.name for c in found.columns)
        findings.append(
            problem("TEN004", name, f"table {table} has no column {column!r}", f"Columns are: {columns}.", store)
        )
        return None
    if found.display not in built.rules:
        if not any(finding.object == found.display for finding in built.findings):
            findings.append(
                problem(
                    "TEN006",
                    name,
                    f"its source table {table} has no tenant of its own",
                    "Key the table in the playbook's Postgres section, or choose another source.",
                    store,
                )
            )
        return None
    return RowSource(
        table=TableName(schema_name=found.schema_name, name=found.name),
        column=column,
        column_type=known.base_type or known.type,
        match=match,
        unique=found.unique_on([column]),
    )
