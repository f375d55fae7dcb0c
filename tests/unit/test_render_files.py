"""The rendered files of the example: equal to what is committed, the same every time, fit for their readers."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tenure.catalog import Catalog
from tenure.catalog.neo4j import Label
from tenure.cli.main import run
from tenure.demo import example
from tenure.errors import PlanError
from tenure.planner import Plan, plan
from tenure.playbook import Playbook, load_playbook
from tenure.render import render
from tenure.render.cypher_terms import name as quoted
from tenure.render.cypher_terms import text as literal
from tenure.render.text import (
    CYPHER_FILE,
    README_FILE,
    SCRIPT_FILE,
    SQL_FILE,
    cypher_statements,
    dollar_quoted,
    file_name,
)

ROOT = Path(__file__).parents[2]
COMMITTED = {
    SQL_FILE: ROOT / "migrations" / SQL_FILE,
    CYPHER_FILE: ROOT / "migrations" / CYPHER_FILE,
    SCRIPT_FILE: ROOT / "scripts" / SCRIPT_FILE,
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The example's legacy stores, as they were read from real ones (`scripts/render_example --catalog`)."""
    return Catalog.model_validate_json((Path(__file__).parent / "test_render_catalog.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    """The example's playbook; its addresses are never used."""
    environment = {"TENURE_POSTGRES": "postgresql://h/d", "TENURE_NEO4J": "bolt://h", "TENURE_QDRANT": "http://h"}
    return load_playbook(example.directory() / "tenure.yaml", environment)


@pytest.fixture(scope="module")
def made(playbook: Playbook, catalog: Catalog) -> Plan:
    """The example's plan."""
    return plan(playbook, catalog)


@pytest.fixture(scope="module")
def files(made: Plan, playbook: Playbook, catalog: Catalog) -> dict[str, str]:
    """The rendering."""
    return render(made, playbook, catalog)


@pytest.mark.parametrize("name", sorted(COMMITTED))
def test_committed_files_are_the_rendering(files: dict[str, str], name: str) -> None:
    """Playbook, planner and renderer changed since? `scripts/render_example` writes the files again."""
    assert COMMITTED[name].read_text(encoding="utf-8") == files[name]


def test_rendering_says_where_it_came_from_and_nothing_of_the_machine(files: dict[str, str], made: Plan) -> None:
    """Every file names the playbook and the plan, and no path, user or time."""
    assert set(files) == {SQL_FILE, CYPHER_FILE, SCRIPT_FILE, README_FILE}
    for name, text in files.items():
        head = "\n".join(text.split("\n")[:40])
        assert made.playbook_digest in head, name
        assert made.hash in head, name
        assert str(Path.home()) + os.sep not in text, name
        assert str(ROOT) not in text, name
        assert not re.search(r"\b20\d\d-\d\d-\d\d[ T]\d\d:", text), name


def test_rendering_is_the_same_in_another_process(files: dict[str, str], tmp_path: Path) -> None:
    """No order of a set or of a dictionary's birth shows: another hash seed gives the same bytes."""
    script = tmp_path / "again.py"
    script.write_text(
        "import json, sys\nfrom pathlib import Path\n"
        "from tenure.catalog import Catalog\nfrom tenure.demo import example\nfrom tenure.planner import plan\n"
        "from tenure.playbook import load_playbook\nfrom tenure.render import render\n"
        "names = {'TENURE_POSTGRES': 'postgresql://other/d', 'TENURE_NEO4J': 'bolt://o', 'TENURE_QDRANT': 'http://o'}\n"
        "playbook = load_playbook(example.directory() / 'tenure.yaml', names)\n"
        "catalog = Catalog.model_validate_json(Path(sys.argv[1]).read_text(encoding='utf-8'))\n"
        "print(json.dumps(render(plan(playbook, catalog), playbook, catalog)))\n"
    )
    catalog = str(Path(__file__).parent / "test_render_catalog.json")
    done = subprocess.run(
        [sys.executable, str(script), catalog],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == files


def test_sql_is_sql_and_backslash_lines_come_last(files: dict[str, str]) -> None:
    """The real parser reads the file, but for the lines that psql itself runs, which are the last."""
    pglast = pytest.importorskip("pglast")
    lines = files[SQL_FILE].rstrip("\n").split("\n")
    own = [number for number, line in enumerate(lines) if line.startswith("\\")]
    assert own == list(range(len(lines) - len(own), len(lines)))
    assert all(re.fullmatch(r"\\copy \(SELECT \* FROM pg_temp\.\w+\) TO '\w+\.csv' WITH \(.+\)", lines[n]) for n in own)
    assert len(pglast.parse_sql("\n".join(lines[: own[0]]))) > 100


def test_sql_passes_squawk(files: dict[str, str], tmp_path: Path) -> None:
    """Every remark is listed with its reason, and every reason is needed."""
    path = tmp_path / "rendered.sql"
    path.write_text("\n".join(line for line in files[SQL_FILE].split("\n") if not line.startswith("\\")))
    squawk = Path(sys.executable).with_name("squawk")
    if not squawk.exists():
        pytest.skip("squawk is not installed")
    done = subprocess.run([str(squawk), "--reporter", "json", str(path)], capture_output=True, text=True, check=False)
    remarks: list[dict[str, Any]] = json.loads(done.stdout)
    listed = tomllib.loads((ROOT / "tests" / "squawk_exceptions.toml").read_text(encoding="utf-8"))["rendered"]
    assert {remark["rule_name"] for remark in remarks} == {entry["rule"] for entry in listed}


def test_cypher_splits_into_whole_statements(files: dict[str, str]) -> None:
    """Cut by the rule that the header states, every part is a statement of its own with balanced braces."""
    found = cypher_statements(files[CYPHER_FILE])
    assert len(found) > 40
    for statement in found:
        assert statement.startswith("CYPHER 5 "), statement
        assert statement.count("{") == statement.count("}"), statement
        assert ";" not in statement
    assert sum("RETURN" in statement and "without a key" in statement for statement in found) == 8


@pytest.mark.parametrize(
    ("version", "has", "lacks"),
    [
        ("2026.09.0", ["CYPHER 5 ", "CALL (n) {", "CREATE RANGE INDEX"], ["CALL {\n"]),
        ("5.26.30", ["CYPHER 5 ", "CALL (n) {", "CREATE RANGE INDEX"], ["CALL {\n"]),
        ("5.22", ["CYPHER 5 ", "CALL {\n  WITH n\n", "CREATE RANGE INDEX"], ["CALL (n)"]),
        ("5.15", ["CALL {\n  WITH n\n", "CREATE RANGE INDEX"], ["CYPHER 5 MATCH", "CALL (n)"]),
        (
            "4.4",
            ["CALL {\n  WITH n\n", "CREATE INDEX"],
            ["CYPHER 5 MATCH", "CALL (n)", "CREATE RANGE INDEX", "elementId"],
        ),
    ],
)
def test_cypher_speaks_the_servers_dialect(
    made: Plan, playbook: Playbook, catalog: Catalog, version: str, has: list[str], lacks: list[str]
) -> None:
    """What differs between servers is written as the named version reads it."""
    text = "\n".join(cypher_statements(render(made, playbook, catalog, neo4j_version=version)[CYPHER_FILE]))
    assert [part for part in has if part not in text] == []
    assert [part for part in lacks if part in text] == []


def test_script_needs_only_its_client(files: dict[str, str]) -> None:
    """The script compiles and imports the standard library and qdrant-client."""
    tree = ast.parse(files[SCRIPT_FILE])
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {module.partition(".")[0] for module in modules} - sys.stdlib_module_names == {"qdrant_client"}


def test_stores_without_rules_have_no_file(playbook: Playbook, catalog: Catalog) -> None:
    """A playbook for Postgres alone gives the SQL file and the README."""
    alone = playbook.model_copy(update={"neo4j": None, "qdrant": None})
    only = Catalog(postgres=catalog.postgres)
    found = render(plan(alone, only), alone, only)
    assert set(found) == {SQL_FILE, README_FILE}
    assert "\\copy" not in found[SQL_FILE]


def test_a_plan_with_errors_is_not_rendered(playbook: Playbook, catalog: Catalog) -> None:
    """An unclassified label is an error of the plan: nothing is written, and the error names it."""
    assert catalog.neo4j is not None
    more = catalog.neo4j.model_copy(update={"labels": (*catalog.neo4j.labels, Label(name="Nota", count=1))})
    wider = catalog.model_copy(update={"neo4j": more})
    with pytest.raises(PlanError, match="Nota"):
        render(plan(playbook, wider), playbook, wider)


@pytest.mark.parametrize("text", ["plain", "$tenure$", "$tenure$ and $tenure1$", "it's $ a $$ mess", ""])
def test_dollar_quotes_end_where_they_should(text: str) -> None:
    """The tag is one that the text does not have."""
    quoted = dollar_quoted(text)
    tag = quoted[: quoted.index("$", 1) + 1]
    assert quoted == f"{tag}{text}{tag}"
    assert tag not in text


def test_file_names_are_tame_and_apart() -> None:
    """Names that a file system may not take, or that are alike without their case, are files of their own."""
    names = [
        ("rows", "a", "b"),
        ("rows", "a b"),
        ("rows", "a/b"),
        ("rows", "A", "b"),
        ("rows", "ñ" * 200),
        ("rows", ".."),
    ]
    found = [file_name(*parts) for parts in names]
    assert len({name.casefold() for name in found}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]{1,110}\.csv", name) for name in found)


@pytest.mark.parametrize("written", ["a;\nb", "\\u000A;", "`;`\r\n", "ñ\u2028;", "'); DROP", "x\x0b;"])
def test_cypher_names_stay_on_their_line(written: str) -> None:
    """No name or literal ends a line, so that none can end a statement."""
    for text in (quoted(written), literal(written)):
        assert len(text.splitlines()) == 1
        assert cypher_statements(f"RETURN {text};\nRETURN 2;") == [f"RETURN {text}", "RETURN 2"]


def test_command_refuses_what_is_no_version(tmp_path: Path) -> None:
    """A version that is none is wrong usage, before any store is asked."""
    assert run(["render", str(tmp_path / "out"), "--neo4j-version", "latest"]) == 2
    assert not (tmp_path / "out").exists()
