"""What holds for checks without any store: reports, order, ids and their manual, fingerprints."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.checks import MatrixRow, Report
from tenure.checks.inspect import CHECKS as INSPECT
from tenure.checks.inspect import FIRST, ordered
from tenure.checks.matrix import _sorted
from tenure.checks.rows_unassigned import UNKNOWN
from tenure.checks.sums import OTHERS, Sums, hash_of, range_of
from tenure.checks.verify import CHECKS as VERIFY
from tenure.values import Finding, Severity

MANUAL = Path(__file__).parents[2] / "docs" / "checks.md"


def finding(id_: str, severity: Severity, object_: str = "t", sample: tuple[object, ...] = ()) -> Finding:
    return Finding(id=id_, severity=severity, store="postgres", object=object_, title="x", sample=sample)


@pytest.mark.parametrize(
    ("severities", "ok", "strict"),
    [((), True, True), (("info",), True, True), (("warning",), True, False), (("error", "info"), False, False)],
)
def test_a_report_is_ok_without_errors_and_strict_without_warnings(
    severities: tuple[Severity, ...], ok: bool, strict: bool
) -> None:
    report = Report(findings=tuple(finding("TEN501", severity) for severity in severities))
    assert (report.ok, report.strict()) == (ok, strict)


def test_findings_come_errors_first_and_once() -> None:
    listed = [
        finding("TEN111", "info", "b"),
        finding("TEN502", "error"),
        finding("TEN111", "info", "a", ({"item": [1]},)),
        finding("TEN101", "error"),
        finding("TEN105", "warning"),
        finding("TEN101", "error"),
    ]
    found = [(f.id, f.object) for f in ordered(listed)]
    assert found == [("TEN101", "t"), ("TEN502", "t"), ("TEN105", "t"), ("TEN111", "a"), ("TEN111", "b")]


def test_every_check_has_an_id_in_its_range_a_docstring_and_a_line_in_the_manual() -> None:
    manual = set(re.findall(r"TEN\d{3}", MANUAL.read_text()))
    for checks, ranges in ((FIRST + INSPECT, "1234"), (VERIFY, "5")):
        for check in checks:
            assert re.fullmatch(rf"TEN[{ranges}]\d\d", check.id)
            assert type(check).__doc__
            assert check.id in manual
    ids = [check.id for check in FIRST + INSPECT]
    assert len(ids) == len(set(ids))


def test_fingerprints_do_not_depend_on_order_and_tell_ids_apart() -> None:
    values = [f"id {number}" for number in range(500)]
    assert sum(map(hash_of, values)) == sum(map(hash_of, reversed(values)))
    assert len({hash_of(value) for value in values}) == 500
    assert all(0 <= range_of(value, 16) < 16 for value in values)
    assert len({range_of(value, 16) for value in values}) == 16


ITEMS = st.dictionaries(st.text(max_size=8), st.sampled_from(["", "a", "b"]), max_size=40)


def _rows(items: dict[str, str], ranges: int) -> list[tuple[str, int, int, int]]:
    """What Postgres answers for rows that are these items."""
    counts, sums = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for value, tenant in items.items():
        counts[tenant, range_of(value, ranges)] += 1
        sums[tenant, range_of(value, ranges)] += hash_of(value)
    return [(tenant, place, count, sums[tenant, place]) for (tenant, place), count in counts.items()]


@given(items=ITEMS, rows=ITEMS, ranges=st.sampled_from([1, 16, 1024]))
def test_sums_differ_in_just_those_ranges_where_an_item_does(
    items: dict[str, str], rows: dict[str, str], ranges: int
) -> None:
    sums = Sums(ranges, most=3)
    for value, tenant in items.items():
        sums.add(tenant, value)
    whole = [(tenant, count, total) for tenant, _, count, total in _rows(rows, 1)]
    assert sums.equal(whole) == (items == rows)
    expected = {range_of(value, ranges) for value, _ in items.items() ^ rows.items()}
    assert sums.differing(_rows(rows, ranges)) == expected


def test_sums_of_more_tenants_than_there_is_room_for_are_never_equal() -> None:
    sums = Sums(16, most=2)
    items = {f"id {number}": f"tenant {number}" for number in range(5)}
    for value, tenant in items.items():
        sums.add(tenant, value)
    assert set(sums._sums) == {"tenant 0", "tenant 1", OTHERS}
    assert not sums.equal([(tenant, 1, hash_of(value)) for value, tenant in items.items()])
    assert sums.differing(_rows(items, 16)) == {range_of(f"id {number}", 16) for number in (2, 3, 4)}


def test_tenants_that_are_numbers_are_sorted_as_numbers() -> None:
    assert _sorted({"10", "9", "100"}, "bigint") == ["9", "10", "100"]
    assert _sorted({"10", "9", "100"}, "text") == ["10", "100", "9"]


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("source 1 says Gamma, which is not a tenant", "Gamma"),
        ("source 12 says a, which is not a tenant, which is not a tenant", "a, which is not a tenant"),
        ("the existing key x\ny is not a tenant", "x\ny"),
        ("no source has a value", None),
    ],
)
def test_unknown_values_are_read_from_reasons(reason: str, value: str | None) -> None:
    match = UNKNOWN.match(reason)
    assert (match and (match["said"] if match["said"] is not None else match["there"])) == value


def test_a_matrix_row_is_json() -> None:
    row = MatrixRow(tenant="(shared)", postgres={"t": 1})
    assert row.model_dump(mode="json") == {"tenant": "(shared)", "postgres": {"t": 1}, "neo4j": {}, "qdrant": {}}
