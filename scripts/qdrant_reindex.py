#!/usr/bin/env python3
# qdrant_reindex.py: project_id on every point of fragments.
#
# Needs Python 3.11 and qdrant-client, and the CSV files that the SQL file wrote (in the current folder).
# QDRANT_URL=... QDRANT_API_KEY=... python qdrant_reindex.py --dry-run
# Decides as the playbook says, writes only where the key is missing or another than it should be, window by
# window; may be interrupted, run again and run beside the application. --copy-to NEW leaves the points as they
# are and copies them, with their vectors and the key, into a new collection of the same configuration.
#
# Rendered by `tenure render`; change the playbook, not this file.
# playbook 06f95fb3fb1eb58d7666c51765ef7da343580bf20aed9629648de3bb4afdb57b
# plan     965a18ab7ce99f200d02a62fb18faae7672789fc2f6b30c5239182aedf9e0a2e

from __future__ import annotations

import argparse
import csv
import json
import os
import sqlite3
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

PLAN: dict[str, Any] = {
    "plan": "965a18ab7ce99f200d02a62fb18faae7672789fc2f6b30c5239182aedf9e0a2e",
    "key": "project_id",
    "path": "project_id",
    "type": "text",
    "index": "keyword",
    "untagged": [
        "default",
        "",
    ],
    "quarantine": "__quarantine__",
    "shared": "__shared__",
    "tenants": "tenants.csv",
    "collections": [
        {
            "name": "fragments",
            "fields": [
                "project_id",
                "metadata.project_id",
            ],
            "by_rows": True,
            "sources": [
                {
                    "form": "row",
                    "file": "rows_entrevista_fragmentos_id.csv",
                    "match": None,
                },
                {
                    "form": "field",
                    "match": "metadata.project_id",
                },
            ],
            "policy": {
                "unassigned": "quarantine",
                "assign": None,
                "conflict": "quarantine",
                "existing": "conflict",
            },
        },
    ],
}
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


PAGE = 1_000  # points read at once
WINDOW = 20_000  # points decided between two writes: the more of one tenant are in an operation, the faster
COPIED = 200  # points copied at once, with their vectors
IDS = 5_000  # points in one operation
OPERATIONS = 100  # operations in one request
SWEEPS = 20
DONE, LEFT, UNREACHABLE, INTERRUPTED = 0, 1, 5, 130


def untagged_filter() -> dict[str, Any]:
    """Return the filter for points without a tenant."""
    values = ["", *(value for value in PLAN["untagged"] if value)]
    return {"should": [{"is_empty": {"key": PLAN["path"]}}, {"key": PLAN["path"], "match": {"any": values}}]}


def still(before: str) -> dict[str, Any]:
    """Return the filter for points whose key still is what it was when they were decided (JSON)."""
    present = json.loads(before)
    if is_untagged(present):
        return untagged_filter()
    if isinstance(present, str):
        return {"must": [{"key": PLAN["path"], "match": {"value": present}}]}
    return {"must_not": [untagged_filter()]}


