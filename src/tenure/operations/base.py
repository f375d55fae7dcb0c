"""The shape of an operation: an immutable value that says what it does and does it with what a context lends it.

An operation holds no connection. The runner decides when it runs, the ledger what of it is done (DESIGN.md §6). Short
operations implement `apply`; long ones set `ranged` and implement `ranges` and `run_batch`, whose cursor the runner's
ledger keeps. Every verb may be repeated after a crash at any line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import computed_field

from tenure.values import Finding, Frozen, Hazard, Outcome, Phase, Store

if TYPE_CHECKING:
    from tenure.runner.context import Context


class RangeSpec(Frozen):
    """A slice of a backfill before it is claimed: JSON bounds that mean something to its operation, and its size."""

    bounds: Mapping[str, Any]
    planned: int = 0


class Claim(Frozen):
    """A range in the hands of a worker: where it starts, how far it came (`cursor` is None at the start)."""

    operation: str
    number: int
    token: str
    bounds: Mapping[str, Any]
    cursor: Mapping[str, Any] | None = None


class Step(Frozen):
    """What one batch did: `cursor` None ends the range; `committed` says that the batch saved its cursor itself."""

    cursor: Mapping[str, Any] | None
    changed: int
    seen: int
    committed: bool = False


class Operation(Frozen):
    """One immutable unit of change. Subclasses add fields, a `kind`, and the verbs."""

    kind: ClassVar[str]
    phase: ClassVar[Phase]
    store: ClassVar[Store]
    reversible: ClassVar[bool] = True
    online: ClassVar[bool] = True
    ranged: ClassVar[bool] = False
    # Fields that the volume of data or the machine decides; an operation is the same whatever they are.
    volatile: ClassVar[frozenset[str]] = frozenset({"planned"})

    object: str
    planned: int | None = None
    hazards: tuple[Hazard, ...] = ()
    lock: str = ""
    waiting: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def id(self) -> str:
        """Return the stable name of the operation: the same for the same playbook and catalog, in every run."""
        return f"{self.store}.{self.kind}.{self.object}"

    def describe(self) -> str:
        """Return one line for a person: what will be done to which object."""
        raise NotImplementedError

    def statements(self) -> tuple[str, ...]:
        """Return what a DBA would run by hand, complete and in order."""
        raise NotImplementedError

    def apply(self, ctx: Context) -> Outcome:
        """Do it, or find it done. Never called for a ranged operation or one that waits."""
        raise NotImplementedError

    def count(self, ctx: Context) -> int:
        """Return how many items are still to be changed; asked once before the first range is planned."""
        raise NotImplementedError

    def ranges(self, ctx: Context) -> Iterable[RangeSpec]:
        """Return the slices of the work; persisted before the first of them is worked on."""
        raise NotImplementedError

    def run_batch(self, ctx: Context, claim: Claim) -> Step:
        """Do the next batch of a range and return where it stands."""
        raise NotImplementedError

    def sweep(self, ctx: Context) -> Outcome:
        """Catch what was born since the ranges were planned; `left` is what is still untagged afterwards."""
        return Outcome()

    def check(self, ctx: Context) -> Outcome:
        """Return the post-condition as counts; `left` > 0 means that the operation is not done."""
        return Outcome()

    def losses(self, ctx: Context) -> Iterable[Finding]:
        """Return what undoing would lose: errors forbid a rollback, warnings are said; read-only."""
        return ()

    def undo(self, ctx: Context) -> Outcome:
        """Take it back: the store is as before for everything that tenure wrote."""
        raise NotImplementedError

    def dump(self) -> dict[str, Any]:
        """Return the value as JSON data with its kind, phase, store and digest; `operations.load` is the inverse."""
        body = {"kind": self.kind, "phase": str(self.phase), "store": self.store, **self.model_dump(mode="json")}
        meaning = {name: value for name, value in body.items() if name not in self.volatile}
        text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return {**body, "digest": hashlib.sha256(text.encode()).hexdigest()}
