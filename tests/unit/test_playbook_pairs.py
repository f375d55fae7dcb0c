"""CSV files of aliases and mappings: exactly what is written, or an error with file and line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.errors import PlaybookError
from tenure.playbook import load_playbook, read_pairs


def _write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_values_stay_as_they_are_written(tmp_path: Path) -> None:
    path = _write(tmp_path, '\ufeffvalue,tenant\r\n JD 007 ,jd-007\r\n"a,""b""",x\r\n\r\n,y\r\nJd 007,jd-007\r\n,y\r\n')
    assert list(read_pairs(path)) == [(" JD 007 ", "jd-007"), ('a,"b"', "x"), ("", "y"), ("Jd 007", "jd-007")]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("", 1, "header"),
        ("tenant,value\na,b\n", 1, "header"),
        ("value, tenant\na,b\n", 1, "without spaces"),
        ("value;tenant\na;b\n", 1, "header"),
        ("value,tenant\na\n", 2, "1 field"),
        ("value,tenant\na,b\nc,d,e\n", 3, "3 field"),
        ("value,tenant\na,\n", 2, "tenant is empty"),
        ("value,tenant\na,b\n\na,c\n", 4, "'a' is 'c' here and 'b' in line 2"),
        ('value,tenant\n"a\nb",x\n"a\nb",y\n', 5, "in line 3"),
        ('value,tenant\n"a"b,c\n', 2, "not CSV"),
        (b"value,tenant\na,b\n\xff,c\n", 3, "UTF-8"),
        ("value,tenant\na,__quarantine__\n", 2, "reserved"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, content: str | bytes, line: int, words: str) -> None:
    path = _write(tmp_path, content)
    with pytest.raises(PlaybookError) as caught:
        list(read_pairs(path, "text"))
    assert str(caught.value).startswith(f"{path}:{line}:1: ")
    assert words in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="cannot be read: No such file"):
        list(read_pairs(tmp_path / "no.csv"))


def test_aliases_are_checked_with_the_playbook(tmp_path: Path) -> None:
    (tmp_path / "tenure.yaml").write_text(
        "version: 1\ntenant: {registry: {table: p, column: id}, aliases: pairs.csv, type: bigint}\n"
        "connections: {postgres: {url: host=h}}\n"
    )
    _write(tmp_path, "value,tenant\nseven,7\n")
    assert load_playbook(tmp_path / "tenure.yaml", {}).tenant.aliases == tmp_path / "pairs.csv"
    _write(tmp_path, "value,tenant\nseven,07\n")
    with pytest.raises(PlaybookError, match=r"pairs\.csv:2:1: '07' is not a bigint"):
        load_playbook(tmp_path / "tenure.yaml", {})


_FIELD = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.dictionaries(_FIELD, _FIELD.filter(bool), max_size=20))
def test_what_csv_writes_is_what_is_read(tmp_path: Path, pairs: dict[str, str]) -> None:
    path = tmp_path / "pairs.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("value", "tenant"), *pairs.items()])
    assert list(read_pairs(path)) == list(pairs.items())
