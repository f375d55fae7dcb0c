"""What people would do to give the points of a collection a tenant key, written as well as its authors would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdrant_client import models

from bench.port import Figures
from bench.qdrant_data import CASE, COPY, KEY, Loaded, identity, playbook, tenant

# What a point a request would take for all of the points is known long before all of them are done.
ONE_BY_ONE = 2_000
# So would whole points that are sent back and forth.
WHOLE = 100_000
LARGE = 5_000

Work = Callable[[Loaded], int]


def one_by_one(loaded: Loaded) -> int:
    """`set_payload` for each point: a sample of them."""
    some = min(ONE_BY_ONE, loaded.rows)
    for number in range(some):
        loaded.client.set_payload(CASE, {KEY: tenant(number)}, points=[identity(number)], wait=True)
    return some


def upserted(loaded: Loaded) -> int:
    """Scroll, and write every point again with its vector and the key in its payload: a part of many points."""
    return _again(loaded, CASE)


def copied(loaded: Loaded) -> int:
    """A new collection with the key in every payload, for an alias to be moved to."""
    loaded.create(COPY)
    return _again(loaded, COPY)


def by_tenant(loaded: Loaded) -> int:
    """Large conditional operations of one tenant each: only who knows all ids beforehand, in tenant order, can."""
    groups: dict[str, list[models.ExtendedPointId]] = {}
    for number in range(loaded.rows):
        groups.setdefault(tenant(number), []).append(identity(number))
    for name, ids in groups.items():
        for start in range(0, len(ids), LARGE):
            chosen = models.HasIdCondition(has_id=ids[start : start + LARGE])
            untagged = models.IsEmptyCondition(is_empty=models.PayloadField(key=KEY))
            write = models.SetPayload(payload={KEY: name}, filter=models.Filter(must=[chosen, untagged]))
            loaded.client.batch_update_points(CASE, [models.SetPayloadOperation(set_payload=write)], wait=True)
    return loaded.rows


def _again(loaded: Loaded, target: str) -> int:
    done = 0
    for records in loaded.pages():
        loaded.client.upsert(target, [_with_key(record) for record in records], wait=True)
        done += len(records)
        if done >= WHOLE:
            break
    return done


def _with_key(record: models.Record) -> models.PointStruct:
    body: dict[str, Any] = dict(record.payload or {})
    vector: Any = record.vector
    return models.PointStruct(id=record.id, vector=vector, payload={**body, KEY: body["project"]})


@dataclass(frozen=True)
class Baseline:
    """A way that is a few calls of the client; `target` is the collection that has the keys afterwards."""

    name: str
    loaded: Loaded
    work: Work
    target: str = CASE
    ours: bool = False

    def run(self) -> Figures:
        """Do it on a fresh collection and see that every point got its key."""
        self.loaded.fresh()
        began = time.monotonic()
        done = self.work(self.loaded)
        seconds = time.monotonic() - began
        keyed = self.loaded.keyed(self.target)
        if keyed != done:
            raise AssertionError(f"{self.name} keyed {keyed} of {done}")
        return Figures(done, seconds)


@dataclass(frozen=True)
class Replayed:
    """The limit: the requests that tenure sent, sent again by the bare client with nothing between them."""

    name: str
    loaded: Loaded
    file: Path
    ours: bool = False

    def run(self) -> Figures:
        """Send them to a fresh collection."""
        self.loaded.fresh()
        seconds = 0.0
        operations = 0
        for request in self._requests():
            operations += len(request)
            began = time.monotonic()
            results = self.loaded.client.batch_update_points(CASE, request, wait=True)
            seconds += time.monotonic() - began
            assert all(result.status is models.UpdateStatus.COMPLETED for result in results)
        keyed = self.loaded.keyed()
        if keyed != self.loaded.rows:
            raise AssertionError(f"{self.name} keyed {keyed}")
        return Figures(self.loaded.rows, seconds, {"points_an_operation": self.loaded.rows / operations})

    def _requests(self) -> Iterator[Sequence[models.SetPayloadOperation]]:
        with self.file.open() as lines:
            for line in lines:
                yield [models.SetPayloadOperation.model_validate(one) for one in json.loads(line)]


@dataclass(frozen=True)
class Tenure:
    """Tenure's own way: a process of its own; seconds are the ledger's, from the start of the operation to its end."""

    name: str
    loaded: Loaded
    scratch: Path
    source: str
    kind: str = "set_payload"
    ours: bool = True

    def run(self) -> Figures:
        """Do it on a fresh collection; the process itself fails when a point is left."""
        self.loaded.fresh()
        found = self.child()
        done = found["operations"][self.kind]
        if self.loaded.keyed() != self.loaded.rows:
            raise AssertionError(f"{self.name} keyed {self.loaded.keyed()}")
        more = {"peak_mb": found["peak_mb"], "written": self.loaded.rows / done["written"]}
        return Figures(self.loaded.rows, done["seconds"], more)

    def child(self, *arguments: str) -> dict[str, Any]:
        """Run the process, and return what it says."""
        path = playbook(self.loaded, self.scratch / "tenure.yaml", self.source, rekey=self.kind == "copy_points")
        command = [sys.executable, "-m", "bench.qdrant_child", str(path), *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parent.parent)
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer
