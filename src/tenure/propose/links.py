"""Ways from table to table: declared foreign keys, and columns that behave like one by name and values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from tenure.catalog.postgres import Column, PostgresCatalog, Table
from tenure.propose.evidence import Found, Link, TableRows
from tenure.propose.names import bookkeeping, likeness, marked, tokens
from tenure.propose.values import shape

# Which share of a column's distinct values must stand in another for that to look like a reference.
INCLUSION = 0.9
# So many distinct values are compared for a column; fewer than MIN say nothing without a name that agrees.
COMPARED, MIN = 200, 3
SHAPES = 500
DISTINCT_SHARE = 0.5


def keyable(catalog: PostgresCatalog) -> tuple[Table, ...]:
    """Return the tables that a playbook names and that can be read: no partitions, foreign tables, bookkeeping."""
    return tuple(
        table
        for table in catalog.tables
        if table.partition_of is None and table.kind != "foreign" and bookkeeping(table.name) is None
    )


def comparable(column: Column) -> bool:
    """Return whether values of the column can be a key: text, uuid or whole number."""
    return column.text_like or column.uuid_like or column.integer_like


def kind(column: Column) -> str:
    """Return the class of values that may be compared with each other: numbers, or text and uuids."""
    return "number" if column.integer_like else "text"


def declared_links(catalog: PostgresCatalog) -> Iterator[Link]:
    """Yield every foreign key, forwards and backwards."""
    names = {table.display for table in keyable(catalog)}
    for table in keyable(catalog):
        for key in table.foreign_keys:
            if key.ref_table in names and key.ref_table != table.display:
                yield Link(table.display, key.columns, key.ref_table, key.ref_columns, key.name)
                yield Link(key.ref_table, key.ref_columns, table.display, key.columns, key.name, reverse=True)


def referring_columns(table: Table) -> frozenset[str]:
    """Return the columns that have a foreign key of their own."""
    return frozenset(key.columns[0] for key in table.foreign_keys if len(key.columns) == 1)


def named_links(catalog: PostgresCatalog) -> Iterator[Link]:
    """Yield undeclared links by name: a column called like another table and its unique column, or all the columns of
    another table's composite unique."""
    tables = keyable(catalog)
    for table in tables:
        keyed = referring_columns(table)
        yield from _best_named(table, tables, keyed)
        for parent in tables:
            if parent is table:
                continue
            for unique in parent.indexes:
                columns = [column for column in unique.columns if column is not None]
                if not unique.unique or not unique.valid or len(columns) < len(unique.columns) or unique.predicate:
                    continue
                if len(columns) > 1 and all(_same(table.column(c), parent.column(c)) for c in columns):
                    declared = any(
                        key.ref_table == parent.display and set(key.columns) == set(columns)
                        for key in table.foreign_keys
                    )
                    backwards = any(
                        key.ref_table == table.display and set(key.columns) >= set(columns)
                        for key in parent.foreign_keys
                    )
                    if not declared and not backwards:
                        yield Link(table.display, tuple(columns), parent.display, tuple(columns))


def _best_named(table: Table, tables: Sequence[Table], keyed: frozenset[str]) -> Iterator[Link]:
    """Yield a link for each column that is named like a unique column of other tables: to the most alike of them."""
    for column in table.columns:
        if column.name in keyed or not comparable(column) or table.primary_key == (column.name,):
            continue
        found: list[tuple[int, str, str]] = []
        for parent in tables:
            for target in parent.columns if parent is not table else ():
                like = likeness(column.name, parent.name, target.name)
                # A number named by a mere word (`version`) counts something; only `version_id` refers to one.
                said = kind(column) == "text" or marked(column.name, target.name)
                if like and said and _same(column, target) and parent.unique_on([target.name]):
                    found.append((like, parent.display, target.name))
        best = max((like for like, *_ in found), default=0)
        for like, name, ref in found:
            if like == best:
                yield from both_ways(table.display, column.name, name, ref)


