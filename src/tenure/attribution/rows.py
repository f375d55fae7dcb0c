"""Compiles the attribution of table rows to SQL: the same order of resolution as `resolve.decide`, set-based.

Every value is a literal, none a parameter: the statements are shown, hashed and run exactly as they are, and the
percent signs of a user's expression mean nothing to the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from tenure.attribution.spec import (
    ColumnSource,
    ConstantSource,
    MappingSource,
    ParentSource,
    RowRule,
    SqlSource,
    TableSource,
)
from tenure.values import TableName, TenantKey

Composed = sql.SQL | sql.Composed


def raw(text: str) -> sql.SQL:
    """Return SQL that a user wrote in the playbook, or that Postgres itself gave, as it is."""
    return sql.SQL(text)


def table_sql(table: TableName) -> sql.Composed:
    """Return the quoted name of a table."""
    return sql.SQL("{}").format(sql.Identifier(table.schema_name, table.name))


def key_cast(key: TenantKey, value: sql.Composable) -> sql.Composed:
    """Return *value* (text) cast to the type of the tenant key."""
    return sql.SQL("({})::{}").format(value, raw(key.type))


def untagged(key: TenantKey, column: sql.Composable) -> sql.Composed:
    """Return the condition that a key column has no tenant yet: null, or one of the playbook's `untagged` values."""
    if not key.untagged:
        return sql.SQL("{} IS NULL").format(column)
    values = sql.SQL(", ").join(sql.Literal(value) for value in key.untagged)
    return sql.SQL("({0} IS NULL OR ({0})::text IN ({1}))").format(column, values)


@dataclass(frozen=True)
class Scope:
    """Where the relations are that a decision looks things up in.

    `parents` replaces tables that have no key yet by relations with the same columns and the key. `whole` says that
    the whole table is decided at once, so that lookups are joined rather than asked row by row.
    """

    aliases: sql.Composable = field(default_factory=lambda: sql.Identifier("tenure", "alias"))
    mappings: sql.Composable = field(default_factory=lambda: sql.Identifier("tenure", "mapping"))
    parents: Mapping[str, sql.Composable] = field(default_factory=dict)
    whole: bool = False

    def parent(self, table: TableName) -> sql.Composable:
        """Return the relation that holds the keys of *table*."""
        return self.parents.get(table.display) or table_sql(table)


LEDGER = Scope()


def decision(
    rule: RowRule,
    item: sql.Composable,
    *,
    scope: Scope = LEDGER,
    columns: Sequence[sql.Composable] = (),
    where: sql.Composable | None = None,
    weigh: bool = True,
) -> sql.Composed:
    """Return a SELECT that decides every row of *item*, a relation or sub-query, which it calls `t`.

    Besides *columns* it gives `bin`, `derived` (the tenant or sentinel the rule comes to, as text), `write` (the key to
    write, or null when nothing is), `reason` and `by_application`. With *weigh* false the key that is there has no say.
    """
    weigh = weigh and rule.key_exists
    parts: list[sql.Composable] = [sql.SQL("FROM {} AS t").format(item)]
    for number, source in enumerate(rule.sources, start=1):
        parts.append(_answer(rule.key, source, number, scope))
    count = len(rule.sources)
    parts.append(_derive(count))
    parts.append(_weigh(rule, scope) if weigh else raw(_UNWEIGHED))
    parts.append(_write(rule, weigh))
    select = sql.SQL(", ").join(
        [*columns, raw("d.bin"), raw("w.derived"), raw("w.write"), raw("d.reason"), raw("d.by_application")]
    )
    body = sql.SQL("\n").join(parts)
    query = sql.SQL("SELECT {}\n{}").format(select, body)
    return query if where is None else sql.SQL("{}\nWHERE {}").format(query, where)


