"""What people read: the matrix at every width, findings, outcomes, plans; always masked, always printable."""

from __future__ import annotations

import io
import re
from typing import Any, ClassVar

import pytest
from rich.console import Console

from key_kit import KEY
from tenure.checks.base import MatrixRow
from tenure.masking import remember_secret
from tenure.operations.base import Operation
from tenure.planner.plan import Plan
from tenure.report.estimate import duration, estimate
from tenure.report.text import clean, findings_table, matrix_tables, outcomes_table, plan_text
from tenure.values import Finding, Hazard, Outcome, Phase, Store


def shown(*renderables: Any, width: int = 120) -> str:
    """Return what a terminal of *width* columns shows."""
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    for renderable in renderables:
        console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def matrix(width: int, rows: list[MatrixRow]) -> str:
    return shown(*matrix_tables(rows, width), width=width)


SMALL = [
    MatrixRow(tenant="jd-007", postgres={"files": 3, "codes": 1200}, neo4j={"Codigo": 7}, qdrant={"fragments": 40}),
    MatrixRow(tenant="(unassigned)", postgres={"files": 0, "codes": 1}, neo4j={"Codigo": 0}, qdrant={"fragments": 0}),
]
TABLES = [f"analisis_tabla_larga_{n}" for n in range(19)]


def wide_rows(tenants: int) -> list[MatrixRow]:
    return [
        MatrixRow(
            tenant=f"tenant-{n:02}",
            postgres=dict.fromkeys(TABLES, 1000 + n),
            neo4j={"Codigo": n, "Fragmento": n},
            qdrant={"fragments": n},
        )
        for n in range(tenants)
    ]


def test_a_small_matrix_is_one_table_with_the_stores_above_their_objects() -> None:
    text = matrix(120, SMALL)
    assert text.count("tenant") == 2  # title and heading
    assert re.search(r"postgres +neo4j +qdrant", text)
    assert re.search(r"jd-007 +3 +1,200 +7 +40", text)
    assert re.search(r"\(unassigned\) +0 +1 +0 +0", text)
    assert re.search(r"total +3 +1,201 +7 +40", text)


def test_a_matrix_without_rows_is_nothing() -> None:
    assert list(matrix_tables([], 80)) == []


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200, 300, 500])
@pytest.mark.parametrize("tenants", [1, 5, 40])
def test_a_wide_matrix_keeps_every_number_whole_at_every_width(width: int, tenants: int) -> None:
    text = matrix(width, wide_rows(tenants))
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    # Each tenant's number of each table: no cell is cut, folded or dropped.
    for n in range(tenants):
        assert len(re.findall(rf"\b1,{n:03}\b", text)) >= len(TABLES)


def test_a_matrix_that_is_too_wide_is_split_by_store() -> None:
    text = matrix(100, wide_rows(5))
    assert "postgres: items by tenant" in text
    assert "neo4j: items by tenant" in text
    assert "qdrant: items by tenant" in text
    # Few tenants and many tables: the tables go down the side, with their whole names.
    assert "analisis_tabla_larga_18" in text


def test_an_object_that_a_row_does_not_know_is_empty_and_not_zero() -> None:
    rows = [MatrixRow(tenant="a", postgres={"x": 1}), MatrixRow(tenant="b", postgres={"y": 2})]
    lines = matrix(80, rows).splitlines()
    assert next(line for line in lines if line.startswith("a")).split() == ["a", "1"]


def finding(severity: Any = "error", **fields: Any) -> Finding:
    return Finding(
        **{"id": "TEN104", "severity": severity, "store": "postgres", "object": "t", "title": "odd"} | fields
    )


def test_findings_are_grouped_worst_first_with_samples_and_remedy() -> None:
    text = shown(
        findings_table(
            [
                finding("info", title="just so"),
                finding("error", title="no tenant", count=9, sample=tuple(range(6)), remedy="Register it."),
                finding("warning", title="drift"),
            ]
        )
    )
    assert text.index("Errors (1)") < text.index("Warnings (1)") < text.index("Notices (1)")
    assert "TEN104 postgres t: no tenant (9)." in text
    assert "… and 4 more" in text
    assert "→ Register it." in text


def test_all_samples_shown_means_that_nothing_more_is_claimed() -> None:
    assert "more" not in shown(findings_table([finding(count=2, sample=("a", "b"))]))


