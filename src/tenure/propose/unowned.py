"""What becomes of tables that no way to a tenant was found for: shared with a reason, exempt, or a question. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tenure.catalog.postgres import Table
from tenure.propose.attribution import Source
from tenure.propose.evidence import Link
from tenure.propose.links import polymorphic
from tenure.propose.names import ACCOUNT_WORDS, LOOKUP_WORDS, bookkeeping, has_word, tokens
from tenure.propose.polymorphic import expression
from tenure.propose.proposal import Confidence
from tenure.propose.sources import NAMED
from tenure.propose.tables import Tables
from tenure.propose.values import NOTHING, SEVERAL, UNKNOWN
from tenure.propose.yaml_text import flow


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a table is `shared` or `exempt`, or, as `question`, what stands for and against."""

    kind: str
    reason: str
    confidence: Confidence | None
    comments: tuple[str, ...] = ()


def verdicts(decided: Tables) -> dict[str, Verdict]:
    """Return a verdict for every table that has no source; tables that hang on shared ones follow them."""
    registry = decided.evidence.registry.table
    found: dict[str, Verdict] = {}
    open_: list[Table] = []
    for table in decided.catalog.tables:
        if table.partition_of is not None or table.display in (registry, *decided.choices):
            continue
        certain = _certain(table)
        if certain is not None:
            found[table.display] = certain
        else:
            open_.append(table)
    for table in open_:
        verdict = _by_use(decided, table)
        if verdict is not None:
            found[table.display] = verdict
    while True:
        following = {
            t.display: v for t in open_ if t.display not in found and (v := _follows(decided, t, found)) is not None
        }
        if not following:
            break
        found.update(following)
    for table in open_:
        if table.display not in found:
            found[table.display] = Verdict("question", "", None, tuple(_hints(decided, table)))
    return found


def _certain(table: Table) -> Verdict | None:
    tool = bookkeeping(table.name)
    if tool is not None:
        return Verdict("exempt", f"bookkeeping of {tool}", "high")
    if table.kind == "foreign":
        return Verdict("exempt", "a foreign table is keyed where it lives", "high")
    return None


def _by_use(decided: Tables, table: Table) -> Verdict | None:
    """Return why a table is shared, by the tenants of the rows that refer to its rows."""
    name, registry = table.display, decided.evidence.registry.table
    rows = decided.evidence.tables.get(name)
    accounts = has_word(table.name, ACCOUNT_WORDS) and tokens(table.name)[-1] in ACCOUNT_WORDS
    by_row: defaultdict[int, set[str]] = defaultdict(set)
    users: set[str] = set()
    for link in decided.evidence.links:
        if link.child != name or not link.reverse or not _believed(decided, link):
            continue
        if link.parent == registry:
            return Verdict("shared", f"stands above the tenants: {registry} refers to it", "high")
        if not decided.attributor.decided(link.parent):
            continue
        users.add(link.parent)
        for number, tenants in _tenants_of_rows(decided, name, link):
            by_row[number] |= tenants
    used, several = len(by_row), sum(1 for tenants in by_row.values() if len(tenants) > 1)
    seen = set().union(*by_row.values())
    if accounts:
        evidence = f"{several} of {used} sampled rows that are referred to belong to several tenants"
        reason = "accounts belong to people, who may work for several tenants"
        return Verdict("shared", reason, "high" if several else "medium", (evidence,) if used else ())
    if several or len(seen) > 1:
        evidence_text = f"rows of {len(seen)} tenants in {_some(sorted(users))} refer to its rows"
        if several:
            evidence_text += f"; {several} of {used} rows serve more than one tenant"
            return Verdict("shared", "looked up by rows of several tenants", "high", (evidence_text,))
        if has_word(table.name, LOOKUP_WORDS):
            return Verdict("shared", "looked up by rows of several tenants", "medium", (evidence_text,))
    if rows is not None and users and has_word(table.name, LOOKUP_WORDS):
        return Verdict("shared", f"a lookup table of {_some(sorted(users))}", "medium")
    if has_word(table.name, LOOKUP_WORDS) and tokens(table.name)[-1] in LOOKUP_WORDS and not table.foreign_keys:
        return Verdict("shared", "a lookup table by its name; nothing in it leads to a tenant", "low")
    return None


def _believed(decided: Tables, link: Link) -> bool:
    """Return whether a link is a foreign key, or behaves like one in every sampled row."""
    if link.declared:
        return True
    forward = (link.parent, link.child) if link.reverse else (link.child, link.parent)
    columns = (link.ref_columns, link.columns) if link.reverse else (link.columns, link.ref_columns)
    table, rows = decided.catalog.table(forward[0]), decided.evidence.tables.get(forward[0])
    if table is None or rows is None or not rows.sampled:
        return False
    straight = Link(forward[0], columns[0], forward[1], columns[1])
    return decided.included(table, Source("parent", NAMED, link=straight))


def _tenants_of_rows(decided: Tables, name: str, link: Link) -> Iterator[tuple[int, set[str]]]:
    """Yield the numbers of rows that *link* leads somewhere from, with the tenants found there."""
    rows = decided.evidence.tables.get(name)
    for place, row in enumerate(rows.rows if rows is not None else ()):
        values = decided.attributor.own_values(name, row, link)
        if None in values:
            continue
        numbers = decided.attributor.lookup(link.parent, link.ref_columns, values)
        if numbers:
            said = {decided.attributor.tenant(link.parent, number) for number in numbers}
            yield place, said - {NOTHING, UNKNOWN, SEVERAL}


def _follows(decided: Tables, table: Table, found: dict[str, Verdict]) -> Verdict | None:
    """Return why a table is shared because all that it refers to is."""
    links = [link for link in decided.evidence.links if link.child == table.display and not link.reverse]
    parents = {link.parent for link in links if link.parent != table.display and _believed(decided, link)}
    if polymorphic(table, decided.evidence.tables):
        return None
    if not parents or not all(parent in found and found[parent].kind == "shared" for parent in parents):
        return None
    reason = f"leads to {_some(sorted(parents))} only, which {'is' if len(parents) == 1 else 'are'} shared"
    return Verdict("shared", reason, "low", ("check: nothing in it names a tenant",))


def _hints(decided: Tables, table: Table) -> Iterator[str]:
    """Yield what a person needs to answer: why nothing was found, and the candidates."""
    name = table.display
    rows = decided.evidence.tables.get(name)
    if rows is not None and rows.problem:
        yield f"could not be read: {rows.problem}"
    elif rows is not None and not rows.rows:
        yield "it has no rows to compare"
    for column, types in polymorphic(table, decided.evidence.tables).items():
        found = expression(decided, table, column, types)
        yield f"`{column}` means {', '.join(sorted(types)[:6])}: a `sql:` source may tell them apart"
        if found is not None:
            yield f"candidate: {flow({'sql': found})}"
    for source in decided.own.get(name, []):
        yield f"candidate: {flow(source.rule)} (says where somebody is just now, perhaps not who owns the row)"
    for link in decided.evidence.links:
        if link.child == name and decided.attributor.decided(link.parent) and (link.declared or link.reverse):
            yield f"candidate: {flow({'parent': link.parent, 'match': link.match})}"
    columns = [c.name for c in table.columns if c.text_like or c.uuid_like or c.integer_like][:8]
    yield f"or `shared: REASON`, `exempt: REASON`. Columns: {', '.join(columns)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
