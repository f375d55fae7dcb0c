"""The script for Qdrant decides as the library does: every answer, existing key and policy that there is."""

from __future__ import annotations

import uuid
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from key_kit import KEY as PLAIN_KEY
from tenure.attribution import resolve
from tenure.attribution.spec import Policy
from tenure.render.script import decide as script

KEY = PLAIN_KEY.model_copy(update={"untagged": ("default",)})
SAID = [
    ("nothing", None),
    ("tenant", "a"),
    ("tenant", "b"),
    ("unknown", "x"),
    ("several", None),
    ("quarantined", KEY.quarantine),
    ("shared", KEY.shared),
]
THERE = [one for one in SAID if one[0] != "several"]


@pytest.fixture(autouse=True)
def planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan in the place where the renderer puts one."""
    plan = {
        "key": KEY.name,
        "type": "text",
        "untagged": list(KEY.untagged),
        "quarantine": KEY.quarantine,
        "shared": KEY.shared,
        "tenants": "tenants.csv",
        "collections": [{"sources": [{"form": "row", "file": "rows.csv", "match": None}]}],
    }
    for name, value in plan.items():
        monkeypatch.setitem(script.PLAN, name, value)


@pytest.mark.parametrize("sources", [1, 2, 3])
def test_the_script_decides_as_the_library(sources: int) -> None:
    """All answers of up to three sources, all existing keys, all policies: same bin, same key, same reason."""
    policies = [
        Policy.model_validate({"unassigned": unassigned, "conflict": conflict, "existing": existing, "assign": "b"})
        for unassigned in ("fail", "quarantine", "shared", "assign", "keep_null")
        for conflict in ("fail", "quarantine", "first")
        for existing in ("conflict", "keep", "rederive")
    ]
    compared = 0
    for said in product(SAID, repeat=sources):
        for present, policy in product(THERE, policies):
            answers = [resolve.Answer(resolve.Says(says), value) for says, value in said]
            existing = resolve.Answer(resolve.Says(present[0]), present[1])
            expected = resolve.decide(answers, existing, None, policy, KEY)
            found = script.decide([script.Answer(*one) for one in said], script.Answer(*present), policy.model_dump())
            assert (found.bin, found.key) == (expected.bin, expected.write), (said, present, policy)
            if not expected.by_application and not expected.reason.startswith("the existing key"):
                assert found.reason == expected.reason
            compared += 1
    assert compared == 7**sources * 6 * 45


@pytest.mark.parametrize(
    ("kind", "present", "expected"),
    [
        ("text", 7.0, "7"),
        ("text", True, True),
        ("text", ["a"], ["a"]),
        ("uuid", "{" + str(uuid.UUID(int=5)).upper() + "}", str(uuid.UUID(int=5))),
        ("uuid", "no uuid", "no uuid"),
    ],
)
def test_keys_are_compared_as_postgres_writes_them(
    monkeypatch: pytest.MonkeyPatch, kind: str, present: Any, expected: Any
) -> None:
    """Numbers as text without a point, uuids in lower case with hyphens; the rest as it is."""
    monkeypatch.setitem(script.PLAN, "type", kind)
    assert script.canonical(present) == expected


def test_lookups_read_what_the_sql_file_writes(tmp_path: Path) -> None:
    """Encoded values come back as they were; a missing file, or one of another form, is said by its name."""
    (tmp_path / "tenants.csv").write_text("value,tenant\na,a\n%22x%0A%25,a\n", encoding="utf-8")
    (tmp_path / "rows.csv").write_text('value,says,tenant\n1,tenant,a\n2,nothing,\n"3,4",several,\n', encoding="utf-8")
    lookups = script.Lookups(tmp_path)
    assert lookups.tenants(["a", '"x\n%', "default", "z"]) == {
        "a": ("tenant", "a"),
        '"x\n%': ("tenant", "a"),
        "default": ("nothing", None),
        "z": ("unknown", "z"),
    }
    assert lookups.rows("rows.csv", ["1", "2", "3,4", "5"]) == {
        "1": ("tenant", "a"),
        "2": ("nothing", None),
        "3,4": ("several", None),
    }
    (tmp_path / "rows.csv").write_text("wert\n1\n", encoding="utf-8")
    with pytest.raises(script.Stop, match=r"rows\.csv: there is no column 'value'"):
        script.Lookups(tmp_path)
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(script.Stop, match=r"rows\.csv: No such file"):
        script.Lookups(tmp_path)
