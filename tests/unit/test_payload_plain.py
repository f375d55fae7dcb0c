"""What is plain about a point is decided as everything else is, in every sort of value and of answer."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from test_points_decide import BY_FILE, ROWS, Known, There, spec

from tenure.attribution.points import PointSpec, decide_points
from tenure.attribution.resolve import Answer, Says
from tenure.attribution.spec import ColumnSource, ConstantSource, EndsSource
from tenure.operations.payload_plain import plain_points
from tenure.operations.payload_writes import Pending
from tenure.stores.qdrant import Point

COLUMN = ColumnSource(name="proyecto")
NESTED = ColumnSource(name="meta.project")
SPECS = [
    spec(COLUMN),
    spec(ROWS),
    spec(COLUMN, ROWS),
    spec(BY_FILE, COLUMN),
    spec(COLUMN, ConstantSource(value="beta")),
    spec(ConstantSource(value="acme"), COLUMN),
    spec(NESTED, BY_FILE),
]
SAID: list[Any] = [
    "acme",
    "beta",
    "ACME Corp",
    "nobody",
    "default",
    "",
    None,
    7,
    7.0,
    True,
    ["acme"],
    {"project": "acme"},
]
FILES: list[Any] = ["a.docx", "b.docx", "gone", "quarantined", "shared", "several", None, 7, "", ["a.docx"]]
ANSWERS = {
    "a.docx": Answer(Says.TENANT, "acme"),
    "b.docx": Answer(Says.TENANT, "beta"),
    "7": Answer(Says.TENANT, "acme"),
    "quarantined": Answer(Says.QUARANTINED, "__quarantine__"),
    "shared": Answer(Says.SHARED, "__shared__"),
    "several": Answer(Says.SEVERAL),
    "p1": Answer(Says.TENANT, "beta"),
}
KEYS: list[Any] = [None, "acme", "default", "", "__quarantine__", "nobody", 42]
KNOWN = Known(("acme", "beta", "7"), **ANSWERS)


def every_sort() -> list[Point]:
    """Points with every value in every field, and with every key that may be there."""
    points = []
    for number, (said, file, nested) in enumerate(product(SAID, FILES, ["acme", None])):
        payload = {"proyecto": said, "archivo": file, "meta": {"project": nested}}
        points.append(Point(f"p{number % 3}", payload if number % 5 else {**payload, "project_id": None}))
    points += [Point(7, {"project_id": key, "proyecto": said}) for key, said in product(KEYS, ["acme", "beta", None])]
    points += [Point("p1", {}), Point(7, {})]
    # A field that is called so, where others have it nested.
    points += [
        Point("p2", {"meta.project": said, "archivo": file}) for said, file in product(SAID, ["a.docx", "b.docx"])
    ]
    return points


@pytest.mark.parametrize("rule", SPECS, ids=lambda rule: " ".join(one.form for one in rule.rule.sources))
def test_what_is_plain_comes_to_what_is_decided(rule: PointSpec) -> None:
    """Point by point; what is left is nothing that plain points would have to be told apart from."""
    plain = 0
    for point in every_sort():
        groups, rest = plain_points(rule, [point], KNOWN)
        if rest:
            assert (groups, list(rest)) == ({}, [point])
            continue
        plain += 1
        ((tenant, ids),) = groups.items()
        (one,) = decide_points(rule, [point], KNOWN, There())
        assert (ids, tenant) == ([point.id], one.write)
        assert (one.decision.bin, one.stale, one.present) == ("assigned", False, None)
    assert plain >= 5, "some are plain"


@pytest.mark.parametrize("rule", SPECS, ids=lambda rule: " ".join(one.form for one in rule.rule.sources))
def test_a_page_is_written_as_if_each_was_decided(rule: PointSpec) -> None:
    """The same ids with the same old and new keys, and none twice."""
    points = [Point(number, point.payload) for number, point in enumerate(every_sort())]
    expected, found = Pending(rule), Pending(rule)
    expected.add(decide_points(rule, points, KNOWN, There()))
    groups, rest = plain_points(rule, points, KNOWN)
    found.plain(groups)
    found.add(decide_points(rule, rest, KNOWN, There()))
    assert {group: sorted(ids) for group, ids in found.groups.items()} == {
        group: sorted(ids) for group, ids in expected.groups.items()
    }
    assert found.points == expected.points
    assert sorted(found.quarantined) == sorted(expected.quarantined)
    assert groups, "some are plain"
    assert rest, "some are not"


def test_a_source_that_is_no_field_row_or_constant_leaves_all() -> None:
    """Such a rule is decided one by one."""
    points = [Point("p1", {"proyecto": "acme"})]
    assert plain_points(spec(COLUMN, EndsSource()), points, KNOWN) == ({}, points)
