"""What holds for checks without any store: reports, order, ids and their manual, fingerprints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenure.checks import MatrixRow, Report
from tenure.checks.inspect import CHECKS as INSPECT
from tenure.checks.inspect import FIRST, ordered
from tenure.checks.links import hash_of, range_of
from tenure.checks.matrix import _sorted
from tenure.checks.rows_unassigned import UNKNOWN
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
