"""Qdrant: writing the key on the points of a collection, beside what people would do; copying it under new ids."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from qdrant_client import QdrantClient

from bench.port import Goal, Options, Say, Section, rounds
from bench.qdrant_data import COPY, Loaded
from bench.qdrant_ways import ONE_BY_ONE, WHOLE, Baseline, Replayed, Tenure, by_tenant, copied, one_by_one, upserted
from tenure.demo.servers import servers

BY_PAYLOAD, BY_ROWS = "tenure, key from the payload", "tenure, key from Postgres rows"
BARE, UPSERT, COPIED = "batch_update_points", "scroll and upsert", "copy of the collection"
OURS_COPY = "tenure, copy under new ids"
FROM_PAYLOAD, FROM_ROWS = "{payload: project}", "{postgres: fragments.id}"
COLUMNS = {"points_an_operation": "points an operation", "written": "points/s while writing", "peak_mb": "peak MB"}
MOST_MB = 200


def sections(options: Options, say: Say) -> Iterator[Section]:
    """Yield the bench's tables, on the server that TENURE_QDRANT names, else on the embedded engine.

    Parts: `backfill` (beside what people would do), `copy` (re-keyed, beside a plain copy).
    """
    with servers(neo4j=False, directory=options.scratch, progress=say) as running:
        assert running.qdrant is not None
        assert running.postgres is not None
        client = QdrantClient(url=running.qdrant.url, timeout=300, check_compatibility=False)
        loaded = Loaded(running.qdrant, running.postgres, options.rows, client)
        try:
            say(f"loading {options.rows:,} points")
            loaded.load()
            if options.wants("backfill"):
                yield _backfill(options, say, loaded)
            if options.wants("copy"):
                yield _copy(options, say, loaded)
        finally:
            loaded.close()


def _backfill(options: Options, say: Say, loaded: Loaded) -> Section:
    baseline = partial(Baseline, loaded=loaded)
    ours = Tenure(BY_PAYLOAD, loaded, options.scratch, FROM_PAYLOAD)
    kept = options.scratch / "requests.jsonl"
    say("keeping the requests that tenure sends")
    loaded.fresh()
    ours.child(str(kept))
    cases = (
        ours,
        Tenure(BY_ROWS, loaded, options.scratch, FROM_ROWS),
        Replayed(BARE, loaded, kept),
        baseline("the same, in tenant order", work=by_tenant),
        baseline("set_payload a point", work=one_by_one),
        baseline(UPSERT, work=upserted),
        baseline(COPIED, work=copied, target=COPY),
    )
    section = Section(
        store="qdrant",
        title=f"Qdrant: the key of {options.rows:,} points",
        unit="points",
        lines=rounds(cases, options.repeats, say),
        baselines=(BARE, UPSERT),
        columns=COLUMNS,
        notes=(
            f"`{BARE}` sends the very requests that tenure sent, recorded before, and does nothing else: the limit. "
            "In tenant order needs all ids and their tenants beforehand.",
            f"One point a request was measured on {min(ONE_BY_ONE, options.rows):,} points, upsert and copy on "
            f"{min(WHOLE, options.rows):,}. Upsert and copy lose what an application writes meanwhile; "
            "tenure's writes are conditional, counted, and resume after a kill.",
            "Tenure's rate is of the whole operation by its ledger, with the exact count before and the sweeps after; "
            "`points/s while writing` is of count and writes. " + _said(loaded),
        ),
        facts=loaded.facts(),
    )
    peak = max(section.line(name).median("peak_mb") or 0.0 for name in (BY_PAYLOAD, BY_ROWS))
    goals = (
        Goal("of the rate of bare batch_update_points", section.ratio(BY_PAYLOAD, BARE), 0.9),
        Goal("of it with the key from Postgres rows", section.ratio(BY_ROWS, BARE), 0.9),
        Goal("MB at the peak", peak, MOST_MB, at_most=True),
    )
    return Section(**{**vars(section), "goals": goals})


def _copy(options: Options, say: Say, loaded: Loaded) -> Section:
    baseline = partial(Baseline, loaded=loaded)
    cases = (
        Tenure(OURS_COPY, loaded, options.scratch, FROM_PAYLOAD, kind="copy_points"),
        baseline(COPIED, work=copied, target=COPY),
    )
    section = Section(
        store="qdrant",
        title=f"Qdrant: a copy of {options.rows:,} points under ids that no two tenants share",
        unit="points",
        lines=rounds(cases, options.repeats, say),
        baselines=(COPIED,),
        columns=COLUMNS,
        notes=(
            f"`{COPIED}` keeps the ids, checks nothing and knows of no writer; it was measured on "
            f"{min(WHOLE, options.rows):,} points. Tenure's rate is of the whole "
            "operation: the count that refuses two points under one id, the copy, and the pass that compares both. "
            + _said(loaded),
        ),
        facts=loaded.facts(),
    )
    peak = section.line(OURS_COPY).median("peak_mb") or 0.0
    return Section(**{**vars(section), "goals": (Goal("MB at the peak", peak, MOST_MB, at_most=True),)})


def _said(loaded: Loaded) -> str:
    facts = loaded.facts()
    return "Qdrant: " + ", ".join(f"{name} {value}" for name, value in facts.items())
