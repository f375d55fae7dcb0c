"""After the switch to a re-keyed copy: checks, sweeps, guard and contract look at what readers use."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from qdrant_client import QdrantClient, models

from tenure.checks import Report
from tenure.errors import RefusedError
from tenure.playbook import load_playbook
from tenure.session import Session
from tenure.values import Finding, Hazard, Phase

OLD, ALIAS, NEW, KEY = "frag_v1", "frag", "frag_v1__project_id", "project_id"
SCHEMA = """
CREATE TABLE proyectos (id text PRIMARY KEY);
INSERT INTO proyectos VALUES ('acme'), ('beta');
CREATE TABLE frag (
    pk integer PRIMARY KEY, proyecto text, id uuid NOT NULL, archivo text, par_idx integer, texto text,
    embedding float8[]);
"""


def old_id(number: int) -> str:
    """The id under which the application, which knew no tenants, kept a fragment."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"file|{number}"))


def new_id(tenant: str, number: int) -> str:
    """The id that the template makes."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant}|file|{number}"))


class Fragments:
    """40 fragments of two tenants: the first 20 numbers of both have one id; the last had its row's point never."""

    def __init__(self, directory: Path, dsn: str, url: str) -> None:
        self.directory, self.dsn, self.url = directory, dsn, url
        self.more: dict[str, Any] = {}
        self.client = QdrantClient(url=url, check_compatibility=False)
        self.sql(SCHEMA)
        rows = [(n, t) for t in ("acme", "beta") for n in range(20)] + [(20 + n, "acme") for n in range(5)]
        for pk, (number, tenant) in enumerate(rows):
            self.row(pk, tenant, number)
        self.client.create_collection(OLD, vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
        # beta came last; the row of 24 was never indexed; one point has no row.
        for number in range(24):
            tenant = "beta" if number < 20 else "acme"
            self.write(OLD, old_id(number), number, tenant, None)
        self.write(OLD, old_id(99), 99, "nobody", None)
        alias = models.CreateAlias(collection_name=OLD, alias_name=ALIAS)
        self.client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])

    def sql(self, statement: str, *values: Any) -> None:
        """Run as the application does."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode(), values or None)

    def row(self, pk: int, tenant: str, number: int) -> None:
        """Insert a fragment's row."""
        vector = [1.0, 0.5 if tenant == "acme" else 2.0]
        self.sql(
            "INSERT INTO frag (pk, proyecto, id, archivo, par_idx, texto, embedding) "
            "VALUES (%s, %s, %s, 'file', %s, %s, %s)",
            pk, tenant, old_id(number), number, f"{tenant} {number}", vector,
        )  # fmt: skip

    def write(self, collection: str, identity: str, number: int, tenant: str, key: str | None) -> None:
        """Upsert a fragment's point."""
        payload = {"archivo": "file", "par_idx": number, "texto": f"{tenant} {number}"}
        vector = [1.0, 0.5 if tenant == "acme" else 2.0]
        point = models.PointStruct(id=identity, vector=vector, payload={**payload, KEY: key} if key else payload)
        self.client.upsert(collection, [point], wait=True)

    def keys(self, collection: str) -> dict[str, Any]:
        """Return every point's key."""
        points, offset = self.client.scroll(collection, limit=1000, with_payload=True)
        assert offset is None
        return {str(point.id): (point.payload or {}).get(KEY) for point in points}

    def keys_of_aliases(self) -> list[str]:
        """Return the collections that aliases stand for."""
        return [one.collection_name for one in self.client.get_aliases().aliases]

    def session(self) -> Session:
        """Open a session."""
        path = self.directory / "tenure.yaml"
        body = {
            "version": 1,
            "tenant": {"registry": {"table": "proyectos", "column": "id"}},
            "connections": {"postgres": {"url": self.dsn}, "qdrant": {"url": self.url}},
            "postgres": {"frag": {"tenant": {"column": "proyecto"}, "unique": {"frag_pkey": {"keep": "numbers"}}}},
            "qdrant": {
                OLD: {
                    "tenant": {"postgres": "frag.id"},
                    "conflict": "quarantine",
                    "ids": {"rekey": "{tenant}|{archivo}|{par_idx}", "namespace": "url"},
                    "vectors": {"lost": "frag.embedding"},
                    "alias": ALIAS,
                }
            },
            **self.more,
        }
        path.write_text(json.dumps(body))
        return Session(load_playbook(path))

    def apply(self, through: Phase = Phase.CUTOVER) -> Report:
        """Run, and verify."""
        with self.session() as session:
            return session.apply(through, allowed=set(Hazard)).report

    def verify(self) -> Report:
        """Verify."""
        with self.session() as session:
            return session.verify()

    def guard(self) -> Report:
        """Guard."""
        with self.session() as session:
            return session.guard()


