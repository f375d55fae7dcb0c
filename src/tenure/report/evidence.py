"""Gathers what the evidence report shows: a verification, and what the ledger knows of how it came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tenure import __version__
from tenure.operations import load
from tenure.report.masked import masked_report, masked_text, masked_value
from tenure.report.operations import ledger_rows, operation_document

if TYPE_CHECKING:
    from tenure.checks import Report
    from tenure.ledger.ledger import RunRow
    from tenure.session import Session

EVENTS = 500
QUARANTINE_SAMPLE = 10
BUCKETS = 200

# How much had been written when, in at most so many steps: ranges of a large run are far more than a chart has pixels.
_PROGRESS = """
WITH done AS (SELECT o.store, r.updated_at AS at, r.changed
                FROM tenure.range r JOIN tenure.operation o ON o.id = r.operation WHERE r.changed > 0),
     span AS (SELECT min(at) AS first, greatest(extract(epoch FROM max(at) - min(at)), 0.001) AS seconds FROM done)
SELECT store, max(at), sum(changed)::bigint
  FROM done, span GROUP BY store, floor(extract(epoch FROM at - first) / seconds * %s) ORDER BY 2
"""
_BINS = """
SELECT store, object, count(*), count(*) FILTER (WHERE released_to IS NOT NULL), min(at)
  FROM tenure.quarantine GROUP BY store, object ORDER BY store, object
"""
_BIN_SAMPLE = """
SELECT item, reason, released_to FROM tenure.quarantine WHERE store = %s AND object = %s ORDER BY at, item LIMIT %s
"""
_DRIFT = "SELECT object, body FROM tenure.baseline WHERE name = 'drift' ORDER BY object"


@dataclass(frozen=True)
class Done:
    """An operation with its published document and when it ran."""

    document: Mapping[str, Any]
    started: datetime | None
    finished: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took from its first start to its end."""
        if self.started is None or self.finished is None:
            return None
        return max(0.0, (self.finished - self.started).total_seconds())


@dataclass(frozen=True)
class Bin:
    """What of one object is, or was, quarantined."""

    store: str
    object: str
    items: int
    released: int
    sample: Sequence[tuple[Any, str, str | None]]


@dataclass(frozen=True)
class Evidence:
    """All that the report shows; it holds no connection.

    `progress` has (store, when, items written since the step before); `drift` the counts before the run, by link.
    """

    report: Report
    generated: datetime
    version: str
    addresses: Mapping[str, str]
    playbook_hash: str
    plan_hash: str
    same_playbook: bool = True
    run: RunRow | None = None
    operations: Sequence[Done] = ()
    progress: Sequence[tuple[str, datetime, int]] = ()
    bins: Sequence[Bin] = ()
    drift: Sequence[tuple[str, int, int]] = ()
    events: Sequence[tuple[str, str, str, datetime]] = ()
    masked: bool = False
    title: str = field(default="Evidence of tenancy")


def gather(session: Session, report: Report, *, mask: bool = False) -> Evidence:
    """Return the evidence for *report*, which `session` has just given; with *mask* without the application's data."""
    ledger = session.ledger
    run = ledger.latest_run() if ledger.installed() else None
    addresses = {"postgres": session.postgres.address}
    if session.neo4j is not None:
        addresses["neo4j"] = session.neo4j.address
    if session.qdrant is not None:
        addresses["qdrant"] = session.qdrant.address
    evidence = Evidence(
        report=masked_report(report) if mask else report,
        generated=datetime.now(UTC),
        version=__version__,
        addresses=addresses,
        playbook_hash=session.playbook.digest(),
        plan_hash=run.plan_hash if run is not None else session.plan().hash,
        masked=mask,
    )
    return evidence if run is None else _with_run(session, evidence, run)


def _with_run(session: Session, evidence: Evidence, run: RunRow) -> Evidence:
    from dataclasses import replace

    ledger, mask = session.ledger, evidence.masked
    rows = ledger_rows(ledger)
    operations = [
        Done(operation_document(ledger, load(row.body), row), row.started_at, row.finished_at) for row in rows.values()
    ]
    with session.postgres.connection() as connection:
        progress = [tuple(row) for row in connection.execute(_PROGRESS, (BUCKETS,)).fetchall()]
        drift = [
            (name, int(body.get("rows_without_item", 0)), int(body.get("items_without_row", 0)))
            for name, body in connection.execute(_DRIFT).fetchall()
        ]
        bins = []
        for store, name, count, released, _ in connection.execute(_BINS).fetchall():
            found = connection.execute(_BIN_SAMPLE, (store, name, QUARANTINE_SAMPLE)).fetchall()
            sample = [
                (masked_value(item) if mask else item, masked_text(reason) if mask else reason, tenant)
                for item, reason, tenant in found
            ]
            bins.append(Bin(store, name, count, released, sample))
    return replace(
        evidence,
        same_playbook=run.playbook_hash == evidence.playbook_hash,
        run=run,
        operations=operations,
        progress=progress,
        drift=drift,
        bins=bins,
        events=[
            (kind, name, masked_text(detail) if mask else detail, at)
            for kind, name, detail, at in reversed(ledger.events(run.id, EVENTS))
        ],
    )