class Run:
    """One collection, one way through it: decides windows of points and writes what each should have."""

    def __init__(
        self, client: QdrantClient, collection: dict[str, Any], lookups: Lookups, state: State, dry: bool
    ) -> None:
        self.client, self.collection, self.lookups, self.state, self.dry = client, collection, lookups, state, dry
        self.name = collection["name"]
        self.total = client.count(self.name, exact=True).count
        self.seen = self.written = 0
        self.bins: Counter[str] = Counter()
        self.tenants: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def in_place(self) -> int:
        """Write the key into every point that has none, or another than it should have; return what is left open."""
        offset = self.state.offset(self.name)
        while True:
            window, offset = self.read(offset)
            self.write(window)
            if not self.dry:
                self.state.save(self.name, offset)
            self.say(f"{self.written:,} {'to write' if self.dry else 'written'}")
            if offset is None:
                break
        if self.dry:
            return self.open()
        left = -1
        for _ in range(SWEEPS):
            before, left = left, self.sweep()
            if left in (0, before):
                break
        return left

    def read(self, offset: Any, only: dict[str, Any] | None = None) -> tuple[dict[tuple[str, str], list[Any]], Any]:
        """Return the writes of the next window, ids by (old key as JSON, new key), and where the next one starts."""
        groups: dict[tuple[str, str], list[Any]] = {}
        read = 0
        while read < WINDOW:
            points, offset = self.client.scroll(
                self.name,
                scroll_filter=models.Filter.model_validate(only) if only else None,
                limit=PAGE,
                offset=offset,
                with_payload=self.collection["fields"],
                with_vectors=False,
            )
            read += len(points)
            for point, decision in zip(points, decide_points(self.collection, points, self.lookups), strict=True):
                present = (point.payload or {}).get(PLAN["key"])
                if not only:
                    self.count(point, decision)
                if decision.key is not None and decision.key != present:
                    groups.setdefault((json.dumps(present, sort_keys=True), decision.key), []).append(point.id)
            if offset is None:
                break
        self.seen += 0 if only else read
        return groups, offset

    def write(self, groups: dict[tuple[str, str], list[Any]]) -> None:
        """Send the writes; each holds only where the key still is what it was."""
        operations = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(
                    payload={PLAN["key"]: tenant},
                    filter=models.Filter.model_validate({"must": [{"has_id": list(ids)}, still(before)]}),
                )
            )
            for (before, tenant), every in groups.items()
            for ids in chunks(every, IDS)
        ]
        self.written += sum(len(ids) for ids in groups.values())
        for request in chunks(operations, OPERATIONS) if not self.dry else ():
            for result in self.client.batch_update_points(self.name, list(request), wait=True):
                if result.status != models.UpdateStatus.COMPLETED:
                    raise Stop(f"{self.name}: the server said {result.status}, not completed. Run again.", UNREACHABLE)

    def sweep(self) -> int:
        """Write what came without a key meanwhile, and return how many points have none now but should."""
        offset = None
        while True:
            groups, offset = self.read(offset, untagged_filter())
            self.write(groups)
            if offset is None:
                break
        kept = self.bins["unassigned"] if self.collection["policy"]["unassigned"] == "keep_null" else 0
        untagged = models.Filter.model_validate(untagged_filter())
        return max(0, self.client.count(self.name, count_filter=untagged, exact=True).count - kept)

    def copy_to(self, target: str) -> int:
        """Copy every point, with its vectors and its key, into a new collection; return how many are missing there."""
        offset = self.state.offset(f"{self.name} > {target}")
        if self.dry:
            return self.in_place()
        if offset is None:
            create_like(self.client, self.name, target)
        tenant_index(self.client, target)
        while True:
            points, offset = self.client.scroll(
                self.name, limit=COPIED, offset=offset, with_payload=True, with_vectors=True
            )
            copies = []
            for point, decision in zip(points, decide_points(self.collection, points, self.lookups), strict=True):
                self.count(point, decision)
                payload = dict(point.payload or {})
                if decision.key is not None:
                    payload[PLAN["key"]] = decision.key
                copies.append(models.PointStruct(id=point.id, payload=payload, vector=point.vector or {}))
            if copies:
                result = self.client.upsert(target, copies, wait=True)
                if result.status != models.UpdateStatus.COMPLETED:
                    raise Stop(f"{target}: the server said {result.status}, not completed. Run again.", UNREACHABLE)
            self.seen += len(points)
            self.state.save(f"{self.name} > {target}", offset)
            self.say("copied")
            if offset is None:
                break
        there = self.client.count(target, exact=True).count
        return max(0, self.client.count(self.name, exact=True).count - there) + self.open()

    def count(self, point: Any, decision: Decision) -> None:
        """Count a point in its bin, and remember a few that a person has to look at."""
        self.bins[decision.bin] += 1
        if decision.bin == "assigned" and decision.key is not None:
            self.tenants[decision.key] += 1
        elif len(listed := self.examples.setdefault(decision.bin, [])) < 5:
            listed.append(f"{point.id}: {decision.reason}")

    def open(self) -> int:
        """Return how many points have no owner that the playbook accepts."""
        policy = self.collection["policy"]
        opened = self.bins["unassigned"] if policy["unassigned"] == "fail" else 0
        return opened + (self.bins["conflict"] if policy["conflict"] == "fail" else 0)

    def say(self, what: str) -> None:
        """Write a line of progress."""
        print(f"{self.name}: {self.seen:,} of {self.total:,} points, {what}", file=sys.stderr)

    def report(self) -> None:
        """Print what was found."""
        print(f"{self.name}: " + ", ".join(f"{bin_} {count:,}" for bin_, count in sorted(self.bins.items())))
        for tenant, count in sorted(self.tenants.items()):
            print(f"  {tenant}: {count:,}")
        for bin_, listed in sorted(self.examples.items()):
            print(f"  {bin_}, such as " + "; ".join(listed))