def _answer(key: TenantKey, source: TableSource, number: int, scope: Scope) -> sql.Composed:
    """Return the joins that end in a relation ``a<number>`` with columns `says` and `value`."""
    if isinstance(source, ParentSource):
        return _parent_answer(key, source, number, scope)
    joins: sql.Composable = sql.SQL("")
    several: sql.Composable = sql.SQL("")
    if isinstance(source, ConstantSource):
        value: sql.Composable = sql.Literal(source.value)
    elif isinstance(source, ColumnSource):
        value = sql.SQL("t.{}").format(sql.Identifier(source.name))
    elif isinstance(source, SqlSource):
        value = sql.SQL("({})").format(raw(source.expression))
    else:
        joins, value, several = _mapping(source, number, scope)
    return sql.SQL(
        "{joins}CROSS JOIN LATERAL (SELECT ({value})::text AS said) {v}\n"
        "LEFT JOIN {aliases} AS {l} ON {l}.value = {v}.said\n"
        "LEFT JOIN {registry} AS {r} ON {r}.{id}::text = coalesce({l}.tenant, {v}.said)\n"
        "CROSS JOIN LATERAL (SELECT CASE {several}WHEN {nothing} THEN 'nothing' WHEN {r}.{id} IS NOT NULL "
        "THEN 'tenant' ELSE 'unknown' END AS says, coalesce({r}.{id}::text, {v}.said) AS value) {a}"
    ).format(
        joins=joins,
        value=value,
        several=several,
        aliases=scope.aliases,
        registry=table_sql(key.registry),
        id=sql.Identifier(key.registry_column),
        nothing=untagged(key, sql.SQL("{}.said").format(_name("v", number))),
        v=_name("v", number),
        l=_name("l", number),
        r=_name("r", number),
        a=_name("a", number),
    )


def _mapping(source: MappingSource, number: int, scope: Scope) -> tuple[sql.Composable, sql.Composable, sql.Composable]:
    """Return the join, the value and the test for several tenants of a mapping."""
    m, match = _name("m", number), sql.SQL("t.{}").format(sql.Identifier(source.match))
    if source.table is None:
        join = sql.SQL("LEFT JOIN {} AS {} ON {}.name = {} AND {}.value = ({})::text\n").format(
            scope.mappings, m, m, sql.Literal(source.name), m, match
        )
        return join, sql.SQL("{}.tenant").format(m), sql.SQL("")
    join = sql.SQL(
        "LEFT JOIN (SELECT ({value})::text AS value, min(({tenant})::text) AS tenant, max(({tenant})::text) AS other "
        "FROM {table} GROUP BY 1) AS {m} ON {m}.value = ({match})::text\n"
    ).format(
        value=sql.Identifier(source.value_column),
        tenant=sql.Identifier(source.tenant_column),
        table=table_sql(source.table),
        m=m,
        match=match,
    )
    return join, sql.SQL("{}.tenant").format(m), sql.SQL("WHEN {0}.tenant <> {0}.other THEN 'several' ").format(m)


def _parent_answer(key: TenantKey, source: ParentSource, number: int, scope: Scope) -> sql.Composed:
    """Return the join to a parent's key; a parent matched by columns that are not unique is folded first.

    A key that is neither registered nor a sentinel says nothing: the parent has no tenant to give.
    """
    p, g, a, relation = _name("p", number), _name("g", number), _name("a", number), scope.parent(source.table)
    column = sql.Identifier(key.name)
    registry, id_ = table_sql(key.registry), sql.Identifier(key.registry_column)
    on = sql.SQL(" AND ").join(
        sql.SQL("{}.{} = t.{}").format(p, sql.Identifier(theirs), sql.Identifier(ours)) for ours, theirs in source.match
    )
    if source.unique:
        join = sql.SQL("LEFT JOIN {} AS {} ON {}\nLEFT JOIN {} AS {g} ON {g}.{}::text = ({}.{})::text").format(
            relation, p, on, registry, id_, p, column, g=g
        )
        first = last = sql.SQL("({}.{})::text").format(p, column)
        shared = sql.SQL("({}.{})::text = {}").format(p, column, sql.Literal(key.shared))
        silent = sql.SQL("{}.{} IS NULL AND {} IS DISTINCT FROM {}").format(g, id_, first, sql.Literal(key.quarantine))
    else:
        keys = sql.SQL("(q.{})::text").format(column)
        folded = sql.SQL(
            "min({keys}) FILTER (WHERE {valid}) AS lo, max({keys}) FILTER (WHERE {valid}) AS hi, "
            "bool_or({keys} = {shared}) AS global "
            "FROM {relation} AS q LEFT JOIN {registry} AS g ON g.{id}::text = {keys}"
        ).format(
            keys=keys,
            valid=sql.SQL("g.{} IS NOT NULL OR {} = {}").format(id_, keys, sql.Literal(key.quarantine)),
            shared=sql.Literal(key.shared),
            relation=relation,
            registry=registry,
            id=id_,
        )
        theirs = sql.SQL(", ").join(sql.SQL("q.{}").format(sql.Identifier(name)) for _, name in source.match)
        if source.indexed and not scope.whole:
            inner = sql.SQL(" AND ").join(
                sql.SQL("q.{} = t.{}").format(sql.Identifier(name), sql.Identifier(ours)) for ours, name in source.match
            )
            join = sql.SQL("LEFT JOIN LATERAL (SELECT {} WHERE {}) AS {} ON true").format(folded, inner, p)
        else:
            join = sql.SQL("LEFT JOIN (SELECT {}, {} GROUP BY {}) AS {} ON {}").format(theirs, folded, theirs, p, on)
        first, last = sql.SQL("{}.lo").format(p), sql.SQL("{}.hi").format(p)
        shared = sql.SQL("{0}.lo IS NULL AND {0}.global").format(p)
        silent = sql.SQL("{}.lo IS NULL").format(p)
    return sql.SQL(
        "{join}\nCROSS JOIN LATERAL (SELECT CASE WHEN {shared} THEN 'shared' WHEN {silent} THEN 'nothing' "
        "WHEN {first} <> {last} THEN 'several' WHEN {first} = {quarantine} THEN 'quarantined' ELSE 'tenant' END "
        "AS says, {first} AS value) {a}"
    ).format(
        join=join,
        shared=shared,
        silent=silent,
        first=first,
        last=last,
        quarantine=sql.Literal(key.quarantine),
        a=a,
    )