@pytest.fixture
def fragments(postgres_dsn: str, qdrant_url: str, tmp_path: Path) -> Iterator[Fragments]:
    """The application after cutover, green."""
    found = Fragments(tmp_path, postgres_dsn, qdrant_url)
    report = found.apply()
    assert red(report) == [], report.findings
    yield found
    found.client.close()


def red(report: Report) -> list[tuple[str, str, str]]:
    """Return what is not merely told."""
    return [(f.severity, f.id, f.object) for f in report.findings if f.severity != "info"]


def told(report: Report, id_: str) -> list[Finding]:
    """Return the findings of one check."""
    return [finding for finding in report.findings if finding.id == id_]


def test_checks_and_matrix_look_at_the_copy(fragments: Fragments) -> None:
    """Both tenants' points count, drift is what it was, and the stale point stays stale."""
    report = fragments.verify()
    counts = {row.tenant: dict(row.qdrant) for row in report.matrix}
    assert counts["acme"] == {NEW: 24}
    assert counts["beta"] == {NEW: 20}
    assert counts["(quarantine)"] == {NEW: 1}
    drift = {finding.title: finding.sample for finding in told(report, "TEN505")}
    assert list(drift.values()) == [(old_id(24),), (old_id(99),)]
    assert all("was there before, unchanged" in title for title in drift)
    assert red(fragments.guard()) == []


@pytest.mark.parametrize(
    ("identity", "wrong", "check"),
    [
        (new_id("acme", 3), "beta", "TEN502"),  # its id is also a row of beta's: only the map tells
        (new_id("acme", 21), "beta", "TEN504"),  # its row is acme's alone
        (new_id("beta", 5), "gamma", "TEN501"),
    ],
)
def test_a_wrong_key_in_the_copy_is_found(fragments: Fragments, identity: str, wrong: str, check: str) -> None:
    """One point with its neighbour's tenant, where ids are shared and where not, and one of nobody."""
    fragments.client.set_payload(NEW, {KEY: wrong}, points=[identity], wait=True)
    report = fragments.verify()
    assert red(report) == [("error", check, NEW)]
    assert identity in str(told(report, check)[0].sample) or old_id(21) in str(told(report, check)[0].sample)


def test_what_is_born_in_the_copy_is_keyed_and_what_is_deleted_stays_away(fragments: Fragments) -> None:
    """New writers use the template, one forgets the key; the same number is both tenants'."""
    fragments.row(100, "acme", 30)
    fragments.row(101, "beta", 30)
    fragments.write(ALIAS, new_id("acme", 30), 30, "acme", None)
    fragments.write(ALIAS, new_id("beta", 30), 30, "beta", None)
    fragments.client.delete(ALIAS, [new_id("acme", 7), new_id("beta", 8)], wait=True)
    fragments.sql("DELETE FROM frag WHERE (proyecto, par_idx) IN (('acme', 7), ('beta', 8))")
    assert ("error", "TEN501", NEW) in red(fragments.verify())
    assert ("error", "TEN501", NEW) in red(fragments.guard())
    report = fragments.apply(Phase.CONSTRAIN)
    assert red(report) == [], report.findings
    keys = fragments.keys(NEW)
    assert keys[new_id("acme", 30)] == "acme"
    assert keys[new_id("beta", 30)] == "beta"
    assert not {new_id("acme", 7), new_id("beta", 8)} & set(keys)
    assert len(fragments.keys(OLD)) == 25, "the old collection is not touched"


def test_writes_to_what_was_replaced_are_noticed_and_never_lost(fragments: Fragments) -> None:
    """An old writer changes, adds and deletes by the collection's own name: verify and guard say so, contract refuses,
    rollback keeps what it did."""
    fragments.write(OLD, old_id(22), 22, "acme", None)  # without its key: its text is as before
    fragments.client.set_payload(OLD, {"texto": "edited"}, points=[old_id(21)], wait=True)
    fragments.client.delete(OLD, [old_id(23)], wait=True)
    fragments.row(100, "acme", 40)
    fragments.write(OLD, old_id(40), 40, "acme", None)
    for report in (fragments.verify(), fragments.guard()):
        (finding,) = told(report, "TEN509")
        assert (finding.severity, finding.object, finding.count) == ("warning", OLD, 3)
        assert set(finding.sample) == {old_id(21), old_id(23), old_id(40)}
    with pytest.raises(RefusedError, match="written or deleted since"):
        fragments.apply(Phase.CONTRACT)
    assert NEW in fragments.keys_of_aliases()
    fragments.client.set_payload(ALIAS, {"texto": "new"}, points=[new_id("acme", 20)], wait=True)
    with fragments.session() as session:
        assert session.rollback_plan().lossless
        session.rollback()
    texts = {str(p.id): (p.payload or {})["texto"] for p in fragments.client.scroll(ALIAS, limit=1000)[0]}
    assert texts[old_id(21)] == "edited"
    assert texts[old_id(20)] == "new"
    assert texts[old_id(40)] == "acme 40"
    assert old_id(23) not in texts
    assert {c.name for c in fragments.client.get_collections().collections} == {OLD}
    assert set(fragments.keys(OLD).values()) == {None}