class State:
    """Where a run stands, in a JSON file: saved when the server said `completed`, so that a kill costs one window."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, Any] = {}
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            # The state of another plan says nothing of this one.
            self._offsets = kept["offsets"] if kept.get("plan") == PLAN["plan"] else {}

    def offset(self, name: str) -> Any:
        """Return the id to go on from, None for the beginning."""
        return self._offsets.get(name)

    def save(self, name: str, offset: Any) -> None:
        """Keep where *name* stands; one that is through begins anew the next time."""
        self._offsets = {other: at for other, at in self._offsets.items() if other != name}
        if offset is not None:
            self._offsets[name] = offset
        if not self._offsets:
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_text(json.dumps({"plan": PLAN["plan"], "offsets": self._offsets}), encoding="utf-8")
        fresh.replace(self._path)


def tenant_index(client: QdrantClient, name: str) -> None:
    """Create the tenant index, before points get their keys: segments are rebuilt only once."""
    if PLAN["index"] == "uuid":
        schema: Any = models.UuidIndexParams(type=models.UuidIndexType.UUID, is_tenant=True)
    else:
        schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    client.create_payload_index(name, PLAN["path"], schema, wait=True)


def create_like(client: QdrantClient, name: str, target: str) -> None:
    """Create *target* with the configuration and the payload indexes of *name*."""
    if client.collection_exists(target):
        raise Stop(f"{target} exists: delete it, or name another. (An interrupted copy has its state file.)", USAGE)
    info = client.get_collection(name)
    config, params = info.config, info.config.params
    settings: dict[str, Any] = {
        "vectors_config": params.vectors,
        "sparse_vectors_config": params.sparse_vectors,
        "quantization_config": config.quantization_config,
    }
    for key in ("shard_number", "sharding_method", "replication_factor", "write_consistency_factor", "on_disk_payload"):
        settings[key] = getattr(params, key)
    for key, found, model in (
        ("hnsw_config", config.hnsw_config, models.HnswConfigDiff),
        ("optimizers_config", config.optimizer_config, models.OptimizersConfigDiff),
        ("wal_config", config.wal_config, models.WalConfigDiff),
        ("strict_mode_config", config.strict_mode_config, models.StrictModeConfig),
    ):
        settings[key] = model(**found.model_dump(exclude_none=True)) if found is not None else None
    client.create_collection(target, **settings)
    for path, index in (info.payload_schema or {}).items():
        if path != PLAN["path"]:
            schema: Any = index.params or index.data_type
            client.create_payload_index(target, path, schema, wait=True)


def connect(url: str, api_key: str | None) -> QdrantClient:
    """Return a client of the server at *url*, or of a local-mode directory where there is no scheme."""
    if "://" not in url:
        return QdrantClient(path=url)
    return QdrantClient(url=url, api_key=api_key, timeout=600, check_compatibility=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and return its exit code."""
    parser = argparse.ArgumentParser(
        description=f"Writes {PLAN['key']} into the points of Qdrant, only where it is missing. May be run again.",
        epilog="Exit codes: 0 done; 1 points are left without a key; 2 wrong usage; 5 the server; 130 interrupted.",
    )
    names = [collection["name"] for collection in PLAN["collections"]]
    parser.add_argument("--url", default=os.environ.get("QDRANT_URL"), help="the server (or QDRANT_URL)")
    parser.add_argument("--api-key", default=os.environ.get("QDRANT_API_KEY"), help="its key (better: QDRANT_API_KEY)")
    parser.add_argument("--collection", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument(
        "--copy-to", metavar="NEW", help="copy into a new collection instead; the old one stays as it is"
    )
    parser.add_argument("--data", type=Path, default=Path(), help="the folder of the CSV files (the current one)")
    parser.add_argument(
        "--state", type=Path, default=Path("qdrant_reindex.state.json"), help="where to keep how far it is"
    )
    parser.add_argument("--dry-run", action="store_true", help="only decide and count")
    options = parser.parse_args(arguments)
    chosen = [c for c in PLAN["collections"] if not options.collection or c["name"] in options.collection]
    if not options.url:
        parser.error("say where the server is: --url, or QDRANT_URL")
    if options.copy_to and len(chosen) != 1:
        parser.error("--copy-to needs one collection: --collection NAME")
    try:
        lookups, state, left = Lookups(options.data), State(options.state), 0
        client = connect(options.url, options.api_key)
        for collection in chosen:
            run = Run(client, collection, lookups, state, options.dry_run)
            if not options.dry_run and not options.copy_to:
                tenant_index(client, collection["name"])
            found = run.copy_to(options.copy_to) if options.copy_to else run.in_place()
            run.report()
            if found:
                print(f"{collection['name']}: {found:,} points are left without a key", file=sys.stderr)
            left += found
    except Stop as error:
        print(error, file=sys.stderr)
        return error.code
    except (ResponseHandlingException, UnexpectedResponse) as error:
        print(f"Qdrant at {options.url}: {error}", file=sys.stderr)
        return UNREACHABLE
    except KeyboardInterrupt:
        print("Interrupted. Run it again: it goes on where it was.", file=sys.stderr)
        return INTERRUPTED
    return LEFT if left else DONE


if __name__ == "__main__":
    sys.exit(main())
