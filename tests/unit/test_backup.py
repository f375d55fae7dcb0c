"""Files, manifest, fingerprints and values of a backup, without a server."""

from __future__ import annotations

import gzip
import json
import math
import random
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from qdrant_client import models

from tenure.backup import files, neo4j_values, qdrant_values, tools
from tenure.backup.fingerprint import Sums, compact, differences, item_hash
from tenure.backup.manifest import BackupFile, Entry, Manifest, Source, load_manifest
from tenure.backup.neo4j_numbers import Numbers
from tenure.errors import BackupDamagedError, BackupToolError, UsageError


def entry(name: str = "casos") -> Entry:
    return Entry(
        store="qdrant",
        object=name,
        method="export",
        items=1,
        fingerprints={name: "1:ab"},
        files=(BackupFile(path="qdrant/x", bytes=3, sha256="00"),),
        started="a",
        finished="b",
    )


def manifest() -> Manifest:
    return Manifest(
        tenure="0.1",
        started="2026-01-01T00:00:00+00:00",
        finished="x",
        sources={"qdrant": Source(address="http://h:1", version="1.18.3")},
        entries=(entry(),),
    )


def test_sums_do_not_depend_on_order_and_tell_two_from_one() -> None:
    texts = [compact({"b": n, "a": [n]}) for n in range(50)]
    one, other, twice = Sums(), Sums(), Sums()
    for text in texts:
        one.add("x", item_hash(text))
    for text in random.Random(1).sample(texts, 50):
        other.add("x", item_hash(text))
    for text in [*texts[:-1], texts[0]]:
        twice.add("x", item_hash(text))
    assert one.result() == other.result()
    assert one.result()["x"].startswith("50:")
    assert twice.result() != one.result()


def test_differences_name_the_object_and_the_kind() -> None:
    assert differences(
        {"a": "1:00", "b": "2:00", "c": "3:00", "d": "1:0"}, {"a": "1:00", "b": "2:11", "c": "4:0", "e": "1:0"}
    ) == [
        "b: 2 items, with other content",
        "c: 4 items instead of 3",
        "d: is missing",
        "e: is there and was not backed up",
    ]


def test_not_a_number_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        compact([math.nan])


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), files.writing(tmp_path, "a/b.jsonl.gz") as written:  # noqa: PT012
        written.line("half")
        raise RuntimeError
    assert list((tmp_path / "a").iterdir()) == []
    with files.writing(tmp_path, "a/b.jsonl.gz") as written:
        written.line('{"n":1}')
        written.line('{"n":2}')
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.jsonl.gz.partial"]
    path = tmp_path / "a" / "b.jsonl.gz"
    assert gzip.decompress(path.read_bytes()) == b'{"n":1}\n{"n":2}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert written.file == files.described(tmp_path, path)
    assert list(files.lines(tmp_path, "a/b.jsonl.gz")) == [{"n": 1}, {"n": 2}]
    assert files.fault(tmp_path, written.file, lambda _: None) is None


def test_the_manifest_comes_back_and_knows_an_edit(tmp_path: Path) -> None:
    manifest().save(tmp_path)
    assert load_manifest(tmp_path) == manifest()
    path = tmp_path / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace("1:ab", "1:ac"))
    with pytest.raises(BackupDamagedError, match=r"manifest\.json is altered"):
        load_manifest(tmp_path)
    path.write_text(text[:-30])
    with pytest.raises(BackupDamagedError, match="cannot be read"):
        load_manifest(tmp_path)
    path.write_text(json.dumps({**json.loads(text), "format": 99}))
    with pytest.raises(UsageError, match="newer tenure"):
        load_manifest(tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match="holds no backup"):
        load_manifest(tmp_path)


def test_an_entry_takes_the_place_of_its_like() -> None:
    again = entry().model_copy(update={"items": 7})
    assert [e.items for e in manifest().with_entry(again).entries] == [7]
    assert len(manifest().with_entry(entry("other")).entries) == 2


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, 2**63 - 1, -(2**63), 0.1, 1.0, 5e-324, math.inf, -math.inf, "", "ñ🎉\x00"),
        *(b"", b"\x00\xff", [1, 2], [1.0, math.inf], ["a"], [True], [], [b"x"]),
    ],
)
def test_values_of_a_graph_come_back_as_they_were(value: Any) -> None:
    back = neo4j_values.decode(json.loads(compact(neo4j_values.encode(value))))
    assert back == value
    assert type(back) is type(value)


def test_minus_zero_and_not_a_number_come_back() -> None:
    assert math.copysign(1, neo4j_values.decode(json.loads(compact(neo4j_values.encode(-0.0))))) == -1
    assert math.isnan(neo4j_values.decode(neo4j_values.encode(math.nan)))


