"""`tenure init` on the example's three stores: its proposal beside the playbook that people wrote, object by object."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tenure.demo.example import directory, load_all
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.playbook import Playbook, load_playbook
from tenure.propose.run import Request, Result, initialise
from tenure.session import Session
from tenure.values import Hazard

# Where the proposal differs from the hand-written playbook, what it says, and why either is right.
DIFFERENT: dict[tuple[str, ...], tuple[Any, str]] = {
    ("postgres", "analisis_codigos_abiertos", "tenant"): (
        {"first": [{"column": "proyecto"}, {"parent": "entrevista_fragmentos", "match": {"fragmento_id": "id"}}]},
        "the same two sources the other way round: they agree on every row, and a row's own column is nearer",
    ),
    ("postgres", "codigos_candidatos", "tenant"): (
        {"first": [{"column": "proyecto"}, {"parent": "interview_files", "match": {"archivo": "filename"}}]},
        "the file fills every gap that the fragment would; the hand-written one names the fragment as a witness too",
    ),
    ("postgres", "interview_files", "tenant"): (
        {"first": [{"column": "proyecto"}, {"sql": "split_part(t.\"blob_url\", '/', 4)"}]},
        "the same expression, with the column's name in quotes",
    ),
    ("postgres", "memo_revisiones", "unique"): (
        {"memo_revisiones_version_key": "rescope"},
        "one memo has one project, so both say the same; leaving it global is a choice for people",
    ),
    ("postgres", "interview_reports", "unique"): (
        {
            "interview_reports_archivo_key": "rescope",
            "interview_reports_share_token_key": {"keep": "random uuids: looked up before the tenant is known"},
        },
        "kept as in the hand-written one; the reason is in other words",
    ),
}
# What becomes of strays is a decision, never a measurement: init counts them and leaves `fail`.
DECISIONS = ("unassigned", "conflict", "existing")


@dataclass(frozen=True)
class Proposed:
    """One run of init on the example."""

    path: Path
    result: Result
    environment: dict[str, str]

    @property
    def playbook(self) -> Playbook:
        return load_playbook(self.path, self.environment)


@pytest.fixture(scope="module")
def proposed(
    postgres_server: EmbeddedPostgres,
    neo4j_server: EmbeddedNeo4j,
    qdrant_server: EmbeddedQdrant,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proposed]:
    neo4j_server.wipe()
    qdrant_server.wipe()
    dsn = postgres_server.create_database("init_example")
    load_all(dsn, neo4j_server.url, qdrant_server.url)
    addresses = {"postgres": dsn, "neo4j": neo4j_server.url, "qdrant": qdrant_server.url}
    path = tmp_path_factory.mktemp("init") / "tenure.yaml"
    result = initialise(Request(path, addresses=addresses))
    yield Proposed(path, result, {f"TENURE_{store.upper()}": url for store, url in addresses.items()})
    postgres_server.drop_database("init_example")


def rules(playbook: Playbook) -> dict[tuple[str, ...], Any]:
    """Every option of every rule by (store, object, option), in the playbook's own words."""
    found: dict[tuple[str, ...], Any] = {}
    for where, rule in playbook.rules():
        body = rule.model_dump(mode="json", exclude_defaults=True)
        for option, value in body.items():
            if option in ("shared", "exempt"):  # why is said in other words
                value = True
            if value and option not in DECISIONS:
                found[*map(str, where), option] = value
    return found


