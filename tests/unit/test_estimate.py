"""What the plan says that work on a table takes: from catalogs written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenure.catalog import Catalog
from tenure.catalog.postgres import Column, ForeignKey, Index, PostgresCatalog, Role, Table
from tenure.planner import Plan, plan
from tenure.planner.estimate import Estimate
from tenure.playbook import load_playbook
from tenure.report.estimates import estimates_table, size

ADMIN = Role(name="admin", superuser=True, can_set_replication_role=True)
OWNER = Role(name="owner")
MILLION = 1_000_000
PARENT = {"tenant": {"parent": "parents", "match": {"parent_id": "id"}}}


def index(name: str, column: str, **more: Any) -> Index:
    """An index of 20 MB."""
    return Index(name=name, columns=(column,), parts=(column,), size_bytes=20_000_000, **more)


def items(rows: int = MILLION, **more: Any) -> Table:
    """A table of 45 rows a page with a primary key, a unique and two more indexes."""
    given: dict[str, Any] = {
        "name": "items",
        "columns": (
            Column(name="id", type="bigint", integer_like=True, identity=True, nullable=False),
            Column(name="parent_id", type="bigint", integer_like=True, nullable=False),
            Column(name="code", type="text", text_like=True, nullable=False),
        ),
        "primary_key": ("id",),
        "indexes": (
            index("items_pkey", "id", unique=True, primary=True, constraint="items_pkey"),
            index("items_code", "code", unique=True),
            index("items_parent", "parent_id"),
            index("items_other", "code"),
        ),
        "foreign_keys": (
            ForeignKey(name="items_fk", columns=("parent_id",), ref_table="parents", ref_columns=("id",)),
        ),
        "estimated_rows": rows,
        "pages": rows // 45,
    }
    return Table(**{**given, **more})


def planned(folder: Path, table: Table, rule: dict[str, Any], role: Role = ADMIN, workers: int = 2) -> Plan:
    """The plan of an application with that table and its parents."""
    text = Column(name="id", type="text", text_like=True, nullable=False)
    key = {"unique": True, "primary": True}
    projects = Table(
        name="projects",
        columns=(text,),
        primary_key=("id",),
        indexes=(Index(name="projects_pkey", columns=("id",), parts=("id",), **key),),
    )
    parents = Table(
        name="parents",
        columns=(
            Column(name="id", type="bigint", integer_like=True, identity=True, nullable=False),
            Column(name="project", type="text", text_like=True),
        ),
        primary_key=("id",),
        indexes=(Index(name="parents_pkey", columns=("id",), parts=("id",), constraint="parents_pkey", **key),),
        estimated_rows=50_000,
        pages=400,
    )
    postgres = PostgresCatalog(server_version=180000, database="d", role=role, tables=(projects, parents, table))
    path = folder / "tenure.yaml"
    path.write_text(
        "version: 1\ntenant: {registry: {table: projects, column: id}}\n"
        "connections: {postgres: {url: postgresql://nowhere/d}}\n"
        f"limits: {{workers: {{postgres: {workers}}}}}\n"
        "postgres:\n  parents: {tenant: {column: project}}\n"
        f"  items: {rule}\n"
    )
    made = plan(load_playbook(path, {}), Catalog(postgres=postgres))
    assert not made.errors, made.errors
    return made


def estimate(made: Plan, kind: str) -> Estimate:
    """The estimate of one kind of operation on the items."""
    found = {id_: estimate for id_, estimate in made.estimates if id_.startswith(f"postgres.{kind}.items")}
    assert len(found) >= 1, [id_ for id_, _ in made.estimates]
    return next(iter(found.values()))


def test_a_constant_takes_no_time_at_any_size(tmp_path: Path) -> None:
    rule = {"tenant": {"constant": "acme"}}
    small, large = (planned(tmp_path, items(rows), rule) for rows in (1000, 1000 * MILLION))
    assert estimate(small, "add_key") == estimate(large, "add_key")
    assert estimate(large, "add_key").seconds < 0.1
    assert not any(".backfill_rows.items" in id_ for id_, _ in large.estimates)


def test_a_backfill_takes_time_and_log_by_its_rows(tmp_path: Path) -> None:
    one, ten = (estimate(planned(tmp_path, items(n * MILLION), PARENT), "backfill_rows") for n in (1, 10))
    assert one.way == "striped, 14 passes"
    assert ten.seconds == pytest.approx(10 * one.seconds, rel=0.05)
    # The measured range for a million such rows on two cores: docs/planning-a-large-migration.md.
    assert 5 < one.seconds < 25
    assert 250 * MILLION < one.log_bytes < 500 * MILLION
    assert one.disk_bytes < 0.1 * (MILLION // 45 * 8192 + 80_000_000)


def test_what_makes_a_backfill_dearer_makes_its_estimate_dearer(tmp_path: Path) -> None:
    base = estimate(planned(tmp_path, items(), PARENT), "backfill_rows")
    single = estimate(planned(tmp_path, items(), PARENT, workers=1), "backfill_rows")
    assert single.seconds > 1.5 * base.seconds
    bare = estimate(planned(tmp_path, items(indexes=items().indexes[:2]), PARENT), "backfill_rows")
    assert bare.seconds < base.seconds
    decided = {"tenant": {"first": [PARENT["tenant"], {"column": "code"}]}}
    assert estimate(planned(tmp_path, items(), decided), "backfill_rows").seconds > 1.3 * base.seconds
    key = Column(name="project_id", type="text", text_like=True)
    kept = items(columns=(*items().columns, key))
    assert estimate(planned(tmp_path, kept, PARENT), "backfill_rows").log_bytes > base.log_bytes + 300 * MILLION
    modest = estimate(planned(tmp_path, items(owned=False), PARENT, role=OWNER), "backfill_rows")
    assert modest.log_bytes > base.log_bytes, "page images stay whole"
    assert modest.disk_bytes > base.disk_bytes, "free room stays unknown"


def test_pages_with_room_take_few_passes_and_no_disk(tmp_path: Path) -> None:
    roomy = estimate(planned(tmp_path, items(fillfactor=45), PARENT), "backfill_rows")
    assert roomy.way == "in place, 1 pass: its pages have room"
    assert roomy.disk_bytes == 0


def test_constraints_have_estimates_and_the_plan_keeps_them_out_of_what_it_means(tmp_path: Path) -> None:
    made = planned(tmp_path, items(), PARENT)
    for kind in ("not_null", "rescope_unique"):
        assert 0 < estimate(made, kind).seconds < 10
    assert estimate(made, "rescope_unique").disk_bytes > 10 * MILLION
    assert Plan.restore(made.dump()) == made
    assert made.model_copy(update={"estimates": ()}).hash == made.hash
    # An earlier version's plan in the ledger has none.
    body = made.dump()
    del body["estimates"]
    assert Plan.restore(body).hash == made.hash


def test_the_table_of_estimates_has_a_line_for_each_and_two_sums(tmp_path: Path) -> None:
    made = planned(tmp_path, items(), PARENT)
    table = estimates_table(made)
    assert table is not None
    assert table.row_count == len(made.estimates) + 2
    assert "never chosen" in str(table.caption)
    assert estimates_table(made.model_copy(update={"estimates": ()})) is None
    assert [size(n) for n in (0, 999, 1000, 231_000_000)] == ["", "999 B", "1 kB", "231 MB"]