def _derive(count: int) -> sql.SQL:
    """Return the relations `c` (the deciding source) and `s` (bin, tenant and reason by the sources alone)."""
    numbers = range(1, count + 1)
    deciding = _cases((f"a{n}.says NOT IN ('nothing', 'shared')", str(n)) for n in numbers)
    says = _cases((f"k.place = {n}", f"a{n}.says") for n in numbers)
    value = _cases((f"k.place = {n}", f"a{n}.value") for n in numbers)
    witness = _cases(
        (
            f"k.place < {n} AND (a{n}.says = 'several' OR (a{n}.says = 'tenant' AND a{n}.value <> c.value))",
            f"'source {n} says ' || CASE WHEN a{n}.says = 'several' THEN 'several tenants' ELSE a{n}.value END",
        )
        for n in range(2, count + 1)
    )
    quarantined = " OR ".join(f"a{n}.says = 'quarantined'" for n in numbers)
    shared = " OR ".join(f"a{n}.says = 'shared'" for n in numbers)
    return raw(
        f"CROSS JOIN LATERAL (SELECT {deciding} AS place, {quarantined} AS quarantined, {shared} AS shared) k\n"
        f"CROSS JOIN LATERAL (SELECT {says} AS says, {value} AS value) c\n"
        f"CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN {witness} END AS against) x\n"
        "CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared "
        "THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' "
        "OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, "
        "CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, "
        "CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared "
        "THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' "
        "WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' "
        "WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' "
        "WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against "
        "ELSE '' END AS reason) s"
    )


_UNWEIGHED = "CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d"


