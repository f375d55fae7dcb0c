"""`tenure init` as a command: its files, its words, its exit codes, its bounds on tables too large to read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tenure.cli.main import run
from tenure.playbook import load_playbook

SCHEMA = """
CREATE TABLE projects (id text PRIMARY KEY, uid uuid NOT NULL UNIQUE);
CREATE TABLE files (id serial PRIMARY KEY, project text DEFAULT 'default', name text NOT NULL);
CREATE TABLE api_keys (id serial PRIMARY KEY, project text NOT NULL, secret_token text NOT NULL UNIQUE);
INSERT INTO projects SELECT 'p-' || n, md5(n::text)::uuid FROM generate_series(1, 4) AS n;
INSERT INTO files (project, name)
    SELECT CASE n % 8 WHEN 0 THEN 'default' WHEN 1 THEN 'P 2' WHEN 2 THEN md5('3')::uuid::text
        ELSE 'p-' || n % 4 + 1 END, 'file ' || n FROM generate_series(1, 40) AS n;
INSERT INTO api_keys (project, secret_token)
    SELECT 'p-' || n % 4 + 1, md5('secret ' || n) FROM generate_series(1, 8) AS n;
"""


@pytest.fixture
def playbook(postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TENURE_NEO4J", "TENURE_QDRANT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TENURE_POSTGRES", postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    return tmp_path / "tenure.yaml"


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_it_writes_playbook_and_aliases_and_then_nothing(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "init", "-f", str(playbook))
    assert code == 0, err
    assert f"Written: {playbook}" in out
    uid = psycopg_value("SELECT md5('3')::uuid::text")
    assert (playbook.parent / "tenants.csv").read_text() == f"value,tenant\nP 2,p-2\n{uid},p-3\n"
    loaded = load_playbook(playbook)
    assert loaded.tenant.untagged == ("default",)
    assert loaded.tenant.aliases == playbook.parent / "tenants.csv"
    assert call(capsys, "plan", "-f", str(playbook))[0] == 0
    files = {path: path.read_bytes() for path in playbook.parent.iterdir()}
    code, out, _ = call(capsys, "init", "-f", str(playbook))
    assert code == 0
    assert "nothing was added" in out
    assert files == {path: path.read_bytes() for path in playbook.parent.iterdir()}


def psycopg_value(query: str) -> Any:
    import os

    with psycopg.connect(os.environ["TENURE_POSTGRES"]) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def test_no_secret_and_no_address_reaches_a_file(
    playbook: Path, postgres_dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENURE_POSTGRES")
    parts = conninfo_to_dict(postgres_dsn)
    password = str(parts.get("password") or "pa55word")
    url = f"postgresql://{parts['user']}:{password}@{parts['host']}:{parts['port']}/{parts['dbname']}"
    code, out, err = call(capsys, "init", "-f", str(playbook), "--postgres", url)
    assert code == 0, err
    written = "".join(path.read_text() for path in playbook.parent.iterdir())
    for secret in (password, url, f":{parts['port']}"):
        assert secret not in written + out + err
    assert "${TENURE_POSTGRES}" in written


def test_existing_aliases_are_left_alone(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aliases = playbook.parent / "tenants.csv"
    aliases.write_text("value,tenant\nP 2,p-2\n")
    code, _, err = call(capsys, "init", "-f", str(playbook))
    assert code == 0
    assert "was left alone" in err
    assert aliases.read_text() == "value,tenant\nP 2,p-2\n"
    assert load_playbook(playbook).tenant.aliases == aliases


def test_json_is_one_document(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "init", "-f", str(playbook), "--json")
    document = json.loads(out)
    assert code == 0
    assert document["registry"]["table"] == "projects"
    by_name = {found["object"]: found for found in document["objects"]}
    assert by_name["files"]["rule"]["tenant"] == {"column": "project"}
    assert by_name["api_keys"]["rule"]["unique"]["api_keys_secret_token_key"]["keep"]
    assert all(found["new"] for found in document["objects"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--registry", "projects"], "not TABLE.COLUMN"),
        (["--registry", "proyects.id"], "there is no table 'proyects'"),
        (["--registry", "projects.slug"], "has no column 'slug'"),
    ],
)
def test_a_wrong_registry_is_named(
    playbook: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, _, err = call(capsys, "init", "-f", str(playbook), *arguments)
    assert code == 2
    assert said in err
    assert not playbook.exists()


def test_without_an_address_it_says_how_to_give_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENURE_POSTGRES", raising=False)
    code, _, err = call(capsys, "init", "-f", str(tmp_path / "tenure.yaml"))
    assert code == 2
    assert "TENURE_POSTGRES" in err
    monkeypatch.setenv("TENURE_POSTGRES", "mysql://u:pa55word@h/d")
    code, _, err = call(capsys, "init", "-f", str(tmp_path / "tenure.yaml"))
    assert code == 2
    assert "not the address of a Postgres database" in err
    assert "pa55word" not in err
    monkeypatch.setenv("TENURE_POSTGRES", "postgresql://127.0.0.1:1/nowhere")
    assert call(capsys, "init", "-f", str(tmp_path / "tenure.yaml"))[0] == 5


def test_a_playbook_that_does_not_load_is_not_touched(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    playbook.write_text("version: 1\ntenant: {key: x}\n")
    code, _, err = call(capsys, "init", "-f", str(playbook))
    assert code == 2
    assert "registry" in err
    assert playbook.read_text() == "version: 1\ntenant: {key: x}\n"


LARGE = """
CREATE TABLE big_files (id serial PRIMARY KEY, project text, filename text NOT NULL);
CREATE TABLE fragments (id uuid PRIMARY KEY, archivo text NOT NULL, body text);
CREATE TABLE codes (fragment uuid NOT NULL, code text NOT NULL, PRIMARY KEY (fragment, code));
CREATE TABLE lines (doc bigint NOT NULL, line bigint NOT NULL, project text, PRIMARY KEY (doc, line));
CREATE TABLE line_notes (id bigserial PRIMARY KEY, doc bigint NOT NULL, line bigint NOT NULL);
INSERT INTO big_files (project, filename)
    SELECT 'p-' || n % 4 + 1, 'scan_' || n || '.pdf' FROM generate_series(1, 6000) AS n;
