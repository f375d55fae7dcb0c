"""Every refusal of a playbook by the plan has a case that brings about exactly it, on catalogs written by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_planner_postgres import COLUMN, catalog, playbook, table

import tenure.attribution.build
import tenure.planner.classify
from tenure.catalog import Catalog
from tenure.catalog.neo4j import Label, Neo4jCatalog, RelationshipEnds, RelationshipType
from tenure.catalog.postgres import Column, ForeignKey, Table
from tenure.catalog.qdrant import Collection, QdrantCatalog
from tenure.planner import plan

ENDS = RelationshipEnds(start="Doc", end="Code", count=3)
GRAPH = Neo4jCatalog(
    version="5.26.30",
    edition="community",
    labels=(Label(name="Doc", count=3), Label(name="Code", count=2)),
    relationship_types=(RelationshipType(name="HAS", count=3, ends=(ENDS,)),),
)
DOC = {"identity": "id", "tenant": {"postgres": "t.id"}}
CODE = {"identity": "name", "tenant": {"neighbours": ["HAS"]}, "several": "split"}
NODES: dict[str, Any] = {"Doc": DOC, "Code": CODE}
HAS: dict[str, Any] = {"HAS": {"tenant": "ends"}}
POINTS = QdrantCatalog(version="1.18.3", collections=(Collection(name="pts", points=5),))
PTS: dict[str, Any] = {"pts": {"tenant": {"payload": "id", "postgres": "t.id"}}}
URLS = {
    "postgres": {"url": "postgresql://nowhere/d"},
    "neo4j": {"url": "bolt://nowhere"},
    "qdrant": {"url": "http://nowhere"},
}


def child(**more: Any) -> dict[str, Any]:
    """A rule that takes the tenant of a parent."""
    return {"tenant": {"parent": "t", "match": {"name": "id"}}, **more}


def key(type_: str = "text", **more: Any) -> Table:
    """The table t with a key column that was there before."""
    return table("t", columns=(Column(name="project_id", type=type_, text_like=type_ == "text", **more),))


class Case(NamedTuple):
    """A change to what is in the stores, or to the playbook; who is refused, and a word that says what to do."""

    ids: str
    object: str
    remedy: str
    tables: tuple[Table, ...] = (table("t"),)
    rules: Mapping[str, Any] = {"t": COLUMN}
    nodes: Mapping[str, Any] = NODES
    relationships: Mapping[str, Any] = HAS
    points: Mapping[str, Any] = PTS
    more: Mapping[str, Any] = {}


BARS = ForeignKey(
    name="owner",
    columns=("project_id",),
    ref_table="projects",
    ref_columns=("id",),
    definition="FOREIGN KEY (project_id) REFERENCES projects(id)",
)

CASES = {
    "a table that nobody classified": Case("TEN001", "late", "exempt", tables=(table("t"), table("late"))),
    "a label that nobody classified": Case(
        "TEN001", "Code", "exempt", nodes={"Doc": DOC}, relationships={"HAS": {"exempt": "none"}}
    ),
    "a relationship type that nobody classified": Case(
        "TEN001", "HAS", "exempt", nodes={"Doc": DOC, "Code": {"shared": "all use them"}}, relationships={}
    ),
    "a collection that nobody classified": Case("TEN001", "pts", "exempt", points={}),
    "a table that is not there": Case("TEN002", "gone", "Correct the name", rules={"t": COLUMN, "gone": COLUMN}),
    "a collection that is not there": Case("TEN002", "gone", "Correct the name", points={**PTS, "gone": PTS["pts"]}),
    "a parent that is not there": Case(
        "TEN002", "t", "Tables are", rules={"t": {"tenant": {"parent": "gone", "match": {"name": "id"}}}}
    ),
    "an open question": Case(
        "TEN003",
        "t",
        "Replace",
        rules={"t": {"tenant": "?"}},
        nodes={"Doc": {"tenant": {"constant": "a"}}, "Code": CODE},
        points={"pts": {"exempt": "x"}},
    ),
    "a column that is not there": Case("TEN004", "t", "Columns are", rules={"t": {"tenant": {"column": "gone"}}}),
    "neighbours that are none": Case(
        "TEN004", "Code", "Types are", nodes={"Doc": DOC, "Code": {**CODE, "tenant": {"neighbours": ["GONE"]}}}
    ),
    "a row's column that is not there": Case(
        "TEN004", "pts", "Columns are", points={"pts": {"tenant": {"payload": "id", "postgres": "t.gone"}}}
    ),
    "tables in a circle": Case(
        "TEN005",
        "t",
        "does not lead back",
        tables=(table("t"), table("u")),
        rules={"t": {"tenant": {"parent": "u", "match": {"name": "id"}}}, "u": child()},
    ),
    "labels in a circle": Case(
        "TEN005",
        "Doc",
        "does not lead back",
        nodes={"Doc": {**CODE, "identity": "id"}, "Code": CODE},
    ),
    "a parent without a tenant": Case(
        "TEN006",
        "u",
        "Key the parent",
        tables=(table("t"), table("u")),
        rules={"t": {"exempt": "x"}, "u": child()},
        nodes={"Doc": {"tenant": {"constant": "a"}}, "Code": CODE},
        points={"pts": {"exempt": "x"}},
    ),
    "a row without a tenant": Case(
        "TEN006",
        "pts",
        "Key the table",
        rules={"t": {"exempt": "x"}},
        nodes={"Doc": {"tenant": {"constant": "a"}}, "Code": CODE},
    ),
    "a key of another type": Case("TEN007", "t", "Rename", tables=(key("integer"),)),
    "a key that the database computes": Case("TEN007", "t", "Drop the generation", tables=(key(generated="stored"),)),
    "a registry without its column": Case(
        "TEN008", "projects", "Columns are", more={"tenant": {"registry": {"table": "projects", "column": "gone"}}}
    ),
    "a sentinel that a foreign key forbids": Case(
        "TEN009",
        "t",
        "Drop owner",
        tables=(key().model_copy(update={"foreign_keys": (BARS,)}),),
        rules={"t": {**COLUMN, "unassigned": "quarantine"}},
    ),
    "a table that is divided by tenant already": Case(
        "TEN010", "t", "exempt", tables=(key().model_copy(update={"partition_columns": ("project_id",)}),)
    ),
    "a foreign table": Case("TEN011", "t", "where it lives", tables=(table("t", kind="foreign"),)),
    "a new id for a point that keeps no tenant": Case(
        "TEN012",
        "pts",
        "ids: keep",
        points={
            "pts": {
                **PTS["pts"],
                "ids": {"rekey": "{tenant}|{id}", "namespace": "url"},
                "alias": "p",
                "unassigned": {"keep_null": "x"},
            }
        },
    ),
}


def refused(folder: Path, case: Case) -> list[Any]:
    """What the plan refuses of a case."""
    found = catalog(*case.tables).model_copy(update={"neo4j": GRAPH, "qdrant": POINTS})
    assert isinstance(found, Catalog)
    graph = {"nodes": dict(case.nodes), "relationships": dict(case.relationships)}
    book = playbook(folder, dict(case.rules), connections=URLS, neo4j=graph, qdrant=dict(case.points), **case.more)
    made = plan(book, found)
    errors = [finding for finding in made.findings if finding.severity == "error"]
    assert bool(errors) == (made.operations == ())
    return errors


def test_the_cases_differ_from_a_playbook_that_is_planned(tmp_path: Path) -> None:
    """Without any of the changes nothing is refused: else the rest would prove nothing."""
    assert refused(tmp_path, Case("", "", "")) == []


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_with_what_to_do(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    errors = refused(tmp_path, case)
    assert {finding.id for finding in errors} == {case.ids}, [(f.id, f.object, f.title) for f in errors]
    (finding,) = [finding for finding in errors if finding.object == case.object]
    assert case.remedy in finding.remedy


def test_every_refusal_has_a_case() -> None:
    """A refusal that comes without a case, or a case whose refusal is gone, fails here."""
    source = Path(tenure.attribution.build.__file__).parent.parent
    texts = [path.read_text() for folder in ("attribution", "planner") for path in (source / folder).glob("*.py")]
    ids = {id_ for text in texts for id_ in re.findall(r'"(TEN0[01]\d)"', text)}
    assert ids == {case.ids for case in CASES.values()}