def _weigh(rule: RowRule, scope: Scope) -> sql.Composed:
    """Return the relations that end in `d`: bin, tenant and reason once the key that is there has had its say."""
    not_tenant = "'the existing key ' || e.value || ' is not a tenant'"
    cases = [
        ("e.says = 'nothing'", "s.bin", "s.value", "s.reason"),
        ("e.says = 'quarantined'", "'quarantine'", "NULL", "''"),
        ("e.says = 'shared'", "'shared'", "NULL", "''"),
        ("e.says = 'tenant' AND s.bin = 'assigned' AND s.value = e.value", "s.bin", "s.value", "s.reason"),
        ("e.says = 'tenant' AND s.bin = 'unassigned'", "'assigned'", "e.value", "'set by the application'"),
        ("e.says = 'unknown' AND s.bin = 'unassigned'", "s.bin", "NULL", not_tenant),
        ("e.says = 'unknown' AND s.bin = 'quarantine'", "s.bin", "NULL", f"s.reason || ', and ' || {not_tenant}"),
    ]
    if rule.policy.existing == "rederive":
        cases.append(("e.says = 'unknown' AND s.bin <> 'assigned'", "'conflict'", "s.value", not_tenant))
    elif rule.policy.existing == "keep":
        cases.append(("e.says = 'tenant'", "'assigned'", "e.value", "'the existing key ' || e.value || ' is kept'"))
        cases.append(("e.says = 'unknown'", "'conflict'", "s.value", not_tenant))
    else:
        said = "CASE WHEN s.bin = 'assigned' THEN s.value ELSE s.reason END"
        clash = f"'the existing key is ' || e.value || ', the sources say ' || {said}"
        cases.append(("e.says = 'tenant'", "'conflict'", "coalesce(s.value, e.value)", clash))
        cases.append(("e.says = 'unknown'", "'conflict'", "s.value", not_tenant))
    bin_, value, reason = (
        _cases(((case[0], case[place]) for case in cases), otherwise)
        for place, otherwise in ((1, "s.bin"), (2, "s.value"), (3, "s.reason"))
    )
    key = rule.key
    present = sql.SQL("(t.{})::text").format(sql.Identifier(key.name))
    return sql.SQL(
        "LEFT JOIN {aliases} AS le ON le.value = {present}\n"
        "LEFT JOIN {registry} AS re ON re.{id}::text = coalesce(le.tenant, {present})\n"
        "CROSS JOIN LATERAL (SELECT CASE WHEN {nothing} THEN 'nothing' WHEN {present} = {quarantine} "
        "THEN 'quarantined' WHEN {present} = {shared} THEN 'shared' WHEN re.{id} IS NOT NULL THEN 'tenant' "
        "ELSE 'unknown' END AS says, coalesce(re.{id}::text, {present}) AS value) e\n"
        "CROSS JOIN LATERAL (SELECT {bin} AS bin, {value} AS value, {reason} AS reason, "
        "e.says = 'tenant' AND s.bin = 'unassigned' AS by_application) d"
    ).format(
        aliases=scope.aliases,
        registry=table_sql(key.registry),
        id=sql.Identifier(key.registry_column),
        present=present,
        nothing=untagged(key, present),
        quarantine=sql.Literal(key.quarantine),
        shared=sql.Literal(key.shared),
        bin=raw(bin_),
        value=raw(value),
        reason=raw(reason),
    )


def _write(rule: RowRule, weigh: bool) -> sql.Composed:
    """Return the relation `w`: the key that the policy comes to, and the key to write (null: none, or it is there)."""
    key, policy = rule.key, rule.policy
    null: sql.Composable = sql.SQL("NULL")
    quarantine, shared = sql.Literal(key.quarantine), sql.Literal(key.shared)
    unassigned = {"quarantine": quarantine, "shared": shared, "assign": sql.Literal(policy.assign)}
    conflict = {"quarantine": quarantine, "first": raw("d.value")}
    derived = sql.SQL(
        "CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN {shared} WHEN 'quarantine' THEN {quarantine} "
        "WHEN 'conflict' THEN {conflict} ELSE {unassigned} END"
    ).format(
        shared=shared,
        quarantine=quarantine,
        conflict=conflict.get(policy.conflict, null),
        unassigned=unassigned.get(policy.unassigned, null),
    )
    if not weigh:
        return sql.SQL("CROSS JOIN LATERAL (SELECT {0} AS derived, {0} AS write) w").format(derived)
    present = sql.SQL("(t.{})::text").format(sql.Identifier(key.name))
    kept = sql.SQL("e.says IN ('quarantined', 'shared')")
    return sql.SQL(
        "CROSS JOIN LATERAL (SELECT CASE WHEN {kept} THEN {present} ELSE ({derived}) END AS derived, "
        "CASE WHEN {kept} THEN NULL ELSE nullif(({derived}), {present}) END AS write) w"
    ).format(kept=kept, present=present, derived=derived)


def _cases(cases: Iterable[tuple[str, str]], otherwise: str = "NULL") -> str:
    """Return a CASE of (condition, result) pairs of our own making."""
    whens = " ".join(f"WHEN {condition} THEN {result}" for condition, result in cases)
    return f"CASE {whens} ELSE {otherwise} END" if whens else otherwise


def _name(letter: str, number: int) -> sql.SQL:
    """Return a short relation name of our own making."""
    return raw(f"{letter}{number}")
