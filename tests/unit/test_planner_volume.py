"""How many rows the statistics speak of decides how long a plan may take, and nothing of what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tenure.catalog import Catalog
from tenure.demo import example
from tenure.planner import Plan, plan
from tenure.playbook import load_playbook

CATALOG = Path(__file__).parent / "test_render_catalog.json"


def grown(catalog: Catalog, rows: int, pages: int) -> Catalog:
    """The catalog as if an ANALYZE had found *rows* rows on *pages* pages in each table, with indexes to match."""
    tables: list[Any] = [
        table.model_copy(
            update={
                "estimated_rows": rows,
                "pages": pages,
                "size_bytes": pages * 8192,
                "indexes": tuple(index.model_copy(update={"size_bytes": pages * 4096}) for index in table.indexes),
            }
        )
        for table in catalog.postgres.tables
    ]
    return catalog.model_copy(update={"postgres": catalog.postgres.model_copy(update={"tables": tuple(tables)})})


def digests(made: Plan) -> list[tuple[str, str]]:
    """Each operation's digest, by which the ledger knows whether it is the one that was begun."""
    return [(operation.id, operation.dump()["digest"]) for operation in made.operations]


def test_statistics_do_not_change_what_is_done() -> None:
    """Every operation of the example is the same one with no rows, and with ten million; only its figures differ."""
    environment = {"TENURE_POSTGRES": "postgresql://h/d", "TENURE_NEO4J": "bolt://h", "TENURE_QDRANT": "http://h"}
    playbook = load_playbook(example.directory() / "tenure.yaml", environment)
    catalog = Catalog.model_validate_json(CATALOG.read_text(encoding="utf-8"))
    never_analysed, large = plan(playbook, grown(catalog, 0, 1)), plan(playbook, grown(catalog, 10_000_000, 250_000))
    assert never_analysed.operations
    assert digests(never_analysed) == digests(large) == digests(plan(playbook, catalog))
    seconds = [sum(estimate.seconds for _, estimate in one.estimates) for one in (never_analysed, large)]
    assert seconds[0] < seconds[1] / 100
