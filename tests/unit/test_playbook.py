"""The playbook of DESIGN.md §4, its policies, environment, digest and JSON Schema."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from tenure.errors import PlaybookError
from tenure.masking import mask_secrets
from tenure.playbook import (
    Assign,
    Column,
    Constant,
    Ends,
    EndsFromPostgres,
    Fail,
    FromPostgres,
    Keep,
    KeepNull,
    MappingTable,
    Neighbours,
    Parent,
    Playbook,
    Quarantine,
    Rekey,
    Sentinels,
    Shared,
    TableRule,
    load_playbook,
    open_playbook,
    playbook_schema,
)
from tenure.playbook import Mapping as MappingSource
from tenure.playbook.environment import fill

HERE = Path(__file__).parent
EXAMPLE = HERE / "test_playbook_example.yaml"
ROOT = HERE.parent.parent
ENVIRONMENT = {
    "TENURE_POSTGRES": "postgresql://tenure:correct%20horse@db.example/app",
    "TENURE_NEO4J": "bolt://graph.example:7687",
    "TENURE_NEO4J_PASSWORD": "battery-staple",
    "TENURE_QDRANT": "qdrant-data",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with the example playbook and the files that it names."""
    shutil.copy(EXAMPLE, tmp_path / "tenure.yaml")
    (tmp_path / "tenants.csv").write_text("value,tenant\nJD 007,jd-007\n")
    (tmp_path / "imports.csv").write_text("value,tenant\nbatch 1,jd-007\n")
    return tmp_path


@pytest.fixture
def example(folder: Path) -> Playbook:
    return load_playbook(folder / "tenure.yaml", ENVIRONMENT)


def test_the_example_says_what_the_design_says(example: Playbook, folder: Path) -> None:
    tables, graph, collections = example.postgres, example.neo4j, example.qdrant
    assert tables is not None
    assert graph is not None
    assert collections is not None
    assert (example.tenant.key, example.tenant.type, example.tenant.untagged) == ("project_id", "text", ("default", ""))
    assert example.tenant.aliases == folder / "tenants.csv"

    assert tables["interview_files"].sources == (Column(column="proyecto"),)
    codes = tables["analisis_codigos_abiertos"]
    assert codes.sources == (
        Column(column="proyecto"),
        Parent(parent="entrevista_fragmentos", match={"fragmento_id": "id"}),
    )
    assert codes.unique == {"analisis_codigos_uq": "rescope", "analisis_token_key": Keep(keep="tokens are global")}
    assert tables["imports"].sources == (MappingSource(mapping=folder / "imports.csv", match="batch"),)
    assert tables["audit_log"].sources == (Constant(constant="acme"),)
    assert (tables["app_users"].kind, tables["app_users"].reason) == ("shared", "one account works in many projects")
    assert (tables["schema_migrations"].kind, tables["schema_migrations"].sources) == ("exempt", ())

    (fragment,) = graph.nodes["Fragmento"].sources
    assert isinstance(fragment, FromPostgres)
    assert (fragment.table, fragment.column) == ("entrevista_fragmentos", "id")
    assert graph.nodes["Codigo"].sources == (Neighbours(neighbours=("TIENE_CODIGO",)),)
    assert graph.nodes["Codigo"].several == "split"
    assert graph.relationships["REL"].sources == (Ends(),)
    assert graph.relationships["REL"].references == {"evidencia": "Fragmento.id"}

    points = collections["fragments_v1"]
    assert isinstance(points.ids, Rekey)
    assert points.ids.fields == ("tenant", "archivo", "par_idx")
    assert str(points.ids.namespace_uuid) == "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
    assert points.vectors is not None
    assert (points.vectors.table, points.vectors.column) == ("entrevista_fragmentos", "embedding")

    assert example.hooks is not None
    assert (example.hooks.fence, example.directory) == (("./stop-writers.sh",), folder)
    assert example.limits.replication_lag == 10.0
    assert example.connections.postgres.settings == {"app.bypass": "on"}
    assert example.connections.qdrant is not None
    assert example.connections.qdrant.directory == folder / "qdrant-data"
    assert example.connections.qdrant.api_key is None