def plain(value: Any) -> Any:
    """Sources as both files write them: without the options that nobody set."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_the_proposal_beside_the_hand_written_playbook(proposed: Proposed) -> None:
    by_hand = rules(load_playbook(directory() / "tenure.yaml", proposed.environment))
    ours = rules(proposed.playbook)
    assert {key[:-1] for key in ours} == {key[:-1] for key in by_hand}
    differences = {
        key: plain(ours.get(key)) for key in {*ours, *by_hand} if plain(ours.get(key)) != plain(by_hand.get(key))
    }
    assert differences == {key: said for key, (said, _) in DIFFERENT.items()}


def test_tenant_section_and_aliases(proposed: Proposed) -> None:
    tenant = proposed.playbook.tenant
    assert (tenant.key, tenant.type) == ("project_id", "text")
    assert (tenant.registry.table, tenant.registry.column) == ("proyectos", "id")
    # The hand-written one also names the empty text, which no store of the example holds (Qdrant's counts anyway).
    assert tenant.untagged == ("default",)
    assert tenant.aliases is not None
    assert set(pairs(tenant.aliases)) == set(pairs(directory() / "tenants.csv"))


def pairs(path: Path) -> list[tuple[str, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def test_no_question_is_left_and_the_plan_has_no_errors(proposed: Proposed) -> None:
    assert not proposed.result.proposal.questions
    with Session(proposed.playbook) as session:
        plan = session.plan()
        assert not plan.errors
        hand = load_playbook(directory() / "tenure.yaml", proposed.environment)
    with Session(hand) as session:
        written = session.plan()
    kept = {op.id for op in plan.operations} ^ {op.id for op in written.operations}
    # Beside what the differences above explain both plans are the same operations on the same objects.
    assert {op.object.partition(".")[0] for op in (*plan.operations, *written.operations) if op.id in kept} <= {
        "memo_revisiones", "analisis_codigos_abiertos", "codigos_candidatos", "interview_files",
    }  # fmt: skip


def test_what_was_counted_stands_above_each_entry(proposed: Proposed) -> None:
    text = proposed.path.read_text()
    assert "1863 of all 1872 rows get one tenant (8 tenants)" in text
    assert "the same on 575 rows" in text
    assert "matching rows of several tenants: 4 rows" in text
    assert "40 of several tenants" in text
    for url in proposed.environment.values():
        assert url not in text


def without(text: str, head: str) -> str:
    """The text without one entry and the comments above it."""
    lines = text.splitlines(keepends=True)
    start = end = next(n for n, line in enumerate(lines) if line.startswith(head))
    while lines[start - 1].startswith("  #"):
        start -= 1
    while lines[end + 1].startswith("    "):
        end += 1
    return "".join(lines[:start] + lines[end + 1 :])


def test_running_it_again_changes_nothing(proposed: Proposed) -> None:
    edited = proposed.path.read_text().replace(
        "  api_idempotency:\n", "  # decided by us\n  api_idempotency:   # keep\n    unassigned: quarantine\n"
    )
    shorter = without(edited, "  analisis_nucleo_notas:")
    path = proposed.path.parent / "edited.yaml"
    path.write_text(shorter)
    addresses = {name.removeprefix("TENURE_").lower(): url for name, url in proposed.environment.items()}
    again = initialise(Request(path, addresses=addresses))
    assert [entry.name for entry in again.added] == ["analisis_nucleo_notas"]
    assert all(line in path.read_text().splitlines() for line in shorter.splitlines())
    found, first = load_playbook(path, proposed.environment).postgres or {}, proposed.playbook.postgres or {}
    assert found["analisis_nucleo_notas"] == first["analisis_nucleo_notas"]
    assert str(found["api_idempotency"].unassigned) != str(first["api_idempotency"].unassigned)
    before = path.read_bytes()
    assert not initialise(Request(path, addresses=addresses)).written
    assert path.read_bytes() == before


def test_with_the_strays_put_aside_the_proposal_carries_a_run(proposed: Proposed) -> None:
    """The only thing left to people is what becomes of strays. Last in this module: it writes to the stores."""
    text = proposed.path.read_text()
    answered = text.replace("{unassigned: fail, conflict: fail}", "{unassigned: quarantine, conflict: quarantine}")
    assert answered != text
    path = proposed.path.parent / "answered.yaml"
    path.write_text(answered)
    with Session(proposed.playbook) as session:
        left = {finding.id for finding in session.inspect().findings if finding.severity == "error"}
    assert left == {"TEN111", "TEN112", "TEN202", "TEN203", "TEN303"}  # without a tenant, or with several: nothing else
    with Session(load_playbook(path, proposed.environment)) as session:
        applied = session.apply(allowed={Hazard.NO_BACKUP})
    assert not [finding for finding in applied.report.findings if finding.severity == "error"]
    assert applied.report.ok