def test_text_is_masked_and_cannot_steer_a_terminal() -> None:
    remember_secret("s3cr3t-token")
    text = shown(findings_table([finding(title="s3cr3t-token \x1b[2J[red]x[/red]", object="a\nb")]))
    assert "s3cr3t-token" not in text
    assert "\x1b" not in text
    assert "[red]x[/red]" in text
    assert "a\\nb" in text
    assert clean("postgresql://u:hunter22@h/d") == "postgresql://u:***@h/d"


class Sample(Operation):
    kind: ClassVar[str] = "cli_text_sample"
    phase: ClassVar[Phase] = Phase.BACKFILL
    store: ClassVar[Store] = "postgres"
    ranged: ClassVar[bool] = True

    def describe(self) -> str:
        return f"do something to {self.object}"

    def statements(self) -> tuple[str, ...]:
        return ("SELECT 1;",)


class Step(Operation):
    kind: ClassVar[str] = "cli_text_step"
    phase: ClassVar[Phase] = Phase.EXPAND
    store: ClassVar[Store] = "postgres"

    def describe(self) -> str:
        return f"step {self.object}"


def plan_of(*operations: Operation, **fields: Any) -> Plan:
    return Plan(key=KEY, playbook_digest="p", catalog_digest="c", operations=operations, **fields)


def test_a_plan_shows_what_lock_hazards_items_time_findings_and_hash() -> None:
    plan = plan_of(
        Sample(object="a", planned=3_400_000, lock="ROW EXCLUSIVE", hazards=(Hazard.FIRES_TRIGGERS,)),
        Sample(object="b", waiting="comes later"),
        findings=(finding("warning"),),
        untouched=(("postgres", "users", "shared: one account"),),
    )
    text = shown(plan_text(plan, 120))
    for part in ("backfill", "do something to a", "ROW EXCLUSIVE", "FIRES_TRIGGERS", "3,400,000", "2 min"):
        assert part in text
    assert "waits: comes later" in text
    assert "Warnings (1)" in text
    assert "postgres users: shared: one account" in text
    assert f"2 operations, plan {plan.hash[:16]}" in text


def test_a_hazard_that_needs_consent_is_shown_even_when_the_lock_has_its_name() -> None:
    named = Sample(object="a", lock="ACCESS EXCLUSIVE", hazards=(Hazard.ACCESS_EXCLUSIVE, Hazard.TABLE_REWRITE))
    text = shown(plan_text(plan_of(named), 120))
    assert "TABLE_REWRITE" in text
    assert "ACCESS_EXCLUSIVE" not in text


def test_a_plan_has_the_object_in_a_column_of_its_own_where_there_is_room() -> None:
    assert " object " in shown(plan_text(plan_of(Sample(object="a")), 200), width=200)
    assert " object " not in shown(plan_text(plan_of(Sample(object="a")), 80), width=80)


def test_outcomes_are_planned_changed_left() -> None:
    outcome = Outcome(planned=1500, changed=1400, left=100, note="n")
    assert re.search(r"do something to t +1,500 +1,400 +100 +n", shown(outcomes_table([(Sample(object="t"), outcome)])))


def test_single_steps_are_one_line_a_phase_unless_something_is_to_be_said() -> None:
    done, failed = Outcome(planned=1, changed=1), Outcome(planned=1, left=1, note="why")
    text = shown(outcomes_table([(Step(object="a"), done), (Step(object="b"), done), (Step(object="c"), failed)]))
    assert re.search(r"single steps of expand \(2\) +2 +2 +0", text)
    assert re.search(r"step c +1 +0 +1 +why", text)


def test_a_remedy_that_findings_share_is_said_once() -> None:
    text = shown(findings_table([finding(object=name, remedy="Do it.") for name in "abc"]))
    assert text.count("Do it.") == 1
    text = shown(findings_table([finding(remedy="Do it."), finding(id="TEN105", remedy="Do it.")]))
    assert text.count("Do it.") == 2


def test_samples_are_in_words() -> None:
    sample = ({"item": {"id": 7, "name": "x"}, "reason": "no source"}, {"item": "n", "tenants": ["a", "b"]}, "plain")
    text = shown(findings_table([finding(count=3, sample=sample)]))
    assert "id=7, name=x: no source" in text
    assert 'n: tenants=["a", "b"]' in text
    assert "plain" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.2, "< 1 s"), (59.6, "60 s"), (120, "2 min"), (3 * 3600, "3.0 h")],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_only_what_goes_through_items_has_an_estimate() -> None:
    assert estimate(Sample(object="a", planned=34_000)) == 1
    assert estimate(Sample(object="a")) is None