def test_policies_fill_in_the_defaults(example: Playbook) -> None:
    assert example.postgres is not None
    policy = example.policy(example.postgres["analisis_codigos_abiertos"])
    assert (policy.unassigned, policy.conflict, policy.existing) == (Quarantine(), "fail", "conflict")
    policy = example.policy(example.postgres["interview_files"])
    assert policy.unassigned == Fail()
    changed = example.model_copy(
        update={"defaults": example.defaults.model_copy(update={"unassigned": Shared(), "conflict": "first"})}
    )
    policy = changed.policy(example.postgres["interview_files"])
    assert (policy.unassigned, policy.conflict) == (Shared(), "first")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("fail", Fail()),
        ("quarantine", Quarantine()),
        ("shared", Shared()),
        ({"assign": 7}, Assign(tenant="7")),
        ({"keep_null": "read as global"}, KeepNull(reason="read as global")),
    ],
)
def test_unassigned_reads_and_writes_back(written: Any, meant: Any) -> None:
    rule = TableRule.model_validate({"tenant": {"column": "p"}, "unassigned": written})
    assert rule.unassigned == meant
    dumped = rule.model_dump(by_alias=True, exclude_unset=True)
    assert TableRule.model_validate(dumped) == rule


def test_sources_of_relationships_and_forms_of_mappings() -> None:
    raw = _plain_example()
    raw["neo4j"]["relationships"]["REL"] = {
        "tenant": {"first": ["ends", {"postgres": "public.links", "match": {"start": "a", "end": "b"}}]}
    }
    raw["postgres"]["imports"]["tenant"]["mapping"] = {"table": "batches", "value": "name", "tenant": "project"}
    raw["postgres"]["open"] = {"tenant": "?"}
    raw["qdrant"]["fragments_v1"]["tenant"] = {"payload": "archivo", "postgres": 'public.interview "files".filename'}
    playbook = Playbook.model_validate(raw)
    rules = dict(playbook.rules())
    ends, rows = rules["neo4j", "relationships", "REL"].sources
    assert ends == Ends()
    assert isinstance(rows, EndsFromPostgres)
    assert (rows.table, rows.match.start, rows.match.end) == ("public.links", "a", "b")
    (mapping,) = rules["postgres", "imports"].sources
    assert isinstance(mapping, MappingSource)
    assert mapping.mapping == MappingTable(table="batches", value="name", tenant="project")
    assert (rules["postgres", "open"].kind, rules["postgres", "open"].sources) == ("question", ())
    (points,) = rules["qdrant", "fragments_v1"].sources
    assert isinstance(points, FromPostgres)
    assert (points.table, points.column, points.payload) == ('public.interview "files"', "filename", "archivo")


def test_a_playbook_is_a_value(example: Playbook) -> None:
    with pytest.raises(ValidationError):
        example.version = 1  # type: ignore[misc]
    assert Playbook.model_validate(example.model_dump(by_alias=True)).digest() == example.digest()


# --- environment and secrets


def test_references_are_filled_inside_text() -> None:
    environment = {"A": "1", "EMPTY": "", "NESTED": "${A}"}
    assert fill("x${A}y${B:-z}", environment) == "x1yz"
    assert fill("${EMPTY}|${EMPTY:-d}|${NONE:-}", environment) == "|d|"
    assert fill("$${A} $A $$", environment) == "${A} $A $$"
    assert fill("${NESTED}", environment) == "${A}"  # filled once: a value is never read as a reference


@given(text=st.text(alphabet=st.characters(exclude_characters="$", exclude_categories=["Cs"])))
def test_text_without_references_stays_as_it_is(text: str) -> None:
    assert fill(text, {}) == text


