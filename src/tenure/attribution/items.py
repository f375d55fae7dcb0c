"""Decides nodes, relationships and points page by page: asks Postgres for a whole page at a time, holds no more."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tenure.attribution.ask import ask
from tenure.attribution.resolve import NOTHING, Answer, Decision, Says, decide
from tenure.attribution.rows import LEDGER, Scope, raw, table_sql
from tenure.attribution.spec import ColumnSource, ConstantSource, ItemRule, ItemSource, RowSource
from tenure.values import TenantKey

if TYPE_CHECKING:
    from psycopg import Connection

_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Item:
    """A node, relationship or point as its store gave it.

    `identity` is what the store or the playbook knows it by, `fields` what the sources ask of it (a missing field and a
    null are the same), `present` its tenant key as it stands, `answers` what is known of it already (neighbours, ends,
    the row of a re-keyed point), by the place of the source in the rule.
    """

    identity: Any
    fields: Mapping[str, Any] = field(default_factory=dict)
    present: Any = None
    answers: Mapping[int, Answer] = field(default_factory=dict)


class Lookups:
    """Answers what Postgres knows: which tenant a value means, and which tenant a row has.

    `connect` lends a connection; `scope` says where the keys of tables are before the tables have one.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Connection[Any]]],
        key: TenantKey,
        scope: Scope = LEDGER,
    ) -> None:
        """Remember up to 50,000 values; rows are asked anew, since they change."""
        self._connect = connect
        self._key = key
        self._scope = scope
        self._known: OrderedDict[str, Answer] = OrderedDict()

    def values(self, said: Iterable[Any]) -> dict[str, Answer]:
        """Return what each value means after aliases and registry, keyed by its text; untagged values say nothing."""
        texts = {as_text(value) for value in said if value is not None}
        asked = [text for text in texts if text not in self._known and text not in self._key.untagged]
        if asked:
            query = sql.SQL(
                "SELECT v.said, r.{id}::text FROM unnest($1::text[]) AS v(said) "
                "LEFT JOIN {aliases} AS l ON l.value = v.said "
                "LEFT JOIN {registry} AS r ON r.{id}::text = coalesce(l.tenant, v.said)"
            ).format(
                id=sql.Identifier(self._key.registry_column),
                aliases=self._scope.aliases,
                registry=table_sql(self._key.registry),
            )
            with self._connect() as connection:
                for text, tenant in ask(connection, query, asked):
                    known = Answer(Says.TENANT, tenant) if tenant is not None else Answer(Says.UNKNOWN, text)
                    self._known[text] = known
        found = {text: self._known.get(text, NOTHING) for text in texts}
        for text in [*asked, *found]:
            if text in self._known:
                self._known.move_to_end(text)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def present(self, value: Any) -> Answer:
        """Return what a key that is there says: nothing, a sentinel, a tenant, or a value that is none."""
        if value is None or value in ("", []):
            return NOTHING
        text = as_text(value)
        if text in self._key.untagged:
            return NOTHING
        if text == self._key.quarantine:
            return Answer(Says.QUARANTINED, text)
        if text == self._key.shared:
            return Answer(Says.SHARED, text)
        # Asked for every item, where a page asked for all its values already.
        known = self._known.get(text)
        return known if known is not None else self.values([text])[text]

    def rows(self, source: RowSource, values: Iterable[Any]) -> dict[str, Answer]:
        """Return the tenant of the rows whose column equals each value, keyed by the value's text."""
        texts = {as_text(value) for value in values if value is not None}
        asked = _askable(source, texts)
        found = dict.fromkeys(texts, NOTHING)
        if not asked:
            return found
        key, column = sql.Identifier(self._key.name), sql.Identifier(source.column)
        id_ = sql.Identifier(self._key.registry_column)
        query = sql.SQL(
            "SELECT p.{column}::text, min(p.{key}::text) FILTER (WHERE {valid}), "
            "max(p.{key}::text) FILTER (WHERE {valid}), bool_or(p.{key}::text = {shared}) "
            "FROM {table} AS p LEFT JOIN {registry} AS r ON r.{id}::text = p.{key}::text "
            "WHERE p.{column} = ANY($1::{type}[]) GROUP BY 1"
        ).format(
            column=column,
            key=key,
            # A key that is neither registered nor a sentinel says nothing, as in `rows.decision`.
            valid=sql.SQL("r.{} IS NOT NULL OR p.{}::text = {}").format(id_, key, sql.Literal(self._key.quarantine)),
            shared=sql.Literal(self._key.shared),
            registry=table_sql(self._key.registry),
            id=id_,
            table=self._scope.parent(source.table),
            type=raw(source.column_type),
        )
        with self._connect() as connection:
            for text, low, high, shared in ask(connection, query, asked):
                found[text] = self._row_answer(low, high, bool(shared))
        return found

    def tenants(self, source: RowSource, values: Iterable[Any]) -> dict[str, frozenset[str]]:
        """Return all tenants (sentinels too) of the rows whose column equals each value, keyed by the value's text."""
        texts = _askable(source, {as_text(value) for value in values if value is not None})
        if not texts:
            return {}
        query = sql.SQL(
            "SELECT p.{column}::text, array_agg(DISTINCT p.{key}::text) FROM {table} AS p "
            "WHERE p.{column} = ANY($1::{type}[]) AND p.{key} IS NOT NULL GROUP BY 1"
        ).format(
            column=sql.Identifier(source.column),
            key=sql.Identifier(self._key.name),
            table=self._scope.parent(source.table),
            type=raw(source.column_type),
        )
        with self._connect() as connection:
            return {text: frozenset(found) for text, found in ask(connection, query, texts)}

    def _row_answer(self, low: str | None, high: str | None, shared: bool) -> Answer:
        if low is None:
            return Answer(Says.SHARED, self._key.shared) if shared else NOTHING
        if low != high:
            return Answer(Says.SEVERAL)
        return Answer(Says.QUARANTINED, low) if low == self._key.quarantine else Answer(Says.TENANT, low)


