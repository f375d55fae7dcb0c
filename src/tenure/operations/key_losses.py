"""What a rollback of a backfill would lose: keys that the application itself set, with no source behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tenure.values import Finding, Store

SAMPLE = 10


def set_by_application(store: Store, name: str, items: Iterable[Any]) -> Iterator[Finding]:
    """Yield a warning that counts *items* and names some; nothing without any.

    Undo takes every key away where no item had one before tenure came, and only tenure's own elsewhere: there nothing
    is lost, and nobody needs to ask.
    """
    count = 0
    listed: list[Any] = []
    for item in items:
        count += 1
        if len(listed) < SAMPLE:
            listed.append(item)
    if count:
        yield Finding(
            id="TEN124",
            severity="warning",
            store=store,
            object=name,
            title=f"{count} key(s) were set by the application, and no source knows them: they go with the others",
            count=count,
            sample=tuple(listed),
            remedy="Note them down before the rollback (`tenure verify` lists samples under TEN502) if they are "
            "needed.",
        )
