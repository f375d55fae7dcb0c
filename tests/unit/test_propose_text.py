"""What init writes is read back as it was meant, whatever the names; what people wrote stays to the byte."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tenure.errors import UsageError
from tenure.playbook import open_playbook
from tenure.playbook.environment import fill
from tenure.propose.merge import Merge
from tenure.propose.proposal import Alias, Entry, Proposal
from tenure.propose.writer import aliases_csv, new_playbook, write_atomically
from tenure.propose.yaml_text import comment, entry_lines, flow, scalar

# What a name of Postgres or Neo4j can be: anything but NUL, and surrogates are no text.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=70)
SOURCES = st.one_of(
    st.fixed_dictionaries({"column": NAMES}),
    st.fixed_dictionaries({"parent": NAMES, "match": st.dictionaries(NAMES, NAMES, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"sql": NAMES}),
)


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(StringIO(text))


def filled(value: Any) -> Any:
    """The values of a document as the loader fills them; keys are left alone."""
    if isinstance(value, dict):
        return {name: filled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    return fill(value, {}) if isinstance(value, str) else value


@given(NAMES)
@settings(max_examples=100, deadline=None)
def test_any_text_is_one_scalar(text: str) -> None:
    assert read(f"{{{scalar(text)}: {scalar(text)}}}") == {text: text}


WORDS = ("null", "~", "yes", "No", "1", "1e3", "0x1F", "2024-01-01", "- a", "a: b", "#", "=", "<<", "a #b", " a", "a ")
SIGNS = (
    "",
    "\ufeff",
    "\x85",
    "\u2028",
    "🦆",
    "é",
    "?",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "{",
    "[a]",
    "'",
    '"',
)


@pytest.mark.parametrize("text", WORDS + SIGNS)
def test_words_that_parsers_take_for_something_else(text: str) -> None:
    assert read(f"x: {scalar(text)}") == {"x": text}
    if text:
        assert read(f"{scalar(text)}: 1") == {text: 1}


@given(NAMES, st.lists(SOURCES, min_size=1, max_size=3), st.lists(NAMES, max_size=3))
@settings(max_examples=40, deadline=None)
def test_entries_with_any_names_are_read_back(name: str, sources: list[dict[str, Any]], said: list[str]) -> None:
    rule = {"tenant": sources[0] if len(sources) == 1 else {"first": sources}, "unique": {name: "rescope"}}
    entry = Entry("postgres", name, rule, tuple(said), "high")
    text = "\n".join(["postgres:", *entry_lines(entry, 2)])
    assert filled(read(text)) == {"postgres": {name: rule}}


@given(st.text(max_size=300))
def test_no_text_ends_its_comment(text: str) -> None:
    assert read("\n".join([*comment(text, 2), "x: 1"])) == {"x": 1}


def proposal(*entries: Entry, **changed: Any) -> Proposal:
    body: dict[str, Any] = {
        "key": "project_id", "type": "text", "registry": ("projects", "id"), "entries": entries,
        "stores": ("postgres", "neo4j", "qdrant"),
    }  # fmt: skip
    return Proposal(**{**body, **changed})


FILES = Entry("postgres", "files", {"tenant": {"column": "project"}}, ("10 of all 10 rows",), "high")
PARTS = Entry("postgres", "parts", {"tenant": {"parent": "files", "match": {"file": "id"}}}, ("seen",), "medium")
LABEL = Entry("neo4j.nodes", "File", {"identity": "id", "tenant": {"postgres": "files.id"}}, (), "high")
TYPE = Entry("neo4j.relationships", "HAS", {"tenant": "ends"}, (), "high")
POINTS = Entry("qdrant", "parts", {"tenant": "?"}, ("nothing leads to a tenant",))


def test_a_new_playbook_loads_and_holds_no_address(tmp_path: Path) -> None:
    path = tmp_path / "tenure.yaml"
    made = proposal(FILES, PARTS, LABEL, TYPE, POINTS, aliases=(Alias("A 1", "a-1", "case"),), untagged=("", "default"))
    write_atomically(tmp_path / "tenants.csv", aliases_csv(made.aliases))
    write_atomically(path, new_playbook(made, "tenants.csv"))
    addresses = {"TENURE_POSTGRES": "postgresql://h/d", "TENURE_NEO4J": "bolt://h:1", "TENURE_QDRANT": "http://h:2"}
    loaded = open_playbook(path, addresses).playbook
    assert loaded.tenant.untagged == ("", "default")
    assert [where for where, _ in loaded.rules()] == [
        ("postgres", "files"), ("postgres", "parts"), ("neo4j", "nodes", "File"), ("neo4j", "relationships", "HAS"),
        ("qdrant", "parts"),
    ]  # fmt: skip
    assert "://" not in path.read_text()
    assert (tmp_path / "tenants.csv").read_text() == "value,tenant\nA 1,a-1\n"


HEAD = """\
version: 1
tenant: {key: project_id, registry: {table: projects, column: id}}
connections:
    postgres:   {url: "${TENURE_POSTGRES}"}   # ours
