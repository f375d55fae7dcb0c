"""What is planned for Postgres, from catalogs written by hand: no server, no connection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tenure.attribution.build import row_rules
from tenure.catalog import Catalog
from tenure.catalog.postgres import (
    Column,
    ForeignKey,
    Function,
    Index,
    PostgresCatalog,
    Role,
    Table,
    Trigger,
    View,
)
from tenure.operations import load
from tenure.operations.base import Operation
from tenure.operations.guard_triggers import GUARD, guarded
from tenure.operations.text import MAX_NAME, short_name
from tenure.planner import Plan, plan
from tenure.planner.constraints import contract
from tenure.planner.rows import triggers_way
from tenure.planner.uniques import free_name, is_surrogate
from tenure.playbook import Playbook, load_playbook
from tenure.playbook.rules import TableRule
from tenure.values import Finding, Hazard, Phase

ADMIN = Role(name="admin", superuser=True, can_set_replication_role=True)
PROJECTS = Table(
    name="projects",
    columns=(Column(name="id", type="text", text_like=True),),
    primary_key=("id",),
    indexes=(Index(name="projects_pkey", columns=("id",), unique=True, primary=True, parts=("id",)),),
)


def unique(name: str, *columns: str, **more: Any) -> Index:
    """A unique constraint."""
    more = {"constraint": name, "constraint_definition": f"UNIQUE ({', '.join(columns)})", **more}
    return Index(name=name, columns=columns, parts=columns, unique=True, **more)


def table(name: str, *indexes: Index, columns: tuple[Column, ...] = (), **more: Any) -> Table:
    """A table with a generated id, a column p that names the project, and a name."""
    key = unique(f"{name}_pkey", "id", primary=True)
    given = (
        Column(name="id", type="integer", integer_like=True, identity=True, nullable=False),
        Column(name="p", type="text", text_like=True),
        Column(name="name", type="text", text_like=True),
        *columns,
    )
    return Table(**{"name": name, "columns": given, "primary_key": ("id",), "indexes": (key, *indexes), **more})


def catalog(*tables: Table, role: Role = ADMIN, version: int = 180000, **more: Any) -> Catalog:
    """A database of these tables and the registry."""
    return Catalog(
        postgres=PostgresCatalog(
            server_version=version, database="d", role=role, tables=(PROJECTS, *tables), **more
        )
    )  # fmt: skip


def playbook(folder: Path, tables: dict[str, Any], **more: Any) -> Playbook:
    """A playbook with rules for *tables*."""
    body = {
        "version": 1,
        "tenant": {"registry": {"table": "projects", "column": "id"}},
        "connections": {"postgres": {"url": "postgresql://nowhere/d"}},
        "postgres": tables,
        **more,
    }
    path = folder / "tenure.yaml"
    path.write_text(json.dumps(body))
    return load_playbook(path, {})


COLUMN = {"tenant": {"column": "p"}}


def kinds(made: Plan | list[Operation], object_: str = "") -> list[str]:
    """The kinds of operations, in order."""
    operations = made.operations if isinstance(made, Plan) else made
    return [operation.kind for operation in operations if not object_ or operation.object.startswith(object_)]


def test_the_order_of_an_ordinary_table(tmp_path: Path) -> None:
    made = plan(playbook(tmp_path, {"t": COLUMN}), catalog(table("t", unique("t_name_key", "name"))))
    assert not made.errors
    until = [operation for operation in made.operations if operation.phase.order <= Phase.CONSTRAIN.order]
    assert kinds(until) == ["add_key", "fill_trigger", "backfill_rows", "not_null", "rescope_unique"]
    assert [operation.phase for operation in made.operations] == sorted(
        (operation.phase for operation in made.operations), key=lambda phase: phase.order
    )


def test_parents_come_first_whatever_the_playbook_says(tmp_path: Path) -> None:
    child = table("a_child", columns=(Column(name="t_id", type="integer", integer_like=True),))
    rules = {"a_child": {"tenant": {"parent": "t", "match": {"t_id": "id"}}}, "t": COLUMN}
    made = plan(playbook(tmp_path, rules), catalog(child, table("t")))
    backfills = [operation.object for operation in made.operations if operation.kind == "backfill_rows"]
    assert backfills == ["t", "a_child"]
    swapped = plan(playbook(tmp_path, dict(reversed(rules.items()))), catalog(table("t"), child))
    assert [operation.id for operation in swapped.operations] == [operation.id for operation in made.operations]


def test_the_same_inputs_give_the_same_hash_and_volume_none_another(tmp_path: Path) -> None:
    book = playbook(tmp_path, {"t": COLUMN})
    small = catalog(table("t", unique("u", "name"), estimated_rows=10, pages=1))
    large = catalog(table("t", unique("u", "name"), estimated_rows=10_000_000, pages=90_000))
    other = catalog(table("t", unique("v", "name")))
    assert plan(book, small).hash == plan(book, small).hash == plan(book, large).hash
    assert plan(book, small).hash != plan(book, other).hash


def everything(folder: Path) -> list[Operation]:
    """One operation of every Postgres kind."""
    (folder / "m.csv").write_text("value,tenant\nx,a\n")
    touch = Trigger(
        name="touch",
        function="touch",
        events=("UPDATE",),
        definition="CREATE TRIGGER touch BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.touch()",
    )
    natural = table("n", primary_key=("name",), indexes=(unique("n_pkey", "name", primary=True),))
    child = table(
        "c",
        columns=(Column(name="t_id", type="integer", integer_like=True),),
        foreign_keys=(ForeignKey(name="c_fk", columns=("t_id",), ref_table="t", ref_columns=("id",)),),
    )
    key = Column(name="project_id", type="text", text_like=True, default="'a'::text")
    rules = {
        "t": {"tenant": {"first": [{"column": "p"}, {"mapping": "m.csv", "match": "name"}]}},
        "c": COLUMN,
        "n": COLUMN,
        "plain": {"tenant": {"constant": "a"}},
        "has": COLUMN,
    }
    book = playbook(folder, rules, row_security={"role": "app"})
    humble = Role(name="owner", bypasses_rls=True)
    found = catalog(
        table("t", unique("t_name_key", "name"), triggers=(touch,)), child, natural, table("plain"),
        table("has", columns=(key,)), role=humble,
    )  # fmt: skip
    from tenure.planner.row_security import cutover

    built, findings = row_rules(book, found.postgres), list[Finding]()
    added = [
        *cutover(book, found.postgres, built, findings),
        *contract(book, found.postgres, built, findings),
    ]
    made = plan(book, found)
    assert not made.errors
    return [*made.operations, *added]


def test_every_operation_survives_json(tmp_path: Path) -> None:
    operations = everything(tmp_path)
    assert set(kinds(operations)) == {
        "add_key", "backfill_rows", "composite_fk", "drop_fill_trigger", "drop_foreign_key", "drop_key_default",
        "drop_unique", "fill_trigger", "guard_triggers", "key_index", "load_decisions", "not_null", "rescope_unique",
        "restore_triggers", "row_security", "surrogate_unique", "swap_primary_key", "watch_writers",
    }  # fmt: skip
    for operation in operations:
        again = load(json.loads(json.dumps(operation.dump())))
        assert again == operation
        assert again.dump() == operation.dump()
        assert again.statements() == operation.statements()
        assert operation.describe()
        assert all(statement.endswith(";") for statement in operation.statements())


def test_nothing_irreversible_before_contract(tmp_path: Path) -> None:
    for operation in everything(tmp_path):
        assert (Hazard.IRREVERSIBLE in operation.hazards) is (operation.kind in ("drop_unique", "swap_primary_key"))
        late = operation.kind.startswith(("drop_unique", "drop_foreign", "drop_fill", "swap", "watch"))
        assert (operation.phase is Phase.CONTRACT) is late


def trigger(**more: Any) -> Trigger:
    """An UPDATE trigger."""
    return Trigger(**{"name": "x", "function": "f", "events": ("UPDATE",), **more})


@pytest.mark.parametrize(
    ("triggers", "role", "version", "owned", "way"),
    [
        ((), ADMIN, 180000, True, "plain"),
        ((trigger(events=("INSERT", "DELETE")),), ADMIN, 180000, True, "plain"),
        ((trigger(enabled="disabled"),), ADMIN, 180000, True, "plain"),
        ((trigger(update_columns=("name",)),), ADMIN, 180000, True, "plain"),
        ((trigger(update_columns=("project_id",)),), ADMIN, 180000, True, "replica"),
        ((trigger(),), ADMIN, 180000, True, "replica"),
        ((trigger(enabled="always"),), ADMIN, 180000, True, "guarded"),
        ((trigger(),), Role(name="o"), 180000, True, "guarded"),
        ((trigger(),), Role(name="o"), 130000, True, "fires"),
        ((trigger(),), Role(name="o"), 180000, False, "fires"),
    ],
)
def test_the_way_triggers_are_kept_still(
    triggers: tuple[Trigger, ...], role: Role, version: int, owned: bool, way: str
) -> None:
    found = table("t", triggers=triggers, owned=owned)
    assert triggers_way(found, catalog(found, role=role, version=version).postgres, "project_id") == way


def test_a_foreign_key_on_the_key_goes_on_being_checked() -> None:
    key = ForeignKey(name="k", columns=("project_id",), ref_table="projects", ref_columns=("id",))
    found = table("t", triggers=(trigger(),), foreign_keys=(key,))
    assert triggers_way(found, catalog(found).postgres, "project_id") == "guarded"


@pytest.mark.parametrize(
    ("definition", "when", "expected"),
    [
        ("CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", None,
         f"CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW WHEN (({GUARD})) EXECUTE FUNCTION f()"),
        ("CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW WHEN ((a)) EXECUTE FUNCTION f()", "(a)",
         f"CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW WHEN (((a)) AND ({GUARD})) EXECUTE FUNCTION f()"),
        ("CREATE TRIGGER \" EXECUTE FUNCTION \" BEFORE UPDATE ON t FOR EACH ROW "
         "EXECUTE FUNCTION f(' EXECUTE FUNCTION ')", None,
         f"CREATE TRIGGER \" EXECUTE FUNCTION \" BEFORE UPDATE ON t FOR EACH ROW WHEN (({GUARD})) "
         "EXECUTE FUNCTION f(' EXECUTE FUNCTION ')"),
    ],
)  # fmt: skip
def test_the_guard_finds_its_place(definition: str, when: str | None, expected: str) -> None:
    assert guarded(definition, when) == expected


def test_names_fit_and_do_not_meet() -> None:
    long = "ñ" * 40
    a, b = short_name(long, "a"), short_name(long, "b")
    assert len(a.encode()) <= MAX_NAME
    assert a != b
    assert short_name("t", "a") == "t_a"
    taken = {"public.t_key"}
    names = [free_name(taken, "public", "t", "key") for _ in range(3)]
    assert len({*names, "t_key"}) == 4
    assert free_name(taken, "other", "t", "key") == "t_key"


@pytest.mark.parametrize(
    ("column", "surrogate"),
    [
        (Column(name="id", type="bigint", integer_like=True, identity=True), True),
        (Column(name="id", type="integer", integer_like=True, sequence=True), True),
        (Column(name="id", type="integer", integer_like=True), False),
        (Column(name="id", type="uuid", uuid_like=True), True),
        (Column(name="id", type="uuid", uuid_like=True, id_versions=("5",)), False),
        (Column(name="id", type="text", text_like=True, id_versions=("4", "7")), True),
        (Column(name="id", type="text", text_like=True, id_versions=("4", "")), False),
        (Column(name="id", type="text", text_like=True), False),
    ],
)
def test_which_primary_keys_are_surrogates(column: Column, surrogate: bool) -> None:
    found = Table(name="t", columns=(column,), primary_key=("id",))
    assert is_surrogate(found, TableRule(exempt="x")) is surrogate


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("INSERT INTO t (name) VALUES (1) ON CONFLICT (name) DO NOTHING", 1),
        ('insert into t values (1) on  conflict\n( "name" ) do update set p = 1', 1),
        ("INSERT INTO t VALUES (1) ON CONFLICT ON CONSTRAINT u DO NOTHING", 1),
        ("INSERT INTO t VALUES (1) ON CONFLICT (name, p) DO NOTHING", 0),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", 0),
        ("INSERT INTO t2 VALUES (1) ON CONFLICT (name) DO NOTHING", 0),
    ],
)
def test_upserts_that_lean_on_the_old_unique(tmp_path: Path, source: str, found: int) -> None:
    function = Function(name="put", language="sql", source=source)
    made = plan(playbook(tmp_path, {"t": COLUMN}), catalog(table("t", unique("u", "name")), functions=(function,)))
    assert len([finding for finding in made.findings if finding.id == "TEN025"]) == found


def test_views_that_group_by_a_natural_key(tmp_path: Path) -> None:
    natural = table("t", primary_key=("name",), indexes=(unique("t_pkey", "name", primary=True),))
    view = View(name="v", definition="SELECT name, p FROM t GROUP BY name", depends_on=("t",))
    made = plan(playbook(tmp_path, {"t": COLUMN}), catalog(natural, views=(view,)))
    assert [finding.object for finding in made.findings if finding.id == "TEN028"] == ["v"]


def test_a_table_divided_by_the_key_is_refused(tmp_path: Path) -> None:
    key = Column(name="project_id", type="text", text_like=True)
    part = table("part", columns=(key,), partition_of="t")
    parted = table("t", columns=(key,), kind="partitioned", partition_columns=("project_id",), partitions=("part",))
    made = plan(playbook(tmp_path, {"t": COLUMN}), catalog(parted, part))
    assert [finding.id for finding in made.errors] == ["TEN010"]
    assert made.operations == ()
