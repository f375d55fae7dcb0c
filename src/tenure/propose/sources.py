"""The ways to a tenant that a table offers by itself, and along its links. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from psycopg import sql

from tenure.catalog.postgres import Column, PostgresCatalog, Table
from tenure.propose.attribution import Attributor, Source
from tenure.propose.evidence import Evidence, Link
from tenure.propose.links import INCLUSION, comparable
from tenure.propose.names import PASSING_WORDS, has_word, points_at
from tenure.propose.registry import tenant_named
from tenure.propose.values import NOTHING, UNKNOWN, Tenants

# The least share of a column's values that must be tenants, by how much its name says so.
BY_NAME, BY_VALUE, PART = 0.2, 0.5, 0.6
KEY, OWN, JSON, PATH, PARENT, NAMED, JOIN, REVERSE = 0, 1, 5, 6, 2, 3, 4, 9
DELIMITERS = ("/", "|", ":")
MAX_PARTS = 8


def own_sources(
    table: Table, evidence: Evidence, tenants: Tenants, known_names: frozenset[str] = frozenset()
) -> Iterator[Source]:
    """Yield the columns of *table* that hold tenants, whole or in a part of them, the best first.

    *known_names* are names of columns that hold tenants in other tables: they count where there are no rows to look at.
    """
    found = [s for column in table.columns for s in _of_column(table, column, evidence, tenants, known_names)]
    yield from sorted(found, key=lambda source: source.rank)


def _of_column(
    table: Table, column: Column, evidence: Evidence, tenants: Tenants, known: frozenset[str]
) -> Iterator[Source]:
    rows = evidence.tables.get(table.display)
    if rows is None or column.name not in rows.columns:
        return
    registry = evidence.registry
    values = Counter(value for value in rows.values(column.name) if value is not None)
    if column.type in ("json", "jsonb"):
        yield from _json(column.name, values, tenants)
        return
    if not comparable(column):
        return
    keys = [key for key in table.foreign_keys if column.name in key.columns and key.ref_table == registry.table]
    for key in keys:
        target = key.ref_columns[key.columns.index(column.name)]
        if target == registry.column:
            yield _column(column.name, KEY if column.name == evidence.key else OWN, declared=True)
            return
        if len(key.columns) == 1:
            mapping = {"table": registry.table, "value": target, "tenant": registry.column}
            rule = {"mapping": mapping, "match": column.name}
            link = Link(table.display, (column.name,), registry.table, (target,), key.name)
            yield Source("mapping", OWN, column.name, link=link, declared=True, rule=rule)
            return
    if referring := any(column.name in key.columns and len(key.columns) == 1 for key in table.foreign_keys):
        return
    named = column.name == evidence.key or tenant_named(column.name, _name(registry.table), evidence.key)
    if not values:
        if not rows.sampled and not referring and (column.name in known or column.name == evidence.key):
            yield _column(column.name, OWN, declared=False)
        return
    if (other := _other_column(values, evidence, tenants, named, number=column.integer_like)) is not None:
        mapping = {"table": registry.table, "value": other, "tenant": registry.column}
        link = Link(table.display, (column.name,), registry.table, (other,))
        yield Source("mapping", OWN, column.name, link=link, rule={"mapping": mapping, "match": column.name})
    elif _holds(values, tenants, named or column.name in known, number=column.integer_like):
        yield _column(column.name, KEY if column.name == evidence.key else OWN, declared=False)
    elif column.text_like:
        yield from _path(column.name, values, tenants)


def _holds(values: Counter[str], tenants: Tenants, named: bool, *, number: bool) -> bool:
    """Return whether enough of the values are tenants; numbers are only believed where the name agrees."""
    said = {value: tenants.answer(value) for value in values}
    total = sum(n for value, n in values.items() if said[value] != NOTHING)
    hits = sum(n for value, n in values.items() if said[value] not in (NOTHING, UNKNOWN))
    distinct = {tenant for tenant in said.values() if tenant not in (NOTHING, UNKNOWN)}
    if named:
        return hits >= max(1, BY_NAME * total)
    if number or all(len(tenant) < 3 for tenant in distinct):
        return False
    return len(distinct) >= 2 and hits >= BY_VALUE * total


def _other_column(
    values: Counter[str], evidence: Evidence, tenants: Tenants, named: bool, *, number: bool
) -> str | None:
    """Return the registry's other column, of distinct values, in which nearly all of *values* stand: a slug, a code."""
    rows, registry = evidence.tables[evidence.registry.table], evidence.registry
    if (
        (number and not named)
        or (len(values) < 2 and not named)
        or any(value in tenants.registered for value in values)
    ):
        return None
    for other in rows.columns:
        theirs = [value for value in rows.values(other) if value is not None]
        if other == registry.column or len(set(theirs)) < len(theirs):
            continue
        telling = named or all(len(value) > 2 and not value.isdigit() for value in theirs)
        if telling and sum(n for value, n in values.items() if value in theirs) >= INCLUSION * values.total():
            return other
    return None


