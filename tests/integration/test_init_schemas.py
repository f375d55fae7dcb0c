"""`tenure init` on public schemas of other domains: the right source for every table, then a plan without errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from ruamel.yaml import YAML

from tenure.errors import UsageError
from tenure.playbook import Playbook, load_playbook
from tenure.propose.run import Request, Result, initialise
from tenure.propose.yaml_text import flow
from tenure.session import Session

SCHEMAS = Path(__file__).parents[1] / "schemas"
QUESTION = "?"
Load = Callable[..., Result]


def shared(*tables: str) -> dict[str, Any]:
    return dict.fromkeys(tables, "shared")


def exempt(*tables: str) -> dict[str, Any]:
    return dict.fromkeys(tables, "exempt")


def column(name: str, *tables: str) -> dict[str, Any]:
    return {table: {"column": name} for table in tables}


def parent(table: str, **match: str) -> dict[str, Any]:
    return {"parent": table, "match": match}


# What each table comes to: a source, or why it has none. An open question is one where only a person knows.
PRESTASHOP: dict[str, Any] = {
    # Many tables name their shop; ps_configuration's global settings do not, which is left to `unassigned`.
    **column(
        "id_shop", "ps_customer", "ps_cart", "ps_cart_product", "ps_orders", "ps_order_detail", "ps_product_shop",
        "ps_product_lang", "ps_stock_available", "ps_specific_price", "ps_employee_shop", "ps_configuration",
    ),
    "ps_address": parent("ps_customer", id_customer="id_customer"),
    "ps_order_history": parent("ps_orders", id_order="id_order"),
    "ps_order_payment": parent("ps_orders", order_reference="reference"),
    "ps_order_slip": parent("ps_orders", id_order="id_order"),
    "ps_order_slip_detail": parent("ps_order_detail", id_order_detail="id_order_detail"),
    # Products, employees and states serve several shops; id_shop_default says which page opens, not who owns it.
    **shared("ps_product", "ps_employee", "ps_lang", "ps_currency", "ps_country", "ps_order_state"),
    **shared("ps_order_state_lang", "ps_shop_group"),
    "ps_import_match": QUESTION,  # nothing refers to it and it refers to nothing
}  # fmt: skip
REDMINE: dict[str, Any] = {
    **column(
        "project_id", "members", "projects_trackers", "versions", "issue_categories", "issues", "time_entries", "wikis",
        "boards", "repositories",
    ),
    "member_roles": parent("members", member_id="id"),
    "issue_relations": parent("issues", issue_from_id="id"),
    "journals": parent("issues", journalized_id="id"),
    "journal_details": parent("journals", journal_id="id"),
    "wiki_pages": parent("wikis", wiki_id="id"),
    "wiki_contents": parent("wiki_pages", page_id="id"),
    "wiki_content_versions": parent("wiki_contents", wiki_content_id="id"),
    "messages": parent("boards", board_id="id"),
    "changesets": parent("repositories", repository_id="id"),
    "changes": parent("changesets", changeset_id="id"),
    **shared("users", "email_addresses", "tokens", "roles", "trackers", "issue_statuses", "workflows", "settings"),
    **exempt("schema_migrations", "ar_internal_metadata"),
    # Polymorphic with several kinds of owners: only an expression can tell them apart.
    "attachments": QUESTION,
    "watchers": QUESTION,
}  # fmt: skip
CLINIC: dict[str, Any] = {
    **column("managingOrganizationId", "Location", "Patient"),
    **column("organizationId", "PractitionerRole"),
    **column("serviceProviderId", "Encounter"),
    "Schedule": parent("PractitionerRole", actorRoleId="id"),
    "Slot": parent("Schedule", scheduleId="id"),
    "Appointment": parent("Slot", slotId="id"),  # three joins from the organisation
    "AppointmentParticipant": parent("Patient", patientId="id"),
    "Condition": parent("Encounter", encounterId="id"),
    "Observation": parent("Encounter", encounterId="id"),
    "ObservationComponent": parent("Observation", observationId="id", observationAt="effectiveAt"),
    "MedicationRequest": parent("Encounter", encounterId="id"),
    "Coverage": parent("Patient", beneficiaryId="id"),
    "Claim": parent("Coverage", coverageId="id"),
    "ClaimItem": parent("Claim", claimId="id"),
    "DocumentReference": parent("Patient", subjectId="id"),
    "AuditEvent": {"sql": "(t.\"detail\" -> 'source' ->> 'organization')"},
    **shared("Medication", "Practitioner"),
    **exempt("_prisma_migrations"),
    # A terminology of its own, which no other table refers to.
    "CodeSystem": QUESTION,
    "CodeSystemConcept": QUESTION,
}
REGISTRIES = {"prestashop": "ps_shop.id_shop", "redmine": "projects.id", "clinic": "Organization.id"}
EXPECTED = {"prestashop": PRESTASHOP, "redmine": REDMINE, "clinic": CLINIC}


@pytest.fixture
def load(postgres_dsn: str, tmp_path: Path) -> Load:
    """Load a schema, and run init on it with the playbook in a folder of its own."""

    def proposed(name: str, **options: Any) -> Result:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute((SCHEMAS / f"{name}.sql").read_bytes())
            connection.execute("ANALYZE")
        return initialise(Request(tmp_path / "tenure.yaml", addresses={"postgres": postgres_dsn}, **options))

    return proposed


def playbook_of(folder: Path, dsn: str) -> Playbook:
    return load_playbook(folder / "tenure.yaml", {"TENURE_POSTGRES": dsn})


def outcomes(playbook: Playbook) -> dict[str, Any]:
    """What each table comes to, in the words of the tables above."""
    found: dict[str, Any] = {}
    for name, rule in (playbook.postgres or {}).items():
        if rule.kind != "keyed":
            found[name] = QUESTION if rule.kind == "question" else rule.kind
        else:
            sources = [source.model_dump() for source in rule.sources]
            found[name] = sources[0] if len(sources) == 1 else sources
    return found


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_table_gets_the_right_source(load: Load, name: str, postgres_dsn: str, tmp_path: Path) -> None:
    result = load(name)
    playbook = playbook_of(tmp_path, postgres_dsn)
    registry = playbook.tenant.registry
    assert f"{registry.table}.{registry.column}" == REGISTRIES[name]
    assert outcomes(playbook) == EXPECTED[name]
    questions = {table for table, outcome in EXPECTED[name].items() if outcome == QUESTION}
    assert {entry.name for entry in result.proposal.questions} == questions
    with Session(playbook) as session:
        assert {finding.object for finding in session.plan().errors} == questions


@pytest.mark.parametrize(("name", "unique", "treated"), [
    ("clinic", ("Patient", "Patient_medicalRecordNumber_key"), "rescope"),
    ("clinic", ("DocumentReference", "DocumentReference_shareToken_key"), "keep"),
    ("redmine", ("wiki_pages", "wiki_pages_wiki_id_title_key"), "rescope"),
])  # fmt: skip
def test_natural_uniques_are_rescoped_and_tokens_kept(
    load: Load, name: str, unique: tuple[str, str], treated: str, postgres_dsn: str, tmp_path: Path
) -> None:
    load(name)
    rules = playbook_of(tmp_path, postgres_dsn).postgres
    assert rules is not None
    table, constraint = unique
    found = rules[table].unique[constraint]
    assert (found if isinstance(found, str) else "keep") == treated
    assert not any(index.endswith("_pkey") for index in rules["Patient" if name == "clinic" else "issues"].unique)


def test_hostile_names_go_through_init_and_plan(load: Load, postgres_dsn: str, tmp_path: Path) -> None:
    load("hostile", registry='ten"ant; DROP TABLE x; --.the "id"')
    playbook = playbook_of(tmp_path, postgres_dsn)
    select = "odd; schema.select"
    assert outcomes(playbook) == {
        select: {"column": "where;"},
        "null": {"parent": select, "match": {"ref: {x}": "from"}},
        "${HOME}": {"parent": "null", "match": {"a'b": "group by"}},
        "100": {"column": "${x:-y}"},
        "表 Ταβλα ñandú 🦆": {"sql": "split_part(t.\"путь/ключ\", '/', 2)"},
        "line\nbreak": {"parent": select, "match": {"tab\tcol": "from"}},
        "don't: use": {"parent": select, "match": {" lead": "from"}},
        "true": {"sql": "(t.\"~\" -> 'a''b' ->> '\"')"},
    }
    with Session(playbook) as session:
        plan = session.plan()
        assert not plan.errors
        assert plan.operations
    # The tables that a careless statement would have dropped, and the environment that would have been filled in.
    assert "HOME" in (tmp_path / "tenure.yaml").read_text()


def test_the_registry_is_asked_for_when_nothing_decides(postgres_dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "tenure.yaml"
    schema = """
