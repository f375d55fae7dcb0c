"""The property of attribution: whatever the schema, tenure's SQL gives every row the owner that brute force gives it.

The relations are those that `inspect` reads (`sources_scope`), the keys those that the backfill writes. Every row is in
exactly one bin. TENURE_ATTRIBUTION_EXAMPLES sets how many random applications are tried.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attribution_worlds import KEY, KINDS, Lookup, Owner, Table, World, worlds
from hypothesis import HealthCheck, given, settings
from psycopg import sql

from tenure.attribution.build import row_rules
from tenure.attribution.sources_scope import BIN, sources_scope
from tenure.checks.correct import Correctness
from tenure.checks.inspect import found_by
from tenure.checks.view import bare_view
from tenure.playbook import load_playbook
from tenure.runner.runner import Runner
from tenure.session import Session
from tenure.values import Finding, Hazard, Phase

EXAMPLES = int(os.environ.get("TENURE_ATTRIBUTION_EXAMPLES", "40"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for playbooks."""
    path = Path(tempfile.mkdtemp(prefix="tenure-"))
    yield path
    shutil.rmtree(path)


@contextmanager
def loaded(world: World, dsn: str, folder: Path) -> Iterator[Session]:
    """The world in an empty database, and a session of its playbook."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS tenure CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute(world.schema().encode())
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO projects VALUES (%s)", [(tenant,) for tenant in world.kind.tenants])
            pairs = [(code, owner) for code, owners in world.by_table.items() for owner in owners]
            cursor.executemany("INSERT INTO batches VALUES (%s, %s)", pairs)
            for table in world.tables:
                if table.rows:
                    names = sql.SQL(", ").join(map(sql.Identifier, table.rows[0]))
                    query = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM jsonb_populate_recordset(NULL::{}, %s)").format(
                        sql.Identifier(table.name), names, names, sql.Identifier(table.name)
                    )
                    cursor.execute(query, [json.dumps(table.rows)])
    quoted = lambda text: '"' + text.replace('"', '""') + '"'  # noqa: E731
    for name, found in (("tenants.csv", world.aliases), ("batches.csv", world.by_file)):
        lines = ["value,tenant", *(f"{quoted(value)},{quoted(tenant)}" for value, tenant in found.items())]
        (folder / name).write_text("\n".join(lines))
    body = {
        "version": 1,
        "tenant": {
            "key": KEY,
            "type": world.kind.type,
            "registry": {"table": "projects", "column": "id"},
            "aliases": "tenants.csv",
            "untagged": list(world.kind.untagged),
        },
        "connections": {"postgres": {"url": dsn}},
        "postgres": world.rules(),
    }
    (folder / "tenure.yaml").write_text(json.dumps(body))
    with Session(load_playbook(folder / "tenure.yaml", {})) as session:
        yield session


def decided(world: World, session: Session) -> dict[str, list[Owner]]:
    """What inspect's relations say of every row, in the order of the rows; fails on a row that is there twice."""
    rules = row_rules(session.playbook, session.catalog().postgres)
    assert not rules.findings, rules.findings
    found: dict[str, list[Owner]] = {}
    extra = {table.name: {"rowno"} for table in world.tables}
    with sources_scope(session.postgres, session.playbook, rules, extra=extra) as scope, scope.connect() as connection:
        for table in world.tables:
            query = sql.SQL("SELECT rowno, {}, {}::text FROM {} ORDER BY rowno").format(
                sql.Identifier(BIN), sql.Identifier(KEY), scope.decided[table.name]
            )
            rows = connection.execute(query).fetchall()
            assert [row[0] for row in rows] == [row["rowno"] for row in table.rows], "not one decision for each row"
            found[table.name] = [Owner(bin_, key) for _, bin_, key in rows]
    return found


def written(world: World, session: Session) -> dict[str, list[str | None]]:
    """The keys in the tables; what is no tenant and no sentinel counts as none."""
    valid = {*world.kind.tenants, world.kind.quarantine, world.kind.shared}
    found = {}
    with session.postgres.connection() as connection:
        for table in world.tables:
            query = sql.SQL("SELECT {}::text FROM {} ORDER BY rowno").format(
                sql.Identifier(KEY), sql.Identifier(table.name)
            )
            found[table.name] = [key if key in valid else None for (key,) in connection.execute(query)]
    return found


def agrees(world: World, owners: dict[str, list[Owner]], session: Session) -> None:
    """Assert that inspect's decisions, the backfill's keys and list, and verify are what *owners* says."""
    assert decided(world, session) == owners
    session.ledger.install()
    session.ledger.keep_baseline("catalog", "", session.catalog().model_dump(mode="json"))
    runner = Runner(session.context(), session.plan())
    runner.run(Phase.BACKFILL, tuple(Hazard))
    assert written(world, session) == {name: [owner.key for owner in found] for name, found in owners.items()}
    with session.postgres.connection() as connection:
        listed = Counter(name for (name,) in connection.execute("SELECT object FROM tenure.quarantine").fetchall())
    wrote = {
        table.name: sum(
            owner.key == world.kind.quarantine != row.get(KEY)
            for owner, row in zip(owners[table.name], table.rows, strict=True)
        )
        for table in world.tables
    }
    assert {name: listed[name] for name, count in wrote.items()} == wrote
    # A second pass finds nothing to do, and nothing that differs from its sources.
    again = Runner(session.context(), session.plan()).run(Phase.BACKFILL, tuple(Hazard))
    assert not any(outcome.changed or outcome.left for outcome in again.outcomes.values())
    wrong = [found for found in found_by([Correctness()], bare_view(session)) if found.severity == "error"]
    assert not wrong, wrong


