"""How points are decided: states of the key, its canonical form, stale points and drift, without any store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import pytest

from tenure.attribution.items import Lookups, as_text
from tenure.attribution.points import (
    SILENT,
    KeyState,
    PointSpec,
    RowsExist,
    canonical,
    decide_points,
    equals_filter,
    is_untagged,
    state,
    untagged_filter,
)
from tenure.attribution.resolve import NOTHING, Answer, Says, decide
from tenure.attribution.spec import ColumnSource, ConstantSource, ItemRule, ItemSource, Policy, RowSource
from tenure.stores.qdrant import Point
from tenure.values import KeyType, TableName, TenantKey

UUID = "0190a8e2-3b7f-7c1d-8f00-0123456789ab"
ROWS = RowSource(table=TableName(name="frag"), column="id", column_type="text", unique=True)
BY_FILE = RowSource(table=TableName(name="files"), column="name", column_type="text", match="archivo", unique=True)


def key(type_: KeyType = "text", untagged: tuple[str, ...] = ("default",)) -> TenantKey:
    """A tenant key of a type."""
    sentinels = {
        "text": ("__quarantine__", "__shared__"),
        "uuid": ("ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"),
        "bigint": (str(-(2**63)), "0"),
    }[type_]
    registry = TableName(name="proyectos")
    return TenantKey(
        name="project_id",
        type=type_,
        untagged=untagged,
        quarantine=sentinels[0],
        shared=sentinels[1],
        registry=registry,
        registry_column="id",
    )


def spec(*sources: ItemSource, type_: KeyType = "text", policy: Policy | None = None) -> PointSpec:
    """A collection with *sources*."""
    rule = ItemRule(key=key(type_), sources=sources or (ROWS,), policy=policy or Policy(unassigned="quarantine"))
    return PointSpec(collection="c", rule=rule)


class Known(Lookups):
    """Knows tenants, aliases and rows by heart."""

    def __init__(self, tenants: Iterable[str] = ("acme", "beta"), **rows: Answer) -> None:
        """Keep what is known; *rows* are answers by the text of the value that is looked up."""

        def connect() -> NoReturn:
            raise AssertionError("no database here")

        super().__init__(connect, key())
        self._tenants = {tenant: tenant for tenant in tenants} | {"ACME Corp": "acme"}
        self._rows = rows

    def values(self, said: Iterable[Any]) -> dict[str, Answer]:
        """Answer from memory."""
        texts = {as_text(value) for value in said if value is not None}
        found = {text: self._tenants.get(text) for text in texts}
        return {
            text: NOTHING
            if text == "default"
            else Answer(Says.TENANT, tenant)
            if tenant
            else Answer(Says.UNKNOWN, text)
            for text, tenant in found.items()
        }

    def rows(self, source: RowSource, values: Iterable[Any]) -> dict[str, Answer]:
        """Answer from memory."""
        return {as_text(value): self._rows.get(as_text(value), NOTHING) for value in values if value is not None}


class There(RowsExist):
    """Knows which values have a row."""

    def __init__(self, *values: str) -> None:
        """Keep the values; counts the questions."""
        self._values = set(values)
        self.asked = 0

    def __call__(self, source: RowSource, values: Iterable[Any]) -> set[str]:
        """Answer from memory."""
        self.asked += 1
        return self._values & {as_text(value) for value in values if value is not None}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, KeyState.MISSING),
        ({"project_id": None}, KeyState.NULL),
        ({"project_id": ""}, KeyState.EMPTY),
        ({"project_id": []}, KeyState.EMPTY),
        ({"project_id": "default"}, KeyState.UNTAGGED),
        ({"metadata": {"project_id": "acme"}}, KeyState.NESTED),
        ({"project_id": "default", "metadata": {"project_id": "acme"}}, KeyState.NESTED),
        ({"metadata": {"project_id": ""}}, KeyState.MISSING),
        ({"metadata": ["project_id"]}, KeyState.MISSING),
        ({"project_id": "acme", "metadata": {"project_id": "beta"}}, KeyState.TENANT),
        ({"project_id": "ACME Corp"}, KeyState.TENANT),
        ({"project_id": "nobody"}, KeyState.UNKNOWN),
        ({"project_id": "__quarantine__"}, KeyState.SENTINEL),
        ({"project_id": "__shared__"}, KeyState.SENTINEL),
        ({"project_id": 7}, KeyState.WRONG_TYPE),
        ({"project_id": False}, KeyState.WRONG_TYPE),
        ({"project_id": ["acme"]}, KeyState.WRONG_TYPE),
        ({"project_id": [None]}, KeyState.WRONG_TYPE),
        ({"project_id": {}}, KeyState.WRONG_TYPE),
    ],
)
def test_every_key_has_one_state(payload: dict[str, Any], expected: KeyState) -> None:
    """Missing, null, empty, nested and wrong-typed keys are told apart."""
    assert state(spec(), payload, lambda text: text in ("acme", "beta", "ACME Corp")) is expected


@pytest.mark.parametrize(
    ("type_", "present", "expected"),
    [
        ("text", "Acme", "Acme"),
        ("text", 7, "7"),
        ("text", True, True),
        ("text", ["acme"], ["acme"]),
        ("bigint", 42, "42"),
        ("bigint", 42.0, "42"),
        ("uuid", UUID.upper(), UUID),
        ("uuid", UUID.replace("-", ""), UUID),
        ("uuid", "no uuid", "no uuid"),
        ("uuid", None, None),
    ],
)
def test_a_key_is_written_as_postgres_writes_it(type_: KeyType, present: Any, expected: Any) -> None:
    """Numbers become text, uuids their lower-case form; what cannot be one stays."""
    assert canonical(key(type_), present) == expected


def test_a_right_key_of_another_type_or_spelling_is_rewritten() -> None:
    """A bigint key that is a number becomes text; an alias becomes its tenant; the right one is left alone."""
    known = Known(("42", "acme"), a=Answer(Says.TENANT, "42"), b=Answer(Says.TENANT, "acme"))
    points = [
        Point("a", {"project_id": 42}),
        Point("a", {"project_id": "42"}),
        Point("b", {"project_id": "ACME Corp"}),
        Point("b", {"project_id": "acme"}),
    ]
    decided = decide_points(spec(type_="bigint"), points, known, There("a", "b"))
    assert [one.write for one in decided] == ["42", None, "acme", None]


def test_stale_is_apart_from_unassigned_and_overrules_its_policy() -> None:
    """No row: stale, the sentinel. A row without a tenant: unassigned, what the playbook says."""
    for policy in (Policy(), Policy(unassigned="shared"), Policy(unassigned="keep_null")):
        rule = spec(policy=policy)
        stale, known = decide_points(rule, [Point("x", {}), Point("row", {})], Known(), There("row"))
        assert (stale.stale, stale.write, stale.reason) == (True, "__quarantine__", "no row knows this point")
        assert not known.stale
        assert known.write == {"fail": None, "shared": "__shared__", "keep_null": None}[policy.unassigned]


def test_without_a_row_source_nothing_is_stale() -> None:
    """Where tenants come from the payload, a point without the field is unassigned."""
    rows = There()
    (one,) = decide_points(spec(ColumnSource(name="proyecto"), policy=Policy()), [Point(1, {})], Known(), rows)
    assert (one.stale, one.decision.bin, one.write) == (False, "unassigned", None)
    assert rows.asked == 0


def test_an_unknown_value_is_unassigned_and_not_stale() -> None:
    """A payload that names somebody who is not registered is for a person to decide, not for quarantine."""
    rule = spec(ROWS, ColumnSource(name="proyecto"), policy=Policy())
    (one,) = decide_points(rule, [Point("x", {"proyecto": "nobody"})], Known(), There())
    assert (one.stale, one.write) == (False, None)
    assert "nobody" in one.reason


@pytest.mark.parametrize("payload", [{"project_id": "beta"}, {"proyecto": "beta"}])
def test_a_point_that_names_a_tenant_and_has_no_row_is_drift(payload: dict[str, Any]) -> None:
    """It is keyed and said, only where drift is asked for; with a row it is none."""
    rule = spec(ROWS, ColumnSource(name="proyecto"))
    (one,) = decide_points(rule, [Point("x", payload)], Known(), There(), drift=True)
    assert (one.drift, one.decision.bin, one.stale) == (True, "assigned", False)
    (one,) = decide_points(rule, [Point("x", payload)], Known(), There("x"), drift=True)
    assert not one.drift
    (one,) = decide_points(rule, [Point("x", payload)], Known(), There())
    assert not one.drift


def test_rows_are_matched_by_a_payload_field_where_it_is_named() -> None:
    """`{payload: archivo, postgres: files.name}`: the field is looked up, nested ones too; a list is no value."""
    rule = spec(BY_FILE.model_copy(update={"match": "meta.archivo"}))
    known = Known(uno=Answer(Says.TENANT, "acme"))
    points = [Point(1, {"meta": {"archivo": "uno"}}), Point(2, {"meta": {"archivo": ["uno"]}}), Point(3, {})]
    decided = decide_points(rule, points, known, There("uno"))
    assert [one.write for one in decided] == ["acme", "__quarantine__", "__quarantine__"]
    assert [one.stale for one in decided] == [False, True, True]
    assert rule.fields == ("project_id", "metadata.project_id", "meta.archivo")


def test_a_constant_rule_keys_everything() -> None:
    """One tenant for the whole collection."""
    (one,) = decide_points(spec(ConstantSource(value="acme")), [Point(1, {})], Known(), There())
    assert one.write == "acme"


def test_the_words_of_silence_are_the_resolver_s() -> None:
    """`SILENT` is what `decide` says when no source has a value."""
    assert decide([NOTHING], NOTHING, None, Policy(), key()).reason == SILENT


def test_filters() -> None:
    """Empty text is always among the untagged values, once; old values are compared exactly where Qdrant can."""
    untagged = untagged_filter(key(untagged=("default", "")))
    assert untagged == {
        "should": [
            {"is_empty": {"key": "project_id"}},
            {"key": "project_id", "match": {"any": ["", "default"]}},
        ]
    }
    assert equals_filter(key(), "x") == {"must": [{"key": "project_id", "match": {"value": "x"}}]}
    assert equals_filter(key(), 7) == {"must": [{"key": "project_id", "match": {"value": 7}}]}
    for other in (True, 1.5, {"a": 1}, [None], [1]):
        assert equals_filter(key(), other) == {"must_not": [untagged_filter(key())]}
    odd = key().model_copy(update={"name": "project id"})
    assert untagged_filter(odd)["should"][0] == {"is_empty": {"key": '"project id"'}}


def test_untagged_values_are_texts() -> None:
    """A number that reads like an untagged word is a wrong type, as it is for the store's filter."""
    zero = key("bigint", untagged=("7",))
    assert is_untagged(zero, "7")
    assert not is_untagged(zero, 7)