def decide_items(rule: ItemRule, items: Sequence[Item], lookups: Lookups) -> list[Decision]:
    """Decide a page of items: one question to Postgres per source, none per item."""
    said = answers_of(rule, items, lookups)
    lookups.values(item.present for item in items if _is_scalar(item.present))
    return [
        decide(
            answers,
            lookups.present(item.present),
            as_text(item.present) if item.present is not None else None,
            rule.policy,
            rule.key,
        )
        for item, answers in zip(items, said, strict=True)
    ]


def answers_of(rule: ItemRule, items: Sequence[Item], lookups: Lookups) -> list[tuple[Answer, ...]]:
    """Return what the sources say of each item of a page, in the order of the rule."""
    return list(
        zip(*(_answers(source, place, items, lookups) for place, source in enumerate(rule.sources)), strict=True)
    )


def _answers(source: ItemSource, place: int, items: Sequence[Item], lookups: Lookups) -> list[Answer]:
    """Return one source's answer for every item of a page."""
    if isinstance(source, ConstantSource):
        return [lookups.values([source.value])[source.value]] * len(items)
    if isinstance(source, ColumnSource):
        said = [_field(item.fields, source.name) for item in items]
        known = lookups.values(value for value in said if _is_scalar(value))
        return [
            Answer(Says.UNKNOWN, repr(value))
            if not _is_scalar(value)
            else NOTHING
            if value is None or value == ""
            else known[as_text(value)]
            for value in said
        ]
    if isinstance(source, RowSource):
        said = [item.identity if source.match is None else _field(item.fields, source.match) for item in items]
        rows = lookups.rows(source, (value for value in said if _is_scalar(value)))
        found = [
            rows.get(as_text(value), NOTHING) if _is_scalar(value) and value is not None else NOTHING for value in said
        ]
        return [item.answers.get(place, answer) for item, answer in zip(items, found, strict=True)]
    return [item.answers.get(place, NOTHING) for item in items]


def as_text(value: Any) -> str:
    """Return a value as the text that aliases, registry and keys are compared by; whole numbers without a point."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _field(fields: Mapping[str, Any], name: str) -> Any:
    """Return a field, by its own name or else as a path of nested ones."""
    if name in fields:
        return fields[name]
    value: Any = fields
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _askable(source: RowSource, texts: Iterable[str]) -> list[str]:
    """Return those texts that a value of the source's type can be written as."""
    if source.column_type == "uuid":
        return [text for text in texts if is_uuid(text)]
    if source.column_type in ("smallint", "integer", "bigint"):
        return [text for text in texts if text.lstrip("-").isdigit()]
    return list(texts)


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, (list, tuple, dict, set))


def is_uuid(text: str) -> bool:
    """Return whether a text can be compared with a uuid column."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
