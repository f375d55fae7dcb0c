"""The script for Qdrant by itself: dry run, in place, resumed, into a copy, and what it says when something fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from render_kit import run_script

from tenure.catalog import Catalog
from tenure.demo import example
from tenure.planner import plan
from tenure.playbook import load_playbook
from tenure.render import render
from tenure.render.text import SCRIPT_FILE

POINTS = 1200
STATE = "qdrant_reindex.state.json"
NAME = "fragments"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example's script, with smaller windows, and CSV files that give every third point no row."""
    environment = {"TENURE_POSTGRES": "postgresql://h/d", "TENURE_NEO4J": "bolt://h", "TENURE_QDRANT": "http://h"}
    playbook = load_playbook(example.directory() / "tenure.yaml", environment)
    kept = Path(__file__).parents[1] / "unit" / "test_render_catalog.json"
    catalog = Catalog.model_validate_json(kept.read_text(encoding="utf-8"))
    text = render(plan(playbook, catalog), playbook, catalog)[SCRIPT_FILE]
    smaller = text.replace("PAGE = 1_000", "PAGE = 100").replace("WINDOW = 20_000", "WINDOW = 300")
    assert smaller != text
    (tmp_path / SCRIPT_FILE).write_text(smaller, encoding="utf-8")
    (tmp_path / "tenants.csv").write_text("value,tenant\na,a\nb,b\nB,b\n", encoding="utf-8")
    rows = [f"{n},tenant,{'ab'[n % 2]}\n" for n in range(POINTS) if n % 3]
    (tmp_path / "rows_entrevista_fragmentos_id.csv").write_text("value,says,tenant\n" + "".join(rows), encoding="utf-8")
    return tmp_path


@pytest.fixture
def client(qdrant_url: str) -> QdrantClient:
    """A collection with points by number: some with a nested tenant, an old key, or a list of codes."""
    found = QdrantClient(url=qdrant_url, check_compatibility=False)
    found.create_collection(NAME, vectors_config=models.VectorParams(size=3, distance=models.Distance.COSINE))
    found.create_payload_index(NAME, "archivo", models.PayloadSchemaType.KEYWORD, wait=True)
    points = []
    for n in range(POINTS):
        payload: dict[str, Any] = {"archivo": f"f{n % 7}", "codigos": ["x", "y"]}
        if n % 3 == 0 and n % 2 == 0:
            payload["metadata"] = {"project_id": "B"}
        if n % 5 == 0:
            payload["project_id"] = "default"
        points.append(models.PointStruct(id=n, vector=[1.0, n / 100, 0.5], payload=payload))
    found.upsert(NAME, points, wait=True)
    return found


def keys(client: QdrantClient, collection: str) -> dict[int, Any]:
    """Return the key of every point."""
    points, _ = client.scroll(collection, limit=POINTS + 1, with_payload=["project_id"])
    return {int(point.id): (point.payload or {}).get("project_id") for point in points}


def expected(n: int) -> str:
    """Return the key that a point should get: its row's, else the nested one, else quarantine as stale."""
    if n % 3:
        return "ab"[n % 2]
    return "b" if n % 2 == 0 else "__quarantine__"


def test_dry_run_writes_nothing_and_counts(client: QdrantClient, qdrant_url: str, folder: Path) -> None:
    """A dry run prints bins and tenants, and neither points, indexes nor a state change."""
    before = keys(client, NAME)
    done = run_script(qdrant_url, folder, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"{NAME}: assigned 1,000, stale 200" in done.stdout
    assert "1,200 to write" in done.stderr
    assert keys(client, NAME) == before
    assert "project_id" not in client.get_collection(NAME).payload_schema
    assert not (folder / STATE).exists()


def test_in_place_and_again(client: QdrantClient, qdrant_url: str, folder: Path) -> None:
    """Every point gets its key, the index is a tenant index, and a second run finds nothing to write."""
    done = run_script(qdrant_url, folder)
    assert done.returncode == 0, done.stderr
    assert keys(client, NAME) == {n: expected(n) for n in range(POINTS)}
    index = client.get_collection(NAME).payload_schema["project_id"]
    assert index.params is not None
    assert getattr(index.params, "is_tenant", None) is True
    assert " 0 written" in run_script(qdrant_url, folder).stderr


@pytest.mark.parametrize("same", [True, False])
def test_a_run_goes_on_where_it_was(client: QdrantClient, qdrant_url: str, folder: Path, same: bool) -> None:
    """A state of this plan is gone on from, one of another plan is not; either way every point has its key then."""
    script = (folder / SCRIPT_FILE).read_text(encoding="utf-8")
    known = script.split('"plan": "', 1)[1].split('"', 1)[0]
    state = {"plan": known if same else "another", "offsets": {NAME: 900}}
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
    done = run_script(qdrant_url, folder)
    assert done.returncode == 0, done.stderr
    assert (f"{NAME}: 300 of 1,200 points" in done.stderr.splitlines()[-1]) is same
    assert keys(client, NAME) == {n: expected(n) for n in range(POINTS)}
    assert not (folder / STATE).exists()


def test_copy_leaves_the_original_as_it_is(client: QdrantClient, qdrant_url: str, folder: Path) -> None:
    """The copy has all points, vectors, payload and indexes, and the key; it is not made over one that is there."""
    before = keys(client, NAME)
    done = run_script(qdrant_url, folder, "--copy-to", "copied")
    assert done.returncode == 0, done.stderr
    assert keys(client, NAME) == before
    assert keys(client, "copied") == {n: expected(n) for n in range(POINTS)}
    for n in (0, 599, 1199):
        one, other = (client.retrieve(c, [n], with_vectors=True)[0] for c in (NAME, "copied"))
        assert other.vector == pytest.approx(one.vector, abs=1e-5)
        ours, theirs = dict(one.payload or {}), dict(other.payload or {})
        assert {**ours, "project_id": expected(n)} == theirs
    original, copy = client.get_collection(NAME), client.get_collection("copied")
    assert copy.config.params.vectors == original.config.params.vectors
    assert copy.config.hnsw_config == original.config.hnsw_config
    assert set(copy.payload_schema) == {"archivo", "project_id"}
    again = run_script(qdrant_url, folder, "--copy-to", "copied")
    assert again.returncode == 2
    assert "copied exists" in again.stderr


def test_wrong_usage_is_said(client: QdrantClient, qdrant_url: str, folder: Path) -> None:
    """A missing file is 2, a server that does not answer 5, points that nobody may own 1."""
    away = run_script("http://127.0.0.1:9", folder)
    assert away.returncode == 5, away.stderr
    script = folder / SCRIPT_FILE
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace('"unassigned": "quarantine"', '"unassigned": "fail"', 1), encoding="utf-8")
    (folder / "tenants.csv").write_text("value,tenant\na,a\n", encoding="utf-8")  # what is nested is no tenant now
    stuck = run_script(qdrant_url, folder)
    assert stuck.returncode == 1
    assert "200 points are left without a key" in stuck.stderr
    (folder / "tenants.csv").unlink()
    missing = run_script(qdrant_url, folder)
    assert missing.returncode == 2
    assert "tenants.csv: No such file" in missing.stderr
