"""A plan: the operations in the safe order, as a value that can be read, compared, hashed and run exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import SerializeAsAny

from tenure.operations import load
from tenure.operations.base import Operation
from tenure.planner.estimate import Estimate
from tenure.values import Finding, Frozen, Phase, TenantKey


class Plan(Frozen):
    """Operations in order, and what the planner has to say of them.

    `findings` are errors (then there is nothing to run), warnings and notices; `shared` and `exempt` the objects that
    stay as they are, with the reason; `estimates` what operations on rows may take, by their id.
    """

    key: TenantKey
    playbook_digest: str
    catalog_digest: str
    operations: tuple[SerializeAsAny[Operation], ...] = ()
    findings: tuple[Finding, ...] = ()
    untouched: tuple[tuple[str, str, str], ...] = ()
    estimates: tuple[tuple[str, Estimate], ...] = ()

    @cached_property
    def hash(self) -> str:
        """Return the sha256 of the plan: the same inputs give the same hash, whatever the data's volume is."""
        body = self.dump()
        del body["estimates"]
        body["operations"] = [operation["digest"] for operation in body["operations"]]
        # Replication slots come and go without anybody's doing.
        body["findings"] = [{**one, "title": ""} for one in body["findings"] if one["id"] != "TEN116"]
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that forbid to run it."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def of_phase(self, phase: Phase) -> tuple[Operation, ...]:
        """Return the operations of one phase, in order."""
        return tuple(operation for operation in self.operations if operation.phase is phase)

    def dump(self) -> dict[str, Any]:
        """Return the plan as JSON data; `restore` is the inverse."""
        return {
            "key": self.key.model_dump(mode="json"),
            "playbook_digest": self.playbook_digest,
            "catalog_digest": self.catalog_digest,
            # Described too, for those who show a plan without making its operations again.
            "operations": [{**operation.dump(), "described": operation.describe()} for operation in self.operations],
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "untouched": [list(entry) for entry in self.untouched],
            "estimates": {id_: estimate.model_dump(mode="json") for id_, estimate in self.estimates},
        }

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> Plan:
        """Return the plan that `dump` wrote."""
        return cls(
            key=TenantKey.model_validate(data["key"]),
            playbook_digest=data["playbook_digest"],
            catalog_digest=data["catalog_digest"],
            operations=tuple(load(body) for body in data["operations"]),
            findings=tuple(Finding.model_validate(finding) for finding in data["findings"]),
            untouched=tuple((a, b, c) for a, b, c in data["untouched"]),
            # Plans of an earlier version have none.
            estimates=tuple((id_, Estimate.model_validate(body)) for id_, body in data.get("estimates", {}).items()),
        )