def test_both_written_is_a_conflict_to_choose_on(fragments: Fragments) -> None:
    """The same fragment edited in both collections: rollback names it."""
    fragments.client.set_payload(OLD, {"texto": "old edit"}, points=[old_id(21)], wait=True)
    fragments.client.set_payload(NEW, {"texto": "new edit"}, points=[new_id("acme", 21)], wait=True)
    with fragments.session() as session:
        (finding,) = session.rollback_plan().blocking
        assert (finding.id, finding.object) == ("TEN121", OLD)
        assert new_id("acme", 21) in finding.sample[0]
        with pytest.raises(RefusedError, match="would be lost"):
            session.rollback()
    assert fragments.keys_of_aliases() == [NEW]


def test_an_alias_that_somebody_moves_does_not_bring_old_data_back(fragments: Fragments) -> None:
    """The ledger says that the switch is done: the copy stays as tenants left it, whatever the alias is."""
    fragments.client.delete(NEW, [new_id("acme", 7)], wait=True)
    moved = models.CreateAlias(collection_name=OLD, alias_name=ALIAS)
    delete = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=ALIAS))
    fragments.client.update_collection_aliases([delete, models.CreateAliasOperation(create_alias=moved)])
    report = fragments.apply()
    assert ("error", "TEN509", NEW) in red(report)
    assert new_id("acme", 7) not in fragments.keys(NEW)


def test_contract_drops_it_and_everything_goes_on(fragments: Fragments) -> None:
    """The replaced collection is gone for good: verify, guard and apply work, rollback is refused with the reason."""
    report = fragments.apply(Phase.CONTRACT)
    assert red(report) == [], report.findings
    assert {c.name for c in fragments.client.get_collections().collections} == {NEW}
    assert red(fragments.guard()) == []
    assert red(fragments.apply(Phase.CONTRACT)) == []
    with fragments.session() as session:
        assert [f.id for f in session.rollback_plan().blocking] == ["TEN122"]
    fragments.more = {"limits": {"batch_ms": 250}}
    with fragments.session() as session:
        assert session.plan().errors == (), "a playbook that changed since still finds the rules of the copy"
    assert red(fragments.apply(Phase.CONTRACT)) == []
    assert {c.name for c in fragments.client.get_collections().collections} == {NEW}
    # An old writer makes it again, as clients do that create what is missing.
    fragments.client.create_collection(OLD, vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    report = fragments.verify()
    assert red(report) == [("warning", "TEN509", OLD)]


def test_rollback_says_which_keys_of_the_application_it_would_lose(fragments: Fragments) -> None:
    """A point that no row knows, keyed by the application itself."""
    fragments.write(ALIAS, new_id("beta", 77), 77, "beta", "beta")
    with fragments.session() as session:
        notes = [note for note in session.rollback_plan().notes if note.id == "TEN124"]
    assert [(note.object, note.count, note.sample) for note in notes] == [(NEW, 1, (new_id("beta", 77),))]


def test_rollback_takes_keys_that_were_written_in_the_copy_too(
    postgres_dsn: str, qdrant_url: str, tmp_path: Path
) -> None:
    """Some points had keys before tenure came: these stay, all that tenure wrote goes, wherever it wrote it."""
    found = Fragments(tmp_path, postgres_dsn, qdrant_url)
    found.client.set_payload(OLD, {KEY: "acme"}, points=[old_id(20)], wait=True)
    assert red(found.apply()) == []
    found.row(100, "acme", 30)
    found.write(ALIAS, new_id("acme", 30), 30, "acme", None)
    assert red(found.apply(Phase.CONSTRAIN)) == []
    assert found.keys(ALIAS)[new_id("acme", 30)] == "acme"
    with found.session() as session:
        session.rollback()
    keys = found.keys(OLD)
    assert {identity: key for identity, key in keys.items() if key is not None} == {old_id(20): "acme"}
    assert new_id("acme", 30) in keys
    found.client.close()
