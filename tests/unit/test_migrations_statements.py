"""Splitting files with the parser of Postgres: round trip, lines, and what a runner refuses."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import MigrationFileError, MigrationParserMissingError
from tenure.migrations import MigrationFile, Statement, split_statements
from tenure.migrations.folder import checksum
from tenure.migrations.statements import fingerprint

MARKED = "-- tenure: no-transaction\n"


def split(text: str) -> tuple[Statement, ...]:
    """Split *text* as a file of that content would be."""
    transactional = not text.startswith(MARKED)
    return split_statements(
        MigrationFile(name="f.sql", position=1, text=text, checksum=checksum(text), transactional=transactional)
    )


@pytest.mark.parametrize("text", ["", "\n", "-- only a comment", "/* ; */\n-- ;\n", ";;\n;"])
def test_files_without_statements_are_empty(text: str) -> None:
    assert split(text) == ()


def test_semicolons_in_quotes_comments_and_bodies_do_not_split() -> None:
    text = """-- año; comment
select 'ñandú ; é' as "a;b"; /* 𝒳; /* nested; */ */
do $body$ begin perform 1; raise notice $$;$$; end $body$;
;
create function f() returns int begin atomic select 1; select 2; end;

  select E'\\';' -- tail; ñ
"""
    statements = split(text)
    assert [statement.line for statement in statements] == [2, 3, 5, 7]
    assert [statement.text.split()[0] for statement in statements] == ["select", "do", "create", "select"]
    assert all(statement.text in text for statement in statements)
    assert statements[1].text.endswith("end $body$")
    assert statements[2].text.endswith("end")


def test_error_positions_of_the_server_become_lines_of_the_file() -> None:
    (statement,) = split("-- ñ\n\nselect 'ñé',\n  nope,\n 1;")
    assert statement.line == 3
    assert statement.line_at(statement.text.index("nope") + 1) == 4
    assert statement.line_at(None) == 3


def test_statements_are_told_apart() -> None:
    statements = split(
        MARKED
        + """create index concurrently "I;1" on s."T" (a);
create index on t (b);
reindex index concurrently x;
drop index concurrently x;
alter table p detach partition q concurrently;
vacuum t;
set search_path = a;
select pg_catalog.set_config('search_path', '', false);
update t set a = 1;
create table u (a int);
"""
    )
    assert [s.number for s in statements if s.concurrent] == [1, 3, 4, 5]
    assert [s.number for s in statements if s.setting] == [7, 8]
    assert [s.number for s in statements if s.data_change] == [9]
    first, second = (s.index for s in statements[:2])
    assert first is not None
    assert (first.name, first.table_schema, first.table) == ("I;1", "s", "T")
    assert second is not None
    assert second.name is None


REFUSED = [
    ("select 1;\n\\i other.sql\n", 2, r"\\i is a command of psql"),
    ("\\copy t from 'x.csv'\n", 1, r"\\copy is a command of psql"),
    ("select 1 \\gexec", 1, r"\\gexec is a command of psql"),
    ("\\set x 1\nselect :x;", 1, "command of psql"),
    ("select 1;\nselect :'name';", 2, "variable of psql"),
    ("create table t (a int);\ncopy t from stdin;\n1\n\\.\n", 3, "COPY FROM STDIN"),
    ("select 1;\n\ncopy t from stdin;", 3, "no client here"),
    ("copy t to stdout;", 1, "no client here"),
    ("-- c\nbegin;\nselect 1;\ncommit;", 2, r"controls transactions itself \(BEGIN\)"),
    ("select 1;\nstart transaction;", 2, r"\(START\)"),
    ("select 1;\nEND;", 2, r"\(END\)"),
    ("rollback;", 1, r"\(ROLLBACK\)"),
    (MARKED + "begin;\nupdate t set a = 1;\ncommit;", 2, "controls transactions itself"),
    (MARKED + "savepoint a;", 2, "controls transactions itself"),
    (MARKED + "discard all;", 2, "give up the runner's lock"),
    ("\ncreate index concurrently i on t (a);", 2, "no-transaction` at the top"),
    ("vacuum;", 1, "VACUUM cannot run inside"),
    ("drop index concurrently i;", 1, "cannot run inside"),
    ("alter system set work_mem = '1MB';", 1, "ALTER SYSTEM cannot"),
    ("select 1;\n-- tenure: no-transaction\n", 2, "only at the top"),
    ("/* licence */\n-- tenure: no-transaction\nvacuum;", 2, "only at the top"),
    ("select 'ñ';\ncreate tabel t (a int);", 2, 'syntax error at or near "tabel"'),
    ("select 'ñ';\n\nselect 'open", 3, "unterminated quoted string"),
    ("select 1;\n/* open", 2, "unterminated"),
]


@pytest.mark.parametrize(("text", "line", "words"), REFUSED)
def test_what_cannot_run_is_refused_with_line_and_remedy(text: str, line: int, words: str) -> None:
    with pytest.raises(MigrationFileError, match=words) as caught:
        split(text)
    assert caught.value.fields["line"] == line
    assert caught.value.fields["remedy"]
    assert str(caught.value).startswith(f"f.sql:{line}: ")
    assert caught.value.exit_code == 2


def test_a_long_file_is_split_with_the_right_lines() -> None:
    statements = split("".join(f"-- {n}\ninsert into t values ({n});\n" for n in range(3000)))
    assert [statement.line for statement in statements] == list(range(2, 6001, 2))


def test_savepoints_and_session_settings_are_fine_in_a_transaction() -> None:
    assert len(split("savepoint a; select 1; rollback to a; release a; set local role x; discard temp;")) == 6


def test_without_the_parser_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)
    with pytest.raises(MigrationParserMissingError, match=r"tenure\[migrations\]") as caught:
        split("select 1;")
    assert caught.value.exit_code == 2


def test_fingerprint_tells_edits_and_borders_apart() -> None:
    one, two = split("select 1; select 2;"), split("select 1; -- c\n select 2")
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(one[:1])
    assert fingerprint(one) != fingerprint(split("select 1; select 3;"))


_inside = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12)
_pieces = st.one_of(
    _inside.map(lambda text: "select '" + text.replace("'", "''") + "'"),
    _inside.map(lambda text: "select U&'" + text.replace("'", "''").replace("\\", "\\\\") + "'"),
    _inside.filter(lambda text: "$q$" not in text and not text.endswith(("$", "$q"))).map(
        lambda text: f"do $q${text}$q$"
    ),
    _inside.filter(lambda text: text.strip()).map(lambda text: 'select 1 as "' + text.replace('"', '""') + '"'),
    _inside.filter(lambda text: "/*" not in text and "*/" not in text and not text.endswith(("/", "*"))).map(
        lambda text: f"select /*;{text};*/ 1"
    ),
    _inside.map(lambda text: "select -- ;" + text.replace("\n", " ") + "\n 1"),
    st.just("create function f() returns int begin atomic select 1; select 2; end"),
)
_gaps = st.sampled_from([";", " ;\n", ";\n\n-- ; ñ\n", "; /* ; 𝒳 */ ", ";;\n;", ";\n\t"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_pieces, _gaps), min_size=1, max_size=6))
def test_splitting_gives_back_the_statements_that_were_joined(parts: list[tuple[str, str]]) -> None:
    text = "".join(statement + gap for statement, gap in parts)

    statements = split(text)

    assert [statement.text.rstrip() for statement in statements] == [statement for statement, _ in parts]
    start = 0
    for statement, (original, _) in zip(statements, parts, strict=True):
        start = text.index(original, start)
        assert statement.line == text.count("\n", 0, start) + 1
        start += len(original)