CREATE TABLE workspaces (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE organizations (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE documents (id serial PRIMARY KEY, workspace_id integer NOT NULL REFERENCES workspaces (id),
    organization_id integer NOT NULL REFERENCES organizations (id));
CREATE TABLE files (id serial PRIMARY KEY, workspace_id integer NOT NULL REFERENCES workspaces (id),
    organization_id integer NOT NULL REFERENCES organizations (id));
INSERT INTO workspaces (name) VALUES ('a'), ('b');
INSERT INTO organizations (name) VALUES ('x'), ('y');
INSERT INTO documents (workspace_id, organization_id) SELECT n % 2 + 1, n / 2 % 2 + 1 FROM generate_series(1, 8) AS n;
INSERT INTO files (workspace_id, organization_id) SELECT n % 2 + 1, n / 2 % 2 + 1 FROM generate_series(1, 8) AS n;
"""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(schema.encode())
    addresses = {"postgres": postgres_dsn}
    first = initialise(Request(path, addresses=addresses))
    assert first.proposal.registry == ("?", "?")
    text = path.read_text()
    assert "workspaces.id" in text
    assert "organizations.id" in text
    with Session(playbook_of(tmp_path, postgres_dsn)) as session:
        assert "workspaces" in {finding.object for finding in session.plan().errors}
    assert not initialise(Request(path, addresses=addresses)).written
    # The answer goes into the file; what is new is added below it.
    path.write_text(text.replace('table: "?"', "table: workspaces").replace('column: "?"', "column: id"))
    initialise(Request(path, addresses=addresses))
    playbook = playbook_of(tmp_path, postgres_dsn)
    assert playbook.tenant.type == "bigint"
    assert outcomes(playbook) == {**column("workspace_id", "documents", "files"), "organizations": "shared"}
    with pytest.raises(UsageError, match="differs"):
        initialise(Request(path, registry="organizations.id", addresses=addresses))


def test_a_candidate_for_polymorphic_rows_is_ready_to_use(load: Load, postgres_dsn: str, tmp_path: Path) -> None:
    entry = load("redmine").proposal.entry("postgres", "attachments")
    assert entry is not None
    candidate = next(line for line in entry.comments if line.startswith("candidate: "))
    rule = YAML(typ="safe").load(candidate.removeprefix("candidate: "))
    with psycopg.connect(postgres_dsn) as connection:
        query = (
            f"SELECT t.id, {rule['sql']}, coalesce(i.project_id, w.project_id) FROM attachments AS t "
            "LEFT JOIN issues AS i ON t.container_type = 'Issue' AND i.id = t.container_id "
            "LEFT JOIN wiki_pages AS p ON t.container_type = 'WikiPage' AND p.id = t.container_id "
            "LEFT JOIN wikis AS w ON w.id = p.wiki_id"
        )
        found = connection.execute(query.encode()).fetchall()
    assert len(found) == 20
    assert all(derived == known is not None for _, derived, known in found)
    path = tmp_path / "tenure.yaml"
    path.write_text(
        path.read_text().replace('  attachments: {tenant: "?"}', f"  attachments: {{tenant: {flow(rule)}}}")
    )
    with Session(playbook_of(tmp_path, postgres_dsn)) as session:
        assert {finding.object for finding in session.plan().errors} == {"watchers"}


def test_columns_that_contradict_each_other_are_a_question(postgres_dsn: str, tmp_path: Path) -> None:
    schema = """
CREATE TABLE projects (id text PRIMARY KEY);
CREATE TABLE tasks (id serial PRIMARY KEY, project_id text NOT NULL REFERENCES projects (id));
CREATE TABLE transfers (id serial PRIMARY KEY, from_project_id text NOT NULL REFERENCES projects (id),
    to_project_id text NOT NULL REFERENCES projects (id));
INSERT INTO projects VALUES ('alpha'), ('beta'), ('gamma');
INSERT INTO tasks (project_id) SELECT id FROM projects, generate_series(1, 4);
INSERT INTO transfers (from_project_id, to_project_id)
    SELECT a.id, b.id FROM projects AS a, projects AS b WHERE a.id <> b.id;
"""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(schema.encode())
    result = initialise(Request(tmp_path / "tenure.yaml", addresses={"postgres": postgres_dsn}))
    entry = result.proposal.entry("postgres", "transfers")
    assert entry is not None
    assert entry.question
    assert "from_project_id" in "".join(entry.comments)
    assert "to_project_id" in "".join(entry.comments)


def test_init_needs_no_right_to_write(load: Load, postgres_dsn: str, tmp_path: Path) -> None:
    load("redmine")
    (tmp_path / "again").mkdir()
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE onlooker LOGIN; GRANT pg_read_all_data TO onlooker")
    try:
        addresses = {"postgres": make_conninfo(postgres_dsn, user="onlooker")}
        result = initialise(Request(tmp_path / "again" / "tenure.yaml", addresses=addresses))
        assert outcomes(playbook_of(tmp_path / "again", postgres_dsn)) == REDMINE
        assert not result.notes
    finally:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute("DROP OWNED BY onlooker; DROP ROLE onlooker")
