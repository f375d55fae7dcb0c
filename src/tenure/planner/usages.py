"""Who names the old uniqueness: functions with ON CONFLICT, views that group by a key. Found in the catalog's texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tenure.catalog.postgres import Index, PostgresCatalog, Table
from tenure.findings import say
from tenure.values import Finding

_TARGET = re.compile(
    r"\bON\s+CONFLICT\s*(?:ON\s+CONSTRAINT\s+(?P<name>\"(?:[^\"]|\"\")+\"|[\w$]+)|\((?P<columns>[^()]*)\))",
    re.IGNORECASE,
)


def usages(catalog: PostgresCatalog, table: Table, index: Index, key: str) -> Iterator[Finding]:
    """Yield a warning for every function whose upsert leans on *index*, and for views that may lean on it.

    An upsert finds its unique by columns or by name; when the global one is gone at contract it fails. What the
    application itself sends cannot be seen from here: the contract operation carries the hazard BREAKS_ON_CONFLICT.
    """
    names = {name for name in (index.name, index.constraint) if name is not None}
    for function in catalog.functions:
        if not re.search(rf"(?<![\w$]){re.escape(table.name)}(?![\w$])", function.source):
            continue
        for target in _TARGET.finditer(function.source):
            columns = [_plain(column) for column in (target["columns"] or "").split(",")]
            by_name = target["name"] is not None and _plain(target["name"]) in names
            if by_name or (target["columns"] and sorted(columns) == sorted(str(column) for column in index.columns)):
                yield say(
                    "TEN025",
                    "warning",
                    f"{function.display}({function.identity_arguments})",
                    f"its {' '.join(target.group().split())} on {table.display} fails once {index.name} is gone",
                    f"Before contract let it name {key} too: the per-tenant unique is there since constrain.",
                )
    if not index.primary:
        return
    for view in catalog.views:
        grouping = re.search(r"\bGROUP\s+BY\b(.*)", view.definition, re.IGNORECASE | re.DOTALL)
        if grouping is None or table.display not in view.depends_on:
            continue
        if all(re.search(rf"(?<![\w$]){re.escape(str(column))}(?![\w$])", grouping[1]) for column in index.columns):
            yield say(
                "TEN028",
                "info",
                view.display,
                f"it groups rows of {table.display} and may lean on its primary key {index.name}",
                "If it selects columns that it does not group by, contract is refused until it is written another way.",
            )


def _plain(name: str) -> str:
    name = name.strip()
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