def test_what_no_property_can_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="of type dict"):
        neo4j_values.encode({"a": 1})


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00+05:30[Asia/Kolkata]", "2024-01-01T00:00:00+05:30[Asia/Kolkata]"),
        (
            "1800-01-01T00:00:00.5+00:53:28[Europe/Berlin]",
            {"year": 1800, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "nanosecond": 500_000_000}
            | {"timezone": "Europe/Berlin"},
        ),
        ("01:02:03-01:02:03", {"hour": 1, "minute": 2, "second": 3, "timezone": "-01:02:03"}),
        (["2024-01-01", "-0044-03-15"], ["2024-01-01", "-0044-03-15"]),
    ],
)
def test_times_that_the_server_cannot_read_go_as_parts(text: Any, argument: Any) -> None:
    assert neo4j_values.temporal_argument(text) == argument


@pytest.mark.parametrize(
    "vector",
    [
        [0.1, -2.5, 3e-40],
        [[1.0, 2.0], [3.0, 4.5], [0.1, 0.2]],
        {"dense": [1.0], "none": models.SparseVector(indices=[], values=[]), "multi": [[1.0, 2.0]]},
        {"sparse": models.SparseVector(indices=[4_000_000_000, 2], values=[0.5, -1.0])},
        {},
        None,
    ],
)
def test_vectors_come_back_with_all_their_bits(vector: Any) -> None:
    record = SimpleNamespace(id=7, payload={"a": None}, vector=vector)
    once = qdrant_values.encode(record)
    point = qdrant_values.decode(json.loads(compact(once)))
    assert point.id == 7
    assert point.payload == {"a": None}
    again = qdrant_values.encode(SimpleNamespace(id=7, payload=point.payload, vector=point.vector))
    assert again == ({**once, "v": {"named": {}}} if vector is None else once)


def test_only_the_last_bits_of_cosine_vectors_may_differ() -> None:
    def point(*numbers: float, **payload: Any) -> dict[str, Any]:
        return qdrant_values.encode(SimpleNamespace(id=1, payload=payload, vector={"c": list(numbers), "d": [1.0]}))

    one, close = point(0.6, 0.8), point(0.6, 0.80000007)
    assert one != close
    assert qdrant_values.near(one, close, {"c"})
    assert not qdrant_values.near(one, close, {"d"})
    assert not qdrant_values.near(one, point(0.6, 0.81), {"c"})
    assert not qdrant_values.near(one, point(0.6, 0.8, 0.0), {"c"})
    assert not qdrant_values.near(one, point(0.6, 0.8, a=1), {"c"})


def test_numbers_of_nodes_outlive_a_process_and_a_half_file_does_not(tmp_path: Path) -> None:
    path = tmp_path / "work" / "numbers.sqlite"
    with Numbers(path) as numbers, numbers.file("a") as number:
        assert [number("x", b"1"), number("y", b"2")] == [1, 2]
    with Numbers(path) as numbers:
        with pytest.raises(RuntimeError), numbers.file("b") as number:  # noqa: PT012
            assert number("x", b"1") is None
            assert number("z", b"3") == 3
            raise RuntimeError
        numbers.keep_only(["a", "b"])
        assert (numbers.has("a"), numbers.has("b")) == (True, False)
        found = numbers.find("y")
        assert found is not None
        assert (found.number, found.hash) == (2, b"2")
        assert numbers.find("z") is None
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with Numbers(path) as numbers:
        assert numbers.find("y") is None


def test_the_tool_of_the_servers_version_is_taken_before_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for major in (14, 16, 17):
        program = tmp_path / str(major) / "pg_dump"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {major}.2 (Debian)'\n")
        program.chmod(0o755)
    broken = tmp_path / "15" / "pg_dump"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    found = [str(tmp_path / str(major) / "pg_dump") for major in (17, 16, 15, 14)] + [
        str(tmp_path / "none" / "pg_dump")
    ]
    monkeypatch.setattr(tools, "_candidates", lambda name: iter(found))
    assert tools.find_tool("pg_dump", 16) == (str(tmp_path / "16" / "pg_dump"), 16)
    assert tools.find_tool("pg_dump", 15).major == 16
    with pytest.raises(BackupToolError, match=r"found: version 14, 16, 17"):
        tools.find_tool("pg_dump", 18)


def test_all_of_path_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for major in (15, 99):
        program = tmp_path / str(major) / "pg_dump"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {major}.1'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / '15'}:{tmp_path / '99'}")
    assert tools.find_tool("pg_dump", 98) == (str(tmp_path / "99" / "pg_dump"), 99)
