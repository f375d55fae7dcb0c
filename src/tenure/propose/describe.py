"""The comments of a proposal: what was counted, how sure it is, what is left to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tenure.propose.attribution import Source
from tenure.propose.evidence import Counted, TableRows
from tenure.propose.proposal import Confidence
from tenure.propose.sources import JOIN, NAMED, REVERSE
from tenure.propose.tables import Choice

_HIGH, _MEDIUM = 0.98, 0.8


def confidence(choice: Choice) -> Confidence:
    """Return how much a choice is to be trusted: by the share of rows it decides, and by what kind of way it is."""
    tally, first = choice.tally, choice.sources[0]
    if not tally.rows:
        return "low"
    sure = first.declared or first.kind in ("column", "mapping") or first.rank <= NAMED
    guessed = first.link is not None and not first.declared
    if tally.share >= _HIGH and not tally.several and sure and not guessed and first.rank < REVERSE:
        return "high"
    return "medium" if tally.share >= _MEDIUM and first.rank != REVERSE else "low"


def comments(choice: Choice, rows: TableRows) -> Iterator[str]:
    """Yield the lines that stand above a table's entry, but for its confidence."""
    tally = choice.tally
    if not tally.rows:
        yield "no rows to compare; proposed from names and foreign keys alone"
        return
    of = f"all {tally.rows}" if rows.whole else f"{tally.rows} sampled of about {rows.total}"
    line = f"{tally.tenant} of {of} rows get one tenant ({_tenants(tally.tenants)})"
    yield f"{line}, e.g. {tally.example}" if tally.example else line
    if choice.sources[0].rank == REVERSE:
        yield "nothing in it leads to a tenant, but each row is referred to by rows of one tenant only"
    elif choice.sources[0].link is not None and not choice.sources[0].declared:
        how = "values that stand in both" if choice.sources[0].rank == JOIN else "names, and values that stand in both"
        yield f"no foreign key: found by {how}"
    for source, agree, differ in choice.others[:3]:
        where = "conflicts" if differ else "agrees"
        text = f"{shown(source)} {where} with it: the same on {agree} rows"
        yield text + (f", another on {differ}" if differ else "")
    if tally.nothing:
        yield f"without a tenant by it: {_rows(tally.nothing)}; say what becomes of them in `unassigned:`"
    if tally.several:
        yield f"matching rows of several tenants: {_rows(tally.several)}; say what becomes of them in `conflict:`"
    if tally.unknown:
        values = ", ".join(f"{value!r} ({count})" for value, count in choice.unknown)
        yield f"naming what is no tenant: {_rows(tally.unknown)}, {values}; register it, or use `aliases` or `untagged`"


def counts(choice: Choice, counted: Mapping[tuple[str, str], Counted]) -> Iterator[str]:
    """Yield what `--full` counted on all rows."""
    for source in choice.sources:
        found = counted.get((choice.table, shown(source)))
        if found is not None:
            rest = found.rows - found.empty - found.matched
            where = "stand in the registry" if source.kind == "column" else "lead to a row"
            yield (
                f"all {found.rows} rows by {shown(source)}: {found.matched} {where}, {found.empty} are empty, "
                f"{rest} are something else"
            )


def shown(source: Source) -> str:
    """Return a source in a few words."""
    rule: Mapping[str, Any] = source.rule
    if "parent" in rule:
        match = ", ".join(f"{ours} = {theirs}" for ours, theirs in rule["match"].items())
        return f"parent {rule['parent']} ({match})"
    if "column" in rule:
        return f"column {rule['column']}"
    return f"mapping of {source.column}" if source.kind == "mapping" else f"{rule.get('sql', source.column)}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _tenants(count: int) -> str:
    return "1 tenant" if count == 1 else f"{count} tenants"
