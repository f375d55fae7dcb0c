"""Asks Postgres for the tenant of the rows that name both ends of a relationship, a page at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import sql

from tenure.attribution.ask import ask
from tenure.attribution.items import Lookups, as_text
from tenure.attribution.resolve import NOTHING, Answer
from tenure.attribution.rows import raw
from tenure.attribution.spec import EndRowsSource

_INTEGERS = ("smallint", "integer", "bigint")


def end_rows(lookups: Lookups, source: EndRowsSource, pairs: Sequence[tuple[Any, Any]]) -> list[Answer]:
    """Return what the row says that names both identities of each pair (start, end), in the order of *pairs*."""
    if not pairs:
        return []
    texts = [(_text(start), _text(end)) for start, end in pairs]
    table = lookups._scope.parent(source.table)
    start, end = sql.Identifier(source.start_column), sql.Identifier(source.end_column)
    key, shared = sql.Identifier(lookups._key.name), sql.Literal(lookups._key.shared)
    with lookups._connect() as connection:
        kinds = connection.execute(
            sql.SQL("SELECT pg_typeof(p.{})::text, pg_typeof(p.{})::text FROM {} AS p LIMIT 1").format(
                start, end, table
            )
        ).fetchone()
        if kinds is None:
            return [NOTHING] * len(pairs)
        asked = [
            sorted({text for text in side if text is not None and _fits(text, kind)})
            for side, kind in zip(zip(*texts, strict=True), kinds, strict=True)
        ]
        query = sql.SQL(
            "SELECT p.{start}::text, p.{end}::text, min(p.{key}::text) FILTER (WHERE p.{key}::text <> {shared}), "
            "max(p.{key}::text) FILTER (WHERE p.{key}::text <> {shared}), bool_or(p.{key}::text = {shared}) "
            "FROM {table} AS p WHERE p.{start} = ANY($1::{start_type}[]) AND p.{end} = ANY($2::{end_type}[]) "
            "GROUP BY 1, 2"
        ).format(
            start=start,
            end=end,
            key=key,
            shared=shared,
            table=table,
            start_type=raw(kinds[0]),
            end_type=raw(kinds[1]),
        )
        found = {
            (start, end): lookups._row_answer(low, high, bool(shared_too))
            for start, end, low, high, shared_too in ask(connection, query, *asked)
        }
    return [found.get(pair, NOTHING) for pair in texts]


def _text(value: Any) -> str | None:
    return None if value is None else as_text(value)


def _fits(text: str, kind: str) -> bool:
    """Return whether a text can be a value of a column's type; one that cannot has no row."""
    if kind in _INTEGERS:
        return text.lstrip("-").isdigit()
    return _parses(uuid.UUID, text) if kind == "uuid" else True


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