def failures(world: World, owners: dict[str, list[Owner]]) -> dict[tuple[str, str], int]:
    """How many rows of each table block: their bin's policy is `fail`, or is `first` where no source comes first."""
    found = Counter(
        ("TEN111" if owner.bin == "unassigned" else "TEN112", table.name)
        for table in world.tables
        for owner in owners[table.name]
        if (owner.bin, "fail") in (("unassigned", table.unassigned), ("conflict", table.conflict))
        or (owner == ("conflict", None) and table.conflict == "first")
    )
    return dict(found)


def _without_failures(world: World) -> dict[str, list[Owner]]:
    """The owners in a world changed such that nothing blocks."""
    while blocking := failures(world, owners := world.owners()):
        for table in world.tables:
            if ("TEN112", table.name) in blocking:
                table.conflict = "quarantine"
    return owners


def errors(findings: tuple[Finding, ...], ids: tuple[str, ...]) -> dict[tuple[str, str], int]:
    """The errors of some checks with their counts."""
    return {(f.id, f.object): f.count for f in findings if f.severity == "error" and f.id in ids}


@SETTINGS
@given(world=worlds(failing=False))
def test_every_row_gets_the_owner_that_brute_force_gives_it(postgres_dsn: str, folder: Path, world: World) -> None:
    """What inspect decides, what the backfill writes and lists, and what verify derives again are all the same."""
    owners = _without_failures(world)
    with loaded(world, postgres_dsn, folder) as session:
        agrees(world, owners, session)


@SETTINGS
@given(world=worlds(failing=True))
def test_inspect_counts_every_row_in_one_bin(postgres_dsn: str, folder: Path, world: World) -> None:
    """The matrix has every row once; rows that block are counted as errors, and no others."""
    owners = world.owners()
    with loaded(world, postgres_dsn, folder) as session:
        report = session.inspect()
        assert errors(report.findings, ("TEN111", "TEN112")) == failures(world, owners)
        seen = {table.name: Counter[str]() for table in world.tables}
        for row in report.matrix:
            for name, count in row.postgres.items():
                seen[name][row.tenant] += count
        expected = {}
        names = {world.kind.quarantine: "(quarantine)", world.kind.shared: "(shared)"}
        for table in world.tables:
            expected[table.name] = Counter(
                names.get(owner.key, owner.key)
                if owner.key is not None
                else "(conflict)"
                if owner.bin == "conflict"
                else "(shared)"
                if table.unassigned == "keep_null"
                else "(unassigned)"
                for owner in owners[table.name]
            )
        assert {name: +found for name, found in seen.items()} == expected
        assert not session.ledger.installed()


def _table(name: str, **options: Any) -> Table:
    given: dict[str, Any] = {
        "identity": "id", "uniques": (), "indexed": False, "climbs": False, "has_key": False, "sources": ("own",),
        "unassigned": "quarantine", "conflict": "quarantine", "existing": "conflict",
    }  # fmt: skip
    rows = [{"rowno": n, "id": n, "own": None, "batch": None, "k": None, "n": None, **row}
            for n, row in enumerate(options.pop("rows"))]  # fmt: skip
    return Table(name=name, **{**given, **options}, rows=rows)


@pytest.mark.parametrize("indexed", [True, False])
def test_keys_that_are_no_tenant_are_nobodys_in_children_too(postgres_dsn: str, folder: Path, indexed: bool) -> None:
    """What the first version got wrong: a parent keeps a stranger's key, or an untagged one, beside a real tenant's."""
    kind = KINDS[0]
    kept = [{KEY: "nadie", "k": 1}, {KEY: "default", "k": 2}, {KEY: None, "k": 1, "own": "alfa"},
            {KEY: "", "k": 2, "own": "alfa"}]  # fmt: skip
    parent = _table("t0", has_key=True, indexed=indexed, unassigned="keep_null", rows=kept)
    one = _table("t1", sources=(Lookup("t0", (("p_id", "id"),), False), "own"),
                 rows=[{"p_id": 0, "own": "gamma"}, {"p_id": 0}, {"p_id": 1, "own": "gamma"}])  # fmt: skip
    many = _table("t2", sources=(Lookup("t0", (("p_k", "k"),), False),), rows=[{"p_k": 1}, {"p_k": 2}, {"p_k": 3}])
    world = World(kind, [parent, one, many], kind.tenants[0])
    found = world.owners()
    assert [owner.key for owner in found["t1"]] == ["gamma", kind.quarantine, "gamma"]
    assert [owner.key for owner in found["t2"]] == ["alfa", "alfa", kind.quarantine]
    with loaded(world, postgres_dsn, folder) as session:
        agrees(world, found, session)
