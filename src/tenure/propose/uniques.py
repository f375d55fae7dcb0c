"""What is proposed for uniqueness, and for lists of ids: natural uniques per tenant, random tokens global. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tenure.attribution.build import row_rules
from tenure.catalog.postgres import Index, PostgresCatalog, Table
from tenure.planner.uniques import classify
from tenure.playbook import Playbook
from tenure.propose.evidence import Evidence, Found, TableRows
from tenure.propose.names import TOKEN_WORDS, has_word
from tenure.propose.proposal import Entry, Proposal

TOKEN_LENGTH = 16
ENOUGH = 3
_RANDOM = re.compile(r"gen_random_uuid|uuid_generate_v[14]|uuidv[47]|gen_random_bytes|random\(\)|md5\(")


def uniqueness(proposal: Proposal, catalog: PostgresCatalog, evidence: Evidence) -> Iterator[Entry]:
    """Yield the entries again, those of keyed tables with what becomes of their uniques."""
    playbook = _playbook(proposal)
    built = row_rules(playbook, catalog)
    for entry in proposal.entries:
        table = catalog.table(entry.name) if entry.store == "postgres" else None
        row_rule = built.rules.get(entry.name)
        if table is None or row_rule is None or playbook.postgres is None:
            yield entry
            continue
        unique: dict[str, Any] = {}
        comments = list(entry.comments)
        for verdict in classify(catalog, table, playbook.postgres[entry.name], row_rule):
            if verdict.group != "rescope":
                continue
            name = verdict.index.constraint or verdict.index.name
            why = _token(verdict.table, verdict.index, evidence.tables.get(verdict.table.display))
            if why is None:
                unique[name] = "rescope"
            else:
                unique[name] = {"keep": f"{why}: looked up before the tenant is known"}
                comments.append(f"question: is {name} meant to hold over all tenants? ({why}) Else write `rescope`")
        rule = {**entry.rule, "unique": unique} if unique else entry.rule
        yield Entry(entry.store, entry.name, rule, tuple(comments), entry.confidence)


def _playbook(proposal: Proposal) -> Playbook:
    rules = {entry.name: dict(entry.rule) for entry in proposal.entries if entry.store == "postgres"}
    table, column = proposal.registry
    return Playbook.model_validate(
        {
            "version": 1,
            "tenant": {"key": proposal.key, "type": proposal.type, "registry": {"table": table, "column": column}},
            "connections": {"postgres": {"url": "postgresql:///unused"}},
            "postgres": rules,
        }
    )


def _token(table: Table, index: Index, rows: TableRows | None) -> str | None:
    """Return why a unique column holds random tokens, or None where the evidence is not good."""
    if index.primary or len(index.columns) != 1 or index.columns[0] is None or index.predicate is not None:
        return None
    column = table.column(index.columns[0])
    if column is None or any(column.name in key.columns for key in table.foreign_keys):
        return None
    if column.uuid_like and column.default and _RANDOM.search(column.default):
        return "random uuids"
    if not has_word(column.name, TOKEN_WORDS) or rows is None:
        return None
    values = [value for value in rows.values(column.name) if value is not None]
    random = all(len(value) >= TOKEN_LENGTH and " " not in value and "@" not in value for value in values)
    return "random tokens" if len(values) >= ENOUGH and random else None


def array_references(
    table: Table, found: Mapping[tuple[str, str, str], tuple[Found, ...]]
) -> Iterator[tuple[str, str, Found]]:
    """Yield the array columns whose entries nearly all stand in another table: (column, table.column, counts)."""
    for column in table.columns:
        for place in found.get(("postgres", table.display, column.name), ()):
            if place.matched >= 0.9 * place.distinct and place.distinct >= ENOUGH:
                yield column.name, f"{place.table}.{place.column}", place
                break
