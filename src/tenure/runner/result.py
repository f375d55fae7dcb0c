"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from tenure.values import Outcome


@dataclass
class RunResult:
    """What a run did: outcome by operation id; `swept` counts what was born since the backfill."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    swept: int = 0