INSERT INTO fragments
    SELECT gen_random_uuid(), 'scan_' || n % 6000 + 1 || '.pdf', repeat('x', 300) FROM generate_series(1, 24000) AS n;
INSERT INTO codes SELECT id, 'c' || row_number() OVER () % 50 FROM fragments LIMIT 9000;
INSERT INTO lines SELECT n / 10, n % 10, 'p-' || n / 10 % 4 + 1 FROM generate_series(0, 19999) AS n;
INSERT INTO line_notes (doc, line) SELECT n / 10, n % 10 FROM generate_series(0, 19999) AS n WHERE n % 2 = 0;
ANALYZE;
"""


@pytest.mark.parametrize("full", [False, True])
def test_tables_too_large_to_read_are_sampled(
    playbook: Path, postgres_dsn: str, capsys: pytest.CaptureFixture[str], full: bool
) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(LARGE.encode())
    code, _, err = call(capsys, "init", "-f", str(playbook), *(["--full"] if full else []))
    assert code == 0, err
    rules = load_playbook(playbook).postgres or {}
    found = {name: rule.sources[0].model_dump() for name, rule in rules.items() if rule.sources}
    assert found["big_files"] == {"column": "project"}
    assert found["fragments"] == {"parent": "big_files", "match": {"archivo": "filename"}}
    assert found["codes"] == {"parent": "fragments", "match": {"fragment": "id"}}
    assert found["line_notes"] == {"parent": "lines", "match": {"doc": "doc", "line": "line"}}
    text = playbook.read_text()
    assert "3000 of 3000 sampled of about 24000 rows get one tenant (4 tenants)" in text
    counted = "all 24000 rows by parent big_files (archivo = filename): 24000 lead to a row, 0 are empty"
    assert (counted in text) is full


def test_a_locked_table_ends_it_after_a_while(
    playbook: Path, postgres_dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DDL in progress must neither hold init up for ever nor leave half a proposal."""
    monkeypatch.setattr("tenure.propose.run.LOCK_MS", 200)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        code, _, err = call(capsys, "init", "-f", str(playbook))
    assert code == 5
    assert "locked" in err
    assert not playbook.exists()
