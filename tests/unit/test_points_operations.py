"""Qdrant's operations as values: JSON and back, ids, sentences, statements that are Python, names of new ids."""

from __future__ import annotations

import ast
import subprocess
import sys
import uuid
from typing import Any

import pytest
from test_points_decide import BY_FILE, ROWS, spec

from tenure.attribution.spec import ColumnSource, ConstantSource
from tenure.operations import load
from tenure.operations.base import Operation
from tenure.operations.copy_points import CopyPoints
from tenure.operations.payload_writes import IDS, SMALL, steered
from tenure.operations.point_copies import plain
from tenure.operations.rekey_points import LostVectors, RekeyPoints
from tenure.operations.set_payload import SetPayload
from tenure.operations.tenant_index import TenantIndex
from tenure.values import TableName

REKEY: dict[str, Any] = {
    "object": "c",
    "collection": "c",
    "spec": spec(),
    "template": "{tenant}|{archivo}|{meta.par_idx}",
    "namespace": str(uuid.NAMESPACE_URL),
    "target": "c2",
    "alias": "readers",
    "lost": LostVectors(table=TableName(name="frag"), column="embedding", payload=(("archivo", "file"),)),
}
OPERATIONS: list[Operation] = [
    TenantIndex(object="c", collection="c", key=spec().key),
    TenantIndex(object="c", collection="c", key=spec(type_="uuid").key),
    SetPayload(object="c", spec=spec(ROWS, BY_FILE, ColumnSource(name="a.b"), ConstantSource(value="x")), points=10**6),
    CopyPoints(**REKEY),
    RekeyPoints(**REKEY),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.kind)
def test_an_operation_survives_json_and_says_what_it_does(operation: Operation) -> None:
    """The value that a plan keeps is the value that apply runs; a DBA gets Python that parses."""
    assert load(operation.dump()) == operation
    assert operation.id == f"qdrant.{operation.kind}.c"
    assert "c" in operation.describe()
    for statement in operation.statements():
        ast.parse(statement)
    assert operation.statements()


def test_the_bill_of_re_indexing_is_in_the_sentence() -> None:
    """A million points take minutes of re-indexing, and the plan says how many."""
    assert "in the order of 11 min" in OPERATIONS[2].describe()
    assert "1,000,000 points" in OPERATIONS[2].describe()


def test_a_uuid_key_gets_a_uuid_index() -> None:
    """Tenant indexes exist for keywords and uuids; a bigint key is text."""
    wanted = {"text": "keyword", "uuid": "uuid", "bigint": "keyword"}
    keys = [spec(type_="text").key, spec(type_="uuid").key, spec(type_="bigint").key]
    assert {key.type: TenantIndex(object="c", collection="c", key=key).index.kind for key in keys} == wanted


def test_a_new_id_is_the_uuid5_of_the_filled_template() -> None:
    """Nested fields, numbers in plain decimal; a missing field is named."""
    copy = CopyPoints(**REKEY)
    expected = str(uuid.uuid5(uuid.NAMESPACE_URL, "acme|a.docx|12"))
    for index in (12, 12.0, "12"):
        assert copy.new_id("acme", 1, {"archivo": "a.docx", "meta": {"par_idx": index}}) == expected
    with pytest.raises(KeyError, match=r"meta\.par_idx"):
        copy.new_id("acme", 1, {"archivo": "a.docx"})
    by_id = copy.model_copy(update={"template": "{{x}}{tenant}/{id}"})
    assert by_id.new_id("acme", 7, {}) == str(uuid.uuid5(uuid.NAMESPACE_URL, "{x}acme/7"))


@pytest.mark.parametrize(
    ("value", "expected"), [(1, "1"), (2.0, "2"), (0.1, "0.1"), (1e-7, "0.0000001"), (1e22, "10000000000000000000000")]
)
def test_numbers_are_plain_decimals(value: Any, expected: str) -> None:
    """No exponent and no trailing zero: the same text that another program would write."""
    assert plain(value) == expected


def test_request_sizes_follow_the_time_they_take() -> None:
    """Twice too slow is halved, fast is doubled, within bounds."""
    assert steered(4000, 0.6, 0.3) == 2000
    assert steered(1000, 0.1, 0.3) == 2000
    assert steered(IDS, 0.001, 0.3) == IDS
    assert steered(SMALL, 60.0, 0.3) == SMALL


def test_the_driver_is_loaded_on_first_use_only() -> None:
    """Importing the operations costs no driver (0.9 s)."""
    code = (
        "import sys, tenure.operations.rekey_points, tenure.attribution.points; print('qdrant_client' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
