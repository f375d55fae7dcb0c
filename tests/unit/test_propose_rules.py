"""What is proposed from evidence made by hand: no store, one rule after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tenure.catalog import Catalog
from tenure.catalog.neo4j import Constraint, Label, Neo4jCatalog, Property, RelationshipEnds, RelationshipType
from tenure.catalog.postgres import Column, ForeignKey, Index, PostgresCatalog, Role, Table
from tenure.catalog.qdrant import Collection, PayloadField, QdrantCatalog
from tenure.propose import Evidence, Proposal, propose
from tenure.propose.evidence import (
    Found,
    Link,
    Node,
    NodeSample,
    Point,
    PointSample,
    RegistryChoice,
    RelationshipSample,
    TableRows,
)
from tenure.propose.links import declared_links, named_links
from tenure.propose.names import points_at, singular, tenant_weight, tokens
from tenure.propose.registry import find_registry
from tenure.propose.values import NOTHING, UNKNOWN, Tenants

TENANTS = ("acme", "beta", "gamma", "delta-4")


def column(name: str, type_: str = "text", **options: Any) -> Column:
    kinds = {"text": "text_like", "uuid": "uuid_like", "bigint": "integer_like"}
    return Column(name=name, type=type_, base_type=type_, **{kinds[type_]: True} if type_ in kinds else {}, **options)


def table(
    name: str,
    *columns: Column,
    key: Sequence[str] = ("id",),
    unique: Sequence[Sequence[str]] = (),
    refers: Mapping[str, tuple[str, str]] | None = None,
    **options: Any,
) -> Table:
    """A table; *refers* maps columns to (table, column) of single-column foreign keys."""
    indexes = [Index(name=f"{name}_pkey", columns=tuple(key), unique=True, primary=True, constraint=f"{name}_pkey")]
    indexes += [Index(name=f"{name}_{'_'.join(u)}_key", columns=tuple(u), unique=True) for u in unique]
    keys = tuple(
        ForeignKey(name=f"{name}_{own}_fkey", columns=(own,), ref_table=target, ref_columns=(ref,))
        for own, (target, ref) in (refers or {}).items()
    )
    return Table(
        name=name, columns=columns, primary_key=tuple(key), indexes=tuple(indexes), foreign_keys=keys, **options
    )


def rows(*columns: str, of: Sequence[Sequence[str | None]]) -> TableRows:
    return TableRows(columns, tuple(tuple(row) for row in of), len(of), True, len(of))


PROJECTS = table("projects", column("id"), column("code"), unique=(("code",),))
PROJECT_ROWS = rows("id", "code", of=[(tenant, f"P{n}") for n, tenant in enumerate(TENANTS)])


class World:
    """Tables with their rows, and what is proposed for them."""

    def __init__(self) -> None:
        self.tables: list[Table] = [PROJECTS]
        self.rows: dict[str, TableRows] = {"projects": PROJECT_ROWS}
        self.links: list[Link] = []
        self.more: dict[str, Any] = {}
        self.graph: Neo4jCatalog | None = None
        self.vectors: QdrantCatalog | None = None

    def add(self, made: Table, of: Sequence[Sequence[str | None]]) -> World:
        self.tables.append(made)
        self.rows[made.display] = rows(*(c.name for c in made.columns), of=of)
        return self

    @property
    def catalog(self) -> Catalog:
        postgres = PostgresCatalog(
            server_version=180000, database="d", role=Role(name="me"), tables=tuple(self.tables)
        )  # fmt: skip
        return Catalog(postgres=postgres, neo4j=self.graph, qdrant=self.vectors)

    def propose(self) -> Proposal:
        catalog = self.catalog
        links = (*declared_links(catalog.postgres), *named_links(catalog.postgres), *self.links)
        registry = RegistryChoice("projects", "id", "")
        return propose(catalog, Evidence("project_id", registry, self.rows, links, **self.more))

    def rule(self, name: str, store: str = "postgres") -> dict[str, Any]:
        entry = self.propose().entry(store, name)
        assert entry is not None
        return dict(entry.rule)


def owner(number: int) -> str:
    return TENANTS[number % len(TENANTS)]


def files(world: World, project: Sequence[str | None] | None = None) -> World:
    of = [(str(n), project[n] if project else owner(n), f"file {n}.txt") for n in range(12)]
    return world.add(table("files", column("id", "bigint", identity=True), column("project"), column("name")), of)


# Own columns.


def test_a_column_of_tenants_under_any_name() -> None:
    world = World().add(table("notes", column("id"), column("belongs")), [(str(n), owner(n)) for n in range(9)])
    assert world.rule("notes") == {"tenant": {"column": "belongs"}, "unique": {"notes_pkey": "rescope"}}


def test_a_column_that_holds_a_few_tenants_by_chance_is_none() -> None:
    of = [(str(n), "acme" if n == 0 else f"word {n}") for n in range(9)]
    world = World().add(table("notes", column("id"), column("said")), of)
    assert world.rule("notes") == {"tenant": "?"}


def test_numbers_are_believed_only_where_the_name_agrees() -> None:
    registry = table("projects", column("id", "bigint"))
    for name, expected in (("project_id", {"column": "project_id"}), ("quantity", "?")):
        world = World()
        world.tables, world.rows = [registry], {"projects": rows("id", of=[("1",), ("2",), ("3",)])}
        world.add(table("notes", column("id"), column(name, "bigint")), [(str(n), str(n % 3 + 1)) for n in range(9)])
        assert world.rule("notes")["tenant"] == expected


def test_where_somebody_is_just_now_says_nothing_of_the_owner() -> None:
    refers = {"current_project_id": ("projects", "id")}
    made = table("devices", column("id"), column("current_project_id"), refers=refers)
    world = World().add(made, [(str(n), owner(n)) for n in range(8)])
    entry = world.propose().entry("postgres", "devices")
    assert entry is not None
    assert entry.question
    assert "current_project_id" in "".join(entry.comments)


def test_a_foreign_key_to_another_column_of_the_registry_is_looked_up() -> None:
    made = table("notes", column("id"), column("project_code"), refers={"project_code": ("projects", "code")})
    world = World().add(made, [(str(n), f"P{n % 4}") for n in range(8)])
    mapping = {"table": "projects", "value": "code", "tenant": "id"}
    assert world.rule("notes")["tenant"] == {"mapping": mapping, "match": "project_code"}


def test_of_two_columns_the_one_that_is_called_like_the_tenant() -> None:
    refers = {"copied_from_project_id": ("projects", "id"), "project_id": ("projects", "id")}
    made = table("tasks", column("id"), column("copied_from_project_id"), column("project_id"), refers=refers)
    world = World().add(made, [(str(n), owner(n + 1), owner(n)) for n in range(8)])
    assert world.rule("tasks")["tenant"] == {"column": "project_id"}


def test_default_is_nobody_even_where_a_tenant_is_called_so() -> None:
    world = World()
    world.rows["projects"] = rows("id", "code", of=[*zip(TENANTS, ("Default", "b", "c", "d"), strict=True)])
    made = table("notes", column("id"), column("project_id"))
    world.add(made, [(str(n), "default" if n % 2 else owner(n)) for n in range(8)])
    proposal = world.propose()
    assert proposal.untagged == ("default",)
    assert not proposal.aliases


def test_a_column_that_holds_another_column_of_the_registry_is_looked_up() -> None:
    world = World()
    world.rows["projects"] = rows("id", "code", of=[*zip(TENANTS, ("one", "two", "three", "four"), strict=True)])
    made = table("notes", column("id"), column("of"))
    world.add(made, [(str(n), ("one", "two", "three", "four", None)[n % 5]) for n in range(10)])
    mapping = {"table": "projects", "value": "code", "tenant": "id"}
    assert world.rule("notes")["tenant"] == {"mapping": mapping, "match": "of"}
    # Where both spellings are mixed a lookup would miss the one, so the other becomes an alias.
    world.add(table("mixed", column("id"), column("project_id")), [(str(n), ("one", "beta")[n % 2]) for n in range(8)])
    assert world.rule("mixed")["tenant"] == {"column": "project_id"}
    assert ("one", "acme") in {(alias.value, alias.tenant) for alias in world.propose().aliases}


def test_a_part_of_a_path_names_the_tenant() -> None:
    made = table("blobs", column("id"), column("url"))
    world = World().add(made, [(str(n), f"s3://bucket/{owner(n)}/file {n}") for n in range(8)])
    assert world.rule("blobs")["tenant"] == {"sql": "split_part(t.\"url\", '/', 4)"}


# Spellings and words.


def test_spellings_are_learnt_by_form_by_the_registry_and_by_witnesses() -> None:
    spelled = ["acme", "ACME", "P1", "default", "x-77", "x-77", "x-77", None, "beta", "Delta 4", "gamma", "default"]
    world = files(World())
    owners = [owner(n) for n in range(12)]
    owners[4:7] = ["gamma"] * 3
    world.rows["files"] = rows("id", "project", "name", of=[(str(n), owners[n], f"file {n}") for n in range(12)])
    made = table(
        "parts", column("id"), column("project_id"), column("file_id", "bigint"), refers={"file_id": ("files", "id")}
    )
    world.add(made, [(f"p{n}", spelled[n], str(n)) for n in range(12)])
    proposal = world.propose()
    assert {(a.value, a.tenant) for a in proposal.aliases} == {
        ("ACME", "acme"), ("P1", "beta"), ("Delta 4", "delta-4"), ("x-77", "gamma"),
    }  # fmt: skip
    assert proposal.untagged == ("default",)


def test_a_value_that_stands_beside_two_tenants_is_nobodys_spelling() -> None:
    tenants = Tenants(frozenset(TENANTS))
    from collections import Counter

    tenants.learn_from_witnesses({"x": Counter({"acme": 9, "beta": 1})}, {"x": 1}, frozenset())
    assert tenants.answer("x") == UNKNOWN
    assert tenants.answer(None) == NOTHING


# Links.


def parts(world: World, of: Sequence[Sequence[str | None]], **options: Any) -> World:
    refers = {"file_id": ("files", "id")}
    return world.add(
        table("parts", column("id"), column("file_id", "bigint", **options), column("project_id"), refers=refers), of
    )


def test_one_source_where_it_suffices_and_several_where_there_are_gaps() -> None:
    whole = parts(files(World()), [(str(n), str(n), owner(n)) for n in range(12)])
    assert whole.rule("parts")["tenant"] == {"column": "project_id"}
    gaps = parts(files(World()), [(str(n), str(n), owner(n) if n % 3 else None) for n in range(12)])
    to_file = {"parent": "files", "match": {"file_id": "id"}}
    assert gaps.rule("parts")["tenant"] == {"first": [{"column": "project_id"}, to_file]}


def test_sources_that_mean_different_things_do_not_fill_each_others_gaps() -> None:
    world = parts(files(World()), [(str(n), str(n), owner(n + 1) if n % 3 else None) for n in range(12)])
    assert world.rule("parts")["tenant"] == {"column": "project_id"}


def test_a_table_without_rows_follows_its_foreign_keys_with_low_confidence() -> None:
    made = table("pages", column("id"), column("file_id", "bigint"), refers={"file_id": ("files", "id")})
    entry = files(World()).add(made, []).propose().entry("postgres", "pages")
    assert entry is not None
    assert entry.confidence == "low"
    assert entry.rule["tenant"] == {"parent": "files", "match": {"file_id": "id"}}
    named = table("logs", column("id"), column("project"))
    assert files(World()).add(named, []).rule("logs")["tenant"] == {"column": "project"}


def test_links_that_only_look_alike_are_refused() -> None:
    # Every file name stands in the table, but files of one name belong to different tenants.
    world = files(World())
    world.rows["files"] = rows("id", "project", "name", of=[(str(n), owner(n), f"file {n % 3}") for n in range(12)])
    world.links.append(Link("parts", ("file",), "files", ("name",)))
    world.add(table("parts", column("id"), column("file")), [(str(n), f"file {n % 3}") for n in range(9)])
    assert world.rule("parts") == {"tenant": "?"}


def test_an_owned_row_that_only_others_refer_to() -> None:
    refers = {"blob_id": ("blobs", "id")}
    made = table("attachments", column("id"), column("project_id"), column("blob_id"), refers=refers)
    world = World().add(made, [(str(n), owner(n), f"b{n}") for n in range(8)])
    world.add(table("blobs", column("id")), [(f"b{n}",) for n in range(8)])
    assert world.rule("blobs")["tenant"] == {"parent": "attachments", "match": {"id": "blob_id"}}
    world.rows["attachments"] = rows(
        "id", "project_id", "blob_id", of=[(str(n), owner(n), f"b{n // 2}") for n in range(8)]
    )
    world.rows["blobs"] = rows("id", of=[(f"b{n}",) for n in range(4)])
    assert world.rule("blobs") == {"shared": "looked up by rows of several tenants"}


def test_what_the_playbook_calls_shared_is_no_parent() -> None:
    world = parts(files(World()), [(str(n), str(n), None) for n in range(12)])
    assert world.rule("parts")["tenant"] == {"parent": "files", "match": {"file_id": "id"}}
    world.more["unkeyed"] = frozenset({"files"})
    assert world.rule("parts") == {"tenant": "?"}


# The registry.


def test_the_registry_is_found_by_values_where_no_key_is_declared() -> None:
    world = files(World()).add(table("words", column("id"), column("word")), [(str(n), f"w{n}") for n in range(6)])
    found = find_registry(world.catalog.postgres, world.rows)
    assert (found.table, found.column, found.type) == ("projects", "id", "text")
    assert "files" in found.why


def test_a_database_without_tenants_has_no_registry() -> None:
    world = World()
    world.tables, world.rows = [], {}
    world.add(table("words", column("id"), column("word")), [(str(n), f"w{n}") for n in range(6)])
    assert find_registry(world.catalog.postgres, world.rows).table == ""


# Graph and collections.


def labelled(name: str, *properties: str, count: int) -> Label:
    return Label(name=name, count=count, properties=tuple(Property(name=p, types=("STRING",)) for p in properties))


def graph_world() -> World:
    world = files(World())
    file_nodes = [Node({"name": f"file {n}.txt"}, (("HAS", "Tag", {"word": f"tag {n % 3}"}),)) for n in range(12)]
    tags = [
        Node(
            {"word": f"tag {k}", "pagerank": "7"},
            tuple(("HAS", "File", {"name": f"file {n}.txt"}) for n in range(k, 12, 3)),
        )
        for k in range(3)
    ]
    lonely = [Node({"word": "x"})]
    constraint = Constraint(name="tag", kind="UNIQUENESS", labels_or_types=("Tag",), properties=("word",))
    ends = (RelationshipEnds(start="File", end="Tag", count=12),)
    has = RelationshipType(name="HAS", count=12, ends=ends, properties=(Property(name="of", types=("LIST<STRING>",)),))
    world.graph = Neo4jCatalog(
        version="5.26.0",
        labels=(
            labelled("File", "name", count=12),
            labelled("Lonely", "word", count=1),
            labelled("Tag", "word", "pagerank", count=3),
        ),
        relationship_types=(has,),
        constraints=(constraint,),
    )
    world.more["nodes"] = {
        "File": NodeSample(tuple(file_nodes), 12),
        "Tag": NodeSample(tuple(tags), 3),
        "Lonely": NodeSample(tuple(lonely), 1),
    }
    lists = {"of": tuple(f"file {n}.txt" for n in range(5))}
    world.more["relationships"] = {"HAS": RelationshipSample(({},), lists, 12)}
    world.more["found"] = {("neo4j", "File", "name"): (Found("files", "name", 12, 12, True),)}
    return world


def test_labels_by_rows_by_neighbours_and_by_nobody() -> None:
    world = graph_world()
    assert world.rule("File", "neo4j.nodes") == {"identity": "name", "tenant": {"postgres": "files.name"}}
    assert world.rule("Tag", "neo4j.nodes") == {
        "identity": "word", "tenant": {"neighbours": ["HAS"]}, "several": "split", "stale": ["pagerank"],
    }  # fmt: skip
    assert world.rule("Lonely", "neo4j.nodes") == {"tenant": "?"}
    assert world.rule("HAS", "neo4j.relationships") == {"tenant": "ends", "references": {"of": "File.name"}}


def test_a_label_that_names_its_tenant_is_read_from_the_property() -> None:
    world = graph_world()
    assert world.graph is not None
    nodes = [Node({"word": f"x{n}", "project_id": owner(n)}) for n in range(4)]
    labels = (*world.graph.labels[:1], labelled("Lonely", "word", "project_id", count=4), world.graph.labels[2])
    world.graph = world.graph.model_copy(update={"labels": labels})
    world.more["nodes"]["Lonely"] = NodeSample(tuple(nodes), 4)
    assert world.rule("Lonely", "neo4j.nodes")["tenant"] == {"property": "project_id"}


def test_collections_by_id_by_field_and_by_payload() -> None:
    world = files(World())
    fields = tuple(PayloadField(name=name, types=(("str", 12),)) for name in ("file", "meta.project_id"))
    collections = [Collection(name=name, points=12, fields=fields) for name in ("by_file", "by_payload", "lost")]
    world.vectors = QdrantCatalog(version="1", collections=tuple(collections))
    named = [Point(f"u{n}", {"file": f"file {n}.txt"} if n % 4 else {"meta.project_id": owner(n)}) for n in range(12)]
    told = [Point(f"u{n}", {"meta.project_id": owner(n)}) for n in range(12)]
    lost = [Point(f"u{n}", {"file": "?"}) for n in range(12)]
    sampled = {"by_file": named, "by_payload": told, "lost": lost}
    world.more["points"] = {name: PointSample(tuple(points), 12) for name, points in sampled.items()}
    world.more["found"] = {("qdrant", "by_file", "file"): (Found("files", "name", 9, 9, True),)}
    by_row = {"payload": "file", "postgres": "files.name"}
    assert world.rule("by_file", "qdrant")["tenant"] == {"first": [by_row, {"payload": "meta.project_id"}]}
    assert world.rule("by_payload", "qdrant")["tenant"] == {"payload": "meta.project_id"}
    assert world.rule("lost", "qdrant") == {"tenant": "?"}


# Names.


@pytest.mark.parametrize(
    ("name", "table_name", "expected"),
    [
        ("file_id", "interview_files", True), ("id_order", "ps_orders", True), ("filaId", "otras_filas", True),
        ("issue_from_id", "issues", True), ("status_id", "issue_statuses", True), ("id", "files", False),
        ("quantity", "files", False), ("category_id", "categories", True), ("wiki_id", "wikis", True),
    ],
)  # fmt: skip
def test_names_that_point_at_tables(name: str, table_name: str, expected: bool) -> None:
    assert points_at(name, table_name, "id") is expected


def test_words_of_names() -> None:
    assert tokens("InterviewFiles") == tokens("interview_files") == ("interview", "file")
    assert singular("codificaciones") == "codificacion"
    assert tenant_weight("ps_shop") > tenant_weight("customers") > tenant_weight("parts") == 0
