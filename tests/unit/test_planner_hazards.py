"""What a plan says of those who replicate the rows that it writes, and of columns that are computed from them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_planner_postgres import COLUMN, catalog, playbook, table

from tenure.catalog.postgres import Column, Index, Slot
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.planner import Plan, plan
from tenure.report.text import plan_text
from tenure.values import NEEDS_CONSENT, Finding, Hazard

BOOK = {"t": COLUMN}


def hazards(made: Plan, kind: str = "backfill_rows") -> set[Hazard]:
    """The hazards of the first operation of a kind."""
    return set(next(operation for operation in made.operations if operation.kind == kind).hazards)


def said(made: Plan, id_: str) -> list[Finding]:
    """The findings of one sort."""
    return [finding for finding in made.findings if finding.id == id_]


@pytest.mark.parametrize(
    ("plugin", "words"),
    [("wal2json", "in any table, published or not"), ("pgoutput", "in published tables")],
)
def test_a_logical_slot_is_a_hazard_with_an_explanation(tmp_path: Path, plugin: str, words: str) -> None:
    """Without any publication too; it comes and goes, so the plan is the same one with and without it."""
    book = playbook(tmp_path, BOOK)
    quiet = plan(book, catalog(table("t")))
    assert hazards(quiet) == set()
    assert said(quiet, "TEN116") == []
    made = plan(book, catalog(table("t"), slots=(Slot(name="cdc", kind="logical", plugin=plugin, retained_bytes=7),)))
    assert hazards(made) == {Hazard.LOGICAL_REPLICATION}
    (finding,) = said(made, "TEN116")
    assert finding.object == "cdc"
    assert words in finding.title
    assert "7 bytes of WAL" in finding.title
    assert "limits.slot_wal" in finding.remedy
    assert made.hash == quiet.hash
    assert [o.dump()["digest"] for o in made.operations] == [o.dump()["digest"] for o in quiet.operations]
    assert Plan.restore(made.dump()) == made


def test_a_physical_slot_gets_pages_and_is_no_hazard(tmp_path: Path) -> None:
    made = plan(playbook(tmp_path, BOOK), catalog(table("t"), slots=(Slot(name="standby", kind="physical"),)))
    assert hazards(made) == set()
    assert said(made, "TEN116") == []


def test_publications_and_generated_columns_are_hazards_with_an_explanation(tmp_path: Path) -> None:
    columns = (
        Column(name="doubled", type="integer", generated="stored", generation="(id * 2)"),
        Column(name="shown", type="text", generated="virtual", generation="upper(name)"),
    )
    published = table("t", columns=columns, publications=("everything",))
    made = plan(playbook(tmp_path, {**BOOK, "u": COLUMN}), catalog(published, table("u")))
    assert hazards(made) == {Hazard.LOGICAL_REPLICATION, Hazard.GENERATED_COLUMNS}
    assert [finding.object for finding in said(made, "TEN116")] == ["t"]
    (computed,) = said(made, "TEN126")
    assert computed.sample == ({"doubled": "(id * 2)"},)
    other = next(o for o in made.operations if o.kind == "backfill_rows" and o.object == "u")
    assert other.hazards == ()


def test_a_table_of_one_tenant_has_no_row_written(tmp_path: Path) -> None:
    columns = (Column(name="doubled", type="integer", generated="stored", generation="(id * 2)"),)
    slots = (Slot(name="cdc", kind="logical", plugin="wal2json"),)
    made = plan(
        playbook(tmp_path, {"t": {"tenant": {"constant": "a"}}}), catalog(table("t", columns=columns), slots=slots)
    )
    assert said(made, "TEN116") == said(made, "TEN126") == []


def exclusion(**more: Any) -> Index:
    """An exclusion constraint on the name of a table."""
    given: dict[str, Any] = {
        "name": "apart", "constraint": "apart", "constraint_definition": "EXCLUDE USING gist (name WITH &&)",
        "columns": ("name",), "parts": ("name",), "operators": ("&&",), "method": "gist", "exclusion": True,
    }  # fmt: skip
    return Index(**{**given, **more})


def test_an_exclusion_needs_consent_and_a_place_for_its_extension(tmp_path: Path) -> None:
    """Whether btree_gist is there or can be had decides between a plan and an error, and never what the plan does."""
    book = playbook(tmp_path, BOOK)
    there, had, missing = (
        plan(book, catalog(table("t", exclusion()), btree_gist=state)) for state in ("installed", "available", "")
    )
    assert there.operations == had.operations
    assert hazards(there, "rescope_exclusion") & NEEDS_CONSENT == {Hazard.LOCKS_TABLE}
    assert missing.operations == ()
    assert [finding.id for finding in missing.errors] == ["TEN029"]
    plain = exclusion(method="btree", operators=("=",), constraint_definition="EXCLUDE USING btree (name WITH =)")
    made = plan(book, catalog(table("t", plain), btree_gist=""))
    built = next(o for o in made.operations if isinstance(o, RescopeExclusion))
    assert built.statements() == (
        'ALTER TABLE "public"."t" ADD CONSTRAINT "apart_project_id" '
        'EXCLUDE USING btree ("project_id" WITH =, name WITH =);',
    )


def test_a_catalog_of_before_that_knows_no_operators_leaves_the_constraint_alone(tmp_path: Path) -> None:
    """A run that an earlier version began goes on as it was planned."""
    made = plan(playbook(tmp_path, BOOK), catalog(table("t", exclusion(operators=()))))
    assert not made.errors
    assert not any("exclusion" in operation.kind for operation in made.operations)
    assert "does not say how it compares" in said(made, "TEN021")[0].title


def test_the_plan_shows_what_locks_the_table(tmp_path: Path) -> None:
    """LOCKS_TABLE stands beside the lock in what a person reads, and the estimate says for how long."""
    big = table("t", exclusion(), estimated_rows=1_000_000, pages=20_000)
    made = plan(playbook(tmp_path, BOOK), catalog(big, btree_gist="installed"))
    shown = StringIO()
    Console(width=200, file=shown).print(plan_text(made, 200))
    assert "LOCKS_TABLE" in shown.getvalue()
    assert "ACCESS EXCLUSIVE while its index" in shown.getvalue()
    likely = dict(made.estimates)["postgres.rescope_exclusion.t.apart"]
    assert likely.seconds > 60
    assert "exclusive lock" in likely.way