def both_ways(child: str, column: str, parent: str, ref: str) -> Iterator[Link]:
    """Yield an undeclared link of one column forwards and backwards."""
    yield Link(child, (column,), parent, (ref,))
    yield Link(parent, (ref,), child, (column,), reverse=True)


def polymorphic_links(catalog: PostgresCatalog, tables: Mapping[str, TableRows]) -> Iterator[Link]:
    """Yield links of columns like `owner_id` beside an `owner_type` that names one table in every sampled row."""
    by_name = {tokens(table.name): table for table in keyable(catalog)}
    for table in keyable(catalog):
        for column, types in polymorphic(table, tables).items():
            parent = by_name.get(tokens(next(iter(types)).rpartition("::")[2])) if len(types) == 1 else None
            if parent is not None and parent is not table and len(parent.primary_key) == 1:
                yield from both_ways(table.display, column, parent.display, parent.primary_key[0])


def polymorphic(table: Table, tables: Mapping[str, TableRows]) -> dict[str, set[str]]:
    """Return the columns whose meaning another column tells (`owner_id` and `owner_type`), with what it tells."""
    rows, found = tables.get(table.display), {}
    for column in table.columns:
        words = tokens(column.name)
        partner = next((c for c in table.columns if c.text_like and tokens(c.name) == (*words[:-1], "type")), None)
        if len(words) > 1 and words[-1] == "id" and comparable(column) and partner is not None and rows is not None:
            types = {value for value in rows.values(partner.name) if value}
            if types:
                found[column.name] = types
    return found


def _same(one: Column | None, other: Column | None) -> bool:
    return one is not None and other is not None and comparable(one) and comparable(other) and kind(one) == kind(other)


@dataclass(frozen=True, slots=True)
class Target:
    """A column in which values of others are looked for; `indexed` says that the database finds them fast."""

    table: str
    column: str
    kind: str
    indexed: bool
    unique: bool
    shapes: frozenset[str]


def targets(catalog: PostgresCatalog, tables: Mapping[str, TableRows]) -> Iterator[Target]:
    """Yield the columns whose values identify a row, or nearly: unique ones, and ones that hardly repeat."""
    for table in keyable(catalog):
        rows = tables.get(table.display)
        for column in table.columns:
            if not comparable(column) or rows is None or column.name not in rows.columns:
                continue
            unique = table.unique_on([column.name])
            given = [value for value in rows.values(column.name) if value is not None]
            telling = bool(given) and len(set(given)) >= DISTINCT_SHARE * len(given) and kind(column) == "text"
            indexed = unique or table.has_index_on([column.name])
            if unique or telling:
                shapes = frozenset(map(shape, given[:SHAPES]))
                yield Target(table.display, column.name, kind(column), indexed, unique, shapes)


def wanted_values(catalog: PostgresCatalog, tables: Mapping[str, TableRows]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return, for each column that may refer to something undeclared, some of its distinct values."""
    wanted = {}
    for table in keyable(catalog):
        rows, keyed = tables.get(table.display), referring_columns(table)
        for column in table.columns:
            if rows is None or column.name not in rows.columns or column.name in keyed:
                continue
            if table.primary_key == (column.name,) or kind(column) == "number" or not comparable(column):
                continue
            distinct = [*dict.fromkeys(value for value in rows.values(column.name) if value)]
            if len(distinct) >= MIN:
                wanted[table.display, column.name] = tuple(distinct[:COMPARED])
    return wanted


def found_links(found: Mapping[tuple[str, str], Sequence[Found]], known: Set[tuple[str, str, str]]) -> Iterator[Link]:
    """Yield a link for each column whose values are nearly all in a column of another table; *known* ones are left out.

    *known* holds (child, column, parent).
    """
    for (child, column), places in found.items():
        for place in places:
            new = place.table != child and (child, column, place.table) not in known
            if new and place.matched >= INCLUSION * place.distinct:
                yield Link(child, (column,), place.table, (place.column,))
