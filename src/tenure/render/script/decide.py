"""What the script for Qdrant knows and decides; `tenure render` makes one file of it, `run` and a plan."""

from __future__ import annotations

import csv
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

# What is between these marks is the plan's, and says nothing here.
# <plan>
PLAN: dict[str, Any] = {"plan": "", "key": "", "collections": []}
# </plan>
USAGE = 2
SILENT = "no source has a value"


class Answer(NamedTuple):
    """What a source says: nothing, tenant, unknown (a value that is no tenant), several, quarantined or shared."""

    says: str
    value: str | None = None


NOTHING = Answer("nothing")


class Decision(NamedTuple):
    """The bin of a point, the key that it should have (None: none), and why it is not plainly assigned."""

    bin: str
    key: str | None
    reason: str = ""


class Stop(Exception):
    """Ends the script with a message and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Lookups:
    """Answers which tenant a value means, and which tenant the rows with a value have.

    The CSV files go to a temporary SQLite file, so that their size does not matter.
    """

    def __init__(self, directory: Path) -> None:
        """Read the files in *directory*. Raises Stop when one is missing."""
        self._db = sqlite3.connect("")  # an empty name is a temporary file that is gone when it is closed
        self._tables: dict[str, str] = {}
        files = {source["file"] for c in PLAN["collections"] for source in c["sources"] if source["form"] == "row"}
        for number, name in enumerate([PLAN["tenants"], *sorted(files)]):
            self._tables[name] = f"file_{number}"
            self._load(directory / name, self._tables[name])

    def _load(self, path: Path, table: str) -> None:
        self._db.execute(f"CREATE TABLE {table} (value TEXT PRIMARY KEY, says TEXT, tenant TEXT) WITHOUT ROWID")
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                pairs = ((unquote(row["value"]), row.get("says", "tenant"), unquote(row["tenant"])) for row in rows)
                self._db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", pairs)
        except OSError as error:
            problem = f"{path}: {error.strerror}. The SQL file writes it; --data names its folder."
            raise Stop(problem, USAGE) from error
        except KeyError as error:
            raise Stop(f"{path}: there is no column {error}.", USAGE) from error

    def _find(self, file: str, values: Iterable[str]) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for part in chunks(list(dict.fromkeys(values)), 500):
            marks = ", ".join("?" * len(part))
            query = f"SELECT value, says, tenant FROM {self._tables[file]} WHERE value IN ({marks})"
            found.update({value: (says, tenant) for value, says, tenant in self._db.execute(query, part)})
        return found

    def tenants(self, values: Iterable[str]) -> dict[str, Answer]:
        """Return what each value means; an untagged one says nothing."""
        answers: dict[str, Answer] = {}
        asked = set(values)
        known = self._find(PLAN["tenants"], asked)
        for value in asked:
            answers[value] = Answer("tenant", known[value][1]) if value in known else Answer("unknown", value)
            if value in PLAN["untagged"]:
                answers[value] = NOTHING
        return answers

    def rows(self, file: str, values: Iterable[str]) -> dict[str, Answer]:
        """Return the answer for each value that a row has; one that is missing has no row."""
        return {value: Answer(says, one or None) for value, (says, one) in self._find(file, values).items()}


def derive(answers: Sequence[Answer]) -> tuple[str, str | None, str]:
    """Return bin, tenant and reason by the sources alone."""
    if any(answer.says == "quarantined" for answer in answers):
        return "quarantine", None, "its parent is quarantined"
    place = next((i for i, answer in enumerate(answers) if answer.says not in ("nothing", "shared")), None)
    if place is None:
        if any(answer.says == "shared" for answer in answers):
            return "shared", None, "its parent is shared"
        return "unassigned", None, SILENT
    chosen = answers[place]
    if chosen.says == "unknown":
        return "unassigned", None, f"source {place + 1} says {chosen.value}, which is not a tenant"
    if chosen.says == "several":
        return "conflict", None, f"source {place + 1} matches several tenants"
    for number, witness in enumerate(answers[place + 1 :], start=place + 2):
        if witness.says == "several" or (witness.says == "tenant" and witness.value != chosen.value):
            said = "several tenants" if witness.says == "several" else witness.value
            return "conflict", chosen.value, f"source {place + 1} says {chosen.value}, source {number} says {said}"
    return "assigned", chosen.value, ""


def decide(answers: Sequence[Answer], existing: Answer, policy: dict[str, Any]) -> Decision:
    """Return what becomes of a point; *existing* is what the key says that is there."""
    if existing.says in ("quarantined", "shared"):
        return Decision("quarantine" if existing.says == "quarantined" else "shared", None)
    found, value, reason = derive(answers)
    if existing.says == "tenant" and not (found == "assigned" and value == existing.value):
        if found == "unassigned":
            found, value, reason = "assigned", existing.value, "set by the application"
        elif policy["existing"] == "keep":
            found, value, reason = "assigned", existing.value, "the existing key is kept"
        elif policy["existing"] == "conflict":
            reason = f"the existing key is {existing.value}, the sources say {value if found == 'assigned' else reason}"
            found, value = "conflict", value or existing.value
    elif existing.says == "unknown" and not (found == "assigned" and policy["existing"] == "rederive"):
        without = f"the existing key {existing.value} is not a tenant"
        reason = f"{reason}, and {without}" if found == "quarantine" else without
        found, value = (found, None) if found in ("unassigned", "quarantine") else ("conflict", value)
    quarantine, shared = PLAN["quarantine"], PLAN["shared"]
    conflict = {"fail": None, "quarantine": quarantine, "first": value}
    unassigned = {"quarantine": quarantine, "shared": shared, "assign": policy["assign"]}
    keys = {
        "assigned": value,
        "shared": shared,
        "quarantine": quarantine,
        "conflict": conflict[policy["conflict"]],
        "unassigned": unassigned.get(policy["unassigned"]),
    }
    return Decision(found, keys[found], reason)


def decide_points(collection: dict[str, Any], points: Sequence[Any], lookups: Lookups) -> Iterator[Decision]:
    """Yield the decision of each point of a page: one question per source, none per point."""
    present = [canonical((point.payload or {}).get(PLAN["key"])) for point in points]
    columns: list[list[Answer]] = []
    has_row = [False] * len(points)
    for source in collection["sources"]:
        if source["form"] == "constant":
            said = [source["value"]] * len(points)
        elif source["match"] is None:
            said = [point.id for point in points]
        else:
            said = [field(point.payload or {}, source["match"]) for point in points]
        texts = [None if value is None or is_compound(value) else as_text(value) for value in said]
        asked = [one for one in texts if one is not None]
        if source["form"] == "row":
            rows = lookups.rows(source["file"], asked)
            columns.append([rows.get(one, NOTHING) if one is not None else NOTHING for one in texts])
            has_row = [known or one in rows for known, one in zip(has_row, texts, strict=True)]
        else:
            tenants = lookups.tenants(asked)
            answers = [tenants[one] if one else NOTHING for one in texts]
            compound = [Answer("unknown", repr(value)) if is_compound(value) else None for value in said]
            columns.append([odd or answer for odd, answer in zip(compound, answers, strict=True)])
    there = lookups.tenants(as_text(value) for value in present if value is not None)
    for index, value in enumerate(present):
        decision = decide([column[index] for column in columns], existing_answer(value, there), collection["policy"])
        if collection["by_rows"] and not has_row[index] and decision.reason == SILENT:
            decision = Decision("stale", PLAN["quarantine"], "no row knows this point")
        if decision.key is None and decision.bin in ("assigned", "quarantine", "shared") and isinstance(value, str):
            decision = decision._replace(key=value)  # the right one, though perhaps not as Postgres writes it
        yield decision


def existing_answer(present: Any, tenants: dict[str, Answer]) -> Answer:
    """Return what the key says that is there."""
    if is_untagged(present):
        return NOTHING
    one = as_text(present)
    if one == PLAN["quarantine"]:
        return Answer("quarantined", one)
    return Answer("shared", one) if one == PLAN["shared"] else tenants[one]


def is_untagged(present: Any) -> bool:
    """Return whether a key means "no tenant yet"."""
    return present is None or present in ("", []) or (not is_compound(present) and as_text(present) in PLAN["untagged"])


def canonical(present: Any) -> Any:
    """Return a key as Postgres writes it."""
    if isinstance(present, bool) or not isinstance(present, str | int | float):
        return present
    if PLAN["type"] == "uuid":
        try:
            return str(uuid.UUID(as_text(present)))
        except ValueError:
            return as_text(present)
    return as_text(present)


def as_text(value: Any) -> str:
    """Return a value as the text that it is compared by; whole numbers without a point."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_compound(value: Any) -> bool:
    """Return whether a value is a list or an object."""
    return isinstance(value, list | dict)


def field(payload: dict[str, Any], name: str) -> Any:
    """Return a payload field, by its own name or else as a path of nested ones."""
    if name in payload:
        return payload[name]
    value: Any = payload
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield slices of *items*."""
    return (items[start : start + size] for start in range(0, len(items), size))