def test_dotenv_beside_the_playbook_never_overrides_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    lines = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    (folder / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("TENURE_NEO4J", "bolt://other:7687")
    monkeypatch.chdir(folder.parent)
    playbook = load_playbook(folder / "tenure.yaml")
    assert playbook.connections.neo4j is not None
    assert playbook.connections.neo4j.url == "bolt://other:7687"
    assert playbook.connections.neo4j.password.get_secret_value() == "battery-staple"
    (folder / ".env").write_bytes(b"A=\xff")
    with pytest.raises(PlaybookError, match=r"\.env:1:1: the file is not UTF-8"):
        load_playbook(folder / "tenure.yaml")


def test_secrets_are_masked_everywhere(example: Playbook) -> None:
    assert mask_secrets("failed with correct horse and correct%20horse and battery-staple") == (
        "failed with *** and *** and ***"
    )
    assert "horse" not in repr(example)
    assert "staple" not in example.model_dump_json()


def test_document_and_positions_are_kept_for_writing_back(folder: Path) -> None:
    loaded = open_playbook(folder / "tenure.yaml", ENVIRONMENT)
    assert loaded.document["connections"]["postgres"]["url"] == "${TENURE_POSTGRES}"
    lines = (folder / "tenure.yaml").read_text().splitlines()
    line, column = loaded.position("postgres", "audit_log")
    assert lines[line - 1][column - 1 :].startswith("audit_log:")


# --- digest


def test_digest_is_of_the_meaning_and_the_files(folder: Path, example: Playbook, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(folder, elsewhere)
    before = example.digest()
    other = {**ENVIRONMENT, "TENURE_POSTGRES": "host=other", "TENURE_NEO4J_PASSWORD": "other"}
    assert load_playbook(elsewhere / "tenure.yaml", other).digest() == example.digest()
    text = (elsewhere / "tenure.yaml").read_text()
    (elsewhere / "tenure.yaml").write_text("# a comment\n" + text)
    assert load_playbook(elsewhere / "tenure.yaml", other).digest() == example.digest()
    (elsewhere / "tenure.yaml").write_text(text.replace("column: proyecto", "column: project", 1))
    assert load_playbook(elsewhere / "tenure.yaml", other).digest() != example.digest()
    (folder / "imports.csv").write_text("value,tenant\nbatch 1,other\n")
    assert load_playbook(folder / "tenure.yaml", ENVIRONMENT).digest() != before


def test_digest_is_the_same_in_every_process(folder: Path, example: Playbook) -> None:
    program = "import sys; from tenure.playbook import load_playbook; print(load_playbook(sys.argv[1]).digest())"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder / "tenure.yaml")],
            env={**os.environ, **ENVIRONMENT, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == example.digest()


# --- sentinels


def test_sentinels_are_the_reserved_values_of_their_type() -> None:
    assert Sentinels.for_type("text").reserved == {"__quarantine__", "__shared__"}
    assert Sentinels.for_type("uuid").quarantine == "ffffffff-ffff-ffff-ffff-ffffffffffff"
    assert Sentinels.for_type("uuid").shared == "00000000-0000-0000-0000-000000000000"
    assert Sentinels.for_type("bigint") == Sentinels("-9223372036854775808", "0")
    assert "__shared__" in Sentinels.for_type("text")
    assert "0" not in Sentinels.for_type("text")


# --- JSON Schema


def _plain_example() -> dict[str, Any]:
    raw: dict[str, Any] = YAML(typ="safe", pure=True).load(EXAMPLE.read_text())
    for store, url in (("postgres", "host=h"), ("neo4j", "bolt://h:7687"), ("qdrant", "http://h:6333")):
        raw["connections"][store]["url"] = url  # filled in by the loader, which these tests leave out
    return raw


@cache
def _validator() -> Any:
    return pytest.importorskip("jsonschema").Draft202012Validator(playbook_schema())


def test_published_schema_is_that_of_the_models() -> None:
    published = json.loads((ROOT / "docs" / "playbook.schema.json").read_text())
    assert published == playbook_schema(), "run scripts/schema"


def test_schema_accepts_the_example_and_refuses_mistakes() -> None:
    validator = _validator()
    validator.check_schema(playbook_schema())
    raw = YAML(typ="safe", pure=True).load(EXAMPLE.read_text())
    assert list(validator.iter_errors(raw)) == []
    for keys, value in (
        (("postgres", "audit_log"), {"tenant": {"constant": "a"}, "shared": "b"}),
        (("postgres", "audit_log"), {"tenant": {"payload": "a"}}),
        (("postgres", "audit_log"), {}),
        (("neo4j", "nodes", "Codigo", "tenant"), "ends"),
        (("qdrant", "fragments_v1", "ids"), "new"),
        (("limits", "batch_ms"), 0),
        (("tenant", "kye"), "x"),
        (("defaults", "unassigned"), "drop"),
    ):
        changed = copy.deepcopy(raw)
        node = changed
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
        assert not validator.is_valid(changed), f"{keys} = {value!r}"


_PIECES: list[Any] = [
    None, True, 7, "", "x", "?", "ends", "keep", "fail", "a.b", [], {}, ["x"], {"column": "a"}, {"constant": 3},
    {"postgres": "a.b"}, {"payload": "p"}, {"property": "p"}, {"parent": "p", "match": {"a": "b"}}, {"shared": "why"},
    {"neighbours": ["R"]}, {"assign": "a"}, {"keep_null": "why"}, {"keep": "why"}, {"rekey": "{tenant}"},
    {"first": [{"column": "a"}, {"sql": "b"}]}, {"mapping": "m.csv", "match": "a"}, {"tenant": {"column": "a"}},
    "rescope",
]  # fmt: skip


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    return [path, *(found for key, value in inner for found in _paths(value, (*path, key)))]


_PATHS = _paths(_plain_example())[1:]


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(_PATHS), st.sampled_from(["set", "delete"]), st.sampled_from(_PIECES)), max_size=3
    )
)
def test_what_the_models_accept_the_schema_accepts(changes: list[tuple[tuple[Any, ...], str, Any]]) -> None:
    validator = _validator()
    raw = _plain_example()
    for path, verb, value in changes:
        node: Any = raw
        try:
            for key in path[:-1]:
                node = node[key]
            if verb == "set":
                node[path[-1]] = copy.deepcopy(value)
            else:
                del node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    try:
        Playbook.model_validate(raw)
    except ValidationError:
        return
    errors = [error for error in validator.iter_errors(raw) if not _null(error)]
    assert errors == []


def _null(error: Any) -> bool:
    # A key with nothing behind it counts as not written; editors may underline it all the same.
    return error.instance is None or any(_null(inner) for inner in error.context or [])


def test_examples_of_the_reference_are_playbooks(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "playbook.md").read_text(), re.DOTALL)
    head = (
        "version: 1\ntenant: {registry: {table: projects, column: id}}\nconnections: "
        '{postgres: {url: host=h}, neo4j: {url: "bolt://h"}, qdrant: {url: "http://h"}}\n'
    )
    loaded = 0
    for block in blocks:
        if block.startswith("#"):
            continue
        if block.startswith("tenant:\n  first"):
            block = "postgres:\n  codes:\n" + "".join(f"    {line}\n" for line in block.splitlines())
        text = block if block.startswith("version") else head + block
        (tmp_path / "tenure.yaml").write_text(text)
        assert list(load_playbook(tmp_path / "tenure.yaml", {"TENURE_POSTGRES": "host=h"}).rules())
        loaded += 1
    assert loaded == 5


def test_the_playbook_imports_no_driver() -> None:
    program = (
        "import sys, tenure.playbook; "
        "print([name for name in ('psycopg', 'neo4j', 'qdrant_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