"""
BLOCK = HEAD + """\
# ---- tables ----
postgres:
    'users':      {shared:   one account works in many}   # by hand
    # why this one:
    files:
        tenant: {column:  projekt}      # not `project`
        unique:
            x: rescope
    # an afterthought

# the graph comes later
"""  # fmt: skip


def merged(text: str, *entries: Entry, stores: tuple[str, ...] = ("postgres",), **changed: Any) -> str:
    return Merge(text, proposal(*entries, **changed)).result(stores, None)


def kept(before: str, after: str) -> bool:
    """Whether *after* is *before* with something in between: every line of it is there, in order."""
    lines = iter(after.splitlines(keepends=True))
    return all(any(line == other for other in lines) for line in before.splitlines(keepends=True))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_new_entries_go_behind_the_old_ones(newline: str, ending: str) -> None:
    before = (BLOCK.rstrip("\n") + ending).replace("\n", newline)
    after = merged(before, FILES, PARTS)
    assert kept(before if ending else before + newline, after if ending else after + newline)
    old, new = read(before)["postgres"], read(after)["postgres"]
    assert new == {**old, "parts": {"tenant": {"parent": "files", "match": {"file": "id"}}}}
    assert after.index("# an afterthought") < after.index("parts:") < after.index("# the graph comes later")
    assert ("\r\n" in after) == ("\r\n" in before)
    assert "\n" not in after.replace("\r\n", "") if newline == "\r\n" else True


def test_nothing_new_changes_no_byte() -> None:
    assert merged(BLOCK, FILES) == BLOCK


@pytest.mark.parametrize(
    "section",
    ["postgres: {}\n", "postgres:\n", "postgres:   # later\n", "postgres: {  }  # later\nlimits: {batch_ms: 9}\n", ""],
)
def test_empty_and_absent_sections_are_filled(section: str) -> None:
    before = HEAD + section + "defaults: {conflict: fail}\n"
    after = merged(before, FILES, PARTS)
    assert set(read(after)["postgres"]) == {"files", "parts"}
    assert {**read(before), "postgres": None} == {**read(after), "postgres": None}
    assert ("# later" in after) == ("# later" in before)


@pytest.mark.parametrize(
    "section",
    [
        'postgres: {users: {shared: "a, b"}, x: {tenant: "?"}}  # one line\n',
        "postgres: {\n  users: {shared: r},   # first\n  x: {exempt: s},\n}\n",
    ],
)
def test_sections_in_braces_are_added_to(section: str) -> None:
    before = HEAD + section
    after = merged(before, FILES, PARTS)
    assert read(after)["postgres"] == {**read(before)["postgres"], **read(flow_of(FILES, PARTS))}


def flow_of(*entries: Entry) -> str:
    return flow({entry.name: dict(entry.rule) for entry in entries})


def test_graph_and_collections_are_added_to_their_sections() -> None:
    before = BLOCK + "neo4j:\n  nodes:\n    Old: {shared: r}\nqdrant: {}\n"
    after = merged(before, LABEL, TYPE, POINTS, stores=("postgres", "neo4j", "qdrant"))
    found = read(after)
    assert found["neo4j"] == {
        "nodes": {"Old": {"shared": "r"}, "File": dict(LABEL.rule)},
        "relationships": {"HAS": {"tenant": "ends"}},
    }
    assert found["qdrant"] == {"parts": {"tenant": "?"}}
    assert kept(before.replace("qdrant: {}\n", ""), after)


def test_block_scalars_and_lists_end_where_they_end() -> None:
    rule = "    tenant:\n      first:\n      - {column: x}\n      - sql: |\n          t.a\n          || t.b\n"
    before = HEAD + "postgres:\n  a:\n" + rule
    after = merged(before, PARTS)
    assert after.startswith(before)
    assert read(after)["postgres"]["a"] == read(before)["postgres"]["a"]
    assert "parts" in read(after)["postgres"]


def test_an_answered_question_is_never_touched_and_the_registry_is_filled_in() -> None:
    asked = HEAD.replace("table: projects, column: id", 'table: "?", column: "?"') + "postgres: {}\n"
    after = merged(asked, FILES)
    assert read(after)["tenant"]["registry"] == {"table": "projects", "column": "id"}
    answered = HEAD + "postgres:\n  files: {exempt: mine}\n"
    assert merged(answered, FILES) == answered


def test_what_cannot_be_added_to_safely_is_refused() -> None:
    before = HEAD + "postgres: &b {files: {shared: r}}\nqdrant: *b\n"
    with pytest.raises(UsageError, match="written in a way"):
        merged(before, PARTS)


def test_writing_is_atomic_and_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "tenure.yaml"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["tenure.yaml"]
    with pytest.raises(UsageError, match="cannot be written"):
        write_atomically(tmp_path / "absent" / "tenure.yaml", "x")