def _column(name: str, rank: int, *, declared: bool) -> Source:
    return Source("column", rank, name, declared=declared, rule={"column": name})


def _path(column: str, values: Counter[str], tenants: Tenants) -> Iterator[Source]:
    """Yield the part of a text between delimiters that is a tenant in most rows, as in `bucket/TENANT/file`."""
    total = sum(values.values())
    best: tuple[int, str, int] | None = None
    for delimiter in DELIMITERS:
        hits: Counter[int] = Counter()
        seen: dict[int, set[str]] = {}
        for value, count in values.items():
            parts = value.split(delimiter)
            if len(parts) == 1:
                continue
            for position, part in enumerate(parts[:MAX_PARTS], start=1):
                tenant = tenants.answer(part)
                if tenant not in (NOTHING, UNKNOWN) and len(part) > 2 and not part.isdigit():
                    hits[position] += count
                    seen.setdefault(position, set()).add(tenant)
        for position, count in hits.most_common(1):
            if count >= PART * total and len(seen[position]) >= 2 and (best is None or count > best[0]):
                best = count, delimiter, position
    if best is not None:
        _, delimiter, position = best
        text = sql.SQL("split_part(t.{}, {}, {})").format(sql.Identifier(column), delimiter, position).as_string(None)
        yield Source("path", PATH, column, delimiter, position, rule={"sql": text})


def _json(column: str, values: Counter[str], tenants: Tenants) -> Iterator[Source]:
    """Yield the field of a JSON column, at most two levels deep, that is a tenant in most rows."""
    hits: Counter[tuple[str, ...]] = Counter()
    seen: dict[tuple[str, ...], set[str]] = {}
    for text, count in values.items():
        for path, value in _scalars(text):
            tenant = tenants.answer(value)
            if tenant not in (NOTHING, UNKNOWN) and len(value) > 2 and not value.isdigit():
                hits[path] += count
                seen.setdefault(path, set()).add(tenant)
    for path, count in hits.most_common(1):
        if count >= PART * sum(values.values()) and len(seen[path]) >= 2:
            steps = sql.SQL(" -> ").join(sql.Literal(step) for step in path[:-1])
            arrow = sql.SQL(" -> ") if path[:-1] else sql.SQL("")
            text = (
                sql.SQL("(t.{}{}{} ->> {})")
                .format(sql.Identifier(column), arrow, steps, sql.Literal(path[-1]))
                .as_string(None)
            )
            yield Source("json", JSON, column, path=path, rule={"sql": text})


def _scalars(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    try:
        document = json.loads(text)
    except ValueError:
        return
    for name, value in document.items() if isinstance(document, dict) else ():
        inner = value.items() if isinstance(value, dict) else ()
        for path, scalar in [((name,), value), *(((name, deeper), below) for deeper, below in inner)]:
            if isinstance(scalar, str | int) and not isinstance(scalar, bool):
                yield path, str(scalar)


def link_sources(
    catalog: PostgresCatalog, table: Table, links: Sequence[Link], attributor: Attributor, *, reverse: bool
) -> Iterator[Source]:
    """Yield the links of *table* to tables that have a tenant already and do not depend on it."""
    for link in links:
        parent = catalog.table(link.parent)
        if link.child != table.display or link.reverse is not reverse or parent is None:
            continue
        if reverse and not link.declared:
            continue
        if link.parent == attributor.registry or not attributor.decided(link.parent):
            continue
        if attributor.depends(link.parent, table.display):
            continue
        rule = {"parent": link.parent, "match": link.match}
        yield Source("parent", _rank(table, parent, link), link=link, declared=bool(link.declared), rule=rule)


def _rank(table: Table, parent: Table, link: Link) -> int:
    if link.reverse:
        return REVERSE
    if link.declared:
        optional = any((column := table.column(name)) is None or column.nullable for name in link.columns)
        return NAMED if optional else PARENT
    if parent.unique_on(link.ref_columns):
        return NAMED if points_at(link.columns[0], parent.name, link.ref_columns[0]) else JOIN
    return JOIN


def passing(source: Source) -> bool:
    """Return whether a source is a column that says where somebody is just now, not who owns the row."""
    names = source.link.columns if source.link is not None else (source.column,)
    return any(has_word(name, PASSING_WORDS) for name in names)


def _name(display: str) -> str:
    return display.rpartition(".")[2]
