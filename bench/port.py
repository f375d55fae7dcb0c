"""What a store's bench is made of: cases that run in rounds, a section with their figures, goals it is held to.

A module ``bench.<store>`` has ``sections(options, say)``, which starts its server, yields a `Section` per table to
print and stops what it started. Timings on a shared machine mean little by themselves: a case is always run in the same
rounds as its baseline, and what is compared are the ratios within a round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the command line asked for. `scratch` is a folder that is removed at the end."""

    rows: int
    scratch: Path
    repeats: int = 3
    foreground_seconds: float = 20.0
    only: tuple[str, ...] = ()

    def wants(self, part: str) -> bool:
        """Return whether a part of a bench was asked for; without `--only` every one was."""
        return not self.only or part in self.only


@dataclass(frozen=True)
class Figures:
    """What one run of a case gave: how many items in how many seconds, and what else was measured, by column."""

    items: int
    seconds: float
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Return items per second."""
        return self.items / self.seconds if self.seconds else 0.0


class Case(Protocol):
    """One way to do the work. `run` prepares a fresh state, does the work once and measures only the work."""

    @property
    def name(self) -> str:
        """How the table calls it."""

    @property
    def ours(self) -> bool:
        """Whether it is tenure's own way rather than a baseline."""

    def run(self) -> Figures:
        """Do it once."""


@dataclass(frozen=True)
class Goal:
    """What the bench is held to: `value` should be at least (or at most) `wanted`."""

    what: str
    value: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Return whether it was reached."""
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted


@dataclass(frozen=True)
class Line:
    """A case in a section: its rounds, oldest first."""

    name: str
    ours: bool
    rounds: tuple[Figures, ...]

    def rate(self) -> float:
        """Return the median rate."""
        return statistics.median(figures.rate for figures in self.rounds)

    def median(self, column: str) -> float | None:
        """Return the median of another column, or None where no round measured it."""
        values = [figures.more[column] for figures in self.rounds if column in figures.more]
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Section:
    """One table: lines, the names of the baselines that ratios are given to, and the columns besides the rate.

    `columns` maps the name of a figure to its heading; `unit` is what is counted (rows, nodes, points, rounds).
    """

    store: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    baselines: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def line(self, name: str) -> Line:
        """Return the line called *name*. Errors: KeyError."""
        found = next((line for line in self.lines if line.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def ratio(self, name: str, baseline: str) -> float:
        """Return how many times as fast as *baseline* a case is: the median of the ratios within each round."""
        pairs = zip(self.line(name).rounds, self.line(baseline).rounds, strict=False)
        return statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)


def rounds(cases: Sequence[Case], repeats: int, say: Say) -> tuple[Line, ...]:
    """Run every case once per round, in turn, so that a slow minute of the machine hits all of them."""
    found: dict[str, list[Figures]] = {case.name: [] for case in cases}
    for number in range(1, repeats + 1):
        # Every other round backwards: no case always follows the same neighbour.
        for case in cases if number % 2 else reversed(cases):
            say(f"round {number} of {repeats}: {case.name}")
            figures = case.run()
            say(f"round {number} of {repeats}: {case.name}: {figures.rate:,.0f}/s")
            found[case.name].append(figures)
    return tuple(Line(case.name, case.ours, tuple(found[case.name])) for case in cases)
