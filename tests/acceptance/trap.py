"""Breaks a run, or the way back, at one statement: the next thing that tenure asks of any store fails, or kills it.

A trap is set at the *number*-th operation that begins (or is undone) and springs *further* statements later, before or
after that statement is carried out. `set_in_process` makes it an error; as a command, ``python trap.py apply ...`` with
TEST_TRAP holding the trap as JSON, it is SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import neo4j
import psycopg

from tenure.errors import StoreError
from tenure.ledger import Ledger
from tenure.stores.qdrant import QdrantStore

Patch = tuple[Any, str, Callable[..., Any]]
WRITER = "old-writer"
# Neither the lease's heartbeat nor the application is what is to be broken.
PASSERS_BY = ("tenure-lease", WRITER)


@dataclass(frozen=True)
class Trap:
    """Where a run breaks: at which operation, how many statements into it, and on which side of that statement."""

    on: Literal["start", "undo"]
    number: int
    further: int
    after: bool

    def as_json(self) -> str:
        """Return it for TEST_TRAP."""
        return json.dumps(asdict(self))


class Spring:
    """The trap's state: it springs once."""

    def __init__(self, trap: Trap, snap: Callable[[], None]) -> None:
        """Call *snap*, which does not return, when it springs."""
        self._trap, self._snap = trap, snap
        self._begun = 0
        self._left = -1
        self._lock = threading.Lock()
        self.sprung = False

    def begins(self) -> None:
        """Count an operation."""
        self._begun += 1
        if self._begun == self._trap.number:
            self._left = self._trap.further

    def passes(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        """Return *verb* with the trap in its way."""

        def trapped(*arguments: Any, **options: Any) -> Any:
            springs = self._springs()
            if springs and not self._trap.after:
                self._snap()
            result = verb(*arguments, **options)
            if springs and self._trap.after:
                self._snap()
            return result

        return trapped

    def _springs(self) -> bool:
        with self._lock:
            if self._left < 0 or self.sprung or threading.current_thread().name in PASSERS_BY:
                return False
            self._left -= 1
            self.sprung = self._left < 0
            return self.sprung

    def patches(self) -> list[Patch]:
        """Return what has to be replaced: the verbs that reach the stores, and those that say where a run stands."""
        start, event = Ledger.start_operation, Ledger.event

        def begun(ledger: Ledger, operation: str) -> None:
            if self._trap.on == "start":
                self.begins()
            start(ledger, operation)

        def told(ledger: Ledger, run: int | None, kind: str, *rest: str) -> None:
            if self._trap.on == kind == "undo":
                self.begins()
            event(ledger, run, kind, *rest)

        stores: list[tuple[Any, str]] = [
            (psycopg.Cursor, "execute"),
            (psycopg.Cursor, "executemany"),
            (neo4j.Transaction, "run"),
            (neo4j.Transaction, "commit"),
            (neo4j.Session, "run"),
            (QdrantStore, "call"),
        ]
        return [
            (Ledger, "start_operation", begun),
            (Ledger, "event", told),
            *((owner, name, self.passes(getattr(owner, name))) for owner, name in stores),
        ]


@contextmanager
def set_in_process(trap: Trap | None) -> Iterator[Callable[[], bool]]:
    """Set *trap* for the block: StoreError, which nothing retries. Yields whether it has sprung."""
    if trap is None:
        yield lambda: False
        return

    def snap() -> None:
        raise StoreError(store="postgres", problem="the trap sprang.", remedy="")

    spring = Spring(trap, snap)
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in spring.patches()]
    try:
        for owner, name, verb in spring.patches():
            setattr(owner, name, verb)
        yield lambda: spring.sprung
    finally:
        for owner, name, verb in before:
            setattr(owner, name, verb)


def main() -> None:
    """Set the trap, then be the command."""
    spring = Spring(Trap(**json.loads(os.environ["TEST_TRAP"])), lambda: os.kill(os.getpid(), signal.SIGKILL))
    for owner, name, verb in spring.patches():
        setattr(owner, name, verb)
    from tenure.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
