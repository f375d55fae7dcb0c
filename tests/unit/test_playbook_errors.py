"""What a wrong playbook gets: line, column, and words that name the cause and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.errors import PlaybookError
from tenure.playbook import load_playbook

HEAD = """\
version: 1
tenant: {registry: {table: projects, column: id}}
connections: {postgres: {url: "postgresql://h/db"}, neo4j: {url: "bolt://h:7687"}, qdrant: {url: "http://h:6333"}}
"""


def wrong(tmp_path: Path, text: str | bytes, environment: dict[str, str] | None = None) -> list[PlaybookError]:
    """Load *text* as a playbook and return all of its errors."""
    path = tmp_path / "tenure.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PlaybookError) as caught:
        load_playbook(path, environment or {})
    assert caught.value.exit_code == 2
    return [caught.value, *caught.value.fields["others"]]


# name -> (what follows HEAD, or the whole file where it begins with `!`; then per error line, column and words)
BAD: dict[str, tuple[str, list[tuple[int, int, str]]]] = {
    "empty file": ("!", [(1, 1, "empty tenure init")]),
    "only a comment": ("!# nothing\n", [(1, 1, "empty")]),
    "a list": ("!- a\n", [(1, 1, "not a mapping")]),
    "a word": ("!hello\n", [(1, 1, "not a mapping")]),
    "tab": ("postgres:\n\tusers: {shared: x}\n", [(5, 1, "tab spaces")]),
    "control character": ('postgres: "\x01"\n', [(4, 12, "control character")]),
    "open quote": ('postgres: {a: "x\n', [(4, 15, "quoted does not end")]),
    "second document": ("---\na: b\n", [(4, 1, "second document")]),
    "unknown anchor": ("postgres:\n  x: *a\n", [(5, 6, "anchor")]),
    "impossible date": ("postgres: 2024-13-45\n", [(1, 1, "quotes")]),
    "duplicate key": ("postgres:\n  u: {shared: x}\n  u: {shared: y}\n", [(6, 3, "`u` twice")]),
    "unquoted question": ("postgres:\n  u:\n    tenant: ?\n", [(6, 13, 'tenant: "?"')]),
    "unquoted reference": ("hooks: {fence: ${A}, unfence: x}\n", [(4, 17, 'quotes "${NAME}"')]),
    "unknown section": ("postgress: {}\n", [(4, 1, "`postgress` Did you mean `postgres`? row_security")]),
    "unknown option": (
        "postgres:\n  u: {tenant: {column: a}, unasigned: fail}\n",
        [(5, 28, "unknown `unasigned` mean `unassigned`?")],
    ),
    "unknown option in a list": (
        "postgres:\n  u:\n    tenant:\n      first:\n        - {column: a}\n"
        "        - {parent: b, match: {x: y}, foo: z}\n",
        [(9, 38, "unknown `foo` parent, match")],
    ),
    "unknown source": (
        "postgres:\n  u: {tenant: {colum: a}}\n",
        [(5, 15, "table mean `column`? `parent` with `match`")],
    ),
    "two sources": ("postgres:\n  u: {tenant: {column: a, sql: b}}\n", [(5, 27, "`sql` `column` first: [")]),
    "another store's source": (
        "neo4j:\n  nodes:\n    A: {identity: id, tenant: {column: x}}\n    B: {identity: id, tenant: ends}\n",
        [(6, 31, "label `neighbours`"), (7, 31, "label `property`")],
    ),
    "another store's source in a list": (
        "postgres:\n  u:\n    tenant:\n      first:\n        - {column: a}\n        - {payload: b}\n",
        [(9, 11, "table `sql`")],
    ),
    "relationship sources": (
        "neo4j:\n  relationships:\n    R: {tenant: {neighbours: [x]}}\n"
        "    S: {tenant: {postgres: t, match: {start: a}}}\n"
        "    T: {tenant: ende}\n",
        [(6, 17, "relationship `ends`"), (7, 31, "`end` missing"), (8, 17, "`ends`")],
    ),
    "no match": ("postgres:\n  u: {tenant: {parent: b}}\n", [(5, 7, "`match` missing joined")]),
    "empty match": ("postgres:\n  u: {tenant: {parent: b, match: {}}}\n", [(5, 34, "empty")]),
    "unclassified, empty": ("postgres:\n  u:\n", [(5, 3, "not classified tenant shared exempt")]),
    "unclassified": ("postgres:\n  u: {conflict: first}\n", [(5, 6, "not classified")]),
    "classified twice": ("postgres:\n  u: {shared: a, exempt: b}\n", [(5, 26, "`exempt` beside `shared`")]),
    "reason missing": ("postgres:\n  u: {shared: true}\n", [(5, 15, "true or false text")]),
    "option without a key": (
        "postgres:\n  u: {shared: a, unique: {x: rescope}}\n",
        [(5, 26, "`unique` means nothing `shared`")],
    ),
    "wrong choice": (
        "postgres:\n  u: {tenant: {column: a}, conflict: quarantin}\n",
        [(5, 38, "`conflict` mean `quarantine`? fail, quarantine, first")],
    ),
    "wrong unassigned": (
        "postgres:\n  u: {tenant: {column: a}, unassigned: drop}\n  v: {tenant: {column: a}, unassigned: {asign: x}}\n",
        [(5, 40, "unassigned {keep_null: REASON}"), (6, 40, "mean `assign`?")],
    ),
    "reserved tenants": (
        "defaults: {unassigned: {assign: __shared__}}\npostgres:\n  u: {tenant: {column: a}, unassigned: {assign: "
        "__shared__}}\n  v: {tenant: {first: [{column: x}, {constant: __quarantine__}]}}\n",
        [(4, 33, "reserved"), (6, 49, "'__shared__' reserved"), (7, 48, "'__quarantine__' reserved registry")],
    ),
    "uniqueness": (
        "postgres:\n  u: {tenant: {column: a}, unique: {x: resope, y: {kep: a}, z: 1}}\n",
        [(5, 40, "`rescope`"), (5, 51, "{keep: REASON}"), (5, 64, "uniqueness")],
    ),
    "reference without a dot": (
        "postgres:\n  u: {tenant: {column: x}, references: {b: c}, identity: nat}\n",
        [(5, 44, "no dot table.column"), (5, 58, "surrogate, natural")],
    ),
    "node rules": (
        "neo4j:\n  nodes:\n    A: {identity: id, tenant: {property: p}, several: split}\n"
        "    B: {tenant: {neighbours: [R]}}\n    C: {identity: id, tenant: {postgres: nodot}}\n"
        "    D: {identity: id, tenant: {neighbours: []}}\n    E: {identity: id, tenant: {postgres: a.b, payload: p}}\n",
        [
            (6, 55, "several: split `neighbours`"),
            (7, 17, "`identity`"),
            (8, 42, "'nodot' no dot"),
            (9, 44, "empty"),
            (10, 56, "payload match: PROPERTY"),
        ],
    ),
    "collection rules": (
        'qdrant:\n  c: {tenant: {postgres: a.b, match: x}, ids: {rekey: "{id}"}}\n'
        "  d: {tenant: {payload: p}, ids: new}\n"
        '  e: {tenant: {payload: p}, vectors: {lost: a.b}}\n  f: {tenant: {payload: p}, ids: {rekey: "{tenant", '
        "namespace: x}}\n",
        [
            (5, 55, "{tenant} collide"),
            (6, 34, "`keep` rekey"),
            (7, 38, "vectors rekey"),
            (8, 42, "template braces"),
            (8, 64, "namespace UUID"),
        ],
    ),
    "match on a collection": ("qdrant:\n  c: {tenant: {postgres: a.b, match: x}}\n", [(5, 38, "payload: FIELD")]),
    "name that is a number": ("postgres:\n  1: {shared: x}\n", [(5, 3, "quotes")]),
    "constant that is a date": ("postgres:\n  u: {tenant: {constant: 2024-01-01}}\n", [(5, 26, "date quotes")]),
    "missing file": ("postgres:\n  u: {tenant: {mapping: no.csv, match: c}}\n", [(5, 25, "no.csv does not exist")]),
    "mapping of the wrong type": (
        "postgres:\n  u: {tenant: {mapping: 3, match: c}}\n  v: {tenant: {mapping: {table: t, value: v}, match: c}}\n",
        [(5, 25, "CSV value,tenant"), (6, 16, "`tenant` missing")],
    ),
    "limits": (
        "limits: {batch_ms: fast, replication_lag: soon, workers: {postgres: 0, neo4j: true}}\n",
        [(4, 20, "whole number"), (4, 43, "'soon' 10s"), (4, 69, "from 1"), (4, 79, "true or false number")],
    ),
    "section of the wrong type": ("postgres: [a]\n", [(4, 11, "list mapping")]),
    "hooks": ('hooks: {fence: "a \'b"}\n', [(4, 1, "`unfence` missing"), (4, 16, "quot")]),
    "row security": ("row_security: {role: app, setting: nodot}\n", [(4, 36, "app.project_id")]),
    "tag": ("hooks: {fence: !!python/object:x y, unfence: x}\n", [(4, 16, "tag no meaning")]),
    "merged mistake": (
        "postgres:\n  a: &m {tenant: {column: x}, bad: 1}\n  b: {<<: *m, conflict: first}\n",
        [(5, 31, "unknown `bad`"), (6, 3, "unknown `bad`")],
    ),
    "undefined names": (
        'hooks: {fence: "${NOPE}", unfence: "${A:-x}"}\nrow_security: {role: "a${NOPE3}"}\n',
        [(4, 16, "NOPE .env ${NOPE:-default}"), (5, 22, "NOPE3")],
    ),
    "not a name": ('hooks: {fence: "${a b}", unfence: "${x"}\n', [(4, 16, "${NAME} $${"), (4, 35, "${NAME}")]),
    "everything missing": ("!version: 1\n", [(1, 1, "`connections` TENURE_POSTGRES"), (1, 1, "`tenant` registry")]),
    "another version": (f"!{HEAD.replace('1', '2', 1)}", [(1, 10, "version: 1")]),
    "null sections": ("!version: 1\ntenant:\nconnections:\n", [(2, 1, "empty"), (3, 1, "empty")]),
    "typo beside the missing key": (
        f"!{HEAD.replace('column: id', 'colum: id')}",
        [(2, 10, "`column` missing"), (2, 38, "`colum` mean `column`?")],
    ),
    "key with a dot": (f"!{HEAD.replace('registry', 'key: a.b, registry', 1)}", [(2, 15, "'a.b' three stores")]),
    "untagged": (
        f"!{HEAD.replace('registry', 'untagged: [true, 1.5, null, x, 3], registry', 1)}",
        [(2, 21, "quotes"), (2, 27, "quotes")],
    ),
    "uuid tenants": (
        f"!{HEAD.replace('registry', 'type: uuid, registry', 1)}postgres:\n"
        "  a: {tenant: {constant: AAAAAAAA-0000-4000-8000-000000000001}}\n  b: {tenant: {constant: 7}}\n"
        "  c: {tenant: {constant: ffffffff-ffff-ffff-ffff-ffffffffffff}}\n",
        [(5, 26, "aaaaaaaa-0000-4000-8000-000000000001"), (6, 26, "'7' not a uuid"), (7, 26, "reserved")],
    ),
    "bigint tenants": (
        f"!{HEAD.replace('registry', 'type: bigint, registry', 1)}postgres:\n"
        "  a: {tenant: {constant: 0}}\n  b: {tenant: {constant: x7}}\n  c: {tenant: {constant: 9223372036854775808}}\n"
        "  d: {tenant: {constant: '07'}}\n  e: {tenant: {constant: 7}}\n",
        [(5, 26, "reserved"), (6, 26, "not a bigint"), (7, 26, "not a bigint"), (8, 26, "not a bigint")],
    ),
    "missing aliases": (f"!{HEAD.replace('registry', 'aliases: no.csv, registry', 1)}", [(2, 19, "no.csv not exist")]),
    "wrong Neo4j address": (f"!{HEAD.replace('bolt:', 'http:')}", [(3, 66, "bolt:// web page")]),
    "Qdrant address without scheme": (f"!{HEAD.replace('http://h', 'h')}", [(3, 98, "http://")]),
    "wrong Postgres address": (f"!{HEAD.replace('postgresql://h/db', 'h:5432/db')}", [(3, 31, "postgresql:// DSN")]),
    "another database": (f"!{HEAD.replace('postgresql://', 'mysql://')}", [(3, 31, "Postgres postgresql://")]),
    "wrong Qdrant scheme": (f"!{HEAD.replace('http://h', 'grpc://h')}", [(3, 98, "Qdrant https:// REST")]),
    "number as password": (
        "!" + HEAD.replace('{url: "bolt', '{password: 12345, url: "bolt'),
        [(3, 71, "number quotes")],
    ),
    "section without connection": (
        "!version: 1\ntenant: {registry: {table: p, column: id}}\nconnections: {postgres: {url: 'host=h'}}\n"
        "neo4j: {}\nqdrant: {}\n",
        [(4, 8, "neo4j connections"), (5, 9, "qdrant connections")],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_every_mistake_is_named_with_its_place_and_remedy(tmp_path: Path, name: str) -> None:
    text, expected = BAD[name]
    errors = wrong(tmp_path, text[1:] if text.startswith("!") else HEAD + text)
    assert [(error.fields["line"], error.fields["column"]) for error in errors] == [(n, c) for n, c, _ in expected]
    for error, (line, column, words) in zip(errors, expected, strict=True):
        assert str(error).startswith(f"{tmp_path / 'tenure.yaml'}:{line}:{column}: ")
        rest = str(error)
        for word in words.split():
            assert word in rest, f"{word!r} is not, or not in this order, in: {error}"
            rest = rest[rest.index(word) :]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match=r"no\.yaml:1:1: the file does not exist.*tenure init"):
        load_playbook(tmp_path / "no.yaml")
    with pytest.raises(PlaybookError, match="cannot be read: Is a directory"):
        load_playbook(tmp_path)
    (error,) = wrong(tmp_path, b"version: 1\ntenant: \xff\n")
    assert (error.fields["line"], error.fields["column"], "UTF-8" in str(error)) == (2, 9, True)
    (error,) = wrong(tmp_path, "[" * 1500)
    assert "nested" in str(error)


def test_no_secret_in_a_message(tmp_path: Path) -> None:
    text = HEAD.replace("postgresql://h/db", "${DSN}").replace('"bolt://h:7687"', '"bolt://h", pasword: hunter2secret')
    errors = wrong(tmp_path, text + "nonsense: 1\n", {"DSN": "postgresql://me:p%40ssword@h/db"})
    said = " ".join(map(str, errors))
    assert "did you mean `password`" in said.lower()
    assert "p%40ssword" not in said
    assert "hunter2secret" not in said


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.sampled_from("abc:{}[]?-*&!|>%@`'\"#,\n\t 12.~<\\\u2028\x00é"), max_size=60))
def test_no_text_at_all_gives_a_traceback(tmp_path: Path, text: str) -> None:
    for content in (text, HEAD + text):
        path = tmp_path / "tenure.yaml"
        path.write_bytes(content.encode())
        try:
            load_playbook(path, {})
        except PlaybookError as error:
            str(error).encode()
